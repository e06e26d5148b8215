//! One live session over one stream.

use std::future::poll_fn;
use std::io;
use std::ops::{ControlFlow, Deref, DerefMut};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_core::Stream;
use futures_io::{AsyncRead, AsyncWrite};
use postwire_transport::adapter::{
    Answered, Call, Dial, Farewell, Line, NextEvent, Ready, SessionMachine, Verdict,
};
use postwire_transport::proto::{Body, Command, Envelope, Error, Event, Reply, Report, SendError};
use postwire_transport::{Session, StreamBody, TransportConfig};

use crate::Runtime;
use crate::connect::connect;
use crate::driver::Driver;

/// A live session with a server: messages go out over it one after the other.
///
/// Opened with [`connect`](Self::connect), or with [`over`](Self::over) a stream
/// of one's own (a proxy, a pipe). What can be asked without waiting are the methods of
/// [`Session`].
///
/// A future of its methods may be dropped at any point: the session keeps its
/// state, and goes on where it was with the next call.
#[derive(Debug)]
pub struct Connection<S, R: Runtime> {
    driver: Driver<SessionMachine, S, R>,
}

impl<R: Runtime> Connection<R::Stream, R> {
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
    pub async fn connect(runtime: R, config: &TransportConfig) -> Result<Self, Error> {
        Self::connect_with(runtime, config, |stream| stream).await
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
    pub async fn open(runtime: R, config: &TransportConfig) -> Result<Self, Error> {
        Self::open_within(runtime, config, None).await
    }

    pub(crate) async fn open_within(
        runtime: R,
        config: &TransportConfig,
        time: Option<Duration>,
    ) -> Result<Self, Error> {
        let ignore = |_: &Self, _| ControlFlow::Continue(());
        Self::open_around(runtime, config, time, |stream| stream, ignore).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, R: Runtime> Connection<S, R> {
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
    pub async fn open_with(
        runtime: R,
        config: &TransportConfig,
        around: impl FnMut(R::Stream) -> S,
        happened: impl FnMut(&Self, Event) -> ControlFlow<()>,
    ) -> Result<Self, Error> {
        Self::open_around(runtime, config, None, around, happened).await
    }

    async fn open_around(
        runtime: R,
        config: &TransportConfig,
        time: Option<Duration>,
        mut around: impl FnMut(R::Stream) -> S,
        mut happened: impl FnMut(&Self, Event) -> ControlFlow<()>,
    ) -> Result<Self, Error> {
        let begun = Instant::now();
        let left = || time.map(|time| time.saturating_sub(begun.elapsed()));
        let mut dial = Dial::new(config);
        loop {
            let stream = connect(&mut dial, &runtime, config, left()).await?;
            let machine = dial.session(runtime.local_address(&stream));
            let mut connection = Self::driving(machine, around(stream), runtime.clone());
            connection.limit_time(dial.share(left()));
            let mut answer = ControlFlow::Continue(());
            while !connection.driver.machine_mut().stands()
                && let Some(event) = connection.happens().await
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
    pub async fn connect_with(
        runtime: R,
        config: &TransportConfig,
        around: impl FnOnce(R::Stream) -> S,
    ) -> Result<Self, Error> {
        let stream = connect(&mut Dial::new(config), &runtime, config, None).await?;
        let machine = SessionMachine::new(config, runtime.local_address(&stream));
        Ok(Self::driving(machine, around(stream), runtime))
    }

    /// A session over a stream that is connected already. The host and port of
    /// `config` are not used.
    pub fn over(stream: S, runtime: R, config: &TransportConfig) -> Self {
        Self::driving(SessionMachine::new(config, None), stream, runtime)
    }

    fn driving(machine: SessionMachine, stream: S, runtime: R) -> Self {
        let driver = Driver::new(machine, stream, runtime);
        Self { driver }
    }

    /// Waits until the session stands: greeted, under TLS and authenticated as
    /// configured.
    ///
    /// # Errors
    ///
    /// Why it does not.
    pub async fn ready(&mut self) -> Result<(), Error> {
        self.answer(Ready).await
    }

    /// Sends one message and waits for the verdict.
    ///
    /// # Errors
    ///
    /// The server did not take it, or not for every recipient: the error holds the whole
    /// report.
    pub async fn send(
        &mut self,
        envelope: &Envelope,
        body: impl Into<Body>,
    ) -> Result<Report, SendError> {
        let verdict = Verdict::on(self, envelope, body.into());
        self.answer(verdict).await.into_result()
    }

    /// Sends a message whose content is given piece by piece, however long it is:
    /// [`chunks`](crate::chunks) of a file, for one. A piece is asked for when the
    /// last one is on its way, and the server is listened to meanwhile.
    ///
    /// # Errors
    ///
    /// The server did not take it, or not for every recipient, or a piece was an error: the
    /// error holds the whole report.
    pub async fn send_stream(
        &mut self,
        envelope: &Envelope,
        body: StreamBody<impl Stream<Item = io::Result<Bytes>>>,
    ) -> Result<Report, SendError> {
        let (facts, chunks) = body.into_parts();
        let verdict = Verdict::on(self, envelope, facts);
        self.answer_with(verdict, chunks).await.into_result()
    }

    /// Asks the server something beside sending (`VRFY`, for one), behind all that is
    /// queued, and waits for its answer: a refusal is one as well. Reports on messages
    /// that come meanwhile are kept for [`next_event`](Self::next_event).
    ///
    /// # Errors
    ///
    /// There is no answer: the session ended, or the server does not offer the command.
    pub async fn command(&mut self, command: Command) -> Result<Reply, Error> {
        let answered = Answered::on(self, command);
        self.answer(answered).await
    }

    /// Waits for the next thing that happens: a report, a line of the trace, the
    /// end. `None` once the session is over.
    ///
    /// Waits for the server's next word even if nothing is under way.
    pub async fn next_event(&mut self) -> Option<Event> {
        self.answer(NextEvent).await
    }

    /// Leaves politely, waiting for the server's reply no longer than the short
    /// deadline of `QUIT`.
    ///
    /// # Errors
    ///
    /// The session had ended for another reason.
    pub async fn quit(mut self) -> Result<(), Error> {
        self.answer(Farewell).await
    }

    async fn answer<C: Call>(&mut self, call: C) -> C::Answer {
        self.answer_with(call, crate::source::Nothing).await
    }

    async fn answer_with<C: Call>(
        &mut self,
        mut call: C,
        chunks: impl Stream<Item = io::Result<Bytes>>,
    ) -> C::Answer {
        let mut chunks = pin!(chunks);
        let mut answer = call.begin(self);
        loop {
            if let Some(answer) = answer {
                return answer;
            }
            let event = poll_fn(|cx| {
                if call.wants_chunk()
                    && let Poll::Ready(next) = chunks.as_mut().poll_next(cx)
                {
                    call.give_chunk(self, next);
                }
                self.poll_happens(cx)
            });
            let event = event.await;
            answer = call.on_event(self, event);
        }
    }

    async fn happens(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll_happens(cx)).await
    }

    /// Moves octets until something happens; `None` once the session is over.
    pub(crate) fn poll_happens(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            // The session goes on meanwhile: the server may have something to say.
            let _ = self.driver.machine_mut().poll_credentials(cx);
            match self.driver.poll_event(cx) {
                Poll::Ready(Some(Event::CredentialsWanted(_))) => {}
                Poll::Ready(Some(event)) => return Poll::Ready(Some(event)),
                // What is to be written has been, as far as there is room.
                Poll::Pending if !self.driver.machine().is_given_up() => return Poll::Pending,
                _ => return Poll::Ready(self.driver.machine_mut().give_up()),
            }
        }
    }

    /// Takes in what the server has said already, without waiting.
    pub(crate) fn glance(&mut self, cx: &mut Context<'_>) {
        self.driver.glance(cx);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, R: Runtime> Line for Connection<S, R> {
    fn session(&mut self) -> &mut Session {
        self
    }

    fn limit_time(&mut self, left: Option<Duration>) {
        self.driver.limit_time(left);
    }

    fn depart(mut self) {
        self.begin_quit();
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(_)) = self.driver.poll_event(&mut cx) {}
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, R: Runtime> Deref for Connection<S, R> {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.driver.machine().session()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, R: Runtime> DerefMut for Connection<S, R> {
    fn deref_mut(&mut self) -> &mut Session {
        self.driver.machine_mut().session_mut()
    }
}
