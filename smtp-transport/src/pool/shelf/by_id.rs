//! A map for the connections of a pool, which keeps its memory. There are few connections.

use crate::pool::PoolConnectionId;

/// Values by the connection that they belong to.
#[derive(Debug)]
pub(super) struct ById<T>(Vec<(PoolConnectionId, T)>);

impl<T> ById<T> {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds the value of a connection that has none.
    pub(super) fn insert(&mut self, id: PoolConnectionId, value: T) {
        debug_assert!(self.position(id).is_none(), "a connection has two values");
        self.0.push((id, value));
    }

    pub(super) fn remove(&mut self, id: PoolConnectionId) -> Option<T> {
        let position = self.position(id)?;
        Some(self.0.swap_remove(position).1)
    }

    pub(super) fn get(&self, id: PoolConnectionId) -> Option<&T> {
        let position = self.position(id)?;
        Some(&self.0[position].1)
    }

    pub(super) fn get_mut(&mut self, id: PoolConnectionId) -> Option<&mut T> {
        let position = self.position(id)?;
        Some(&mut self.0[position].1)
    }

    #[cfg(test)]
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    fn position(&self, id: PoolConnectionId) -> Option<usize> {
        self.0.iter().position(|(known, _)| *known == id)
    }
}
