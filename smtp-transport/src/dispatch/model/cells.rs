//! `Cell` and `RefCell` of the one thread of the model, as types that a transport, which several
//! threads may use, can hold.

use std::sync::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A value that is replaced as a whole.
#[derive(Default)]
pub(super) struct Cell<T>(Mutex<T>);

impl<T: Copy> Cell<T> {
    pub(super) fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    pub(super) fn get(&self) -> T {
        *self.0.lock().unwrap()
    }

    pub(super) fn set(&self, value: T) {
        *self.0.lock().unwrap() = value;
    }
}

/// A value that is borrowed. Panics if it is borrowed mutably and in another way at the same time.
#[derive(Default)]
pub(super) struct RefCell<T>(RwLock<T>);

impl<T> RefCell<T> {
    pub(super) fn new(value: T) -> Self {
        Self(RwLock::new(value))
    }

    pub(super) fn borrow(&self) -> RwLockReadGuard<'_, T> {
        self.0.try_read().expect("borrowed mutably")
    }

    pub(super) fn borrow_mut(&self) -> RwLockWriteGuard<'_, T> {
        self.0.try_write().expect("borrowed")
    }
}
