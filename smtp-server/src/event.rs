//! The events and errors of a server session.
//!
//! A fault of the client ([`ServerViolation`]), a wrong call by the program ([`ServerMisuse`])
//! and everything else ([`ServerEvent`]) are separate types.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;
use postwire_proto::{Address, Mechanism, ReplyCode, Secret, TlsInfo, TransportError};

use crate::parameters::BodyDeclaration;

/// An event of a server session, in order.
///
/// Each event that is described as a question must be answered with
/// [`Server::respond`](crate::Server::respond) or [`Server::accept`](crate::Server::accept);
/// until then the session reads nothing more.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerEvent {
    /// Write the output, then establish TLS as the server and call
    /// [`Server::handle_tls_established`](crate::Server::handle_tls_established).
    StartTls,
    /// Question: is this client served (RFC 5321 §3.1)? Yes is the greeting, `220`; a refusal ends
    /// the session. Asked if [`ServerConfig::ask_at_opening`](crate::ServerConfig::ask_at_opening)
    /// is on.
    Greeting,
    /// Question: is the client's name accepted (RFC 5321 §4.1.1.1)? Yes is `250` with the
    /// extensions. Asked if
    /// [`ServerConfig::ask_at_opening`](crate::ServerConfig::ask_at_opening) is on.
    Hello {
        /// The name that the client gave to `EHLO`, `HELO` or `LHLO`.
        name: String,
    },
    /// Question: may this user log in (RFC 4954)? Yes is `235`, no is `535 5.7.8`.
    Authenticate {
        /// The mechanism that transmitted the secret.
        mechanism: Mechanism,
        /// The authentication identity. With EXTERNAL it is the authorization identity, with
        /// ANONYMOUS the text that may be logged.
        user: String,
        /// The password, or the token of OAUTHBEARER and XOAUTH2; empty with EXTERNAL and
        /// ANONYMOUS.
        secret: Secret,
    },
    /// Question: what is this user's password? The client is about to prove that it knows the
    /// password (SCRAM, CRAM-MD5). Answer with [`Server::password`](crate::Server::password),
    /// or with a refusal, which is `535 5.7.8`.
    PasswordWanted {
        /// The mechanism of the proof.
        mechanism: Mechanism,
        /// The authentication identity.
        user: String,
    },
    /// Question: is mail from this sender accepted (RFC 5321 §4.1.1.2)? Yes is `250`.
    MailFrom {
        /// The sender; `None` is the null reverse-path.
        reverse_path: Option<Address>,
        /// `KEYWORD=value` each, as given; valid, and offered. The values can be read as
        /// [`Return`](postwire_proto::Return), [`EnvelopeId`](postwire_proto::EnvelopeId),
        /// [`DeliverBy`](postwire_proto::DeliverBy) and [`MtPriority`](postwire_proto::MtPriority).
        parameters: Vec<String>,
    },
    /// Question: is this recipient accepted (RFC 5321 §4.1.1.3)? Yes is `250`.
    RcptTo {
        /// The recipient.
        forward_path: Address,
        /// The parameters, each as `KEYWORD=value`, as given. All of them are valid and
        /// offered.
        parameters: Vec<String>,
    },
    /// Question: may the client send the content (RFC 5321 §4.1.1.4)? Yes is `354`. Asked for
    /// `DATA` with at least one recipient, not for `BDAT`.
    Data,
    /// Question: is the message accepted? Yes is `250` and makes the server responsible for the
    /// message. LMTP (RFC 2033 §4.2) needs one answer for each recipient, in their order.
    Message(Received),
    /// A command line, without its CRLF and with `AUTH` redacted, if
    /// [`ServerConfig::trace`](crate::ServerConfig::trace) is on. Not a question.
    Command(Bytes),
    /// A reply, without its last CRLF and with challenges of `AUTH` redacted, if
    /// [`ServerConfig::trace_replies`](crate::ServerConfig::trace_replies) is on. It is not
    /// written yet. Not a question.
    Reply(Bytes),
    /// The session is over: by `QUIT` or a reply `421`, or by this fault. Write the remaining
    /// output if possible, then close the connection.
    Closed(Option<ServerViolation>),
}

/// A message with its envelope, as received from the client.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// The name that the client gave to `EHLO`, `HELO` or `LHLO`.
    pub hello: String,
    /// The sender; `None` is the null reverse-path.
    pub reverse_path: Option<Address>,
    /// The accepted recipients, in the order of `RCPT`; at least one.
    pub recipients: Vec<Address>,
    /// The parameters of `MAIL` and `RCPT`.
    pub parameters: Box<ReceivedParameters>,
    /// The octets of the content, with dot-stuffing removed. Unless [`body`](Self::body) is
    /// binary, every CR and LF is part of a CRLF.
    pub content: Bytes,
    /// The client's declaration of the content. It is not checked.
    pub body: BodyDeclaration,
    /// Whether `SMTPUTF8` was declared (RFC 6531).
    pub smtp_utf8: bool,
    /// The authenticated user, if any.
    pub authenticated: Option<String>,
    /// The TLS session over which the message arrived, if any.
    pub tls: Option<TlsInfo>,
}

impl Received {
    /// The content as text, with a replacement character for each sequence that is not UTF-8. For
    /// tests and logs.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.content)
    }
}

/// The parameters of a message's envelope, each as `KEYWORD=value`, as given. All of them are
/// valid and offered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceivedParameters {
    /// The parameters of `MAIL`.
    pub mail: Vec<String>,
    /// The parameters of each recipient's `RCPT`, in the order of the recipients.
    pub recipients: Vec<Vec<String>>,
}

/// Why a session ended without `QUIT`.
///
/// Transport errors ([`TransportError`]) are equal if their texts are equal.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ServerViolation {
    /// The client sent plaintext bytes where TLS should begin, possibly an attempt to have them
    /// treated as protected ones (CVE-2011-0411).
    StartTlsInjection,
    /// A command contains an LF without CR: a relay in between may see a different line end
    /// than the server.
    BareLineFeed,
    /// The client began a TLS handshake where a command should be.
    TlsInPlaintext,
    /// The client sent an HTTP request.
    Http,
    /// A `BDAT` command has an invalid size, so the length of its content is unknown.
    MalformedChunk,
    /// More input arrived while a question was open than may wait.
    TooMuchInput {
        /// The number of octets that may wait.
        limit: usize,
    },
    /// The client sends commands and does not read the replies.
    RepliesNotRead,
    /// The client sent nothing for too long.
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
            Self::StartTlsInjection => "plaintext after STARTTLS (possibly an injection)",
            Self::BareLineFeed => "a bare line feed in a command",
            Self::TlsInPlaintext => "a TLS handshake where a command should be",
            Self::Http => "an HTTP request instead of a command",
            Self::MalformedChunk => "a BDAT command with an invalid size",
            Self::TooMuchInput { limit } => {
                return write!(formatter, "more than {limit} octets before a reply");
            }
            Self::RepliesNotRead => "the client does not read the replies",
            Self::IdleTimeout => "the client was idle for too long",
            Self::ConnectionClosed => "the client closed the connection without QUIT",
            Self::Transport(error) => return write!(formatter, "the connection failed: {error}"),
        })
    }
}

impl core::error::Error for ServerViolation {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            // `Display` shows this error completely.
            Self::Transport(error) => error.source(),
            _ => None,
        }
    }
}

/// A wrong call by the program. It had no effect.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerMisuse {
    /// No question is open.
    NoQuestion,
    /// The open question needs a password or a refusal.
    PasswordWanted,
    /// The reply does not answer the open question, which stays open.
    WrongReplyCode(ReplyCode),
    /// The program reported an established TLS session that was not requested.
    NoHandshake,
}

impl fmt::Display for ServerMisuse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoQuestion => formatter.write_str("no question is open"),
            Self::PasswordWanted => {
                formatter.write_str("the open question must be answered with a password")
            }
            Self::WrongReplyCode(code) => write!(formatter, "{code} does not answer the question"),
            Self::NoHandshake => formatter.write_str("no TLS handshake was requested"),
        }
    }
}

impl core::error::Error for ServerMisuse {}
