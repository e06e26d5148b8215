//! What a reply is allowed to say: for each command the codes that mean yes and
//! the ones that mean no (RFC 5321 §4.2, §4.3.2). Everything else is a violation.

use core::time::Duration;

use super::open::Serial;
use crate::{ReplyCode, Stage, Timeouts};

/// A reply that is awaited.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expectation {
    pub(crate) command: Awaited,
    /// The position in the output at which the command is complete. A reply
    /// that comes before the driver took that much is no reply to it.
    pub(crate) complete_at: u64,
    /// Written while other replies were awaited: what the server makes of it depends on
    /// what it made of those.
    pub(crate) sent_ahead: bool,
}

/// The command that a reply answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// No command: the server speaks first.
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    Auth,
    /// A command of this transaction.
    Transaction(Serial, Step),
    Rset,
    /// `NOOP` behind a first `BDAT` that was refused. Its answer says nothing: where the
    /// server did not read the octet, that octet is now the start of this line.
    Resync,
    /// A command beside sending.
    Command,
    Quit,
}

/// A command of a transaction, or the end of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Mail,
    Rcpt(usize),
    Data,
    /// A `BDAT` that is not the last.
    Chunk,
    /// A session's first `BDAT`, of a single octet.
    FirstChunk,
    /// The dot that ends the content of `DATA`.
    EndOfData,
    /// `BDAT … LAST` with its octets.
    LastChunk,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    Yes,
    No,
    /// A greeting or a farewell where neither answers anything (RFC 5321 §3.8, §4.2.2).
    Goodbye,
    Violation,
}

impl Awaited {
    /// The first digit decides (RFC 5321 §4.2), but for the codes that say more than yes.
    pub(crate) fn judge(self, code: ReplyCode) -> Judgement {
        if self == Self::Quit {
            return Judgement::Yes;
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
            _ if yes => Judgement::Yes,
            _ if code.is_negative() => Judgement::No,
            221 => Judgement::Goodbye,
            // A second greeting before there is a message is somebody else's.
            220 if !matches!(self, Self::Ehlo | Self::Helo | Self::Auth) => Judgement::Goodbye,
            _ => Judgement::Violation,
        }
    }

    /// The transaction whose whole content it answers.
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

    /// Whether it may be the first command over a session that was idle.
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

    /// Whether it answers the whole content.
    pub(crate) fn ends_content(self) -> bool {
        matches!(self, Self::EndOfData | Self::LastChunk)
    }
}
