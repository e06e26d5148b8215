//! What every adapter is tested with: an embedded server that records what it
//! saw, octet by octet, and one list of scenarios.
//!
//! An adapter implements [`Adapter`] and runs [`scenarios::ALL`], so no adapter
//! can drift from the others. One that is futures has an [`futures::Executor`]
//! and needs nothing else.
#![allow(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics"
)]

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

/// The pieces of streamed content.
pub type Pieces = Box<dyn Iterator<Item = io::Result<Bytes>> + Send>;

/// What comes of a command.
pub type Answer = Result<Reply, Error>;

/// An adapter, as a test needs it.
pub trait Adapter {
    /// Sends the messages over one connection, in order, and leaves. One report
    /// for each.
    fn send_all(&self, config: TransportConfig, messages: Vec<(Envelope, Body)>) -> Vec<Report>;

    /// Sends one message through the adapter's transport, does `between`, and
    /// sends it again through the same transport.
    fn send_twice(
        &self,
        config: TransportConfig,
        envelope: &Envelope,
        body: Body,
        between: &dyn Fn(),
    ) -> [Report; 2];

    /// Sends one message whose content comes in pieces, through the adapter's
    /// transport.
    fn send_stream(
        &self,
        config: TransportConfig,
        envelope: &Envelope,
        facts: &StreamFacts,
        pieces: Pieces,
    ) -> Report;

    /// Queues the messages on one connection, asks it the commands one by one, and leaves.
    /// One report for each message and one answer for each command.
    fn ask(
        &self,
        config: TransportConfig,
        messages: Vec<(Envelope, BodySource)>,
        commands: Vec<Command>,
    ) -> (Vec<Report>, Vec<Answer>);

    /// Sends one message through the adapter's transport.
    fn send(&self, config: TransportConfig, envelope: &Envelope, body: Body) -> Report;

    /// Sends the messages from `senders` tasks or threads that share a transport,
    /// then shuts it down. The reports come in any order, each with the number of
    /// its message.
    fn send_concurrently(
        &self,
        config: TransportConfig,
        messages: Vec<(Envelope, Body)>,
        senders: usize,
    ) -> Vec<(usize, Report)>;

    /// Sends the messages, and shuts the transport down once so many reports were taken, while
    /// whatever gives the others is still held. Then sends the first message again.
    fn shut_down_midway(
        &self,
        config: TransportConfig,
        messages: Vec<(Envelope, Body)>,
        taken: usize,
    ) -> Shutdown;
}

/// What came of a shutdown.
#[derive(Debug)]
pub struct Shutdown {
    /// The reports that were taken before.
    pub before: Vec<Report>,
    /// What became of a message that was given afterwards.
    pub after: Report,
    /// The reports that nobody had taken.
    pub left: Vec<Report>,
}

/// A server without TLS.
pub fn plaintext() -> postwire_tls::ServerTls {
    postwire_tls::ServerTls::None
}
