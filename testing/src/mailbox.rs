//! The messages that have arrived, and waiting for more.
//!
//! Knows how to wait. Must never know where the messages come from.

use std::future::poll_fn;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for messages unless it says otherwise.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The messages that have arrived, in order.
#[derive(Debug)]
pub(crate) struct Mailbox<T> {
    messages: Mutex<Vec<T>>,
    arrived: Condvar,
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        Self {
            messages: Mutex::default(),
            arrived: Condvar::new(),
        }
    }
}

impl<T: Clone> Mailbox<T> {
    pub(crate) fn add(&self, message: T) {
        self.lock().push(message);
        self.arrived.notify_all();
    }

    pub(crate) fn messages(&self) -> Vec<T> {
        self.lock().clone()
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    /// Waits until there are `expected` messages, at most until `deadline`. Returns those that
    /// there are.
    fn wait_until(&self, expected: usize, deadline: Instant) -> Vec<T> {
        let mut messages = self.lock();
        while messages.len() < expected {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.arrived.wait_timeout(messages, left);
            messages = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        messages.clone()
    }

    /// Waits until there are `expected` messages.
    #[track_caller]
    pub(crate) fn wait_for(&self, expected: usize, limit: Duration) -> Vec<T> {
        let messages = self.wait_until(expected, Instant::now() + limit);
        check(&messages, expected, limit);
        messages
    }

    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[track_caller]
fn check<T>(messages: &[T], expected: usize, limit: Duration) {
    let there = messages.len();
    assert!(
        there >= expected,
        "{there} of {expected} messages arrived within {limit:?}"
    );
}

/// Waits like [`Mailbox::wait_for`], without a runtime: a thread waits and wakes the task.
pub(crate) async fn wait_for_async<T: Clone + Send + 'static>(
    mailbox: Arc<Mailbox<T>>,
    expected: usize,
    limit: Duration,
) -> Vec<T> {
    let deadline = Instant::now() + limit;
    let result: Arc<Mutex<(Option<Vec<T>>, Waker)>> =
        Arc::new(Mutex::new((None, Waker::noop().clone())));
    let of_thread = Arc::clone(&result);
    thread::spawn(move || {
        let messages = mailbox.wait_until(expected, deadline);
        let mut result = of_thread.lock().unwrap_or_else(PoisonError::into_inner);
        result.0 = Some(messages);
        result.1.wake_by_ref();
    });
    let messages = poll_fn(|cx| {
        let mut result = result.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(messages) = result.0.take() {
            return Poll::Ready(messages);
        }
        result.1.clone_from(cx.waker());
        Poll::Pending
    })
    .await;
    check(&messages, expected, limit);
    messages
}
