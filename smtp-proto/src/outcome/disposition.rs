//! What to do about an error: one table from what happened, and where, to one answer.
//!
//! Everything that asks "what now" reads this table: whether another attempt helps, what advice
//! an error gives, whether a session was lost, whether a server has no room. Must never know how
//! another attempt is made.

use alloc::string::ToString as _;

use crate::{Error, ErrorKind, Outcome, Reply, Report, SaslError, Stage};

/// What to do about an error, or about a refusal.
///
/// ```
/// use postwire_proto::{Disposition, Error};
///
/// fn what_now(error: &Error) -> &'static str {
///     match error.disposition() {
///         Disposition::RetryLater => "queue it for half an hour or so",
///         Disposition::RetryAtOnce => "send it over another session",
///         Disposition::Fix(_) => "change something first",
///         Disposition::PeerBroken => "tell the server's operator",
///         _ => "give it up",
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Disposition {
    /// Send again later, unchanged: the server or the network says "not now".
    RetryLater,
    /// Send again at once, unchanged, over another session: only this session was at fault, or
    /// had no room.
    RetryAtOnce,
    /// Send by another transport: the program shut this one down.
    ShutDown,
    /// Change this first. The same attempt fails again.
    Fix(Flaw),
    /// Give up: the server says no for good, and does not say what to change.
    Permanent,
    /// The server broke the protocol. Only its operator can help.
    PeerBroken,
}

/// What has to change before another attempt can succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Flaw {
    /// The message's content, which cannot be sent to any server.
    Content,
    /// The source of a streamed body, which failed.
    Source,
    /// What the message or the command asks of the server: an extension, a size or a limit that
    /// this server does not have.
    Requirement,
    /// The name that the client says in `EHLO`.
    HelloName,
    /// How the program gets the credentials, which failed.
    CredentialsSource,
    /// The user name, the password, the token, or the server's permission for this user.
    Login,
    /// The mechanisms that may be used.
    Mechanism,
    /// The session, which has to be under TLS (with a verified certificate).
    Unprotected,
    /// TLS itself: `STARTTLS`, the handshake, a certificate.
    Tls,
}

impl Disposition {
    /// What to do about a refusal that says nothing more: retry after a 4xx, give up after a 5xx
    /// (RFC 5321 §4.2.1).
    pub fn of_refusal(reply: &Reply) -> Self {
        if reply.code().is_transient() {
            Self::RetryLater
        } else {
            Self::Permanent
        }
    }

    /// Whether sending again, unchanged, may help.
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::RetryLater | Self::RetryAtOnce)
    }

    /// The table.
    fn of(stage: Stage, kind: &ErrorKind) -> Self {
        match kind {
            ErrorKind::Refused(reply) => match Self::of_refusal(reply) {
                Self::Permanent => {
                    Flaw::of_refusal(stage, reply).map_or(Self::Permanent, Self::Fix)
                }
                later => later,
            },
            // A session that had begun says nothing about the next one.
            ErrorKind::ConnectionClosed
            | ErrorKind::Transport(_)
            | ErrorKind::SessionOver
            | ErrorKind::SessionFull
            | ErrorKind::Goodbye(_)
            | ErrorKind::ResetRefused(_)
            | ErrorKind::OutOfStep(_)
            | ErrorKind::Aborted => {
                if stage >= Stage::Mail {
                    Self::RetryAtOnce
                } else {
                    Self::RetryLater
                }
            }
            ErrorKind::TimedOut => Self::RetryLater,
            ErrorKind::ShutDown => Self::ShutDown,
            ErrorKind::Violation(_) | ErrorKind::Sasl(SaslError::InvalidChallenge) => {
                Self::PeerBroken
            }
            ErrorKind::StartTlsNotOffered | ErrorKind::Tls(_) => Self::Fix(Flaw::Tls),
            ErrorKind::NoUsableMechanism { .. } | ErrorKind::Sasl(_) => Self::Fix(Flaw::Mechanism),
            ErrorKind::Credentials(_) => Self::Fix(Flaw::CredentialsSource),
            ErrorKind::ExtensionNotOffered(_)
            | ErrorKind::ParameterNotOffered(_)
            | ErrorKind::BeyondLimit { .. }
            | ErrorKind::TooLarge { .. } => Self::Fix(Flaw::Requirement),
            ErrorKind::VerifiedTlsRequired => Self::Fix(Flaw::Unprotected),
            ErrorKind::Unsendable(_) => Self::Fix(Flaw::Content),
            ErrorKind::Source(_) => Self::Fix(Flaw::Source),
        }
    }
}

impl Flaw {
    /// What a refusal of the session says has to change, if it says so.
    fn of_refusal(stage: Stage, reply: &Reply) -> Option<Self> {
        match (stage, reply.code().get()) {
            // The service is closing, whatever it was asked.
            (Stage::StartTls, 421) => None,
            (Stage::StartTls, _) => Some(Self::Tls),
            // RFC 4954 §6
            (Stage::Auth, 432 | 534) => Some(Self::Mechanism),
            (Stage::Auth, 538) => Some(Self::Unprotected),
            (Stage::Auth, _) if reply.code().is_permanent() => Some(Self::Login),
            (Stage::Ehlo, code) if !matches!(code, 500 | 502) && is_about_name(reply) => {
                Some(Self::HelloName)
            }
            _ => None,
        }
    }
}

/// Whether a refusal of `EHLO` is one of the name that came with it: by its own words, or by
/// policy (RFC 3463 §3.8).
fn is_about_name(reply: &Reply) -> bool {
    let by_policy = reply
        .enhanced()
        .is_some_and(|enhanced| (enhanced.class(), enhanced.subject()) == (5, 7));
    let text = reply.to_string().to_ascii_lowercase();
    by_policy || ["helo", "ehlo"].iter().any(|word| text.contains(word))
}

impl Error {
    /// What to do now.
    pub fn disposition(&self) -> Disposition {
        Disposition::of(self.stage(), self.kind())
    }

    /// What has to change, where that is known: of a refusal for now too, which may nevertheless
    /// be retried unchanged.
    pub fn flaw(&self) -> Option<Flaw> {
        match (self.disposition(), self.kind()) {
            (Disposition::Fix(flaw), _) => Some(flaw),
            (_, ErrorKind::Refused(reply)) => Flaw::of_refusal(self.stage(), reply),
            _ => None,
        }
    }

    /// Whether trying again later, unchanged, may help.
    pub fn is_transient(&self) -> bool {
        self.disposition().is_transient()
    }

    /// What may help, where the server's reply says so: to a login by its code (RFC 4954 §6), to
    /// `EHLO` by its words. `Display` shows it too.
    pub fn advice(&self) -> Option<&'static str> {
        let ErrorKind::Refused(reply) = self.kind() else {
            return None;
        };
        match self.flaw()? {
            Flaw::Mechanism if reply.code().is_transient() => {
                Some("log in once by PLAIN under TLS")
            }
            Flaw::Mechanism => {
                Some("use a stronger mechanism, or a password that the provider makes for programs")
            }
            Flaw::Unprotected => Some("use TLS"),
            Flaw::HelloName => Some("set hello_name to a name that this server accepts"),
            _ => None,
        }
    }

    /// Whether an error at the start of a session means that the server has no room for another
    /// session now: it refused the session with a 4xx.
    pub fn server_has_no_room(&self) -> bool {
        let refused = matches!(self.kind(), ErrorKind::Refused(_));
        refused && self.disposition() == Disposition::RetryLater
    }

    /// Whether the session was lost, rather than the message refused. A session that does not
    /// answer `MAIL` is lost, too: nothing says that the server is still there.
    fn is_loss_of_session(&self) -> bool {
        match (self.disposition(), self.kind()) {
            // The program wished so.
            (_, ErrorKind::Aborted) => false,
            (Disposition::RetryLater, ErrorKind::TimedOut) => self.stage() == Stage::Mail,
            // RFC 5321 §3.8
            (Disposition::RetryLater, ErrorKind::Refused(reply)) => reply.code().get() == 421,
            (disposition, _) => disposition.is_transient(),
        }
    }
}

impl Report {
    /// Whether the message was certainly not sent because its session was lost.
    pub fn session_was_lost(&self) -> bool {
        matches!(self.outcome(), Outcome::NotSent(error) if error.is_loss_of_session())
    }

    /// Whether a message that went out over a connection of a pool is worth another attempt over
    /// a fresh connection: it was certainly not sent, because a connection that had been used
    /// before was lost, and all of its content is still at hand.
    pub fn deserves_fresh_connection(&self, was_reused: bool, content_is_at_hand: bool) -> bool {
        was_reused && content_is_at_hand && self.session_was_lost()
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::sync::Arc;
    use alloc::vec::Vec;

    use super::*;
    use crate::{EnhancedCode, ReplyCode, TransactionId, TransportError, Unsendable, Violation};
    use Disposition::{Fix, PeerBroken, Permanent, RetryAtOnce, RetryLater, ShutDown};

    const STAGES: [Stage; 12] = [
        Stage::Connect,
        Stage::Greeting,
        Stage::Ehlo,
        Stage::StartTls,
        Stage::Tls,
        Stage::Auth,
        Stage::Mail,
        Stage::Rcpt,
        Stage::Data,
        Stage::Body,
        Stage::Command,
        Stage::Quit,
    ];

    fn reply(code: u16) -> Reply {
        Reply::new(ReplyCode::new(code).unwrap(), None, &["hm"])
    }

    fn foreign() -> TransportError {
        Arc::new(SaslError::EmptySecret)
    }

    /// Every kind but [`ErrorKind::Refused`], with what to do before a message and from `MAIL`
    /// on.
    fn table() -> Vec<(ErrorKind, Disposition, Disposition)> {
        use ErrorKind as Kind;
        let mechanism = || Kind::NoUsableMechanism {
            offered: String::new(),
            withheld: false,
            unasked: Vec::new(),
        };
        let beyond = || Kind::BeyondLimit {
            limit: "SIZE",
            wanted: 2,
            allowed: 1,
        };
        let long = || Unsendable::LineTooLong {
            octets: 2_000,
            limit: 998,
        };
        let too_large = || Kind::TooLarge {
            octets: 2,
            limit: 1,
        };
        let same = |kind, disposition| (kind, disposition, disposition);
        let session = |kind| (kind, RetryLater, RetryAtOnce);
        Vec::from([
            session(Kind::ConnectionClosed),
            session(Kind::Transport(foreign())),
            session(Kind::SessionOver),
            session(Kind::SessionFull),
            session(Kind::Goodbye(reply(221))),
            session(Kind::ResetRefused(reply(502))),
            session(Kind::OutOfStep(reply(503))),
            session(Kind::Aborted),
            same(Kind::TimedOut, RetryLater),
            same(Kind::ShutDown, ShutDown),
            same(Kind::Violation(Violation::UnexpectedChallenge), PeerBroken),
            same(Kind::Sasl(SaslError::InvalidChallenge), PeerBroken),
            same(Kind::Sasl(SaslError::WrongNonce), Fix(Flaw::Mechanism)),
            same(mechanism(), Fix(Flaw::Mechanism)),
            same(Kind::StartTlsNotOffered, Fix(Flaw::Tls)),
            same(Kind::Tls(foreign()), Fix(Flaw::Tls)),
            same(Kind::Credentials(foreign()), Fix(Flaw::CredentialsSource)),
            same(Kind::ExtensionNotOffered("DSN"), Fix(Flaw::Requirement)),
            same(
                Kind::ParameterNotOffered("X=1".parse().unwrap()),
                Fix(Flaw::Requirement),
            ),
            same(beyond(), Fix(Flaw::Requirement)),
            same(too_large(), Fix(Flaw::Requirement)),
            same(Kind::VerifiedTlsRequired, Fix(Flaw::Unprotected)),
            same(Kind::Unsendable(long()), Fix(Flaw::Content)),
            same(Kind::Source(foreign()), Fix(Flaw::Source)),
        ])
    }

    fn each(mut check: impl FnMut(Error, Disposition)) {
        for stage in STAGES {
            for (kind, before, from_mail) in table() {
                let wanted = if stage < Stage::Mail {
                    before
                } else {
                    from_mail
                };
                check(Error::new(stage, kind), wanted);
            }
            for code in [421, 432, 450, 500, 502, 534, 535, 538, 550] {
                let flaw = match (stage, code) {
                    (Stage::StartTls, 500..) => Some(Flaw::Tls),
                    (Stage::Auth, 534) => Some(Flaw::Mechanism),
                    (Stage::Auth, 538) => Some(Flaw::Unprotected),
                    (Stage::Auth, 500..) => Some(Flaw::Login),
                    _ => None,
                };
                let wanted = match (code, flaw) {
                    (..500, _) => RetryLater,
                    (_, Some(flaw)) => Fix(flaw),
                    (_, None) => Permanent,
                };
                check(Error::new(stage, ErrorKind::Refused(reply(code))), wanted);
            }
        }
    }

    #[test]
    fn every_kind_at_every_stage_has_its_answer() {
        each(|error, wanted| assert_eq!(error.disposition(), wanted, "{error:?}"));
    }

    #[test]
    fn an_error_equals_itself_and_no_other() {
        let mut errors = Vec::new();
        each(|error, _| errors.push(error));
        for (position, one) in errors.iter().enumerate() {
            for (place, other) in errors.iter().enumerate() {
                assert_eq!(one == other, position == place, "{one:?} {other:?}");
            }
        }
        let kind = |text: &str| {
            let error: TransportError = Arc::new(Error::new(
                Stage::Connect,
                ErrorKind::NoUsableMechanism {
                    offered: text.into(),
                    withheld: false,
                    unasked: Vec::new(),
                },
            ));
            ErrorKind::Transport(error)
        };
        assert_eq!(kind("X-A"), kind("X-A"));
        assert_ne!(kind("X-A"), kind("X-B"));
    }

    #[test]
    fn only_what_may_be_retried_unchanged_is_transient() {
        each(|error, wanted| {
            let transient = matches!(wanted, RetryLater | RetryAtOnce);
            assert_eq!(error.is_transient(), transient, "{error:?}");
        });
    }

    #[test]
    fn a_server_has_no_room_only_where_it_says_so_for_now() {
        each(|error, _| {
            let code = match error.kind() {
                ErrorKind::Refused(reply) => reply.code().get(),
                _ => 0,
            };
            let wanted = matches!(code, 421 | 432 | 450);
            assert_eq!(error.server_has_no_room(), wanted, "{error:?}");
        });
    }

    #[test]
    fn a_session_is_lost_with_its_connection_and_not_by_a_refusal() {
        each(|error, _| {
            let wanted = match error.kind() {
                ErrorKind::ConnectionClosed
                | ErrorKind::Transport(_)
                | ErrorKind::SessionOver
                | ErrorKind::SessionFull
                | ErrorKind::Goodbye(_)
                | ErrorKind::ResetRefused(_)
                | ErrorKind::OutOfStep(_) => true,
                ErrorKind::TimedOut => error.stage() == Stage::Mail,
                ErrorKind::Refused(reply) => reply.code().get() == 421,
                _ => false,
            };
            let shown = alloc::format!("{error:?}");
            let report = |outcome| Report::new(TransactionId(0), outcome, Vec::new());
            let not_sent = report(Outcome::NotSent(error.clone()));
            assert_eq!(not_sent.session_was_lost(), wanted, "{shown}");
            for (reused, at_hand) in [(false, false), (false, true), (true, false), (true, true)] {
                let fresh = not_sent.deserves_fresh_connection(reused, at_hand);
                assert_eq!(fresh, wanted && reused && at_hand, "{shown}");
            }
            assert!(!report(Outcome::InDoubt(error)).session_was_lost());
        });
    }

    #[test]
    fn advice_is_given_where_the_reply_tells() {
        each(|error, _| {
            let code = match (error.stage(), error.kind()) {
                (Stage::Auth, ErrorKind::Refused(reply)) => reply.code().get(),
                _ => 0,
            };
            let wanted = matches!(code, 432 | 534 | 538);
            assert_eq!(error.advice().is_some(), wanted, "{error:?}");
        });
        for (code, text, flaw) in [
            (
                550,
                "your HELO name does not resolve",
                Some(Flaw::HelloName),
            ),
            (450, "Helo command rejected", Some(Flaw::HelloName)),
            (550, "5.7.1 no", Some(Flaw::HelloName)),
            (502, "EHLO?", None),
            (550, "no", None),
        ] {
            let (enhanced, text) = match text.strip_prefix("5.7.1 ") {
                Some(rest) => (EnhancedCode::new(5, 7, 1), rest),
                None => (None, text),
            };
            let reply = Reply::new(ReplyCode::new(code).unwrap(), enhanced, &[text]);
            let error = Error::new(Stage::Ehlo, ErrorKind::Refused(reply));
            assert_eq!(error.flaw(), flaw, "{text}");
            assert_eq!(error.advice().is_some(), flaw.is_some(), "{text}");
            assert_eq!(error.is_transient(), code < 500, "{text}");
        }
    }
}
