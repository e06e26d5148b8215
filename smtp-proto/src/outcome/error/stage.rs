//! The stages of a session, as errors and reports name them.

use core::fmt;

/// A stage of a session, as errors and reports name it.
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
    /// `MAIL`. Also `RSET`, and an idle session between two messages.
    Mail,
    /// `RCPT`.
    Rcpt,
    /// `DATA`, until its `354` reply.
    Data,
    /// The content, and the reply to its end.
    Body,
    /// A command that is not part of a message, such as `VRFY`.
    Command,
    /// `QUIT`.
    Quit,
}

impl Stage {
    /// The name of the stage: one lower-case word.
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
