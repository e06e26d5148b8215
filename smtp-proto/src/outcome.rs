//! The results of messages and sessions, and what to do about them.
//!
//! [`Report`](report) is the verdict on a message. [`Error`](error) says what failed in a session
//! or a message, [`Disposition`](disposition) what to do about it, and [`Retry`](retry) when and
//! to which recipients to send again. Knows results only. Must never know how a message is sent.

mod disposition;
mod error;
mod report;
mod retry;

pub use self::disposition::{Disposition, Flaw};
pub use self::error::{Error, ErrorKind, Misuse, Stage, Unsendable, Violation};
pub use self::report::{
    Outcome, RecipientReport, RecipientStatus, Report, SendError, TransactionId,
};
pub use self::retry::Retry;
