//! The dialogue with the server, as every phase of a session carries it on: what is written,
//! which replies are awaited, what was learnt, and the events for the program.
//!
//! Knows that replies come in the order of the commands (RFC 5321 §4.1.1). Must never know
//! what a reply means, or which command comes next.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::events::EventQueue;
use super::expectation::{Awaited, Expectation};
use super::output::OutputQueue;
use super::trace::{Speaker, TraceLine};
use crate::{Capabilities, ClientConfig, Mechanism, Redaction, Reply, ReplyRef, TlsInfo, command};

pub(super) struct Dialogue {
    pub(super) config: Arc<ClientConfig>,
    pub(super) output: OutputQueue,
    pub(super) events: EventQueue,
    pub(super) redaction: Redaction,
    pub(super) learnt: Learnt,
    awaited: VecDeque<Expectation>,
    /// How many waits are over: for replies, handshakes and credentials.
    waits_over: u64,
}

/// What is known of the server and of this session.
#[derive(Debug, Default)]
pub(super) struct Learnt {
    pub(super) greeting: Option<Reply>,
    pub(super) capabilities: Option<Arc<Capabilities>>,
    pub(super) tls: Option<TlsInfo>,
    /// The mechanism by which the client is authenticated.
    pub(super) mechanism: Option<Mechanism>,
}

impl Dialogue {
    pub(super) fn new(config: Arc<ClientConfig>) -> Self {
        Self {
            output: OutputQueue::new(config.limits.output_window),
            events: EventQueue::default(),
            redaction: config.redaction(),
            learnt: Learnt::default(),
            awaited: VecDeque::new(),
            waits_over: 0,
            config,
        }
    }

    // ---- what is written

    /// Writes a command and expects its reply.
    pub(super) fn write_command(&mut self, command: Awaited, write: impl FnOnce(&mut Vec<u8>)) {
        self.write_line(write);
        self.expect(command);
    }

    /// Writes a line and traces it.
    pub(super) fn write_line(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let written = self.output.write_text(write);
        if self.config.trace {
            let line = TraceLine::new(Speaker::Client, command::line(written));
            self.trace(line);
        }
    }

    /// Expects a reply to what was written last.
    pub(super) fn expect(&mut self, command: Awaited) {
        self.awaited.push_back(Expectation {
            command,
            complete_at: self.output.queued(),
            sent_ahead: !self.awaited.is_empty(),
        });
    }

    /// Expects one more reply to a command, of which one was just received.
    pub(super) fn expect_another(&mut self, command: Awaited) {
        self.waits_over += 1;
        self.awaited.push_front(Expectation {
            command,
            complete_at: self.output.taken(),
            sent_ahead: false,
        });
    }

    // ---- what is awaited

    /// The reply that comes next.
    pub(super) fn head(&self) -> Option<Expectation> {
        self.awaited.front().copied()
    }

    /// The command that was written last, if its reply is awaited.
    pub(super) fn last_awaited(&self) -> Option<Awaited> {
        self.awaited.back().map(|last| last.command)
    }

    /// How many replies are awaited.
    pub(super) fn outstanding(&self) -> usize {
        self.awaited.len()
    }

    pub(super) fn is_nothing_awaited(&self) -> bool {
        self.awaited.is_empty()
    }

    /// The reply that comes next is here.
    pub(super) fn met(&mut self) {
        self.awaited.pop_front();
        self.waits_over += 1;
    }

    /// A wait for something other than a reply is over: the next one has a deadline of its own.
    pub(super) fn wait_is_over(&mut self) {
        self.waits_over += 1;
    }

    pub(super) fn waits_over(&self) -> u64 {
        self.waits_over
    }

    /// Nothing more is written, and no reply is awaited.
    pub(super) fn cease(&mut self) {
        self.output.discard();
        self.awaited.clear();
    }

    // ---- what is shown

    pub(super) fn trace(&mut self, line: TraceLine) {
        if self.config.trace {
            self.events.trace(line, self.config.limits.trace_lines);
        }
    }

    pub(super) fn trace_client(&mut self, text: core::fmt::Arguments<'_>) {
        if self.config.trace {
            let text = alloc::fmt::format(text);
            self.trace(TraceLine::new(Speaker::Client, text));
        }
    }

    pub(super) fn trace_server(&mut self, text: &str) {
        if self.config.trace {
            self.trace(TraceLine::new(Speaker::Server, String::from(text)));
        }
    }

    pub(super) fn trace_reply(&mut self, reply: ReplyRef<'_>) {
        if self.config.trace {
            let text = alloc::format!("{}", self.owned(reply));
            self.trace(TraceLine::new(Speaker::Server, text));
        }
    }

    /// The reply, owned, without a secret in it.
    pub(super) fn owned(&self, reply: ReplyRef<'_>) -> Reply {
        self.redaction.reply(reply)
    }
}
