//! The verdict on one transaction, from what was answered; and which recipients it leaves for a
//! further one.
//!
//! Knows what answers mean together (RFC 5321 §4.2.5, §4.5.3.1.10). Must never ask for more of
//! them.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::part::Part;
use super::transaction::{Answer, Transaction};
use crate::{
    Address, Error, ErrorKind, Outcome, RecipientReport, RecipientStatus, Recipients, Report, Stage,
};

/// RFC 5321 §4.5.3.1.8: what every server takes.
pub(super) const GUARANTEED_RECIPIENTS: usize = 100;

impl Transaction {
    /// The report on a transaction whose replies have all come, and the transaction that its
    /// message still needs. What is left of it is a spare buffer.
    pub(crate) fn report(self, spare: &mut Vec<Answer>) -> (Report, Option<Box<Self>>) {
        let outcome = self.outcome(|| Error::new(Stage::Body, ErrorKind::SessionOver), false);
        let rest = self.rest(&outcome).map(|places| {
            let mut rest = Self::new(self.id, self.envelope.clone(), self.body.clone());
            rest.part = Part::rest(places);
            // There seldom is one, and it is large.
            Box::new(rest)
        });
        (self.settle(outcome, spare), rest)
    }

    /// The report on a transaction whose session ended with `error` after the driver
    /// had taken `taken` octets of the output.
    pub(crate) fn report_at_end(self, error: &Error, taken: u64) -> Report {
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
        self.settle(outcome, &mut Vec::new())
    }

    fn outcome(&self, error: impl FnOnce() -> Error, complete: bool) -> Outcome {
        if let Some(error) = &self.not_sent {
            Outcome::NotSent((**error).clone())
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

    /// Where the recipients stand in the envelope that are still to be asked for: those that were
    /// too many for a server that took the others, and those that it was not asked for yet. None
    /// where it refused more than recipients: it would refuse the same again.
    fn rest(&self, outcome: &Outcome) -> Option<Vec<usize>> {
        let too_many_may_be_asked_again = match outcome {
            Outcome::Accepted(_) => true,
            Outcome::Rejected {
                stage: Stage::Rcpt, ..
            } => false,
            _ => return None,
        };
        if !self.may_be_divided() || (self.too_many == 0 && self.part.asked() == self.part.total())
        {
            return None;
        }
        let too_many = self.recipients.iter().enumerate().filter(|(_, answer)| {
            too_many_may_be_asked_again && matches!(answer, Answer::TooMany(_))
        });
        let not_asked = self.part.asked()..self.part.total();
        let rest = too_many.map(|(nth, _)| nth).chain(not_asked);
        let places: Vec<usize> = rest.map(|nth| self.part.place(nth)).collect();
        (!places.is_empty()).then_some(places)
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
        let known = self.too_many > 0 || self.part.asked() < self.part.total();
        self.may_be_divided() && self.not_sent.is_none() && (unknown || known)
    }

    fn settle(mut self, outcome: Outcome, spare: &mut Vec<Answer>) -> Report {
        let recipients = self.recipient_reports(&outcome);
        self.recipients.clear();
        *spare = self.recipients;
        Report::new(self.id, outcome, recipients)
    }

    /// Of a message's first transaction, all recipients, in the envelope's order; of a further
    /// one, its own.
    fn recipient_reports(&mut self, outcome: &Outcome) -> Vec<RecipientReport> {
        let addresses = self.envelope.forward_paths();
        let unanswered = core::iter::repeat(Answer::Awaited);
        let answers = self.recipients.drain(..).chain(unanswered);
        if self.part.is_whole() {
            let answered = addresses.iter().zip(answers);
            return answered
                .map(|(address, answer)| recipient_report(address, answer, outcome))
                .collect();
        }
        let answered = self.part.places().zip(answers);
        let answered =
            answered.filter_map(|(place, answer)| Some((place, addresses.get(place)?, answer)));
        if self.part.is_further() {
            return answered
                .map(|(_, address, answer)| recipient_report(address, answer, outcome))
                .collect();
        }
        let left_out = |address: &Address| {
            RecipientReport::new(address.clone(), RecipientStatus::NotSent, None)
        };
        let mut reports: Vec<_> = addresses.iter().map(left_out).collect();
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
        (Answer::Yes(Some(reply)), _) => (RecipientStatus::Accepted, Some(reply)),
        (Answer::Yes(None), Outcome::Accepted(reply)) => {
            (RecipientStatus::Accepted, Some(reply.clone()))
        }
        (_, Outcome::Rejected { reply, stage }) if *stage != Stage::Rcpt => {
            (RecipientStatus::Refused, Some(reply.clone()))
        }
        (_, Outcome::InDoubt(_)) => (RecipientStatus::InDoubt, None),
        _ => (RecipientStatus::NotSent, None),
    };
    RecipientReport::new(address.clone(), status, reply)
}
