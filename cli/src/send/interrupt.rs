//! Ctrl-C while messages are under way: the session ends at once and says what
//! became of each message.
//!
//! Knows when it was pressed, and whom to tell. Must never know what a session is.

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
    /// What is done about it, if nothing else is to be done just now.
    always: Option<Action>,
    /// What is done about it just now.
    instead: Option<Action>,
    /// Who waits for something else meanwhile.
    waker: Option<Waker>,
}

impl Interrupt {
    /// Listens from now on, and does this on Ctrl-C.
    pub(crate) fn listen(action: impl FnOnce() + Send + 'static) -> Self {
        let interrupt = Self::default();
        interrupt.lock().always = Some(Box::new(action));
        let heard = interrupt.clone();
        // Where nobody can listen, the program simply ends on Ctrl-C.
        let _ = ctrlc::set_handler(move || heard.press());
        interrupt
    }

    /// From now on does this on Ctrl-C.
    pub(crate) fn instead(&self, action: impl FnOnce() + Send + 'static) {
        self.lock().instead = Some(Box::new(action));
    }

    /// From now on does on Ctrl-C what was to be done at first.
    pub(crate) fn as_at_first(&self) {
        self.lock().instead = None;
    }

    /// Whether it was pressed; if not, wakes `waker` once it is.
    pub(crate) fn poll(&self, waker: &Waker) -> bool {
        let mut state = self.lock();
        state.waker = Some(waker.clone());
        state.was_heard
    }

    /// Whether it was pressed.
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
