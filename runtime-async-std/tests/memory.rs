//! Futures dropped at any point leave no memory in use. Alone in its program:
//! another test would be counted with it.

mod executor;

use std::alloc::System;

use executor::AsyncStd;
use postwire_testing::cancellation;
use postwire_testing::memory::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn dropping_a_send_leaks_nothing() {
    cancellation::count_memory::<AsyncStd>(cancellation::futures());
}
