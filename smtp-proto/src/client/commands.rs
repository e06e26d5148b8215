//! Commands beside sending, in the queue of messages: when each is written, and its answer.
//!
//! Knows where in a group of commands they may stand (RFC 2920 §3.1). Must never know what
//! an answer means: whoever asked does.

use alloc::collections::VecDeque;

use super::expectation::Awaited;
use super::session::{Session, State};
use super::trace::{Speaker, TraceLine};
use super::transaction::Progress;
use crate::{Command, Error, ErrorKind, Event, Reply, Stage};

/// Names a command within one session, in the order of [`Client::command`](crate::Client::command).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(u64);

impl CommandId {
    /// Its position among the commands given to this session, from 0.
    pub const fn index(self) -> u64 {
        self.0
    }
}

/// Those that are not answered yet.
#[derive(Debug, Default)]
pub(super) struct Commands {
    waiting: VecDeque<Waiting>,
    /// The first of them was written.
    written: bool,
    next_id: u64,
}

#[derive(Debug)]
struct Waiting {
    id: CommandId,
    command: Command,
    /// How many messages were given before it.
    behind: u64,
    /// Why it is not asked, where that is settled already.
    refused: Option<Error>,
}

impl Commands {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether one was written and is not answered: nothing may be written behind it.
    pub(super) fn is_awaited(&self) -> bool {
        self.written
    }

    fn finish_first(&mut self) -> Option<CommandId> {
        self.written = false;
        self.waiting.pop_front().map(|waiting| waiting.id)
    }
}

impl Session {
    pub(super) fn add_command(&mut self, command: Command) -> CommandId {
        let id = CommandId(self.commands.next_id);
        self.commands.next_id += 1;
        let over = self.quit_wanted || matches!(self.state, State::Leaving(_) | State::Closed);
        self.commands.waiting.push_back(Waiting {
            id,
            command,
            behind: self.next_id,
            refused: over.then(|| Error::new(Stage::Command, ErrorKind::SessionOver)),
        });
        self.settle_commands();
        id
    }

    /// Answers those at the front whose answer is known.
    fn settle_commands(&mut self) {
        while let Some(waiting) = self.commands.waiting.front_mut()
            && let Some(error) = waiting.refused.take()
        {
            self.tell_answer(Err(error));
        }
    }

    /// Whether all that was given before the next command is written, and this one is next.
    pub(super) fn command_is_next(&self) -> bool {
        let Some(waiting) = self.commands.waiting.front() else {
            return false;
        };
        match self.transactions.get(self.writing) {
            None => true,
            Some(transaction) => {
                let is_begun = !matches!(transaction.progress, Progress::Queued);
                !is_begun && transaction.id.index() >= waiting.behind
            }
        }
    }

    /// Whether a message before it may still need another transaction, which goes first. So
    /// many recipients the server is trusted to take at once.
    pub(super) fn a_rest_may_be_left(&self, at_once: usize) -> bool {
        let mut written = self.transactions.iter().take(self.writing);
        written.any(|transaction| transaction.may_leave_a_rest(at_once))
    }

    /// Writes the next command, or answers it here if the server does not know it.
    pub(super) fn write_next_command(&mut self) {
        let Some(waiting) = self.commands.waiting.front() else {
            return;
        };
        if let Some(keyword) = waiting.command.needs()
            && !self.offers(keyword)
        {
            let error = Error::new(Stage::Command, ErrorKind::ExtensionNotOffered(keyword));
            return self.conclude_command(Err(error));
        }
        let line = waiting.command.as_str();
        self.output.write_text(|out| {
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(b"\r\n");
        });
        if self.config.trace {
            // It is the program's own, and may hold what is secret.
            let line = TraceLine::new(Speaker::Client, self.redaction.text(line));
            self.trace(line);
        }
        self.commands.written = true;
        self.expect(Awaited::Command);
    }

    fn offers(&self, keyword: &str) -> bool {
        let mut capabilities = self.capabilities.iter();
        capabilities.any(|capabilities| capabilities.has(keyword))
    }

    /// The first of them is answered.
    pub(super) fn conclude_command(&mut self, reply: Result<Reply, Error>) {
        self.tell_answer(reply);
        self.settle_commands();
    }

    fn tell_answer(&mut self, reply: Result<Reply, Error>) {
        if let Some(id) = self.commands.finish_first() {
            self.events.push_back(Event::Reply(id, reply));
        }
    }

    /// None of them will be answered any more.
    pub(super) fn give_up_commands(&mut self, error: &Error) {
        while !self.commands.is_empty() {
            self.conclude_command(Err(error.clone()));
        }
    }
}
