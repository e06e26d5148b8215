//! The connections that a transport shares: waits, wakes and opens, as
//! `postwire_proto::Pool` decides.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use postwire_transport::proto::{
    Body, Clock, Envelope, Error, ErrorKind, Event, Instant, Report, Stage, StreamFacts,
};
use postwire_transport::{
    PoolConnectionId, PoolGrant, PoolShelf, PoolTicket, TransportConfig, server_has_no_room,
};

use crate::runtime::sleep;
use crate::{Connection, Runtime};

type Live<R> = Connection<<R as Runtime>::Stream, R>;
type Shelf<R> = PoolShelf<Box<Live<R>>>;

/// What the clones of one transport share.
pub(crate) struct Shared<R: Runtime> {
    pub(crate) runtime: R,
    pub(crate) config: TransportConfig,
    clock: Clock,
    shelf: Mutex<Shelf<R>>,
}

impl<R: Runtime> Shared<R> {
    pub(crate) fn new(runtime: R, config: TransportConfig) -> Self {
        let shelf = PoolShelf::new(config.pool().clone());
        Self {
            runtime,
            config,
            clock: Clock::new(),
            shelf: Mutex::new(shelf),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shelf<R>> {
        // Nothing panics while the lock is held; the state is whole anyway.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the pool something, and carries out what it decides.
    fn tell<T>(&self, tell: impl FnOnce(&mut Shelf<R>, Instant) -> T) -> T {
        let now = self.clock.now();
        let (told, effects) = {
            let mut shelf = self.lock();
            let told = tell(&mut shelf, now);
            (told, shelf.effects())
        };
        // Neither a socket nor a stranger's waker is touched under the lock.
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
    pub(crate) async fn lease(
        self: &Arc<Self>,
        fresh: bool,
        deadline: Option<Instant>,
    ) -> Result<Lease<R>, Error> {
        let ticket = self.tell(|shelf, now| {
            if fresh {
                shelf.request_fresh(now, deadline)
            } else {
                shelf.request(now, deadline)
            }
        });
        let waiting = Waiting {
            shared: self,
            ticket,
        };
        loop {
            match waiting.granted().await {
                PoolGrant::Use(id, mut connection) => {
                    poll_fn(|cx| {
                        connection.glance(cx);
                        Poll::Ready(())
                    })
                    .await;
                    if connection.is_idle() {
                        return Ok(Lease::new(self, id, connection, true));
                    }
                    self.tell(|shelf, now| shelf.found_dead(now, id, ticket, deadline));
                }
                PoolGrant::Open(id) => return self.open(id, deadline).await,
                PoolGrant::Refuse => {
                    return Err(Error::new(Stage::Connect, ErrorKind::ShutDown));
                }
                PoolGrant::TimedOut => {
                    return Err(Error::new(Stage::Connect, ErrorKind::TimedOut));
                }
            }
        }
    }

    async fn open(
        self: &Arc<Self>,
        id: PoolConnectionId,
        deadline: Option<Instant>,
    ) -> Result<Lease<R>, Error> {
        let opening = Opening { shared: self, id };
        let left = self.left(deadline);
        let opened = Connection::open_within(self.runtime.clone(), &self.config, left).await;
        opening.settled();
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

    pub(crate) fn abandon(&self, reports: impl IntoIterator<Item = Report>) {
        let mut shelf = self.lock();
        reports.into_iter().for_each(|report| shelf.abandon(report));
    }

    pub(crate) fn take_abandoned(&self) -> Vec<Report> {
        self.lock().take_abandoned()
    }

    pub(crate) async fn shut_down(&self) {
        self.tell(PoolShelf::shut_down);
        let mut limit = sleep(&self.runtime, self.config.pool().shutdown_timeout);
        let drained = poll_fn(|cx| {
            if self.lock().poll_drained(cx.waker()).is_ready() {
                return Poll::Ready(true);
            }
            Pin::new(&mut limit).poll(cx).map(|()| false)
        });
        if !drained.await {
            self.tell(PoolShelf::refuse_all);
        }
    }

    pub(crate) fn close_the_old(&self) {
        self.tell(PoolShelf::handle_timeout);
    }
}

impl<R: Runtime> Drop for Shared<R> {
    /// The last clone is gone: nobody else says goodbye.
    fn drop(&mut self) {
        self.tell(PoolShelf::shut_down);
    }
}

/// Someone who waits; leaves the queue where they are dropped.
struct Waiting<'a, R: Runtime> {
    shared: &'a Arc<Shared<R>>,
    ticket: PoolTicket,
}

impl<R: Runtime> Waiting<'_, R> {
    async fn granted(&self) -> PoolGrant<Box<Live<R>>> {
        let mut timer = None;
        poll_fn(|cx| self.poll_granted(&mut timer, cx)).await
    }

    fn poll_granted(
        &self,
        timer: &mut Option<(Instant, R::Sleep)>,
        cx: &mut Context<'_>,
    ) -> Poll<PoolGrant<Box<Live<R>>>> {
        loop {
            let look = |shelf: &mut Shelf<R>, now| shelf.poll_grant(now, self.ticket, cx.waker());
            let until = match self.shared.tell(look) {
                Ok(grant) => return Poll::Ready(grant),
                Err(None) => return Poll::Pending,
                Err(Some(until)) => until,
            };
            // One that ends earlier does no harm.
            if timer.as_ref().is_none_or(|(end, _)| *end > until) {
                let left = until.saturating_duration_since(self.shared.clock.now());
                *timer = Some((until, sleep(&self.shared.runtime, left)));
            }
            if let Some((_, sleep)) = timer
                && Pin::new(sleep).poll(cx).is_pending()
            {
                return Poll::Pending;
            }
            *timer = None;
        }
    }
}

impl<R: Runtime> Drop for Waiting<'_, R> {
    fn drop(&mut self) {
        self.shared
            .tell(|shelf, now| shelf.cancel(now, self.ticket));
    }
}

/// A connection being opened; forgotten where whoever opens it is dropped.
struct Opening<'a, R: Runtime> {
    shared: &'a Arc<Shared<R>>,
    id: PoolConnectionId,
}

impl<R: Runtime> Opening<'_, R> {
    /// The pool will be told what became of it.
    fn settled(self) {
        std::mem::forget(self);
    }
}

impl<R: Runtime> Drop for Opening<'_, R> {
    fn drop(&mut self) {
        self.shared.tell(|shelf, now| shelf.lost(now, self.id));
    }
}

/// A connection in use. Goes back to the pool where it is dropped: idle if it
/// is, closed if it is not, never out of step.
pub(crate) struct Lease<R: Runtime> {
    shared: Arc<Shared<R>>,
    id: PoolConnectionId,
    /// Given back on drop; until then it is there.
    connection: Option<Box<Live<R>>>,
    reused: bool,
    messages: u64,
}

impl<R: Runtime> Lease<R> {
    fn new(
        shared: &Arc<Shared<R>>,
        id: PoolConnectionId,
        connection: Box<Live<R>>,
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
    pub(crate) async fn send_stream(
        &mut self,
        envelope: &Envelope,
        facts: &StreamFacts,
        chunks: impl Stream<Item = io::Result<Bytes>>,
    ) -> Report {
        self.messages += 1;
        match &mut self.connection {
            Some(connection) => connection.send_stream(envelope, facts, chunks).await,
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
    pub(crate) async fn next_report(&mut self) -> Option<Report> {
        let connection = self.connection.as_mut()?;
        loop {
            match connection.next_event().await? {
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

impl<R: Runtime> Drop for Lease<R> {
    fn drop(&mut self) {
        // Where somebody stopped waiting midway, or the session died, where the two sides are
        // is not for the next one to find out.
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
