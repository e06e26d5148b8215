//! The stages of a session, as errors and reports name them.

use core::fmt;

/// Where in the session something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Stage {
    /// Resolving the server's name and connecting.
    Connect,
    /// Waiting for the greeting.
    Greeting,
    /// `EHLO`, `HELO` or `LHLO`.
    Ehlo,
    /// `STARTTLS`.
    StartTls,
    /// The TLS handshake or the TLS session.
    Tls,
    /// `AUTH`.
    Auth,
    /// `MAIL`; also `RSET` and an idle session between two messages.
    Mail,
    /// `RCPT`.
    Rcpt,
    /// `DATA`, up to its `354`.
    Data,
    /// The content, and the reply to its end.
    Body,
    /// A command beside sending (`VRFY`, for one).
    Command,
    /// `QUIT`.
    Quit,
}

impl Stage {
    /// The stage in one lower-case word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Greeting => "greeting",
            Self::Ehlo => "ehlo",
            Self::StartTls => "starttls",
            Self::Tls => "tls",
            Self::Auth => "auth",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Data => "data",
            Self::Body => "body",
            Self::Command => "command",
            Self::Quit => "quit",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
