//! The verdict on each message: exactly one [`Report`] for each message.

use alloc::vec::Vec;
use core::fmt;

use crate::{Address, Envelope, Error, Reply, Stage};

/// Names a message within one session, in the order of `enqueue`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(pub(crate) u64);

impl TransactionId {
    /// Its position among the messages given to this session, from 0.
    pub const fn index(self) -> u64 {
        self.0
    }
}

/// What became of one message.
///
/// There is one for each message, also where the message took several transactions since the
/// server takes fewer recipients at a time than it has (RFC 5321 §4.5.3.1.10, RFC 9422). The
/// verdict is then, in this order:
///
/// 1. [`InDoubt`](Outcome::InDoubt) if any of them is in doubt, as only its own recipients are.
/// 2. [`Accepted`](Outcome::Accepted) if any was accepted, with the reply to the first of
///    these. Recipients of one that was not sent keep the reply that they had before (`452`), or
///    are not sent to if they were never asked for: for either the message can be sent again.
/// 3. [`NotSent`](Outcome::NotSent) if the last was not sent: nobody has the message.
/// 4. [`Rejected`](Outcome::Rejected) if all were, by a permanent reply if there is one.
///
/// A message is divided only if it goes to [`Recipients::Any`](crate::Recipients::Any) and its
/// content is no stream, which cannot be sent twice; a further transaction is begun only after
/// one that took at least one recipient, or as declared limits demand. Where one session may not
/// hold it all (`MAILMAX`, `RCPTDOMAINMAX`), the others are not sent to in that session
/// ([`left_for_another_session`](Self::left_for_another_session)); every adapter's transport
/// goes on with them over another connection.
#[derive(Clone, Debug)]
#[must_use = "the message may have been rejected, or not sent"]
pub struct Report {
    transaction: TransactionId,
    outcome: Outcome,
    recipients: Vec<RecipientReport>,
}

/// What became of a message as a whole.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The server took responsibility (final 2xx), for at least one recipient:
    /// some may have been refused.
    Accepted(Reply),
    /// The server gave a definite no to this message, 4xx or 5xx: to `MAIL`, to
    /// every `RCPT`, to `DATA`, or to the content.
    Rejected {
        /// Which of them.
        stage: Stage,
        /// The server's words.
        reply: Reply,
    },
    /// Certainly not delivered: sending it again cannot make a duplicate.
    NotSent(Error),
    /// The end of the content went out, or may have, and no reply came, or none
    /// that makes sense. Sending it again may make a duplicate.
    InDoubt(Error),
}

/// What became of a message for one recipient.
#[derive(Clone, Debug)]
pub struct RecipientReport {
    address: Address,
    status: RecipientStatus,
    reply: Option<Reply>,
}

/// Whether the server answers for a recipient.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecipientStatus {
    /// The server took final responsibility.
    Accepted,
    /// The server said no.
    Refused,
    /// Certainly not delivered, and not refused either: the server was never asked for it, or
    /// the message ended before there was any content. Sending it again cannot make a duplicate.
    NotSent,
    /// The content went out, or may have, and the final reply never came. Sending it again may
    /// make a duplicate.
    InDoubt,
}

impl Report {
    /// A report that no session made: of a test, or of a transport that sends in another way.
    pub fn new(
        transaction: TransactionId,
        outcome: Outcome,
        recipients: Vec<RecipientReport>,
    ) -> Self {
        Self {
            transaction,
            outcome,
            recipients,
        }
    }

    /// The report on a message that was never given to a session: for adapters
    /// that could not connect.
    pub fn not_sent(envelope: &Envelope, error: Error) -> Self {
        let not_sent = |address: &Address| {
            RecipientReport::new(address.clone(), RecipientStatus::NotSent, None)
        };
        Self {
            transaction: TransactionId(0),
            outcome: Outcome::NotSent(error),
            recipients: envelope.forward_paths().iter().map(not_sent).collect(),
        }
    }

    /// Takes what became of the message in a further transaction, for the recipients at these
    /// places: those that were still without a yes or a final no.
    pub fn absorb(&mut self, further: Self, places: impl Iterator<Item = usize>) {
        for (place, recipient) in places.zip(further.recipients) {
            // Who was too many before, and was not asked again, keeps that reply.
            if let Some(own) = self.recipients.get_mut(place)
                && recipient.status != RecipientStatus::NotSent
            {
                *own = recipient;
            }
        }
        let decides = match (&self.outcome, &further.outcome) {
            (Outcome::InDoubt(_), _) => false,
            (_, Outcome::InDoubt(_)) => true,
            (Outcome::Accepted(_), _) => false,
            (Outcome::Rejected { reply: first, .. }, Outcome::Rejected { reply, .. }) => {
                reply.code().is_permanent() && !first.code().is_permanent()
            }
            _ => true,
        };
        if decides {
            self.outcome = further.outcome;
        }
    }

    /// The positions of the recipients that another session may take: this session took or
    /// refused other recipients of the message, and was not asked for these, or ended before
    /// it answered.
    #[must_use]
    pub fn left_for_another_session(&self) -> Vec<usize> {
        let asked_for_others = matches!(
            self.outcome,
            Outcome::Accepted(_)
                | Outcome::Rejected {
                    stage: Stage::Rcpt,
                    ..
                }
        );
        let recipients = self.recipients.iter().enumerate();
        recipients
            .filter(|(_, recipient)| {
                asked_for_others && recipient.status == RecipientStatus::NotSent
            })
            .map(|(position, _)| position)
            .collect()
    }

    /// Which message this is about.
    pub fn transaction(&self) -> TransactionId {
        self.transaction
    }

    /// What became of the message as a whole.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// What became of it for each recipient, in the envelope's order.
    pub fn recipients(&self) -> &[RecipientReport] {
        &self.recipients
    }

    /// Whether the server took the message, for at least one recipient.
    pub fn is_accepted(&self) -> bool {
        matches!(self.outcome, Outcome::Accepted(_))
    }

    /// Whether the server took the message for some recipients and refused others.
    pub fn is_partial(&self) -> bool {
        self.is_accepted()
            && self
                .recipients
                .iter()
                .any(|recipient| !recipient.is_accepted())
    }

    /// The recipients for whom the server does not answer, with its words.
    pub fn refused(&self) -> impl Iterator<Item = &RecipientReport> {
        self.recipients
            .iter()
            .filter(|recipient| recipient.status == RecipientStatus::Refused)
    }

    /// The stage at which it ended, where it was not accepted.
    pub fn stage(&self) -> Option<Stage> {
        match &self.outcome {
            Outcome::Accepted(_) => None,
            Outcome::Rejected { stage, .. } => Some(*stage),
            Outcome::NotSent(error) | Outcome::InDoubt(error) => Some(error.stage()),
        }
    }

    /// The reply that decided, if it was one.
    pub fn reply(&self) -> Option<&Reply> {
        match &self.outcome {
            Outcome::Accepted(reply) | Outcome::Rejected { reply, .. } => Some(reply),
            Outcome::NotSent(error) | Outcome::InDoubt(error) => error.reply(),
        }
    }

    /// The error, of a message that was not sent or is in doubt.
    pub fn error(&self) -> Option<&Error> {
        match &self.outcome {
            Outcome::NotSent(error) | Outcome::InDoubt(error) => Some(error),
            _ => None,
        }
    }

    /// Splits messages that were accepted for every recipient from the rest, so that `?` lets no
    /// failure pass for success.
    ///
    /// # Errors
    ///
    /// The message was not accepted, or not for all recipients.
    pub fn into_result(self) -> Result<Self, SendError> {
        if self.is_accepted() && !self.is_partial() {
            Ok(self)
        } else {
            Err(SendError(self))
        }
    }

    /// How many recipients were refused for now only, where the reply that decided is for good.
    fn refused_for_now(&self) -> usize {
        let is_transient = |reply: &Reply| reply.code().is_transient();
        let for_now = |recipient: &&RecipientReport| recipient.reply().is_some_and(is_transient);
        match &self.outcome {
            Outcome::Rejected { reply, .. } if !is_transient(reply) => {
                self.refused().filter(for_now).count()
            }
            _ => 0,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Outcome::Accepted(reply) => {
                let accepted = |recipient: &&RecipientReport| recipient.is_accepted();
                let of = self.recipients.len();
                match of - self.recipients.iter().filter(accepted).count() {
                    0 => write!(f, "accepted: {reply}"),
                    others => write!(
                        f,
                        "accepted, but not for {others} of {of} recipients: {reply}"
                    ),
                }
            }
            Outcome::Rejected { stage, reply } => {
                write!(f, "rejected at {stage}: {reply}")?;
                match (self.refused_for_now(), self.recipients.len()) {
                    (0, _) => Ok(()),
                    (now, of) => write!(f, " (for {now} of {of} recipients only for now)"),
                }
            }
            Outcome::NotSent(error) => write!(f, "not sent: {error}"),
            Outcome::InDoubt(error) => write!(
                f,
                "in doubt (sending it again may make a duplicate): {error}"
            ),
        }
    }
}

impl RecipientReport {
    /// A recipient of a report that no session made.
    pub fn new(address: Address, status: RecipientStatus, reply: Option<Reply>) -> Self {
        Self {
            address,
            status,
            reply,
        }
    }

    /// The forward-path.
    pub fn address(&self) -> &Address {
        &self.address
    }

    fn is_accepted(&self) -> bool {
        self.status == RecipientStatus::Accepted
    }

    /// Whether the server answers for it.
    pub fn status(&self) -> RecipientStatus {
        self.status
    }

    /// The reply that decided; none where none came.
    pub fn reply(&self) -> Option<&Reply> {
        self.reply.as_ref()
    }
}

/// A message that was not accepted, or not for every recipient, as an error. Holds the whole
/// [`Report`].
#[derive(Clone, Debug)]
pub struct SendError(Report);

/// How many recipients are named in one sentence.
const NAMED: usize = 5;

impl SendError {
    #[cfg(test)]
    pub(crate) fn new(report: Report) -> Self {
        Self(report)
    }

    /// What became of the message.
    pub fn report(&self) -> &Report {
        &self.0
    }

    /// The same, by value.
    pub fn into_report(self) -> Report {
        self.0
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.is_partial() {
            return self.0.fmt(f);
        }
        f.write_str("accepted, but not for ")?;
        let recipients = self.0.recipients.iter();
        let others = recipients.filter(|recipient| !recipient.is_accepted());
        for (number, recipient) in others.clone().take(NAMED).enumerate() {
            let separator = if number == 0 { "" } else { "; " };
            write!(f, "{separator}{}: ", recipient.address)?;
            match (&recipient.reply, recipient.status) {
                (Some(reply), _) => write!(f, "{reply}")?,
                (None, RecipientStatus::InDoubt) => f.write_str("in doubt")?,
                (None, _) => f.write_str("not sent")?,
            }
        }
        match others.count().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// `Display` says all that the report's error says, so the source is what lies behind that.
impl core::error::Error for SendError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.0.error().and_then(core::error::Error::source)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;
    use crate::ReplyCode;

    fn reply(code: u16) -> Reply {
        Reply::new(ReplyCode::new(code).unwrap(), None, &["hm"])
    }

    fn report(outcome: Outcome, codes: &[u16]) -> Report {
        let recipients = codes.iter().enumerate().map(|(number, code)| {
            let status = match code {
                250 => RecipientStatus::Accepted,
                0 => RecipientStatus::NotSent,
                _ => RecipientStatus::Refused,
            };
            let address = alloc::format!("{number}@b.example").parse().unwrap();
            RecipientReport::new(address, status, (*code > 0).then(|| reply(*code)))
        });
        Report::new(TransactionId(0), outcome, recipients.collect())
    }

    #[test]
    fn accepted_for_some_is_an_error_that_names_the_others() {
        let accepted = || Outcome::Accepted(reply(250));
        assert!(report(accepted(), &[250, 250]).into_result().is_ok());
        let error = report(accepted(), &[250, 550, 0])
            .into_result()
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "accepted, but not for 1@b.example: 550 hm; 2@b.example: not sent"
        );
        let codes = [&[250][..], &[550; 7]].concat();
        let error = report(accepted(), &codes).into_result().unwrap_err();
        assert!(error.to_string().ends_with("; and 2 more"), "{error}");
    }

    #[test]
    fn a_refusal_for_now_does_not_read_as_one_for_good() {
        let rejected = Outcome::Rejected {
            stage: Stage::Rcpt,
            reply: reply(550),
        };
        assert_eq!(
            report(rejected, &[550, 450]).to_string(),
            "rejected at rcpt: 550 hm (for 1 of 2 recipients only for now)"
        );
    }
}
