//! The connections that a transport shares: waits, wakes and opens, as
//! `postwire_proto::Pool` decides.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use postwire_tls::TransportConfig;
use postwire_tls::proto::{
    Body, Clock, Envelope, Error, ErrorKind, Event, Instant, PoolConnectionId, PoolGrant,
    PoolShelf, PoolTicket, Report, Stage, StreamFacts, server_has_no_room,
};

use crate::Connection;

/// What the clones of one transport share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: TransportConfig,
    clock: Clock,
    shelf: Mutex<PoolShelf<Box<Connection>>>,
    /// Someone was served, or a shutdown is complete.
    changed: Condvar,
}

impl Shared {
    pub(crate) fn new(config: TransportConfig) -> Self {
        let shelf = PoolShelf::new(config.pool().clone());
        Self {
            config,
            clock: Clock::new(),
            shelf: Mutex::new(shelf),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, PoolShelf<Box<Connection>>> {
        // Nothing panics while the lock is held; the state is whole anyway.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the pool something, and carries out what it decides.
    fn tell<T>(&self, tell: impl FnOnce(&mut PoolShelf<Box<Connection>>, Instant) -> T) -> T {
        let now = self.clock.now();
        let (told, departing) = {
            let mut shelf = self.lock();
            let told = tell(&mut shelf, now);
            if !shelf.served().is_empty() || shelf.is_drained() {
                self.changed.notify_all();
            }
            (told, shelf.departing())
        };
        // No socket is touched under the lock.
        for connection in departing {
            connection.depart();
        }
        told
    }

    /// Gets a connection: one that stands idle, or a new one; surely a new one if it
    /// is to be fresh.
    pub(crate) fn lease(self: &Arc<Self>, fresh: bool) -> Result<Lease, Error> {
        let ticket = self.tell(if fresh {
            PoolShelf::request_fresh
        } else {
            PoolShelf::request
        });
        loop {
            match self.wait_for(ticket) {
                PoolGrant::Use(id, mut connection) => {
                    connection.glance();
                    if connection.is_idle() {
                        return Ok(Lease::new(self, id, connection, true));
                    }
                    self.tell(|shelf, now| shelf.found_dead(now, id, ticket));
                }
                PoolGrant::Open(id) => return self.open(id),
                PoolGrant::Refuse => {
                    return Err(Error::new(Stage::Connect, ErrorKind::SessionOver));
                }
            }
        }
    }

    fn wait_for(&self, ticket: PoolTicket) -> PoolGrant<Box<Connection>> {
        let mut shelf = self.lock();
        loop {
            if let Some(grant) = shelf.take_grant(ticket) {
                return grant;
            }
            let deadline = shelf.poll_timeout();
            let left = deadline.map(|at| at.saturating_duration_since(self.clock.now()));
            shelf = match left {
                None => {
                    let waited = self.changed.wait(shelf);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
                Some(left) if left.is_zero() => {
                    drop(shelf);
                    self.tell(PoolShelf::handle_timeout);
                    self.lock()
                }
                Some(left) => {
                    let waited = self.changed.wait_timeout(shelf, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn open(self: &Arc<Self>, id: PoolConnectionId) -> Result<Lease, Error> {
        let opened = Connection::connect(&self.config)
            .and_then(|mut connection| connection.ready().map(|()| connection));
        match opened {
            Ok(connection) => {
                self.tell(|shelf, now| shelf.opened(now, id));
                Ok(Lease::new(self, id, Box::new(connection), false))
            }
            Err(error) => {
                let no_room = server_has_no_room(&error);
                self.tell(|shelf, now| shelf.open_failed(now, id, no_room));
                Err(error)
            }
        }
    }

    pub(crate) fn close_the_old(&self) {
        self.tell(PoolShelf::handle_timeout);
    }

    pub(crate) fn take_abandoned(&self) -> Vec<Report> {
        self.lock().take_abandoned()
    }

    pub(crate) fn shut_down(&self) {
        self.tell(PoolShelf::shut_down);
        let mut shelf = self.lock();
        while !shelf.is_drained() {
            let waited = self.changed.wait(shelf);
            shelf = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Shared {
    /// The last clone is gone: nobody else says goodbye.
    fn drop(&mut self) {
        self.tell(PoolShelf::shut_down);
    }
}

/// A connection in use. Goes back to the pool where it is dropped: idle if it
/// is, closed if it is not, never out of step.
#[derive(Debug)]
pub(crate) struct Lease {
    shared: Arc<Shared>,
    id: PoolConnectionId,
    /// Given back on drop; until then it is there.
    connection: Option<Box<Connection>>,
    reused: bool,
    messages: u64,
}

impl Lease {
    fn new(
        shared: &Arc<Shared>,
        id: PoolConnectionId,
        connection: Box<Connection>,
        reused: bool,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            id,
            connection: Some(connection),
            reused,
            messages: 0,
        }
    }

    /// Whether it was used before.
    pub(crate) fn is_reused(&self) -> bool {
        self.reused
    }

    /// Sends one message whose content is streamed.
    pub(crate) fn send_stream(
        &mut self,
        envelope: &Envelope,
        facts: &StreamFacts,
        chunks: impl Iterator<Item = io::Result<Bytes>>,
    ) -> Report {
        self.messages += 1;
        match &mut self.connection {
            Some(connection) => connection.send_stream(envelope, facts, chunks),
            None => Report::not_sent(envelope, session_over()),
        }
    }

    /// Queues a message.
    pub(crate) fn enqueue(&mut self, envelope: &Envelope, body: Body) {
        self.messages += 1;
        if let Some(connection) = &mut self.connection {
            connection.enqueue(envelope.clone(), body);
        }
    }

    /// The next report; `None` once the session is over.
    pub(crate) fn next_report(&mut self) -> Option<Report> {
        let connection = self.connection.as_mut()?;
        loop {
            match connection.next_event()? {
                Event::Report(report) => return Some(report),
                // Nobody here has it, and waiting for it would have no end.
                Event::BodyWanted(id) => connection.body_next(id, Some(Err(no_content()))),
                _ => {}
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        let (id, messages) = (self.id, self.messages);
        if connection.is_idle() {
            return self
                .shared
                .tell(|shelf, now| shelf.put_back(now, id, connection, messages));
        }
        // The session died, or somebody stopped asking for reports midway: where
        // the two sides are is not for the next one to find out.
        connection.abort();
        self.shared.tell(|shelf, now| {
            while let Some(report) = connection.pending_report() {
                shelf.abandon(report);
            }
            shelf.lost(now, id);
        });
    }
}

pub(crate) fn session_over() -> Error {
    Error::new(Stage::Mail, ErrorKind::SessionOver)
}

fn no_content() -> io::Error {
    io::Error::other("a stream has no content here: send_stream takes it")
}
