//! The clients that are compared, behind the same small interface.
//!
//! Knows their names and variants. Must never know how they are measured. Each client sends in
//! the fastest way that its public API offers.

use std::cell::Cell;

use crate::Failure;
use crate::job::{Mail, Target};

mod async_smtp;
mod lettre;
mod mail_send;
mod postwire;
mod raw;

pub(crate) use lettre::{
    BLOCKING_NO_STALL as LETTRE_BLOCKING, TOKIO as LETTRE, TOKIO_NO_STALL as LETTRE_NO_STALL,
};
pub(crate) use postwire::{
    BOLD, BOLD_DATA, CONNECTION, DATA, DEFAULT, SEND, SEND_BOLD, SEND_CAREFUL, SEND_CAREFUL_SMOL,
    SEND_DATA, SEND_SMOL, SEND_TOKIO, SMOL, STREAM, TOKIO,
};
pub(crate) use raw::RAW;

/// A client in one of its variants.
pub(crate) trait Contender {
    fn name(&self) -> &'static str;

    /// Whether each message waits for the peer's delayed ACK: fewer messages are sent then.
    fn stalls(&self) -> bool {
        false
    }

    /// Whether it needs the port that acknowledges at once.
    fn wants_quick_ack(&self) -> bool {
        false
    }

    /// The approximate number of round trips per message: with a long round trip, clients that
    /// need many send fewer messages.
    fn round_trips(&self) -> usize {
        5
    }

    /// Configures the client for a server. Not timed.
    fn prepare(&self, target: &Target) -> Result<Box<dyn Client>, Failure>;
}

/// A configured client.
pub(crate) trait Client {
    /// Opens a session; the connection may be made with the first message.
    fn open(&self) -> Result<Box<dyn Session>, Failure>;

    /// Sends `messages` over `connections` at once. Returns `false` if the client has no pool.
    fn pool(&self, mail: &Mail, messages: usize, connections: usize) -> Result<bool, Failure> {
        let _ = (mail, messages, connections);
        Ok(false)
    }

    /// Sends from several senders at once over at most `connections`: each one sends its next
    /// message when the last one has its verdict. Returns `false` if the client cannot.
    fn concurrent(&self, mail: &Mail, senders: Senders) -> Result<bool, Failure> {
        // A client without a pool has a connection for each sender.
        if senders.connections != senders.count {
            return Ok(false);
        }
        self.pool(mail, senders.count * senders.messages, senders.connections)
    }

    /// Holds many sessions in one process on one thread, and calls `reached` at each stage.
    /// Returns `false` if the client cannot.
    fn crowd(
        &self,
        mail: &Mail,
        crowd: Crowd,
        reached: &mut dyn FnMut(Stage),
    ) -> Result<bool, Failure> {
        let _ = (mail, crowd, reached);
        Ok(false)
    }
}

/// Many sessions in one process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowd {
    /// The sessions that are idle after one message.
    pub(crate) idle: usize,
    /// The sessions that send, at the same time and in addition.
    pub(crate) busy: usize,
    /// The messages of each busy session.
    pub(crate) messages: usize,
}

impl Crowd {
    /// The number of sessions that are opened at the same time.
    pub(crate) const TOGETHER: usize = 50;

    pub(crate) fn sessions(self) -> usize {
        self.idle + self.busy
    }
}

/// A stage of a [`Crowd`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// No session is open.
    Begun,
    /// All sessions are open and idle.
    Idle,
    /// Half of the messages of the busy sessions are sent.
    Busy,
    /// All messages are sent.
    Sent,
}

/// Counts the messages of busy sessions, and tells when half of them are sent.
struct HalfTime {
    sent: Cell<usize>,
    half: usize,
}

impl HalfTime {
    fn new(crowd: Crowd) -> Self {
        Self {
            sent: Cell::new(0),
            half: (crowd.busy * crowd.messages).div_ceil(2),
        }
    }

    /// Counts a message. Returns whether half of them are sent now.
    fn is_reached(&self) -> bool {
        self.sent.set(self.sent.get() + 1);
        self.sent.get() == self.half
    }
}

/// Concurrent senders.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Senders {
    pub(crate) count: usize,
    /// The messages of each sender.
    pub(crate) messages: usize,
    pub(crate) connections: usize,
}

/// One connection.
pub(crate) trait Session {
    /// Prepares the data for [`send`](Self::send), as far as a user of the client has it in
    /// advance. Not timed.
    fn load(&mut self, mail: &Mail, messages: usize) -> Result<(), Failure>;

    /// Sends what was loaded, until the last verdict. Timed.
    fn send(&mut self) -> Result<(), Failure>;
}

/// All clients, the lower bound last.
pub(crate) fn all() -> Vec<Box<dyn Contender>> {
    let mut all = postwire::all();
    all.extend(peers());
    all.push(Box::new(raw::Raw));
    all
}

/// The clients other than postwire.
pub(crate) fn peers() -> Vec<Box<dyn Contender>> {
    let mut peers = async_smtp::all();
    peers.extend(mail_send::all());
    peers.extend(lettre::all());
    peers
}

/// The clients that send one by one, for concurrent senders.
pub(crate) fn concurrent() -> Vec<Box<dyn Contender>> {
    let mut all = postwire::one_by_one();
    all.extend(async_smtp::all());
    all.extend(mail_send::all());
    all.extend(lettre::with_pool());
    all
}

/// The variants of postwire to compare with Postfix's own client.
pub(crate) fn against_postfix() -> Vec<Box<dyn Contender>> {
    postwire::in_all_modes()
}

/// The client with this name.
pub(crate) fn find(name: &str) -> Option<Box<dyn Contender>> {
    let mut all = all();
    all.extend(against_postfix());
    all.into_iter().find(|contender| contender.name() == name)
}

/// The clients of [`all`] with these names.
pub(crate) fn named(names: &[&str]) -> Vec<Box<dyn Contender>> {
    let mut all = all();
    all.retain(|contender| names.contains(&contender.name()));
    all
}

/// A single-threaded runtime: the fastest one for a single connection.
fn current_thread() -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    Ok(builder.enable_all().build()?)
}

/// A multi-threaded runtime for many connections.
fn multi_thread() -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    Ok(builder.worker_threads(2).enable_all().build()?)
}
