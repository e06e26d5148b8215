//! The waiters of a pool, in the order in which they came.
//!
//! Keeps apart who can be served in different ways, so that the first waiter of each kind is found
//! without a search. Must never know the connections.

use std::collections::{BTreeMap, VecDeque};

use postwire_proto::Instant;

use super::PoolTicket;

/// What a send asks the pool for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// A connection that no other send uses at the same time.
    Connection,
    /// A place for one message of this many octets, possibly on a connection that others use.
    Message {
        /// The size of the content.
        octets: u64,
    },
}

/// A waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) request: Request,
    /// Whether the waiter needs a new connection, because a reused one was lost.
    pub(crate) fresh: bool,
    /// The time at which the waiter came.
    pub(crate) since: Instant,
}

impl Waiting {
    pub(crate) fn new(request: Request, fresh: bool, since: Instant) -> Self {
        Self {
            request,
            fresh,
            since,
        }
    }

    /// The size of the message in octets; 0 without one.
    pub(crate) fn octets(self) -> u64 {
        match self.request {
            Request::Connection => 0,
            Request::Message { octets } => octets,
        }
    }

    fn kind(self) -> usize {
        match self.request {
            Request::Connection => usize::from(self.fresh),
            Request::Message { .. } => SHARES,
        }
    }
}

/// Those who need a connection for themselves are in the first two queues: any, or a new one. Those
/// with a message are in the last one.
const FRESH: usize = 1;
const SHARES: usize = 2;
const KINDS: usize = 3;

/// Takes an element out of a queue, usually one of the first or the last. `VecDeque::remove` has a
/// lot of code for moving many elements.
pub(super) fn take_at<T>(queue: &mut VecDeque<T>, place: usize) -> Option<T> {
    if place >= queue.len() {
        return None;
    }
    if place > queue.len() / 2 {
        for place in place + 1..queue.len() {
            queue.swap(place - 1, place);
        }
        return queue.pop_back();
    }
    for place in (0..place).rev() {
        queue.swap(place, place + 1);
    }
    queue.pop_front()
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Each in the order of the tickets. A waiter may leave from anywhere, and one that takes its old
    /// place again comes before all others, so neither may cost more with many waiters.
    waiting: [BTreeMap<PoolTicket, Waiting>; KINDS],
}

impl Queue {
    pub(super) fn insert(&mut self, ticket: PoolTicket, waiting: Waiting) {
        self.waiting[waiting.kind()].insert(ticket, waiting);
    }

    pub(super) fn remove(&mut self, ticket: PoolTicket) {
        for queue in &mut self.waiting {
            queue.remove(&ticket);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.iter().map(BTreeMap::len).sum()
    }

    /// The number of waiters with a message.
    pub(super) fn messages(&self) -> usize {
        self.waiting[SHARES].len()
    }

    /// The first waiter.
    pub(super) fn first(&self) -> Option<PoolTicket> {
        let firsts = self.waiting.iter().filter_map(BTreeMap::first_key_value);
        firsts.map(|(ticket, _)| *ticket).min()
    }

    pub(super) fn pop_first(&mut self) -> Option<PoolTicket> {
        let first = self.first()?;
        self.remove(first);
        Some(first)
    }

    /// The first waiter that accepts a connection which was used before.
    pub(super) fn first_that_reuses(&self) -> Option<(PoolTicket, Waiting)> {
        let heads = [self.head(0), self.head(SHARES)];
        heads
            .into_iter()
            .flatten()
            .min_by_key(|(ticket, _)| *ticket)
    }

    /// The first waiter that needs a new connection.
    pub(super) fn first_fresh(&self) -> Option<PoolTicket> {
        self.head(FRESH).map(|(ticket, _)| ticket)
    }

    /// The first waiter with a message.
    pub(super) fn first_message(&self) -> Option<(PoolTicket, Waiting)> {
        self.head(SHARES)
    }

    fn head(&self, kind: usize) -> Option<(PoolTicket, Waiting)> {
        let (ticket, waiting) = self.waiting[kind].first_key_value()?;
        Some((*ticket, *waiting))
    }

    /// The first waiter of each kind, the oldest first.
    pub(super) fn heads(&self) -> impl Iterator<Item = (PoolTicket, Waiting)> + use<> {
        let mut heads: [_; KINDS] = std::array::from_fn(|kind| self.head(kind));
        std::iter::from_fn(move || {
            let left = heads.iter_mut().filter(|head| head.is_some());
            left.min_by_key(|head| head.map(|(ticket, _)| ticket))?
                .take()
        })
    }

    /// The number of waiters before this one that need a connection for themselves, at most `most`.
    pub(super) fn older_without_sharing(&self, ticket: PoolTicket, most: usize) -> usize {
        let older = self.waiting[..SHARES]
            .iter()
            .flat_map(|queue| queue.range(..ticket));
        older.take(most).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_is_taken_and_the_others_keep_their_order() {
        for length in 0..7 {
            for place in 0..=length {
                let mut queue: VecDeque<usize> = (0..length).collect();
                let mut expected = queue.clone();
                assert_eq!(take_at(&mut queue, place), expected.remove(place));
                assert_eq!(queue, expected, "{place} of {length}");
            }
        }
    }

    #[test]
    fn only_a_message_has_octets() {
        let now = Instant::EPOCH;
        let octets = |request| Waiting::new(request, false, now).octets();
        assert_eq!(octets(Request::Message { octets: 7 }), 7);
        assert_eq!(octets(Request::Connection), 0);
    }
}
