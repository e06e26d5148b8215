//! The error: lettre's kinds, with postwire's report behind them.
//!
//! Knows which kind lettre has for each failure. Must never decide whether to send again: that is
//! in the report.

use std::error::Error as StdError;
use std::sync::Arc;
use std::{fmt, io};

use postwire_blocking::proto::{
    self, AddressError, ErrorKind, Outcome, Reply, Report, SendError, Stage,
};
use postwire_blocking::tls::TlsError;
use postwire_blocking::transport::{ConfigError, OutgoingError};

use super::response::Code;

/// Why a message was not sent, or a transport cannot be built.
///
/// The methods whose names begin with `is_` answer as lettre's do. [`report`](Self::report) has what
/// lettre does not know: the stage, the result for each recipient, whether the message may have been
/// delivered, and whether to send it again.
#[derive(Clone)]
pub struct Error {
    kind: Kind,
    cause: Arc<Cause>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Transient(Code),
    Permanent(Code),
    Response,
    Client,
    Connection,
    Network,
    Tls,
    TransportShutdown,
}

#[derive(Debug)]
enum Cause {
    Send(SendError),
    Session(proto::Error),
    Config(ConfigError),
    Outgoing(OutgoingError),
    HelloName(AddressError),
}

impl Error {
    fn new(kind: Kind, cause: Cause) -> Self {
        Self {
            kind,
            cause: Arc::new(cause),
        }
    }

    /// Whether the server sent no valid reply: none at all before it closed the connection, or one
    /// that violates the protocol.
    pub fn is_response(&self) -> bool {
        self.kind == Kind::Response
    }

    /// Whether the message or the settings do not fit the server, or are invalid. The server refused
    /// nothing.
    pub fn is_client(&self) -> bool {
        self.kind == Kind::Client
    }

    /// Whether the server refused the message, a recipient or the session with a 4xx code.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, Kind::Transient(_))
    }

    /// Whether the server refused the message, a recipient or the session with a 5xx code.
    pub fn is_permanent(&self) -> bool {
        matches!(self.kind, Kind::Permanent(_))
    }

    /// Whether a deadline passed.
    pub fn is_timeout(&self) -> bool {
        let Some(error) = self.session_error() else {
            return false;
        };
        match error.kind() {
            ErrorKind::TimedOut => true,
            ErrorKind::Transport(error) => error
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::TimedOut),
            _ => false,
        }
    }

    /// Whether TLS failed: the parameters, the handshake, a certificate, or the session.
    pub fn is_tls(&self) -> bool {
        self.kind == Kind::Tls
    }

    /// Whether the program shut the transport down.
    pub fn is_transport_shutdown(&self) -> bool {
        self.kind == Kind::TransportShutdown
    }

    /// The code of the server's refusal.
    pub fn status(&self) -> Option<Code> {
        match self.kind {
            Kind::Transient(code) | Kind::Permanent(code) => Some(code),
            _ => None,
        }
    }

    /// The report on the message: the result for each recipient, and
    /// [whether to send it again](Report::retry). `None` if the message never reached a transport.
    pub fn report(&self) -> Option<&Report> {
        match &*self.cause {
            Cause::Send(error) => Some(error.report()),
            _ => None,
        }
    }

    fn session_error(&self) -> Option<&proto::Error> {
        match &*self.cause {
            Cause::Send(error) => error.report().error(),
            Cause::Session(error) => Some(error),
            _ => None,
        }
    }
}

fn of_reply(reply: &Reply) -> Kind {
    let code = reply.code();
    if code.is_transient() {
        Kind::Transient(code.into())
    } else if code.is_permanent() {
        Kind::Permanent(code.into())
    } else {
        Kind::Response
    }
}

fn of_session(error: &proto::Error) -> Kind {
    match error.kind() {
        ErrorKind::Refused(reply) => of_reply(reply),
        // lettre's "incomplete response".
        ErrorKind::Violation(_) | ErrorKind::ConnectionClosed => Kind::Response,
        ErrorKind::Tls(_) => Kind::Tls,
        ErrorKind::ShutDown => Kind::TransportShutdown,
        ErrorKind::TimedOut
        | ErrorKind::Transport(_)
        | ErrorKind::EndedByServer(_)
        | ErrorKind::ResetRefused(_)
        | ErrorKind::OutOfSequence(_)
        | ErrorKind::Aborted
        | ErrorKind::SessionOver
        | ErrorKind::SessionFull => match error.stage() {
            Stage::Connect => Kind::Connection,
            _ => Kind::Network,
        },
        _ => Kind::Client,
    }
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        let report = error.report();
        let kind = match report.outcome() {
            Outcome::Rejected { reply, .. } => of_reply(reply),
            Outcome::NotSent(error) | Outcome::InDoubt(error) => of_session(error),
            // LMTP has a final reply for each recipient.
            Outcome::Accepted(_) => {
                let refusal = report.refused().find_map(proto::RecipientReport::reply);
                match (refusal, report.error()) {
                    (Some(reply), _) => of_reply(reply),
                    (None, Some(error)) => of_session(error),
                    (None, None) => Kind::Response,
                }
            }
        };
        Self::new(kind, Cause::Send(error))
    }
}

impl From<proto::Error> for Error {
    fn from(error: proto::Error) -> Self {
        Self::new(of_session(&error), Cause::Session(error))
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        let kind = match &error {
            ConfigError::Tls(_) | ConfigError::TlsAlreadyFinished => Kind::Tls,
            _ => Kind::Connection,
        };
        Self::new(kind, Cause::Config(error))
    }
}

impl From<TlsError> for Error {
    fn from(error: TlsError) -> Self {
        ConfigError::from(error).into()
    }
}

impl From<OutgoingError> for Error {
    fn from(error: OutgoingError) -> Self {
        Self::new(Kind::Client, Cause::Outgoing(error))
    }
}

/// The error of an invalid hello name.
impl From<AddressError> for Error {
    fn from(error: AddressError) -> Self {
        Self::new(Kind::Client, Cause::HelloName(error))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("postwire_lettre::transport::smtp::Error")
            .field("kind", &self.kind)
            .field("cause", &self.cause)
            .finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.cause {
            Cause::Send(error) => error.fmt(f),
            Cause::Session(error) => error.fmt(f),
            Cause::Config(error) => error.fmt(f),
            Cause::Outgoing(error) => error.fmt(f),
            Cause::HelloName(error) => write!(f, "the hello name: {error}"),
        }
    }
}

/// `Display` shows the inner error completely, so the source is the source of the inner error.
impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &*self.cause {
            Cause::Send(error) => error.source(),
            Cause::Session(error) => error.source(),
            Cause::Config(error) => error.source(),
            Cause::Outgoing(error) => error.source(),
            Cause::HelloName(error) => error.source(),
        }
    }
}
