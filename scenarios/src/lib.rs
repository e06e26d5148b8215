//! The tests of every adapter: an embedded server that records each octet that it
//! receives, and one list of scenarios.
//!
//! An adapter implements [`Adapter`] and runs [`scenarios::ALL`], so that all adapters
//! behave the same. An async adapter only needs a [`futures::Executor`].
#![allow(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

pub mod acknowledgement;
pub mod blocking;
pub mod cancellation;
pub mod certificates;
pub mod chaos;
pub mod futures;
pub mod memory;
pub mod scenarios;
pub mod server;
pub mod strict;

use std::io;

use bytes::Bytes;
use postwire_tls::proto::{Body, BodySource, Command, Envelope, Error, Reply, Report, StreamFacts};
use postwire_transport::TransportConfig;

/// The pieces of a streamed body.
pub type Pieces = Box<dyn Iterator<Item = io::Result<Bytes>> + Send>;

/// The result of a command.
pub type Answer = Result<Reply, Error>;

/// An adapter, with the operations that the tests need.
pub trait Adapter {
    /// Sends the messages in order over one connection, and quits. Returns one report for each.
    fn send_all(&self, config: TransportConfig, messages: Vec<(Envelope, Body)>) -> Vec<Report>;

    /// Sends one message through the adapter's transport, calls `between`, and sends the
    /// message again through the same transport.
    fn send_twice(
        &self,
        config: TransportConfig,
        envelope: &Envelope,
        body: Body,
        between: &dyn Fn(),
    ) -> [Report; 2];

    /// Sends one message with a streamed body through the adapter's transport.
    fn send_stream(
        &self,
        config: TransportConfig,
        envelope: &Envelope,
        facts: &StreamFacts,
        pieces: Pieces,
    ) -> Report;

    /// Queues the messages on one connection, sends the commands one by one, and quits. Returns
    /// one report for each message and one answer for each command.
    fn ask(
        &self,
        config: TransportConfig,
        messages: Vec<(Envelope, BodySource)>,
        commands: Vec<Command>,
    ) -> (Vec<Report>, Vec<Answer>);

    /// Sends one message through the adapter's transport.
    fn send(&self, config: TransportConfig, envelope: &Envelope, body: Body) -> Report;

    /// Sends the messages from `senders` tasks or threads that share a transport, then shuts it
    /// down. Returns the reports in any order, each with the number of its message.
    fn send_concurrently(
        &self,
        config: TransportConfig,
        messages: Vec<(Envelope, Body)>,
        senders: usize,
    ) -> Vec<(usize, Report)>;

    /// Sends the messages, and shuts the transport down after this many reports, while the
    /// source of further reports is still held. Then sends the first message again.
    fn shut_down_midway(
        &self,
        config: TransportConfig,
        messages: Vec<(Envelope, Body)>,
        taken: usize,
    ) -> Shutdown;
}

/// The result of a shutdown.
#[derive(Debug)]
pub struct Shutdown {
    /// The reports before the shutdown.
    pub before: Vec<Report>,
    /// The report for a message that was sent afterwards.
    pub after: Report,
    /// The reports that nobody had received.
    pub left: Vec<Report>,
}

/// A server without TLS.
pub fn plaintext() -> postwire_tls::ServerTls {
    postwire_tls::ServerTls::None
}
