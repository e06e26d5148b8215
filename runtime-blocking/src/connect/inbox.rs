//! Values that threads send to one thread, which waits for the next one, at most for some time.
//!
//! Like a channel of the standard library, in a fraction of its code: a channel is made for many
//! values per second, and its code is generated for each type of value.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

struct Inbox<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    values: VecDeque<T>,
    senders: usize,
    /// Whether nobody will receive what is sent from now on.
    is_closed: bool,
}

pub(super) struct Sender<T>(Arc<Inbox<T>>);

pub(super) struct Receiver<T>(Arc<Inbox<T>>);

/// Creates an empty inbox.
pub(super) fn inbox<T>() -> (Sender<T>, Receiver<T>) {
    let inbox = Arc::new(Inbox {
        state: Mutex::new(State {
            values: VecDeque::new(),
            senders: 1,
            is_closed: false,
        }),
        changed: Condvar::new(),
    });
    (Sender(Arc::clone(&inbox)), Receiver(inbox))
}

impl<T> Inbox<T> {
    /// Calls `change` under the lock. What it returns is dropped after the lock.
    fn change<R>(&self, change: impl FnOnce(&mut State<T>) -> R) -> R {
        // No code panics while the lock is held, so the state is always consistent.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut state);
        self.changed.notify_one();
        changed
    }
}

impl<T> Sender<T> {
    /// Sends a value, which is dropped if the receiver is gone.
    pub(super) fn send(&self, value: T) {
        let refused = self.0.change(|state| {
            if state.is_closed {
                return Some(value);
            }
            state.values.push_back(value);
            None
        });
        drop(refused);
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.change(|state| state.senders += 1);
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.change(|state| state.senders -= 1);
    }
}

impl<T> Receiver<T> {
    /// Waits for the next value; `None` after this time, or at once if all senders are gone.
    pub(super) fn receive(&self, time: Duration) -> Option<T> {
        let state = self.0.state.lock();
        let state = state.unwrap_or_else(PoisonError::into_inner);
        let waits = |state: &mut State<T>| state.values.is_empty() && state.senders > 0;
        let waited = self.0.changed.wait_timeout_while(state, time, waits);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.values.pop_front()
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        // A connection that lost the race is closed now, and not when the last attempt ends.
        let unread = self.0.change(|state| {
            state.is_closed = true;
            std::mem::take(&mut state.values)
        });
        drop(unread);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn values_arrive_in_order_from_several_threads() {
        let (sender, receiver) = inbox();
        let other = sender.clone();
        sender.send(1);
        let thread = thread::spawn(move || other.send(2));
        thread.join().unwrap();
        assert_eq!(receiver.receive(LONG), Some(1));
        assert_eq!(receiver.receive(LONG), Some(2));
        assert_eq!(receiver.receive(Duration::ZERO), None);
    }

    #[test]
    fn a_receiver_waits_until_a_value_arrives() {
        let (sender, receiver) = inbox();
        let thread = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            sender.send("late");
        });
        assert_eq!(receiver.receive(LONG), Some("late"));
        thread.join().unwrap();
    }

    #[test]
    fn nobody_waits_for_senders_that_are_gone() {
        let (sender, receiver) = inbox::<()>();
        let thread = thread::spawn(move || {
            let _gone = sender;
            thread::sleep(Duration::from_millis(50));
        });
        assert_eq!(receiver.receive(LONG), None);
        thread.join().unwrap();
    }

    #[test]
    fn what_nobody_receives_is_dropped_at_once() {
        let (sender, receiver) = inbox();
        let value = Arc::new(());
        sender.send(Arc::clone(&value));
        drop(receiver);
        assert_eq!(Arc::strong_count(&value), 1);
        sender.send(Arc::clone(&value));
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn a_time_without_end_is_no_fault() {
        let (sender, receiver) = inbox();
        sender.send(());
        assert_eq!(receiver.receive(Duration::MAX), Some(()));
        drop(sender);
        assert_eq!(receiver.receive(Duration::MAX), None);
    }
}
