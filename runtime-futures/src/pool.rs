//! The connections that a transport shares: waits, wakes and opens, as
//! `postwire_proto::Pool` decides.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_core::Stream;
use postwire_tls::TransportConfig;
use postwire_tls::proto::{
    Body, Clock, Envelope, Error, ErrorKind, Event, PoolConnectionId, PoolGrant, PoolShelf,
    PoolTicket, Report, Stage, StreamFacts, server_has_no_room,
};

use crate::{Connection, Runtime};

type Live<R> = Connection<<R as Runtime>::Stream, R>;

/// What the clones of one transport share.
pub(crate) struct Shared<R: Runtime> {
    pub(crate) runtime: R,
    pub(crate) config: TransportConfig,
    clock: Clock,
    state: Mutex<State<R>>,
}

struct State<R: Runtime> {
    shelf: PoolShelf<Box<Live<R>>>,
    wakers: Vec<(PoolTicket, Waker)>,
    /// Those who wait for the end of a shutdown.
    shutdown_wakers: Vec<Waker>,
}

impl<R: Runtime> Shared<R> {
    pub(crate) fn new(runtime: R, config: TransportConfig) -> Self {
        let shelf = PoolShelf::new(config.pool().clone());
        Self {
            runtime,
            config,
            clock: Clock::new(),
            state: Mutex::new(State {
                shelf,
                wakers: Vec::new(),
                shutdown_wakers: Vec::new(),
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<R>> {
        // Nothing panics while the lock is held; the state is whole anyway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the pool something, and carries out what it decides.
    fn tell<T>(&self, tell: impl FnOnce(&mut PoolShelf<Box<Live<R>>>) -> T) -> T {
        let (told, departing, wakers) = {
            let mut state = self.lock();
            let told = tell(&mut state.shelf);
            let departing = state.shelf.departing();
            (told, departing, state.wakers_of_the_served())
        };
        // Neither a socket nor a stranger's waker is touched under the lock.
        for connection in departing {
            connection.depart();
        }
        wakers.into_iter().for_each(Waker::wake);
        told
    }

    /// Gets a connection: one that stands idle, or a new one; surely a new one if it
    /// is to be fresh.
    pub(crate) async fn lease(self: &Arc<Self>, fresh: bool) -> Result<Lease<R>, Error> {
        let now = self.clock.now();
        let ticket = self.tell(|shelf| {
            if fresh {
                shelf.request_fresh(now)
            } else {
                shelf.request(now)
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
                    let now = self.clock.now();
                    self.tell(|shelf| shelf.found_dead(now, id, ticket));
                }
                PoolGrant::Open(id) => return self.open(id).await,
                PoolGrant::Refuse => {
                    return Err(Error::new(Stage::Connect, ErrorKind::SessionOver));
                }
            }
        }
    }

    async fn open(self: &Arc<Self>, id: PoolConnectionId) -> Result<Lease<R>, Error> {
        let opening = Opening { shared: self, id };
        let opened = async {
            let mut connection = Connection::connect(self.runtime.clone(), &self.config).await?;
            connection.ready().await.map(|()| connection)
        };
        let opened = opened.await;
        opening.settled();
        let now = self.clock.now();
        match opened {
            Ok(connection) => {
                self.tell(|shelf| shelf.opened(now, id));
                Ok(Lease::new(self, id, Box::new(connection), false))
            }
            Err(error) => {
                let no_room = server_has_no_room(&error);
                self.tell(|shelf| shelf.open_failed(now, id, no_room));
                Err(error)
            }
        }
    }

    pub(crate) fn take_abandoned(&self) -> Vec<Report> {
        self.lock().shelf.take_abandoned()
    }

    pub(crate) async fn shut_down(&self) {
        self.tell(|shelf| shelf.shut_down(self.clock.now()));
        poll_fn(|cx| {
            let mut state = self.lock();
            if state.shelf.is_drained() {
                return Poll::Ready(());
            }
            state.shutdown_wakers.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    pub(crate) fn close_the_old(&self) {
        self.tell(|shelf| shelf.handle_timeout(self.clock.now()));
    }
}

impl<R: Runtime> Drop for Shared<R> {
    /// The last clone is gone: nobody else says goodbye.
    fn drop(&mut self) {
        self.tell(|shelf| shelf.shut_down(self.clock.now()));
    }
}

impl<R: Runtime> State<R> {
    fn wakers_of_the_served(&mut self) -> Vec<Waker> {
        let mut wakers = Vec::new();
        for ticket in self.shelf.served() {
            if let Some(position) = self.wakers.iter().position(|(of, _)| *of == ticket) {
                wakers.push(self.wakers.swap_remove(position).1);
            }
        }
        if self.shelf.is_drained() {
            wakers.append(&mut self.shutdown_wakers);
        }
        wakers
    }

    fn set_waker(&mut self, ticket: PoolTicket, waker: &Waker) {
        match self.wakers.iter_mut().find(|(of, _)| *of == ticket) {
            Some((_, known)) => known.clone_from(waker),
            None => self.wakers.push((ticket, waker.clone())),
        }
    }
}

/// Someone who waits; leaves the queue where he is dropped.
struct Waiting<'a, R: Runtime> {
    shared: &'a Arc<Shared<R>>,
    ticket: PoolTicket,
}

impl<R: Runtime> Waiting<'_, R> {
    async fn granted(&self) -> PoolGrant<Box<Live<R>>> {
        let mut alarm: Option<R::Sleep> = None;
        poll_fn(|cx| self.poll_granted(&mut alarm, cx)).await
    }

    fn poll_granted(
        &self,
        alarm: &mut Option<R::Sleep>,
        cx: &mut Context<'_>,
    ) -> Poll<PoolGrant<Box<Live<R>>>> {
        loop {
            let deadline = {
                let mut state = self.shared.lock();
                if let Some(grant) = state.shelf.take_grant(self.ticket) {
                    return Poll::Ready(grant);
                }
                state.set_waker(self.ticket, cx.waker());
                state.shelf.poll_timeout()
            };
            let Some(deadline) = deadline else {
                return Poll::Pending;
            };
            let runtime = &self.shared.runtime;
            let now = self.shared.clock.now();
            let left = deadline.saturating_duration_since(now);
            let sleep = alarm.get_or_insert_with(|| runtime.sleep(left));
            if Pin::new(sleep).poll(cx).is_pending() {
                return Poll::Pending;
            }
            *alarm = None;
            self.shared.close_the_old();
        }
    }
}

impl<R: Runtime> Drop for Waiting<'_, R> {
    fn drop(&mut self) {
        let now = self.shared.clock.now();
        self.shared.tell(|shelf| shelf.cancel(now, self.ticket));
        let mut state = self.shared.lock();
        state.wakers.retain(|(of, _)| *of != self.ticket);
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
        let now = self.shared.clock.now();
        self.shared.tell(|shelf| shelf.lost(now, self.id));
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
}

impl<R: Runtime> Drop for Lease<R> {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        let (id, messages) = (self.id, self.messages);
        let now = self.shared.clock.now();
        if connection.is_idle() {
            return self
                .shared
                .tell(|shelf| shelf.put_back(now, id, connection, messages));
        }
        // Somebody stopped waiting midway, or the session died: where the two
        // sides are is not for the next one to find out.
        connection.abort();
        self.shared.tell(|shelf| {
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
