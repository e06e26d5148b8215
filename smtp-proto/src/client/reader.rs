//! The reading cursor: gives each complete reply to the command that it answers.
//!
//! Knows which replies are impossible here; what a possible one means belongs to
//! the session or the transaction.

use super::expectation::{Awaited, Expectation, Judgement};
use super::session::{Session, State};
use super::timers::Timer;
use super::trace::{Speaker, TraceLine};
use super::transaction::{Progress, Transfer};
use crate::{Capabilities, Error, ErrorKind, ReplyRef, Stage, Violation};

impl Session {
    pub(super) fn handle_reply(&mut self, reply: ReplyRef<'_>) {
        self.trace_reply(reply);
        let head = self.expectations.front().copied();
        let head = head.filter(|head| head.complete_at <= self.output.taken());
        let Some(head) = head else {
            return self.unexpected(reply);
        };
        if reply.code().get() == 421 {
            return self.service_closing(head.command, reply);
        }
        let judgement = head.command.judge(reply.code());
        if judgement == Judgement::Violation {
            let reply = self.owned(reply);
            let violation = Violation::UnexpectedReply(reply);
            return self.end(ErrorKind::Violation(violation));
        }
        self.met(head.command, judgement == Judgement::Yes, reply);
    }

    /// RFC 5321 §3.8: the server closes, whatever it was asked.
    fn service_closing(&mut self, command: Awaited, reply: ReplyRef<'_>) {
        let reply = self.owned(reply);
        if command == Awaited::Content
            && let Some(transaction) = self.transactions.front_mut()
        {
            // Said to the content, it is an answer: the message was not taken.
            transaction.answer_content(self.config.protocol, false, reply.clone());
        }
        self.end_refused(reply);
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
        if code.get() == 421 {
            return self.end_refused(reply);
        }
        self.end(ErrorKind::Violation(Violation::SurplusReply(reply)));
    }

    fn met(&mut self, command: Awaited, yes: bool, reply: ReplyRef<'_>) {
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
            (Awaited::Rset, true) => {}
            (Awaited::Rset, false) => {
                let kind = ErrorKind::Refused(self.owned(reply));
                self.end(kind);
            }
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
            _ => self.answered(command, yes, reply),
        }
    }

    /// A reply to a command of the oldest unfinished transaction.
    fn answered(&mut self, command: Awaited, yes: bool, reply: ReplyRef<'_>) {
        if command == Awaited::Content {
            return self.content_answered(yes, reply);
        }
        let answer = if yes { Ok(()) } else { Err(self.owned(reply)) };
        let Some(transaction) = self.transactions.front_mut() else {
            return;
        };
        transaction.outstanding -= 1;
        match (command, answer) {
            (Awaited::Mail, answer) => {
                // Where MAIL was refused, nothing is left open to reset; but a
                // BDAT behind it is still to fail.
                let chunked = transaction.content_begin.is_some();
                self.needs_rset &= answer.is_ok() || chunked;
                transaction.answer_mail(answer);
            }
            (Awaited::Rcpt(index), answer) => {
                self.is_willing |= answer.is_ok() && transaction.mail_accepted();
                transaction.answer_rcpt(index, answer, &mut self.spare_answers);
            }
            (Awaited::Data, Ok(())) => self.go_ahead(),
            (Awaited::Data, Err(reply)) => {
                transaction.refuse_data(reply);
                transaction.progress = Progress::Done;
                self.needs_rset |= transaction.mail_accepted();
            }
            (_, Err(reply)) => {
                // A chunk: the rest of the message is not sent (RFC 3030 §2).
                transaction.refuse_content(reply);
                if !matches!(transaction.progress, Progress::Done) {
                    transaction.progress = Progress::Done;
                    self.needs_rset = true;
                }
            }
            (_, Ok(())) => {}
        }
    }

    fn content_answered(&mut self, yes: bool, reply: ReplyRef<'_>) {
        let reply = self.owned(reply);
        let Some(transaction) = self.transactions.front_mut() else {
            return;
        };
        if !transaction.answer_content(self.config.protocol, yes, reply) {
            // LMTP: the next recipient's reply is still to come.
            self.expectations.push_front(Expectation {
                command: Awaited::Content,
                complete_at: self.output.taken(),
            });
            return;
        }
        transaction.outstanding -= 1;
        // A BDAT that failed may leave the transaction open (RFC 3030 §2). Where
        // more was written since, a RSET was too.
        if transaction.transfer == Transfer::Chunking && self.expectations.is_empty() {
            self.needs_rset = !yes && transaction.mail_accepted();
        }
    }

    fn trace_reply(&mut self, reply: ReplyRef<'_>) {
        if self.config.trace {
            let text = alloc::format!("{}", self.owned(reply));
            self.trace(TraceLine::new(Speaker::Server, text));
        }
    }
}
