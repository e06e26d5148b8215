//! One live session over one stream.

use std::io;
use std::ops::{ControlFlow, Deref, DerefMut};
use std::time::{Duration, Instant};

use bytes::Bytes;
use postwire_transport::adapter::{
    Answered, Call, Dial, Farewell, Line, NextEvent, Ready, SessionMachine, Verdict,
};
use postwire_transport::proto::{Body, Command, Envelope, Error, Event, Reply, Report, SendError};
use postwire_transport::{Session, StreamBody, TransportConfig};

use crate::connect::connect;
use crate::driver::Driver;
use crate::{Socket, Stream};

/// A live session with a server: messages go out over it one after the other.
///
/// Opened with [`connect`](Self::connect), or with [`over`](Self::over) a stream
/// of one's own (a proxy, a pipe). What can be asked without waiting are the methods of
/// [`Session`].
#[derive(Debug)]
pub struct Connection<S = Socket> {
    driver: Driver<SessionMachine, S>,
}

impl Connection {
    /// Resolves the server's name and connects, racing its addresses (RFC 8305); or
    /// connects to its Unix socket.
    ///
    /// Returns as soon as the socket stands; the session proceeds with the first
    /// [`send`](Self::send), [`ready`](Self::ready) or
    /// [`next_event`](Self::next_event).
    ///
    /// # Errors
    ///
    /// At [`Stage::Connect`](postwire_transport::proto::Stage::Connect): no address could be
    /// reached in time.
    pub fn connect(config: &TransportConfig) -> Result<Self, Error> {
        Self::connect_with(config, |socket| socket)
    }

    /// Connects, and waits until the session stands: greeted, under TLS and authenticated as
    /// configured.
    ///
    /// Where an address takes the connection and then refuses the session, hangs up or stays
    /// silent before its greeting, the next address is tried (RFC 5321 §5.1).
    ///
    /// # Errors
    ///
    /// Why there is no session; of several addresses, the last one's reason.
    pub fn open(config: &TransportConfig) -> Result<Self, Error> {
        Self::open_within(config, None)
    }

    pub(crate) fn open_within(
        config: &TransportConfig,
        time: Option<Duration>,
    ) -> Result<Self, Error> {
        let ignore = |_: &Self, _| ControlFlow::Continue(());
        Self::open_around(config, time, |socket| socket, ignore)
    }
}

impl<S: Stream> Connection<S> {
    /// Opens a session as [`open`](Connection::open) does, puts something around each socket, and
    /// says what happens on the way, in each session that is tried.
    ///
    /// `happened` gets the session with each event. The last one of a session that fails is
    /// [`Event::Closed`]: where the answer to that is a break, no other address is tried. What
    /// happens once the session stands is left to [`next_event`](Self::next_event).
    ///
    /// # Errors
    ///
    /// Why there is no session; of several addresses, the last one's reason.
    pub fn open_with(
        config: &TransportConfig,
        around: impl FnMut(Socket) -> S,
        happened: impl FnMut(&Self, Event) -> ControlFlow<()>,
    ) -> Result<Self, Error> {
        Self::open_around(config, None, around, happened)
    }

    fn open_around(
        config: &TransportConfig,
        time: Option<Duration>,
        mut around: impl FnMut(Socket) -> S,
        mut happened: impl FnMut(&Self, Event) -> ControlFlow<()>,
    ) -> Result<Self, Error> {
        let begun = Instant::now();
        let left = || time.map(|time| time.saturating_sub(begun.elapsed()));
        let mut dial = Dial::new(config);
        loop {
            let socket = connect(&mut dial, config, left())?;
            let machine = dial.session(socket.local_address());
            let mut connection = Self::driving(machine, around(socket));
            connection.limit_time(dial.share(left()));
            let mut answer = ControlFlow::Continue(());
            while !connection.driver.machine_mut().stands()
                && let Some(event) = connection.happens()
            {
                answer = happened(&connection, event);
            }
            if dial.is_open(connection.driver.machine(), answer)? {
                connection.limit_time(None);
                return Ok(connection);
            }
        }
    }

    /// Connects, and puts something around the socket: to count or to watch its octets.
    ///
    /// # Errors
    ///
    /// At [`Stage::Connect`](postwire_transport::proto::Stage::Connect): no address could be
    /// reached in time.
    pub fn connect_with(
        config: &TransportConfig,
        around: impl FnOnce(Socket) -> S,
    ) -> Result<Self, Error> {
        let socket = connect(&mut Dial::new(config), config, None)?;
        let machine = SessionMachine::new(config, socket.local_address());
        Ok(Self::driving(machine, around(socket)))
    }

    /// A session over a stream that is connected already. The host and port of
    /// `config` are not used.
    pub fn over(stream: S, config: &TransportConfig) -> Self {
        Self::driving(SessionMachine::new(config, None), stream)
    }

    fn driving(machine: SessionMachine, stream: S) -> Self {
        let driver = Driver::new(machine, stream);
        Self { driver }
    }

    /// Waits until the session stands: greeted, under TLS and authenticated as
    /// configured.
    ///
    /// # Errors
    ///
    /// Why it does not.
    pub fn ready(&mut self) -> Result<(), Error> {
        self.answer(Ready)
    }

    /// Sends one message and waits for the verdict.
    ///
    /// # Errors
    ///
    /// The server did not take it, or not for every recipient: the error holds the whole
    /// report.
    pub fn send(
        &mut self,
        envelope: &Envelope,
        body: impl Into<Body>,
    ) -> Result<Report, SendError> {
        let verdict = Verdict::on(self, envelope, body.into());
        self.answer(verdict).into_result()
    }

    /// Sends a message whose content is given piece by piece, however long it is:
    /// [`chunks`](crate::chunks) of a file, for one. A piece is asked for when the
    /// last one is on its way.
    ///
    /// # Errors
    ///
    /// The server did not take it, or not for every recipient, or a piece was an error: the
    /// error holds the whole report.
    pub fn send_stream(
        &mut self,
        envelope: &Envelope,
        body: StreamBody<impl IntoIterator<Item = io::Result<Bytes>>>,
    ) -> Result<Report, SendError> {
        let (facts, chunks) = body.into_parts();
        let verdict = Verdict::on(self, envelope, facts);
        self.answer_with(verdict, chunks).into_result()
    }

    /// Asks the server something beside sending (`VRFY`, for one), behind all that is
    /// queued, and waits for its answer: a refusal is one as well. Reports on messages
    /// that come meanwhile are kept for [`next_event`](Self::next_event).
    ///
    /// # Errors
    ///
    /// There is no answer: the session ended, or the server does not offer the command.
    pub fn command(&mut self, command: Command) -> Result<Reply, Error> {
        let answered = Answered::on(self, command);
        self.answer(answered)
    }

    /// Waits for the next thing that happens: a report, a line of the trace, the
    /// end. `None` once the session is over.
    ///
    /// Waits for the server's next word even if nothing is under way.
    pub fn next_event(&mut self) -> Option<Event> {
        self.answer(NextEvent)
    }

    /// Leaves politely, waiting for the server's reply no longer than the short
    /// deadline of `QUIT`.
    ///
    /// # Errors
    ///
    /// The session had ended for another reason.
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
            let event = self.happens();
            answer = call.on_event(self, event);
        }
    }

    /// Moves octets until something happens; `None` once the session is over.
    pub(crate) fn happens(&mut self) -> Option<Event> {
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

    /// Takes in what the server has said already.
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

    fn depart(mut self) {
        self.begin_quit();
        self.driver.write_out();
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
