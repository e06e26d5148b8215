//! The reading cursor: passes each complete reply to the command that it answers.
//!
//! Knows which replies are impossible at this point, and what a reply to a command of a transaction
//! changes in the session. What it means for the message is decided by the transaction.

use super::dialogue::Dialogue;
use super::ending::{Ending, Failing};
use super::expectation::{Awaited, Expectation, ReplyClass, Step};
use super::open::{Change, Serial};
use super::opening::Next;
use super::pipeline::Pipeline;
use super::requests::Requests;
use super::sending::{Bdat, Transaction};
use super::session::{Phase, Session};
use crate::{Error, ErrorKind, Pipelining, Reply, ReplyRef, Stage, Violation};

impl Session {
    pub(super) fn handle_reply(&mut self, reply: ReplyRef<'_>) {
        self.dialogue.trace_reply(reply);
        self.deadlines.on_received();
        let head = self.dialogue.head();
        let head = head.filter(|head| head.complete_at <= self.dialogue.output.taken());
        if let Some(Failing::Closing(error)) = self.failing.take() {
            // The server sends more after its 421, so it is unknown what the server accepted.
            return self.finish(Ending::AtOnce(error));
        }
        let result = match head {
            None => Err(self.unexpected(reply)),
            Some(head) if reply.code().get() == 421 => self.service_closing(head.command, reply),
            Some(head) if reply.has_conflicting_codes() => {
                Err(self.refused_in_contradiction(head, reply))
            }
            Some(head) => self.handle_by_class(head, reply),
        };
        if let Err(ending) = result {
            self.finish(ending);
        }
    }

    fn handle_by_class(&mut self, head: Expectation, reply: ReplyRef<'_>) -> Result<(), Ending> {
        let owned = |session: &Self| session.dialogue.owned(reply);
        match head.command.classify(reply.code()) {
            ReplyClass::Yes => self.on_answer(head, true, reply),
            ReplyClass::No => self.on_answer(head, false, reply),
            ReplyClass::EndsSession => {
                let kind = ErrorKind::EndedByServer(owned(self));
                Err(Ending::AtOnce(self.error_at_end(kind)))
            }
            ReplyClass::Violation => {
                let violation = Violation::UnexpectedReply(owned(self));
                let kind = ErrorKind::Violation(violation);
                Err(Ending::AtOnce(self.error_at_end(kind)))
            }
        }
    }

    /// Handles a `421`: the server closes the connection, regardless of the command
    /// (RFC 5321 §3.8).
    fn service_closing(&mut self, command: Awaited, reply: ReplyRef<'_>) -> Result<(), Ending> {
        let reply = self.dialogue.owned(reply);
        let protocol = self.dialogue.config.protocol;
        // As the reply to content, a 421 is an answer: the message was not accepted.
        if let Some(serial) = command.ends_content()
            && let Some(transaction) = self.phase.transaction_mut(serial)
            && !transaction
                .answers
                .take_content(protocol, false, reply.clone())
        {
            // In LMTP the reply may be for one recipient, and others may follow.
            transaction.answers.note_closing(reply);
            self.dialogue.expectation_met();
            self.dialogue.expect_another(command);
            return Ok(());
        }
        Err(self.refused_by(reply))
    }

    /// The way to end after a reply by which the server ends the session.
    fn refused_by(&self, reply: Reply) -> Ending {
        Ending::Closing(Error::new(self.stage(), ErrorKind::Refused(reply)))
    }

    /// Handles a reply whose lines have different codes, one of them a refusal ("220-wait", then
    /// "521 you are blocked"). The refusal counts, and the session ends, because the two sides
    /// may be out of step.
    fn refused_in_contradiction(&mut self, head: Expectation, reply: ReplyRef<'_>) -> Ending {
        let owned = self.dialogue.owned(reply);
        let protocol = self.dialogue.config.protocol;
        match head.command.ends_content() {
            Some(serial) => {
                if let Some(transaction) = self.phase.transaction_mut(serial) {
                    // In LMTP, the refusal of the recipient whose reply was expected.
                    let answers = &mut transaction.answers;
                    answers.take_content(protocol, false, owned.clone());
                }
            }
            None => {
                if let Err(ending) = self.on_answer(head, false, reply) {
                    self.finish(ending);
                }
            }
        }
        let kind = ErrorKind::Refused(owned);
        Ending::AtOnce(Error::new(head.command.stage(), kind))
    }

    /// Handles a reply that does not answer anything written so far.
    fn unexpected(&mut self, reply: ReplyRef<'_>) -> Ending {
        let code = reply.code();
        let reply = self.dialogue.owned(reply);
        if code.is_negative() && code.get() != 421 && self.is_within_content() {
            // The server refused the content before its end ("552 too big"). The end was never
            // written, so this is the verdict. The two sides are out of step now.
            if let Some(transaction) = self.phase.oldest_mut() {
                transaction.answers.refuse_content(reply.clone());
            }
            return Ending::ForOneMessage(Error::new(Stage::Body, ErrorKind::Refused(reply)));
        }
        match code.get() {
            421 => self.refused_by(reply),
            221 => Ending::AtOnce(self.error_at_end(ErrorKind::EndedByServer(reply))),
            _ => {
                if let Some(pipeline) = self.phase.pipeline_mut() {
                    pipeline.put_in_doubt();
                }
                let violation = Violation::SurplusReply(reply);
                Ending::AtOnce(self.error_at_end(ErrorKind::Violation(violation)))
            }
        }
    }

    /// Passes a reply to the phase whose command it answers.
    fn on_answer(
        &mut self,
        head: Expectation,
        yes: bool,
        reply: ReplyRef<'_>,
    ) -> Result<(), Ending> {
        self.dialogue.expectation_met();
        self.check_for_surplus(head, reply)?;
        let Self {
            phase,
            dialogue,
            requests,
            ..
        } = self;
        match phase {
            Phase::Opening(opening) => {
                if let Next::Ready(pipeline) = opening.on_reply(yes, reply, dialogue)? {
                    self.become_ready(pipeline);
                }
            }
            Phase::Ready(pipeline) => {
                if head.command == Awaited::Command {
                    self.deadlines.begin_overall_anew();
                }
                pipeline.on_reply(head, yes, reply, dialogue, requests)?;
            }
            Phase::Leaving(leaving) => match (head.command, &mut leaving.pipeline) {
                (Awaited::Quit, _) => {
                    let why = leaving.why.take();
                    self.close(why);
                }
                (_, Some(pipeline)) => pipeline.on_reply(head, yes, reply, dialogue, requests)?,
                (command, None) => debug_assert!(
                    false,
                    "a reply to {command:?} arrived after QUIT in a session that sent no message"
                ),
            },
            Phase::Closed => {
                debug_assert!(false, "a reply was handled after the session was closed");
            }
        }
        Ok(())
    }
}

impl Session {
    /// Checks, by the reply to a later command, whether there was a surplus reply before it.
    fn check_for_surplus(&mut self, head: Expectation, reply: ReplyRef<'_>) -> Result<(), Ending> {
        let Some(pipeline) = self.phase.pipeline_mut() else {
            return Ok(());
        };
        let answers_nothing = matches!(head.command, Awaited::Quit | Awaited::Rset);
        // That a command is unknown or not implemented is said of no content (RFC 5321 §4.2.1).
        let is_about_content = reply.code().is_negative() && !reply.code().is_about_syntax();
        if answers_nothing && is_about_content && pipeline.counts_finals() {
            pipeline.put_in_doubt();
            let violation = Violation::UnexpectedReply(self.dialogue.owned(reply));
            let kind = ErrorKind::Violation(violation);
            return Err(Ending::AtOnce(Error::new(Stage::Body, kind)));
        }
        if pipeline.is_unconfirmed() {
            // The report precedes what this reply brings about.
            self.confirm();
            self.settle();
        }
        Ok(())
    }
}

impl Pipeline {
    fn on_reply(
        &mut self,
        head: Expectation,
        yes: bool,
        reply: ReplyRef<'_>,
        dialogue: &mut Dialogue,
        requests: &mut Requests,
    ) -> Result<(), Ending> {
        match head.command {
            Awaited::Transaction(serial, step) => {
                return self.answered(serial, step, head.sent_ahead, yes, reply, dialogue);
            }
            Awaited::Rset if yes => self.open.reset_accepted(),
            Awaited::Rset if self.open.may_be_open() => {
                return Err(reset_refused(dialogue, reply));
            }
            Awaited::Rset | Awaited::Resync => {}
            Awaited::Command => {
                let reply = dialogue.owned(reply);
                self.conclude_command(Ok(reply), dialogue, requests);
            }
            command => debug_assert!(
                false,
                "a reply to {command:?} arrived while the session was ready"
            ),
        }
        Ok(())
    }

    /// Handles a reply to a command of a transaction.
    fn answered(
        &mut self,
        serial: Serial,
        step: Step,
        sent_ahead: bool,
        yes: bool,
        reply: ReplyRef<'_>,
        dialogue: &mut Dialogue,
    ) -> Result<(), Ending> {
        let received = reply;
        let reply = match step {
            Step::Rcpt(_) => Some(self.kept_rcpt_reply(reply, dialogue)),
            step if yes && !step.ends_content() => None,
            _ => Some(dialogue.owned(reply)),
        };
        let mut spare = core::mem::take(&mut self.spare_answers);
        let Some(transaction) = self.transaction_mut(serial) else {
            debug_assert!(
                false,
                "a reply arrived for a transaction that does not exist"
            );
            return Ok(());
        };
        transaction.outstanding -= 1;
        match (step, yes, reply) {
            (Step::Mail, true, _) => {
                transaction.answers.take_mail(Ok(()), sent_ahead);
                self.open.change(Change::MailAccepted, serial);
            }
            (Step::Mail, false, Some(reply)) => {
                transaction.answers.take_mail(Err(reply), sent_ahead);
                // No transaction is open. A BDAT that was written after it will still fail.
                if !transaction.is_announced() {
                    self.open.change(Change::MailRefused, serial);
                }
            }
            (Step::Rcpt(index), _, Some(reply)) => {
                let answer = if yes { Ok(reply) } else { Err(reply) };
                transaction.take_rcpt(index, answer, sent_ahead, &mut spare);
            }
            (Step::Data, true, _) => {
                if let Some(error) = self.go_ahead(received, dialogue) {
                    return Err(Ending::ForOneMessage(error));
                }
            }
            (Step::Data, false, Some(reply)) => {
                transaction.answers.refuse_data(reply, sent_ahead);
                let is_unlikely = sent_ahead && transaction.answers.has_accepted_recipient();
                transaction.is_unconfirmed = is_unlikely && !transaction.is_refused();
                self.abandon(serial);
            }
            (Step::FirstChunk, true, _) => self.bdat = Bdat::Proven,
            (Step::FirstChunk, false, Some(reply)) => {
                self.spare_answers = spare;
                return self.first_chunk_refused(serial, reply);
            }
            (Step::Chunk, true, _) => {}
            (Step::Chunk, false, Some(reply)) => {
                // The rest of the message is not sent (RFC 3030 §2).
                transaction.answers.refuse_content(reply.clone());
                self.abandon(serial);
                return end_unless_content_read(dialogue, reply);
            }
            (Step::EndOfData | Step::LastChunk, _, Some(reply)) => {
                self.spare_answers = spare;
                return self.content_answered(serial, step, sent_ahead, yes, reply, dialogue);
            }
            (step, _, None) => debug_assert!(false, "the reply to {step:?} was not stored"),
        }
        self.spare_answers = spare;
        Ok(())
    }

    fn first_chunk_refused(&mut self, serial: Serial, reply: Reply) -> Result<(), Ending> {
        self.needs_resync = true;
        let Some(transaction) = self.transaction_mut(serial) else {
            return Ok(());
        };
        let was_harmless = transaction.plan.was_probe_harmless();
        if transaction.answers.has_accepted_recipient() {
            transaction.refuse_first_chunk(reply.clone());
            self.bdat = Bdat::Refused;
            self.abandon(serial);
        } else {
            // BDAT must fail if no recipient was accepted (RFC 3030 §2).
            self.bdat = Bdat::Unproven;
        }
        if was_harmless {
            return Ok(());
        }
        // If the server did not read the octet as content, it may be an empty line, which gets
        // a reply of its own.
        let error = Error::new(Stage::Body, ErrorKind::Refused(reply));
        Err(Ending::ForOneMessage(error))
    }

    fn content_answered(
        &mut self,
        serial: Serial,
        step: Step,
        sent_ahead: bool,
        yes: bool,
        reply: Reply,
        dialogue: &mut Dialogue,
    ) -> Result<(), Ending> {
        let Some(transaction) = self.transaction_mut(serial) else {
            return Ok(());
        };
        // After a refused chunk the server refuses the rest, often as out of sequence: the first
        // refusal is the verdict (RFC 3030 §2).
        let earlier = transaction.answers.content_refusal();
        let was_refused = earlier.is_some_and(|earlier| !is_about_the_command(earlier));
        let is_unknown = is_about_the_command(&reply) && !was_refused;
        if is_unknown && sent_ahead && transaction.answers.has_accepted_recipient() {
            // It is unknown whether the server read the octets, so the two sides may be out of
            // step.
            let error = Error::new(Stage::Body, ErrorKind::OutOfSequence(reply));
            transaction.fail(error.clone());
            return Err(Ending::ForOneMessage(error));
        }
        let refusal = (!yes).then(|| reply.clone());
        let was_alone = transaction.message.portion.asked() == 1;
        let answers = &mut transaction.answers;
        if !answers.take_content(dialogue.config.protocol, yes, reply) {
            transaction.outstanding += 1;
            dialogue.expect_another(Awaited::Transaction(serial, step));
            return Ok(());
        }
        let (taken, begun) = (answers.content_accepted(), answers.mail_accepted());
        let is_bold = dialogue.config.pipelining == Pipelining::Bold;
        // The one reply of a transaction with one recipient cannot be another one's.
        transaction.is_unconfirmed = answers.counts_finals() && !is_bold && !was_alone;
        let octets = transaction.announced_octets().unwrap_or(0);
        if step == Step::EndOfData || !begun {
            self.open.change(Change::ContentAnswered, serial);
        } else if taken {
            self.open.change(Change::LastBdatAccepted, serial);
        }
        match refusal {
            Some(refusal) if step == Step::LastChunk && octets > 0 => {
                end_unless_content_read(dialogue, refusal)
            }
            _ => Ok(()),
        }
    }

    /// The reply to `RCPT` in the form that the report keeps. Equal replies share memory.
    fn kept_rcpt_reply(&mut self, reply: ReplyRef<'_>, dialogue: &Dialogue) -> Reply {
        if let Some(last) = &self.last_rcpt_reply
            && last.as_bytes() == reply.as_bytes()
        {
            return last.clone();
        }
        let kept = dialogue.owned(reply);
        let kept = kept.shortened(dialogue.config.limits.recipient_reply);
        self.last_rcpt_reply = Some(kept.clone());
        kept
    }
}

impl Transaction {
    /// Whether the content was announced by `BDAT`.
    fn is_announced(&self) -> bool {
        use super::sending::Plan;
        matches!(
            self.plan,
            Plan::Bdat {
                announced_at: Some(_),
                ..
            }
        )
    }
}

/// The end of the session after a refused `RSET`: the next `MAIL` would go into the transaction
/// of another message.
fn reset_refused(dialogue: &Dialogue, reply: ReplyRef<'_>) -> Ending {
    let kind = ErrorKind::ResetRefused(dialogue.owned(reply));
    let error = Error::new(Stage::Mail, kind);
    if dialogue.is_nothing_awaited() {
        Ending::Politely(error)
    } else {
        Ending::AtOnce(error)
    }
}

/// Whether the reply says that the server does not know the command, or not at this point.
fn is_about_the_command(reply: &Reply) -> bool {
    matches!(reply.code().get(), 500 | 502 | 503)
}

/// Ends the session after a refused `BDAT` whose content was written already, except under
/// [`Pipelining::Bold`]. A server that did not read the content as content executes it as
/// commands, and the replies to them would be taken for replies to the next messages.
fn end_unless_content_read(dialogue: &Dialogue, reply: Reply) -> Result<(), Ending> {
    if dialogue.config.pipelining == Pipelining::Bold {
        return Ok(());
    }
    let error = Error::new(Stage::Body, ErrorKind::Refused(reply));
    Err(Ending::ForOneMessage(error))
}
