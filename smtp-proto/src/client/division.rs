//! Division: which recipients of a message belong to one transaction, which to a further
//! transaction of the same session, and which to another session.
//!
//! A message is divided if the server accepts fewer recipients at a time than the message has.
//! The server says so in advance (LIMITS, RFC 9422) or by `452` (RFC 5321 §4.5.3.1.10). The
//! report lists the recipients that need another session as not sent, and
//! [`Report::left_for_another_session`](crate::Report) finds them there.
//!
//! ```text
//! before MAIL    limits.rs                  as many as RCPTMAX and RCPTDOMAINMAX allow
//! at a 452       ask_no_further_recipients  recipients without a RCPT wait
//! at the end     asked_again                plus recipients refused as too many or out of sequence
//! ```

mod limits;
mod portion;

use alloc::vec::Vec;

pub(super) use self::limits::Used;
pub(super) use self::portion::Portion;
use super::message::Message;
use super::sending::{Answer, Progress, Transaction};
use crate::{ErrorKind, Outcome, Recipients, Stage};

impl Message {
    /// Whether the message may need several transactions: its content can be sent again, and it
    /// may be accepted for some of its recipients only.
    pub(super) fn may_be_divided(&self) -> bool {
        self.envelope.recipients() == Recipients::Any && !self.body.is_stream()
    }

    /// Limits the number of recipients in one transaction.
    fn limit_recipients(&mut self, limit: &'static str, most: usize) -> Result<(), ErrorKind> {
        if self.portion.total() <= most {
            return Ok(());
        }
        self.allow_fewer_recipients(limit, self.portion.total(), most)?;
        self.portion.limit(most);
        Ok(())
    }

    /// Removes all other recipients: the server allows `most` domains, and `wanted` are needed.
    fn keep_recipients(
        &mut self,
        limit: &'static str,
        wanted: usize,
        most: usize,
        positions: Vec<usize>,
    ) -> Result<(), ErrorKind> {
        if positions.is_empty() {
            return Err(ErrorKind::SessionFull);
        }
        self.allow_fewer_recipients(limit, wanted, most)?;
        self.portion.keep_only(positions);
        Ok(())
    }

    /// Returns an error if the message must be accepted for all recipients or for none.
    fn allow_fewer_recipients(
        &self,
        limit: &'static str,
        wanted: usize,
        most: usize,
    ) -> Result<(), ErrorKind> {
        match self.envelope.recipients() {
            Recipients::Any => Ok(()),
            Recipients::All => Err(ErrorKind::BeyondLimit {
                limit,
                wanted: wanted as u64,
                allowed: most as u64,
            }),
        }
    }
}

impl Transaction {
    /// Stops adding recipients to this transaction, because the server accepts no more. The
    /// others wait for a further transaction (RFC 5321 §4.5.3.1.10).
    pub(super) fn ask_no_further_recipients(&mut self) {
        if let Progress::Recipients(written) = self.progress {
            self.message.portion.limit(written);
        }
    }

    /// The recipients of this transaction that belong to a further one: those that the server
    /// refused as too many or out of step while it accepted others.
    ///
    /// `None` if there is no further transaction, for example because the server refused the
    /// message itself and would refuse it again.
    pub(super) fn asked_again(&self, outcome: &Outcome) -> Option<Vec<usize>> {
        let portion = &self.message.portion;
        if self.repeated_because_of().is_some() {
            // Nothing of the content was sent.
            return Some((0..portion.asked()).collect());
        }
        let some_were_taken = match outcome {
            Outcome::Accepted(_) => true,
            Outcome::Rejected {
                stage: Stage::Rcpt, ..
            } => false,
            // Each refusal of the content is that of one recipient (RFC 2033 §4.2).
            Outcome::Rejected {
                stage: Stage::Body, ..
            } if self.answers.counts_finals() => true,
            _ => return None,
        };
        let not_asked = portion.asked() < portion.total();
        if !self.message.may_be_divided() || (!self.answers.asks_for_more() && !not_asked) {
            return None;
        }
        let answers = self.answers.recipients().iter().take(portion.asked());
        let again = answers.enumerate().filter(|(_, answer)| {
            some_were_taken && matches!(answer, Answer::TooMany(_) | Answer::OutOfSequence(_))
        });
        Some(again.map(|(nth, _)| nth).collect())
    }

    /// Whether the message may still need another transaction after this one, so that the next
    /// message must wait. `at_once` is the number of recipients that the server surely accepts.
    pub(super) fn may_leave_a_rest(&self, at_once: usize) -> bool {
        let portion = &self.message.portion;
        let is_many = portion.asked() > at_once || portion.is_further();
        let unknown = is_many && !self.recipients_answered();
        let known = self.answers.asks_for_more() || portion.asked() < portion.total();
        let may_be_divided = self.message.may_be_divided();
        may_be_divided && self.failure().is_none() && (unknown || known)
    }

    /// The message with its remaining recipients; `None` if no recipients remain.
    pub(super) fn into_rest(mut self, again: &[usize]) -> Option<Message> {
        if self.answers.has_too_many_recipients_reply() {
            self.message.portion.limit_all(self.answers.accepted());
        }
        let portion = self.message.portion.into_rest(again)?;
        Some(Message {
            portion,
            ..self.message
        })
    }
}
