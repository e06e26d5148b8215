//! A server to send mail through, and how.

use std::fmt;
use std::io;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_core::Stream;
use postwire_transport::proto::{Body, Envelope, Instant, Report, SendError, StreamFacts};
use postwire_transport::{Batch, BatchStep, TransportConfig, deserves_a_fresh_connection};

use crate::Runtime;
use crate::pool::{Lease, Shared, session_over};
use crate::source::Counted;

/// A server to send mail through, with a pool of connections to it.
///
/// Cheap to clone; clones share the pool. Adapters name this type with their
/// own runtime and give it the usual constructors.
pub struct Transport<R: Runtime> {
    shared: Arc<Shared<R>>,
}

impl<R: Runtime> Clone for Transport<R> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<R: Runtime> fmt::Debug for Transport<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}

impl<R: Runtime + Default> From<TransportConfig> for Transport<R> {
    fn from(config: TransportConfig) -> Self {
        Self::new(R::default(), config)
    }
}

impl<R: Runtime> Transport<R> {
    /// Sends through the server that `config` names. Nothing is connected yet.
    pub fn new(runtime: R, config: TransportConfig) -> Self {
        Self {
            shared: Arc::new(Shared::new(runtime, config)),
        }
    }

    /// How the server is reached and spoken to.
    pub fn config(&self) -> &TransportConfig {
        &self.shared.config
    }

    /// Sends one message, over a pooled connection or a new one. A message that
    /// was certainly not sent because a pooled connection had died is tried once
    /// more over a fresh one, and recipients that one session has no room for
    /// (RFC 9422) go over others.
    ///
    /// # Cancellation
    ///
    /// A future that is dropped midway closes its connection. What became of the
    /// message ([`Outcome::NotSent`](postwire_transport::proto::Outcome::NotSent), or in
    /// doubt if its end had gone out) can be asked for with
    /// [`abandoned`](Self::abandoned); dropped before a connection was had, it was
    /// not sent and leaves no trace.
    ///
    /// # Errors
    ///
    /// The server did not take it, or not for every recipient: the error holds the whole
    /// report, and says [whether to try again](SendError::retry).
    pub async fn send(
        &self,
        envelope: &Envelope,
        body: impl Into<Body>,
    ) -> Result<Report, SendError> {
        let message = (envelope.clone(), body.into());
        let report = self.send_all([message]).next().await;
        // One message has one report.
        let report = report.unwrap_or_else(|| Report::not_sent(envelope, session_over()));
        report.into_result()
    }

    /// Sends one message whose content is given piece by piece, however long it
    /// is: [`chunks`](crate::chunks) of a file, for one. Only a window of it is in
    /// memory. What is not declared in `facts` (8-bit content, for one) is not
    /// asked of the server.
    ///
    /// May be dropped midway like [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// The server did not take it, or not for every recipient, or a piece was an error: the
    /// error holds the whole report.
    pub async fn send_stream(
        &self,
        envelope: &Envelope,
        facts: &StreamFacts,
        chunks: impl Stream<Item = io::Result<Bytes>> + Send,
    ) -> Result<Report, SendError> {
        let body = Body::stream(facts.clone());
        if let Some(report) = self.refuse(envelope, &body) {
            return report.into_result();
        }
        let mut chunks = pin!(Counted::new(chunks));
        let mut fresh = false;
        let deadline = self.shared.deadline();
        loop {
            let mut lease = match self.shared.lease(fresh, deadline).await {
                Ok(lease) => lease,
                Err(error) => return Report::not_sent(envelope, error).into_result(),
            };
            lease.limit_time(deadline);
            let report = lease.send_stream(envelope, facts, chunks.as_mut()).await;
            let untouched = chunks.is_untouched();
            fresh = deserves_a_fresh_connection(&report, lease.is_reused(), untouched);
            if !fresh {
                return report.into_result();
            }
        }
    }

    /// What nobody could take is refused before anyone is called.
    fn refuse(&self, envelope: &Envelope, body: &Body) -> Option<Report> {
        let config = self.shared.config.client_config();
        config.refuse(envelope, body)
    }

    /// Sends many messages, pipelined where the server has it, over one connection
    /// or, where that is worn or dies, one after the other: [`SendAll::next`] gives
    /// one report for each, in order.
    ///
    /// Messages whose reports nobody waits for, since this was dropped midway, are
    /// [`abandoned`](Self::abandoned). A body that is a stream is not sent.
    pub fn send_all<I>(&self, messages: I) -> SendAll<R, I::IntoIter>
    where
        I: IntoIterator<Item = (Envelope, Body)>,
    {
        SendAll {
            transport: self.clone(),
            messages: messages.into_iter(),
            batch: Batch::new(self.shared.config.pool().max_messages),
            lease: None,
        }
    }

    /// Takes the reports of messages that nobody waited for (whose `send` was dropped
    /// midway), the oldest first. At most 1,024 are kept.
    pub fn abandoned(&self) -> Vec<Report> {
        self.shared.take_abandoned()
    }

    /// Closes connections that have stood idle too long. They are closed with
    /// the next `send` anyway; a program that seldom sends may call this from a
    /// timer of its own.
    pub fn close_idle(&self) {
        self.shared.close_the_old();
    }

    /// Finishes what is queued and says `QUIT` to every connection, at most for
    /// [`shutdown_timeout`](postwire_transport::PoolConfig::shutdown_timeout): a
    /// [`SendAll`] that has messages under way and is not polled meanwhile cannot finish.
    /// Messages given later are not sent:
    /// [`ShutDown`](postwire_transport::proto::ErrorKind::ShutDown). Whoever waits for a report gets
    /// it; the others are given here, as by [`abandoned`](Self::abandoned).
    pub async fn shutdown(&self) -> Vec<Report> {
        self.shared.shut_down().await;
        self.abandoned()
    }
}

/// The reports of [`Transport::send_all`].
pub struct SendAll<R: Runtime, I> {
    transport: Transport<R>,
    messages: I,
    batch: Batch,
    lease: Option<Lease<R>>,
}

impl<R: Runtime, I> fmt::Debug for SendAll<R, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendAll")
            .field("batch", &self.batch)
            .finish_non_exhaustive()
    }
}

impl<R: Runtime, I: Iterator<Item = (Envelope, Body)>> SendAll<R, I> {
    /// The next report, in the order of the messages; `None` after the last. May be
    /// dropped and called again.
    pub async fn next(&mut self) -> Option<Report> {
        self.refill();
        let deadline = self.limit_time();
        loop {
            match self.batch.next_step() {
                BatchStep::Report(report) => {
                    if self.batch.is_empty() {
                        self.lease = None;
                    }
                    return Some(report);
                }
                BatchStep::Connect => self.connect(deadline).await,
                BatchStep::Enqueue(envelope, body) => {
                    if let Some(lease) = &mut self.lease {
                        lease.enqueue(&envelope, body);
                    }
                }
                BatchStep::Await => {
                    let report = match &mut self.lease {
                        Some(lease) => lease.next_report().await,
                        None => None,
                    };
                    match report {
                        Some(report) => self.batch.reported(report),
                        None => self.batch.disconnected(),
                    }
                }
                BatchStep::Done => {
                    self.lease = None;
                    return None;
                }
            }
        }
    }

    /// Begins to count the time until the next report; gives when that ends.
    fn limit_time(&mut self) -> Option<Instant> {
        let deadline = self.transport.shared.deadline();
        if let Some(lease) = &mut self.lease {
            lease.limit_time(deadline);
        }
        deadline
    }

    fn refill(&mut self) {
        while self.batch.wants_more() {
            match self.messages.next() {
                None => self.batch.end(),
                Some((envelope, body)) => match self.transport.refuse(&envelope, &body) {
                    Some(report) => self.batch.add_settled(envelope, body, report),
                    None => self.batch.add(envelope, body),
                },
            }
        }
    }

    async fn connect(&mut self, deadline: Option<Instant>) {
        self.lease = None;
        let fresh = self.batch.wants_fresh();
        match self.transport.shared.lease(fresh, deadline).await {
            Ok(mut lease) => {
                lease.limit_time(deadline);
                self.batch.connected(lease.is_reused());
                self.lease = Some(lease);
            }
            Err(error) => self.batch.failed(error),
        }
    }
}

impl<R: Runtime, I> Drop for SendAll<R, I> {
    /// Nobody waits for the reports that are left.
    fn drop(&mut self) {
        if let Some(mut lease) = self.lease.take() {
            for report in lease.end() {
                self.batch.reported(report);
            }
        }
        self.transport.shared.abandon(self.batch.abandon());
    }
}
