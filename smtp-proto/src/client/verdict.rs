//! The verdict on one transaction, from what was answered; and which recipients it leaves for a
//! further one.
//!
//! Knows what answers mean together (RFC 5321 §4.2.5, §4.5.3.1.10). Must never ask for more of
//! them.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::transaction::{Answer, Transaction};
use crate::{
    Address, Error, ErrorKind, Outcome, RecipientReport, RecipientStatus, Recipients, Report, Stage,
};

/// RFC 5321 §4.5.3.1.8: what every server takes.
pub(super) const GUARANTEED_RECIPIENTS: usize = 100;

/// What became of one transaction.
pub(crate) struct Concluded {
    pub(crate) report: Report,
    /// The message had an earlier transaction.
    pub(crate) further: bool,
    /// Where the recipients of a further one stand in the envelope.
    pub(crate) places: Vec<usize>,
    /// The transaction that the message still needs.
    pub(crate) rest: Option<Box<Transaction>>,
}

impl Transaction {
    /// What becomes of a transaction whose replies have all come. What is left of it is a
    /// spare buffer.
    pub(crate) fn conclude(mut self, spare: &mut Vec<Answer>) -> Concluded {
        let outcome = self.outcome(|| Error::new(Stage::Body, ErrorKind::SessionOver), false);
        let again = self.to_be_asked_again(&outcome);
        if self.too_many > 0 {
            self.part.limit_all(self.accepted);
        }
        let further = self.part.is_further();
        let places = if further {
            self.part.asked_places().collect()
        } else {
            Vec::new()
        };
        let report = self.settle(outcome, spare);
        let rest = again.and_then(|again| {
            let part = self.part.into_rest(&again)?;
            let mut rest = Self::new(self.id, self.envelope, self.body);
            rest.part = part;
            rest.stream = self.stream;
            rest.in_ascii = self.in_ascii;
            // There seldom is one, and it is large.
            Some(Box::new(rest))
        });
        Concluded {
            report,
            further,
            places,
            rest,
        }
    }

    /// The report on a transaction whose session ended with `error` after the driver
    /// had taken `taken` octets of the output.
    pub(crate) fn conclude_at_end(mut self, error: &Error, taken: u64) -> Concluded {
        let complete = self.content_end.is_some_and(|end| end <= taken);
        // A server that refuses and hangs up: its refusal is the error, not the
        // end of file that followed.
        let hung_up = matches!(
            error.kind(),
            ErrorKind::ConnectionClosed | ErrorKind::Transport(_)
        );
        let last_word = self.worst_recipient_refusal().cloned();
        let error = match last_word {
            Some(reply) if hung_up && !complete && !self.has_accepted_recipient() => {
                Error::new(Stage::Rcpt, ErrorKind::Refused(reply))
            }
            _ => error.clone(),
        };
        let outcome = self.outcome(|| error, complete);
        Concluded {
            further: self.part.is_further(),
            places: self.part.asked_places().collect(),
            report: self.settle(outcome, &mut Vec::new()),
            rest: None,
        }
    }

    fn outcome(&self, error: impl FnOnce() -> Error, complete: bool) -> Outcome {
        if let Some(error) = &self.not_sent {
            Outcome::NotSent((**error).clone())
        } else if let Some(reply) = self.repeated_because_of() {
            let kind = ErrorKind::OutOfStep(reply.clone());
            Outcome::NotSent(Error::new(Stage::Mail, kind))
        } else if let Some((stage, reply)) = self.envelope_refusal() {
            let reply = reply.clone();
            Outcome::Rejected { stage, reply }
        } else if let Answer::No(reply) = &self.data {
            Outcome::Rejected {
                stage: Stage::Data,
                reply: reply.clone(),
            }
        } else if !self.finals_due.is_empty() {
            Outcome::InDoubt(error())
        } else {
            match &self.content {
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

    /// Which of the recipients are to be asked for again in a further transaction, where there
    /// is to be one: those that were too many for a server that took the others, and those
    /// that came out of step. None where the server refused more than recipients: it would
    /// refuse the same again.
    fn to_be_asked_again(&self, outcome: &Outcome) -> Option<Vec<usize>> {
        if self.repeated_because_of().is_some() {
            // Nothing of the content was sent.
            return Some((0..self.part.asked()).collect());
        }
        let at_all = match outcome {
            Outcome::Accepted(_) => true,
            Outcome::Rejected {
                stage: Stage::Rcpt, ..
            } => false,
            _ => return None,
        };
        let left = self.part.asked() < self.part.total();
        if !self.may_be_divided() || (self.too_many + self.out_of_step == 0 && !left) {
            return None;
        }
        let answers = self.recipients.iter().take(self.part.asked()).enumerate();
        let again = answers.filter(|(_, answer)| {
            at_all && matches!(answer, Answer::TooMany(_) | Answer::OutOfStep(_))
        });
        Some(again.map(|(nth, _)| nth).collect())
    }

    /// Whether the message may take several transactions: its content is there to be sent again,
    /// and whoever refuses some of its recipients may take others.
    pub(crate) fn may_be_divided(&self) -> bool {
        self.envelope.recipients() == Recipients::Any && !self.body.is_stream()
    }

    /// Whether the message may still need another transaction after this one. What must not
    /// come before that waits, unless the server is sure to take so many recipients at once.
    pub(crate) fn may_leave_a_rest(&self, at_once: usize) -> bool {
        let is_many = self.part.asked() > at_once || self.part.is_further();
        let unknown = is_many && !self.recipients_answered();
        let known = self.too_many + self.out_of_step > 0 || self.part.asked() < self.part.total();
        self.may_be_divided() && self.not_sent.is_none() && (unknown || known)
    }

    fn settle(&mut self, outcome: Outcome, spare: &mut Vec<Answer>) -> Report {
        let recipients = self.recipient_reports(&outcome);
        self.recipients.clear();
        *spare = core::mem::take(&mut self.recipients);
        Report::new(self.id, outcome, recipients)
    }

    /// Of a message's first transaction, all recipients, in the envelope's order; of a further
    /// one, those that it asked for.
    fn recipient_reports(&mut self, outcome: &Outcome) -> Vec<RecipientReport> {
        let addresses = self.envelope.forward_paths();
        let not_asked = |address: &Address| match outcome {
            // The message was refused, whoever it is for.
            Outcome::Rejected {
                stage: Stage::Mail, ..
            } => recipient_report(address, Answer::Awaited, outcome),
            _ => RecipientReport::new(address.clone(), RecipientStatus::NotSent, None),
        };
        let asked = self.part.asked();
        let unanswered = core::iter::repeat(Answer::Awaited);
        let answers = self.recipients.drain(..).chain(unanswered).take(asked);
        if self.part.is_whole() {
            let answered = addresses.iter().zip(answers);
            let answered =
                answered.map(|(address, answer)| recipient_report(address, answer, outcome));
            let others = addresses.iter().skip(asked).map(not_asked);
            return answered.chain(others).collect();
        }
        let answered = self.part.asked_places().zip(answers);
        let answered =
            answered.filter_map(|(place, answer)| Some((place, addresses.get(place)?, answer)));
        if self.part.is_further() {
            return answered
                .map(|(_, address, answer)| recipient_report(address, answer, outcome))
                .collect();
        }
        let mut reports: Vec<_> = addresses.iter().map(not_asked).collect();
        for (place, address, answer) in answered {
            if let Some(report) = reports.get_mut(place) {
                *report = recipient_report(address, answer, outcome);
            }
        }
        reports
    }
}

fn recipient_report(address: &Address, answer: Answer, outcome: &Outcome) -> RecipientReport {
    let (status, reply) = match (answer, outcome) {
        // What `RCPT` was told after that ("503 MAIL first") decided nothing.
        (
            _,
            Outcome::Rejected {
                reply,
                stage: Stage::Mail,
            },
        ) => (RecipientStatus::Refused, Some(reply.clone())),
        (Answer::No(reply) | Answer::TooMany(reply), _) => (RecipientStatus::Refused, Some(reply)),
        (Answer::OutOfStep(reply), _) => (RecipientStatus::NotSent, Some(reply)),
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
