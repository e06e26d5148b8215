//! Futures that are dropped at any point leak no memory. The only test in its program, since
//! the memory of other tests would be counted too.

mod executor;

use std::alloc::System;

use executor::AsyncStd;
use postwire_scenarios::cancellation;
use postwire_scenarios::memory::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn dropping_a_send_leaks_nothing() {
    cancellation::count_memory::<AsyncStd>(cancellation::futures());
}
