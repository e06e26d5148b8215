//! Ctrl-C while messages are in progress: the session ends at once, and the result of each
//! message is printed.
//!
//! Knows when Ctrl-C was pressed and which action follows. Must never know a session.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use crate::signals;

type Action = Box<dyn FnOnce() + Send>;

/// Whether Ctrl-C was pressed.
#[derive(Clone, Default)]
pub(crate) struct Interrupt {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    was_pressed: bool,
    /// The action while no other action is set.
    always: Option<Action>,
    /// The current action, if it is set.
    replacement: Option<Action>,
    /// The task that waits for something else at the same time.
    waker: Option<Waker>,
}

impl Interrupt {
    /// Listens for Ctrl-C.
    pub(crate) fn listen() -> Self {
        let interrupt = Self::default();
        let handler = interrupt.clone();
        // If no handler can be installed, Ctrl-C ends the program immediately.
        let _ = signals::on_end(move || handler.press());
        interrupt
    }

    /// Sets the action while no other action is set. Runs it at once if Ctrl-C was pressed
    /// before.
    pub(crate) fn set_action(&self, action: impl FnOnce() + Send + 'static) {
        let mut state = self.lock();
        state.replacement = None;
        if state.was_pressed {
            drop(state);
            action();
        } else {
            state.always = Some(Box::new(action));
        }
    }

    /// Replaces the action. Runs it at once if Ctrl-C was pressed before.
    pub(crate) fn replace_action(&self, action: impl FnOnce() + Send + 'static) {
        let mut state = self.lock();
        if state.was_pressed {
            drop(state);
            action();
        } else {
            state.replacement = Some(Box::new(action));
        }
    }

    /// Restores the original action.
    pub(crate) fn restore_action(&self) {
        self.lock().replacement = None;
    }

    /// Whether Ctrl-C was pressed; if not, `waker` is woken when it is.
    pub(crate) fn poll(&self, waker: &Waker) -> bool {
        let mut state = self.lock();
        state.waker = Some(waker.clone());
        state.was_pressed
    }

    /// Whether Ctrl-C was pressed.
    pub(crate) fn was_pressed(&self) -> bool {
        self.lock().was_pressed
    }

    fn press(&self) {
        let (action, waker) = {
            let mut state = self.lock();
            // The action of the first one is under way; the other action is not true any more. Some
            // programs send a signal twice, to a process and to its group.
            if mem::replace(&mut state.was_pressed, true) {
                return;
            }
            let action = state.replacement.take();
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
