//! The kinds of errors: a refusal by the server, a fault of the peer, a failure of the network,
//! or a request that this server cannot serve. Must never know what to do about an error.

use alloc::string::{String, ToString as _};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Unsendable, Violation};
use crate::{Mechanism, Parameter, Reply, SaslError, TransportError};

/// The kind of an [`Error`](crate::Error), with its data.
///
/// Two kinds are equal if their data are equal. Errors of other crates ([`TransportError`]) are
/// compared by their text.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The server refused the session, or closed the connection after this refusal.
    Refused(Reply),
    /// The server ended the session (`221`), or sent a new greeting (`220`), instead of a reply
    /// to the command (RFC 5321 §3.8).
    EndedByServer(Reply),
    /// The server refused `RSET` after an earlier message that may have left a transaction open,
    /// so the session ended. The reply is not about this message.
    ResetRefused(Reply),
    /// The server replied "bad sequence" (`503`) to a command that was sent before the replies
    /// to earlier commands arrived (RFC 2920). The reply is not about this message.
    OutOfSequence(Reply),
    /// The server violated the protocol.
    Violation(Violation),
    /// The server closed the connection.
    ConnectionClosed,
    /// Connecting, reading or writing failed.
    Transport(TransportError),
    /// The deadline of the stage passed.
    TimedOut,
    /// STARTTLS is required and the server does not offer it.
    StartTlsNotOffered,
    /// The TLS handshake or a certificate check failed, or the TLS session failed later.
    Tls(TransportError),
    /// Credentials were given and no mechanism can be used.
    NoUsableMechanism {
        /// The mechanisms that the server offers, separated by blanks; empty if the server does
        /// not offer AUTH.
        offered: String,
        /// Whether a mechanism was not used because it would reveal the secret in plaintext.
        withheld: bool,
        /// Offered mechanisms that this crate supports and the configuration does not allow.
        not_allowed: Vec<Mechanism>,
    },
    /// The authentication mechanism failed on the client's side.
    Sasl(SaslError),
    /// The program failed to provide the credentials.
    Credentials(TransportError),
    /// The message, or the command, needs an extension that the server does not offer.
    ExtensionNotOffered(&'static str),
    /// A parameter that the program added belongs to an extension that the server does not
    /// offer.
    ParameterNotOffered(Parameter),
    /// The message requires TLS (REQUIRETLS, RFC 8689), and this session is not under TLS with a
    /// verified certificate.
    VerifiedTlsRequired,
    /// The message exceeds a limit that the server declares.
    BeyondLimit {
        /// The server's name for the limit.
        limit: &'static str,
        /// The value that the message needs.
        wanted: u64,
        /// The largest value that the server allows.
        allowed: u64,
    },
    /// The message is larger than the server's declared maximum (RFC 1870).
    TooLarge {
        /// The size of the message as `SIZE=` counts it.
        octets: u64,
        /// The largest size that the server accepts.
        limit: u64,
    },
    /// The message cannot be sent to any server.
    Unsendable(Unsendable),
    /// The source of a streamed body failed.
    Source(TransportError),
    /// The program aborted the session.
    Aborted,
    /// The session was over or ending when the message or command was queued, or ended before
    /// the message or command was sent. Another session can send it.
    SessionOver,
    /// The limits that the server declares for one session (`MAILMAX`, `RCPTDOMAINMAX`,
    /// RFC 9422) are reached. Another session can send the message.
    SessionFull,
    /// The program shut the transport down before the message got a connection. Only another
    /// transport can send it.
    ShutDown,
}

impl ErrorKind {
    /// The name of the kind in `snake_case`, which does not change between versions: for logs and
    /// metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::EndedByServer(_) => "ended_by_server",
            Self::ResetRefused(_) => "reset_refused",
            Self::OutOfSequence(_) => "out_of_sequence",
            Self::Violation(_) => "violation",
            Self::ConnectionClosed => "connection_closed",
            Self::Transport(_) => "transport",
            Self::TimedOut => "timed_out",
            Self::StartTlsNotOffered => "starttls_not_offered",
            Self::Tls(_) => "tls",
            Self::NoUsableMechanism { .. } => "no_usable_mechanism",
            Self::Sasl(_) => "sasl",
            Self::Credentials(_) => "credentials",
            Self::ExtensionNotOffered(_) => "extension_not_offered",
            Self::ParameterNotOffered(_) => "parameter_not_offered",
            Self::VerifiedTlsRequired => "verified_tls_required",
            Self::BeyondLimit { .. } => "beyond_limit",
            Self::TooLarge { .. } => "too_large",
            Self::Unsendable(_) => "unsendable",
            Self::Source(_) => "source",
            Self::Aborted => "aborted",
            Self::SessionOver => "session_over",
            Self::SessionFull => "session_full",
            Self::ShutDown => "shut_down",
        }
    }
}

impl PartialEq for ErrorKind {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Refused(one), Self::Refused(other))
            | (Self::EndedByServer(one), Self::EndedByServer(other))
            | (Self::ResetRefused(one), Self::ResetRefused(other))
            | (Self::OutOfSequence(one), Self::OutOfSequence(other)) => one == other,
            (Self::Violation(one), Self::Violation(other)) => one == other,
            (Self::Transport(one), Self::Transport(other))
            | (Self::Tls(one), Self::Tls(other))
            | (Self::Credentials(one), Self::Credentials(other))
            | (Self::Source(one), Self::Source(other)) => have_same_text(one, other),
            (
                Self::NoUsableMechanism {
                    offered,
                    withheld,
                    not_allowed,
                },
                Self::NoUsableMechanism {
                    offered: other_offered,
                    withheld: other_withheld,
                    not_allowed: other_unasked,
                },
            ) => (offered, withheld, not_allowed) == (other_offered, other_withheld, other_unasked),
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

fn have_same_text(one: &TransportError, other: &TransportError) -> bool {
    Arc::ptr_eq(one, other) || one.to_string() == other.to_string()
}
