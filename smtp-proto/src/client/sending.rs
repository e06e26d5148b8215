//! One transaction of one message: `MAIL → RCPT… → (DATA → content . | BDAT…) → verdict`.
//!
//! Knows how far the transaction is written and what was answered. Must never know about other
//! transactions or the socket: the pipeline decides when to write.

mod answers;
mod content;
mod plan;
mod verdict;

pub(super) use self::answers::{Answer, Answers, is_out_of_sequence};
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
    /// How far the transaction is written.
    pub(super) progress: Progress,
    /// The replies so far.
    pub(super) answers: Answers,
    /// The number of outstanding replies.
    pub(super) outstanding: usize,
    /// The number of content octets that were written before the replies to `RCPT`.
    pub(super) speculated: u64,
    /// The position in the output at which the content is complete.
    pub(super) content_end: Option<u64>,
    /// Whether the verdict waits for the reply to a later command, which shows that there was no
    /// surplus reply.
    pub(super) is_unconfirmed: bool,
}

/// How far a transaction is written.
#[derive(Debug)]
pub(super) enum Progress {
    /// `MAIL` and this number of `RCPT` were written.
    Recipients(usize),
    /// `DATA` was written, and its `354` is outstanding.
    AwaitingGoAhead,
    /// `DATA` was written, and the source of the content failed before the `354`.
    SourceFailed(Error),
    /// The content is being written.
    Content(Content),
    /// The whole content was written.
    Complete,
    /// The server refused the message before its content.
    Abandoned,
    /// The message is certainly not sent, whatever the outstanding replies say.
    Failed(Error),
}

impl Progress {
    /// Whether nothing more of the transaction will be written.
    pub(super) fn is_finished(&self) -> bool {
        matches!(self, Self::Complete | Self::Abandoned | Self::Failed(_))
    }
}

impl Transaction {
    /// Creates a transaction whose `MAIL` is being written.
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

    /// Why the message is not sent, if that is certain already.
    pub(super) fn failure(&self) -> Option<&Error> {
        match &self.progress {
            Progress::SourceFailed(error) | Progress::Failed(error) => Some(error),
            _ => None,
        }
    }

    /// Marks the message as not sent, whatever the outstanding replies say.
    pub(super) fn fail(&mut self, error: Error) {
        self.progress = Progress::Failed(error);
    }

    /// Records that the source of the content failed before the `354`.
    pub(super) fn lose_source(&mut self, error: Error) {
        self.progress = Progress::SourceFailed(error);
        self.message.source.ended = true;
    }

    /// Stops writing a message that the server does not accept. Returns whether anything was left
    /// to write.
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

    /// Whether the whole content was handed over and is unanswered, so that the server may have
    /// accepted it.
    pub(super) fn may_be_taken(&self, taken: u64) -> bool {
        let is_out = self.content_end.is_some_and(|end| end <= taken);
        is_out && matches!(self.answers.content(), Answer::Awaited) && self.failure().is_none()
    }

    /// Whether the content is partly written: begun, and not yet handed over to its end.
    pub(super) fn is_within_content(&self, taken: u64) -> bool {
        let written = matches!(self.progress, Progress::Content(_));
        let unfinished = written || self.content_end.is_some_and(|end| end > taken);
        let begun = match self.plan {
            Plan::Data => true,
            Plan::Bdat { announced_at, .. } => announced_at.is_none_or(|begin| begin <= taken),
        };
        unfinished && begun
    }
}
