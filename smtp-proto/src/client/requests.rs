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
    /// First the messages that were put back, then those that have not begun, in the order of their
    /// ids and without a gap.
    messages: VecDeque<Queued>,
    /// The number of messages that were put back.
    put_back: usize,
    commands: VecDeque<QueuedCommand>,
    pub(super) reports: Reports,
    next_message: u64,
    next_command: u64,
    pub(super) quit_wanted: bool,
}

#[derive(Debug)]
struct Queued {
    message: Message,
    /// Why the message is certain not to be sent, if it is.
    refused: Option<Error>,
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
        self.messages.push_back(Queued { message, refused });
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
        self.messages.push_front(Queued {
            message: rest,
            refused: None,
        });
        self.put_back += 1;
    }

    /// Concludes the messages at the front that are certain not to be sent.
    #[inline]
    pub(super) fn conclude_refused(&mut self, events: &mut EventQueue) {
        while self.first_is_refused() {
            self.conclude_first(events);
        }
    }

    fn first_is_refused(&self) -> bool {
        let first = self.messages.front();
        first.is_some_and(|first| first.refused.is_some())
    }

    fn conclude_first(&mut self, events: &mut EventQueue) {
        if let Some(Queued { message, refused }) = self.pop_first()
            && let Some(error) = refused
        {
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
        if self.first_is_refused() {
            return None;
        }
        Some(self.pop_first()?.message)
    }

    fn pop_first(&mut self) -> Option<Queued> {
        self.put_back = self.put_back.saturating_sub(1);
        self.messages.pop_front()
    }

    pub(super) fn has_messages(&self) -> bool {
        !self.messages.is_empty()
    }

    pub(super) fn has_commands(&self) -> bool {
        !self.commands.is_empty()
    }

    /// A queued message that is still to be sent.
    pub(super) fn message_mut(&mut self, id: TransactionId) -> Option<&mut Message> {
        let queued = self.queued_mut(id)?;
        queued.refused.is_none().then_some(&mut queued.message)
    }

    /// Whether the message is queued and certain not to be sent.
    pub(super) fn is_refused(&self, id: TransactionId) -> bool {
        let queued = self.place(id).and_then(|at| self.messages.get(at));
        queued.is_some_and(|queued| queued.refused.is_some())
    }

    /// Marks a queued message as not to be sent, because of an error.
    pub(super) fn refuse(&mut self, id: TransactionId, error: Error) {
        if let Some(queued) = self.queued_mut(id) {
            queued.refused.get_or_insert(error);
        }
    }

    fn queued_mut(&mut self, id: TransactionId) -> Option<&mut Queued> {
        let at = self.place(id)?;
        self.messages.get_mut(at)
    }

    /// The place of a queued message. Each piece of a stream asks for it, so only the messages that
    /// were put back are searched.
    fn place(&self, id: TransactionId) -> Option<usize> {
        let is_message = |queued: &Queued| queued.message.id == id;
        let mut put_back = self.messages.iter().take(self.put_back);
        if let Some(at) = put_back.position(is_message) {
            return Some(at);
        }
        let behind = usize::try_from(self.next_message.checked_sub(id.0)?).ok()?;
        let at = self.messages.len().checked_sub(behind)?;
        self.messages.get(at).is_some_and(is_message).then_some(at)
    }

    /// Whether the next command was queued before the next message.
    pub(super) fn command_is_next(&self) -> bool {
        let Some(command) = self.commands.front() else {
            return false;
        };
        let message = self.messages.front();
        message.is_none_or(|queued| queued.message.id.index() >= command.behind)
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
        while let Some(Queued { message, refused }) = self.pop_first() {
            let error = refused.unwrap_or_else(|| error.clone());
            self.conclude_unsent(message, error, events);
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

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;
    use crate::{Body, ErrorKind, Stage};

    fn queue(messages: usize) -> (Requests, Vec<TransactionId>) {
        let mut requests = Requests::default();
        let to = vec!["a@b.example".parse().unwrap()];
        let envelope = Envelope::new(None, to).unwrap();
        let add = |_| requests.add_message(envelope.clone(), Body::from("x").into(), None);
        let ids = (0..messages).map(add).collect();
        (requests, ids)
    }

    fn found(requests: &mut Requests, ids: &[TransactionId]) -> Vec<bool> {
        let found = |id: &TransactionId| {
            let message = requests.message_mut(*id);
            message.is_some_and(|message| message.id == *id)
        };
        ids.iter().map(found).collect()
    }

    #[test]
    fn a_message_is_found_while_it_is_queued() {
        let (mut requests, ids) = queue(4);
        assert_eq!(found(&mut requests, &ids), [true; 4]);
        assert!(requests.message_mut(TransactionId(4)).is_none());
        let first = requests.take_message().unwrap();
        let second = requests.take_message().unwrap();
        assert_eq!(found(&mut requests, &ids), [false, false, true, true]);
        requests.put_back(first);
        assert_eq!(found(&mut requests, &ids), [true, false, true, true]);
        requests.put_back(second);
        assert_eq!(found(&mut requests, &ids), [true; 4]);
    }

    #[test]
    fn a_refused_message_keeps_its_place() {
        let (mut requests, ids) = queue(3);
        requests.refuse(ids[1], Error::new(Stage::Body, ErrorKind::Aborted));
        assert_eq!(found(&mut requests, &ids), [true, false, true]);
        assert!(requests.is_refused(ids[1]) && !requests.is_refused(ids[2]));
        assert_eq!(
            requests.take_message().map(|message| message.id),
            Some(ids[0])
        );
        assert!(requests.take_message().is_none());
        let mut events = EventQueue::default();
        requests.conclude_refused(&mut events);
        assert_eq!(
            requests.take_message().map(|message| message.id),
            Some(ids[2])
        );
    }
}
