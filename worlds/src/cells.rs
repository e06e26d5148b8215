//! `Cell` and `RefCell` of the one thread of a world or a model, as types that a transport, which
//! several threads may use, can hold.

use std::sync::{
    Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError, TryLockResult,
};

/// A value that is replaced as a whole.
#[derive(Debug, Default)]
pub struct Cell<T>(Mutex<T>);

impl<T: Copy> Cell<T> {
    /// Creates a cell with this value.
    pub fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// The value.
    pub fn get(&self) -> T {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the value.
    pub fn set(&self, value: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = value;
    }
}

/// A value that is borrowed. Panics if it is borrowed mutably and in another way at the same time.
#[derive(Debug, Default)]
pub struct RefCell<T>(RwLock<T>);

impl<T> RefCell<T> {
    /// Creates a cell with this value.
    pub fn new(value: T) -> Self {
        Self(RwLock::new(value))
    }

    /// Borrows the value.
    ///
    /// # Panics
    ///
    /// If it is borrowed mutably.
    pub fn borrow(&self) -> RwLockReadGuard<'_, T> {
        borrowed(self.0.try_read())
    }

    /// Borrows the value mutably.
    ///
    /// # Panics
    ///
    /// If it is borrowed.
    pub fn borrow_mut(&self) -> RwLockWriteGuard<'_, T> {
        borrowed(self.0.try_write())
    }
}

/// A panic elsewhere is reported by itself, so the value counts as usable after one.
fn borrowed<G>(lock: TryLockResult<G>) -> G {
    match lock {
        Ok(guard) => guard,
        Err(TryLockError::Poisoned(error)) => error.into_inner(),
        Err(TryLockError::WouldBlock) => panic!("already borrowed"),
    }
}
