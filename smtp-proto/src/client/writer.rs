//! The writing cursor: which command comes next, and whether it may go out yet.
//!
//! Pipelining (RFC 2920) is how far this cursor may run ahead of the replies;
//! without it the limit is one command outstanding. It never looks at a reply:
//! what was answered is in the transactions.

use alloc::format;
use alloc::vec::Vec;
use core::mem;

use bytes::Bytes;

use super::expectation::Awaited;
use super::output::WINDOW;
use super::session::{Session, State};
use super::trace::{Speaker, TraceLine};
use super::transaction::{Bdat, Content, Progress, Transaction, Transfer};
use super::verdict::GUARANTEED_RECIPIENTS;
use crate::parameters::Peer;
use crate::{
    Capabilities, Error, ErrorKind, Event, Pipelining, Protocol, Recipients, Stage, command,
};

/// Whether the cursor moved.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Taken,
    Blocked,
}

impl Session {
    /// Writes whatever may be written, up to a window.
    pub(super) fn pump(&mut self) {
        // What a message leaves goes before those that are not begun.
        self.settle();
        loop {
            while self.output.pending() < WINDOW && self.write_next() == Step::Taken {}
            if !self.settle() {
                return;
            }
        }
    }

    fn write_next(&mut self) -> Step {
        if !matches!(self.state, State::Ready) {
            return Step::Blocked;
        }
        if self.commands.is_awaited() || self.bdat == Bdat::Asked {
            return Step::Blocked;
        }
        if self.command_is_next() {
            return self.write_other_command();
        }
        let Some(transaction) = self.transactions.get(self.writing) else {
            return self.quit_if_wanted();
        };
        match transaction.progress {
            Progress::Queued => self.write_mail(),
            Progress::Recipients(written) => self.write_rcpt(written),
            Progress::AwaitingGoAhead => Step::Blocked,
            Progress::Content(_) => self.write_content(),
            Progress::Done => self.move_on(),
        }
    }

    /// RFC 2920 §3.1: behind what is outstanding, and as the last of its group.
    fn write_other_command(&mut self) -> Step {
        // One recipient is never too many.
        if !self.may_write() || !self.may_follow_content() || self.a_rest_may_be_left(1) {
            return Step::Blocked;
        }
        if !self.reset_if_needed() {
            self.write_next_command();
        }
        Step::Taken
    }

    /// Ends a transaction that was left open. Says whether one was, or something else had to
    /// go first.
    fn reset_if_needed(&mut self) -> bool {
        if mem::take(&mut self.needs_resync) {
            self.write_command(Awaited::Resync, |out| out.extend_from_slice(b"NOOP\r\n"));
            return true;
        }
        let needed = self.open.take_need_of_reset();
        if needed {
            self.write_command(Awaited::Rset, |out| out.extend_from_slice(b"RSET\r\n"));
        }
        needed
    }

    /// On to the next message.
    fn move_on(&mut self) -> Step {
        self.writing += 1;
        Step::Taken
    }

    /// How far to run ahead of this server's replies.
    fn pipelining(&self) -> Pipelining {
        let mut capabilities = self.capabilities.iter();
        if capabilities.any(Capabilities::pipelining) {
            self.pipelining
        } else {
            Pipelining::Off
        }
    }

    /// Whether one more command may be outstanding.
    fn may_write(&self) -> bool {
        let limit = match self.pipelining() {
            Pipelining::Off => 1,
            Pipelining::Careful | Pipelining::Bold => self.config.limits.outstanding_replies.max(1),
        };
        self.expectations.len() < limit
    }

    /// Whether something may go out behind what is outstanding, if that is content. Many
    /// servers lose what follows the dot, or take it for content. LMTP owes a number of
    /// replies to content, and where one is missing the next command's would be taken for it.
    fn may_follow_content(&self) -> bool {
        let last = self.expectations.back().map(|last| last.command);
        match last {
            Some(Awaited::EndOfData | Awaited::LastChunk)
                if self.config.protocol == Protocol::Lmtp =>
            {
                false
            }
            Some(Awaited::EndOfData) => self.pipelining() == Pipelining::Bold,
            _ => true,
        }
    }

    /// The message being written, which exists wherever this is called.
    fn current(&mut self) -> Option<&mut Transaction> {
        self.transactions.get_mut(self.writing)
    }

    fn write_mail(&mut self) -> Step {
        if !self.may_write() || !self.may_follow_content() {
            return Step::Blocked;
        }
        let limits = self.capabilities.as_ref().map(Capabilities::limits);
        let limits = limits.unwrap_or_default();
        if !self.used.has_room(limits) {
            return self.give_up(ErrorKind::SessionFull);
        }
        if self.reset_if_needed() {
            return Step::Taken;
        }
        let Some(capabilities) = &self.capabilities else {
            return Step::Blocked;
        };
        let Some(transaction) = self.transactions.get_mut(self.writing) else {
            return Step::Blocked;
        };
        let peer = Peer {
            capabilities,
            tls: self.tls.as_ref(),
        };
        let planned = transaction.plan(&self.config, peer, self.bdat);
        let admitted = planned.and_then(|parameters| {
            self.used.admit(limits, transaction)?;
            Ok(parameters)
        });
        let parameters = match admitted {
            Ok(parameters) => parameters,
            Err(kind) => return self.give_up(kind),
        };
        transaction.progress = Progress::Recipients(0);
        transaction.serial = Some(self.open.begin());
        transaction.outstanding += 1;
        self.write_for_message(Awaited::Mail, |out, transaction, capabilities| {
            command::mail(out, transaction.sent_envelope(), &parameters, capabilities);
        });
        Step::Taken
    }

    /// The message is not sent, at least not over this session.
    fn give_up(&mut self, kind: ErrorKind) -> Step {
        if let Some(transaction) = self.current() {
            transaction.give_up(Error::new(Stage::Mail, kind));
        }
        self.move_on()
    }

    fn write_rcpt(&mut self, written: usize) -> Step {
        let Some(transaction) = self.transactions.get(self.writing) else {
            return Step::Blocked;
        };
        if transaction.is_refused() {
            return self.abandon();
        }
        if written == transaction.part.asked() {
            return self.write_data();
        }
        if !self.may_write() {
            return Step::Blocked;
        }
        self.write_for_message(Awaited::Rcpt(written), |out, transaction, capabilities| {
            let place = transaction.part.place(written);
            command::rcpt(out, transaction.sent_envelope(), place, capabilities);
        });
        self.advance(Progress::Recipients(written + 1));
        Step::Taken
    }

    /// Writes a command that says something of the current message.
    fn write_for_message(
        &mut self,
        command: Awaited,
        write: impl FnOnce(&mut Vec<u8>, &Transaction, &Capabilities),
    ) {
        let (Some(transaction), Some(capabilities)) =
            (self.transactions.get(self.writing), &self.capabilities)
        else {
            return;
        };
        let written = self
            .output
            .write_text(|out| write(out, transaction, capabilities));
        if self.config.trace {
            let line = TraceLine::new(Speaker::Client, command::line(written));
            self.trace(line);
        }
        self.expect(command);
    }

    /// Counts a command of the current message.
    fn advance(&mut self, progress: Progress) {
        if let Some(transaction) = self.current() {
            transaction.progress = progress;
            transaction.outstanding += 1;
        }
    }

    /// The server will not take this message, and no content was asked for.
    fn abandon(&mut self) -> Step {
        if let Some(transaction) = self.transactions.get_mut(self.writing) {
            transaction.progress = Progress::Done;
            if transaction.mail_accepted()
                && let Some(serial) = transaction.serial
            {
                self.open.left(serial);
            }
        }
        self.move_on()
    }

    fn write_data(&mut self) -> Step {
        let Some(transaction) = self.transactions.get(self.writing) else {
            return Step::Blocked;
        };
        let wait_for_all = transaction.envelope.recipients() == Recipients::All;
        let answered = transaction.recipients_answered();
        if !self.may_write() || (wait_for_all && !answered) {
            return Step::Blocked;
        }
        match (transaction.transfer, transaction.announced_octets()) {
            (Transfer::Data, _) => {
                self.write_command(Awaited::Data, |out| out.extend_from_slice(b"DATA\r\n"));
                self.advance(Progress::AwaitingGoAhead);
                Step::Taken
            }
            (Transfer::Chunking, Some(octets)) => {
                if self.is_bdat_unproven()
                    && let Some(octet) = transaction.harmless_first_octet()
                {
                    self.write_first_chunk(octet);
                    return Step::Taken;
                }
                if !answered && !self.speculate(octets) {
                    return Step::Blocked;
                }
                self.write_bdat(octets, true);
                self.begin_content(Transaction::chunked_content)
            }
            (Transfer::Chunking, None) if !answered => Step::Blocked,
            (Transfer::Chunking, None) => self.begin_content(Transaction::chunked_content),
        }
    }

    /// Whether it is not known yet that the server reads what a `BDAT` announces.
    fn is_bdat_unproven(&self) -> bool {
        self.bdat == Bdat::Unproven && self.config.pipelining != Pipelining::Bold
    }

    /// The session's first `BDAT`. One octet is no command: a server that does not read it,
    /// or does not know `BDAT` at all, finds nothing to carry out.
    fn write_first_chunk(&mut self, octet: Bytes) {
        self.write_bdat(1, false);
        self.output.write_slice(octet);
        self.bdat = Bdat::Asked;
        self.expect(Awaited::FirstChunk);
        if let Some(transaction) = self.current() {
            transaction.first_octet_written = true;
            transaction.outstanding += 1;
        }
    }

    /// Takes so many octets off the budget for content that is written before its
    /// recipients are known.
    fn speculate(&mut self, octets: u64) -> bool {
        let speculated = self.speculated.saturating_add(octets);
        if self.pipelining() != Pipelining::Bold || speculated > self.config.limits.speculation {
            return false;
        }
        self.speculated = speculated;
        if let Some(transaction) = self.current() {
            transaction.speculated = octets;
        }
        true
    }

    fn write_bdat(&mut self, octets: u64, last: bool) {
        let written = self
            .output
            .write_text(|out| command::bdat(out, octets, last));
        if self.config.trace {
            let line = TraceLine::new(Speaker::Client, command::line(written));
            self.trace(line);
        }
        let begin = self.output.queued();
        if let Some(transaction) = self.current() {
            transaction.content_begin = Some(begin);
        }
    }

    fn begin_content(&mut self, content: impl FnOnce(&Transaction) -> Content) -> Step {
        if let Some(transaction) = self.current() {
            let content = content(transaction);
            transaction.progress = Progress::Content(content);
        }
        Step::Taken
    }

    /// The `354` came. Where nobody was accepted, a lone dot must go out
    /// (RFC 2920 §3.1).
    pub(super) fn go_ahead(&mut self) {
        let Some(transaction) = self.current() else {
            return;
        };
        if transaction.has_accepted_recipient() {
            if let Some(failure) = transaction.failure().cloned() {
                return self.end_because(failure);
            }
            self.begin_content(Transaction::dotted_content);
        } else {
            self.output
                .write_text(|out| out.extend_from_slice(b".\r\n"));
            self.trace(TraceLine::new(Speaker::Client, "."));
            self.content_complete();
        }
    }

    fn write_content(&mut self) -> Step {
        let may_write = self.may_write();
        // A last chunk behind one that fails is answered once, or once for each recipient:
        // LMTP does not say.
        let may_write_last =
            may_write && (self.config.protocol == Protocol::Smtp || self.expectations.is_empty());
        let window = WINDOW - self.output.pending().min(WINDOW);
        let output = &mut self.output;
        let Some(transaction) = self.transactions.get_mut(self.writing) else {
            return Step::Blocked;
        };
        let is_stream = transaction.body.is_stream();
        let stream = &mut transaction.stream;
        let Progress::Content(content) = &mut transaction.progress else {
            return Step::Blocked;
        };
        match content {
            Content::Dotted { encoder, rest } => {
                if rest.is_empty()
                    && let Some(chunk) = stream.chunks.pop_front()
                {
                    *rest = chunk;
                }
                if !rest.is_empty() {
                    encoder.encode(rest, window, &mut |segment| output.write_segment(segment));
                    return Step::Taken;
                }
                if is_stream && !stream.ended {
                    return self.ask_for_more();
                }
                encoder.finish(&mut |segment| output.write_segment(segment));
            }
            Content::Canonical { encoder, rest } => {
                if !rest.is_empty() {
                    encoder.encode(rest, window, &mut |segment| output.write_segment(segment));
                    return Step::Taken;
                }
                encoder.finish(&mut |segment| output.write_segment(segment));
            }
            Content::Verbatim { rest: Some(whole) } => output.write_slice(mem::take(whole)),
            Content::Verbatim { rest: None } if !may_write => return Step::Blocked,
            Content::Verbatim { rest: None } => {
                if let Some(chunk) = stream.chunks.pop_front() {
                    return self.write_chunk(chunk);
                }
                if !stream.ended {
                    return self.ask_for_more();
                }
                if !may_write_last {
                    return Step::Blocked;
                }
                self.write_bdat(0, true);
            }
        }
        self.content_complete();
        Step::Taken
    }

    fn write_chunk(&mut self, mut chunk: Bytes) -> Step {
        if chunk.is_empty() {
            return Step::Taken;
        }
        if self.is_bdat_unproven() {
            let first = chunk.split_to(1);
            self.write_first_chunk(first);
            if let Some(transaction) = self.current() {
                transaction.stream.chunks.push_front(chunk);
            }
            return Step::Taken;
        }
        self.write_bdat(chunk.len() as u64, false);
        self.output.write_slice(chunk);
        self.expect(Awaited::Chunk);
        if let Some(transaction) = self.current() {
            transaction.outstanding += 1;
        }
        Step::Taken
    }

    fn ask_for_more(&mut self) -> Step {
        if let Some(transaction) = self.current()
            && !transaction.stream.asked
        {
            transaction.stream.asked = true;
            let id = transaction.id;
            self.events.push_back(Event::BodyWanted(id));
        }
        Step::Blocked
    }

    /// The content is out (or in the output): its replies are awaited.
    fn content_complete(&mut self) {
        let complete_at = self.output.queued();
        let lmtp = self.config.protocol == Protocol::Lmtp;
        let Some(transaction) = self.transactions.get_mut(self.writing) else {
            return;
        };
        transaction.content_end = Some(complete_at);
        transaction.progress = Progress::Done;
        let after_data = transaction.transfer == Transfer::Data;
        let octets = transaction.body.facts().map(|facts| facts.octets);
        let lone_dot = after_data && !transaction.has_accepted_recipient();
        // RFC 2033 §4.2: with nobody accepted, nothing is said to the dot.
        let answered = !(lmtp && lone_dot);
        if answered {
            transaction.outstanding += 1;
        }
        // The reply to `DATA`'s content ends the transaction whatever it says; a
        // `BDAT` that failed does not (RFC 3030 §2). Whoever writes on without
        // waiting for the reply resets first.
        if let Some(serial) = transaction.serial {
            if !after_data {
                self.open.left(serial);
            } else if !answered {
                self.open.ended(serial);
            }
        }
        if answered {
            self.expect(if after_data {
                Awaited::EndOfData
            } else {
                Awaited::LastChunk
            });
        }
        if let Some(octets) = octets
            && self.config.trace
            && !lone_dot
        {
            let summary = format!("(content, {octets} octets)");
            self.trace(TraceLine::new(Speaker::Client, summary));
        }
        self.move_on();
    }

    fn quit_if_wanted(&mut self) -> Step {
        let may_follow = self.expectations.is_empty()
            || (self.pipelining() != Pipelining::Off && self.may_follow_content());
        if !self.quit_wanted || !may_follow {
            return Step::Blocked;
        }
        if self.a_rest_may_be_left(GUARANTEED_RECIPIENTS) {
            return Step::Blocked;
        }
        self.write_quit(None);
        Step::Taken
    }
}
