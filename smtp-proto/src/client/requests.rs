//! The queue of a session: messages and commands that have not begun, in one order, and whether
//! the program wants to leave.
//!
//! Knows the order, and that every message gets one report and every command one reply. Must
//! never know the server's capabilities.

use alloc::collections::VecDeque;

use super::commands::QueuedCommand;
use super::events::EventQueue;
use super::message::Message;
use super::reports::Reports;
use super::session::KEPT_MESSAGES;
use crate::{BodySource, Command, CommandId, Envelope, Error, Event, TransactionId};

#[derive(Debug, Default)]
pub(super) struct Requests {
    messages: VecDeque<Queued>,
    commands: VecDeque<QueuedCommand>,
    pub(super) reports: Reports,
    next_message: u64,
    next_command: u64,
    pub(super) quit_wanted: bool,
}

#[derive(Debug)]
enum Queued {
    Message(Message),
    /// A message that is certain not to be sent.
    Refused(Message, Error),
}

impl Queued {
    fn message(&self) -> &Message {
        match self {
            Self::Message(message) | Self::Refused(message, _) => message,
        }
    }
}

impl Requests {
    /// Queues a message, or keeps its place for the report if it is not sent.
    pub(super) fn add_message(
        &mut self,
        envelope: Envelope,
        body: BodySource,
        refused: Option<Error>,
    ) -> TransactionId {
        let id = TransactionId(self.next_message);
        self.next_message += 1;
        let message = Message::new(id, envelope, body);
        self.messages.push_back(match refused {
            None => Queued::Message(message),
            Some(error) => Queued::Refused(message, error),
        });
        id
    }

    pub(super) fn release_memory(&mut self) {
        self.messages.shrink_to(KEPT_MESSAGES);
        self.commands.shrink_to_fit();
        self.reports.release_memory();
    }

    pub(super) fn add_command(&mut self, command: Command, refused: Option<Error>) -> CommandId {
        let id = CommandId::new(self.next_command);
        self.next_command += 1;
        let behind = self.next_message;
        self.commands
            .push_back(QueuedCommand::new(id, command, behind, refused));
        id
    }

    /// Puts the remaining recipients of a message before the messages that have not begun.
    pub(super) fn put_back(&mut self, rest: Message) {
        self.messages.push_front(Queued::Message(rest));
    }

    /// Concludes the messages at the front that are certain not to be sent.
    #[inline]
    pub(super) fn conclude_refused(&mut self, events: &mut EventQueue) {
        while matches!(self.messages.front(), Some(Queued::Refused(..))) {
            self.conclude_first(events);
        }
    }

    fn conclude_first(&mut self, events: &mut EventQueue) {
        if let Some(Queued::Refused(message, error)) = self.messages.pop_front() {
            self.conclude_unsent(message, error, events);
        }
    }

    /// Concludes a message that is not sent over this session.
    pub(super) fn conclude_unsent(
        &mut self,
        message: Message,
        error: Error,
        events: &mut EventQueue,
    ) {
        self.reports.begin(message.id, message.portion.is_further());
        self.reports
            .conclude(message.not_sent(error), false, events);
    }

    /// Takes the next message.
    pub(super) fn take_message(&mut self) -> Option<Message> {
        match self.messages.pop_front()? {
            Queued::Message(message) => Some(message),
            refused @ Queued::Refused(..) => {
                self.messages.push_front(refused);
                None
            }
        }
    }

    pub(super) fn has_messages(&self) -> bool {
        !self.messages.is_empty()
    }

    pub(super) fn has_commands(&self) -> bool {
        !self.commands.is_empty()
    }

    /// A queued message that is still to be sent.
    pub(super) fn message_mut(&mut self, id: TransactionId) -> Option<&mut Message> {
        self.messages.iter_mut().find_map(|queued| match queued {
            Queued::Message(message) if message.id == id => Some(message),
            _ => None,
        })
    }

    /// Whether the message is queued and certain not to be sent.
    pub(super) fn is_refused(&self, id: TransactionId) -> bool {
        let mut messages = self.messages.iter();
        messages.any(|queued| matches!(queued, Queued::Refused(message, _) if message.id == id))
    }

    /// Marks a queued message as not to be sent, because of an error.
    pub(super) fn refuse(&mut self, id: TransactionId, error: Error) {
        let mut messages = self.messages.iter();
        if let Some(at) = messages.position(|queued| queued.message().id == id)
            && let Some(Queued::Message(message)) = self.messages.remove(at)
        {
            self.messages.insert(at, Queued::Refused(message, error));
        }
    }

    /// Whether the next command was queued before the next message.
    pub(super) fn command_is_next(&self) -> bool {
        let Some(command) = self.commands.front() else {
            return false;
        };
        let message = self.messages.front();
        message.is_none_or(|queued| queued.message().id.index() >= command.behind)
    }

    pub(super) fn take_command(&mut self) -> Option<QueuedCommand> {
        self.commands.pop_front()
    }

    /// Answers the commands at the front that are certain not to be sent.
    pub(super) fn conclude_refused_commands(&mut self, events: &mut EventQueue) {
        while let Some(command) = self.commands.front_mut()
            && let Some(error) = command.refused.take()
        {
            events.push_back(Event::Reply(command.id, Err(error)));
            self.commands.pop_front();
        }
    }

    /// Concludes all queued messages as not sent, because the session is over.
    pub(super) fn conclude_messages(&mut self, error: &Error, events: &mut EventQueue) {
        while let Some(queued) = self.messages.pop_front() {
            match queued {
                Queued::Message(message) => self.conclude_unsent(message, error.clone(), events),
                Queued::Refused(message, why) => self.conclude_unsent(message, why, events),
            }
        }
    }

    /// Answers all queued commands with `error`, because the session is over.
    pub(super) fn conclude_commands(&mut self, error: &Error, events: &mut EventQueue) {
        while let Some(command) = self.commands.pop_front() {
            let error = command.refused.unwrap_or_else(|| error.clone());
            events.push_back(Event::Reply(command.id, Err(error)));
        }
    }
}
