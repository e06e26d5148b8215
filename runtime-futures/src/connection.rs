//! A connection: one session over one stream. Must never know what a reply means.

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

/// A connection with one session, which sends messages one after the other.
///
/// [`connect`](Self::connect) opens a socket; [`over`](Self::over) uses a stream of the caller,
/// such as a proxy or a pipe. The methods that do not wait are those of [`Session`].
///
/// A future of its methods may be dropped at any point: the session keeps its state, and the next
/// call continues.
#[derive(Debug)]
pub struct Connection<S, R: Runtime> {
    driver: Driver<SessionMachine, S, R>,
}

impl<R: Runtime> Connection<R::Stream, R> {
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
    pub async fn connect(runtime: R, config: &TransportConfig) -> Result<Self, Error> {
        Self::connect_with(runtime, config, |stream| stream).await
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
    pub async fn open(runtime: R, config: &TransportConfig) -> Result<Self, Error> {
        Self::open_within(runtime, config, None).await
    }

    pub(crate) async fn open_within(
        runtime: R,
        config: &TransportConfig,
        time: Option<Duration>,
    ) -> Result<Self, Error> {
        let (whole, ignore) = (|stream| stream, |_: &Self, _| ControlFlow::Continue(()));
        Self::open_around(runtime, config, time, whole, ignore).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static, R: Runtime> Connection<S, R> {
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
                && let Some(event) = connection.drive_to_event().await
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
    pub async fn connect_with(
        runtime: R,
        config: &TransportConfig,
        around: impl FnOnce(R::Stream) -> S,
    ) -> Result<Self, Error> {
        let stream = connect(&mut Dial::new(config), &runtime, config, None).await?;
        let machine = SessionMachine::new(config, runtime.local_address(&stream));
        Ok(Self::driving(machine, around(stream), runtime))
    }

    /// Creates a session over a connected stream. The host and port of `config` are not used.
    pub fn over(stream: S, runtime: R, config: &TransportConfig) -> Self {
        Self::driving(SessionMachine::new(config, None), stream, runtime)
    }

    fn driving(machine: SessionMachine, stream: S, runtime: R) -> Self {
        let driver = Driver::new(machine, stream, runtime);
        Self { driver }
    }

    /// Waits until the opening is complete: greeting, TLS and authentication as configured.
    ///
    /// # Errors
    ///
    /// The error that ended the session, if the opening fails.
    pub async fn ready(&mut self) -> Result<(), Error> {
        self.answer(Ready).await
    }

    /// Sends one message and waits for the verdict.
    ///
    /// # Errors
    ///
    /// [`SendError`] if the message is not accepted, or not for every recipient. It contains the
    /// whole report.
    pub async fn send(
        &mut self,
        envelope: &Envelope,
        body: impl Into<Body>,
    ) -> Result<Report, SendError> {
        let verdict = Verdict::on(self, envelope, body.into());
        self.answer(verdict).await.into_result()
    }

    /// Sends a message whose content is read piece by piece, for example the
    /// [`chunks`](crate::chunks) of a file of any length. The next piece is read after the
    /// previous one is written, and the session reads from the server at the same time.
    ///
    /// # Errors
    ///
    /// [`SendError`] if the message is not accepted, or not for every recipient, or if a piece is
    /// an error. It contains the whole report.
    pub async fn send_stream(
        &mut self,
        envelope: &Envelope,
        body: StreamBody<impl Stream<Item = io::Result<Bytes>>>,
    ) -> Result<Report, SendError> {
        let (facts, chunks) = body.into_parts();
        let verdict = Verdict::on(self, envelope, facts);
        self.answer_with(verdict, chunks).await.into_result()
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
    pub async fn command(&mut self, command: Command) -> Result<Reply, Error> {
        let answered = Answered::on(self, command);
        self.answer(answered).await
    }

    /// Waits for the next event: a report, a reply, a line of the trace, the end of the session.
    /// Returns `None` when the session is over.
    ///
    /// Waits for the server even if nothing is under way.
    pub async fn next_event(&mut self) -> Option<Event> {
        self.answer(NextEvent).await
    }

    /// Ends the session by `QUIT`, and waits for the reply until the short deadline of `QUIT`.
    ///
    /// # Errors
    ///
    /// The error that ended the session, if it did not end by `QUIT`.
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
                self.poll_drive_to_event(cx)
            });
            let event = event.await;
            answer = call.on_event(self, event);
        }
    }

    async fn drive_to_event(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll_drive_to_event(cx)).await
    }

    /// Moves octets until something happens; `None` once the session is over.
    pub(crate) fn poll_drive_to_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            // The session continues during the fetch, because the server may send something.
            let _ = self.driver.machine_mut().poll_credentials(cx);
            match self.driver.poll_event(cx) {
                Poll::Ready(Some(Event::CredentialsWanted(_))) => {}
                Poll::Ready(Some(event)) => return Poll::Ready(Some(event)),
                // Everything that fits into the stream is written.
                Poll::Pending if !self.driver.machine().is_given_up() => return Poll::Pending,
                _ => return Poll::Ready(self.driver.machine_mut().give_up()),
            }
        }
    }

    /// Reads what the server has sent already, without waiting.
    pub(crate) fn glance(&mut self, cx: &mut Context<'_>) {
        self.driver.glance(cx);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static, R: Runtime> Line for Connection<S, R> {
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
        // The send that drives next polls the stream with its own waker.
        self.driver.flush(&mut Context::from_waker(Waker::noop()))
    }

    fn depart(mut self) {
        self.begin_quit();
        self.driver.depart();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static, R: Runtime> Deref for Connection<S, R> {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.driver.machine().session()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static, R: Runtime> DerefMut for Connection<S, R> {
    fn deref_mut(&mut self) -> &mut Session {
        self.driver.machine_mut().session_mut()
    }
}
