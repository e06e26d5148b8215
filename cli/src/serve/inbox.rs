//! The messages that the web page shows, in memory.
//!
//! Knows how many there may be, and which go first. Must never know how they are shown.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use postwire_server::Received;

use crate::serve::conversation::Arrival;
use crate::serve::web::message::Summary;

/// What a message needs in addition to its octets.
const OVERHEAD: usize = 1_024;

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) messages: usize,
    pub(crate) octets: usize,
}

/// The messages, the oldest first.
#[derive(Debug)]
pub(crate) struct Inbox {
    limits: Limits,
    /// Part of each identifier, so that the page of an earlier run cannot name a message of this
    /// one.
    run: String,
    pub(crate) started: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Arc<StoredMessage>>,
    octets: usize,
    counts: Counts,
}

/// What has happened since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) accepted: u64,
    pub(crate) accepted_octets: u64,
    pub(crate) refused: u64,
    pub(crate) deleted: u64,
    /// Grows with each change of the list.
    pub(crate) version: u64,
}

/// A message, and how it arrived.
#[derive(Debug)]
pub(crate) struct StoredMessage {
    pub(crate) id: String,
    /// Milliseconds since 1970.
    pub(crate) arrived: u64,
    pub(crate) received: Received,
    /// The number of the connection, and the client's address.
    pub(crate) connection: u64,
    pub(crate) peer: String,
    /// The subject of the client's certificate.
    pub(crate) certificate: Option<String>,
    pub(crate) dialogue: String,
    is_read: AtomicBool,
    octets: usize,
    /// Parsed when it is first asked for, so that no message can delay its own reply.
    pub(crate) summary: OnceLock<Summary>,
}

impl StoredMessage {
    pub(crate) fn is_read(&self) -> bool {
        self.is_read.load(Ordering::Relaxed)
    }
}

/// A message that is larger than everything that may be kept.
#[derive(Debug)]
pub(crate) struct TooLarge;

impl Inbox {
    pub(crate) fn new(limits: Limits) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            limits,
            run: format!("{:x}", now.unwrap_or_default().as_millis()),
            started: Instant::now(),
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is made of steps that do not panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a message; the oldest ones make room for it.
    pub(crate) fn add(&self, number: u64, arrival: &Arrival<'_>) -> Result<(), TooLarge> {
        let mut received = arrival.message.clone();
        // The buffer may be twice as large as its content.
        received.content = Bytes::copy_from_slice(&received.content);
        let dialogue = arrival.journal.dialogue();
        let octets = size(&received) + dialogue.len() + OVERHEAD;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let message = StoredMessage {
            id: format!("{}-{number}", self.run),
            arrived: u64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(u64::MAX),
            received,
            connection: arrival.journal.number(),
            peer: arrival.journal.peer().to_owned(),
            certificate: arrival.client.map(|client| client.subject.clone()),
            dialogue,
            is_read: AtomicBool::new(false),
            octets,
            summary: OnceLock::new(),
        };
        let mut state = self.lock();
        state.counts.accepted += 1;
        state.counts.accepted_octets += message.received.content.len() as u64;
        if octets > self.limits.octets || self.limits.messages == 0 {
            return Err(TooLarge);
        }
        while state.messages.len() >= self.limits.messages
            || state.octets + octets > self.limits.octets
        {
            let Some(oldest) = state.messages.pop_front() else {
                break;
            };
            state.octets -= oldest.octets;
        }
        state.octets += octets;
        state.messages.push_back(Arc::new(message));
        state.counts.version += 1;
        Ok(())
    }

    /// Records that a message or a recipient was refused.
    pub(crate) fn on_refusal(&self) {
        self.lock().counts.refused += 1;
    }

    pub(crate) fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// What names the present state of the list; different in every run.
    pub(crate) fn version(&self) -> String {
        format!("{}-{}", self.run, self.counts().version)
    }

    /// The octets of all messages.
    pub(crate) fn octets(&self) -> usize {
        self.lock().octets
    }

    /// All messages, the newest first.
    pub(crate) fn messages(&self) -> Vec<Arc<StoredMessage>> {
        self.lock().messages.iter().rev().cloned().collect()
    }

    /// The message with this identifier, or the newest if it is `latest`.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<StoredMessage>> {
        let state = self.lock();
        if id == "latest" {
            return state.messages.back().cloned();
        }
        let mut messages = state.messages.iter();
        messages.find(|message| message.id == id).cloned()
    }

    /// Marks messages as read or unread.
    pub(crate) fn mark(&self, is_read: bool, wanted: impl Fn(&StoredMessage) -> bool) {
        let mut state = self.lock();
        let mut has_changed = false;
        for message in state.messages.iter().filter(|message| wanted(message)) {
            has_changed |= message.is_read.swap(is_read, Ordering::Relaxed) != is_read;
        }
        state.counts.version += u64::from(has_changed);
    }

    /// Deletes messages.
    pub(crate) fn delete(&self, unwanted: impl Fn(&StoredMessage) -> bool) {
        let mut state = self.lock();
        let before = state.messages.len();
        state.messages.retain(|message| !unwanted(message));
        let deleted = before - state.messages.len();
        state.octets = state.messages.iter().map(|message| message.octets).sum();
        state.counts.deleted += deleted as u64;
        state.counts.version += u64::from(deleted > 0);
    }
}

/// The octets of a message with its envelope.
fn size(received: &Received) -> usize {
    let recipients = received.recipients.iter();
    let recipients: usize = recipients.map(|recipient| recipient.as_str().len()).sum();
    let parameters = received.parameters.recipients.iter().flatten();
    let parameters: usize = parameters
        .chain(&received.parameters.mail)
        .map(String::len)
        .sum();
    received.content.len() + recipients + parameters + received.hello.len()
}

#[cfg(test)]
mod tests {
    use postwire_blocking::proto::{Endpoint as _, HelloName};
    use postwire_server::{Server, ServerConfig, ServerEvent};

    use super::*;
    use crate::serve::journal::{Journal, Log};

    /// A message as a session reports it.
    fn received(content: &str) -> Received {
        let config = ServerConfig::new(HelloName::localhost());
        let mut server = Server::new(Arc::new(config));
        let input = "HELO me\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\n";
        let input = format!("{input}{content}\r\n.\r\n");
        let start = postwire_blocking::proto::Instant::EPOCH;
        server.handle_input(start, input.as_bytes());
        loop {
            match server.poll_event().unwrap() {
                ServerEvent::Message(message) => return message,
                _ => server.accept().unwrap(),
            }
        }
    }

    fn add(inbox: &Inbox, number: u64, content: &str) -> Result<(), TooLarge> {
        let journal = Journal::new(Log::default(), 1, "here".to_owned());
        let arrival = Arrival {
            message: &received(content),
            client: None,
            journal: &journal,
        };
        inbox.add(number, &arrival)
    }

    fn contents(inbox: &Inbox) -> Vec<usize> {
        let messages = inbox.messages();
        let length = |message: &Arc<StoredMessage>| message.received.content.len() - 2;
        messages.iter().map(length).collect()
    }

    #[test]
    fn the_oldest_make_room() {
        let inbox = Inbox::new(Limits {
            messages: 3,
            octets: 10_000,
        });
        for number in 1..=5 {
            add(&inbox, number, &"x".repeat(number as usize)).unwrap();
        }
        assert_eq!(contents(&inbox), [5, 4, 3]);
        let large = ["x".repeat(900), String::new()].join("\r\n").repeat(8);
        add(&inbox, 6, &large).unwrap();
        assert_eq!(inbox.messages().len(), 2);
        assert!(inbox.octets() <= 10_000);
        // What does not fit alone is not kept, and costs nothing.
        assert!(add(&inbox, 7, &large.repeat(2)).is_err());
        assert_eq!(inbox.messages().len(), 2);
        assert_eq!(inbox.counts().accepted, 7);
    }

    #[test]
    fn messages_are_found_marked_and_deleted() {
        let inbox = Inbox::new(Limits {
            messages: 9,
            octets: 100_000,
        });
        assert!(inbox.get("latest").is_none());
        for number in 1..=3 {
            add(&inbox, number, "x").unwrap();
        }
        let newest = inbox.get("latest").unwrap();
        assert!(newest.id.ends_with("-3"));
        assert!(inbox.get("1").is_none());
        let before = inbox.counts().version;
        inbox.mark(true, |message| message.id == newest.id);
        assert!(newest.is_read());
        assert_eq!(inbox.counts().version, before + 1);
        inbox.mark(true, |message| message.id == newest.id);
        assert_eq!(inbox.counts().version, before + 1);
        inbox.delete(|message| message.id != newest.id);
        assert_eq!(inbox.messages().len(), 1);
        assert_eq!(inbox.counts().deleted, 2);
        inbox.delete(|_| true);
        assert_eq!(inbox.octets(), 0);
    }
}
