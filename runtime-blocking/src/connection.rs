//! One live session over one stream.

use std::io;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;
use postwire_transport::proto::{
    Body, Capabilities, Clock, Command, CommandId, Endpoint, Envelope, Error, ErrorKind, Event,
    Mechanism, Reply, Report, Stage, StreamFacts, TlsInfo, TransactionId,
};
use postwire_transport::tls::rustls;
use postwire_transport::{CredentialsSource, KeptEvents, TransportConfig};

use crate::connect::Dialer;
use crate::driver::Driver;
use crate::{Socket, Stream};

/// A live session with a server: messages go out over it one after the other.
///
/// Opened with [`connect`](Self::connect), or with [`over`](Self::over) a stream
/// of one's own (a proxy, a pipe).
#[derive(Debug)]
pub struct Connection<S = Socket> {
    driver: Driver<postwire_transport::tls::Connection, S>,
    credentials: Option<CredentialsSource>,
    /// What happened while something else was waited for.
    kept: KeptEvents,
    /// Why the session ended, if not by `QUIT`.
    ended_by: Option<Error>,
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
    /// At [`Stage::Connect`]: no address could be reached in time.
    pub fn connect(config: &TransportConfig) -> Result<Self, Error> {
        Self::connect_with(config, |stream| stream)
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

    /// Opens a session before this time is up.
    pub(crate) fn open_within(
        config: &TransportConfig,
        time: Option<Duration>,
    ) -> Result<Self, Error> {
        Self::open_around(
            config,
            time,
            |socket| socket,
            |session, event| {
                session.keep(event);
                ControlFlow::Continue(())
            },
        )
    }
}

impl<S: Stream> Connection<S> {
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
    pub fn open_with(
        config: &TransportConfig,
        around: impl FnMut(Socket) -> S,
        mut happened: impl FnMut(&Self, Event) -> ControlFlow<()>,
    ) -> Result<Self, Error> {
        Self::open_around(config, None, around, |session, event| {
            happened(session, event)
        })
    }

    fn open_around(
        config: &TransportConfig,
        time: Option<Duration>,
        mut around: impl FnMut(Socket) -> S,
        mut happened: impl FnMut(&mut Self, Event) -> ControlFlow<()>,
    ) -> Result<Self, Error> {
        let clock = Clock::new();
        let left = || time.map(|time| time.saturating_sub(clock.now().since_epoch()));
        let mut dialer = Dialer::new(config);
        loop {
            let socket = dialer.connect(left())?;
            let local = socket.local_address();
            let mut connection = Self::over(around(socket), config).at(local);
            connection.limit_time(left().map(|left| dialer.share(left)));
            match connection.stand(&mut happened) {
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
    fn stand(
        &mut self,
        happened: &mut impl FnMut(&mut Self, Event) -> ControlFlow<()>,
    ) -> Result<(), (Error, ControlFlow<()>)> {
        let mut answer = ControlFlow::Continue(());
        while !self.machine().is_ready() {
            let Some(event) = self.happens_unless(|machine| machine.failure().is_some()) else {
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
    pub fn connect_with(
        config: &TransportConfig,
        around: impl FnOnce(Socket) -> S,
    ) -> Result<Self, Error> {
        let stream = Dialer::new(config).connect(None)?;
        let local = stream.local_address();
        Ok(Self::over(around(stream), config).at(local))
    }

    fn at(mut self, local: Option<IpAddr>) -> Self {
        if let Some(address) = local {
            self.set_local_address(address);
        }
        self
    }

    /// A session over a stream that is connected already. The host and port of
    /// `config` are not used.
    pub fn over(stream: S, config: &TransportConfig) -> Self {
        let machine =
            postwire_transport::tls::Connection::new(&config.client_config(), config.tls());
        Self {
            driver: Driver::new(machine, stream),
            credentials: config.late_credentials().cloned(),
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
    pub fn ready(&mut self) -> Result<(), Error> {
        while !self.machine().is_ready() {
            match self.happens() {
                Some(event) => self.keep(event),
                None => return Err(self.error()),
            }
        }
        Ok(())
    }

    /// Sends one message and waits for the verdict.
    pub fn send(&mut self, envelope: &Envelope, body: impl Into<Body>) -> Report {
        let id = self.enqueue(envelope.clone(), body);
        loop {
            match self.happens() {
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
    pub fn command(&mut self, command: Command) -> Result<Reply, Error> {
        let id = self.enqueue_command(command);
        loop {
            match self.happens() {
                Some(Event::Reply(of, reply)) if of == id => return reply,
                Some(event) => self.keep(event),
                // Every command has its answer before the session ends.
                None => return Err(self.error()),
            }
        }
    }

    /// Sends a message whose content is given piece by piece, however long it is:
    /// [`chunks`](crate::chunks) of a file, for one. A piece is asked for when the
    /// last one is on its way; an error among them means that the message is not
    /// sent.
    pub fn send_stream(
        &mut self,
        envelope: &Envelope,
        facts: &StreamFacts,
        chunks: impl IntoIterator<Item = io::Result<Bytes>>,
    ) -> Report {
        let mut chunks = chunks.into_iter();
        let id = self.enqueue(envelope.clone(), Body::stream(facts.clone()));
        loop {
            match self.happens() {
                Some(Event::Report(report)) if report.transaction() == id => return report,
                Some(Event::BodyWanted(of)) if of == id => {
                    self.body_next(id, chunks.next());
                }
                Some(event) => self.keep(event),
                // Every message has its report before the session ends.
                None => return Report::not_sent(envelope, self.error()),
            }
        }
    }

    /// Queues a message without waiting: [`next_event`](Self::next_event) brings
    /// its report, also if it came while another was waited for (the last 1,024 are
    /// kept). Messages that are queued together are pipelined.
    pub fn enqueue(&mut self, envelope: Envelope, body: impl Into<Body>) -> TransactionId {
        self.driver.machine_mut().send(envelope, body.into())
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

    /// Waits for the next thing that happens: a report, a line of the trace, the
    /// end. `None` once the session is over.
    ///
    /// Waits for the server's next word even if nothing is under way.
    pub fn next_event(&mut self) -> Option<Event> {
        match self.kept.take() {
            Some(event) => Some(event),
            None => self.happens(),
        }
    }

    fn keep(&mut self, event: Event) {
        self.kept.keep(event, self.driver.machine_mut());
    }

    fn happens(&mut self) -> Option<Event> {
        self.happens_unless(|_| false)
    }

    fn happens_unless(
        &mut self,
        enough: fn(&postwire_transport::tls::Connection) -> bool,
    ) -> Option<Event> {
        loop {
            match self.driver.next_event_unless(enough)? {
                Event::CredentialsWanted(refused) => self.fetch_credentials(refused),
                Event::Closed(why) => {
                    self.ended_by.clone_from(&why);
                    return Some(Event::Closed(why));
                }
                event => return Some(event),
            }
        }
    }

    /// Wanted only where there is someone to ask.
    fn fetch_credentials(&mut self, refused: Option<Error>) {
        if let Some(source) = &self.credentials {
            let fetch = source.fetch(refused);
            if let Some(fetched) = self.driver.wait_for(fetch) {
                let _ = self.driver.machine_mut().credentials_fetched(fetched);
            }
        }
    }

    /// Ends the session after this time, as a time-out does.
    pub(crate) fn limit_time(&mut self, left: Option<Duration>) {
        self.driver.limit_time(left);
    }

    /// Takes in what the server has said already.
    pub(crate) fn glance(&mut self) {
        self.driver.glance();
    }

    /// Takes the next report if there is one already.
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

    /// Says `QUIT`, and leaves without waiting for the reply.
    pub(crate) fn depart(mut self) {
        self.begin_quit();
        self.driver.write_out();
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
    pub fn quit(mut self) -> Result<(), Error> {
        self.begin_quit();
        while self.next_event().is_some() {}
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
