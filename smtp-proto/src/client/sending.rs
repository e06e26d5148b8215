//! One transaction of one message: `MAIL → RCPT… → (DATA → content . | BDAT…) → verdict`.
//!
//! Knows how far it is written and what was answered. Knows neither the other transactions nor
//! the socket: the pipeline decides when to write.

mod answers;
mod content;
mod plan;
mod verdict;

use alloc::boxed::Box;

pub(super) use self::answers::{Answer, Answers};
pub(super) use self::content::Content;
pub(super) use self::plan::{Bdat, Plan};
pub(super) use self::verdict::{Concluded, GUARANTEED_RECIPIENTS};
use super::message::Message;
use super::open::Serial;
use crate::Error;

/// A message whose `MAIL` was written.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) message: Message,
    pub(super) serial: Serial,
    pub(super) plan: Plan,
    /// How far it is written.
    pub(super) progress: Progress,
    /// What was answered so far.
    pub(super) answers: Answers,
    /// How many of its replies are awaited.
    pub(super) outstanding: usize,
    /// Octets of content that were written before its recipients were known.
    pub(super) speculated: u64,
    /// The position in the output at which the content is complete.
    pub(super) content_end: Option<u64>,
    /// Its verdict depends on a number of replies, and only the reply to a later command shows
    /// that there were not more of them.
    pub(super) is_unconfirmed: bool,
}

/// How far a transaction is written.
#[derive(Debug)]
pub(super) enum Progress {
    /// `MAIL` was written, and this many `RCPT`.
    Recipients(usize),
    /// `DATA` was written, and its `354` is awaited.
    AwaitingGoAhead,
    /// `DATA` was written, and the source of the content failed meanwhile.
    SourceFailed(Box<Error>),
    /// The content is being written.
    Content(Content),
    /// All of it was written.
    Complete,
    /// The server does not take it, and no content was asked for.
    Abandoned,
    /// It is certain that it is not sent, whatever is still answered.
    Failed(Box<Error>),
}

impl Progress {
    /// Whether nothing more is written.
    pub(super) fn is_finished(&self) -> bool {
        matches!(self, Self::Complete | Self::Abandoned | Self::Failed(_))
    }
}

impl Transaction {
    /// A transaction whose `MAIL` is being written.
    pub(super) fn begin(message: Message, serial: Serial, plan: Plan) -> Self {
        Self {
            message,
            serial,
            plan,
            progress: Progress::Recipients(0),
            answers: Answers::default(),
            outstanding: 0,
            speculated: 0,
            content_end: None,
            is_unconfirmed: false,
        }
    }

    /// Why this message is not sent, if that is certain already.
    pub(super) fn failure(&self) -> Option<&Error> {
        match &self.progress {
            Progress::SourceFailed(error) | Progress::Failed(error) => Some(error),
            _ => None,
        }
    }

    /// The message is not sent, whatever is still answered.
    pub(super) fn fail(&mut self, error: Error) {
        self.progress = Progress::Failed(Box::new(error));
    }

    /// The source of the content failed while the server's go-ahead was awaited.
    pub(super) fn lose_source(&mut self, error: Error) {
        self.progress = Progress::SourceFailed(Box::new(error));
        self.message.source.ended = true;
    }

    /// The server does not take the message: nothing more of it is written. Says whether
    /// anything would have been.
    pub(super) fn abandon(&mut self) -> bool {
        if self.progress.is_finished() {
            return false;
        }
        self.progress = match core::mem::replace(&mut self.progress, Progress::Abandoned) {
            Progress::SourceFailed(error) => Progress::Failed(error),
            _ => Progress::Abandoned,
        };
        true
    }

    /// Whether all of the content was handed over, and is not answered.
    pub(super) fn may_be_taken(&self, taken: u64) -> bool {
        let is_out = self.content_end.is_some_and(|end| end <= taken);
        is_out && matches!(self.answers.content(), Answer::Awaited) && self.failure().is_none()
    }

    /// Whether the content is on its way out: begun, and not all taken.
    pub(super) fn is_midway(&self, taken: u64) -> bool {
        let written = matches!(self.progress, Progress::Content(_));
        let unfinished = written || self.content_end.is_some_and(|end| end > taken);
        let begun = match self.plan {
            Plan::Data => true,
            Plan::Bdat { announced_at, .. } => announced_at.is_none_or(|begin| begin <= taken),
        };
        unfinished && begun
    }
}
