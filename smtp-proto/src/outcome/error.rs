//! Errors of a session or a message. A refusal of the message itself is not an error but
//! [`Outcome::Rejected`](crate::Outcome::Rejected).
//!
//! The types separate four things: a wrong call by the program ([`Misuse`]), a fault of the peer
//! ([`Violation`]), a refusal by the server ([`ErrorKind::Refused`]) and failures of the network.
//! Must never know what to do about an error.

mod display;
mod kind;
mod misuse;
mod stage;
mod unsendable;
mod violation;

use alloc::boxed::Box;
use alloc::string::String;

pub use self::kind::ErrorKind;
pub use self::misuse::Misuse;
pub use self::stage::Stage;
pub use self::unsendable::Unsendable;
pub use self::violation::Violation;
use crate::{Mechanism, Reply};

/// Why a message was not sent, or why it is unknown whether the message was sent.
///
/// Two errors are equal if their stages, kinds and details are equal. Errors of other crates
/// that some kinds contain ([`TransportError`](crate::TransportError)) are compared by their
/// text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    stage: Stage,
    kind: ErrorKind,
    more: Option<Box<More>>,
}

/// Additional details of an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct More {
    detail: Option<String>,
    quote: Option<String>,
    login: Option<Login>,
}

/// The login that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Login {
    mechanism: Mechanism,
    others: String,
}

impl Error {
    /// Creates an error of this kind at this stage. For adapters, which report failures of
    /// their own.
    pub fn new(stage: Stage, kind: ErrorKind) -> Self {
        Self {
            stage,
            kind,
            more: None,
        }
    }

    /// Sets the [`detail`](Self::detail) of the error, unless `detail` is `None`. For adapters.
    #[must_use]
    pub fn with_detail(mut self, detail: Option<String>) -> Self {
        if detail.is_some() {
            self.more.get_or_insert_default().detail = detail;
        }
        self
    }

    /// Sets the [`quote`](Self::quote) of the error.
    pub(crate) fn with_quote(mut self, quote: String) -> Self {
        self.more.get_or_insert_default().quote = Some(quote);
        self
    }

    /// Text that the server sent instead of a complete reply, escaped.
    ///
    /// The first 100 octets of a line that is not a reply, of lines that contradict each other,
    /// or of a reply whose end is missing.
    pub fn quote(&self) -> Option<&str> {
        self.more.as_ref()?.quote.as_deref()
    }

    /// Sets the mechanism of the failed login and the other mechanisms that the server offers.
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

    /// After a failed login, the other mechanisms that the server offers, separated by blanks.
    pub fn other_mechanisms(&self) -> &str {
        self.login().map_or("", |login| &login.others)
    }

    /// Additional details: words of the server outside its reply (the JSON of OAUTHBEARER or
    /// XOAUTH2, the reason of SCRAM), escaped, or the addresses that could not be reached.
    pub fn detail(&self) -> Option<&str> {
        self.more.as_ref()?.detail.as_deref()
    }

    /// The stage of the session at which the error occurred.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// The kind of the error, with its data.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// The server's reply, if a reply caused the error.
    pub fn reply(&self) -> Option<&Reply> {
        match &self.kind {
            ErrorKind::Refused(reply)
            | ErrorKind::EndedByServer(reply)
            | ErrorKind::ResetRefused(reply)
            | ErrorKind::OutOfSequence(reply)
            | ErrorKind::Violation(
                Violation::UnexpectedReply(reply) | Violation::SurplusReply(reply),
            ) => Some(reply),
            _ => None,
        }
    }
}

/// `Display` includes the text of the inner error, so `source` returns the source of the inner
/// error. [`Error::kind`] contains the inner error itself.
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
