//! The reading cursor: gives each complete reply to the command that it answers.
//!
//! Knows which replies are impossible here; what a possible one means belongs to
//! the session or the transaction.

use super::expectation::{Awaited, Expectation, Judgement};
use super::open::Serial;
use super::session::{Session, State};
use super::timers::Timer;
use super::trace::{Speaker, TraceLine};
use super::transaction::{Bdat, Progress};
use crate::{Capabilities, Error, ErrorKind, Pipelining, Reply, ReplyRef, Stage, Violation};

impl Session {
    pub(super) fn handle_reply(&mut self, reply: ReplyRef<'_>) {
        self.trace_reply(reply);
        self.silent_after_idleness = false;
        let head = self.expectations.front().copied();
        let head = head.filter(|head| head.complete_at <= self.output.taken());
        let Some(head) = head else {
            return self.unexpected(reply);
        };
        if reply.code().get() == 421 {
            return self.service_closing(head.command, reply);
        }
        if reply.contradicts_itself() {
            return self.refused_in_contradiction(head, reply);
        }
        match head.command.judge(reply.code()) {
            Judgement::Yes => self.met(head, true, reply),
            Judgement::No => self.met(head, false, reply),
            Judgement::Goodbye => {
                let reply = self.owned(reply);
                self.end(ErrorKind::Goodbye(reply));
            }
            Judgement::Violation => {
                let reply = self.owned(reply);
                let violation = Violation::UnexpectedReply(reply);
                self.end(ErrorKind::Violation(violation));
            }
        }
    }

    /// RFC 5321 §3.8: the server closes, whatever it was asked.
    fn service_closing(&mut self, command: Awaited, reply: ReplyRef<'_>) {
        let reply = self.owned(reply);
        // Said to the content, it is an answer: the message was not taken.
        if command.ends_content()
            && let Some(transaction) = self.transactions.front_mut()
            && !transaction.answer_content(self.config.protocol, false, reply.clone())
        {
            // In LMTP it may be one recipient's: others may follow.
            transaction.closing = Some(reply);
            self.expectations.pop_front();
            self.expect_next_final(command);
            return;
        }
        self.end_refused(reply);
    }

    /// LMTP: the next recipient's reply is still to come.
    fn expect_next_final(&mut self, command: Awaited) {
        self.waits_over += 1;
        self.expectations.push_front(Expectation {
            command,
            complete_at: self.output.taken(),
            sent_ahead: false,
        });
    }

    /// The lines of one reply disagree, and the refusal counts ("220-wait", then "521 you are
    /// blocked"). Where the two sides are is not known after that.
    fn refused_in_contradiction(&mut self, head: Expectation, reply: ReplyRef<'_>) {
        let owned = self.owned(reply);
        if head.command.ends_content() {
            if let Some(transaction) = self.transactions.front_mut() {
                // Of LMTP's recipients, of the one that it is for.
                transaction.answer_content(self.config.protocol, false, owned.clone());
            }
        } else {
            self.met(head, false, reply);
        }
        self.end_at(head.command.stage(), ErrorKind::Refused(owned));
    }

    /// A reply to nothing that was written so far.
    fn unexpected(&mut self, reply: ReplyRef<'_>) {
        let code = reply.code();
        let reply = self.owned(reply);
        if self.front_is_midway() && code.is_negative() && code.get() != 421 {
            // The server has seen enough of the content ("552 too big"). Its end
            // was never written, so this is its answer; but the two sides no
            // longer agree on where they are.
            if let Some(transaction) = self.transactions.front_mut() {
                transaction.refuse_content(reply.clone());
            }
            return self.end_because(Error::new(Stage::Body, ErrorKind::Refused(reply)));
        }
        match code.get() {
            421 => self.end_refused(reply),
            221 => self.end(ErrorKind::Goodbye(reply)),
            _ => self.end(ErrorKind::Violation(Violation::SurplusReply(reply))),
        }
    }

    fn met(&mut self, expectation: Expectation, yes: bool, reply: ReplyRef<'_>) {
        let command = expectation.command;
        self.expectations.pop_front();
        self.waits_over += 1;
        match (command, yes) {
            (Awaited::Greeting, true) => {
                let greeting = self.owned(reply);
                self.greeted(greeting);
            }
            (Awaited::Greeting, false) => {
                let kind = ErrorKind::Refused(self.owned(reply));
                self.refuse(Stage::Greeting, kind);
            }
            (Awaited::Ehlo, true) => {
                match Capabilities::parse(reply, self.config.limits.capabilities) {
                    Ok(capabilities) => self.hello_accepted(capabilities),
                    Err(error) => {
                        let violation = Violation::Capabilities(error);
                        self.end_quoting(Stage::Ehlo, violation, reply);
                    }
                }
            }
            (Awaited::Helo, true) => self.hello_accepted(Capabilities::default()),
            (Awaited::Ehlo, false) => {
                let reply = self.owned(reply);
                self.hello_refused(reply);
            }
            (Awaited::Helo, false) => {
                let reply = self.owned(reply);
                self.helo_refused(reply);
            }
            (Awaited::StartTls, true) => self.starttls_accepted(),
            (Awaited::StartTls, false) => {
                let reply = self.owned(reply);
                self.starttls_refused(reply);
            }
            (Awaited::Auth, true) => self.auth_continues(reply),
            (Awaited::Auth, false) => {
                let reply = self.owned(reply);
                self.auth_refused(reply);
            }
            (Awaited::Rset, true) => self.open.reset_accepted(),
            (Awaited::Rset, false) => {
                if self.open.may_be_open() {
                    let reply = self.owned(reply);
                    self.leave_open_transaction(reply);
                }
            }
            (Awaited::Resync, _) => {}
            (Awaited::Command, _) => {
                let reply = self.owned(reply);
                self.timers.overall = Timer::Off;
                self.conclude_command(Ok(reply));
            }
            (Awaited::Quit, _) => {
                let why = match &mut self.state {
                    State::Leaving(why) => why.take(),
                    _ => None,
                };
                self.close(why);
            }
            _ => self.answered(expectation, yes, reply),
        }
    }

    /// `RSET` was refused: what follows would go into another message's transaction.
    fn leave_open_transaction(&mut self, reply: Reply) {
        let kind = ErrorKind::ResetRefused(reply);
        if self.expectations.is_empty() {
            self.refuse(Stage::Mail, kind);
        } else {
            self.end_at(Stage::Mail, kind);
        }
    }

    /// A reply to a command of the oldest unfinished transaction.
    fn answered(&mut self, expectation: Expectation, yes: bool, reply: ReplyRef<'_>) {
        let sent_ahead = expectation.sent_ahead;
        let reply = match expectation.command {
            Awaited::Rcpt(_) => Some(self.kept_rcpt_reply(reply)),
            command if yes && !command.ends_content() => None,
            _ => Some(self.owned(reply)),
        };
        let Some(transaction) = self.transactions.front_mut() else {
            debug_assert!(false, "a reply to a transaction that is not there");
            return;
        };
        let Some(serial) = transaction.serial else {
            debug_assert!(false, "a reply to a transaction that was not begun");
            return;
        };
        transaction.outstanding -= 1;
        match (expectation.command, yes, reply) {
            (Awaited::Mail, true, _) => {
                transaction.answer_mail(Ok(()), sent_ahead);
                self.open.mail_accepted();
            }
            (Awaited::Mail, false, Some(reply)) => {
                // Nothing is left open to reset; but a BDAT behind it is still to fail.
                if transaction.content_begin.is_none() {
                    self.open.never_began(serial);
                }
                transaction.answer_mail(Err(reply), sent_ahead);
            }
            (Awaited::Rcpt(index), _, Some(reply)) => {
                let answer = if yes { Ok(reply) } else { Err(reply) };
                transaction.answer_rcpt(index, answer, sent_ahead, &mut self.spare_answers);
            }
            (Awaited::Data, true, _) => self.go_ahead(),
            (Awaited::Data, false, Some(reply)) => {
                transaction.refuse_data(reply, sent_ahead);
                self.leave_front(serial);
            }
            (Awaited::FirstChunk, true, _) => self.bdat = Bdat::Proven,
            (Awaited::FirstChunk, false, Some(reply)) => {
                self.needs_resync = true;
                if transaction.has_accepted_recipient() {
                    self.bdat = Bdat::Refused;
                    transaction.refuse_first_chunk(reply);
                    self.leave_front(serial);
                } else {
                    // It is expected to fail where nobody was accepted (RFC 3030 §2).
                    self.bdat = Bdat::Unproven;
                }
            }
            (Awaited::Chunk, false, Some(reply)) => {
                // The rest of the message is not sent (RFC 3030 §2).
                transaction.refuse_content(reply.clone());
                self.leave_front(serial);
                self.leave_unless_read(reply);
            }
            (command, _, Some(reply)) if command.ends_content() => {
                self.content_answered(expectation, serial, yes, reply);
            }
            _ => {}
        }
    }

    /// Nothing more of the oldest message is written in this transaction.
    fn leave_front(&mut self, serial: Serial) {
        let Some(transaction) = self.transactions.front_mut() else {
            return;
        };
        if !matches!(transaction.progress, Progress::Done) {
            transaction.progress = Progress::Done;
            if transaction.mail_accepted() {
                self.open.left(serial);
            }
        }
    }

    fn content_answered(
        &mut self,
        expectation: Expectation,
        serial: Serial,
        yes: bool,
        reply: Reply,
    ) {
        let Some(transaction) = self.transactions.front_mut() else {
            return;
        };
        let is_unknown = matches!(reply.code().get(), 500 | 502 | 503);
        if is_unknown && expectation.sent_ahead && transaction.has_accepted_recipient() {
            // Whether the octets were read is not known, and so not where the two sides are.
            let error = Error::new(Stage::Body, ErrorKind::OutOfStep(reply));
            transaction.give_up(error.clone());
            return self.end_because(error);
        }
        transaction.closing = None;
        let refusal = (!yes).then(|| reply.clone());
        if !transaction.answer_content(self.config.protocol, yes, reply) {
            transaction.outstanding += 1;
            return self.expect_next_final(expectation.command);
        }
        let octets = transaction.announced_octets().unwrap_or(0);
        // A BDAT that failed may leave the transaction open (RFC 3030 §2).
        let after_data = expectation.command == Awaited::EndOfData;
        if after_data || transaction.content_accepted() || !transaction.mail_accepted() {
            self.open.ended(serial);
        }
        if let Some(refusal) = refusal
            && expectation.command == Awaited::LastChunk
            && octets > 0
        {
            self.leave_unless_read(refusal);
        }
    }

    /// A `BDAT` was refused, and its content was under way. A server that did not read it
    /// takes it for commands, whose replies would pass for those of the next messages: what
    /// it says from here is not believed.
    fn leave_unless_read(&mut self, reply: Reply) {
        if self.config.pipelining != Pipelining::Bold {
            self.end_because(Error::new(Stage::Body, ErrorKind::Refused(reply)));
        }
    }

    /// What a report keeps of a reply to `RCPT`: often it is the same for all of them.
    fn kept_rcpt_reply(&mut self, reply: ReplyRef<'_>) -> Reply {
        if let Some(last) = &self.last_rcpt_reply
            && last.as_bytes() == reply.as_bytes()
        {
            return last.clone();
        }
        let kept = self.owned(reply);
        let kept = kept.shortened(self.config.limits.recipient_reply);
        self.last_rcpt_reply = Some(kept.clone());
        kept
    }

    fn trace_reply(&mut self, reply: ReplyRef<'_>) {
        if self.config.trace {
            let text = alloc::format!("{}", self.owned(reply));
            self.trace(TraceLine::new(Speaker::Server, text));
        }
    }
}
