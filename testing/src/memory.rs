//! How much memory is in use, all threads together. Counts only in a test whose
//! global allocator is [`INSTRUMENTED_SYSTEM`].

pub use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

/// The octets that were allocated and not yet given back.
///
/// # Panics
///
/// Nothing was ever counted: the test has another allocator.
pub fn live_octets() -> usize {
    let stats = INSTRUMENTED_SYSTEM.stats();
    assert!(stats.allocations > 0, "the allocator does not count");
    stats.bytes_allocated - stats.bytes_deallocated
}
