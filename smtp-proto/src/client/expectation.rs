//! Expected replies: for each command, the codes that are positive and those that are negative
//! (RFC 5321 §4.2, §4.3.2). Every other code ends the session, or is a violation. Must never know
//! what follows from a reply.

use core::time::Duration;

use super::open::Serial;
use crate::{ReplyCode, Stage, Timeouts};

/// An expected reply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expectation {
    pub(crate) command: Awaited,
    /// The position in the output at which the command is complete. A reply that arrives before
    /// the driver took that much does not answer the command.
    pub(crate) complete_at: u64,
    /// Whether the command was written while other replies were outstanding, so that its reply
    /// may depend on theirs.
    pub(crate) sent_ahead: bool,
}

/// The command that a reply answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// No command: the server sends its greeting.
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    Auth,
    /// A command of the transaction with this number.
    Transaction(Serial, Step),
    Rset,
    /// `RSET` after a refused first `BDAT`. Its reply has no meaning: if the server did not read
    /// the octet of the `BDAT`, that octet is now the start of this line, and a `RSET` of its own
    /// follows where one is needed.
    Resync,
    /// A command that is not part of a message.
    Command,
    Quit,
}

/// A command of a transaction, or the end of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Mail,
    Rcpt(usize),
    Data,
    /// A `BDAT` that is not the last one.
    Chunk,
    /// The first `BDAT` of a session, with a single octet.
    FirstChunk,
    /// The dot that ends the content after `DATA`.
    EndOfData,
    /// `BDAT … LAST` and its octets.
    LastChunk,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplyClass {
    Yes,
    No,
    /// A greeting or the end of the session instead of a reply (RFC 5321 §3.8, §4.2.2).
    EndsSession,
    Violation,
}

impl Awaited {
    /// Classifies a reply by its first digit (RFC 5321 §4.2), except for codes with a special
    /// meaning.
    pub(crate) fn classify(self, code: ReplyCode) -> ReplyClass {
        if self == Self::Quit {
            return ReplyClass::Yes;
        }
        let number = code.get();
        let yes = match self {
            Self::Greeting => code.is_positive() && number != 221,
            Self::StartTls => number == 220,
            Self::Auth => matches!(number, 235 | 334),
            Self::Transaction(_, Step::Data) => number == 354,
            _ => code.is_positive() && !matches!(number, 220 | 221),
        };
        match number {
            _ if yes => ReplyClass::Yes,
            _ if code.is_negative() => ReplyClass::No,
            221 => ReplyClass::EndsSession,
            // A second greeting during the opening is not from the same server.
            220 if !matches!(self, Self::Ehlo | Self::Helo | Self::Auth) => ReplyClass::EndsSession,
            _ => ReplyClass::Violation,
        }
    }

    /// The transaction whose whole content the reply answers.
    pub(crate) fn ends_content(self) -> Option<Serial> {
        match self {
            Self::Transaction(serial, Step::EndOfData | Step::LastChunk) => Some(serial),
            _ => None,
        }
    }

    pub(crate) fn stage(self) -> Stage {
        match self {
            Self::Greeting => Stage::Greeting,
            Self::Ehlo | Self::Helo => Stage::Ehlo,
            Self::StartTls => Stage::StartTls,
            Self::Auth => Stage::Auth,
            Self::Transaction(_, step) => step.stage(),
            Self::Rset | Self::Resync => Stage::Mail,
            Self::Command => Stage::Command,
            Self::Quit => Stage::Quit,
        }
    }

    /// Whether the command may be the first one after an idle time.
    pub(crate) fn may_follow_idleness(self) -> bool {
        matches!(
            self,
            Self::Transaction(_, Step::Mail) | Self::Rset | Self::Resync | Self::Command
        )
    }

    pub(crate) fn timeout(self, timeouts: &Timeouts) -> Duration {
        match self {
            Self::Greeting => timeouts.greeting,
            Self::Ehlo | Self::Helo => timeouts.ehlo,
            Self::StartTls => timeouts.starttls,
            Self::Auth => timeouts.auth,
            Self::Transaction(_, step) => step.timeout(timeouts),
            Self::Rset | Self::Resync | Self::Command => timeouts.mail,
            Self::Quit => timeouts.quit,
        }
    }
}

impl Step {
    fn stage(self) -> Stage {
        match self {
            Self::Mail => Stage::Mail,
            Self::Rcpt(_) => Stage::Rcpt,
            Self::Data => Stage::Data,
            Self::Chunk | Self::FirstChunk | Self::EndOfData | Self::LastChunk => Stage::Body,
        }
    }

    fn timeout(self, timeouts: &Timeouts) -> Duration {
        match self {
            Self::Mail => timeouts.mail,
            Self::Rcpt(_) => timeouts.rcpt,
            Self::Data | Self::FirstChunk => timeouts.data,
            Self::Chunk | Self::EndOfData | Self::LastChunk => timeouts.end_of_data,
        }
    }

    /// Whether the reply answers the whole content.
    pub(crate) fn ends_content(self) -> bool {
        matches!(self, Self::EndOfData | Self::LastChunk)
    }
}
