//! The verdict on one transaction from its answers, and the recipients that it leaves for a
//! further transaction.
//!
//! Knows what the answers mean together (RFC 5321 §4.2.5, §4.5.3.1.10). Must never cause anything
//! to be written.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::answers::Answer;
use super::{Progress, Transaction};
use crate::client::message::Message;
use crate::{Address, Error, ErrorKind, Outcome, RecipientReport, RecipientStatus, Report, Stage};

/// The number of recipients that every server accepts (RFC 5321 §4.5.3.1.8).
pub(in crate::client) const GUARANTEED_RECIPIENTS: usize = 100;

/// The result of one transaction.
pub(in crate::client) struct Concluded {
    pub(in crate::client) report: Report,
    /// Whether the message had an earlier transaction.
    pub(in crate::client) is_further: bool,
    /// The positions of this transaction's recipients in the envelope; empty for the first
    /// transaction of a message.
    pub(in crate::client) positions: Vec<usize>,
    /// The message with its remaining recipients, for a further transaction.
    pub(in crate::client) rest: Option<Box<Message>>,
}

impl Transaction {
    /// Whether the transaction is completely written and answered.
    pub(in crate::client) fn is_settled(&self) -> bool {
        self.outstanding == 0 && self.progress.is_finished() && !self.is_unconfirmed
    }

    /// Concludes a transaction that has all its replies. `spare` receives its buffer for reuse.
    pub(in crate::client) fn conclude(mut self, spare: &mut Vec<Answer>) -> Concluded {
        let outcome = self.outcome(|| Error::new(Stage::Body, ErrorKind::SessionOver), false);
        let again = self.asked_again(&outcome);
        let is_further = self.message.portion.is_further();
        let positions = self.further_positions();
        let report = self.report(outcome, spare);
        let rest = again.and_then(|again| self.into_rest(&again));
        let rest = rest.map(Box::new);
        Concluded {
            report,
            is_further,
            positions,
            rest,
        }
    }

    /// Concludes a transaction whose session ended with `error` after the driver took `taken`
    /// octets of the output; with `if_unsent` if the end of the content is not among these.
    pub(in crate::client) fn conclude_at_end(
        mut self,
        error: &Error,
        if_unsent: &Error,
        taken: u64,
    ) -> Concluded {
        self.answers.refuse_what_is_due();
        let complete = self.content_end.is_some_and(|end| end <= taken);
        let error = if complete { error } else { if_unsent };
        // If a server refuses and then closes the connection, the error is the refusal.
        let hung_up = matches!(
            error.kind(),
            ErrorKind::ConnectionClosed | ErrorKind::Transport(_)
        );
        let last_word = self.answers.worst_recipient_refusal().cloned();
        let error = match last_word {
            Some(reply) if hung_up && !complete && !self.answers.has_accepted_recipient() => {
                Error::new(Stage::Rcpt, ErrorKind::Refused(reply))
            }
            _ => error.clone(),
        };
        let outcome = self.outcome(|| error, complete);
        Concluded {
            is_further: self.message.portion.is_further(),
            positions: self.further_positions(),
            report: self.report(outcome, &mut Vec::new()),
            rest: None,
        }
    }

    fn further_positions(&self) -> Vec<usize> {
        let portion = &self.message.portion;
        if portion.is_further() {
            portion.asked_positions().collect()
        } else {
            Vec::new()
        }
    }

    fn outcome(&self, error: impl FnOnce() -> Error, complete: bool) -> Outcome {
        if let Progress::Failed(error) | Progress::SourceFailed(error) = &self.progress {
            Outcome::NotSent(error.clone())
        } else if let Some(reply) = self.repeated_because_of() {
            let kind = ErrorKind::OutOfSequence(reply.clone());
            Outcome::NotSent(Error::new(Stage::Mail, kind))
        } else if let Some((stage, reply)) = self.envelope_refusal() {
            let reply = reply.clone();
            Outcome::Rejected { stage, reply }
        } else if let Some(reply) = self.answers.data_refusal() {
            Outcome::Rejected {
                stage: Stage::Data,
                reply: reply.clone(),
            }
        } else if self.answers.some_are_due() {
            Outcome::InDoubt(error())
        } else {
            match self.answers.content() {
                Answer::Yes(Some(reply)) => Outcome::Accepted(reply.clone()),
                Answer::No(reply) => Outcome::Rejected {
                    stage: Stage::Body,
                    reply: reply.clone(),
                },
                _ if complete => Outcome::InDoubt(error()),
                _ => Outcome::NotSent(error()),
            }
        }
    }

    fn report(&mut self, outcome: Outcome, spare: &mut Vec<Answer>) -> Report {
        let mut answers = self.answers.take_recipients();
        let recipients = self.recipient_reports(&outcome, &mut answers);
        answers.clear();
        *spare = answers;
        Report::new(self.message.id, outcome, recipients)
            .with_separate_finals(self.answers.counts_finals())
    }

    /// The results for the recipients: in a first transaction for all recipients in the order of
    /// the envelope, in a further one for those of the transaction.
    fn recipient_reports(
        &self,
        outcome: &Outcome,
        answers: &mut Vec<Answer>,
    ) -> Vec<RecipientReport> {
        let portion = &self.message.portion;
        let addresses = self.message.envelope.forward_paths();
        let not_asked = |address: &Address| match outcome {
            // The message was refused for all recipients.
            Outcome::Rejected {
                stage: Stage::Mail, ..
            } => recipient_report(address, Answer::Awaited, outcome),
            _ => RecipientReport::new(address.clone(), RecipientStatus::NotSent, None),
        };
        let asked = portion.asked();
        let unanswered = core::iter::repeat(Answer::Awaited);
        let answers = answers.drain(..).chain(unanswered).take(asked);
        if portion.is_whole() {
            let answered = addresses.iter().zip(answers);
            let answered =
                answered.map(|(address, answer)| recipient_report(address, answer, outcome));
            let others = addresses.iter().skip(asked).map(not_asked);
            return answered.chain(others).collect();
        }
        let answered = portion.asked_positions().zip(answers);
        let answered = answered
            .filter_map(|(position, answer)| Some((position, addresses.get(position)?, answer)));
        if portion.is_further() {
            return answered
                .map(|(_, address, answer)| recipient_report(address, answer, outcome))
                .collect();
        }
        let mut reports: Vec<_> = addresses.iter().map(not_asked).collect();
        for (position, address, answer) in answered {
            if let Some(report) = reports.get_mut(position) {
                *report = recipient_report(address, answer, outcome);
            }
        }
        reports
    }
}

fn recipient_report(address: &Address, answer: Answer, outcome: &Outcome) -> RecipientReport {
    let (status, reply) = match (answer, outcome) {
        // A reply to `RCPT` after a refused `MAIL` ("503 MAIL first") decides nothing.
        (
            _,
            Outcome::Rejected {
                reply,
                stage: Stage::Mail,
            },
        ) => (RecipientStatus::Refused, Some(reply.clone())),
        (Answer::No(reply) | Answer::TooMany(reply), _) => (RecipientStatus::Refused, Some(reply)),
        (Answer::OutOfSequence(reply), _) => (RecipientStatus::NotSent, Some(reply)),
        (Answer::Final(reply), _) => (RecipientStatus::Accepted, Some(reply)),
        (Answer::Yes(own), Outcome::Accepted(_)) => (RecipientStatus::Accepted, own),
        (_, Outcome::Rejected { reply, stage }) if *stage != Stage::Rcpt => {
            (RecipientStatus::Refused, Some(reply.clone()))
        }
        (_, Outcome::InDoubt(_)) => (RecipientStatus::InDoubt, None),
        _ => (RecipientStatus::NotSent, None),
    };
    RecipientReport::new(address.clone(), status, reply)
}
