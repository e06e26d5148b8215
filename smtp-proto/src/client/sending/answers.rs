//! What the server answered to one transaction, and what the answers mean for the message
//! (RFC 5321 §3.3, §4.2).
//!
//! Must never know what is written, or when.

use alloc::vec::Vec;

use super::Transaction;
use crate::{EnhancedCode, Protocol, Recipients, Reply, Stage};

/// A server's answer to one command, with its words where they decide.
#[derive(Clone, Debug, Default)]
pub(in crate::client) enum Answer {
    #[default]
    Awaited,
    /// To `RCPT`, which commits the server to nothing yet; to others, with words where they
    /// decide.
    Yes(Option<Reply>),
    /// LMTP's yes to the content for one recipient (RFC 2033 §4.2).
    Final(Reply),
    No(Reply),
    /// A no to `RCPT` that only says how many there are already (RFC 5321 §4.5.3.1.10).
    TooMany(Reply),
    /// A no to `RCPT` that only says that it was sent ahead.
    OutOfStep(Reply),
}

/// The answers to one transaction.
#[derive(Debug, Default)]
pub(in crate::client) struct Answers {
    mail: Answer,
    /// One for each recipient that is asked for; empty until the first one came.
    recipients: Vec<Answer>,
    counts: Counts,
    /// The refusal of a command that was sent ahead, or of a `BDAT` that the server does
    /// not know. It says nothing of the message, which is sent again in another way.
    to_repeat: Option<Reply>,
    data: Answer,
    content: Finals,
}

/// How many recipients were answered, and how.
#[derive(Debug, Default)]
struct Counts {
    answered: usize,
    accepted: usize,
    too_many: usize,
    /// Commands, `RCPT` or not, that were told that they came out of step.
    out_of_step: usize,
}

/// The answer to the content.
#[derive(Debug)]
enum Finals {
    /// One for the message.
    Smtp(Answer),
    /// One for each recipient that was accepted (RFC 2033 §4.2).
    Lmtp(EachFinal),
}

impl Default for Finals {
    fn default() -> Self {
        Self::Smtp(Answer::Awaited)
    }
}

#[derive(Debug, Default)]
struct EachFinal {
    /// The recipients who get an answer, in order.
    recipients: Vec<usize>,
    /// How many of them were answered.
    answered: usize,
    /// Of the message: a yes if there was one, else the worst refusal.
    of_message: Answer,
    /// A `421` among the answers. Unless another one follows, the server is closing, and this
    /// is its answer for all recipients that are due.
    closing: Option<Reply>,
}

impl EachFinal {
    fn take(&mut self, recipients: &mut [Answer], accepted: bool, reply: Reply) {
        let (of_recipient, of_message) = if accepted {
            (Answer::Final(reply.clone()), Answer::Yes(Some(reply)))
        } else {
            (Answer::No(reply.clone()), Answer::No(reply))
        };
        let index = self.recipients.get(self.answered);
        self.answered += 1;
        if let Some(recipient) = index.and_then(|index| recipients.get_mut(*index)) {
            *recipient = of_recipient;
        }
        self.of_message = match (core::mem::take(&mut self.of_message), of_message) {
            (yes @ Answer::Yes(_), _) => yes,
            (Answer::No(worst), Answer::No(_)) if worst.code().is_permanent() => Answer::No(worst),
            (_, answer) => answer,
        };
    }
}

impl EachFinal {
    fn are_due(&self) -> bool {
        self.answered < self.recipients.len()
    }
}

impl Finals {
    fn of_message(&self) -> &Answer {
        match self {
            Self::Smtp(answer) => answer,
            Self::Lmtp(each) => &each.of_message,
        }
    }
}

impl Answers {
    pub(in crate::client) fn recipients(&self) -> &[Answer] {
        &self.recipients
    }

    /// Takes the buffer of the recipients' answers out.
    pub(super) fn take_recipients(&mut self) -> Vec<Answer> {
        core::mem::take(&mut self.recipients)
    }

    pub(in crate::client) fn accepted(&self) -> usize {
        self.counts.accepted
    }

    pub(in crate::client) fn met_too_many(&self) -> bool {
        self.counts.too_many > 0
    }

    /// Whether what is to be asked again is to be asked one command at a time.
    pub(in crate::client) fn met_out_of_step(&self) -> bool {
        self.counts.out_of_step > 0
    }

    /// Whether some recipients are to be asked for again.
    pub(in crate::client) fn asks_for_more(&self) -> bool {
        self.counts.too_many + self.counts.out_of_step > 0
    }

    pub(in crate::client) fn mail_accepted(&self) -> bool {
        matches!(self.mail, Answer::Yes(_))
    }

    /// Whether the content has anywhere to go.
    pub(in crate::client) fn has_accepted_recipient(&self) -> bool {
        self.mail_accepted() && self.counts.accepted > 0
    }

    /// Whether the server took the content, for anybody.
    pub(in crate::client) fn content_accepted(&self) -> bool {
        matches!(self.content.of_message(), Answer::Yes(_))
    }

    pub(super) fn content(&self) -> &Answer {
        self.content.of_message()
    }

    pub(super) fn data_refusal(&self) -> Option<&Reply> {
        match &self.data {
            Answer::No(reply) => Some(reply),
            _ => None,
        }
    }

    /// Whether a reply to the content is owed to some recipients still.
    pub(super) fn some_are_due(&self) -> bool {
        matches!(&self.content, Finals::Lmtp(each) if each.are_due())
    }

    /// Whether a `421` came among LMTP's replies to the content, and none behind it.
    pub(in crate::client) fn is_closing(&self) -> bool {
        matches!(&self.content, Finals::Lmtp(each) if each.closing.is_some())
    }

    /// Whether there was a final reply for each recipient.
    pub(in crate::client) fn counts_finals(&self) -> bool {
        self.answered_apart()
    }

    fn answered_apart(&self) -> bool {
        matches!(self.content, Finals::Lmtp(_))
    }

    // ---- the answers as they come

    /// `sent_ahead`: see [`Expectation`](crate::client::expectation::Expectation).
    pub(in crate::client) fn take_mail(&mut self, answer: Result<(), Reply>, sent_ahead: bool) {
        self.mail = match answer {
            Ok(()) => Answer::Yes(None),
            Err(reply) => {
                if sent_ahead && is_out_of_step(&reply) {
                    self.counts.out_of_step += 1;
                    self.to_repeat = Some(reply.clone());
                }
                Answer::No(reply)
            }
        };
    }

    pub(in crate::client) fn refuse_data(&mut self, reply: Reply, sent_ahead: bool) {
        if sent_ahead && self.has_accepted_recipient() && is_out_of_step(&reply) {
            self.counts.out_of_step += 1;
            self.to_repeat = Some(reply.clone());
        }
        self.data = Answer::No(reply);
    }

    /// The content was refused before it was complete, or by a chunk's reply.
    pub(in crate::client) fn refuse_content(&mut self, reply: Reply) {
        self.decide_content(Answer::No(reply));
    }

    /// What later chunks are told ("503 out of step") decides nothing.
    fn decide_content(&mut self, answer: Answer) {
        match &mut self.content {
            Finals::Smtp(Answer::No(_)) => {}
            Finals::Smtp(content) => *content = answer,
            Finals::Lmtp(each) if matches!(each.of_message, Answer::No(_)) => {}
            Finals::Lmtp(each) => each.of_message = answer,
        }
    }

    /// Takes a reply to the end of the content. Says whether it was the last.
    pub(in crate::client) fn take_content(
        &mut self,
        protocol: Protocol,
        accepted: bool,
        reply: Reply,
    ) -> bool {
        if protocol == Protocol::Lmtp && self.has_accepted_recipient() {
            self.take_one_final(accepted, reply);
            return !self.some_are_due();
        }
        self.decide_content(if accepted {
            Answer::Yes(Some(reply))
        } else {
            Answer::No(reply)
        });
        true
    }

    /// RFC 2033 §4.2: in the order of the recipients that were accepted.
    fn take_one_final(&mut self, accepted: bool, reply: Reply) {
        if let Finals::Smtp(of_message) = &mut self.content {
            let is_accepted = |answer: &Answer| matches!(answer, Answer::Yes(_));
            let answers = self.recipients.iter().enumerate();
            let accepted =
                answers.filter_map(|(index, answer)| is_accepted(answer).then_some(index));
            self.content = Finals::Lmtp(EachFinal {
                recipients: accepted.collect(),
                answered: 0,
                of_message: core::mem::take(of_message),
                closing: None,
            });
        }
        if let Finals::Lmtp(each) = &mut self.content {
            each.closing = None;
            each.take(&mut self.recipients, accepted, reply);
        }
    }

    /// `421` came to the content of LMTP, and may be one recipient's: others may follow.
    pub(in crate::client) fn note_closing(&mut self, reply: Reply) {
        if let Finals::Lmtp(each) = &mut self.content {
            each.closing = Some(reply);
        }
    }

    /// The session is over. A server that had begun to close did not take what it did not
    /// answer for.
    pub(in crate::client) fn refuse_what_is_due(&mut self) {
        if let Finals::Lmtp(each) = &mut self.content
            && let Some(reply) = each.closing.take()
        {
            while each.are_due() {
                each.take(&mut self.recipients, false, reply.clone());
            }
        }
    }

    /// There were more replies than the server owes: which of them was meant for what is not
    /// known.
    pub(in crate::client) fn distrust(&mut self) {
        if let Finals::Lmtp(each) = &mut self.content {
            for index in &each.recipients {
                if let Some(answer) = self.recipients.get_mut(*index) {
                    *answer = Answer::Awaited;
                }
            }
            each.answered = 0;
            each.of_message = Answer::Awaited;
        }
        self.data = Answer::Awaited;
    }

    /// A permanent refusal of a recipient if there is one, else the first.
    pub(super) fn worst_recipient_refusal(&self) -> Option<&Reply> {
        let refusals = || {
            self.recipients.iter().filter_map(|answer| match answer {
                Answer::No(reply) | Answer::TooMany(reply) => Some(reply),
                _ => None,
            })
        };
        refusals()
            .find(|reply| reply.code().is_permanent())
            .or_else(|| refusals().next())
    }
}

impl Transaction {
    /// `spare` is a buffer that may be used.
    pub(in crate::client) fn take_rcpt(
        &mut self,
        index: usize,
        answer: Result<Reply, Reply>,
        sent_ahead: bool,
        spare: &mut Vec<Answer>,
    ) {
        let answers = &mut self.answers;
        if answers.recipients.is_empty() {
            answers.recipients = core::mem::take(spare);
            let asked = self.message.portion.asked();
            answers.recipients.resize(asked, Answer::Awaited);
        }
        let counts = &mut answers.counts;
        let answer = match answer {
            Ok(reply) => Answer::Yes(Some(reply)),
            Err(reply) if counts.accepted > 0 && is_too_many_recipients(&reply) => {
                Answer::TooMany(reply)
            }
            Err(reply)
                if sent_ahead
                    && matches!(answers.mail, Answer::Yes(_))
                    && is_out_of_step(&reply) =>
            {
                Answer::OutOfStep(reply)
            }
            Err(reply) => Answer::No(reply),
        };
        counts.answered += 1;
        match &answer {
            Answer::Yes(_) => counts.accepted += 1,
            Answer::TooMany(_) => counts.too_many += 1,
            Answer::OutOfStep(_) => counts.out_of_step += 1,
            _ => {}
        }
        let is_too_many = matches!(answer, Answer::TooMany(_));
        if let Some(recipient) = answers.recipients.get_mut(index) {
            *recipient = answer;
        }
        if is_too_many {
            self.ask_for_no_more();
        }
    }

    /// The server does not take a `BDAT` of one octet, for recipients that it took.
    pub(in crate::client) fn refuse_first_chunk(&mut self, reply: Reply) {
        let needs_chunking = self.message.body.facts().is_none_or(|facts| facts.nul);
        if needs_chunking {
            self.answers.refuse_content(reply);
        } else {
            self.answers.to_repeat = Some(reply);
        }
    }

    /// Whether the server can no longer take this message in this transaction, from what it
    /// has said so far to `MAIL` and `RCPT`.
    pub(in crate::client) fn is_refused(&self) -> bool {
        self.envelope_refusal().is_some() || self.repeated_because_of().is_some()
    }

    /// The reply that says nothing of the message, where the whole of it is to be sent again
    /// in another way.
    pub(in crate::client) fn repeated_because_of(&self) -> Option<&Reply> {
        if self.failure().is_some() {
            return None;
        }
        let answers = &self.answers;
        if let Some(reply) = &answers.to_repeat {
            return Some(reply);
        }
        let nobody = answers.counts.accepted == 0 && self.recipients_answered();
        if answers.counts.out_of_step == 0 || !(nobody || self.is_all_or_nothing()) {
            return None;
        }
        answers.recipients.iter().find_map(|answer| match answer {
            Answer::OutOfStep(reply) => Some(reply),
            _ => None,
        })
    }

    pub(in crate::client) fn recipients_answered(&self) -> bool {
        self.answers.counts.answered == self.message.portion.asked()
    }

    pub(in crate::client) fn is_all_or_nothing(&self) -> bool {
        self.message.envelope.recipients() == Recipients::All
    }

    /// The refusal of `MAIL`, of every recipient, or (all or nothing) of one.
    pub(super) fn envelope_refusal(&self) -> Option<(Stage, &Reply)> {
        let answers = &self.answers;
        if let Answer::No(reply) = &answers.mail {
            return Some((Stage::Mail, reply));
        }
        if answers.answered_apart() {
            return None;
        }
        let counts = &answers.counts;
        let one_refused = counts.answered > counts.accepted + counts.out_of_step;
        let all_refused = counts.accepted == 0 && self.recipients_answered();
        (all_refused || (self.is_all_or_nothing() && one_refused))
            .then(|| answers.worst_recipient_refusal())
            .flatten()
            .map(|reply| (Stage::Rcpt, reply))
    }
}

/// `503 bad sequence of commands` (RFC 5321 §4.2.3).
fn is_out_of_step(reply: &Reply) -> bool {
    reply.code().get() == 503
}

/// RFC 5321 §4.5.3.1.10: 452, or 552 by older servers. Both have other meanings, which the
/// enhanced code tells apart (RFC 3463 §3.6); without one, asking once more tells.
fn is_too_many_recipients(reply: &Reply) -> bool {
    let other_meaning = |code: EnhancedCode| (code.subject(), code.detail()) != (5, 3);
    matches!(reply.code().get(), 452 | 552) && !reply.enhanced().is_some_and(other_meaning)
}
