//! What a reply is allowed to say: for each command the codes that mean yes and
//! the ones that mean no (RFC 5321 §4.3.2). Everything else is a violation.

use core::time::Duration;

use crate::{ReplyCode, Stage, Timeouts};

/// A reply that is awaited.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expectation {
    pub(crate) command: Awaited,
    /// The position in the output at which the command is complete. A reply
    /// that comes before the driver took that much is no reply to it.
    pub(crate) complete_at: u64,
}

/// What was asked. The commands of a transaction are those of the oldest one
/// that is unfinished: replies come in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// Nothing: the server speaks first.
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    Auth,
    Mail,
    Rcpt(usize),
    Data,
    /// A `BDAT` that is not the last.
    Chunk,
    /// The end of the content: the final dot, or `BDAT … LAST` with its octets.
    Content,
    Rset,
    /// The reply to a command beside sending.
    Command,
    Quit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    Yes,
    No,
    Violation,
}

impl Awaited {
    pub(crate) fn judge(self, code: ReplyCode) -> Judgement {
        let yes = match self {
            Self::Greeting | Self::StartTls => code.get() == 220,
            Self::Ehlo | Self::Helo | Self::Mail | Self::Chunk | Self::Rset => code.get() == 250,
            Self::Auth => matches!(code.get(), 235 | 334),
            Self::Rcpt(_) => matches!(code.get(), 250..=252),
            Self::Data => code.get() == 354,
            Self::Content | Self::Command => code.is_positive(),
            Self::Quit => true,
        };
        if yes {
            Judgement::Yes
        } else if code.is_negative() {
            Judgement::No
        } else {
            Judgement::Violation
        }
    }

    pub(crate) fn stage(self) -> Stage {
        match self {
            Self::Greeting => Stage::Greeting,
            Self::Ehlo | Self::Helo => Stage::Ehlo,
            Self::StartTls => Stage::StartTls,
            Self::Auth => Stage::Auth,
            Self::Mail | Self::Rset => Stage::Mail,
            Self::Rcpt(_) => Stage::Rcpt,
            Self::Data => Stage::Data,
            Self::Chunk | Self::Content => Stage::Body,
            Self::Command => Stage::Command,
            Self::Quit => Stage::Quit,
        }
    }

    pub(crate) fn timeout(self, timeouts: &Timeouts) -> Duration {
        match self {
            Self::Greeting => timeouts.greeting,
            Self::Ehlo | Self::Helo => timeouts.ehlo,
            Self::StartTls => timeouts.starttls,
            Self::Auth => timeouts.auth,
            Self::Mail | Self::Rset | Self::Command => timeouts.mail,
            Self::Rcpt(_) => timeouts.rcpt,
            Self::Data => timeouts.data,
            Self::Chunk | Self::Content => timeouts.end_of_data,
            Self::Quit => timeouts.quit,
        }
    }
}
