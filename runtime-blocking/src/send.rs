//! A server to send mail through, and how.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use postwire_transport::proto::{Body, Envelope, Instant, Report, SendError, StreamFacts};
use postwire_transport::{
    Batch, BatchStep, ConfigError, TransportBuilder, TransportConfig, deserves_a_fresh_connection,
};

use crate::pool::{Lease, Shared, session_over};

/// A server to send mail through, with a pool of connections to it.
///
/// Cheap to clone, and shared by threads; clones share the pool.
#[derive(Clone, Debug)]
pub struct Transport {
    shared: Arc<Shared>,
}

impl From<TransportConfig> for Transport {
    fn from(config: TransportConfig) -> Self {
        Self {
            shared: Arc::new(Shared::new(config)),
        }
    }
}

impl Transport {
    /// TLS from the first byte on port 465: [`TransportBuilder::relay`].
    ///
    /// # Errors
    ///
    /// `host` is neither a name nor an address.
    pub fn relay(host: impl Into<String>) -> Result<TransportBuilder<Self>, ConfigError> {
        TransportBuilder::relay(host)
    }

    /// STARTTLS, or nothing is sent, on port 587:
    /// [`TransportBuilder::starttls_relay`].
    ///
    /// # Errors
    ///
    /// `host` is neither a name nor an address.
    pub fn starttls_relay(host: impl Into<String>) -> Result<TransportBuilder<Self>, ConfigError> {
        TransportBuilder::starttls_relay(host)
    }

    /// Plaintext to port 25 of this machine:
    /// [`TransportBuilder::unencrypted_localhost`].
    pub fn unencrypted_localhost() -> TransportBuilder<Self> {
        TransportBuilder::unencrypted_localhost()
    }

    /// What a URL says: [`TransportBuilder::from_url`].
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn from_url(url: impl AsRef<str>) -> Result<TransportBuilder<Self>, ConfigError> {
        TransportBuilder::from_url(url)
    }

    /// Plaintext until told otherwise: [`TransportBuilder::builder_dangerous`].
    pub fn builder_dangerous(host: impl Into<String>) -> TransportBuilder<Self> {
        TransportBuilder::builder_dangerous(host)
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
    /// # Errors
    ///
    /// The server did not take it, or not for every recipient: the error holds the whole
    /// report, and says [whether to try again](SendError::retry).
    pub fn send(&self, envelope: &Envelope, body: impl Into<Body>) -> Result<Report, SendError> {
        let message = (envelope.clone(), body.into());
        let report = self.send_all([message]).next();
        // One message has one report.
        let report = report.unwrap_or_else(|| Report::not_sent(envelope, session_over()));
        report.into_result()
    }

    /// Sends one message whose content is given piece by piece, however long it
    /// is: [`chunks`](crate::chunks) of a file, for one. Only a window of it is in
    /// memory. What is not declared in `facts` (8-bit content, for one) is not
    /// asked of the server.
    ///
    /// # Errors
    ///
    /// The server did not take it, or not for every recipient, or a piece was an error: the
    /// error holds the whole report.
    pub fn send_stream(
        &self,
        envelope: &Envelope,
        facts: &StreamFacts,
        chunks: impl IntoIterator<Item = io::Result<Bytes>>,
    ) -> Result<Report, SendError> {
        let body = Body::stream(facts.clone());
        if let Some(report) = self.refuse(envelope, &body) {
            return report.into_result();
        }
        let mut chunks = chunks.into_iter();
        let (mut fresh, mut untouched) = (false, true);
        let deadline = self.shared.deadline();
        loop {
            let mut lease = match self.shared.lease(fresh, deadline) {
                Ok(lease) => lease,
                Err(error) => return Report::not_sent(envelope, error).into_result(),
            };
            lease.limit_time(deadline);
            let counted = std::iter::from_fn(|| {
                untouched = false;
                chunks.next()
            });
            let report = lease.send_stream(envelope, facts, counted);
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
    /// or, where that is worn or dies, one after the other. Gives one report for
    /// each, in order; sending goes on as they are taken.
    ///
    /// Messages whose reports nobody waits for, since this was dropped midway, are
    /// [`abandoned`](Self::abandoned). A body that is a stream is not sent.
    pub fn send_all<I>(&self, messages: I) -> SendAll<I::IntoIter>
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

    /// Takes the reports of messages that nobody waited for, the oldest first. At
    /// most 1,024 are kept.
    pub fn abandoned(&self) -> Vec<Report> {
        self.shared.take_abandoned()
    }

    /// Closes connections that have stood idle too long. They are closed with
    /// the next `send` anyway; a program that seldom sends may call this now and
    /// then.
    pub fn close_idle(&self) {
        self.shared.close_the_old();
    }

    /// Finishes what is queued, says `QUIT` to every connection and waits until
    /// that is done, at most for
    /// [`shutdown_timeout`](postwire_transport::PoolConfig::shutdown_timeout). Messages given
    /// later are not sent: [`ShutDown`](postwire_transport::proto::ErrorKind::ShutDown). Whoever waits
    /// for a report gets it; the others are given here, as by [`abandoned`](Self::abandoned).
    pub fn shutdown(&self) -> Vec<Report> {
        self.shared.shut_down();
        self.abandoned()
    }
}

/// The reports of [`Transport::send_all`].
#[derive(Debug)]
pub struct SendAll<I> {
    transport: Transport,
    messages: I,
    batch: Batch,
    lease: Option<Lease>,
}

impl<I: Iterator<Item = (Envelope, Body)>> SendAll<I> {
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

    fn connect(&mut self, deadline: Option<Instant>) {
        self.lease = None;
        let fresh = self.batch.wants_fresh();
        match self.transport.shared.lease(fresh, deadline) {
            Ok(mut lease) => {
                lease.limit_time(deadline);
                self.batch.connected(lease.is_reused());
                self.lease = Some(lease);
            }
            Err(error) => self.batch.failed(error),
        }
    }
}

impl<I: Iterator<Item = (Envelope, Body)>> Iterator for SendAll<I> {
    type Item = Report;

    fn next(&mut self) -> Option<Report> {
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
                BatchStep::Connect => self.connect(deadline),
                BatchStep::Enqueue(envelope, body) => {
                    if let Some(lease) = &mut self.lease {
                        lease.enqueue(&envelope, body);
                    }
                }
                BatchStep::Await => match self.lease.as_mut().and_then(Lease::next_report) {
                    Some(report) => self.batch.reported(report),
                    None => self.batch.disconnected(),
                },
                BatchStep::Done => {
                    self.lease = None;
                    return None;
                }
            }
        }
    }
}

impl<I> Drop for SendAll<I> {
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
