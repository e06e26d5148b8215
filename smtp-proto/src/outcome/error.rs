//! What can go wrong with a session or a message, apart from a refusal of the
//! message itself (that is [`Outcome::Rejected`](crate::Outcome::Rejected)).
//!
//! Four different things in types: a wrong call by the program ([`Misuse`]), a
//! fault of the peer ([`Violation`]), a refusal by the server
//! ([`ErrorKind::Refused`]) and the network's failures.

mod stage;
mod violation;

use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

pub use self::stage::Stage;
pub use self::violation::Violation;
use crate::{Mechanism, Parameter, Reply, SaslError, TransportError};

/// Why a message was not sent, or why nobody knows whether it was.
///
/// Two errors are equal if stage, kind and details are. The foreign errors that some kinds hold
/// (a [`TransportError`]) are compared by their text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    stage: Stage,
    kind: ErrorKind,
    more: Option<Box<More>>,
}

/// What is known besides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct More {
    detail: Option<String>,
    quote: Option<String>,
    login: Option<Login>,
}

/// Which login failed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Login {
    mechanism: Mechanism,
    others: String,
}

/// What happened; [`Error::stage`] says where.
///
/// Two kinds are equal if what they hold is; foreign errors ([`TransportError`]) are compared by
/// their text.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The server refused the session, or hung up after this refusal.
    Refused(Reply),
    /// The server said goodbye (`221`), or greeted anew (`220`), in place of an answer
    /// (RFC 5321 §3.8).
    Goodbye(Reply),
    /// The server refused to end a transaction (`RSET`) that an earlier message may have left
    /// open, so the session was left. The reply says nothing of this message.
    ResetRefused(Reply),
    /// The server answered "out of step" (`503`) to a command that was sent ahead of the
    /// replies before it (RFC 2920). That says nothing of this message.
    OutOfStep(Reply),
    /// The server broke the protocol.
    Violation(Violation),
    /// The server closed the connection.
    ConnectionClosed,
    /// The transport failed: connecting, reading or writing.
    Transport(TransportError),
    /// The stage took longer than it may.
    TimedOut,
    /// STARTTLS is required and the server does not offer it.
    StartTlsNotOffered,
    /// The handshake or a certificate failed, or the TLS session broke.
    Tls(TransportError),
    /// Credentials were given and no mechanism can be used.
    NoUsableMechanism {
        /// What the server offers, blank-separated; empty if it has no AUTH.
        offered: String,
        /// Whether one was kept back because it would reveal the secret in
        /// plaintext.
        withheld: bool,
        /// Those that are offered and known, and have to be asked for.
        unasked: Vec<Mechanism>,
    },
    /// The mechanism gave up.
    Sasl(SaslError),
    /// The program could not get the credentials that were wanted.
    Credentials(TransportError),
    /// The message, or the command, needs an extension that the server does not offer.
    ExtensionNotOffered(&'static str),
    /// A parameter that the program added belongs to an extension that the server does not
    /// offer.
    ParameterNotOffered(Parameter),
    /// The message requires TLS on its way (REQUIRETLS, RFC 8689), and this session is not under
    /// TLS with a verified certificate.
    VerifiedTlsRequired,
    /// The message wants more of something than the server declares that it gives.
    BeyondLimit {
        /// The server's word for it.
        limit: &'static str,
        /// What the message wants.
        wanted: u64,
        /// What the server gives at most.
        allowed: u64,
    },
    /// The message is larger than the server's declared maximum (RFC 1870).
    TooLarge {
        /// The message's size as `SIZE=` counts it.
        octets: u64,
        /// What the server accepts.
        limit: u64,
    },
    /// The message cannot be sent to any server.
    Unsendable(Unsendable),
    /// The source of a streamed body failed.
    Source(TransportError),
    /// The program aborted the session.
    Aborted,
    /// The session had ended, or was ending, when the message or command was given to it, or
    /// ended before its turn came. Another session can send it.
    SessionOver,
    /// The session stands, and by the limits that the server declares (`MAILMAX`,
    /// `RCPTDOMAINMAX`, RFC 9422) it takes no more of this message. Another session can.
    SessionFull,
    /// The program shut the transport down before the message had a connection. Only another
    /// transport can send it.
    ShutDown,
}

impl PartialEq for ErrorKind {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Refused(one), Self::Refused(other))
            | (Self::Goodbye(one), Self::Goodbye(other))
            | (Self::ResetRefused(one), Self::ResetRefused(other))
            | (Self::OutOfStep(one), Self::OutOfStep(other)) => one == other,
            (Self::Violation(one), Self::Violation(other)) => one == other,
            (Self::Transport(one), Self::Transport(other))
            | (Self::Tls(one), Self::Tls(other))
            | (Self::Credentials(one), Self::Credentials(other))
            | (Self::Source(one), Self::Source(other)) => read_the_same(one, other),
            (
                Self::NoUsableMechanism {
                    offered,
                    withheld,
                    unasked,
                },
                Self::NoUsableMechanism {
                    offered: other_offered,
                    withheld: other_withheld,
                    unasked: other_unasked,
                },
            ) => (offered, withheld, unasked) == (other_offered, other_withheld, other_unasked),
            (Self::Sasl(one), Self::Sasl(other)) => one == other,
            (Self::ExtensionNotOffered(one), Self::ExtensionNotOffered(other)) => one == other,
            (Self::ParameterNotOffered(one), Self::ParameterNotOffered(other)) => one == other,
            (
                Self::BeyondLimit {
                    limit,
                    wanted,
                    allowed,
                },
                Self::BeyondLimit {
                    limit: other_limit,
                    wanted: other_wanted,
                    allowed: other_allowed,
                },
            ) => (limit, wanted, allowed) == (other_limit, other_wanted, other_allowed),
            (
                Self::TooLarge { octets, limit },
                Self::TooLarge {
                    octets: other_octets,
                    limit: other_limit,
                },
            ) => (octets, limit) == (other_octets, other_limit),
            (Self::Unsendable(one), Self::Unsendable(other)) => one == other,
            (Self::ConnectionClosed, Self::ConnectionClosed)
            | (Self::TimedOut, Self::TimedOut)
            | (Self::StartTlsNotOffered, Self::StartTlsNotOffered)
            | (Self::VerifiedTlsRequired, Self::VerifiedTlsRequired)
            | (Self::Aborted, Self::Aborted)
            | (Self::SessionOver, Self::SessionOver)
            | (Self::SessionFull, Self::SessionFull)
            | (Self::ShutDown, Self::ShutDown) => true,
            _ => false,
        }
    }
}

impl Eq for ErrorKind {}

fn read_the_same(one: &TransportError, other: &TransportError) -> bool {
    Arc::ptr_eq(one, other) || one.to_string() == other.to_string()
}

impl Error {
    /// An error at a stage: for adapters, which meet failures of their own.
    pub fn new(stage: Stage, kind: ErrorKind) -> Self {
        Self {
            stage,
            kind,
            more: None,
        }
    }

    /// The same, with what is known besides: what the server said besides its reply, or
    /// what was tried. For adapters.
    #[must_use]
    pub fn with_detail(mut self, detail: Option<String>) -> Self {
        if detail.is_some() {
            self.more.get_or_insert_default().detail = detail;
        }
        self
    }

    /// The same, with the beginning of what the server said instead of a whole reply.
    pub(crate) fn with_quote(mut self, quote: String) -> Self {
        self.more.get_or_insert_default().quote = Some(quote);
        self
    }

    /// What the server said instead of a whole reply, escaped: the first 100 octets of a line
    /// that is none, of lines that disagree, or of a reply whose end never came.
    pub fn quote(&self) -> Option<&str> {
        self.more.as_ref()?.quote.as_deref()
    }

    /// The same, of a login by this mechanism to a server that offers others as well.
    pub(crate) fn of_login(mut self, mechanism: Mechanism, others: String) -> Self {
        self.more.get_or_insert_default().login = Some(Login { mechanism, others });
        self
    }

    fn login(&self) -> Option<&Login> {
        self.more.as_ref()?.login.as_ref()
    }

    /// The mechanism of the login that failed.
    pub fn mechanism(&self) -> Option<Mechanism> {
        self.login().map(|login| login.mechanism)
    }

    /// The other mechanisms that the server offered where a login failed,
    /// blank-separated.
    pub fn other_mechanisms(&self) -> &str {
        self.login().map_or("", |login| &login.others)
    }

    /// What is known besides: what the server said besides its reply (the JSON of OAUTHBEARER
    /// or XOAUTH2, the reason of SCRAM), escaped; which addresses did not answer in time.
    pub fn detail(&self) -> Option<&str> {
        self.more.as_ref()?.detail.as_deref()
    }

    /// Where it happened.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// What happened.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// The server's reply, where it was one that ended the attempt.
    pub fn reply(&self) -> Option<&Reply> {
        match &self.kind {
            ErrorKind::Refused(reply)
            | ErrorKind::Goodbye(reply)
            | ErrorKind::ResetRefused(reply)
            | ErrorKind::OutOfStep(reply)
            | ErrorKind::Violation(
                Violation::UnexpectedReply(reply) | Violation::SurplusReply(reply),
            ) => Some(reply),
            _ => None,
        }
    }

    fn write_begun(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.quote() {
            Some(quote) => write!(f, "; the server had begun to say: {quote}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.stage)?;
        match &self.kind {
            ErrorKind::Refused(reply) => {
                f.write_str("the server refused")?;
                if let Some(mechanism) = self.mechanism() {
                    write!(f, " {mechanism}")?;
                }
                write!(f, ": {reply}")?;
                if let Some(detail) = self.detail() {
                    write!(f, " ({detail})")?;
                }
                if let Some(advice) = self.advice() {
                    write!(f, "; {advice}")?;
                }
                match self.other_mechanisms() {
                    "" => Ok(()),
                    others => write!(f, "; it also offers {others}"),
                }
            }
            ErrorKind::Goodbye(reply) => {
                write!(f, "the server ended the session: {reply}")
            }
            ErrorKind::ResetRefused(reply) => write!(
                f,
                "the server refused RSET after an earlier message ({reply}); send this one over \
                 another connection"
            ),
            ErrorKind::OutOfStep(reply) => write!(
                f,
                "the server does not bear pipelining ({reply}); send one command at a time"
            ),
            ErrorKind::Violation(violation) => {
                write!(f, "the server broke the protocol: {violation}")?;
                match self.quote() {
                    Some("") => f.write_str(": an empty line")?,
                    Some(quote) => write!(f, ": {quote}")?,
                    None => {}
                }
                match self.detail() {
                    Some(detail) => write!(f, "; then the server said {detail}"),
                    None => Ok(()),
                }
            }
            ErrorKind::ConnectionClosed => {
                f.write_str("the server closed the connection")?;
                self.write_begun(f)
            }
            ErrorKind::Transport(error) => {
                write!(f, "{error}")?;
                self.write_begun(f)
            }
            ErrorKind::TimedOut => {
                f.write_str("timed out")?;
                if let Some(detail) = self.detail() {
                    write!(f, ": {detail}")?;
                }
                self.write_begun(f)
            }
            ErrorKind::StartTlsNotOffered => f.write_str(
                "STARTTLS is required and the server does not offer it; use the port for implicit TLS, \
                 or another server",
            ),
            ErrorKind::Tls(error) => write!(f, "TLS failed: {error}"),
            ErrorKind::NoUsableMechanism {
                offered,
                withheld,
                unasked,
            } => {
                if offered.is_empty() {
                    f.write_str("credentials were given and the server offers no AUTH")?;
                } else {
                    write!(
                        f,
                        "none of the mechanisms that the server offers ({offered}) can be used"
                    )?;
                }
                if *withheld {
                    f.write_str("; a secret is not sent in plaintext unless that is allowed")?;
                }
                let unknown = offered.split(' ').filter(|name| !name.is_empty());
                for name in unknown.filter(|name| name.parse::<Mechanism>().is_err()) {
                    write!(f, "; {name} is not known")?;
                }
                for mechanism in unasked {
                    if mechanism.is_default_for_password() {
                        write!(f, "; {mechanism} is not among those that may be used")?;
                    } else {
                        write!(f, "; {mechanism} is only used where it is asked for")?;
                    }
                }
                Ok(())
            }
            ErrorKind::Sasl(error) => {
                if let Some(mechanism) = self.mechanism() {
                    write!(f, "{mechanism}: ")?;
                }
                write!(f, "{error}")?;
                match self.detail() {
                    Some(detail) => write!(f, "; the server said {detail}"),
                    None => Ok(()),
                }
            }
            ErrorKind::Credentials(error) => {
                write!(f, "the credentials could not be had: {error}")
            }
            ErrorKind::ExtensionNotOffered(keyword) => {
                write!(
                    f,
                    "{} needs {keyword}, which the server does not offer",
                    if self.stage == Stage::Command {
                        "the command"
                    } else {
                        "the message"
                    }
                )?;
                match *keyword {
                    "8BITMIME" | "BINARYMIME" => {
                        f.write_str("; encode its content as quoted-printable or base64")
                    }
                    _ => Ok(()),
                }
            }
            ErrorKind::ParameterNotOffered(parameter) => write!(
                f,
                "{parameter} needs {}, which the server does not offer",
                parameter.extension()
            ),
            ErrorKind::VerifiedTlsRequired => f.write_str(
                "the message requires TLS with a verified certificate, which this session has not",
            ),
            ErrorKind::BeyondLimit {
                limit,
                wanted,
                allowed,
            } => write!(
                f,
                "the message wants {wanted} and the server's limit by {limit} is {allowed}"
            ),
            ErrorKind::TooLarge { octets, limit } => write!(
                f,
                "the message has {octets} octets and the server accepts {limit}"
            ),
            ErrorKind::Unsendable(why) => write!(f, "{why}"),
            ErrorKind::Source(error) => write!(f, "the source of the content failed: {error}"),
            ErrorKind::Aborted => f.write_str("aborted by the program"),
            ErrorKind::SessionOver => match self.detail() {
                Some(why) => write!(
                    f,
                    "the session ended because of another message ({why}); open another"
                ),
                None => f.write_str("the session had ended; open another"),
            },
            ErrorKind::SessionFull => f.write_str(
                "the session has no room for it by the server's limits (LIMITS); open another",
            ),
            ErrorKind::ShutDown => f.write_str("the transport is shut down"),
        }
    }
}

/// `Display` says all that the error within says, so the source is what lies behind that one;
/// [`Error::kind`] holds the error itself.
impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match &self.kind {
            ErrorKind::Violation(violation) => violation.source(),
            ErrorKind::Transport(error)
            | ErrorKind::Tls(error)
            | ErrorKind::Credentials(error)
            | ErrorKind::Source(error) => error.source(),
            ErrorKind::Sasl(error) => error.source(),
            _ => None,
        }
    }
}

/// Why a message cannot be sent to any server, under the given configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unsendable {
    /// CR or LF that does not stand in a CRLF, and the configuration refuses it.
    LoneLineEnd {
        /// How many lone CRs.
        carriage_returns: u64,
        /// How many lone LFs.
        line_feeds: u64,
    },
    /// A line longer than the configuration allows.
    LineTooLong {
        /// The longest line, in octets without its CRLF.
        octets: u64,
        /// What is allowed.
        limit: u64,
    },
}

impl fmt::Display for Unsendable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoneLineEnd {
                carriage_returns,
                line_feeds,
            } => write!(
                f,
                "the message holds {carriage_returns} lone CR and {line_feeds} lone LF; lines must end in CRLF"
            ),
            Self::LineTooLong { octets, limit } => write!(
                f,
                "the message has a line of {octets} octets; at most {limit} are allowed"
            ),
        }
    }
}

impl core::error::Error for Unsendable {}

/// A call that makes no sense at this point. A mistake of the program, not of
/// the peer; nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misuse {
    /// A body chunk for a transaction that has ended or does not exist.
    NoSuchTransaction,
    /// A body chunk for a message whose body is not a stream, or has ended.
    NotStreaming,
    /// TLS was reported as established, or failed, while nobody asked for it.
    NoHandshake,
    /// Credentials were given, or said to be missing, while nobody asked for them.
    NoCredentialsWanted,
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchTransaction => "there is no such transaction, or it has ended",
            Self::NotStreaming => "this message's body is not a stream, or has ended",
            Self::NoHandshake => "no TLS handshake was asked for",
            Self::NoCredentialsWanted => "no credentials were asked for",
        })
    }
}

impl core::error::Error for Misuse {}
