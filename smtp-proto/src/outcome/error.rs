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

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

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
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Arc<Facts>);

/// The facts of an error, which its clones share: a pointer is cheap to move and to drop wherever
/// an error may occur.
#[derive(Clone, PartialEq, Eq)]
struct Facts {
    stage: Stage,
    kind: ErrorKind,
    detail: Option<String>,
    quote: Option<String>,
    login: Option<Login>,
    /// The server sent nothing to a client that waited in plaintext.
    in_plaintext: bool,
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
        Self(Arc::new(Facts {
            stage,
            kind,
            detail: None,
            quote: None,
            login: None,
            in_plaintext: false,
        }))
    }

    fn facts_mut(&mut self) -> &mut Facts {
        Arc::make_mut(&mut self.0)
    }

    /// Sets the [`detail`](Self::detail) of the error, unless `detail` is `None`. For adapters.
    #[must_use]
    pub fn with_detail(mut self, detail: Option<String>) -> Self {
        if detail.is_some() {
            self.facts_mut().detail = detail;
        }
        self
    }

    /// Sets the [`quote`](Self::quote) of the error.
    pub(crate) fn with_quote(mut self, quote: String) -> Self {
        self.facts_mut().quote = Some(quote);
        self
    }

    /// Text that the server sent instead of a complete reply, escaped.
    ///
    /// The first 100 octets of a line that is not a reply, of lines that contradict each other,
    /// or of a reply whose end is missing.
    pub fn quote(&self) -> Option<&str> {
        self.0.quote.as_deref()
    }

    /// Records that the server sent nothing to a client that waited in plaintext.
    pub(crate) fn with_silence_in_plaintext(mut self) -> Self {
        self.facts_mut().in_plaintext = true;
        self
    }

    pub(crate) fn is_in_plaintext(&self) -> bool {
        self.0.in_plaintext
    }

    /// Sets the mechanism of the failed login and the other mechanisms that the server offers.
    pub(crate) fn of_login(mut self, mechanism: Mechanism, others: String) -> Self {
        self.facts_mut().login = Some(Login { mechanism, others });
        self
    }

    fn login(&self) -> Option<&Login> {
        self.0.login.as_ref()
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
        self.0.detail.as_deref()
    }

    /// The stage of the session at which the error occurred.
    pub fn stage(&self) -> Stage {
        self.0.stage
    }

    /// The kind of the error, with its data.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// The server's reply, if a reply caused the error.
    pub fn reply(&self) -> Option<&Reply> {
        match &self.0.kind {
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

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Facts {
            stage,
            kind,
            detail,
            quote,
            login,
            in_plaintext: _,
        } = &*self.0;
        f.debug_struct("Error")
            .field("stage", stage)
            .field("kind", kind)
            .field("detail", detail)
            .field("quote", quote)
            .field("login", login)
            .finish()
    }
}

/// `Display` includes the text of the inner error, so `source` returns the source of the inner
/// error. [`Error::kind`] contains the inner error itself.
impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match &self.0.kind {
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
