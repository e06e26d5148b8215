//! The verdict on each message: exactly one [`Report`] for each `send`. Must never know how a
//! verdict is reached.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use crate::{Address, Envelope, Error, Reply, Stage};

/// Identifies a message within one session, in the order of `send`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(pub(crate) u64);

impl TransactionId {
    /// The position of the message among all messages of this session, from 0.
    pub const fn index(self) -> u64 {
        self.0
    }
}

/// The result of sending one message.
///
/// Each `send` gets exactly one report, even if the message needs several transactions because
/// the server accepts fewer recipients at a time than the message has (RFC 5321 §4.5.3.1.10,
/// RFC 9422). The outcome of such a message is the first of these that applies:
///
/// 1. [`InDoubt`](Outcome::InDoubt) if any transaction is in doubt. Only the recipients of that
///    transaction are in doubt.
/// 2. [`Accepted`](Outcome::Accepted) if any transaction was accepted, with the reply to the
///    first such transaction. Recipients of a transaction that was not sent keep their earlier
///    reply (`452`), or have the status *not sent* if the server was never asked for them. The
///    message can be sent to them again. [`error`](Report::error) is the reason.
/// 3. [`NotSent`](Outcome::NotSent) if the last transaction was not sent: no recipient has the
///    message.
/// 4. [`Rejected`](Outcome::Rejected) if all transactions were rejected, with a permanent reply
///    if there is one.
///
/// A message is divided only if its recipients are [`Recipients::Any`](crate::Recipients::Any)
/// and its content is not a stream, which cannot be sent twice. A further transaction begins only
/// after one that accepted at least one recipient, or if the declared limits require it. If one
/// session cannot take all recipients (`MAILMAX`, `RCPTDOMAINMAX`), the rest has the status *not
/// sent* ([`left_for_another_session`](Self::left_for_another_session)); the transport of every
/// adapter sends to them over another connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    transaction: TransactionId,
    outcome: Outcome,
    recipients: Vec<RecipientReport>,
    /// The error because of which a further transaction of an accepted message was not sent.
    rest_error: Option<Error>,
    /// Whether the content was refused for some recipients only, so that others may accept it.
    refused_for_some: bool,
}

/// The result of sending a message as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server took responsibility for at least one recipient (final 2xx). It may have
    /// refused other recipients.
    Accepted(Reply),
    /// The server refused the message with a 4xx or 5xx: at `MAIL`, at every `RCPT`, at `DATA`,
    /// or at the content.
    Rejected {
        /// The stage of the refusal.
        stage: Stage,
        /// The server's reply.
        reply: Reply,
    },
    /// The message was certainly not delivered. A retry cannot produce a duplicate.
    NotSent(Error),
    /// The end of the content was sent, or may have been, and no valid reply arrived. A retry
    /// may produce a duplicate.
    InDoubt(Error),
}

impl Outcome {
    /// The name of the outcome in `snake_case`: `accepted`, `rejected`, `not_sent` or `in_doubt`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Accepted(_) => "accepted",
            Self::Rejected { .. } => "rejected",
            Self::NotSent(_) => "not_sent",
            Self::InDoubt(_) => "in_doubt",
        }
    }
}

/// The result of sending a message to one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipientReport {
    address: Address,
    status: RecipientStatus,
    reply: Option<Reply>,
}

/// Whether the server took responsibility for a recipient.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum RecipientStatus {
    /// The server took final responsibility.
    Accepted,
    /// The server refused the recipient.
    Refused,
    /// The message was certainly not delivered to the recipient, and the recipient was not
    /// refused: the server was never asked, or the message ended before its content. A retry
    /// cannot produce a duplicate.
    NotSent,
    /// The content was sent, or may have been, and the final reply did not arrive. A retry may
    /// produce a duplicate.
    InDoubt,
}

impl Report {
    /// Creates a report without a session: for tests, and for transports that send in another
    /// way. [`TransactionId::default`] is the first message of a session.
    ///
    /// [`accepted`](Self::accepted), [`rejected`](Self::rejected), [`not_sent`](Self::not_sent) and
    /// [`in_doubt`](Self::in_doubt) create a report with the same result for all recipients.
    pub fn new(
        transaction: TransactionId,
        outcome: Outcome,
        recipients: Vec<RecipientReport>,
    ) -> Self {
        Self {
            transaction,
            outcome,
            recipients,
            rest_error: None,
            refused_for_some: false,
        }
    }

    /// Records whether each refusal of the content is that of one recipient (RFC 2033 §4.2).
    pub(crate) fn with_separate_finals(mut self, separate: bool) -> Self {
        self.refused_for_some = separate
            && matches!(
                self.outcome,
                Outcome::Rejected {
                    stage: Stage::Body,
                    ..
                }
            )
            && self.recipients.iter().any(RecipientReport::is_not_sent);
        self
    }

    /// Creates the report on a message that the server accepted for all recipients, without a
    /// session.
    ///
    /// For the tests of programs that send mail, and for transports that send in another way.
    ///
    /// ```
    /// use postwire_proto::{Envelope, Report};
    ///
    /// let envelope = Envelope::new(None, vec!["bob@example.net".parse()?])?;
    /// let report = Report::accepted(&envelope, "250 2.0.0 queued as 12345".parse()?);
    /// assert!(report.is_accepted() && report.into_result().is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn accepted(envelope: &Envelope, reply: Reply) -> Self {
        Self::same_for_all(envelope, Outcome::Accepted(reply))
    }

    /// Creates the report on a message that the server refused at this stage for all recipients,
    /// without a session.
    pub fn rejected(envelope: &Envelope, stage: Stage, reply: Reply) -> Self {
        Self::same_for_all(envelope, Outcome::Rejected { stage, reply })
    }

    /// Creates the report on a message that no session received. For adapters that cannot
    /// connect, and for tests.
    pub fn not_sent(envelope: &Envelope, error: Error) -> Self {
        Self::same_for_all(envelope, Outcome::NotSent(error))
    }

    /// Creates the report on a message whose content was sent and not answered, without a session.
    pub fn in_doubt(envelope: &Envelope, error: Error) -> Self {
        Self::same_for_all(envelope, Outcome::InDoubt(error))
    }

    fn same_for_all(envelope: &Envelope, outcome: Outcome) -> Self {
        let (status, reply) = match &outcome {
            Outcome::Accepted(reply) => (RecipientStatus::Accepted, Some(reply)),
            Outcome::Rejected { reply, .. } => (RecipientStatus::Refused, Some(reply)),
            Outcome::NotSent(_) => (RecipientStatus::NotSent, None),
            Outcome::InDoubt(_) => (RecipientStatus::InDoubt, None),
        };
        let addresses = envelope.forward_paths().iter();
        let recipients = addresses
            .map(|address| RecipientReport::new(address.clone(), status, reply.cloned()))
            .collect();
        Self::new(TransactionId(0), outcome, recipients)
    }

    /// Adds the report on a further transaction of the message, for the recipients at these
    /// positions: those that were neither accepted nor permanently refused before.
    pub fn merge(&mut self, further: Self, positions: impl Iterator<Item = usize>) {
        for (position, recipient) in positions.zip(further.recipients) {
            // A recipient refused as too many, and not asked again, keeps that reply.
            if let Some(own) = self.recipients.get_mut(position)
                && recipient.status != RecipientStatus::NotSent
            {
                *own = recipient;
            }
        }
        self.keep_error_of(&further.outcome);
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
            self.rest_error = None;
        }
    }

    /// Keeps the error of a further transaction that was not sent, while there are recipients with
    /// the status *not sent*. An error with a reply of the server has priority.
    fn keep_error_of(&mut self, further: &Outcome) {
        let has_reply = |error: &Error| error.reply().is_some();
        if let Outcome::NotSent(error) = further {
            let earlier = self.rest_error.as_ref();
            if has_reply(error) || !earlier.is_some_and(has_reply) {
                self.rest_error = Some(error.clone());
            }
            return;
        }
        // There are as many further transactions as recipients if the server accepts one at a time,
        // so all recipients are looked at only where that has an effect.
        let mut recipients = self.recipients.iter();
        if self.rest_error.is_some() && !recipients.any(RecipientReport::is_not_sent) {
            self.rest_error = None;
        }
    }

    /// The positions of the recipients that another session may accept.
    ///
    /// This session accepted or refused other recipients of the message. For these recipients it
    /// did not ask the server, or it ended before the server replied.
    #[must_use]
    pub fn left_for_another_session(&self) -> Vec<usize> {
        let asked_for_others = matches!(
            self.outcome,
            Outcome::Accepted(_)
                | Outcome::Rejected {
                    stage: Stage::Rcpt,
                    ..
                }
        ) || self.refused_for_some;
        let recipients = self.recipients.iter().enumerate();
        recipients
            .filter(|(_, recipient)| asked_for_others && recipient.is_not_sent())
            .map(|(position, _)| position)
            .collect()
    }

    /// The message of this report.
    pub fn transaction(&self) -> TransactionId {
        self.transaction
    }

    /// The result for the message as a whole.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// The result for each recipient, in the order of the envelope.
    pub fn recipients(&self) -> &[RecipientReport] {
        &self.recipients
    }

    /// Whether the server accepted the message for at least one recipient.
    pub fn is_accepted(&self) -> bool {
        matches!(self.outcome, Outcome::Accepted(_))
    }

    /// Whether the server accepted the message for some recipients and not for others.
    pub fn is_partial(&self) -> bool {
        self.is_accepted()
            && self
                .recipients
                .iter()
                .any(|recipient| !recipient.is_accepted())
    }

    /// The recipients for whom the server did not take responsibility, with its replies.
    pub fn refused(&self) -> impl Iterator<Item = &RecipientReport> {
        self.recipients
            .iter()
            .filter(|recipient| recipient.status == RecipientStatus::Refused)
    }

    /// The stage at which the message failed; `None` if it was accepted.
    pub fn stage(&self) -> Option<Stage> {
        match &self.outcome {
            Outcome::Accepted(_) => None,
            Outcome::Rejected { stage, .. } => Some(*stage),
            Outcome::NotSent(error) | Outcome::InDoubt(error) => Some(error.stage()),
        }
    }

    /// The reply that decided the outcome, if a reply did.
    pub fn reply(&self) -> Option<&Reply> {
        match &self.outcome {
            Outcome::Accepted(reply) | Outcome::Rejected { reply, .. } => Some(reply),
            Outcome::NotSent(error) | Outcome::InDoubt(error) => error.reply(),
        }
    }

    /// The error, if the message was not sent or is in doubt. For an accepted message, the error
    /// because of which a further transaction was not sent.
    pub fn error(&self) -> Option<&Error> {
        match &self.outcome {
            Outcome::NotSent(error) | Outcome::InDoubt(error) => Some(error),
            Outcome::Accepted(_) => self.rest_error.as_ref(),
            Outcome::Rejected { .. } => None,
        }
    }

    fn write_rest_error(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.rest_error {
            Some(error) => write!(f, "; the rest was not sent: {error}"),
            None => Ok(()),
        }
    }

    /// Converts the report into a `Result`, so that `?` treats a partial failure as a failure.
    ///
    /// # Errors
    ///
    /// [`SendError`] if the message was not accepted, or not for every recipient.
    pub fn into_result(self) -> Result<Self, SendError> {
        if self.is_accepted() && !self.is_partial() {
            Ok(self)
        } else {
            Err(SendError(Box::new(self)))
        }
    }

    /// The number of temporarily refused recipients, if the deciding reply is permanent.
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
                    others => {
                        write!(
                            f,
                            "accepted, but not for {others} of {of} recipients: {reply}"
                        )?;
                        self.write_rest_error(f)
                    }
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
    /// Creates the result for one recipient, for a report without a session.
    pub fn new(address: Address, status: RecipientStatus, reply: Option<Reply>) -> Self {
        Self {
            address,
            status,
            reply,
        }
    }

    /// The address of the recipient.
    pub fn address(&self) -> &Address {
        &self.address
    }

    fn is_accepted(&self) -> bool {
        self.status == RecipientStatus::Accepted
    }

    fn is_not_sent(&self) -> bool {
        self.status == RecipientStatus::NotSent
    }

    /// Whether the server took responsibility for the recipient.
    pub fn status(&self) -> RecipientStatus {
        self.status
    }

    /// The reply that decided the status; `None` if no reply arrived.
    pub fn reply(&self) -> Option<&Reply> {
        self.reply.as_ref()
    }
}

/// The error of a message that was not accepted, or not for every recipient. Contains the whole
/// [`Report`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendError(Box<Report>);

/// The number of recipients that `Display` names.
const NAMED: usize = 5;

impl SendError {
    #[cfg(test)]
    pub(crate) fn new(report: Report) -> Self {
        Self(Box::new(report))
    }

    /// The report on the message.
    pub fn report(&self) -> &Report {
        &self.0
    }

    /// Returns the report on the message by value.
    pub fn into_report(self) -> Report {
        *self.0
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.outcome {
            Outcome::Rejected {
                stage: stage @ Stage::Rcpt,
                ..
            } => write!(f, "rejected at {stage} for ")?,
            _ if self.0.is_partial() => f.write_str("accepted, but not for ")?,
            _ => return self.0.fmt(f),
        }
        let recipients = self.0.recipients.iter();
        let others = recipients.filter(|recipient| !recipient.is_accepted());
        for (number, recipient) in others.clone().take(NAMED).enumerate() {
            let separator = if number == 0 { "" } else { "; " };
            write!(f, "{separator}{}: ", recipient.address)?;
            match (&recipient.reply, recipient.status) {
                (Some(reply), _) => write!(f, "{reply}")?,
                (None, RecipientStatus::InDoubt) => f.write_str("in doubt")?,
                (None, RecipientStatus::Refused) => f.write_str("refused")?,
                (None, _) => f.write_str("not sent")?,
            }
        }
        match others.count().saturating_sub(NAMED) {
            0 => {}
            more => write!(f, "; and {more} more")?,
        }
        if self.0.is_partial() {
            self.0.write_rest_error(f)?;
        }
        Ok(())
    }
}

/// `Display` includes the text of the report's error, so `source` returns that error's source.
impl core::error::Error for SendError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.0.error().and_then(core::error::Error::source)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;
    use crate::{ErrorKind, ReplyCode, Retry};

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
    fn the_error_of_what_was_not_sent_is_kept() {
        let accepted = || Outcome::Accepted(reply(250));
        let not_sent = |kind| Outcome::NotSent(Error::new(Stage::Mail, kind));
        let mut whole = report(accepted(), &[250, 0, 0]);
        assert!(whole.error().is_none());
        let closing = not_sent(ErrorKind::Refused(reply(421)));
        whole.merge(report(closing, &[0, 0]), [1, 2].into_iter());
        let said = "mail: the server refused: 421 hm";
        assert_eq!(
            whole.to_string(),
            alloc::format!(
                "accepted, but not for 2 of 3 recipients: 250 hm; the rest was not sent: {said}"
            )
        );
        assert_eq!((whole.is_partial(), whole.stage()), (true, None));
        assert!(matches!(whole.retry(), Retry::Later(left) if left.len() == 2));
        // Another session fails as well, without a reply of the server.
        let closed = not_sent(ErrorKind::ConnectionClosed);
        whole.merge(report(closed, &[0, 0]), [1, 2].into_iter());
        assert_eq!(whole.error().unwrap().to_string(), said);
        // Some of them are sent to, then the others.
        whole.merge(report(accepted(), &[250]), [1].into_iter());
        let error = whole.clone().into_result().unwrap_err().to_string();
        assert_eq!(
            error,
            alloc::format!(
                "accepted, but not for 2@b.example: not sent; the rest was not sent: {said}"
            )
        );
        whole.merge(report(accepted(), &[250]), [2].into_iter());
        assert!(whole.error().is_none() && whole.into_result().is_ok());
    }

    #[test]
    fn of_two_transactions_the_worse_news_decides() {
        let accepted = || Outcome::Accepted(reply(250));
        let doubt = || Outcome::InDoubt(Error::new(Stage::Body, ErrorKind::ConnectionClosed));
        let not_sent = || Outcome::NotSent(Error::new(Stage::Mail, ErrorKind::ConnectionClosed));
        let rejected = |code| Outcome::Rejected {
            stage: Stage::Rcpt,
            reply: reply(code),
        };
        for (first, further, decides) in [
            (doubt(), accepted(), doubt()),
            (doubt(), rejected(550), doubt()),
            (accepted(), doubt(), doubt()),
            (not_sent(), doubt(), doubt()),
            (accepted(), rejected(550), accepted()),
            (accepted(), not_sent(), accepted()),
            (not_sent(), accepted(), accepted()),
            (rejected(450), accepted(), accepted()),
            (rejected(450), rejected(550), rejected(550)),
            (rejected(450), rejected(451), rejected(450)),
            (rejected(550), rejected(450), rejected(550)),
            (rejected(550), rejected(551), rejected(550)),
        ] {
            let mut whole = report(first, &[0]);
            whole.merge(report(further, &[0]), [0].into_iter());
            assert_eq!(*whole.outcome(), decides);
        }
    }

    #[test]
    fn an_error_with_a_reply_is_kept_before_one_without() {
        let not_sent = |kind| Outcome::NotSent(Error::new(Stage::Mail, kind));
        let closed = || not_sent(ErrorKind::ConnectionClosed);
        let refused = |code| not_sent(ErrorKind::Refused(reply(code)));
        for (first, further, kept) in [
            (closed(), refused(421), 421),
            (refused(421), closed(), 421),
            (refused(421), refused(450), 450),
        ] {
            let mut whole = report(Outcome::Accepted(reply(250)), &[250, 0]);
            whole.merge(report(first, &[0]), [1].into_iter());
            whole.merge(report(further, &[0]), [1].into_iter());
            let reply = whole.error().and_then(Error::reply).unwrap();
            assert_eq!(reply.code(), kept);
        }
    }

    #[test]
    fn a_refusal_for_now_does_not_read_as_one_for_good() {
        let rejected = Outcome::Rejected {
            stage: Stage::Rcpt,
            reply: reply(550),
        };
        assert_eq!(
            report(rejected.clone(), &[550, 450]).to_string(),
            "rejected at rcpt: 550 hm (for 1 of 2 recipients only for now)"
        );
        let error = report(rejected, &[550, 450]).into_result().unwrap_err();
        assert_eq!(
            error.to_string(),
            "rejected at rcpt for 0@b.example: 550 hm; 1@b.example: 450 hm"
        );
        let for_now = Outcome::Rejected {
            stage: Stage::Rcpt,
            reply: reply(450),
        };
        assert_eq!(
            report(for_now, &[450, 450]).to_string(),
            "rejected at rcpt: 450 hm"
        );
    }
}
