//! Those who are compared, each behind the same small face.
//!
//! Knows their names and in which variants they run. Must never know how they are
//! measured. Each sends in the fastest way that its public API offers.

use crate::Failure;
use crate::job::{Mail, Target};

mod async_smtp;
mod lettre;
mod mail_send;
mod postwire;
mod raw;

pub(crate) use postwire::{BOLD, BOLD_DATA, CONNECTION, DATA, DEFAULT, SEND, SMOL, STREAM};
pub(crate) use raw::RAW;

/// A client in one of its variants.
pub(crate) trait Contender {
    fn name(&self) -> &'static str;

    /// Whether each message waits for the peer's delayed ACK: then fewer are sent.
    fn stalls(&self) -> bool {
        false
    }

    /// Whether it is to be given the port that acknowledges at once.
    fn wants_quick_ack(&self) -> bool {
        false
    }

    /// About how many round trips a message takes: at a distance fewer are sent by
    /// those who take many.
    fn round_trips(&self) -> usize {
        5
    }

    /// Configures it for a server; nothing here is timed.
    fn prepare(&self, target: &Target) -> Result<Box<dyn Client>, Failure>;
}

/// A configured client.
pub(crate) trait Client {
    /// A session, which may as well connect with the first message.
    fn open(&self) -> Result<Box<dyn Session>, Failure>;

    /// Sends `messages` over `connections` at once. `false`: has no such thing.
    fn pool(&self, mail: &Mail, messages: usize, connections: usize) -> Result<bool, Failure> {
        let _ = (mail, messages, connections);
        Ok(false)
    }
}

/// One connection.
pub(crate) trait Session {
    /// Makes ready what is given to [`send`](Self::send), as far as the client's
    /// user would have it at hand. Not timed.
    fn load(&mut self, mail: &Mail, messages: usize) -> Result<(), Failure>;

    /// Sends what was loaded, until the last verdict. Timed.
    fn send(&mut self) -> Result<(), Failure>;
}

/// Everyone, the floor last.
pub(crate) fn all() -> Vec<Box<dyn Contender>> {
    let mut all = postwire::all();
    all.extend(peers());
    all.push(Box::new(raw::Raw));
    all
}

/// The others.
pub(crate) fn peers() -> Vec<Box<dyn Contender>> {
    let mut peers = async_smtp::all();
    peers.extend(mail_send::all());
    peers.extend(lettre::all());
    peers
}

/// Those of [`all`] who are named.
pub(crate) fn named(names: &[&str]) -> Vec<Box<dyn Contender>> {
    let mut all = all();
    all.retain(|contender| names.contains(&contender.name()));
    all
}

/// One runtime for a single connection: the fastest there is for it.
fn current_thread() -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    Ok(builder.enable_all().build()?)
}

/// One runtime for many connections.
fn multi_thread() -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    Ok(builder.worker_threads(2).enable_all().build()?)
}
