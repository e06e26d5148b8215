//! The lock and the atomics that the sends of a transport share.
//!
//! They are those of the standard library. With `cfg(shuttle)`, which only `interleavings/` sets, they are
//! those of the model checker shuttle, on which this package does not depend.

#[cfg(not(shuttle))]
pub(crate) use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
#[cfg(not(shuttle))]
pub(crate) use std::sync::{Mutex, MutexGuard};

#[cfg(shuttle)]
pub(crate) use shuttle::sync::atomic::{AtomicU64, Ordering::Relaxed};
#[cfg(shuttle)]
pub(crate) use shuttle::sync::{Mutex, MutexGuard};
