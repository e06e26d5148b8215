//! A server to send mail through, and how.

use std::collections::VecDeque;
use std::iter::Fuse;

use postwire_tls::proto::{Body, Envelope, Error, ErrorKind, Event, Report, SendError, Stage};
use postwire_tls::{ConfigError, TransportBuilder, TransportConfig};

use crate::Connection;

/// A server to send mail through.
///
/// Cheap to clone, and shared by threads. Each [`send`](Self::send) opens a
/// connection; [`send_all`](Self::send_all) sends many over one.
#[derive(Clone, Debug)]
pub struct Transport {
    config: TransportConfig,
}

impl From<TransportConfig> for Transport {
    fn from(config: TransportConfig) -> Self {
        Self { config }
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
        &self.config
    }

    /// Sends one message.
    ///
    /// # Errors
    ///
    /// The server did not take it: the error holds the whole report.
    pub fn send(&self, envelope: &Envelope, body: impl Into<Body>) -> Result<Report, SendError> {
        let message = (envelope.clone(), body.into());
        let mut reports = self.send_all([message]);
        let report = reports.next();
        let report = report.unwrap_or_else(|| Report::not_sent(envelope, session_over()));
        report.into_result()
    }

    /// Sends many messages over one connection, pipelined where the server has
    /// it. Gives one report for each, in order; sending goes on as they are
    /// taken.
    pub fn send_all(
        &self,
        messages: impl IntoIterator<Item = (Envelope, Body)>,
    ) -> impl Iterator<Item = Report> {
        Reports {
            config: self.config.clone(),
            messages: messages.into_iter().fuse(),
            waiting: VecDeque::new(),
            connection: None,
        }
    }
}

/// How many messages are given to the session ahead of their reports.
const AHEAD: usize = 16;

/// The reports of [`Transport::send_all`].
struct Reports<I> {
    config: TransportConfig,
    messages: Fuse<I>,
    waiting: VecDeque<Waiting>,
    connection: Option<Result<Connection, Error>>,
}

/// A message whose report was not given out yet.
enum Waiting {
    Settled(Report),
    UnderWay(Envelope),
}

impl<I: Iterator<Item = (Envelope, Body)>> Reports<I> {
    /// Keeps the session supplied.
    fn refill(&mut self) {
        while self.waiting.len() < AHEAD {
            let Some((envelope, body)) = self.messages.next() else {
                if let Some(Ok(connection)) = &mut self.connection {
                    connection.begin_quit();
                }
                return;
            };
            let waiting = self.begin(envelope, body);
            self.waiting.push_back(waiting);
        }
    }

    fn begin(&mut self, envelope: Envelope, body: Body) -> Waiting {
        // What nobody could take is refused before anyone is called.
        if let Err(why) = self.config.client_config().check(&envelope, &body) {
            let error = Error::new(Stage::Mail, ErrorKind::Unsendable(why));
            return Waiting::Settled(Report::not_sent(&envelope, error));
        }
        let connection = self
            .connection
            .get_or_insert_with(|| Connection::connect(&self.config));
        match connection {
            Ok(connection) => {
                connection.enqueue(envelope.clone(), body);
                Waiting::UnderWay(envelope)
            }
            Err(error) => Waiting::Settled(Report::not_sent(&envelope, error.clone())),
        }
    }
}

impl<I: Iterator<Item = (Envelope, Body)>> Iterator for Reports<I> {
    type Item = Report;

    fn next(&mut self) -> Option<Report> {
        self.refill();
        let envelope = match self.waiting.pop_front()? {
            Waiting::Settled(report) => return Some(report),
            Waiting::UnderWay(envelope) => envelope,
        };
        if let Some(Ok(connection)) = &mut self.connection {
            while let Some(event) = connection.next_event() {
                if let Event::Report(report) = event {
                    return Some(report);
                }
            }
        }
        // Every message has its report before the session ends.
        Some(Report::not_sent(&envelope, session_over()))
    }
}

impl<I> Drop for Reports<I> {
    fn drop(&mut self) {
        if let Some(Ok(connection)) = self.connection.take() {
            // The reports are out; how QUIT fares concerns nobody.
            let _ = connection.quit();
        }
    }
}

fn session_over() -> Error {
    Error::new(Stage::Mail, ErrorKind::SessionOver)
}
