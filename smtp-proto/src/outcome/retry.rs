//! Whether, when and to which recipients a message should be sent again.
//!
//! Reads the table of [`Disposition`] for each recipient. Must never know how a retry is made.

use alloc::vec::Vec;

use crate::{
    Address, Disposition, Envelope, Outcome, RecipientReport, RecipientStatus, Report, SendError,
    Stage,
};

/// Whether to send a message again without a change, and to which of its recipients.
///
/// Except in [`InDoubt`](Retry::InDoubt), a retry to these recipients cannot produce a duplicate.
///
/// ```
/// use postwire_proto::{Report, Retry};
///
/// fn what_now(report: &Report) {
///     match report.retry() {
///         Retry::Never => { /* accepted, or refused for good */ }
///         Retry::AtOnce(recipients) => { /* the connection was at fault: send it to these */ }
///         Retry::Later(recipients) => { /* queue it for these, for half an hour or so */ }
///         Retry::InDoubt(recipients) => { /* a duplicate, or perhaps no mail at all: choose */ }
///         _ => {}
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retry {
    /// No retry: each recipient was accepted or permanently refused, or the message, the program
    /// or the configuration must change first.
    Never,
    /// Retry these recipients later: the server or the network failed temporarily. RFC 5321
    /// §4.5.4.1 recommends to wait for at least half an hour.
    ///
    /// For some of them an immediate retry might succeed; after the wait a retry is useful for
    /// all.
    Later(Vec<Address>),
    /// Retry these recipients at once, over another session: only the session failed or reached
    /// a limit.
    AtOnce(Vec<Address>),
    /// Only recipients in doubt are left. A retry may produce a duplicate; without a retry the
    /// message may be lost. Mail servers retry later.
    InDoubt(Vec<Address>),
}

impl Retry {
    /// The recipients to send to again; empty if there is to be no retry.
    pub fn recipients(&self) -> &[Address] {
        match self {
            Self::Never => &[],
            Self::Later(recipients) | Self::AtOnce(recipients) | Self::InDoubt(recipients) => {
                recipients
            }
        }
    }

    /// A stable name for logs: `never`, `later`, `at_once` or `in_doubt`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Later(_) => "later",
            Self::AtOnce(_) => "at_once",
            Self::InDoubt(_) => "in_doubt",
        }
    }

    /// The envelope of the next attempt: the one that was sent, with the recipients to send to again
    /// and its own parameters. `None` if there is to be no retry.
    pub fn envelope(&self, sent: &Envelope) -> Option<Envelope> {
        // Both are in the order of the envelope.
        let mut again = self.recipients().iter().peekable();
        let paths = sent.forward_paths().iter().enumerate();
        let chosen = paths.filter(|(_, path)| again.next_if_eq(path).is_some());
        let positions: Vec<usize> = chosen.map(|(position, _)| position).collect();
        (!positions.is_empty()).then(|| sent.with_recipients_at(&positions))
    }
}

/// The kind of retry for one recipient.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attempt {
    Useless,
    AtOnce,
    Later,
    Doubtful,
}

impl From<Disposition> for Attempt {
    fn from(disposition: Disposition) -> Self {
        match disposition {
            Disposition::RetryAtOnce => Self::AtOnce,
            Disposition::RetryLater => Self::Later,
            Disposition::ShutDown
            | Disposition::Fix(_)
            | Disposition::Permanent
            | Disposition::PeerBroken => Self::Useless,
        }
    }
}

impl Report {
    /// Whether, when and to which recipients to send the message again.
    ///
    /// If recipients have different answers, all recipients that are worth a retry are listed
    /// together, and the longest wait among them applies to all.
    pub fn retry(&self) -> Retry {
        let having = |wanted: fn(Attempt) -> bool| {
            let recipients = self.recipients().iter();
            let chosen = recipients.filter(|recipient| wanted(self.attempt_for(recipient)));
            chosen
                .map(|recipient| recipient.address().clone())
                .collect()
        };
        let worth_it: Vec<Address> =
            having(|attempt| matches!(attempt, Attempt::AtOnce | Attempt::Later));
        if worth_it.is_empty() {
            let in_doubt: Vec<Address> = having(|attempt| attempt == Attempt::Doubtful);
            return if in_doubt.is_empty() {
                Retry::Never
            } else {
                Retry::InDoubt(in_doubt)
            };
        }
        let mut recipients = self.recipients().iter();
        if recipients.any(|recipient| self.attempt_for(recipient) == Attempt::Later) {
            Retry::Later(worth_it)
        } else {
            Retry::AtOnce(worth_it)
        }
    }

    fn attempt_for(&self, recipient: &RecipientReport) -> Attempt {
        match (recipient.status(), self.outcome()) {
            (RecipientStatus::Accepted, _) => Attempt::Useless,
            (RecipientStatus::InDoubt, _) => Attempt::Doubtful,
            (RecipientStatus::Refused, _) => {
                let reply = recipient.reply().or_else(|| self.reply());
                reply.map_or(Attempt::Useless, |reply| {
                    Disposition::of_refusal(reply).into()
                })
            }
            (RecipientStatus::NotSent, Outcome::NotSent(error) | Outcome::InDoubt(error)) => {
                error.disposition().into()
            }
            // The server answered for other recipients and was not asked for this one, unless a
            // further transaction failed.
            (
                RecipientStatus::NotSent,
                Outcome::Accepted(_)
                | Outcome::Rejected {
                    stage: Stage::Rcpt, ..
                },
            ) => self
                .error()
                .map_or(Attempt::AtOnce, |error| error.disposition().into()),
            (RecipientStatus::NotSent, Outcome::Rejected { reply, .. }) => {
                Disposition::of_refusal(reply).into()
            }
        }
    }
}

impl SendError {
    /// Whether, when and to which recipients to send the message again: see [`Report::retry`].
    pub fn retry(&self) -> Retry {
        self.report().retry()
    }
}

#[cfg(test)]
mod tests {
    use alloc::sync::Arc;
    use alloc::vec;

    use super::*;
    use crate::{Error, ErrorKind, Reply, ReplyCode, TransactionId};

    fn reply(code: u16) -> Reply {
        Reply::new(ReplyCode::new(code).unwrap(), None, &["hm"])
    }

    fn address(number: usize) -> Address {
        alloc::format!("{number}@b.example").parse().unwrap()
    }

    /// A report on recipients with these reply codes; 0 for a recipient that was not asked for.
    fn report(outcome: Outcome, answers: &[(RecipientStatus, u16)]) -> Report {
        let recipients = answers.iter().enumerate().map(|(number, (status, code))| {
            let reply = (*code > 0).then(|| reply(*code));
            RecipientReport::new(address(number), *status, reply)
        });
        Report::new(TransactionId(0), outcome, recipients.collect())
    }

    use RecipientStatus::{Accepted, InDoubt, NotSent, Refused};

    #[test]
    fn the_next_envelope_has_the_recipients_of_the_retry_and_its_parameters() {
        let sent = Envelope::new(None, (0..3).map(address).collect()).unwrap();
        let sent = sent
            .with_recipient_parameter(2, crate::Notify::NEVER)
            .unwrap();
        let again = |retry: Retry| retry.envelope(&sent);
        assert_eq!(again(Retry::Never), None);
        let two = again(Retry::Later(vec![address(0), address(2)])).unwrap();
        assert_eq!(two.forward_paths(), [address(0), address(2)]);
        assert_eq!(two.recipient_parameters(0).count(), 0);
        assert_eq!(two.recipient_parameters(1).count(), 1);
    }

    #[test]
    fn each_recipient_has_the_answer_that_it_was_given() {
        let rejected = |code| Outcome::Rejected {
            stage: Stage::Rcpt,
            reply: reply(code),
        };
        let accepted = || Outcome::Accepted(reply(250));
        let mixed = report(rejected(550), &[(Refused, 550), (Refused, 450)]);
        assert_eq!(mixed.retry(), Retry::Later(vec![address(1)]));
        let for_good = report(rejected(550), &[(Refused, 550), (Refused, 0)]);
        assert_eq!(for_good.retry(), Retry::Never);
        let some = report(
            accepted(),
            &[(Accepted, 250), (Refused, 550), (Refused, 452)],
        );
        assert_eq!(some.retry(), Retry::Later(vec![address(2)]));
        let no_room = report(accepted(), &[(Accepted, 250), (NotSent, 0)]);
        assert_eq!(no_room.retry(), Retry::AtOnce(vec![address(1)]));
        let both = report(accepted(), &[(Accepted, 250), (NotSent, 0), (Refused, 450)]);
        assert_eq!(both.retry(), Retry::Later(vec![address(1), address(2)]));
        assert_eq!(report(accepted(), &[(Accepted, 250)]).retry(), Retry::Never);
        let lost = Error::new(Stage::Body, ErrorKind::ConnectionClosed);
        let doubt = report(
            Outcome::InDoubt(lost.clone()),
            &[(InDoubt, 0), (Refused, 550)],
        );
        assert_eq!(doubt.retry(), Retry::InDoubt(vec![address(0)]));
        let doubt = report(Outcome::InDoubt(lost), &[(InDoubt, 0), (Refused, 450)]);
        assert_eq!(doubt.retry(), Retry::Later(vec![address(1)]));
        assert_eq!(SendError::new(doubt).retry().recipients(), [address(1)]);
    }

    #[test]
    fn what_ended_the_session_says_when() {
        let retry = |stage, kind| {
            let error = Error::new(stage, kind);
            report(Outcome::NotSent(error), &[(NotSent, 0)]).retry()
        };
        let all = || vec![address(0)];
        for kind in [
            ErrorKind::ConnectionClosed,
            ErrorKind::SessionOver,
            ErrorKind::EndedByServer(reply(221)),
            ErrorKind::ResetRefused(reply(502)),
        ] {
            assert_eq!(retry(Stage::Mail, kind), Retry::AtOnce(all()));
        }
        for (stage, kind) in [
            (Stage::Connect, ErrorKind::TimedOut),
            (Stage::Greeting, ErrorKind::ConnectionClosed),
            (Stage::Greeting, ErrorKind::Refused(reply(421))),
            (Stage::Auth, ErrorKind::Refused(reply(454))),
            (Stage::Mail, ErrorKind::TimedOut),
        ] {
            assert_eq!(retry(stage, kind), Retry::Later(all()));
        }
        let broken: crate::TransportError = Arc::new(Error::new(Stage::Tls, ErrorKind::TimedOut));
        for (stage, kind) in [
            (Stage::Connect, ErrorKind::ShutDown),
            (Stage::Auth, ErrorKind::Refused(reply(535))),
            (Stage::Tls, ErrorKind::Tls(Arc::clone(&broken))),
            (Stage::Body, ErrorKind::Source(broken)),
            (Stage::StartTls, ErrorKind::StartTlsNotOffered),
        ] {
            assert_eq!(retry(stage, kind), Retry::Never);
        }
    }
}
