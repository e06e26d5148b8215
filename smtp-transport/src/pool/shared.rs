//! A connection that carries the messages of several sends, in the order in which they were queued
//! on its session.
//!
//! Whichever send drives the connection owns it for that time. Must never decide who joins.

use std::collections::VecDeque;

use postwire_proto::{BodySource, Envelope, Instant, TransactionId};

use super::queue::take_at;
use super::{PoolConnectionId, PoolTicket, Waiting};

/// A message of a waiter.
#[derive(Debug)]
pub(crate) struct QueuedMessage {
    pub(crate) envelope: Envelope,
    pub(crate) body: BodySource,
}

/// A message that joined a connection and is to be queued on its session.
#[derive(Debug)]
pub(crate) struct Joining {
    pub(crate) ticket: PoolTicket,
    pub(crate) message: QueuedMessage,
    /// The time limit of the send.
    pub(crate) deadline: Option<Instant>,
    /// What the send asked for.
    pub(crate) waiting: Waiting,
    /// Whether the connection was used before the message joined it.
    pub(crate) is_reused: bool,
}

/// A connection and the messages that are under way on it.
#[derive(Debug)]
pub(crate) struct SharedConnection<C> {
    pub(crate) id: PoolConnectionId,
    pub(crate) connection: C,
    /// The messages on the session without a report, the oldest first.
    under_way: VecDeque<UnderWay>,
}

/// A message on the session of a shared connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnderWay {
    pub(crate) transaction: TransactionId,
    pub(crate) ticket: PoolTicket,
    pub(crate) octets: u64,
    /// Whether the connection was used before the message joined it.
    pub(crate) is_reused: bool,
    /// The time limit of the send.
    pub(crate) deadline: Option<Instant>,
}

impl<C> SharedConnection<C> {
    /// Creates a shared connection. `under_way` is memory for its messages.
    pub(crate) fn new(id: PoolConnectionId, connection: C, under_way: VecDeque<UnderWay>) -> Self {
        debug_assert!(under_way.is_empty(), "messages of another connection");
        Self {
            id,
            connection,
            under_way,
        }
    }

    /// Removes the messages, and returns their memory.
    pub(crate) fn clear(&mut self) -> VecDeque<UnderWay> {
        self.under_way.clear();
        std::mem::take(&mut self.under_way)
    }

    /// Adds a message that was queued on the session.
    pub(crate) fn queued(&mut self, message: UnderWay) {
        self.under_way.push_back(message);
    }

    /// Takes the message of a report. A session reports in the order of the messages.
    pub(crate) fn reported(&mut self, transaction: TransactionId) -> Option<UnderWay> {
        let at = self
            .under_way
            .iter()
            .position(|message| message.transaction == transaction)?;
        take_at(&mut self.under_way, at)
    }

    /// Closes the connection, and returns the messages without a report.
    pub(crate) fn close(self) -> (PoolConnectionId, VecDeque<UnderWay>) {
        (self.id, self.under_way)
    }

    /// The messages without a report.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = &UnderWay> {
        self.under_way.iter()
    }

    /// The earliest time limit of the sends on this connection.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let deadlines = self.under_way.iter().filter_map(|message| message.deadline);
        deadlines.min()
    }
}
