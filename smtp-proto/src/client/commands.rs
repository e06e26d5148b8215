//! Commands beside sending, in the queue of messages.
//!
//! Knows where in the queue they stand. Must never know what an answer means: whoever asked
//! does.

use crate::{Command, Error};

/// Names a command within one session, in the order of [`Client::command`](crate::Client::command).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(u64);

impl CommandId {
    pub(super) const fn new(index: u64) -> Self {
        Self(index)
    }

    /// Its position among the commands given to this session, from 0.
    pub const fn index(self) -> u64 {
        self.0
    }
}

/// A command that is not written.
#[derive(Debug)]
pub(super) struct QueuedCommand {
    pub(super) id: CommandId,
    pub(super) command: Command,
    /// How many messages were given before it.
    pub(super) behind: u64,
    /// Why it is not written, where that is certain already.
    pub(super) refused: Option<Error>,
}

impl QueuedCommand {
    pub(super) fn new(
        id: CommandId,
        command: Command,
        behind: u64,
        refused: Option<Error>,
    ) -> Self {
        Self {
            id,
            command,
            behind,
            refused,
        }
    }
}
