//! What to do about an error: one table that maps a kind, a stage and a reply to an answer.
//!
//! Every question about the next action is answered here: whether a retry helps, which advice an
//! error gives, whether a session was lost, whether a server accepts no more sessions, whether to
//! try another address. Some of the answers need more than the table says, and look at the stage,
//! the kind and the code of an error as well. Must never know how a retry is made.

use alloc::string::ToString as _;

use crate::{
    EnhancedCode, Error, ErrorKind, Mechanism, Outcome, Reply, Report, SaslError, Stage, Violation,
};

/// What a program can do about an error or a refusal.
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
    /// Retry later without a change: the server or the network failed temporarily.
    RetryLater,
    /// Retry at once, without a change, over another session: only this session failed or
    /// reached a limit.
    RetryAtOnce,
    /// Use another transport: the program shut this one down.
    ShutDown,
    /// Fix this first: the same attempt would fail again.
    Fix(Flaw),
    /// Give up: the server refused permanently and did not say what to change.
    Permanent,
    /// Give up: the server violated the protocol, and only its operator can correct that.
    PeerBroken,
}

/// What must change before another attempt can succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Flaw {
    /// The content of the message, which cannot be sent to any server.
    Content,
    /// The source of a streamed body, which failed.
    Source,
    /// A requirement of the message or command that this server does not meet: an extension, a
    /// size or a limit.
    Requirement,
    /// The name that the client sends in `EHLO`.
    HelloName,
    /// The source from which the program fetches the credentials.
    CredentialsSource,
    /// The user name, the password, the token, or the server's permission for this user.
    Login,
    /// The set of allowed authentication mechanisms.
    Mechanism,
    /// The protection of the session, which must be TLS (with a verified certificate).
    Unprotected,
    /// TLS itself: `STARTTLS`, the handshake, a certificate.
    Tls,
}

impl Disposition {
    /// The disposition of a refusal by its code alone: retry later after a 4xx, give up after a
    /// 5xx (RFC 5321 §4.2.1).
    pub fn of_refusal(reply: &Reply) -> Self {
        if reply.code().is_transient() {
            Self::RetryLater
        } else {
            Self::Permanent
        }
    }

    /// The name of the disposition in `snake_case`, for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RetryLater => "retry_later",
            Self::RetryAtOnce => "retry_at_once",
            Self::ShutDown => "shut_down",
            Self::Fix(_) => "fix",
            Self::Permanent => "permanent",
            Self::PeerBroken => "peer_broken",
        }
    }

    /// Whether a retry without a change may succeed.
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::RetryLater | Self::RetryAtOnce)
    }

    /// The table from stage and kind to disposition.
    fn of(stage: Stage, kind: &ErrorKind) -> Self {
        match kind {
            ErrorKind::Refused(reply) => match Self::of_refusal(reply) {
                Self::Permanent => {
                    Flaw::of_refusal(stage, reply).map_or(Self::Permanent, Self::Fix)
                }
                later => later,
            },
            // If one session ends after its start, the next session may still succeed.
            ErrorKind::ConnectionClosed
            | ErrorKind::Transport(_)
            | ErrorKind::SessionOver
            | ErrorKind::SessionFull
            | ErrorKind::EndedByServer(_)
            | ErrorKind::ResetRefused(_)
            | ErrorKind::OutOfSequence(_)
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
    /// The name of the flaw in `snake_case`, for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::Source => "source",
            Self::Requirement => "requirement",
            Self::HelloName => "hello_name",
            Self::CredentialsSource => "credentials_source",
            Self::Login => "login",
            Self::Mechanism => "mechanism",
            Self::Unprotected => "unprotected",
            Self::Tls => "tls",
        }
    }

    /// What must change after a refusal of the session, if the reply says so.
    fn of_refusal(stage: Stage, reply: &Reply) -> Option<Self> {
        match (stage, reply.code().get()) {
            // `421`: the service is closing, regardless of the command.
            (Stage::StartTls, 421) => None,
            (Stage::StartTls, _) => Some(Self::Tls),
            // RFC 4954 §6
            (Stage::Auth, 432 | 534) => Some(Self::Mechanism),
            (Stage::Auth, 538) => Some(Self::Unprotected),
            (Stage::Auth, _) if reply.code().is_permanent() => Some(Self::Login),
            (Stage::Ehlo, _) if is_about_name(reply) => Some(Self::HelloName),
            _ => None,
        }
    }
}

/// Whether a refusal of `EHLO` is about the client's name, its only argument: its code or its
/// text says so, or its enhanced code is one of policy (RFC 3463 §3.8).
fn is_about_name(reply: &Reply) -> bool {
    match reply.code().get() {
        // The argument is wrong (RFC 5321 §4.2.2).
        501 | 504 => return true,
        // The command is wrong.
        500 | 502 | 503 => return false,
        _ => {}
    }
    let by_policy = reply
        .enhanced()
        .is_some_and(|enhanced| (enhanced.class(), enhanced.subject()) == (5, 7));
    let text = reply.to_string().to_ascii_lowercase();
    let words = ["helo", "ehlo", "lhlo", "host name", "hostname"];
    by_policy || words.iter().any(|word| text.contains(word))
}

/// Whether the reply means wrong credentials (RFC 4954 §6).
fn is_wrong_login(reply: &Reply) -> bool {
    let wrong = EnhancedCode::new(5, 7, 8);
    reply.code() == 535 && (reply.enhanced().is_none() || reply.enhanced() == wrong)
}

impl Error {
    /// What the program can do about this error.
    pub fn disposition(&self) -> Disposition {
        Disposition::of(self.stage(), self.kind())
    }

    /// What must change, if that is known.
    ///
    /// A temporary refusal may have a flaw as well: a retry without a change may then still
    /// succeed.
    pub fn flaw(&self) -> Option<Flaw> {
        match (self.disposition(), self.kind()) {
            (Disposition::Fix(flaw), _) => Some(flaw),
            (_, ErrorKind::Refused(reply)) => Flaw::of_refusal(self.stage(), reply),
            _ => None,
        }
    }

    /// Whether a later retry without a change may succeed.
    pub fn is_transient(&self) -> bool {
        self.disposition().is_transient()
    }

    /// Advice that follows from what the server said, or did not say: the code of a reply to a
    /// login (RFC 4954 §6), the text of a reply to `EHLO`, TLS or silence instead of a greeting.
    /// `Display` includes the advice.
    pub fn advice(&self) -> Option<&'static str> {
        match self.kind() {
            ErrorKind::Refused(reply) => self.advice_on_refusal(reply),
            ErrorKind::Violation(Violation::Reply(_)) if self.quotes_tls() => {
                Some("this port expects TLS from the first octet (smtps://)")
            }
            ErrorKind::TimedOut if self.stage() == Stage::Tls => {
                Some("nothing answers TLS on this port: check host, port and firewall")
            }
            ErrorKind::TimedOut if self.is_in_plaintext() => {
                Some("a silent server may expect TLS from the first octet (smtps://)")
            }
            _ => None,
        }
    }

    fn advice_on_refusal(&self, reply: &Reply) -> Option<&'static str> {
        match self.flaw()? {
            // RFC 4954 §6: 432 asks for one login with PLAIN, so it means something else about PLAIN.
            Flaw::Mechanism
                if reply.code().is_transient() && self.mechanism() == Some(Mechanism::PLAIN) =>
            {
                None
            }
            Flaw::Mechanism if reply.code().is_transient() => {
                Some("this mechanism works only after one login with PLAIN over TLS")
            }
            Flaw::Mechanism => {
                Some("use a stronger mechanism, or a password that the provider makes for programs")
            }
            Flaw::Unprotected => Some("use TLS"),
            Flaw::HelloName => Some("send a name in EHLO that this server accepts"),
            Flaw::Login if is_wrong_login(reply) => self.advice_on_login(),
            _ => None,
        }
    }

    fn advice_on_login(&self) -> Option<&'static str> {
        let mechanism = self.mechanism()?;
        let is_one_of = |names: [Mechanism; 2]| names.contains(&mechanism);
        if is_one_of([Mechanism::OAUTHBEARER, Mechanism::XOAUTH2]) {
            Some("the token is probably wrong or expired")
        } else if is_one_of([Mechanism::EXTERNAL, Mechanism::ANONYMOUS]) || self.detail().is_some()
        {
            // Either there is no secret that could be wrong, or the server gave another reason.
            None
        } else {
            Some("the user name or the password is probably wrong")
        }
    }

    /// Whether the server sent a TLS alert or handshake instead of a greeting.
    fn quotes_tls(&self) -> bool {
        let quote = self.quote().unwrap_or_default();
        quote.starts_with("\\x15\\x03") || quote.starts_with("\\x16\\x03")
    }

    /// Whether the error means that the server accepts no more sessions at present: it refused
    /// the session with a 4xx.
    pub fn server_has_no_room(&self) -> bool {
        let refused = matches!(self.kind(), ErrorKind::Refused(_));
        refused && self.disposition() == Disposition::RetryLater
    }

    /// Whether a session that could not be opened is worth an attempt with another address of the
    /// server (RFC 5321 §5.1).
    ///
    /// True if this address refused the session in its greeting, sent something else as its greeting,
    /// or closed the connection or sent nothing before it (the server speaks first, after a TLS
    /// handshake if there is one).
    /// Every other failure says something about the server, not about one of its addresses.
    pub fn is_worth_another_address(&self) -> bool {
        match (self.stage(), self.kind()) {
            (Stage::Greeting, kind) => !matches!(kind, ErrorKind::Aborted),
            (
                Stage::Tls,
                ErrorKind::ConnectionClosed | ErrorKind::Transport(_) | ErrorKind::TimedOut,
            ) => true,
            (Stage::Ehlo, ErrorKind::Refused(reply)) => reply.code().get() == 421,
            _ => false,
        }
    }

    /// Whether the session was lost, rather than the message refused. A session without a reply
    /// to `MAIL` counts as lost, because the server may no longer be reachable.
    fn is_loss_of_session(&self) -> bool {
        match (self.disposition(), self.kind()) {
            // The program ended the session itself.
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

    /// Whether a pool should retry the message over a new connection.
    ///
    /// True if the message was certainly not sent because a reused connection was lost, and all
    /// of the content is still available.
    pub fn may_retry_on_new_connection(&self, was_reused: bool, content_is_at_hand: bool) -> bool {
        was_reused && content_is_at_hand && self.session_was_lost()
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::sync::Arc;
    use alloc::vec::Vec;

    use super::*;
    use crate::{ReplyCode, TransactionId, TransportError, Unsendable};
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

    /// Every kind except [`ErrorKind::Refused`], with its disposition before a message and from
    /// `MAIL` on.
    fn table() -> Vec<(ErrorKind, Disposition, Disposition)> {
        use ErrorKind as Kind;
        let mechanism = || Kind::NoUsableMechanism {
            offered: String::new(),
            withheld: false,
            not_allowed: Vec::new(),
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
            session(Kind::EndedByServer(reply(221))),
            session(Kind::ResetRefused(reply(502))),
            session(Kind::OutOfSequence(reply(503))),
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
                    not_allowed: Vec::new(),
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
    fn another_address_is_worth_an_attempt_until_this_one_has_greeted() {
        each(|error, _| {
            let wanted = match (error.stage(), error.kind()) {
                (_, ErrorKind::Aborted) => false,
                (Stage::Greeting, _) => true,
                (Stage::Tls, kind) => matches!(
                    kind,
                    ErrorKind::ConnectionClosed | ErrorKind::Transport(_) | ErrorKind::TimedOut
                ),
                (Stage::Ehlo, ErrorKind::Refused(reply)) => reply.code().get() == 421,
                _ => false,
            };
            assert_eq!(error.is_worth_another_address(), wanted, "{error:?}");
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
                | ErrorKind::EndedByServer(_)
                | ErrorKind::ResetRefused(_)
                | ErrorKind::OutOfSequence(_) => true,
                ErrorKind::TimedOut => error.stage() == Stage::Mail,
                ErrorKind::Refused(reply) => reply.code().get() == 421,
                _ => false,
            };
            let shown = alloc::format!("{error:?}");
            let report = |outcome| Report::new(TransactionId(0), outcome, Vec::new());
            let not_sent = report(Outcome::NotSent(error.clone()));
            assert_eq!(not_sent.session_was_lost(), wanted, "{shown}");
            for (reused, at_hand) in [(false, false), (false, true), (true, false), (true, true)] {
                let fresh = not_sent.may_retry_on_new_connection(reused, at_hand);
                assert_eq!(fresh, wanted && reused && at_hand, "{shown}");
            }
            assert!(!report(Outcome::InDoubt(error)).session_was_lost());
        });
    }

    #[test]
    fn a_refused_login_says_what_is_probably_wrong() {
        let refused = |code, enhanced: Option<EnhancedCode>, mechanism| {
            let reply = Reply::new(ReplyCode::new(code).unwrap(), enhanced, &["no"]);
            let error = Error::new(Stage::Auth, ErrorKind::Refused(reply));
            error.of_login(mechanism, "LOGIN".into())
        };
        let wrong = EnhancedCode::new(5, 7, 8);
        for (error, said) in [
            (refused(535, None, Mechanism::PLAIN), Some("password")),
            (refused(535, wrong, Mechanism::PLAIN), Some("password")),
            (refused(535, wrong, Mechanism::XOAUTH2), Some("token")),
            (refused(535, wrong, Mechanism::EXTERNAL), None),
            (
                refused(535, EnhancedCode::new(5, 7, 3), Mechanism::PLAIN),
                None,
            ),
            (refused(550, None, Mechanism::PLAIN), None),
            (
                refused(535, wrong, Mechanism::PLAIN).with_detail(Some("channel-binding".into())),
                None,
            ),
        ] {
            let advice = error.advice();
            assert_eq!(advice.is_some(), said.is_some(), "{error}");
            assert!(
                advice
                    .unwrap_or_default()
                    .contains(said.unwrap_or_default())
            );
            let offers = error.to_string().ends_with("; it also offers LOGIN");
            assert_eq!(offers, said.is_none(), "{error}");
        }
    }

    #[test]
    fn a_login_that_is_refused_for_now_has_no_flaw() {
        for (code, flaw) in [
            (454, None),
            (432, Some(Flaw::Mechanism)),
            (535, Some(Flaw::Login)),
        ] {
            let error = Error::new(Stage::Auth, ErrorKind::Refused(reply(code)));
            assert_eq!(error.flaw(), flaw, "{code}");
        }
        let transition = Error::new(Stage::Auth, ErrorKind::Refused(reply(432)));
        let too_weak = Error::new(Stage::Auth, ErrorKind::Refused(reply(534)));
        assert_ne!(transition.advice(), too_weak.advice());
        let plain = Error::new(Stage::Auth, ErrorKind::Refused(reply(432)));
        let plain = plain.of_login(Mechanism::PLAIN, String::new());
        assert_eq!(plain.advice(), None);
    }

    #[test]
    fn advice_is_given_where_the_reply_tells() {
        each(|error, _| {
            let code = match (error.stage(), error.kind()) {
                (Stage::Auth, ErrorKind::Refused(reply)) => reply.code().get(),
                _ => 0,
            };
            let silent = (error.stage(), error.kind()) == (Stage::Tls, &ErrorKind::TimedOut);
            let wanted = silent || matches!(code, 432 | 534 | 538);
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
