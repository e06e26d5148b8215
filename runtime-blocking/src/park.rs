//! How a thread waits for other threads: it parks, and its waker unparks it. Must never know what it waits
//! for.

use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use postwire_transport::proto::{Clock, Instant};

/// Sleeps until this thread is woken, or until the time `until`.
pub(crate) fn park_until(clock: Clock, until: Option<Instant>) {
    let left = |until: Instant| until.saturating_duration_since(clock.now());
    thread::park_timeout(until.map_or(Duration::MAX, left));
}

thread_local! {
    static UNPARK: Waker = new_waker();
}

/// A waker that unparks this thread.
pub(crate) fn unpark_this_thread() -> Waker {
    // A thread that is ending has no such variable any more.
    UNPARK
        .try_with(Waker::clone)
        .unwrap_or_else(|_| new_waker())
}

fn new_waker() -> Waker {
    Waker::from(Arc::new(Unpark(thread::current())))
}

/// Unparks a thread when woken.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
