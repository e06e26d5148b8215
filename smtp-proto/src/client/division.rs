//! Division: which recipients of a message one transaction is for, what goes in a further
//! transaction of the same session, and what only another session may hold.
//!
//! A message is divided where the server takes fewer recipients at a time than it has: it says
//! so beforehand (LIMITS, RFC 9422) or by `452` (RFC 5321 §4.5.3.1.10). What is left when the
//! session may hold no more is in the report as not sent, and
//! [`Report::left_for_another_session`](crate::Report) reads it from there.
//!
//! ```text
//! before MAIL    limits.rs        as many as RCPTMAX and RCPTDOMAINMAX allow
//! at a 452       ask_for_no_more  those not asked yet wait
//! at the end     asked_again      with those that were too many, or came out of step
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
    /// Whether the message may take several transactions: its content is there to be sent again,
    /// and a server that refuses some of its recipients may take others.
    pub(super) fn may_be_divided(&self) -> bool {
        self.envelope.recipients() == Recipients::Any && !self.body.is_stream()
    }

    /// Asks for no more recipients than these at a time.
    fn limit_recipients(&mut self, limit: &'static str, most: usize) -> Result<(), ErrorKind> {
        if self.portion.total() <= most {
            return Ok(());
        }
        self.allow_fewer_recipients(limit, self.portion.total(), most)?;
        self.portion.limit(most);
        Ok(())
    }

    /// Leaves all recipients out but these. `most` is the server's limit on their domains.
    fn keep_recipients(
        &mut self,
        limit: &'static str,
        most: usize,
        places: Vec<usize>,
    ) -> Result<(), ErrorKind> {
        if places.is_empty() {
            return Err(ErrorKind::SessionFull);
        }
        self.allow_fewer_recipients(limit, most.saturating_add(1), most)?;
        self.portion.keep_only(places);
        Ok(())
    }

    /// A portion of the recipients is none where it is to be all or nobody.
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
    /// The server takes no more recipients in this transaction: those that are not written
    /// yet wait for a further one (RFC 5321 §4.5.3.1.10).
    pub(super) fn ask_for_no_more(&mut self) {
        if let Progress::Recipients(written) = self.progress {
            self.message.portion.limit(written);
        }
    }

    /// Which of the recipients are asked for again in a further transaction, where there is to
    /// be one: those that were too many for a server that took the others, and those that came
    /// out of step. None where the server refused more than recipients: it would refuse the
    /// same again.
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
            _ => return None,
        };
        let not_asked = portion.asked() < portion.total();
        if !self.message.may_be_divided() || (!self.answers.asks_for_more() && !not_asked) {
            return None;
        }
        let answers = self.answers.recipients().iter().take(portion.asked());
        let again = answers.enumerate().filter(|(_, answer)| {
            some_were_taken && matches!(answer, Answer::TooMany(_) | Answer::OutOfStep(_))
        });
        Some(again.map(|(nth, _)| nth).collect())
    }

    /// Whether the message may still need another transaction after this one. What must not
    /// come before that waits, unless the server is sure to take so many recipients at once.
    pub(super) fn may_leave_a_rest(&self, at_once: usize) -> bool {
        let portion = &self.message.portion;
        let is_many = portion.asked() > at_once || portion.is_further();
        let unknown = is_many && !self.recipients_answered();
        let known = self.answers.asks_for_more() || portion.asked() < portion.total();
        let may_be_divided = self.message.may_be_divided();
        may_be_divided && self.failure().is_none() && (unknown || known)
    }

    /// The message with what is left of its recipients, if any are.
    pub(super) fn into_rest(mut self, again: &[usize]) -> Option<Message> {
        if self.answers.met_too_many() {
            self.message.portion.limit_all(self.answers.accepted());
        }
        let portion = self.message.portion.into_rest(again)?;
        Some(Message {
            portion,
            ..self.message
        })
    }
}
