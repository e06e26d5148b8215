//! One send, of one message or of many: where its messages are, and which connection it holds,
//! waits for or opens.
//!
//! The adapter carries out one [`Step`] after the other. Each step borrows the send: nothing
//! else can be told before the step is answered or dropped, and one that is dropped without an
//! answer is given again.

use std::fmt;
use std::io;
use std::mem;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use postwire_proto::{
    Body, BodySource, Envelope, Error, ErrorKind, Event, Instant, Report, SendError, Stage,
    TransactionId,
};

use super::{Dispatch, Line};
use crate::batch::{Batch, BatchStep};
use crate::pool::{PoolConnectionId, PoolGrant, PoolShelf, PoolTicket};

/// Messages on their way through one transport, reported in order.
///
/// Whoever stops asking for steps says so: [`pause`](Self::pause) if they may come back,
/// [`leave`](Self::leave) if they do not. Both give back what is held, so that nobody waits for
/// a connection that nobody uses.
pub struct Sending<L: Line> {
    dispatch: Arc<Dispatch<L>>,
    batch: Batch,
    hold: Hold<L>,
    /// When the next report is due; none where nobody waits for it yet.
    wait: Option<Deadline>,
    /// The message whose next piece of content is wanted.
    wanted: Option<TransactionId>,
    now: Instant,
}

/// When the time of a send is up; `None` where it has as long as it takes.
type Deadline = Option<Instant>;

/// What a send has of the pool.
enum Hold<L> {
    Nothing,
    /// A place among those who wait.
    Place(PoolTicket),
    /// A connection that stood idle, and may have died meanwhile.
    Unseen(PoolTicket, PoolConnectionId, L),
    /// The right to open a connection.
    Right(PoolConnectionId),
    Lease(Lease<L>),
}

/// A connection in use.
struct Lease<L> {
    id: PoolConnectionId,
    line: L,
    messages: u64,
}

/// What the adapter does next.
#[derive(Debug)]
#[must_use = "nothing is sent unless each step is carried out"]
pub enum Step<'a, L: Line> {
    /// Take the next message of those that are to be sent.
    Message(Message<'a, L>),
    /// Wait for a connection: until woken, or until a time.
    Wait(Wait<'a, L>),
    /// Look whether the server has left this idle connection.
    Glance(Glance<'a, L>),
    /// Open a connection.
    Open(Open<'a, L>),
    /// Move the octets of this connection until something happens.
    Drive(Drive<'a, L>),
    /// Give this report to the caller.
    Report(Report),
    /// Every message has its report.
    Done,
}

/// The next message is wanted.
pub struct Message<'a, L: Line>(&'a mut Sending<L>);

/// A place among those who wait for a connection.
pub struct Wait<'a, L: Line>(&'a mut Sending<L>);

/// An idle connection that is to be looked at.
pub struct Glance<'a, L: Line> {
    sending: &'a mut Sending<L>,
}

/// The right to open a connection.
pub struct Open<'a, L: Line> {
    sending: &'a mut Sending<L>,
    id: PoolConnectionId,
}

/// A connection whose octets are to be moved.
pub struct Drive<'a, L: Line> {
    lease: &'a mut Lease<L>,
    batch: &'a mut Batch,
    wanted: &'a mut Option<TransactionId>,
}

impl<L: Line> Sending<L> {
    pub(super) fn new(dispatch: &Arc<Dispatch<L>>) -> Self {
        Self {
            dispatch: Arc::clone(dispatch),
            batch: Batch::new(dispatch.config.pool().max_messages),
            hold: Hold::Nothing,
            wait: None,
            wanted: None,
            now: Instant::EPOCH,
        }
    }

    /// Takes a message. What nobody could take is refused before anyone is called.
    pub(super) fn add(&mut self, envelope: Envelope, body: BodySource) {
        let config = self.dispatch.config.client_config();
        match config.refuse(&envelope, &body) {
            Some(report) => self.batch.add_settled(envelope, body, report),
            None => self.batch.add(envelope, body),
        }
    }

    /// There are no more messages.
    pub(super) fn end(&mut self) {
        self.batch.end();
    }

    /// What to do next. The time until the next report is counted from the first call after the
    /// last report.
    pub fn next_step(&mut self, now: Instant) -> Step<'_, L> {
        self.now = now;
        if self.wait.is_none() {
            let timeout = self.dispatch.config.timeout();
            self.wait = Some(timeout.map(|timeout| now + timeout));
            self.limit_time();
        }
        loop {
            match self.hold {
                Hold::Place(_) => return Step::Wait(Wait(self)),
                Hold::Unseen(..) => return Step::Glance(Glance { sending: self }),
                Hold::Right(id) => return Step::Open(Open { sending: self, id }),
                Hold::Nothing | Hold::Lease(_) => {}
            }
            if self.batch.wants_more() {
                return Step::Message(Message(self));
            }
            match self.batch.next_step() {
                BatchStep::Connect => self.queue_up(),
                BatchStep::Enqueue { envelope, body, .. } => self.enqueue(envelope, body),
                BatchStep::Await if matches!(self.hold, Hold::Lease(_)) => return self.drive(),
                BatchStep::Await => self.batch.disconnected(),
                BatchStep::Report(report) => {
                    if self.batch.is_empty() {
                        self.give_back();
                    }
                    self.wait = None;
                    return Step::Report(report);
                }
                BatchStep::Done => {
                    self.give_back();
                    self.wait = None;
                    return Step::Done;
                }
            }
        }
    }

    fn drive(&mut self) -> Step<'_, L> {
        match &mut self.hold {
            Hold::Lease(lease) => Step::Drive(Drive {
                lease,
                batch: &mut self.batch,
                wanted: &mut self.wanted,
            }),
            _ => Step::Done,
        }
    }

    /// Nobody asks for steps for the moment. The place among those who wait, or the right to
    /// open a connection, goes to somebody else; a connection in use is kept, since messages
    /// may be under way on it.
    pub fn pause(&mut self, now: Instant) {
        self.now = now;
        self.wait = None;
        match self.hold {
            Hold::Lease(_) => {}
            _ => self.give_back(),
        }
    }

    /// Nobody waits for the reports that are left: they are kept as abandoned ones.
    pub fn leave(&mut self, now: Instant) {
        self.now = now;
        if let Hold::Lease(lease) = &mut self.hold {
            for report in lease.line.session().end() {
                self.batch.reported(report);
            }
        }
        self.give_back();
        self.dispatch.abandon(self.batch.abandon());
    }

    fn deadline(&self) -> Deadline {
        self.wait.flatten()
    }

    fn time_left(&self) -> Option<Duration> {
        let deadline = self.deadline()?;
        Some(deadline.saturating_duration_since(self.now))
    }

    /// The session in hand times out when the send does, whatever its own deadlines are.
    fn limit_time(&mut self) {
        let left = self.time_left();
        if let Hold::Lease(lease) = &mut self.hold {
            lease.line.limit_time(left);
        }
    }

    /// Waits for a connection, instead of what is held.
    fn queue_up(&mut self) {
        self.give_back();
        let (now, deadline) = (self.now, self.deadline());
        let ticket = if self.batch.wants_fresh() {
            let request = |shelf: &mut PoolShelf<L>| shelf.request_fresh(now, deadline);
            self.dispatch.tell(request)
        } else {
            self.dispatch.tell(|shelf| shelf.request(now, deadline))
        };
        self.hold = Hold::Place(ticket);
    }

    fn enqueue(&mut self, envelope: Envelope, body: BodySource) {
        if let Hold::Lease(lease) = &mut self.hold {
            lease.messages += 1;
            lease.line.session().enqueue(envelope, body);
        } else {
            debug_assert!(false, "a message for no connection");
        }
    }

    /// There is a connection to send over.
    fn lease(&mut self, id: PoolConnectionId, line: L, is_reused: bool) {
        self.hold = Hold::Lease(Lease {
            id,
            line,
            messages: 0,
        });
        self.limit_time();
        self.batch.connected(is_reused);
    }

    /// Gives back what is held: a connection that is idle, but no other. Where somebody stopped
    /// asking midway, or the session died, where the two sides are is not for the next one to
    /// find out.
    fn give_back(&mut self) {
        let now = self.now;
        self.wanted = None;
        match mem::replace(&mut self.hold, Hold::Nothing) {
            Hold::Nothing => {}
            Hold::Place(ticket) => self.dispatch.tell(|shelf| shelf.cancel(now, ticket)),
            Hold::Unseen(_, id, line) => {
                self.dispatch.tell(|shelf| shelf.put_back(now, id, line, 0));
            }
            Hold::Right(id) => self.dispatch.tell(|shelf| shelf.lost(now, id)),
            Hold::Lease(mut lease) => {
                let (id, messages) = (lease.id, lease.messages);
                self.dispatch.abandon(lease.line.session().end());
                if lease.line.session().is_idle() {
                    lease.line.limit_time(None);
                    self.dispatch
                        .tell(|shelf| shelf.put_back(now, id, lease.line, messages));
                } else {
                    self.dispatch.tell(|shelf| shelf.lost(now, id));
                }
            }
        }
    }
}

/// The verdict on the one message of a send, from its report.
///
/// # Errors
///
/// The server did not take it, or not for every recipient.
pub fn verdict(report: Option<Report>, envelope: &Envelope) -> Result<Report, SendError> {
    // One message has one report.
    let over = || Report::not_sent(envelope, Error::new(Stage::Mail, ErrorKind::SessionOver));
    report.unwrap_or_else(over).into_result()
}

impl<L: Line> Drop for Sending<L> {
    /// As [`leave`](Self::leave), at the time that was told last.
    fn drop(&mut self) {
        self.leave(self.now);
    }
}

impl<L: Line> Message<'_, L> {
    /// Takes it; `None` where there are no more.
    pub fn give(self, message: Option<(Envelope, Body)>) {
        match message {
            Some((envelope, body)) => self.0.add(envelope, body.into()),
            None => self.0.end(),
        }
    }
}

impl<L: Line> Wait<'_, L> {
    /// Whether the wait is over: the next step says what came of it.
    ///
    /// # Errors
    ///
    /// When to ask again, where the waker is not woken before; `None` if only the waker ends
    /// the sleep. The waker is woken as well where that time moves.
    pub fn poll(&mut self, now: Instant, waker: &Waker) -> Result<(), Option<Instant>> {
        let sending = &mut *self.0;
        sending.now = now;
        let Hold::Place(ticket) = sending.hold else {
            return Ok(());
        };
        let look = |shelf: &mut PoolShelf<L>| shelf.poll_grant(now, ticket, waker);
        let failed = |kind| Error::new(Stage::Connect, kind);
        sending.hold = match sending.dispatch.tell(look)? {
            PoolGrant::Use(id, line) => Hold::Unseen(ticket, id, line),
            PoolGrant::Open(id) => Hold::Right(id),
            PoolGrant::Refuse => {
                sending.batch.failed(failed(ErrorKind::ShutDown));
                Hold::Nothing
            }
            PoolGrant::TimedOut => {
                sending.batch.failed(failed(ErrorKind::TimedOut));
                Hold::Nothing
            }
        };
        Ok(())
    }
}

impl<L: Line> Glance<'_, L> {
    /// Looks by `glance`, which takes in what the server has said already, without waiting.
    pub fn look(self, glance: impl FnOnce(&mut L)) {
        let sending = self.sending;
        let (now, deadline) = (sending.now, sending.deadline());
        match mem::replace(&mut sending.hold, Hold::Nothing) {
            Hold::Unseen(ticket, id, mut line) => {
                glance(&mut line);
                if line.session().is_idle() {
                    return sending.lease(id, line, true);
                }
                sending
                    .dispatch
                    .tell(|shelf| shelf.found_dead(now, id, ticket, deadline));
                sending.hold = Hold::Place(ticket);
            }
            hold => sending.hold = hold,
        }
    }
}

impl<L: Line> Open<'_, L> {
    /// How long opening may take.
    pub fn time_left(&self) -> Option<Duration> {
        self.sending.time_left()
    }

    /// Takes the connection, whose session stands, or why there is none.
    pub fn opened(self, now: Instant, opened: Result<L, Error>) {
        let (sending, id) = (self.sending, self.id);
        sending.now = now;
        sending.hold = Hold::Nothing;
        match opened {
            Ok(line) => {
                sending.dispatch.tell(|shelf| shelf.opened(now, id));
                sending.lease(id, line, false);
            }
            Err(error) => {
                let no_room = error.server_has_no_room();
                sending
                    .dispatch
                    .tell(|shelf| shelf.open_failed(now, id, no_room));
                sending.batch.failed(error);
            }
        }
    }
}

impl<L: Line> Drive<'_, L> {
    /// The connection.
    pub fn line(&mut self) -> &mut L {
        &mut self.lease.line
    }

    /// Whether the next piece of streamed content is wanted. The server is listened to
    /// meanwhile, where the adapter can do both.
    pub fn wants_chunk(&self) -> bool {
        self.wanted.is_some()
    }

    /// Takes the next piece of streamed content; `None` is its end.
    pub fn give_chunk(&mut self, next: Option<io::Result<Bytes>>) {
        if let Some(id) = self.wanted.take() {
            self.batch.stream_was_touched();
            self.lease.line.session().body_next(id, next);
        }
    }

    /// Takes what happened; `None` once the session is over.
    pub fn on_event(self, event: Option<Event>) {
        match event {
            Some(Event::Report(report)) => {
                *self.wanted = None;
                self.batch.reported(report);
            }
            Some(Event::BodyWanted(id)) => *self.wanted = Some(id),
            Some(_) => {}
            None => self.batch.disconnected(),
        }
    }
}

impl<L: Line> fmt::Debug for Sending<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending")
            .field("batch", &self.batch)
            .finish_non_exhaustive()
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
