//! The transport: executes the steps of each send. Must never decide what the next step is.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use postwire_transport::adapter::{Dispatch, Drive, Move, Sending, Step, WhenBlocked, verdict};
use postwire_transport::proto::{Body, Clock, Envelope, Error, Report, SendError};
use postwire_transport::{Counters, StreamBody, TransportConfig};

use crate::connect::Connector;
use crate::park::{park_until, unpark_this_thread};
use crate::{Connection, Socket, Stream};

/// A transport: sends mail through one server, with a pool of connections.
///
/// Cheap to clone, and usable from several threads. Clones share the pool.
#[derive(Clone)]
pub struct Transport {
    dispatch: Arc<Dispatch<Connection>>,
    connector: Option<Connector>,
    clock: Clock,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("config", self.config())
            .finish_non_exhaustive()
    }
}

impl From<TransportConfig> for Transport {
    fn from(config: TransportConfig) -> Self {
        Self {
            dispatch: Dispatch::new(config),
            connector: None,
            clock: Clock::new(),
        }
    }
}

impl Transport {
    postwire_transport::transport_constructors!();

    /// Creates a transport whose connections are made by a function of the program: through a
    /// proxy, over a pipe. The pool, TLS and all else work as over sockets.
    ///
    /// The function runs on a thread of its own, within the time limit. The host of `config` is the
    /// name that TLS verifies. It is not resolved, and addresses, a Unix socket and socket options in
    /// `config` have no effect.
    pub fn with_connector<S: Stream + Send + Sync + 'static>(
        config: TransportConfig,
        connector: impl Fn() -> io::Result<S> + Send + Sync + 'static,
    ) -> Self {
        let connect = move || Ok(Box::new(connector()?) as Box<dyn Stream + Send + Sync>);
        Self {
            connector: Some(Arc::new(connect)),
            ..config.by_connector().into()
        }
    }

    fn open(&self, left: Option<Duration>) -> Result<Connection, Error> {
        Connection::open_within(self.config(), self.connector.as_ref(), left)
    }

    /// The configuration of the transport.
    pub fn config(&self) -> &TransportConfig {
        self.dispatch.config()
    }

    /// Sends one message over a pooled or a new connection.
    ///
    /// Messages of up to 1 MiB that several threads send at the same time share connections and
    /// their flights: see [`PoolConfig::max_queued`](postwire_transport::PoolConfig::max_queued). A
    /// new connection is opened, up to the limit, where opening it takes less time than waiting.
    ///
    /// If a message is certainly not sent because a pooled connection was lost, the transport
    /// retries once over a new connection. Recipients that exceed the limits of one session
    /// (RFC 9422) are sent to over further connections.
    ///
    /// # Errors
    ///
    /// [`SendError`] if the message is not accepted, or not for every recipient. It contains the
    /// whole report, and says [whether to retry](SendError::retry).
    pub fn send(&self, envelope: &Envelope, body: impl Into<Body>) -> Result<Report, SendError> {
        let sending = self.dispatch.send_one(envelope, body.into());
        self.report_on(sending, envelope, &mut || None)
    }

    /// Sends one message whose content is read piece by piece, for example the
    /// [`chunks`](crate::chunks) of a file of any length. Only one window of it is in memory.
    ///
    /// # Errors
    ///
    /// [`SendError`] if the message is not accepted, or not for every recipient, or if a piece is
    /// an error. It contains the whole report.
    pub fn send_stream(
        &self,
        envelope: &Envelope,
        body: StreamBody<impl IntoIterator<Item = io::Result<Bytes>>>,
    ) -> Result<Report, SendError> {
        let (facts, chunks) = body.into_parts();
        let mut chunks = chunks.into_iter();
        let sending = self.dispatch.send_one(envelope, facts);
        self.report_on(sending, envelope, &mut || chunks.next())
    }

    fn report_on(
        &self,
        sending: Sending<Connection>,
        envelope: &Envelope,
        next_chunk: &mut dyn FnMut() -> Option<io::Result<Bytes>>,
    ) -> Result<Report, SendError> {
        let report = self.carrier(sending).next_report(&mut || None, next_chunk);
        verdict(report, envelope)
    }

    fn carrier(&self, sending: Sending<Connection>) -> Carrier {
        Carrier {
            transport: self.clone(),
            sending,
            read: None,
        }
    }

    /// Sends many messages, pipelined if the server supports it, and returns an iterator over
    /// their reports, in order.
    ///
    /// Uses one connection at a time, and a new one when the connection is lost or has reached
    /// its limits. Sending continues while reports are taken. If the iterator is dropped early,
    /// the reports on the messages under way are available from [`abandoned`](Self::abandoned).
    pub fn send_all<I>(&self, messages: I) -> SendAll<I::IntoIter>
    where
        I: IntoIterator<Item = (Envelope, Body)>,
    {
        SendAll {
            carrier: self.carrier(self.dispatch.send_all()),
            messages: messages.into_iter(),
        }
    }

    /// Opens a session as configured (greeting, TLS, authentication) and ends it by `QUIT`, outside
    /// the pool, for example when a program starts. The timeouts of each stage apply, and
    /// `TransportBuilder::timeout` to the whole.
    ///
    /// # Errors
    ///
    /// The error of the last address that was tried, if no session can be opened.
    pub fn test_connection(&self) -> Result<(), Error> {
        self.open(self.config().timeout())?.quit()
    }

    /// The state of the transport, and what it has done since it was created.
    pub fn counters(&self) -> Counters {
        self.dispatch.counters()
    }

    /// Takes the reports on messages whose send was dropped early, the oldest first. At most 1,024
    /// are kept.
    pub fn abandoned(&self) -> Vec<Report> {
        self.dispatch.take_abandoned()
    }

    /// Closes connections that have been idle for too long.
    ///
    /// The next `send` closes them anyway. A program that seldom sends may call this method
    /// periodically.
    pub fn close_idle(&self) {
        self.dispatch.close_idle(self.clock.now());
    }

    /// Finishes the queued messages, ends every connection by `QUIT`, and waits for that, at most
    /// for [`shutdown_timeout`](postwire_transport::PoolConfig::shutdown_timeout).
    ///
    /// Later messages are not sent, with the error
    /// [`ShutDown`](postwire_transport::proto::ErrorKind::ShutDown). A running `send` gets its own
    /// report. Returns the reports of [`abandoned`](Self::abandoned).
    pub fn shutdown(&self) -> Vec<Report> {
        let shutting_down = self.dispatch.shut_down(self.clock.now());
        let waker = unpark_this_thread();
        while let Err(until) = shutting_down.poll(self.clock.now(), &waker) {
            park_until(self.clock, Some(until));
        }
        self.abandoned()
    }
}

/// The reports of [`Transport::send_all`].
#[derive(Debug)]
pub struct SendAll<I> {
    carrier: Carrier,
    messages: I,
}

impl<I: Iterator<Item = (Envelope, Body)>> Iterator for SendAll<I> {
    type Item = Report;

    fn next(&mut self) -> Option<Report> {
        self.carrier
            .next_report(&mut || self.messages.next(), &mut || None)
    }
}

/// The most octets that are read at once by a second handle: no more than a connection takes.
const INPUT: usize = 1024;

/// The second handle of a socket, what a thread has read by it, and the result of the read.
type Read = (Arc<Socket>, [u8; INPUT], io::Result<usize>);

/// Executes the steps of one send.
#[derive(Debug)]
struct Carrier {
    transport: Transport,
    sending: Sending<Connection>,
    /// What this thread has read from a shared connection, which has not taken it yet.
    read: Option<Read>,
}

impl Carrier {
    fn next_report(
        &mut self,
        next_message: &mut dyn FnMut() -> Option<(Envelope, Body)>,
        next_chunk: &mut dyn FnMut() -> Option<io::Result<Bytes>>,
    ) -> Option<Report> {
        let clock = self.transport.clock;
        loop {
            match self.sending.next_step(clock.now()) {
                Step::Message(message) => message.give(next_message()),
                Step::Wait(mut wait) => {
                    let waker = unpark_this_thread();
                    while let Err(until) = wait.poll(clock.now(), &waker) {
                        park_until(clock, until);
                    }
                }
                Step::Glance(glance) => glance.look(Connection::glance),
                Step::Open(open) => {
                    let opened = self.transport.open(open.time_left());
                    open.opened(clock.now(), opened);
                }
                Step::Drive(mut drive) => {
                    if drive.wants_chunk() {
                        drive.give_chunk(next_chunk());
                    }
                    let is_shared = drive.is_shared();
                    if is_shared && let Some(socket) = drive.line().second_handle() {
                        let read = self
                            .read
                            .take()
                            .filter(|(own, ..)| Arc::ptr_eq(own, &socket));
                        self.read = drive_shared(clock, drive, socket, read);
                    } else {
                        let event = drive.line().drive_to_event();
                        drive.on_event(clock.now(), event);
                    }
                }
                Step::Report(report) => return Some(report),
                Step::Done => return None,
            }
        }
    }
}

/// Moves the octets of a connection that other threads may use while this one waits for its socket.
/// `read` is what this thread has read by the second handle. Returns what it reads next.
fn drive_shared(
    clock: Clock,
    mut drive: Drive<'_, Connection>,
    socket: Arc<Socket>,
    read: Option<Read>,
) -> Option<Read> {
    let driver = &mut drive.line().driver;
    if let Some((_, input, octets)) = read {
        let copy = |octets, into: &mut [u8]| into[..octets].copy_from_slice(&input[..octets]);
        driver.take_read(|into| octets.inspect(|octets| copy(*octets, into)));
    }
    let next = driver.next_wait();
    let blocked = matches!(next, Move::Write(_)).then(|| drive.when_blocked());
    match (next, blocked) {
        (Move::Event(event), _) => drive.on_event(clock.now(), Some(event)),
        (Move::Close, _) => drive.on_event(clock.now(), None),
        (_, Some(WhenBlocked::Read)) => {
            drive.line().driver.look_around();
            drive.keep();
        }
        (_, Some(WhenBlocked::Write)) => drive.keep(),
        (Move::Read(until) | Move::Write(until), _) => {
            if drive.park_to_read(&unpark_this_thread(), until) {
                let mut input = [0; INPUT];
                let octets = socket.read_apart(&mut input);
                return Some((socket, input, octets));
            }
        }
    }
    None
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.sending.leave(self.transport.clock.now());
    }
}
