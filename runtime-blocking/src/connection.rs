//! A connection: one session over one stream. Must never know what a reply means.

use std::io;
use std::net::Shutdown;
use std::ops::{ControlFlow, Deref, DerefMut};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use postwire_transport::adapter::{
    Answered, Call, Dial, Farewell, Line, NextEvent, Ready, SessionMachine, Verdict,
};
use postwire_transport::proto::{Body, Command, Envelope, Error, Event, Reply, Report, SendError};
use postwire_transport::{Session, StreamBody, TransportConfig};

use crate::connect::{Connector, connect};
use crate::driver::Driver;
use crate::{Socket, Stream};

/// A connection with one session, which sends messages one after the other.
///
/// [`connect`](Self::connect) opens a socket; [`over`](Self::over) uses a stream of the caller,
/// such as a proxy or a pipe. The methods that do not wait are those of [`Session`].
#[derive(Debug)]
pub struct Connection<S = Socket> {
    pub(crate) driver: Driver<SessionMachine, S>,
    /// The second handle of the socket: unset before its first use, `None` if the socket cannot be
    /// cloned.
    second_handle: OnceLock<Option<Arc<Socket>>>,
}

impl Connection {
    /// Resolves the name of the server and connects, racing its addresses (RFC 8305), or connects
    /// to its Unix socket.
    ///
    /// Returns as soon as the socket is connected. The session begins with the first
    /// [`send`](Self::send), [`ready`](Self::ready) or [`next_event`](Self::next_event).
    ///
    /// # Errors
    ///
    /// An error at [`Stage::Connect`](postwire_transport::proto::Stage::Connect) if no address can
    /// be reached in time.
    pub fn connect(config: &TransportConfig) -> Result<Self, Error> {
        Self::connect_with(config, |socket| socket)
    }

    /// Connects, and waits until the opening is complete: greeting, TLS and authentication as
    /// configured.
    ///
    /// If a server accepts the connection and then refuses the session, closes the connection or
    /// sends no greeting, the next address is tried (RFC 5321 §5.1).
    ///
    /// # Errors
    ///
    /// The error of the last address that was tried, if no session can be opened.
    pub fn open(config: &TransportConfig) -> Result<Self, Error> {
        Self::open_within(config, None, None)
    }

    pub(crate) fn open_within(
        config: &TransportConfig,
        connector: Option<&Connector>,
        time: Option<Duration>,
    ) -> Result<Self, Error> {
        let ignore = |_: &Self, _| ControlFlow::Continue(());
        Self::open_around(config, connector, time, |socket| socket, ignore)
    }
}

/// Methods for threads that share a connection.
impl Connection {
    /// A second handle of the socket, by which a thread waits while others write to it; `None` if
    /// the socket cannot be cloned.
    pub(crate) fn second_handle(&self) -> Option<Arc<Socket>> {
        let socket = self.driver.stream();
        let clone = || socket.try_clone().ok().map(Arc::new);
        self.second_handle.get_or_init(clone).clone()
    }
}

impl<S> Drop for Connection<S> {
    /// Ends the wait of a thread that waits for the socket.
    fn drop(&mut self) {
        if let Some(Some(socket)) = self.second_handle.get()
            && Arc::strong_count(socket) > 1
        {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl<S: Stream> Connection<S> {
    /// Opens a session like [`open`](Connection::open), wraps each socket, and reports the events
    /// of each session that is tried.
    ///
    /// `happened` is called with the session and each event. The last event of a session that
    /// fails is [`Event::Closed`]: if `happened` then returns a break, no other address is tried.
    /// Events after the opening are left to [`next_event`](Self::next_event).
    ///
    /// # Errors
    ///
    /// The error of the last address that was tried, if no session can be opened.
    pub fn open_with(
        config: &TransportConfig,
        around: impl FnMut(Socket) -> S,
        happened: impl FnMut(&Self, Event) -> ControlFlow<()>,
    ) -> Result<Self, Error> {
        Self::open_around(config, None, None, around, happened)
    }

    fn open_around(
        config: &TransportConfig,
        connector: Option<&Connector>,
        time: Option<Duration>,
        mut around: impl FnMut(Socket) -> S,
        mut happened: impl FnMut(&Self, Event) -> ControlFlow<()>,
    ) -> Result<Self, Error> {
        let begun = Instant::now();
        let left = || time.map(|time| time.saturating_sub(begun.elapsed()));
        let mut dial = Dial::new(config);
        loop {
            let socket = connect(&mut dial, config, connector, left())?;
            let machine = dial.session(socket.local_address());
            let mut connection = Self::driving(machine, around(socket));
            connection.limit_time(dial.share(left()));
            let mut answer = ControlFlow::Continue(());
            while !connection.driver.machine_mut().stands()
                && let Some(event) = connection.drive_to_event()
            {
                answer = happened(&connection, event);
            }
            if dial.is_open(connection.driver.machine(), answer)? {
                connection.limit_time(None);
                return Ok(connection);
            }
        }
    }

    /// Connects, and wraps the socket, for example to count its octets.
    ///
    /// # Errors
    ///
    /// An error at [`Stage::Connect`](postwire_transport::proto::Stage::Connect) if no address can
    /// be reached in time.
    pub fn connect_with(
        config: &TransportConfig,
        around: impl FnOnce(Socket) -> S,
    ) -> Result<Self, Error> {
        let socket = connect(&mut Dial::new(config), config, None, None)?;
        let machine = SessionMachine::new(config, socket.local_address());
        Ok(Self::driving(machine, around(socket)))
    }

    /// Creates a session over a connected stream. The host and port of `config` are not used.
    pub fn over(stream: S, config: &TransportConfig) -> Self {
        Self::driving(SessionMachine::new(config, None), stream)
    }

    fn driving(machine: SessionMachine, stream: S) -> Self {
        Self {
            driver: Driver::new(machine, stream),
            second_handle: OnceLock::new(),
        }
    }

    /// Waits until the opening is complete: greeting, TLS and authentication as configured.
    ///
    /// # Errors
    ///
    /// The error that ended the session, if the opening fails.
    pub fn ready(&mut self) -> Result<(), Error> {
        self.answer(Ready)
    }

    /// Sends one message and waits for the verdict.
    ///
    /// # Errors
    ///
    /// [`SendError`] if the message is not accepted, or not for every recipient. It contains the
    /// whole report.
    pub fn send(
        &mut self,
        envelope: &Envelope,
        body: impl Into<Body>,
    ) -> Result<Report, SendError> {
        let verdict = Verdict::on(self, envelope, body.into());
        self.answer(verdict).into_result()
    }

    /// Sends a message whose content is read piece by piece, for example the
    /// [`chunks`](crate::chunks) of a file of any length. The next piece is read after the
    /// previous one is written.
    ///
    /// # Errors
    ///
    /// [`SendError`] if the message is not accepted, or not for every recipient, or if a piece is
    /// an error. It contains the whole report.
    pub fn send_stream(
        &mut self,
        envelope: &Envelope,
        body: StreamBody<impl IntoIterator<Item = io::Result<Bytes>>>,
    ) -> Result<Report, SendError> {
        let (facts, chunks) = body.into_parts();
        let verdict = Verdict::on(self, envelope, facts);
        self.answer_with(verdict, chunks).into_result()
    }

    /// Sends a command that is not part of a message (such as `VRFY`) after everything that is
    /// queued, and waits for its reply. A negative reply counts as a reply.
    ///
    /// Reports on messages that arrive before the reply are kept for
    /// [`next_event`](Self::next_event).
    ///
    /// # Errors
    ///
    /// An error if there is no reply: the session ended, or the server does not offer the command.
    pub fn command(&mut self, command: Command) -> Result<Reply, Error> {
        let answered = Answered::on(self, command);
        self.answer(answered)
    }

    /// Waits for the next event: a report, a reply, a line of the trace, the end of the session.
    /// Returns `None` when the session is over.
    ///
    /// Waits for the server even if nothing is under way.
    pub fn next_event(&mut self) -> Option<Event> {
        self.answer(NextEvent)
    }

    /// Ends the session by `QUIT`, and waits for the reply until the short deadline of `QUIT`.
    ///
    /// # Errors
    ///
    /// The error that ended the session, if it did not end by `QUIT`.
    pub fn quit(mut self) -> Result<(), Error> {
        self.answer(Farewell)
    }

    fn answer<C: Call>(&mut self, call: C) -> C::Answer {
        self.answer_with(call, [])
    }

    fn answer_with<C: Call>(
        &mut self,
        mut call: C,
        chunks: impl IntoIterator<Item = io::Result<Bytes>>,
    ) -> C::Answer {
        let mut chunks = chunks.into_iter();
        let mut answer = call.begin(self);
        loop {
            if let Some(answer) = answer {
                return answer;
            }
            if call.wants_chunk() {
                call.give_chunk(self, chunks.next());
            }
            let event = self.drive_to_event();
            answer = call.on_event(self, event);
        }
    }

    /// Moves octets until something happens; `None` once the session is over.
    pub(crate) fn drive_to_event(&mut self) -> Option<Event> {
        loop {
            match self.driver.next_event_unless(SessionMachine::is_given_up) {
                Some(Event::CredentialsWanted(_)) => {
                    self.driver.wait_for(SessionMachine::poll_credentials);
                }
                Some(event) => return Some(event),
                None => return self.driver.machine_mut().give_up(),
            }
        }
    }

    /// Reads what the server has sent already, without waiting.
    pub(crate) fn glance(&mut self) {
        self.driver.glance();
    }
}

impl<S: Stream> Line for Connection<S> {
    fn session(&mut self) -> &mut Session {
        self
    }

    fn limit_time(&mut self, left: Option<Duration>) {
        self.driver.limit_time(left);
    }

    fn take_flights(&mut self) -> u64 {
        self.driver.take_flights()
    }

    fn flush(&mut self) -> Option<Event> {
        self.driver.flush()
    }

    fn depart(mut self) {
        self.begin_quit();
        while self.driver.flush().is_some() {}
    }
}

impl<S: Stream> Deref for Connection<S> {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.driver.machine().session()
    }
}

impl<S: Stream> DerefMut for Connection<S> {
    fn deref_mut(&mut self) -> &mut Session {
        self.driver.machine_mut().session_mut()
    }
}
