//! Whether a mail transaction is open at the server (RFC 5321 §4.1.4), as each cursor needs it.
//!
//! The writer needs to know whether `RSET` must precede the next `MAIL`. That depends on what was
//! *written*, because the replies are not there yet. The reader needs to know whether a refused
//! `RSET` leaves a transaction open. That depends on what was *answered*. Both views change only
//! here, by [`TRANSITIONS`].

/// The number of a transaction, in the order in which a session begins them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Serial(pub(super) u64);

/// What is known about the transaction at the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum View {
    #[default]
    Closed,
    /// This transaction is open.
    Open(Serial),
    /// This transaction may be open.
    MaybeOpen(Serial),
}

/// What changes whether a transaction is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// `MAIL` was accepted.
    MailAccepted,
    /// `MAIL` was refused, and no `BDAT` was written after it.
    MailRefused,
    /// The session stopped writing a message whose `MAIL` was accepted, or may still be.
    Abandoned,
    /// The content ended the transaction regardless of the code of its reply: the reply to the
    /// content of `DATA`, or to the last `BDAT` after a refused `MAIL`.
    ContentAnswered,
    /// The last `BDAT` was written.
    LastBdatWritten,
    /// The last `BDAT` was accepted.
    LastBdatAccepted,
    /// `RSET` was written.
    ResetWritten,
    /// `RSET` was accepted.
    ResetAccepted,
}

/// The effect of a change on one view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// Nothing.
    Keep,
    /// The transaction is open.
    Open,
    /// The transaction may be open.
    MaybeOpen,
    /// This transaction is closed. Another transaction is not affected.
    Close,
    /// Any transaction is closed.
    CloseAny,
}

/// The effect of each change on the view as written, and on the view as answered.
///
/// A failed `BDAT` leaves the transaction open (RFC 3030 §2), so the transaction may be open from
/// the last `BDAT` until that is accepted. The end of the content of `DATA` closes the
/// transaction regardless of the reply (RFC 5321 §4.1.1.4).
const TRANSITIONS: [(Change, Effect, Effect); 8] = [
    (Change::MailAccepted, Effect::Keep, Effect::Open),
    (Change::MailRefused, Effect::Close, Effect::Keep),
    (Change::Abandoned, Effect::MaybeOpen, Effect::Keep),
    (Change::ContentAnswered, Effect::Close, Effect::CloseAny),
    (Change::LastBdatWritten, Effect::MaybeOpen, Effect::Keep),
    (Change::LastBdatAccepted, Effect::Close, Effect::CloseAny),
    (Change::ResetWritten, Effect::CloseAny, Effect::Keep),
    (Change::ResetAccepted, Effect::Keep, Effect::CloseAny),
];

impl View {
    fn apply(&mut self, effect: Effect, transaction: Serial) {
        match effect {
            Effect::Keep => {}
            Effect::Open => *self = Self::Open(transaction),
            Effect::MaybeOpen => *self = Self::MaybeOpen(transaction),
            Effect::CloseAny => *self = Self::Closed,
            Effect::Close => {
                if matches!(self, Self::Open(of) | Self::MaybeOpen(of) if *of == transaction) {
                    *self = Self::Closed;
                }
            }
        }
    }
}

/// Whether a transaction is open at the server.
#[derive(Debug, Default)]
pub(super) struct OpenAtServer {
    begun: u64,
    /// The state after the server executes everything written so far.
    as_written: View,
    /// The state according to the replies so far.
    as_answered: View,
}

impl OpenAtServer {
    /// Records that `MAIL` is written, and returns the number of the new transaction.
    pub(super) fn begin(&mut self) -> Serial {
        self.begun += 1;
        Serial(self.begun)
    }

    pub(super) fn change(&mut self, change: Change, transaction: Serial) {
        let mut transitions = TRANSITIONS.iter();
        if let Some((_, written, answered)) = transitions.find(|(of, ..)| *of == change) {
            self.as_written.apply(*written, transaction);
            self.as_answered.apply(*answered, transaction);
        }
    }

    /// Whether `RSET` must precede the next `MAIL`.
    pub(super) fn needs_reset(&self) -> bool {
        self.as_written != View::Closed
    }

    pub(super) fn reset_written(&mut self) {
        self.change(Change::ResetWritten, Serial(self.begun));
    }

    pub(super) fn reset_accepted(&mut self) {
        self.change(Change::ResetAccepted, Serial(self.begun));
    }

    /// Whether a transaction may be open after a refused `RSET`.
    pub(super) fn may_be_open(&self) -> bool {
        self.as_answered != View::Closed
    }
}

#[cfg(test)]
mod tests;
