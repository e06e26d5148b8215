//! Futures that are dropped at any point leak no memory. The only test in its program, since the
//! memory of other tests would be counted too.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::alloc::System;
use std::future::Future;

use compio::runtime::{Runtime, spawn};
use postwire_examples::completion::Compio;
use postwire_scenarios::cancellation;
use postwire_scenarios::futures::Executor;
use postwire_scenarios::memory::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// One runtime for all futures of a thread, which is never dropped.
struct OneRuntime;

thread_local! {
    static RUNTIME: &'static Runtime = Box::leak(Box::new(Runtime::new().unwrap()));
}

impl Executor for OneRuntime {
    type Runtime = Compio;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        RUNTIME.with(|runtime| runtime.block_on(future))
    }

    fn spawn<T: Send + 'static>(
        task: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> {
        let task = spawn(task);
        async { task.await.unwrap() }
    }
}

#[test]
fn dropping_a_send_leaks_nothing() {
    cancellation::count_memory_within::<OneRuntime>(cancellation::futures(), 16);
}
