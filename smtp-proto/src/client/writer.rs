//! The writing cursor: chooses the next command, and decides whether it may be written yet.
//!
//! Pipelining (RFC 2920) is the distance by which this cursor may run ahead of the replies;
//! without it at most one command is outstanding. Must never read a reply: the transactions hold
//! the answers.

use alloc::format;
use core::mem;

use bytes::Bytes;

use super::dialogue::Dialogue;
use super::expectation::{Awaited, Step};
use super::open::Change;
use super::pipeline::Pipeline;
use super::requests::Requests;
use super::sending::{
    Bdat, Content, GUARANTEED_RECIPIENTS, Plan, Progress, Transaction, is_out_of_sequence,
};
use super::trace::{Speaker, TraceLine};
use crate::message::parameters::ServerProperties;
use crate::{Error, ErrorKind, Event, Pipelining, Protocol, ReplyRef, Stage, Violation, command};

/// The result of one step of the writing cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cursor {
    Moved,
    /// The cursor waits for a reply, or for something to write.
    Blocked,
    /// Everything is written, and the program wants to leave.
    AtTheEnd,
}

impl Pipeline {
    /// Writes the next command or the next part of the content.
    pub(super) fn write_next(
        &mut self,
        dialogue: &mut Dialogue,
        requests: &mut Requests,
    ) -> Cursor {
        if self.command.is_some() || self.bdat == Bdat::Asked {
            return Cursor::Blocked;
        }
        match self.current().map(|current| &current.progress) {
            Some(Progress::Recipients(written)) => {
                let written = *written;
                self.write_rcpt(written, dialogue)
            }
            Some(Progress::Content(_)) => self.write_content(dialogue),
            Some(_) => Cursor::Blocked,
            None => match self.begin_next(dialogue, requests) {
                Cursor::Blocked if self.is_unconfirmed() => self.ask_for_confirmation(dialogue),
                cursor => cursor,
            },
        }
    }

    /// Begins what the program asked for next.
    fn begin_next(&mut self, dialogue: &mut Dialogue, requests: &mut Requests) -> Cursor {
        if requests.command_is_next() {
            self.write_command(dialogue, requests)
        } else if requests.has_messages() {
            self.write_mail(dialogue, requests)
        } else {
            self.end_if_wanted(dialogue, requests)
        }
    }

    // ---- how far ahead

    /// How far to run ahead of this server's replies.
    fn mode(&self) -> Pipelining {
        if self.capabilities.pipelining() {
            self.pipelining
        } else {
            Pipelining::Off
        }
    }

    /// Whether one more command may be outstanding.
    fn may_write(&self, dialogue: &Dialogue) -> bool {
        let limit = match self.mode() {
            Pipelining::Off => 1,
            Pipelining::Careful | Pipelining::Bold => {
                dialogue.config.limits.outstanding_replies.max(1)
            }
        };
        dialogue.outstanding() < limit
    }

    /// Whether a command may be written while content is unanswered.
    ///
    /// Many servers drop what follows the final dot, or take it for content. In LMTP, content
    /// gets several replies; if one is missing, the reply to the next command would be taken for
    /// it.
    fn may_follow_content(&self, dialogue: &Dialogue) -> bool {
        let lmtp = dialogue.config.protocol == Protocol::Lmtp;
        match dialogue.last_awaited() {
            Some(Awaited::Transaction(_, step)) if lmtp && step.ends_content() => false,
            Some(Awaited::Transaction(_, Step::EndOfData)) => self.mode() == Pipelining::Bold,
            _ => true,
        }
    }

    /// Whether an earlier message may still need another transaction, which goes first. The
    /// server is assumed to accept `at_once` recipients.
    fn a_rest_may_be_left(&self, at_once: usize) -> bool {
        self.transactions()
            .any(|transaction| transaction.may_leave_a_rest(at_once))
    }

    /// Takes `octets` from the budget for content that is written before the replies to `RCPT`.
    /// Returns whether the budget allows it.
    ///
    /// Never in LMTP: if no recipient is accepted, `BDAT` with `LAST` has no reply at all
    /// (RFC 2033 §4.3), or a `503` of some servers.
    fn speculate(&mut self, octets: u64, dialogue: &Dialogue) -> bool {
        let speculated = self.speculated.saturating_add(octets);
        let lmtp = dialogue.config.protocol == Protocol::Lmtp;
        let is_bold = self.mode() == Pipelining::Bold;
        if lmtp || !is_bold || speculated > dialogue.config.limits.speculation {
            return false;
        }
        self.speculated = speculated;
        if let Some(transaction) = self.current_mut() {
            transaction.speculated = octets;
        }
        true
    }

    // ---- between messages

    /// Writes `RSET` if a transaction is open, or whatever must precede it. Returns whether there
    /// was anything to do.
    fn reset_if_needed(&mut self, dialogue: &mut Dialogue) -> bool {
        if mem::take(&mut self.needs_resync) {
            // Not NOOP, which must be the last command of its group (RFC 2920 §3.1).
            dialogue.write_command(Awaited::Resync, |out| out.extend_from_slice(b"RSET\r\n"));
            return true;
        }
        let needed = self.open.needs_reset();
        if needed {
            self.open.reset_written();
            dialogue.write_command(Awaited::Rset, |out| out.extend_from_slice(b"RSET\r\n"));
        }
        needed
    }

    /// Writes the next command that is not part of a message, or answers it with an error if the
    /// server does not support it. The command is the last one of its group (RFC 2920 §3.1).
    fn write_command(&mut self, dialogue: &mut Dialogue, requests: &mut Requests) -> Cursor {
        // A server never refuses a single recipient as too many.
        let may_write = self.may_write(dialogue) && self.may_follow_content(dialogue);
        if !may_write || self.a_rest_may_be_left(1) {
            return Cursor::Blocked;
        }
        if self.reset_if_needed(dialogue) {
            return Cursor::Moved;
        }
        let Some(queued) = requests.take_command() else {
            debug_assert!(false, "a command is due, and none is queued");
            return Cursor::Blocked;
        };
        self.command = Some(queued.id);
        if let Some(keyword) = queued.command.required_extension()
            && !self.capabilities.has(keyword)
        {
            let error = Error::new(Stage::Command, ErrorKind::ExtensionNotOffered(keyword));
            self.conclude_command(Err(error), dialogue, requests);
            return Cursor::Moved;
        }
        let line = queued.command.as_str();
        dialogue.output.write_text(|out| {
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(b"\r\n");
        });
        if dialogue.config.trace {
            // The line comes from the program and may contain a secret.
            let line = dialogue.redaction.text(line);
            dialogue.trace(TraceLine::new(Speaker::Client, line));
        }
        dialogue.expect(Awaited::Command);
        Cursor::Moved
    }

    fn end_if_wanted(&self, dialogue: &Dialogue, requests: &Requests) -> Cursor {
        let may_follow = dialogue.is_nothing_awaited()
            || (self.mode() != Pipelining::Off && self.may_follow_content(dialogue));
        if requests.quit_wanted && may_follow && !self.a_rest_may_be_left(GUARANTEED_RECIPIENTS) {
            Cursor::AtTheEnd
        } else {
            Cursor::Blocked
        }
    }

    /// Writes `RSET` if a verdict waits for the reply to a later command and there is no other
    /// command to write.
    fn ask_for_confirmation(&mut self, dialogue: &mut Dialogue) -> Cursor {
        if !dialogue.is_nothing_awaited() {
            return Cursor::Blocked;
        }
        if !self.reset_if_needed(dialogue) {
            dialogue.write_command(Awaited::Rset, |out| out.extend_from_slice(b"RSET\r\n"));
        }
        Cursor::Moved
    }

    // ---- MAIL, RCPT, DATA or BDAT

    fn write_mail(&mut self, dialogue: &mut Dialogue, requests: &mut Requests) -> Cursor {
        if !self.may_write(dialogue) || !self.may_follow_content(dialogue) {
            return Cursor::Blocked;
        }
        let limits = self.capabilities.limits();
        let has_room = self.used.has_room(limits);
        if has_room && self.reset_if_needed(dialogue) {
            return Cursor::Moved;
        }
        let Some(mut message) = requests.take_message() else {
            debug_assert!(
                false,
                "a message is due, and the queue has none that may be sent"
            );
            return Cursor::Blocked;
        };
        let planned = if has_room {
            let server = ServerProperties {
                capabilities: &self.capabilities,
                tls: dialogue.learnt.tls.as_ref(),
            };
            let planned = message.plan(&dialogue.config, server, self.bdat);
            planned.and_then(|planned| {
                self.used.admit(limits, &mut message)?;
                Ok(planned)
            })
        } else {
            Err(ErrorKind::SessionFull)
        };
        let (plan, parameters) = match planned {
            Ok(planned) => planned,
            // The message is not sent over this session.
            Err(kind) => {
                let error = Error::new(Stage::Mail, kind);
                requests.conclude_unsent(message, error, &mut dialogue.events);
                return Cursor::Moved;
            }
        };
        let serial = self.open.begin();
        requests
            .reports
            .begin(message.id, message.portion.is_further());
        let awaited = Awaited::Transaction(serial, Step::Mail);
        dialogue.write_command(awaited, |out| {
            let envelope = message.sent_envelope();
            command::mail(out, envelope, &parameters, &self.capabilities);
        });
        let mut transaction = Transaction::begin(message, serial, plan);
        transaction.outstanding += 1;
        self.push(transaction);
        Cursor::Moved
    }

    fn write_rcpt(&mut self, written: usize, dialogue: &mut Dialogue) -> Cursor {
        let Some(transaction) = self.current() else {
            return Cursor::Blocked;
        };
        if transaction.is_refused() {
            // The server has not asked for content yet.
            let serial = transaction.serial;
            self.abandon(serial);
            return Cursor::Moved;
        }
        if written == transaction.message.portion.asked() {
            return self.write_data(dialogue);
        }
        if !self.may_write(dialogue) {
            return Cursor::Blocked;
        }
        let awaited = Awaited::Transaction(transaction.serial, Step::Rcpt(written));
        let message = &transaction.message;
        dialogue.write_command(awaited, |out| {
            let position = message.portion.position(written);
            command::rcpt(out, message.sent_envelope(), position, &self.capabilities);
        });
        self.advance(Progress::Recipients(written + 1));
        Cursor::Moved
    }

    /// Counts a written command of the current transaction and sets its progress.
    fn advance(&mut self, progress: Progress) {
        if let Some(transaction) = self.current_mut() {
            transaction.progress = progress;
            transaction.outstanding += 1;
        }
    }

    fn write_data(&mut self, dialogue: &mut Dialogue) -> Cursor {
        let Some(transaction) = self.current() else {
            return Cursor::Blocked;
        };
        let serial = transaction.serial;
        let answered = transaction.recipients_answered();
        if !self.may_write(dialogue) || (transaction.is_all_or_nothing() && !answered) {
            return Cursor::Blocked;
        }
        match (transaction.plan, transaction.announced_octets()) {
            (Plan::Data, _) => {
                let awaited = Awaited::Transaction(serial, Step::Data);
                dialogue.write_command(awaited, |out| out.extend_from_slice(b"DATA\r\n"));
                self.advance(Progress::AwaitingGoAhead);
            }
            (Plan::Bdat { .. }, Some(octets)) => {
                if self.needs_bdat_probe(dialogue)
                    && let Some(octet) = transaction.message.probe_octet()
                {
                    self.write_first_chunk(octet, dialogue);
                    return Cursor::Moved;
                }
                if !answered && !self.speculate(octets, dialogue) {
                    return Cursor::Blocked;
                }
                self.write_bdat(octets, true, dialogue);
                self.begin_chunked();
            }
            (Plan::Bdat { .. }, None) if !answered => return Cursor::Blocked,
            (Plan::Bdat { .. }, None) => self.begin_chunked(),
        }
        Cursor::Moved
    }

    fn begin_chunked(&mut self) {
        if let Some(transaction) = self.current_mut() {
            transaction.begin_chunked();
        }
    }

    // ---- content

    /// Whether it is still unknown if the server reads the octets that a `BDAT` announces.
    fn needs_bdat_probe(&self, dialogue: &Dialogue) -> bool {
        self.bdat != Bdat::Proven && dialogue.config.pipelining != Pipelining::Bold
    }

    /// Writes the first `BDAT` of the session, with a single octet. If the server does not read
    /// the octet as content, or does not support `BDAT`, one octet cannot be a command.
    fn write_first_chunk(&mut self, octet: Bytes, dialogue: &mut Dialogue) {
        let value = octet.first().copied();
        self.write_bdat(1, false, dialogue);
        self.write_chunk_octets(octet, Step::FirstChunk, dialogue);
        self.bdat = Bdat::Asked;
        if let Some(transaction) = self.current_mut()
            && let Plan::Bdat { first_octet, .. } = &mut transaction.plan
        {
            *first_octet = value;
        }
    }

    fn write_bdat(&mut self, octets: u64, last: bool, dialogue: &mut Dialogue) {
        dialogue.write_line(|out| command::bdat(out, octets, last));
        self.note_announcement(dialogue.output.queued());
    }

    fn write_chunk_octets(&mut self, octets: Bytes, step: Step, dialogue: &mut Dialogue) {
        dialogue.output.write_slice(octets);
        if let Some(transaction) = self.current_mut() {
            transaction.outstanding += 1;
            dialogue.expect(Awaited::Transaction(transaction.serial, step));
        }
    }

    /// Begins the content after a `354`. If no recipient was accepted, writes a lone dot
    /// (RFC 2920 §3.1). Returns the error that ends the session if the content is not available, if
    /// even the dot would deliver an empty message, or if it is unknown how many replies the dot
    /// gets.
    pub(super) fn go_ahead(
        &mut self,
        received: ReplyRef<'_>,
        dialogue: &mut Dialogue,
    ) -> Option<Error> {
        let Some(transaction) = self.current_mut() else {
            debug_assert!(
                false,
                "a 354 arrived for a message that is not being written"
            );
            return None;
        };
        if transaction.answers.has_accepted_recipient() {
            if let Some(failure) = transaction.failure() {
                return Some(failure.clone());
            }
            transaction.begin_dotted();
        } else if let Some(reply) = transaction.answers.refusal_within_a_transaction() {
            let kind = ErrorKind::OutOfSequence(reply.clone());
            let error = Error::new(Stage::Mail, kind);
            if is_out_of_sequence(reply) {
                // The refusal is not about this message, which another session can send.
                transaction.fail(error.clone());
            }
            return Some(error);
        } else if dialogue.config.protocol == Protocol::Lmtp {
            // DATA must fail without an accepted recipient (RFC 2033 §4.2).
            let violation = Violation::UnexpectedReply(dialogue.owned(received));
            return Some(Error::new(Stage::Data, ErrorKind::Violation(violation)));
        } else {
            dialogue
                .output
                .write_text(|out| out.extend_from_slice(b".\r\n"));
            dialogue.trace(TraceLine::new(Speaker::Client, "."));
            self.content_complete(dialogue);
        }
        None
    }

    fn write_content(&mut self, dialogue: &mut Dialogue) -> Cursor {
        let may_write = self.may_write(dialogue);
        // LMTP does not define whether a last chunk after a failed chunk gets one reply or one
        // for each recipient.
        let lmtp = dialogue.config.protocol == Protocol::Lmtp;
        let may_write_last = may_write && (!lmtp || dialogue.is_nothing_awaited());
        let output = &mut dialogue.output;
        let window = output.room();
        let Some(transaction) = self.current_mut() else {
            return Cursor::Blocked;
        };
        let is_stream = transaction.message.body.is_stream();
        let source = &mut transaction.message.source;
        let Progress::Content(content) = &mut transaction.progress else {
            debug_assert!(
                false,
                "content is due from a transaction that does not write content"
            );
            return Cursor::Blocked;
        };
        match content {
            Content::Dotted { encoder, rest } => {
                if rest.is_empty()
                    && let Some(chunk) = source.chunks.pop_front()
                {
                    *rest = chunk;
                }
                if !rest.is_empty() {
                    encoder.encode(rest, window, &mut |segment| output.write_segment(segment));
                    return Cursor::Moved;
                }
                if is_stream && !source.ended {
                    return self.ask_for_more(dialogue);
                }
                encoder.finish(&mut |segment| output.write_segment(segment));
            }
            Content::Canonical { encoder, rest } => {
                if !rest.is_empty() {
                    encoder.encode(rest, window, &mut |segment| output.write_segment(segment));
                    return Cursor::Moved;
                }
                encoder.finish(&mut |segment| output.write_segment(segment));
            }
            Content::Whole(whole) => output.write_slice(mem::take(whole)),
            Content::Chunks if !may_write => return Cursor::Blocked,
            Content::Chunks => {
                if let Some(chunk) = source.chunks.pop_front() {
                    return self.write_chunk(chunk, dialogue);
                }
                if !source.ended {
                    return self.ask_for_more(dialogue);
                }
                if !may_write_last {
                    return Cursor::Blocked;
                }
                self.write_bdat(0, true, dialogue);
            }
        }
        self.content_complete(dialogue);
        Cursor::Moved
    }

    fn write_chunk(&mut self, mut chunk: Bytes, dialogue: &mut Dialogue) -> Cursor {
        if chunk.is_empty() {
            return Cursor::Moved;
        }
        if self.needs_bdat_probe(dialogue) {
            let first = chunk.split_to(1);
            self.write_first_chunk(first, dialogue);
            if let Some(transaction) = self.current_mut() {
                transaction.message.source.chunks.push_front(chunk);
            }
            return Cursor::Moved;
        }
        self.write_bdat(chunk.len() as u64, false, dialogue);
        self.write_chunk_octets(chunk, Step::Chunk, dialogue);
        Cursor::Moved
    }

    fn ask_for_more(&mut self, dialogue: &mut Dialogue) -> Cursor {
        if let Some(transaction) = self.current_mut()
            && !transaction.message.source.asked
        {
            transaction.message.source.asked = true;
            let id = transaction.message.id;
            dialogue.events.push_back(Event::BodyWanted(id));
        }
        Cursor::Blocked
    }

    /// Expects the replies to the content, which is completely in the output.
    fn content_complete(&mut self, dialogue: &mut Dialogue) {
        let complete_at = dialogue.output.queued();
        let Some(transaction) = self.current_mut() else {
            debug_assert!(
                false,
                "content was completed without a transaction that writes it"
            );
            return;
        };
        let serial = transaction.serial;
        let after_data = transaction.plan == Plan::Data;
        let lone_dot = after_data && !transaction.answers.has_accepted_recipient();
        let facts = transaction.message.body.facts();
        let octets = facts.map(|facts| transaction.plan.last_octets(facts));
        transaction.content_end = Some(complete_at);
        transaction.progress = match mem::replace(&mut transaction.progress, Progress::Complete) {
            Progress::SourceFailed(error) => Progress::Failed(error),
            _ => Progress::Complete,
        };
        transaction.outstanding += 1;
        let step = if after_data {
            Step::EndOfData
        } else {
            self.open.change(Change::LastBdatWritten, serial);
            Step::LastChunk
        };
        dialogue.expect(Awaited::Transaction(serial, step));
        if let Some(octets) = octets
            && dialogue.config.trace
            && !lone_dot
        {
            let summary = format!("(content, {octets} octets)");
            dialogue.trace(TraceLine::new(Speaker::Client, summary));
        }
    }
}
