//! The connections that a transport shares: waits, wakes and opens, as
//! `postwire_proto::Pool` decides.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use postwire_transport::proto::{
    Body, Clock, Envelope, Error, ErrorKind, Event, Instant, Report, Stage, StreamFacts,
};
use postwire_transport::{
    PoolConnectionId, PoolGrant, PoolShelf, PoolTicket, TransportConfig, server_has_no_room,
};

use crate::Connection;
use crate::driver::unpark_this_thread;

/// What the clones of one transport share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: TransportConfig,
    clock: Clock,
    shelf: Mutex<Shelf>,
}

type Shelf = PoolShelf<Box<Connection>>;

impl Shared {
    pub(crate) fn new(config: TransportConfig) -> Self {
        let shelf = PoolShelf::new(config.pool().clone());
        Self {
            config,
            clock: Clock::new(),
            shelf: Mutex::new(shelf),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        // Nothing panics while the lock is held; the state is whole anyway.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the pool something, and carries out what it decides.
    fn tell<T>(&self, tell: impl FnOnce(&mut Shelf, Instant) -> T) -> T {
        let now = self.clock.now();
        let (told, effects) = {
            let mut shelf = self.lock();
            let told = tell(&mut shelf, now);
            (told, shelf.effects())
        };
        // No socket is touched under the lock.
        for connection in effects.departing {
            connection.depart();
        }
        effects.woken.into_iter().for_each(Waker::wake);
        told
    }

    /// When a send that begins now has to be over.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let timeout = self.config.timeout();
        timeout.map(|timeout| self.clock.now() + timeout)
    }

    fn left(&self, deadline: Option<Instant>) -> Option<Duration> {
        deadline.map(|at| at.saturating_duration_since(self.clock.now()))
    }

    /// Gets a connection: one that stands idle, or a new one; surely a new one if it
    /// is to be fresh.
    pub(crate) fn lease(
        self: &Arc<Self>,
        fresh: bool,
        deadline: Option<Instant>,
    ) -> Result<Lease, Error> {
        let ticket = self.tell(|shelf, now| {
            if fresh {
                shelf.request_fresh(now, deadline)
            } else {
                shelf.request(now, deadline)
            }
        });
        loop {
            match self.wait_for(ticket) {
                PoolGrant::Use(id, mut connection) => {
                    connection.glance();
                    if connection.is_idle() {
                        return Ok(Lease::new(self, id, connection, true));
                    }
                    self.tell(|shelf, now| shelf.found_dead(now, id, ticket, deadline));
                }
                PoolGrant::Open(id) => return self.open(id, deadline),
                PoolGrant::Refuse => {
                    return Err(Error::new(Stage::Connect, ErrorKind::ShutDown));
                }
                PoolGrant::TimedOut => {
                    return Err(Error::new(Stage::Connect, ErrorKind::TimedOut));
                }
            }
        }
    }

    fn wait_for(&self, ticket: PoolTicket) -> PoolGrant<Box<Connection>> {
        let waker = unpark_this_thread();
        loop {
            match self.tell(|shelf, now| shelf.poll_grant(now, ticket, &waker)) {
                Ok(grant) => return grant,
                Err(until) => self.park_until(until),
            }
        }
    }

    /// Sleeps until this thread is woken, or until then.
    fn park_until(&self, until: Option<Instant>) {
        match self.left(until) {
            Some(left) => thread::park_timeout(left),
            None => thread::park(),
        }
    }

    fn open(
        self: &Arc<Self>,
        id: PoolConnectionId,
        deadline: Option<Instant>,
    ) -> Result<Lease, Error> {
        match Connection::open_within(&self.config, self.left(deadline)) {
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

    pub(crate) fn abandon(&self, reports: impl IntoIterator<Item = Report>) {
        let mut shelf = self.lock();
        reports.into_iter().for_each(|report| shelf.abandon(report));
    }

    pub(crate) fn take_abandoned(&self) -> Vec<Report> {
        self.lock().take_abandoned()
    }

    pub(crate) fn shut_down(&self) {
        self.tell(PoolShelf::shut_down);
        let until = self.clock.now() + self.config.pool().shutdown_timeout;
        let waker = unpark_this_thread();
        while self.lock().poll_drained(&waker).is_pending() {
            if self.clock.now() >= until {
                return self.tell(PoolShelf::refuse_all);
            }
            self.park_until(Some(until));
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

    /// Its session times out at this time, whatever its own deadlines are.
    pub(crate) fn limit_time(&mut self, deadline: Option<Instant>) {
        let left = self.shared.left(deadline);
        if let Some(connection) = &mut self.connection {
            connection.limit_time(left);
        }
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

    /// Ends the session unless it is idle, and gives the reports that nobody has taken: also of
    /// an idle one, whose last reports may have come unnoticed.
    pub(crate) fn end(&mut self) -> Vec<Report> {
        let Some(connection) = &mut self.connection else {
            return Vec::new();
        };
        if !connection.is_idle() {
            connection.abort();
        }
        std::iter::from_fn(|| connection.pending_report()).collect()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Where the session died, or somebody stopped asking for reports midway, where the two
        // sides are is not for the next one to find out.
        let reports = self.end();
        self.shared.abandon(reports);
        let (id, messages) = (self.id, self.messages);
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        if connection.is_idle() {
            connection.limit_time(None);
            self.shared
                .tell(|shelf, now| shelf.put_back(now, id, connection, messages));
        } else {
            self.shared.tell(|shelf, now| shelf.lost(now, id));
        }
    }
}

pub(crate) fn session_over() -> Error {
    Error::new(Stage::Mail, ErrorKind::SessionOver)
}

fn no_content() -> io::Error {
    io::Error::other("a stream has no content here: send_stream takes it")
}
