//! The connections themselves, kept as the pool decides.
//!
//! Generic in what a connection is; opens and closes none. The adapters put it
//! behind their lock and wait in their own way.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::{Pool, PoolAction, PoolConfig, PoolConnectionId, PoolTicket};
use crate::{Instant, Report};

/// How many reports of abandoned messages are kept.
const ABANDONED: usize = 1_024;

/// A [`Pool`] and the idle connections that it decides about.
///
/// After each call the adapter closes what [`departing`](Self::departing) gives
/// and wakes whom [`served`](Self::served) names.
#[derive(Debug)]
pub struct PoolShelf<C> {
    pool: Pool,
    idle: Vec<(PoolConnectionId, C)>,
    grants: Vec<(PoolTicket, PoolGrant<C>)>,
    departing: Vec<C>,
    served: Vec<PoolTicket>,
    abandoned: VecDeque<Report>,
}

/// What someone who waited was given.
#[derive(Debug)]
pub enum PoolGrant<C> {
    /// A connection that stood idle. To be looked at first.
    Use(PoolConnectionId, C),
    /// The right to open one.
    Open(PoolConnectionId),
    /// Nothing: the pool is shutting down.
    Refuse,
}

impl<C> PoolShelf<C> {
    /// An empty one.
    pub fn new(config: PoolConfig) -> Self {
        Self {
            pool: Pool::new(config),
            idle: Vec::new(),
            grants: Vec::new(),
            departing: Vec::new(),
            served: Vec::new(),
            abandoned: VecDeque::new(),
        }
    }

    /// Someone wants a connection.
    pub fn request(&mut self, now: Instant) -> PoolTicket {
        let ticket = self.pool.request(now);
        self.carry_out();
        ticket
    }

    /// Someone wants a connection of his own making: [`Pool::request_fresh`].
    pub fn request_fresh(&mut self, now: Instant) -> PoolTicket {
        let ticket = self.pool.request_fresh(now);
        self.carry_out();
        ticket
    }

    /// What a ticket's holder was given, once he was.
    pub fn take_grant(&mut self, ticket: PoolTicket) -> Option<PoolGrant<C>> {
        let position = self.grants.iter().position(|(of, _)| *of == ticket)?;
        Some(self.grants.swap_remove(position).1)
    }

    /// He who waited does so no more; what he was given meanwhile goes back.
    pub fn cancel(&mut self, now: Instant, ticket: PoolTicket) {
        match self.take_grant(ticket) {
            Some(PoolGrant::Use(id, connection)) => self.put_back(now, id, connection, 0),
            Some(PoolGrant::Open(id)) => self.lost(now, id),
            Some(PoolGrant::Refuse) => {}
            None => self.pool.cancel(now, ticket),
        }
        self.carry_out();
    }

    /// A connection stands, and is in use: [`Pool::opened`].
    pub fn opened(&mut self, now: Instant, id: PoolConnectionId) {
        self.pool.opened(now, id);
        self.carry_out();
    }

    /// A connection could not be opened: [`Pool::open_failed`].
    pub fn open_failed(&mut self, now: Instant, id: PoolConnectionId, no_room: bool) {
        self.pool.open_failed(now, id, no_room);
        self.carry_out();
    }

    /// An idle connection had died: [`Pool::found_dead`].
    pub fn found_dead(&mut self, now: Instant, id: PoolConnectionId, ticket: PoolTicket) {
        self.pool.found_dead(now, id, ticket);
        self.carry_out();
    }

    /// A connection is used no more, after `messages` messages.
    pub fn put_back(&mut self, now: Instant, id: PoolConnectionId, connection: C, messages: u64) {
        self.idle.push((id, connection));
        self.pool.released(now, id, messages);
        self.carry_out();
    }

    /// A connection is gone.
    pub fn lost(&mut self, now: Instant, id: PoolConnectionId) {
        self.pool.lost(now, id);
        self.carry_out();
    }

    /// Keeps the report on a message whose sender has left; of many, the newest.
    pub fn abandon(&mut self, report: Report) {
        if self.abandoned.len() >= ABANDONED {
            self.abandoned.pop_front();
        }
        self.abandoned.push_back(report);
    }

    /// Takes the reports that were kept, the oldest first.
    pub fn take_abandoned(&mut self) -> Vec<Report> {
        self.abandoned.drain(..).collect()
    }

    /// Serves those who wait, refuses those who come, closes what is idle.
    pub fn shut_down(&mut self, now: Instant) {
        self.pool.shut_down(now);
        self.carry_out();
    }

    /// Whether, after [`shut_down`](Self::shut_down), nothing is left.
    pub fn is_drained(&self) -> bool {
        self.pool.is_drained() && self.grants.is_empty()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is next wanted.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.pool.poll_timeout()
    }

    /// Tells the time.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.pool.handle_timeout(now);
        self.carry_out();
    }

    /// Idle connections to say `QUIT` to.
    pub fn departing(&mut self) -> Vec<C> {
        core::mem::take(&mut self.departing)
    }

    /// Those who were given something since the last call.
    pub fn served(&mut self) -> Vec<PoolTicket> {
        core::mem::take(&mut self.served)
    }

    /// The decisions, to be asked about.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    fn carry_out(&mut self) {
        while let Some(action) = self.pool.poll_action() {
            let (ticket, grant) = match action {
                PoolAction::Use(ticket, id) => match self.take_idle(id) {
                    Some(connection) => (ticket, PoolGrant::Use(id, connection)),
                    None => continue,
                },
                PoolAction::Open(ticket, id) => (ticket, PoolGrant::Open(id)),
                PoolAction::Refuse(ticket) => (ticket, PoolGrant::Refuse),
                PoolAction::Close(id) => {
                    let departing = self.take_idle(id);
                    self.departing.extend(departing);
                    continue;
                }
            };
            self.grants.push((ticket, grant));
            self.served.push(ticket);
        }
    }

    fn take_idle(&mut self, id: PoolConnectionId) -> Option<C> {
        let position = self.idle.iter().position(|(of, _)| *of == id)?;
        Some(self.idle.swap_remove(position).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::EPOCH;

    #[test]
    fn connections_go_round() {
        let mut shelf = PoolShelf::new(PoolConfig::default().max_connections(1));
        let ticket = shelf.request(NOW);
        assert_eq!(shelf.served(), [ticket]);
        let Some(PoolGrant::Open(id)) = shelf.take_grant(ticket) else {
            panic!("nothing to open");
        };
        shelf.opened(NOW, id);
        let (first, second) = (shelf.request(NOW), shelf.request(NOW));
        assert!(shelf.take_grant(first).is_none());
        shelf.put_back(NOW, id, "the connection", 1);
        assert_eq!(shelf.served(), [first]);
        shelf.cancel(NOW, first);
        assert_eq!(shelf.served(), [second]);
        assert!(matches!(
            shelf.take_grant(second),
            Some(PoolGrant::Use(_, "the connection"))
        ));
        shelf.shut_down(NOW);
        assert!(!shelf.is_drained());
        shelf.put_back(NOW, id, "the connection", 1);
        assert_eq!(shelf.departing(), ["the connection"]);
        assert!(shelf.is_drained());
        let late = shelf.request(NOW);
        assert!(matches!(shelf.take_grant(late), Some(PoolGrant::Refuse)));
    }
}
