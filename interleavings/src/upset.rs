//! The panics of a program: in a stream or while a thread waits, which ends a send wherever it is, and in
//! a waker.
//!
//! They unwind without the hook of panics, which would print a schedule each time.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};

shuttle::thread_local! {
    /// After how many opportunities this thread unwinds.
    static UNWINDS_AFTER: Cell<Option<usize>> = Cell::new(None);
    /// Whether this thread has read octets that no session has taken. It cannot be interrupted then: they would
    /// be lost.
    static HAS_READ: Cell<bool> = Cell::new(false);
    /// After how many wakers of others this thread panics in one.
    static PANICS_AFTER: Cell<Option<usize>> = Cell::new(None);
}

/// What a thread unwinds with.
struct Upset;

/// Lets this thread unwind at one of its next opportunities.
pub(crate) fn unwind_after(opportunities: usize) {
    UNWINDS_AFTER.with(|left| left.set(Some(opportunities)));
}

/// Lets this thread panic in one of the next wakers that it wakes.
pub(crate) fn panic_in_waker_after(wakers: usize) {
    PANICS_AFTER.with(|left| left.set(Some(wakers)));
}

/// An opportunity to unwind: a call of the program's own code, or a wait.
pub(crate) fn may_unwind() {
    if !HAS_READ.with(Cell::get) {
        UNWINDS_AFTER.with(count_down);
    }
}

/// Whether this thread has read octets that no session has taken.
pub(crate) fn has_read(has_read: bool) {
    HAS_READ.with(|known| known.set(has_read));
}

/// A waker is woken.
pub(crate) fn may_panic_in_waker() {
    PANICS_AFTER.with(count_down);
}

fn count_down(left: &Cell<Option<usize>>) {
    match left.take() {
        None => {}
        Some(0) => panic::resume_unwind(Box::new(Upset)),
        Some(more) => left.set(Some(more - 1)),
    }
}

/// Runs a part of a program that may be upset; `None` if it unwound.
pub(crate) fn contained<T>(run: impl FnOnce() -> T) -> Option<T> {
    let result = panic::catch_unwind(AssertUnwindSafe(run));
    UNWINDS_AFTER.with(Cell::take);
    has_read(false);
    result.map_err(pass_on_others).ok()
}

/// Any other panic fails the test.
fn pass_on_others(payload: Box<dyn Any + Send>) {
    if !payload.is::<Upset>() {
        panic::resume_unwind(payload);
    }
}
