//! The memory in use by all threads together. It is only counted in a test whose global
//! allocator is [`INSTRUMENTED_SYSTEM`].

pub use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

/// The octets that are allocated and not freed.
///
/// # Panics
///
/// Panics if nothing was ever counted, because the test has another allocator.
pub fn live_octets() -> usize {
    let stats = INSTRUMENTED_SYSTEM.stats();
    assert!(stats.allocations > 0, "the allocator does not count");
    stats.bytes_allocated - stats.bytes_deallocated
}
