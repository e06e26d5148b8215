//! The dialogue with the server, which all phases of a session share: the output, the expected
//! replies, the facts learnt about the server, and the events for the program.
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
use super::session::KEPT_REPLIES;
use super::trace::{Speaker, TraceLine};
use crate::{Capabilities, ClientConfig, Mechanism, Redaction, Reply, ReplyRef, TlsInfo, command};

pub(super) struct Dialogue {
    pub(super) config: Arc<ClientConfig>,
    pub(super) output: OutputQueue,
    pub(super) events: EventQueue,
    pub(super) redaction: Redaction,
    pub(super) learnt: Learnt,
    awaited: VecDeque<Expectation>,
    /// The number of completed waits: for replies, handshakes and credentials.
    waits_over: u64,
}

/// The facts learnt about the server and this session.
#[derive(Debug, Default)]
pub(super) struct Learnt {
    pub(super) greeting: Option<Reply>,
    pub(super) capabilities: Option<Arc<Capabilities>>,
    pub(super) tls: Option<TlsInfo>,
    /// The mechanism that authenticated the client.
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

    /// Expects one more reply to the command that was just answered.
    pub(super) fn expect_another(&mut self, command: Awaited) {
        self.waits_over += 1;
        self.awaited.push_front(Expectation {
            command,
            complete_at: self.output.taken(),
            sent_ahead: false,
        });
    }

    // ---- what is awaited

    /// The next expected reply.
    pub(super) fn head(&self) -> Option<Expectation> {
        self.awaited.front().copied()
    }

    /// The last command that was written, if its reply is outstanding.
    pub(super) fn last_awaited(&self) -> Option<Awaited> {
        self.awaited.back().map(|last| last.command)
    }

    /// The number of expected replies.
    pub(super) fn outstanding(&self) -> usize {
        self.awaited.len()
    }

    pub(super) fn is_nothing_awaited(&self) -> bool {
        self.awaited.is_empty()
    }

    /// Removes the first expectation, because its reply arrived.
    pub(super) fn expectation_met(&mut self) {
        self.awaited.pop_front();
        self.waits_over += 1;
    }

    /// Records the end of a wait for something other than a reply, so that the next wait gets a
    /// new deadline.
    pub(super) fn wait_is_over(&mut self) {
        self.waits_over += 1;
    }

    pub(super) fn waits_over(&self) -> u64 {
        self.waits_over
    }

    /// Releases the memory of earlier flights.
    pub(super) fn release_memory(&mut self) {
        self.output.release();
        self.events.release_memory();
        self.awaited.shrink_to(KEPT_REPLIES);
    }

    /// Discards the output and all expectations.
    pub(super) fn discard_all(&mut self) {
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

    /// The reply as an owned value, with secrets redacted.
    pub(super) fn owned(&self, reply: ReplyRef<'_>) -> Reply {
        self.redaction.reply(reply)
    }
}
