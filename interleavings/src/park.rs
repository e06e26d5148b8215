//! Parking, in the place of `park.rs` of the adapter: the same on a thread of shuttle, and without the
//! time.

use std::sync::Arc;
use std::task::{Wake, Waker};

use postwire_transport::proto::{Clock, Instant};
use shuttle::thread::{self, Thread};

use crate::upset;

/// Sleeps until this thread is woken.
pub(crate) fn park_until(_clock: Clock, _until: Option<Instant>) {
    upset::may_unwind();
    thread::park();
}

/// A waker that unparks this thread.
pub(crate) fn unpark_this_thread() -> Waker {
    Waker::from(Arc::new(Unpark(thread::current())))
}

/// Unparks a thread when woken.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
        upset::may_panic_in_waker();
    }
}
