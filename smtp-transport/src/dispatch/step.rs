//! The steps of a send: what the adapter does next, and how it answers.
//!
//! Each step borrows the send, so no other call is possible before it is answered or dropped. Must
//! never decide which step is next.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::mem;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use postwire_proto::{Body, Envelope, Error, ErrorKind, Event, Instant, Report, Stage};

use super::sending::{AnySending, Hold, Next};
use super::{AnyLine, Line, as_own, contained};
use crate::observe;
pub use crate::pool::WhenBlocked;
use crate::pool::{PoolConnectionId, PoolGrant, PoolShelf};

/// The next step of a send.
#[derive(Debug)]
#[must_use = "nothing is sent unless each step is carried out"]
pub enum Step<'a, L: Line> {
    /// Take the next message to send.
    Message(Message<'a, L>),
    /// Wait for a connection: until woken, or until a time.
    Wait(Wait<'a, L>),
    /// Check whether the server has closed this idle connection.
    Glance(Glance<'a, L>),
    /// Open a connection.
    Open(Open<'a, L>),
    /// Move the octets of this connection until an event occurs.
    Drive(Drive<'a, L>),
    /// Return this report to the caller.
    Report(Report),
    /// Every message has its report.
    Done,
}

impl<'a, L: Line> Step<'a, L> {
    pub(super) fn new(next: Next, sending: &'a mut AnySending) -> Self {
        let line = PhantomData;
        match next {
            Next::Message => Self::Message(Message { sending, line }),
            Next::Wait => Self::Wait(Wait { sending, line }),
            Next::Glance => Self::Glance(Glance { sending, line }),
            Next::Open(id) => Self::Open(Open { sending, id, line }),
            Next::Drive => Self::Drive(Drive {
                sending,
                driven: Driven::Waits,
                line,
            }),
            Next::Report(report) => Self::Report(report),
            Next::Done => Self::Done,
        }
    }
}

/// The step of taking the next message.
pub struct Message<'a, L: Line> {
    sending: &'a mut AnySending,
    line: PhantomData<fn() -> L>,
}

/// The step of waiting for a connection.
pub struct Wait<'a, L: Line> {
    sending: &'a mut AnySending,
    line: PhantomData<fn() -> L>,
}

/// The step of checking an idle connection.
pub struct Glance<'a, L: Line> {
    sending: &'a mut AnySending,
    line: PhantomData<fn() -> L>,
}

/// The step of opening a connection.
pub struct Open<'a, L: Line> {
    sending: &'a mut AnySending,
    id: PoolConnectionId,
    line: PhantomData<fn() -> L>,
}

/// The step of moving the octets of a connection.
///
/// Another send may drive a shared connection while this one waits for the stream: a future answers
/// the step with [`park`](Self::park), a thread with [`park_to_read`](Self::park_to_read). A thread
/// whose stream has no second handle keeps the connection while it reads.
pub struct Drive<'a, L: Line> {
    sending: &'a mut AnySending,
    driven: Driven,
    line: PhantomData<fn() -> L>,
}

/// Whether an event of the driven connection arrived.
#[derive(PartialEq)]
enum Driven {
    Waits,
    HadEvent,
}

impl<L: Line> Message<'_, L> {
    /// Takes the next message; `None` if there are no more.
    pub fn give(self, message: Option<(Envelope, Body)>) {
        match message {
            Some((envelope, body)) => self.sending.add(envelope, body.into()),
            None => self.sending.end(),
        }
    }
}

impl<L: Line> Wait<'_, L> {
    /// Returns `Ok` if the wait is over. The next step of the send then shows its result.
    ///
    /// # Errors
    ///
    /// The time at which to poll again, unless the waker is woken earlier; `None` if only the waker
    /// ends the wait. The waker is also woken if that time changes.
    pub fn poll(&mut self, now: Instant, waker: &Waker) -> Result<(), Option<Instant>> {
        self.sending.poll_wait(now, waker)
    }
}

impl<L: Line + 'static> Glance<'_, L> {
    /// Checks the connection by `glance`, which reads what the server has sent already, without
    /// waiting.
    pub fn look(self, glance: impl FnOnce(&mut L)) {
        if let Hold::Unseen(_, _, line) = &mut self.sending.hold {
            glance(as_own(line));
        }
        self.sending.looked();
    }
}

impl<L: Line + Send + Sync + 'static> Open<'_, L> {
    /// The time limit for opening the connection.
    pub fn time_left(&self) -> Option<Duration> {
        self.sending.time_left()
    }

    /// Takes the connection with a ready session, or the error if there is none.
    pub fn opened(self, now: Instant, opened: Result<L, Error>) {
        let opened = opened.map(|line| Box::new(line) as AnyLine);
        self.sending.opened(now, self.id, opened);
    }
}

impl<L: Line + 'static> Drive<'_, L> {
    /// The connection.
    ///
    /// # Panics
    ///
    /// Never: a send that drives has a connection.
    pub fn line(&mut self) -> &mut L {
        as_own(self.sending.line())
    }

    /// Whether the session needs the next piece of streamed content. An adapter that can do both
    /// continues to read from the server while it waits for the piece.
    pub fn wants_chunk(&self) -> bool {
        self.sending.wanted.is_some()
    }

    /// Takes the next piece of streamed content; `None` ends the content.
    pub fn give_chunk(&mut self, next: Option<io::Result<Bytes>>) {
        self.sending.give_chunk(next);
    }

    /// Puts the connection down while the future waits for its stream, which wakes the same waker.
    pub fn park(mut self, waker: &Waker) {
        self.driven = Driven::HadEvent;
        self.sending.park(waker);
    }

    /// Keeps the connection, like a thread that waits in a read or a write. The next step drives it
    /// again.
    pub fn keep(mut self) {
        self.driven = Driven::HadEvent;
    }

    /// Whether other sends may use the connection while this one waits for the stream.
    pub fn is_shared(&self) -> bool {
        matches!(self.sending.hold, Hold::Shared(..))
    }

    /// Puts a shared connection down while a thread waits for its stream by a handle of its own.
    /// `until` is the next deadline of the session, at which the thread must look at the send again.
    ///
    /// Returns whether this thread is to wait for the stream. When that can be read, the next
    /// [`Drive`] step of the send reads, and nobody else does before. If the result is `false`, the
    /// next step says what to wait for.
    #[must_use]
    pub fn park_to_read(mut self, waker: &Waker, until: Option<Instant>) -> bool {
        self.driven = Driven::HadEvent;
        self.sending.park_to_read(waker, until)
    }

    /// What a thread does if the stream takes no more output. Then it answers the step with
    /// [`keep`](Self::keep), or with [`park_to_read`](Self::park_to_read).
    pub fn when_blocked(&self) -> WhenBlocked {
        self.sending.when_blocked()
    }

    /// Takes the next event of the session at the time `now`; `None` if the session is over.
    pub fn on_event(mut self, now: Instant, event: Option<Event>) {
        self.driven = Driven::HadEvent;
        self.sending.on_event(now, event);
    }
}

impl<L: Line> Drop for Drive<'_, L> {
    fn drop(&mut self) {
        if self.driven == Driven::Waits {
            self.sending.park(Waker::noop());
        }
    }
}

/// The answers to the steps of a send over connections of any type.
impl AnySending {
    fn poll_wait(&mut self, now: Instant, waker: &Waker) -> Result<(), Option<Instant>> {
        self.now = now;
        let Hold::Place(ticket) = self.hold else {
            return Ok(());
        };
        let look = |shelf: &mut PoolShelf<AnyLine>| shelf.poll_grant(now, ticket, waker);
        let failed = |kind| Error::new(Stage::Connect, kind);
        self.hold = match self.dispatch.with_shelf(look)? {
            PoolGrant::Use(id, line) => Hold::Unseen(ticket, id, line),
            PoolGrant::Open(id) => Hold::Right(ticket, id),
            PoolGrant::Drive(shared) => Hold::Shared(ticket, shared),
            PoolGrant::Report(report, is_reused) => {
                self.settle(*report, is_reused);
                Hold::Nothing
            }
            PoolGrant::Over => {
                self.session_is_over();
                Hold::Nothing
            }
            PoolGrant::Refuse => {
                self.batch.failed(failed(ErrorKind::ShutDown));
                Hold::Nothing
            }
            PoolGrant::TimedOut => {
                self.batch.failed(failed(ErrorKind::TimedOut));
                Hold::Nothing
            }
        };
        Ok(())
    }

    /// Begins to use the idle connection that was checked, if it is still open.
    fn looked(&mut self) {
        let (now, deadline) = (self.now, self.deadline());
        match mem::replace(&mut self.hold, Hold::Nothing) {
            Hold::Unseen(ticket, id, mut line) => {
                if line.session().is_idle() {
                    return self.lease(ticket, id, line, true);
                }
                contained(|| drop(line));
                self.dispatch
                    .with_shelf(|shelf| shelf.found_dead(now, id, ticket, deadline));
                self.hold = Hold::Place(ticket);
            }
            hold => self.hold = hold,
        }
    }

    fn opened(&mut self, now: Instant, id: PoolConnectionId, opened: Result<AnyLine, Error>) {
        self.now = now;
        let Hold::Right(ticket, _) = mem::replace(&mut self.hold, Hold::Nothing) else {
            debug_assert!(
                false,
                "a connection was opened without the right to open one"
            );
            return;
        };
        match opened {
            Ok(line) => self.lease(ticket, id, line, false),
            Err(error) => {
                observe::not_opened(&error);
                let no_room = error.server_has_no_room();
                self.dispatch.with_shelf(|shelf| {
                    shelf.cancel(now, ticket);
                    shelf.open_failed(now, id, no_room);
                });
                self.batch.failed(error);
            }
        }
    }

    /// The connection that this send drives.
    fn line(&mut self) -> &mut AnyLine {
        match &mut self.hold {
            Hold::Lease(lease) => &mut lease.line,
            Hold::Shared(_, shared) => &mut shared.connection,
            _ => unreachable!("a send drives the connection that it holds"),
        }
    }

    fn give_chunk(&mut self, next: Option<io::Result<Bytes>>) {
        if let Some(id) = self.wanted.take() {
            self.batch.stream_was_touched();
            self.line().session().body_next(id, next);
        }
    }

    fn on_event(&mut self, now: Instant, event: Option<Event>) {
        self.now = now;
        if let Hold::Shared(..) = self.hold {
            return self.on_shared_event(event);
        }
        match event {
            Some(Event::Report(report)) => {
                self.wanted = None;
                self.batch.reported(report);
            }
            Some(Event::BodyWanted(id)) => self.wanted = Some(id),
            Some(_) => {}
            None => self.batch.disconnected(),
        }
    }
}

macro_rules! opaque {
    ($($step:ident)*) => {$(
        impl<L: Line> fmt::Debug for $step<'_, L> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($step))
            }
        }
    )*};
}

opaque!(Message Wait Glance Open Drive);
