//! Ctrl-C while messages are in progress: the session ends at once, and the result of each
//! message is printed.
//!
//! Knows when Ctrl-C was pressed and which action follows. Must never know a session.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

type Action = Box<dyn FnOnce() + Send>;

/// Whether Ctrl-C was pressed.
#[derive(Clone, Default)]
pub(crate) struct Interrupt {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    was_heard: bool,
    /// The action while no other action is set.
    always: Option<Action>,
    /// The current action, if it is set.
    instead: Option<Action>,
    /// The task that waits for something else at the same time.
    waker: Option<Waker>,
}

impl Interrupt {
    /// Listens for Ctrl-C.
    pub(crate) fn listen() -> Self {
        let interrupt = Self::default();
        let heard = interrupt.clone();
        // If no handler can be installed, Ctrl-C ends the program immediately.
        let _ = ctrlc::set_handler(move || heard.press());
        interrupt
    }

    /// Sets the action while no other action is set. Runs it at once if Ctrl-C was pressed
    /// before.
    pub(crate) fn at_first(&self, action: impl FnOnce() + Send + 'static) {
        let mut state = self.lock();
        state.instead = None;
        if state.was_heard {
            drop(state);
            action();
        } else {
            state.always = Some(Box::new(action));
        }
    }

    /// Replaces the action. Runs it at once if Ctrl-C was pressed before.
    pub(crate) fn instead(&self, action: impl FnOnce() + Send + 'static) {
        let mut state = self.lock();
        if state.was_heard {
            drop(state);
            action();
        } else {
            state.instead = Some(Box::new(action));
        }
    }

    /// Restores the original action.
    pub(crate) fn as_at_first(&self) {
        self.lock().instead = None;
    }

    /// Whether Ctrl-C was pressed; if not, `waker` is woken when it is.
    pub(crate) fn poll(&self, waker: &Waker) -> bool {
        let mut state = self.lock();
        state.waker = Some(waker.clone());
        state.was_heard
    }

    /// Whether Ctrl-C was pressed.
    pub(crate) fn was_heard(&self) -> bool {
        self.lock().was_heard
    }

    fn press(&self) {
        let (action, waker) = {
            let mut state = self.lock();
            state.was_heard = true;
            let action = state.instead.take();
            let action = action.or_else(|| state.always.take());
            (action, state.waker.take())
        };
        if let Some(action) = action {
            action();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
