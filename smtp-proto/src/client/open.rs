//! Whether a mail transaction is open at the server (RFC 5321 §4.1.4), seen from both cursors.
//!
//! The writer asks whether `RSET` must go before the next command: that depends on what was
//! *written*, since the replies are still to come. The reader asks whether a `RSET` that was
//! refused leaves a transaction open: that depends on what was *answered*. Both views change
//! here only, by [`TRANSITIONS`].

/// The place of a transaction among all that a session began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Serial(pub(super) u64);

/// What is known of the server's transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum View {
    #[default]
    Closed,
    /// This one is open.
    Open(Serial),
    /// This one may be open.
    MaybeOpen(Serial),
}

/// What changes whether a transaction is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// `MAIL` was accepted.
    MailAccepted,
    /// `MAIL` was refused, and no `BDAT` that is still to fail was written behind it.
    MailRefused,
    /// Nothing more is written of a message whose `MAIL` was written and not refused.
    Abandoned,
    /// The reply came that ends the transaction whatever it says: to the content of `DATA`, or
    /// to the last `BDAT` where `MAIL` was refused.
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

/// What a change does to one view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// Nothing.
    Keep,
    /// The transaction is open.
    Open,
    /// The transaction may be open.
    MaybeOpen,
    /// The transaction is closed. This says nothing of another one.
    Close,
    /// Whichever transaction it is, it is closed.
    CloseAny,
}

/// The effect of each change on the view as written, and on the view as answered.
///
/// A `BDAT` that fails leaves the transaction open (RFC 3030 §2), so after the last one is
/// written it may be open until it is accepted. The end of `DATA`'s content closes the
/// transaction whatever the reply says (RFC 5321 §4.1.1.4).
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
    /// Once everything written so far is carried out.
    as_written: View,
    /// By everything answered so far.
    as_answered: View,
}

impl OpenAtServer {
    /// `MAIL` is written.
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

    /// Whether `RSET` must go before the next `MAIL`.
    pub(super) fn needs_reset(&self) -> bool {
        self.as_written != View::Closed
    }

    pub(super) fn reset_written(&mut self) {
        self.change(Change::ResetWritten, Serial(self.begun));
    }

    pub(super) fn reset_accepted(&mut self) {
        self.change(Change::ResetAccepted, Serial(self.begun));
    }

    /// Whether a transaction may be open now that `RSET` was refused.
    pub(super) fn may_be_open(&self) -> bool {
        self.as_answered != View::Closed
    }
}

#[cfg(test)]
mod tests;
