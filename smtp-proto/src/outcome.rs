//! What became of a message or a session, and what to do now.
//!
//! [`Report`](report) is the verdict on a message, [`Error`](error) says what went wrong with a
//! session or a message, [`Disposition`](disposition) what to do about it, and [`Retry`](retry)
//! when and to which recipients to send again. Knows results only. Must never know how a message
//! is sent.

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
