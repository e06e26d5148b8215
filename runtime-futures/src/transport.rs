//! A server to send mail through, and how.

use std::collections::VecDeque;
use std::fmt;
use std::iter::Fuse;
use std::sync::Arc;

use postwire_tls::TransportConfig;
use postwire_tls::proto::{
    Body, Envelope, Error, ErrorKind, Report, SendError, Stage, deserves_a_fresh_connection,
};

use crate::Runtime;
use crate::pool::{Lease, Shared};

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
    /// more over another.
    ///
    /// # Cancellation
    ///
    /// A future that is dropped midway closes its connection. What became of the
    /// message ([`Outcome::NotSent`](postwire_tls::proto::Outcome::NotSent), or in
    /// doubt if its end had gone out) can be asked for with
    /// [`abandoned`](Self::abandoned); dropped before a connection was had, it was
    /// not sent and leaves no trace.
    ///
    /// # Errors
    ///
    /// The server did not take it: the error holds the whole report.
    pub async fn send(
        &self,
        envelope: &Envelope,
        body: impl Into<Body>,
    ) -> Result<Report, SendError> {
        let body = body.into();
        if let Some(report) = self.refuse(envelope, &body) {
            return report.into_result();
        }
        loop {
            let mut lease = match self.shared.lease().await {
                Ok(lease) => lease,
                Err(error) => return Report::not_sent(envelope, error).into_result(),
            };
            lease.enqueue(envelope, body.clone());
            let report = lease.next_report().await;
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
    /// it: [`SendAll::next`] gives one report for each, in order.
    pub fn send_all<I>(&self, messages: I) -> SendAll<R, I::IntoIter>
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

    /// Takes the reports of messages whose `send` was dropped midway, the oldest
    /// first. At most 1,024 are kept.
    pub fn abandoned(&self) -> Vec<Report> {
        self.shared.take_abandoned()
    }

    /// Closes connections that have stood idle too long. They are closed with
    /// the next `send` anyway; a program that seldom sends may call this from a
    /// timer of its own.
    pub fn close_idle(&self) {
        self.shared.close_the_old();
    }

    /// Finishes what is queued and says `QUIT` to every connection. Messages
    /// given later are not sent.
    pub async fn shutdown(&self) {
        self.shared.shut_down().await;
    }
}

/// How many messages are given to the session ahead of their reports.
const AHEAD: usize = 16;

/// The reports of [`Transport::send_all`].
pub struct SendAll<R: Runtime, I> {
    transport: Transport<R>,
    messages: Fuse<I>,
    waiting: VecDeque<Waiting>,
    lease: Option<Result<Lease<R>, Error>>,
}

/// A message whose report was not given out yet.
enum Waiting {
    Settled(Report),
    UnderWay(Envelope),
}

impl<R: Runtime, I> fmt::Debug for SendAll<R, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendAll")
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}

impl<R: Runtime, I: Iterator<Item = (Envelope, Body)>> SendAll<R, I> {
    /// The next report, in the order of the messages; `None` after the last.
    pub async fn next(&mut self) -> Option<Report> {
        while self.waiting.len() < AHEAD {
            let Some((envelope, body)) = self.messages.next() else {
                break;
            };
            if let Some(report) = self.transport.refuse(&envelope, &body) {
                self.waiting.push_back(Waiting::Settled(report));
                continue;
            }
            if self.lease.is_none() {
                self.lease = Some(self.transport.shared.lease().await);
            }
            let waiting = match &mut self.lease {
                Some(Ok(lease)) => {
                    lease.enqueue(&envelope, body);
                    Waiting::UnderWay(envelope)
                }
                Some(Err(error)) => Waiting::Settled(Report::not_sent(&envelope, error.clone())),
                None => Waiting::Settled(Report::not_sent(&envelope, session_over())),
            };
            self.waiting.push_back(waiting);
        }
        let report = match self.waiting.front()? {
            Waiting::Settled(report) => report.clone(),
            Waiting::UnderWay(envelope) => {
                let report = match &mut self.lease {
                    Some(Ok(lease)) => lease.next_report().await,
                    _ => None,
                };
                report.unwrap_or_else(|| Report::not_sent(envelope, session_over()))
            }
        };
        self.waiting.pop_front();
        if self.waiting.is_empty() && self.messages.size_hint().1 == Some(0) {
            self.lease = None;
        }
        Some(report)
    }
}

fn session_over() -> Error {
    Error::new(Stage::Mail, ErrorKind::SessionOver)
}
