//! Commands that are not part of a message, in the queue of messages.
//!
//! Knows the position of a command in the queue. Must never know what a reply to it means: the
//! program decides that.

use crate::{Command, Error};

/// Identifies a command within one session, in the order of
/// [`Client::command`](crate::Client::command).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(u64);

impl CommandId {
    pub(super) const fn new(index: u64) -> Self {
        Self(index)
    }

    /// The position of the command among all commands of this session, from 0.
    pub const fn index(self) -> u64 {
        self.0
    }
}

/// A command that is not written yet.
#[derive(Debug)]
pub(super) struct QueuedCommand {
    pub(super) id: CommandId,
    pub(super) command: Command,
    /// The number of messages that were queued before the command.
    pub(super) behind: u64,
    /// Why the command will not be sent, if that is certain already.
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
