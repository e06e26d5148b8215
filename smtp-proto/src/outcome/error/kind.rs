//! What happened, in types: a refusal by the server, a fault of the peer, a failure of the
//! network, or a request that this server cannot serve. Knows nothing of what to do about it.

use alloc::string::{String, ToString as _};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Unsendable, Violation};
use crate::{Mechanism, Parameter, Reply, SaslError, TransportError};

/// What happened; [`Error::stage`](crate::Error::stage) says where.
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
