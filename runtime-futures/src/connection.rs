//! One live session over one stream.

use std::future::{Future, poll_fn};
use std::io;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use futures_io::{AsyncRead, AsyncWrite};
use postwire_transport::proto::{
    Body, Capabilities, Clock, Command, CommandId, Endpoint, Envelope, Error, ErrorKind, Event,
    Mechanism, Reply, Report, Stage, StreamFacts, TlsInfo, TransactionId,
};
use postwire_transport::tls::rustls;
use postwire_transport::{CredentialsFuture, CredentialsSource, KeptEvents, TransportConfig};

use crate::Runtime;
use crate::connect::Dialer;
use crate::driver::Driver;

/// A live session with a server: messages go out over it one after the other.
///
/// Opened with [`connect`](Self::connect), or with [`over`](Self::over) a stream
/// of one's own (a proxy, a pipe).
///
/// A future of its methods may be dropped at any point: the session keeps its
/// state, and goes on where it was with the next call.
#[derive(Debug)]
pub struct Connection<S, R: Runtime> {
    driver: Driver<postwire_transport::tls::Connection, S, R>,
    credentials: Option<CredentialsSource>,
    /// Credentials on their way.
    fetching: Option<CredentialsFuture>,
    /// What happened while something else was waited for.
    kept: KeptEvents,
    /// Why the session ended, if not by `QUIT`.
    ended_by: Option<Error>,
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
    /// At [`Stage::Connect`]: no address could be reached in time.
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

    /// Opens a session before this time is up.
    pub(crate) async fn open_within(
        runtime: R,
        config: &TransportConfig,
        time: Option<Duration>,
    ) -> Result<Self, Error> {
        Self::open_around(
            runtime,
            config,
            time,
            |stream| stream,
            |session, event| {
                session.keep(event);
                ControlFlow::Continue(())
            },
        )
        .await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, R: Runtime> Connection<S, R> {
    /// Opens a session as [`open`](Connection::open) does, puts something around each socket, and
    /// says what happens on the way, in each session that is tried.
    ///
    /// `happened` gets the session with each event. The last one of a session that fails is
    /// [`Event::Closed`]: where the answer to that is a break, no other address is tried. What happens once the session stands is left to
    /// [`next_event`](Self::next_event).
    ///
    /// # Errors
    ///
    /// Why there is no session; of several addresses, the last one's reason.
    pub async fn open_with(
        runtime: R,
        config: &TransportConfig,
        around: impl FnMut(R::Stream) -> S,
        mut happened: impl FnMut(&Self, Event) -> ControlFlow<()>,
    ) -> Result<Self, Error> {
        Self::open_around(runtime, config, None, around, |session, event| {
            happened(session, event)
        })
        .await
    }

    async fn open_around(
        runtime: R,
        config: &TransportConfig,
        time: Option<Duration>,
        mut around: impl FnMut(R::Stream) -> S,
        mut happened: impl FnMut(&mut Self, Event) -> ControlFlow<()>,
    ) -> Result<Self, Error> {
        let clock = Clock::new();
        let left = || time.map(|time| time.saturating_sub(clock.now().since_epoch()));
        let mut dialer = Dialer::new(&runtime, config);
        loop {
            let stream = dialer.connect(left()).await?;
            let local = runtime.local_address(&stream);
            let mut connection = Self::over(around(stream), runtime.clone(), config).at(local);
            connection.limit_time(left().map(|left| dialer.share(left)));
            match connection.stand(&mut happened).await {
                Ok(()) => {
                    connection.limit_time(None);
                    return Ok(connection);
                }
                Err((error, ControlFlow::Break(()))) => return Err(error),
                Err((error, ControlFlow::Continue(()))) => dialer.session_failed(error)?,
            }
        }
    }

    /// Waits until the session stands, or is left: how the farewell goes concerns nobody.
    async fn stand(
        &mut self,
        happened: &mut impl FnMut(&mut Self, Event) -> ControlFlow<()>,
    ) -> Result<(), (Error, ControlFlow<()>)> {
        let mut answer = ControlFlow::Continue(());
        while !self.machine().is_ready() {
            let event = poll_fn(|cx| match self.poll_happens(cx) {
                // What is to be written has been, as far as there is room.
                Poll::Pending if self.machine().failure().is_some() => Poll::Ready(None),
                polled => polled,
            });
            let Some(event) = event.await else {
                if let Some(error) = self.machine().failure().cloned() {
                    self.ended_by = Some(error.clone());
                    answer = happened(self, Event::Closed(Some(error)));
                }
                return Err((self.error(), answer));
            };
            answer = happened(self, event);
        }
        Ok(())
    }

    /// Connects, and puts something around the socket: to count or to watch its octets.
    ///
    /// # Errors
    ///
    /// At [`Stage::Connect`]: no address could be reached in time.
    pub async fn connect_with(
        runtime: R,
        config: &TransportConfig,
        around: impl FnOnce(R::Stream) -> S,
    ) -> Result<Self, Error> {
        let stream = Dialer::new(&runtime, config).connect(None).await?;
        let local = runtime.local_address(&stream);
        Ok(Self::over(around(stream), runtime, config).at(local))
    }

    fn at(mut self, local: Option<IpAddr>) -> Self {
        if let Some(address) = local {
            self.set_local_address(address);
        }
        self
    }

    /// A session over a stream that is connected already. The host and port of
    /// `config` are not used.
    pub fn over(stream: S, runtime: R, config: &TransportConfig) -> Self {
        let machine =
            postwire_transport::tls::Connection::new(&config.client_config(), config.tls());
        Self {
            driver: Driver::new(machine, stream, runtime),
            credentials: config.late_credentials().cloned(),
            fetching: None,
            kept: KeptEvents::default(),
            ended_by: None,
        }
    }

    /// Tells the address of this end of a stream that was connected elsewhere, for a client
    /// without a name: it says that at `EHLO`. To be told before the greeting comes.
    pub fn set_local_address(&mut self, address: IpAddr) {
        self.driver.machine_mut().set_local_address(address);
    }

    /// Waits until the session stands: greeted, under TLS and authenticated as
    /// configured.
    ///
    /// # Errors
    ///
    /// Why it does not.
    pub async fn ready(&mut self) -> Result<(), Error> {
        while !self.machine().is_ready() {
            match self.happens().await {
                Some(event) => self.keep(event),
                None => return Err(self.error()),
            }
        }
        Ok(())
    }

    /// Sends one message and waits for the verdict.
    pub async fn send(&mut self, envelope: &Envelope, body: impl Into<Body>) -> Report {
        let id = self.enqueue(envelope.clone(), body);
        loop {
            match self.happens().await {
                Some(Event::Report(report)) if report.transaction() == id => return report,
                Some(event) => self.keep(event),
                // Every message has its report before the session ends.
                None => return Report::not_sent(envelope, self.error()),
            }
        }
    }

    /// Asks the server something beside sending (`VRFY`, for one), behind all that is
    /// queued, and waits for its answer: a refusal is one as well. Reports on messages
    /// that come meanwhile are kept for [`next_event`](Self::next_event).
    ///
    /// # Errors
    ///
    /// There is no answer: the session ended, or the server does not offer the command.
    pub async fn command(&mut self, command: Command) -> Result<Reply, Error> {
        let id = self.enqueue_command(command);
        loop {
            match self.happens().await {
                Some(Event::Reply(of, reply)) if of == id => return reply,
                Some(event) => self.keep(event),
                // Every command has its answer before the session ends.
                None => return Err(self.error()),
            }
        }
    }

    /// Sends a message whose content is given piece by piece, however long it is:
    /// [`chunks`](crate::chunks) of a file, for one. A piece is asked for when the
    /// last one is on its way, and the server is listened to meanwhile; an error
    /// among them means that the message is not sent.
    pub async fn send_stream(
        &mut self,
        envelope: &Envelope,
        facts: &StreamFacts,
        chunks: impl Stream<Item = io::Result<Bytes>>,
    ) -> Report {
        let mut chunks = pin!(chunks);
        let id = self.enqueue(envelope.clone(), Body::stream(facts.clone()));
        let mut wanted = false;
        loop {
            let event = poll_fn(|cx| self.poll_streaming(cx, id, &mut wanted, chunks.as_mut()));
            match event.await {
                Some(Event::Report(report)) if report.transaction() == id => return report,
                Some(Event::BodyWanted(of)) if of == id => wanted = true,
                Some(event) => self.keep(event),
                // Every message has its report before the session ends.
                None => return Report::not_sent(envelope, self.error()),
            }
        }
    }

    fn poll_streaming(
        &mut self,
        cx: &mut Context<'_>,
        id: TransactionId,
        wanted: &mut bool,
        chunks: Pin<&mut impl Stream<Item = io::Result<Bytes>>>,
    ) -> Poll<Option<Event>> {
        if *wanted && let Poll::Ready(next) = chunks.poll_next(cx) {
            *wanted = false;
            self.body_next(id, next);
        }
        self.poll_happens(cx)
    }

    /// Queues a message without waiting: [`next_event`](Self::next_event) brings
    /// its report, also if it came while another was waited for (the last 1,024 are
    /// kept). Messages that are queued together are pipelined.
    pub fn enqueue(&mut self, envelope: Envelope, body: impl Into<Body>) -> TransactionId {
        self.driver.machine_mut().send(envelope, body.into())
    }

    /// Waits for the next thing that happens: a report, a line of the trace, the
    /// end. `None` once the session is over.
    pub async fn next_event(&mut self) -> Option<Event> {
        match self.kept.take() {
            Some(event) => Some(event),
            None => self.happens().await,
        }
    }

    fn keep(&mut self, event: Event) {
        self.kept.keep(event, self.driver.machine_mut());
    }

    async fn happens(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll_happens(cx)).await
    }

    fn poll_happens(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            self.poll_fetch(cx);
            match self.driver.poll_event(cx) {
                Poll::Ready(Some(Event::CredentialsWanted(refused))) => {
                    self.fetch_credentials(refused);
                }
                Poll::Ready(Some(Event::Closed(why))) => {
                    self.fetching = None;
                    self.ended_by.clone_from(&why);
                    return Poll::Ready(Some(Event::Closed(why)));
                }
                event => return event,
            }
        }
    }

    /// Wanted only where there is someone to ask.
    fn fetch_credentials(&mut self, refused: Option<Error>) {
        let source = self.credentials.as_ref();
        self.fetching = source.map(|source| source.fetch(refused));
    }

    fn poll_fetch(&mut self, cx: &mut Context<'_>) {
        if let Some(fetching) = &mut self.fetching
            && let Poll::Ready(fetched) = Pin::new(fetching).poll(cx)
        {
            self.fetching = None;
            let _ = self.driver.machine_mut().credentials_fetched(fetched);
        }
    }

    /// Queues a command without waiting: [`next_event`](Self::next_event) brings its
    /// answer.
    pub fn enqueue_command(&mut self, command: Command) -> CommandId {
        self.driver.machine_mut().command(command)
    }

    /// The next piece of a streamed body, which [`Event::BodyWanted`] asked for;
    /// `None` is its end. Ignored where the message has its verdict already.
    pub fn body_next(&mut self, id: TransactionId, next: Option<io::Result<Bytes>>) {
        let _ = self.driver.machine_mut().body_next(id, next);
    }

    /// Ends the session after this time, as a time-out does.
    pub(crate) fn limit_time(&mut self, left: Option<Duration>) {
        self.driver.limit_time(left);
    }

    /// Takes in what the server has said already, without waiting.
    pub(crate) fn glance(&mut self, cx: &mut Context<'_>) {
        self.driver.glance(cx);
    }

    /// Moves what can be moved at once, and takes the next report if there is one.
    pub(crate) fn pending_report(&mut self) -> Option<Report> {
        loop {
            let kept = self.kept.take();
            match kept.or_else(|| self.driver.machine_mut().poll_event())? {
                Event::Report(report) => return Some(report),
                Event::CredentialsWanted(refused) => self.fetch_credentials(refused),
                _ => {}
            }
        }
    }

    /// Says `QUIT` if that can be done at once, and leaves.
    pub(crate) fn depart(mut self) {
        self.begin_quit();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        while let Poll::Ready(Some(_)) = self.driver.poll_event(&mut cx) {}
    }

    /// Asks to leave once everything queued is done. [`next_event`](Self::next_event)
    /// brings the rest.
    pub fn begin_quit(&mut self) {
        self.driver.machine_mut().quit();
    }

    /// Leaves politely, waiting for the server's reply no longer than the short
    /// deadline of `QUIT`.
    ///
    /// # Errors
    ///
    /// The session had ended for another reason.
    pub async fn quit(mut self) -> Result<(), Error> {
        self.begin_quit();
        while self.next_event().await.is_some() {}
        match self.ended_by.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Ends at once, without a word to the server.
    pub fn abort(&mut self) {
        self.driver.machine_mut().abort();
    }

    /// What the server offers now.
    pub fn capabilities(&self) -> Option<&Capabilities> {
        self.machine().capabilities()
    }

    /// The server's greeting; forgotten when STARTTLS begins.
    pub fn greeting(&self) -> Option<&Reply> {
        self.machine().greeting()
    }

    /// The mechanism by which the client is logged in, once it is.
    pub fn mechanism(&self) -> Option<Mechanism> {
        self.machine().mechanism()
    }

    /// The TLS session, once it stands.
    pub fn tls(&self) -> Option<&TlsInfo> {
        self.machine().tls()
    }

    /// The server's certificate chain, its own first, once TLS stands.
    pub fn peer_certificates(&self) -> Option<&[rustls::pki_types::CertificateDer<'static>]> {
        self.machine().peer_certificates()
    }

    /// Whether the session stands and nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.machine().is_idle()
    }

    /// Whether the session is over.
    pub fn is_closed(&self) -> bool {
        self.machine().is_closed()
    }

    fn machine(&self) -> &postwire_transport::tls::Connection {
        self.driver.machine()
    }

    fn error(&self) -> Error {
        let by_quit = || Error::new(Stage::Quit, ErrorKind::SessionOver);
        self.ended_by.clone().unwrap_or_else(by_quit)
    }
}
