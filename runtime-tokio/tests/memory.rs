//! Futures that are dropped at any point leak no memory. The only test in its program, since
//! the memory of other tests would be counted too.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod executor;

use std::alloc::System;

use executor::MultiThread;
use postwire_scenarios::cancellation;
use postwire_scenarios::memory::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn dropping_a_send_leaks_nothing() {
    cancellation::count_memory::<MultiThread>(cancellation::futures());
}
