//! What a server session reports and asks, and what can go wrong with it.
//!
//! Three different things in types: a fault of the client
//! ([`ServerViolation`]), a wrong call by the program ([`ServerMisuse`]) and
//! what is neither ([`ServerEvent`]).

use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;
use postwire_proto::{Address, Mechanism, ReplyCode, Secret, TlsInfo, TransportError};

use crate::parameters::BodyDeclaration;

/// What happened in a server session, in order.
///
/// Those called questions are to be answered, by
/// [`Server::respond`](crate::Server::respond) or
/// [`Server::accept`](crate::Server::accept); until then nothing further is
/// read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerEvent {
    /// Establish TLS now, as the server, once the output was written; then call
    /// [`Server::handle_tls_established`](crate::Server::handle_tls_established).
    StartTls,
    /// A question: may this user in (RFC 4954)? Yes is `235`, no is `535 5.7.8`.
    Authenticate {
        /// How he gave his secret.
        mechanism: Mechanism,
        /// The authentication identity; with EXTERNAL whom the client acts for, with
        /// ANONYMOUS what may be logged.
        user: String,
        /// The password, or the token of OAUTHBEARER and XOAUTH2; empty with EXTERNAL
        /// and ANONYMOUS.
        secret: Secret,
    },
    /// A question: what is this user's password? He is about to prove that he knows
    /// it (SCRAM, CRAM-MD5). It is answered by
    /// [`Server::password`](crate::Server::password), or no, which is `535 5.7.8`.
    PasswordWanted {
        /// How he proves it.
        mechanism: Mechanism,
        /// The authentication identity.
        user: String,
    },
    /// A question: is mail from here welcome (RFC 5321 §4.1.1.2)? Yes is `250`.
    MailFrom {
        /// Whose message it is; `None` is the null reverse-path.
        reverse_path: Option<Address>,
        /// `KEYWORD=value` each, as given; valid, and offered. The values can be read as
        /// [`Return`](postwire_proto::Return), [`EnvelopeId`](postwire_proto::EnvelopeId),
        /// [`DeliverBy`](postwire_proto::DeliverBy) and [`MtPriority`](postwire_proto::MtPriority).
        parameters: Vec<String>,
    },
    /// A question: is this a recipient (RFC 5321 §4.1.1.3)? Yes is `250`.
    RcptTo {
        /// Whom the message is for.
        forward_path: Address,
        /// `KEYWORD=value` each, as given; valid, and offered.
        parameters: Vec<String>,
    },
    /// A question: may the content come (RFC 5321 §4.1.1.4)? Yes is `354`. Asked
    /// for `DATA` with at least one recipient, not for `BDAT`.
    Data,
    /// A question: is the message accepted? Yes is `250`, and makes the server
    /// responsible for it. In LMTP (RFC 2033 §4.2) it takes an answer for each
    /// of the recipients, in their order.
    Message(Received),
    /// A command line, without its CRLF and with `AUTH` redacted, if
    /// [`ServerConfig::trace`](crate::ServerConfig::trace) is on. No question.
    Command(Bytes),
    /// The session is over: by `QUIT` or a `421` of yours, or by this fault.
    /// Write what can be written, then close the connection.
    Closed(Option<ServerViolation>),
}

/// A message with its envelope, as the client gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// The name that the client gave to `EHLO`, `HELO` or `LHLO`.
    pub hello: String,
    /// Whose message it is; `None` is the null reverse-path.
    pub reverse_path: Option<Address>,
    /// The recipients that were accepted, in the order of `RCPT`; at least one.
    pub recipients: Vec<Address>,
    /// What the client asked for besides.
    pub parameters: Box<ReceivedParameters>,
    /// The octets of the content, dots taken out again. Unless
    /// [`body`](Self::body) is binary, every CR and LF stands in a CRLF.
    pub content: Bytes,
    /// What the client declared the content to be. It is not checked.
    pub body: BodyDeclaration,
    /// Whether `SMTPUTF8` was declared (RFC 6531).
    pub smtp_utf8: bool,
    /// Who authenticated, if anyone.
    pub authenticated: Option<String>,
    /// The TLS session in which the message came, if any.
    pub tls: Option<TlsInfo>,
}

/// The parameters of a message's envelope, `KEYWORD=value` each, as given; valid, and offered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceivedParameters {
    /// Those of `MAIL`.
    pub mail: Vec<String>,
    /// Those of each recipient's `RCPT`, in the order of the recipients.
    pub recipients: Vec<Vec<String>>,
}

/// Why a session ended without `QUIT`.
///
/// Failures of the connection ([`TransportError`]) are equal if they read the same.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ServerViolation {
    /// Bytes in plaintext where TLS was to begin: someone hopes that they are
    /// taken for protected ones (CVE-2011-0411).
    StartTlsInjection,
    /// An LF without CR in a command: a relay in between may see another line
    /// end than the server.
    BareLineFeed,
    /// A `BDAT` of which nobody can tell how much content follows it.
    MalformedChunk,
    /// More came while a question was open than is kept.
    TooMuchInput {
        /// How many octets are kept.
        limit: usize,
    },
    /// The client sends commands and does not read the replies.
    RepliesNotRead,
    /// Nothing came for too long.
    IdleTimeout,
    /// The client closed the connection without `QUIT` (RFC 5321 §4.1.1.10).
    ConnectionClosed,
    /// The connection failed.
    Transport(TransportError),
}

impl PartialEq for ServerViolation {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::TooMuchInput { limit }, Self::TooMuchInput { limit: other }) => limit == other,
            (Self::Transport(one), Self::Transport(other)) => one.to_string() == other.to_string(),
            _ => core::mem::discriminant(self) == core::mem::discriminant(other),
        }
    }
}

impl Eq for ServerViolation {}

impl fmt::Display for ServerViolation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::StartTlsInjection => "plaintext after starttls (an injection?)",
            Self::BareLineFeed => "a bare line feed in a command",
            Self::MalformedChunk => "a chunk of unknown size",
            Self::TooMuchInput { limit } => {
                return write!(formatter, "more than {limit} octets before a reply");
            }
            Self::RepliesNotRead => "the client does not read the replies",
            Self::IdleTimeout => "the client was idle for too long",
            Self::ConnectionClosed => "the client closed the connection without quit",
            Self::Transport(error) => return write!(formatter, "the connection failed: {error}"),
        })
    }
}

impl core::error::Error for ServerViolation {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            // `Display` says all that this one says.
            Self::Transport(error) => error.source(),
            _ => None,
        }
    }
}

/// A call that the program should not have made. It changed nothing.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerMisuse {
    /// No question is open.
    NoQuestion,
    /// The open question wants a password, or a no.
    PasswordWanted,
    /// The reply says neither yes nor no to the open question, which stays open.
    UnfitReply(ReplyCode),
    /// TLS was reported as established while nobody asked for it.
    NoHandshake,
}

impl fmt::Display for ServerMisuse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoQuestion => formatter.write_str("no question is open"),
            Self::PasswordWanted => formatter.write_str("the open question wants a password"),
            Self::UnfitReply(code) => write!(formatter, "{code} does not answer the question"),
            Self::NoHandshake => formatter.write_str("no tls handshake was asked for"),
        }
    }
}

impl core::error::Error for ServerMisuse {}
