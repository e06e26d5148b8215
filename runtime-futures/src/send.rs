//! The transport: executes the steps of each send. Must never decide what the next step is.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use futures_io::{AsyncRead, AsyncWrite};
use postwire_transport::adapter::{Dispatch, Sending, Step, verdict};
use postwire_transport::proto::{Body, Clock, Envelope, Error, Instant, Report, SendError};
use postwire_transport::{Counters, StreamBody, TransportConfig};

use crate::runtime::Timer;
use crate::source::Nothing;
use crate::{Connection, Runtime, WithConnector};

type Live<R> = Connection<<R as Runtime>::Stream, R>;

/// A transport: sends mail through one server, with a pool of connections.
///
/// Cheap to clone. Clones share the pool. Adapters define an alias of this type with their own
/// runtime.
pub struct Transport<R: Runtime> {
    dispatch: Arc<Dispatch<Live<R>>>,
    runtime: R,
    clock: Clock,
}

impl<R: Runtime> Clone for Transport<R> {
    fn clone(&self) -> Self {
        Self {
            dispatch: Arc::clone(&self.dispatch),
            runtime: self.runtime.clone(),
            clock: self.clock,
        }
    }
}

impl<R: Runtime> fmt::Debug for Transport<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("config", self.config())
            .finish_non_exhaustive()
    }
}

impl<R: Runtime + Default> From<TransportConfig> for Transport<R> {
    fn from(config: TransportConfig) -> Self {
        Self::new(R::default(), config)
    }
}

impl<R: Runtime + Default> Transport<R> {
    postwire_transport::transport_constructors!();

    /// Creates a transport whose connections are made by a function of the program: through a
    /// proxy, over a pipe. The pool, TLS and all else work as over sockets.
    ///
    /// The host of `config` is the name that TLS verifies. It is not resolved, and addresses, a Unix
    /// socket and socket options in `config` have no effect.
    pub fn with_connector<C, F, S>(
        config: TransportConfig,
        connector: C,
    ) -> Transport<WithConnector<R, C>>
    where
        C: Fn() -> F + Clone + Send + Sync + Unpin + 'static,
        F: Future<Output = io::Result<S>> + Send,
        S: AsyncRead + AsyncWrite + Send + Sync + Unpin + 'static,
    {
        let runtime = WithConnector::new(R::default(), connector);
        Transport::new(runtime, config.by_connector())
    }
}

impl<R: Runtime> Transport<R> {
    /// Creates a transport to the server in `config`, without connecting.
    pub fn new(runtime: R, config: TransportConfig) -> Self {
        Self {
            dispatch: Dispatch::new(config),
            runtime,
            clock: Clock::new(),
        }
    }

    /// The configuration of the transport.
    pub fn config(&self) -> &TransportConfig {
        self.dispatch.config()
    }

    /// Sends one message over a pooled or a new connection.
    ///
    /// Messages of up to 1 MiB that are sent at the same time share connections and their flights:
    /// see [`PoolConfig::max_queued`](postwire_transport::PoolConfig::max_queued). A new connection
    /// is opened, up to the limit, where opening it takes less time than waiting.
    ///
    /// If a message is certainly not sent because a pooled connection was lost, the transport
    /// retries once over a new connection. Recipients that exceed the limits of one session
    /// (RFC 9422) are sent to over further connections.
    ///
    /// # Cancellation
    ///
    /// If the future is dropped while its message is under way, and other sends share the
    /// connection, the message is finished with theirs; otherwise the connection is closed. In both
    /// cases the report is then available from [`abandoned`](Self::abandoned). If the future is
    /// dropped before the message is queued on a connection, the message is not sent and there is
    /// no report.
    ///
    /// No task runs in the background: one of the sends that share a connection moves its octets
    /// whenever it is polled. A future that is neither polled nor dropped may hold up the others on
    /// its connection, at most until their `timeout`.
    ///
    /// # Errors
    ///
    /// [`SendError`] if the message is not accepted, or not for every recipient. It contains the
    /// whole report, and says [whether to retry](SendError::retry).
    pub async fn send(
        &self,
        envelope: &Envelope,
        body: impl Into<Body>,
    ) -> Result<Report, SendError> {
        let sending = self.dispatch.send_one(envelope, body.into());
        self.report_on(sending, envelope, Nothing).await
    }

    /// Sends one message whose content is read piece by piece, for example the
    /// [`chunks`](crate::chunks) of a file of any length. Only one window of it is in memory.
    ///
    /// The future may be dropped at any point, like that of [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// [`SendError`] if the message is not accepted, or not for every recipient, or if a piece is
    /// an error. It contains the whole report.
    pub async fn send_stream(
        &self,
        envelope: &Envelope,
        body: StreamBody<impl Stream<Item = io::Result<Bytes>> + Send>,
    ) -> Result<Report, SendError> {
        let (facts, chunks) = body.into_parts();
        let sending = self.dispatch.send_one(envelope, facts);
        self.report_on(sending, envelope, chunks).await
    }

    async fn report_on(
        &self,
        sending: Sending<Live<R>>,
        envelope: &Envelope,
        chunks: impl Stream<Item = io::Result<Bytes>> + Send,
    ) -> Result<Report, SendError> {
        let mut chunks = pin!(chunks);
        let mut carrier = self.carrier(sending);
        let report =
            poll_fn(|cx| carrier.poll_report(cx, || None, |cx| chunks.as_mut().poll_next(cx)));
        verdict(report.await, envelope)
    }

    fn carrier(&self, sending: Sending<Live<R>>) -> Carrier<R> {
        Carrier {
            transport: self.clone(),
            sending,
            opening: None,
            timer: Timer::default(),
        }
    }

    /// Sends many messages, pipelined if the server supports it; [`SendAll::next`] returns one
    /// report for each, in order.
    ///
    /// Uses one connection at a time, and a new one when the connection is lost or has reached
    /// its limits. If the [`SendAll`] is dropped early, the reports on the messages under way are
    /// available from [`abandoned`](Self::abandoned).
    pub fn send_all<I>(&self, messages: I) -> SendAll<R, I::IntoIter>
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
    pub async fn test_connection(&self) -> Result<(), Error> {
        let (runtime, left) = (self.runtime.clone(), self.config().timeout());
        let connection = Connection::open_within(runtime, self.config(), left).await?;
        connection.quit().await
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
    /// A [`SendAll`] with messages under way cannot finish unless it is polled. Later messages are
    /// not sent, with the error [`ShutDown`](postwire_transport::proto::ErrorKind::ShutDown). A
    /// running `send` gets its own report. Returns the reports of [`abandoned`](Self::abandoned).
    pub async fn shutdown(&self) -> Vec<Report> {
        let shutting_down = self.dispatch.shut_down(self.clock.now());
        let mut timer = Timer::default();
        poll_fn(|cx| {
            while let Err(until) = shutting_down.poll(self.clock.now(), cx.waker()) {
                ready!(self.poll_until(&mut timer, until, cx));
            }
            Poll::Ready(())
        })
        .await;
        self.abandoned()
    }

    fn poll_until(&self, timer: &mut Timer<R>, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let left = until.saturating_duration_since(self.clock.now());
        timer.poll(cx, &self.runtime, until, left)
    }
}

/// The reports of [`Transport::send_all`]: a [`Stream`].
pub struct SendAll<R: Runtime, I> {
    carrier: Carrier<R>,
    messages: I,
}

// No field is pinned.
impl<R: Runtime, I> Unpin for SendAll<R, I> {}

impl<R: Runtime, I> fmt::Debug for SendAll<R, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendAll")
            .field("sending", &self.carrier.sending)
            .finish_non_exhaustive()
    }
}

impl<R: Runtime, I: Iterator<Item = (Envelope, Body)>> SendAll<R, I> {
    /// Waits for the next report, in the order of the messages; `None` after the last one.
    ///
    /// The future may be dropped and the method called again. Between the calls, the send has no
    /// place in the queue of the pool.
    pub async fn next(&mut self) -> Option<Report> {
        let asking = Asking(&mut self.carrier);
        let messages = &mut self.messages;
        poll_fn(|cx| {
            asking
                .0
                .poll_report(cx, || messages.next(), |_| Poll::Ready(None))
        })
        .await
    }
}

impl<R: Runtime, I: Iterator<Item = (Envelope, Body)>> Stream for SendAll<R, I> {
    type Item = Report;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Report>> {
        let Self { carrier, messages } = &mut *self;
        carrier.poll_report(cx, || messages.next(), |_| Poll::Ready(None))
    }
}

/// A wait for a report, which pauses the send when it is dropped.
struct Asking<'a, R: Runtime>(&'a mut Carrier<R>);

impl<R: Runtime> Drop for Asking<'_, R> {
    fn drop(&mut self) {
        self.0.opening = None;
        self.0.sending.pause(self.0.transport.clock.now());
    }
}

// The mutex is never locked. It makes the future `Sync`, which its owner must be.
type Opening<R> = Mutex<Pin<Box<dyn Future<Output = Result<Live<R>, Error>> + Send>>>;

/// Executes the steps of one send.
struct Carrier<R: Runtime> {
    transport: Transport<R>,
    sending: Sending<Live<R>>,
    /// The connection that is being opened.
    opening: Option<Opening<R>>,
    timer: Timer<R>,
}

impl<R: Runtime> Carrier<R> {
    fn poll_report(
        &mut self,
        cx: &mut Context<'_>,
        mut next_message: impl FnMut() -> Option<(Envelope, Body)>,
        mut next_chunk: impl FnMut(&mut Context<'_>) -> Poll<Option<io::Result<Bytes>>>,
    ) -> Poll<Option<Report>> {
        let transport = &self.transport;
        let clock = transport.clock;
        loop {
            match self.sending.next_step(clock.now()) {
                Step::Message(message) => message.give(next_message()),
                Step::Wait(mut wait) => {
                    while let Err(until) = wait.poll(clock.now(), cx.waker()) {
                        let Some(until) = until else {
                            return Poll::Pending;
                        };
                        ready!(transport.poll_until(&mut self.timer, until, cx));
                    }
                }
                Step::Glance(glance) => glance.look(|connection| connection.glance(cx)),
                Step::Open(open) => {
                    let (runtime, config) = (&transport.runtime, transport.config());
                    let opening = self.opening.get_or_insert_with(|| {
                        let (runtime, config) = (runtime.clone(), config.clone());
                        let left = open.time_left();
                        Mutex::new(Box::pin(async move {
                            Connection::open_within(runtime, &config, left).await
                        }))
                    });
                    let opening = opening.get_mut().unwrap_or_else(PoisonError::into_inner);
                    let opened = ready!(opening.as_mut().poll(cx));
                    self.opening = None;
                    open.opened(clock.now(), opened);
                }
                Step::Drive(mut drive) => {
                    if drive.wants_chunk()
                        && let Poll::Ready(next) = next_chunk(cx)
                    {
                        drive.give_chunk(next);
                    }
                    match drive.line().poll_drive_to_event(cx) {
                        Poll::Ready(event) => drive.on_event(clock.now(), event),
                        Poll::Pending => {
                            drive.park(cx.waker());
                            return Poll::Pending;
                        }
                    }
                }
                Step::Report(report) => return Poll::Ready(Some(report)),
                Step::Done => return Poll::Ready(None),
            }
        }
    }
}

impl<R: Runtime> Drop for Carrier<R> {
    fn drop(&mut self) {
        self.opening = None;
        self.sending.leave(self.transport.clock.now());
    }
}
