//! What can go wrong with a session or a message, apart from a refusal of the
//! message itself (that is [`Outcome::Rejected`](crate::Outcome::Rejected)).
//!
//! Four different things in types: a wrong call by the program ([`Misuse`]), a
//! fault of the peer ([`Violation`]), a refusal by the server
//! ([`ErrorKind::Refused`]) and the network's failures.

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

/// Why a message was not sent, or why nobody knows whether it was.
///
/// Two errors are equal if stage, kind and details are. The foreign errors that some kinds hold
/// (a [`TransportError`](crate::TransportError)) are compared by their text.
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
