//! A server to send mail through, and how.

use std::collections::VecDeque;
use std::iter::Fuse;
use std::sync::Arc;

use postwire_tls::proto::{
    Body, Envelope, Error, ErrorKind, Report, SendError, Stage, deserves_a_fresh_connection,
};
use postwire_tls::{ConfigError, TransportBuilder, TransportConfig};

use crate::pool::{Lease, Shared};

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
    /// more over another.
    ///
    /// # Errors
    ///
    /// The server did not take it: the error holds the whole report.
    pub fn send(&self, envelope: &Envelope, body: impl Into<Body>) -> Result<Report, SendError> {
        let body = body.into();
        if let Some(report) = self.refuse(envelope, &body) {
            return report.into_result();
        }
        loop {
            let mut lease = match self.shared.lease() {
                Ok(lease) => lease,
                Err(error) => return Report::not_sent(envelope, error).into_result(),
            };
            lease.enqueue(envelope, body.clone());
            let report = lease.next_report();
            let report = report.unwrap_or_else(|| Report::not_sent(envelope, session_over()));
            if !deserves_a_fresh_connection(&report, lease.is_reused(), &body) {
                return report.into_result();
            }
            // Others that stand idle are likely as old; each is looked at first,
            // and once all are gone a new one is opened.
        }
    }

    /// What nobody could take is refused before anyone is called.
    fn refuse(&self, envelope: &Envelope, body: &Body) -> Option<Report> {
        let config = self.shared.config.client_config();
        config.refuse(envelope, body)
    }

    /// Sends many messages over one connection, pipelined where the server has
    /// it. Gives one report for each, in order; sending goes on as they are
    /// taken.
    pub fn send_all<I>(&self, messages: I) -> SendAll<I::IntoIter>
    where
        I: IntoIterator<Item = (Envelope, Body)>,
    {
        SendAll {
            transport: self.clone(),
            messages: messages.into_iter().fuse(),
            waiting: VecDeque::new(),
            lease: None,
        }
    }

    /// Closes connections that have stood idle too long. They are closed with
    /// the next `send` anyway; a program that seldom sends may call this now and
    /// then.
    pub fn close_idle(&self) {
        self.shared.close_the_old();
    }

    /// Finishes what is queued, says `QUIT` to every connection and waits until
    /// that is done. Messages given later are not sent.
    pub fn shutdown(&self) {
        self.shared.shut_down();
    }
}

/// How many messages are given to the session ahead of their reports.
const AHEAD: usize = 16;

/// The reports of [`Transport::send_all`].
#[derive(Debug)]
pub struct SendAll<I> {
    transport: Transport,
    messages: Fuse<I>,
    waiting: VecDeque<Waiting>,
    lease: Option<Result<Lease, Error>>,
}

/// A message whose report was not given out yet.
#[derive(Debug)]
enum Waiting {
    Settled(Report),
    UnderWay(Envelope),
}

impl<I: Iterator<Item = (Envelope, Body)>> SendAll<I> {
    /// Keeps the session supplied.
    fn refill(&mut self) {
        while self.waiting.len() < AHEAD {
            let Some((envelope, body)) = self.messages.next() else {
                return;
            };
            let waiting = self.begin(envelope, body);
            self.waiting.push_back(waiting);
        }
    }

    fn begin(&mut self, envelope: Envelope, body: Body) -> Waiting {
        if let Some(report) = self.transport.refuse(&envelope, &body) {
            return Waiting::Settled(report);
        }
        let shared = &self.transport.shared;
        match self.lease.get_or_insert_with(|| shared.lease()) {
            Ok(lease) => {
                lease.enqueue(&envelope, body);
                Waiting::UnderWay(envelope)
            }
            Err(error) => Waiting::Settled(Report::not_sent(&envelope, error.clone())),
        }
    }
}

impl<I: Iterator<Item = (Envelope, Body)>> Iterator for SendAll<I> {
    type Item = Report;

    fn next(&mut self) -> Option<Report> {
        self.refill();
        let envelope = match self.waiting.pop_front()? {
            Waiting::Settled(report) => return Some(report),
            Waiting::UnderWay(envelope) => envelope,
        };
        let report = match &mut self.lease {
            Some(Ok(lease)) => lease.next_report(),
            _ => None,
        };
        // Every message has its report before the session ends.
        Some(report.unwrap_or_else(|| Report::not_sent(&envelope, session_over())))
    }
}

fn session_over() -> Error {
    Error::new(Stage::Mail, ErrorKind::SessionOver)
}
