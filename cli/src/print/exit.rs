//! The exit status: the `sysexits` number for the results of the messages.
//!
//! A table over the [`Disposition`] of each error: pure functions of a report or an error.

use postwire_blocking::proto::{
    Disposition, Error, Flaw, Outcome, RecipientReport, RecipientStatus, Reply, Report,
};

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything was accepted.
    Accepted,
    /// The command line is invalid; nothing was connected.
    Usage,
    /// A message cannot be sent to any server.
    MessageData,
    /// A message file cannot be read; nothing was connected.
    MessageFile,
    /// Refused permanently.
    Refused,
    /// The demonstration's own check failed.
    Internal,
    /// A resource of this machine cannot be used: an address to listen on, a folder.
    System,
    /// Refused temporarily, lost, timed out or in doubt.
    Temporary,
    /// The server broke the protocol.
    Protocol,
    /// Authentication or TLS failed.
    Security,
    /// The configuration file is missing or wrong; nothing was connected.
    Configuration,
}

/// For several messages, the first of these that occurred. A message that no server can accept
/// (65) is a permanent failure of that message alone: it counts less than a server's refusal
/// and more than a temporary failure.
const PRECEDENCE: [Exit; 6] = [
    Exit::Protocol,
    Exit::Security,
    Exit::Refused,
    Exit::MessageData,
    Exit::Temporary,
    Exit::Accepted,
];

impl Exit {
    /// The number from `sysexits.h`.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Accepted => 0,
            Self::Usage => 64,
            Self::MessageData => 65,
            Self::MessageFile => 66,
            Self::Refused => 69,
            Self::Internal => 70,
            Self::System => 71,
            Self::Temporary => 75,
            Self::Protocol => 76,
            Self::Security => 77,
            Self::Configuration => 78,
        }
    }

    /// The status that counts for two messages.
    pub(crate) fn or_worse(self, other: Self) -> Self {
        let rank = |exit| PRECEDENCE.iter().position(|ranked| *ranked == exit);
        if rank(other) < rank(self) {
            other
        } else {
            self
        }
    }

    /// The status for the report of one message.
    pub(crate) fn of_report(report: &Report) -> Self {
        let refusals = report.refused().filter_map(RecipientReport::reply);
        let exit = Self::of_outcome(report.outcome(), refusals);
        let mut recipients = report.recipients().iter();
        let somebody_is_left = report.is_accepted()
            && recipients.any(|recipient| recipient.status() == RecipientStatus::NotSent);
        if somebody_is_left {
            exit.or_worse(report.error().map_or(Self::Temporary, Self::of_error))
        } else {
            exit
        }
    }

    /// The status for an outcome and the replies for the refused recipients.
    fn of_outcome<'a>(outcome: &Outcome, mut refusals: impl Iterator<Item = &'a Reply>) -> Self {
        let is_permanent = |reply: &Reply| reply.code().is_permanent();
        match outcome {
            Outcome::Accepted(_) => match refusals.next() {
                None => Self::Accepted,
                Some(first) if is_permanent(first) || refusals.any(is_permanent) => Self::Refused,
                Some(_) => Self::Temporary,
            },
            Outcome::Rejected { reply, .. } => {
                Self::of_refusal(is_permanent(reply) || refusals.any(is_permanent))
            }
            Outcome::NotSent(error) => Self::of_error(error),
            Outcome::InDoubt(error) => match error.disposition() {
                Disposition::PeerBroken => Self::Protocol,
                _ => Self::Temporary,
            },
        }
    }

    fn of_refusal(is_permanent: bool) -> Self {
        if is_permanent {
            Self::Refused
        } else {
            Self::Temporary
        }
    }

    /// The status for a failed session, which applies to everything that was to be sent over
    /// it.
    pub(crate) fn of_error(error: &Error) -> Self {
        match (error.disposition(), error.flaw()) {
            // STARTTLS was refused temporarily although TLS is required.
            (Disposition::RetryLater, Some(Flaw::Tls)) => Self::Security,
            (Disposition::PeerBroken, _) => Self::Protocol,
            (Disposition::Permanent, _) => Self::Refused,
            (Disposition::Fix(flaw), _) => Self::of_flaw(flaw),
            // Failed or lost connections, time-outs, and errors that this version does not
            // know.
            _ => Self::Temporary,
        }
    }

    fn of_flaw(flaw: Flaw) -> Self {
        match flaw {
            Flaw::Login | Flaw::Mechanism | Flaw::Unprotected | Flaw::Tls => Self::Security,
            Flaw::Requirement | Flaw::HelloName => Self::Refused,
            Flaw::Content => Self::MessageData,
            Flaw::Source => Self::MessageFile,
            _ => Self::Temporary,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use postwire_blocking::proto::{
        ErrorKind, ReplyCode, ReplyError, SaslError, Stage, Unsendable, Violation,
    };

    use super::*;

    fn reply(code: u16) -> Reply {
        Reply::new(ReplyCode::new(code).unwrap(), None, &["text"])
    }

    fn transport() -> Arc<std::io::Error> {
        Arc::new(std::io::ErrorKind::ConnectionReset.into())
    }

    fn refused(code: u16) -> ErrorKind {
        ErrorKind::Refused(reply(code))
    }

    fn no_mechanism(withheld: bool) -> ErrorKind {
        ErrorKind::NoUsableMechanism {
            offered: String::new(),
            withheld,
            not_allowed: Vec::new(),
        }
    }

    fn violation() -> ErrorKind {
        ErrorKind::Violation(Violation::Reply(ReplyError::InvalidCode))
    }

    #[test]
    fn the_table_of_errors() {
        use ErrorKind as Kind;
        let unsendable = Unsendable::LineTooLong {
            octets: 2000,
            limit: 998,
        };
        let too_large = Kind::TooLarge {
            octets: 2,
            limit: 1,
        };
        let beyond = Kind::BeyondLimit {
            limit: "RCPTMAX",
            wanted: 2,
            allowed: 1,
        };
        for (stage, kind, code) in [
            (Stage::Connect, Kind::Transport(transport()), 75),
            (Stage::Connect, Kind::TimedOut, 75),
            (Stage::Greeting, refused(554), 69),
            (Stage::Greeting, refused(421), 75),
            (Stage::Greeting, violation(), 76),
            (Stage::Greeting, Kind::TimedOut, 75),
            (Stage::Greeting, Kind::ConnectionClosed, 75),
            (Stage::Ehlo, refused(550), 69),
            (Stage::Ehlo, refused(450), 75),
            (Stage::StartTls, Kind::StartTlsNotOffered, 77),
            (Stage::StartTls, refused(454), 77),
            (Stage::StartTls, refused(502), 77),
            (Stage::StartTls, refused(421), 75),
            (
                Stage::StartTls,
                Kind::Violation(Violation::StartTlsInjection),
                76,
            ),
            (Stage::Tls, Kind::Tls(transport()), 77),
            (Stage::Tls, Kind::ConnectionClosed, 75),
            (Stage::Auth, refused(535), 77),
            (Stage::Auth, refused(504), 77),
            (Stage::Auth, refused(454), 75),
            (Stage::Auth, refused(421), 75),
            (Stage::Auth, no_mechanism(false), 77),
            (Stage::Auth, no_mechanism(true), 77),
            (Stage::Auth, Kind::Sasl(SaslError::InvalidChallenge), 76),
            (
                Stage::Auth,
                Kind::Sasl(SaslError::ServerNotAuthenticated),
                77,
            ),
            (
                Stage::Auth,
                Kind::Violation(Violation::UnexpectedChallenge),
                76,
            ),
            (Stage::Mail, Kind::ExtensionNotOffered("SMTPUTF8"), 69),
            (Stage::Mail, too_large, 69),
            (Stage::Mail, Kind::Unsendable(unsendable), 65),
            (
                Stage::Mail,
                Kind::Violation(Violation::SurplusReply(reply(250))),
                76,
            ),
            (
                Stage::Mail,
                Kind::Violation(Violation::UnexpectedReply(reply(550))),
                76,
            ),
            (Stage::Mail, Kind::SessionOver, 75),
            (Stage::Mail, Kind::SessionFull, 75),
            (Stage::Mail, Kind::EndedByServer(reply(221)), 75),
            (Stage::Mail, Kind::ResetRefused(reply(502)), 75),
            (Stage::Mail, Kind::OutOfSequence(reply(503)), 75),
            (Stage::Connect, Kind::ShutDown, 75),
            (Stage::Auth, Kind::Credentials(transport()), 75),
            (Stage::Auth, refused(534), 77),
            (Stage::Auth, refused(538), 77),
            (Stage::Auth, refused(432), 75),
            (Stage::Mail, Kind::VerifiedTlsRequired, 77),
            (
                Stage::Mail,
                Kind::ParameterNotOffered("X=1".parse().unwrap()),
                69,
            ),
            (Stage::Mail, beyond, 69),
            (Stage::Body, Kind::Source(transport()), 66),
            (Stage::Mail, Kind::Aborted, 75),
            (Stage::Body, Kind::Transport(transport()), 75),
        ] {
            let error = Error::new(stage, kind);
            assert_eq!(Exit::of_error(&error).code(), code, "{error}");
        }
    }

    #[test]
    fn the_table_of_outcomes() {
        let accepted = || Outcome::Accepted(reply(250));
        let rejected = |stage, code| Outcome::Rejected {
            stage,
            reply: reply(code),
        };
        let in_doubt = |kind| Outcome::InDoubt(Error::new(Stage::Body, kind));
        let nobody: &[u16] = &[];
        for (outcome, refusals, code) in [
            (accepted(), nobody, 0),
            (accepted(), &[550], 69),
            (accepted(), &[450], 75),
            (accepted(), &[450, 550], 69),
            (rejected(Stage::Mail, 550), nobody, 69),
            (rejected(Stage::Mail, 450), nobody, 75),
            (rejected(Stage::Rcpt, 450), &[450, 450], 75),
            (rejected(Stage::Rcpt, 450), &[450, 550], 69),
            (rejected(Stage::Data, 554), nobody, 69),
            (rejected(Stage::Body, 552), &[450], 69),
            (rejected(Stage::Body, 451), &[550, 451], 69),
            (rejected(Stage::Body, 451), &[450, 451], 75),
            (rejected(Stage::Body, 421), nobody, 75),
            (in_doubt(ErrorKind::TimedOut), nobody, 75),
            (in_doubt(ErrorKind::ConnectionClosed), nobody, 75),
            (in_doubt(refused(421)), nobody, 75),
            (in_doubt(violation()), nobody, 76),
        ] {
            let refusals: Vec<Reply> = refusals.iter().copied().map(reply).collect();
            let exit = Exit::of_outcome(&outcome, refusals.iter());
            assert_eq!(exit.code(), code, "{outcome:?} {refusals:?}");
        }
    }

    #[test]
    fn the_worst_of_several_counts() {
        use Exit::{Accepted, MessageData, Protocol, Refused, Security, Temporary};
        for (first, second, worst) in [
            (Accepted, Accepted, Accepted),
            (Accepted, Temporary, Temporary),
            (Temporary, MessageData, MessageData),
            (MessageData, Refused, Refused),
            (Refused, Temporary, Refused),
            (Refused, Security, Security),
            (Security, Protocol, Protocol),
        ] {
            assert_eq!(first.or_worse(second), worst);
            assert_eq!(second.or_worse(first), worst);
        }
    }
}
