//! The server's answers to one transaction, and their meaning for the message (RFC 5321 §3.3,
//! §4.2).
//!
//! Must never know what is written, or when.

use alloc::vec::Vec;

use super::Transaction;
use crate::{EnhancedCode, Protocol, Recipients, Reply, Stage};

/// The server's answer to one command, with the reply if it decides something.
#[derive(Clone, Debug, Default)]
pub(in crate::client) enum Answer {
    #[default]
    Awaited,
    /// A positive reply, kept if it decides something. To `RCPT` it does not commit the server.
    Yes(Option<Reply>),
    /// LMTP's positive reply to the content for one recipient (RFC 2033 §4.2).
    Final(Reply),
    No(Reply),
    /// A refusal of `RCPT` because there are too many recipients (RFC 5321 §4.5.3.1.10).
    TooMany(Reply),
    /// A refusal of `RCPT` because the command was sent ahead of earlier replies.
    OutOfSequence(Reply),
}

impl Answer {
    fn refusal(&self) -> Option<&Reply> {
        match self {
            Self::No(reply) => Some(reply),
            _ => None,
        }
    }
}

/// The answers to one transaction.
#[derive(Debug, Default)]
pub(in crate::client) struct Answers {
    mail: Answer,
    /// One answer for each recipient of the transaction; empty before the first reply to `RCPT`.
    recipients: Vec<Answer>,
    counts: Counts,
    /// The refusal of a command that was sent ahead, or of a `BDAT` that the server does not
    /// support. It is not about the message, which is sent again in another way.
    to_repeat: Option<Reply>,
    data: Answer,
    content: Finals,
}

/// The numbers of answered recipients, by the kind of answer.
#[derive(Debug, Default)]
struct Counts {
    answered: usize,
    accepted: usize,
    too_many: usize,
    /// Commands, `RCPT` or not, that were refused as out of step.
    out_of_sequence: usize,
}

/// The answer to the content.
#[derive(Debug)]
enum Finals {
    /// One answer for the message.
    Smtp(Answer),
    /// One answer for each accepted recipient (RFC 2033 §4.2).
    Lmtp(EachFinal),
}

impl Default for Finals {
    fn default() -> Self {
        Self::Smtp(Answer::Awaited)
    }
}

#[derive(Debug, Default)]
struct EachFinal {
    /// The recipients that get an answer, in order.
    recipients: Vec<usize>,
    /// The number of recipients that are answered.
    answered: usize,
    /// The answer for the message: positive if any answer is, otherwise the worst refusal.
    of_message: Answer,
    /// A `421` among the answers. Unless another reply follows, the server is closing, and the
    /// `421` is the answer for all recipients without one.
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

    /// Takes the buffer with the answers for the recipients.
    pub(super) fn take_recipients(&mut self) -> Vec<Answer> {
        core::mem::take(&mut self.recipients)
    }

    pub(in crate::client) fn accepted(&self) -> usize {
        self.counts.accepted
    }

    pub(in crate::client) fn has_too_many_recipients_reply(&self) -> bool {
        self.counts.too_many > 0
    }

    /// Whether a refusal was out of step, so that a repetition must send one command at a time.
    pub(in crate::client) fn has_out_of_sequence_reply(&self) -> bool {
        self.counts.out_of_sequence > 0
    }

    /// Whether some recipients need a further transaction.
    pub(in crate::client) fn asks_for_more(&self) -> bool {
        self.counts.too_many + self.counts.out_of_sequence > 0
    }

    pub(in crate::client) fn mail_accepted(&self) -> bool {
        matches!(self.mail, Answer::Yes(_))
    }

    /// Whether the server accepted any recipient.
    pub(in crate::client) fn has_accepted_recipient(&self) -> bool {
        self.mail_accepted() && self.counts.accepted > 0
    }

    /// The refusal of `MAIL`, if the server has a transaction open nevertheless: that of an earlier
    /// message, or one without a sender.
    pub(in crate::client) fn refusal_within_a_transaction(&self) -> Option<&Reply> {
        match &self.mail {
            Answer::No(reply) if self.counts.accepted > 0 || is_out_of_sequence(reply) => {
                Some(reply)
            }
            _ => None,
        }
    }

    /// Whether the server accepted the content for any recipient.
    pub(in crate::client) fn content_accepted(&self) -> bool {
        matches!(self.content.of_message(), Answer::Yes(_))
    }

    pub(super) fn content(&self) -> &Answer {
        self.content.of_message()
    }

    /// The first refusal of the content, or of a chunk.
    pub(in crate::client) fn content_refusal(&self) -> Option<&Reply> {
        self.content.of_message().refusal()
    }

    pub(super) fn data_refusal(&self) -> Option<&Reply> {
        self.data.refusal()
    }

    /// Whether replies to the content are outstanding for some recipients.
    pub(super) fn some_are_due(&self) -> bool {
        matches!(&self.content, Finals::Lmtp(each) if each.are_due())
    }

    /// Whether the last of LMTP's replies to the content so far is a `421`.
    pub(in crate::client) fn is_closing(&self) -> bool {
        matches!(&self.content, Finals::Lmtp(each) if each.closing.is_some())
    }

    /// Whether the content gets one final reply for each recipient (LMTP).
    pub(in crate::client) fn counts_finals(&self) -> bool {
        matches!(self.content, Finals::Lmtp(_))
    }

    // ---- incoming replies

    /// `sent_ahead`: see [`Expectation`](crate::client::expectation::Expectation).
    pub(in crate::client) fn take_mail(&mut self, answer: Result<(), Reply>, sent_ahead: bool) {
        self.mail = match answer {
            Ok(()) => Answer::Yes(None),
            Err(reply) => {
                if sent_ahead && is_out_of_sequence(&reply) {
                    self.counts.out_of_sequence += 1;
                    self.to_repeat = Some(reply.clone());
                }
                Answer::No(reply)
            }
        };
    }

    pub(in crate::client) fn refuse_data(&mut self, reply: Reply, sent_ahead: bool) {
        if sent_ahead && self.has_accepted_recipient() && is_out_of_sequence(&reply) {
            self.counts.out_of_sequence += 1;
            self.to_repeat = Some(reply.clone());
        }
        self.data = Answer::No(reply);
    }

    /// Records a refusal of the content before its end, or a refusal of a chunk.
    pub(in crate::client) fn refuse_content(&mut self, reply: Reply) {
        self.decide_content(Answer::No(reply));
    }

    /// Sets the answer to the content. Replies to later chunks ("503 out of step") change nothing.
    fn decide_content(&mut self, answer: Answer) {
        match &mut self.content {
            Finals::Smtp(Answer::No(_)) => {}
            Finals::Smtp(content) => *content = answer,
            Finals::Lmtp(each) if matches!(each.of_message, Answer::No(_)) => {}
            Finals::Lmtp(each) => each.of_message = answer,
        }
    }

    /// Records a reply to the end of the content. Returns whether it was the last one.
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

    /// Records LMTP's reply for the next accepted recipient, in order (RFC 2033 §4.2).
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

    /// Records a `421` to the content in LMTP, which may be for one recipient only.
    pub(in crate::client) fn note_closing(&mut self, reply: Reply) {
        if let Finals::Lmtp(each) = &mut self.content {
            each.closing = Some(reply);
        }
    }

    /// After the end of the session, applies a `421` to the recipients without an answer: the
    /// server did not accept the content for them.
    pub(in crate::client) fn refuse_what_is_due(&mut self) {
        if let Finals::Lmtp(each) = &mut self.content
            && let Some(reply) = each.closing.take()
        {
            while each.are_due() {
                each.take(&mut self.recipients, false, reply.clone());
            }
        }
    }

    /// Puts the answers to the content in doubt, because a surplus reply makes their order
    /// unreliable.
    pub(in crate::client) fn put_in_doubt(&mut self) {
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

    /// The first permanent refusal of a recipient if there is one, otherwise the first refusal.
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
    /// Records a reply to `RCPT`. `spare` is a buffer for the answers.
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
                    && is_out_of_sequence(&reply) =>
            {
                Answer::OutOfSequence(reply)
            }
            Err(reply) => Answer::No(reply),
        };
        counts.answered += 1;
        match &answer {
            Answer::Yes(_) => counts.accepted += 1,
            Answer::TooMany(_) => counts.too_many += 1,
            Answer::OutOfSequence(_) => counts.out_of_sequence += 1,
            _ => {}
        }
        let is_too_many = matches!(answer, Answer::TooMany(_));
        if let Some(recipient) = answers.recipients.get_mut(index) {
            *recipient = answer;
        }
        if is_too_many {
            self.ask_no_further_recipients();
        }
    }

    /// Records that the server refused a `BDAT` of one octet after it accepted a recipient.
    pub(in crate::client) fn refuse_first_chunk(&mut self, reply: Reply) {
        let needs_chunking = self.message.body.facts().is_none_or(|facts| facts.nul);
        if needs_chunking {
            self.answers.refuse_content(reply);
        } else {
            self.answers.to_repeat = Some(reply);
        }
    }

    /// Whether the replies to `MAIL` and `RCPT` so far rule out that the server accepts the
    /// message in this transaction.
    pub(in crate::client) fn is_refused(&self) -> bool {
        self.envelope_refusal().is_some() || self.repeated_because_of().is_some()
    }

    /// The reply because of which the whole message is sent again in another way.
    pub(in crate::client) fn repeated_because_of(&self) -> Option<&Reply> {
        if self.failure().is_some() {
            return None;
        }
        let answers = &self.answers;
        if let Some(reply) = &answers.to_repeat {
            return Some(reply);
        }
        let nobody = answers.counts.accepted == 0 && self.recipients_answered();
        if answers.counts.out_of_sequence == 0 || !(nobody || self.is_all_or_nothing()) {
            return None;
        }
        answers.recipients.iter().find_map(|answer| match answer {
            Answer::OutOfSequence(reply) => Some(reply),
            _ => None,
        })
    }

    pub(in crate::client) fn recipients_answered(&self) -> bool {
        self.answers.counts.answered == self.message.portion.asked()
    }

    pub(in crate::client) fn is_all_or_nothing(&self) -> bool {
        self.message.envelope.recipients() == Recipients::All
    }

    /// The refusal of `MAIL`, of every recipient, or of one recipient if all must be accepted.
    pub(super) fn envelope_refusal(&self) -> Option<(Stage, &Reply)> {
        let answers = &self.answers;
        if let Answer::No(reply) = &answers.mail {
            return Some((Stage::Mail, reply));
        }
        if answers.counts_finals() {
            return None;
        }
        let counts = &answers.counts;
        let one_refused = counts.answered > counts.accepted + counts.out_of_sequence;
        let all_refused = counts.accepted == 0 && self.recipients_answered();
        (all_refused || (self.is_all_or_nothing() && one_refused))
            .then(|| answers.worst_recipient_refusal())
            .flatten()
            .map(|reply| (Stage::Rcpt, reply))
    }
}

/// Whether the reply is `503 bad sequence of commands` (RFC 5321 §4.2.3).
pub(in crate::client) fn is_out_of_sequence(reply: &Reply) -> bool {
    reply.code().get() == 503
}

/// Whether the reply means that there are too many recipients: 452, or 552 by older servers
/// (RFC 5321 §4.5.3.1.10).
///
/// Both codes have other meanings, which the enhanced code distinguishes (RFC 3463 §3.6). Without
/// an enhanced code, one more attempt shows the meaning.
fn is_too_many_recipients(reply: &Reply) -> bool {
    let other_meaning = |code: EnhancedCode| (code.subject(), code.detail()) != (5, 3);
    matches!(reply.code().get(), 452 | 552) && !reply.enhanced().is_some_and(other_meaning)
}
