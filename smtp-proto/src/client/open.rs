//! Whether a mail transaction is open at the server (RFC 5321 §4.1.4), seen from both cursors.
//!
//! The writer asks whether `RSET` must go before the next command: that depends on what was
//! *written*, since the replies are still to come. The reader asks whether a `RSET` that was
//! refused leaves a transaction open: that depends on what was *answered*.
//!
//! ```text
//!                                     as written        as answered
//! MAIL accepted                       –                 open
//! MAIL refused, no BDAT behind it     closed            –
//! message given up after MAIL         open              –
//! DATA refused                        open              –
//! content of DATA answered            –                 closed
//! BDAT … LAST written                 open              –
//! BDAT … LAST accepted                closed            closed
//! BDAT refused                        open              – (RFC 3030 §2)
//! RSET written                        closed            –
//! RSET accepted                       –                 closed
//! ```

/// The place of a transaction among all that a session began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Serial(u64);

/// What may be open, and which transaction it is.
#[derive(Debug, Default)]
pub(super) struct OpenTransaction {
    begun: u64,
    /// The transaction that everything written so far may leave open.
    as_written: Option<Serial>,
    /// Whether everything answered so far may leave one open.
    as_answered: bool,
}

impl OpenTransaction {
    /// `MAIL` is written.
    pub(super) fn begin(&mut self) -> Serial {
        self.begun += 1;
        Serial(self.begun)
    }

    /// Nothing more is written of this transaction, which the server may keep open.
    pub(super) fn left(&mut self, transaction: Serial) {
        self.as_written = Some(transaction);
    }

    /// Whether `RSET` must go before the next `MAIL`. It counts as written.
    pub(super) fn take_need_of_reset(&mut self) -> bool {
        self.as_written.take().is_some()
    }

    pub(super) fn mail_accepted(&mut self) {
        self.as_answered = true;
    }

    /// `MAIL` was refused, and no `BDAT` that is still to fail was written behind it.
    pub(super) fn never_began(&mut self, transaction: Serial) {
        self.closed_as_written(transaction);
    }

    /// The reply came that ends this transaction whatever went before: to the content of
    /// `DATA`, or a yes to the last `BDAT`.
    pub(super) fn ended(&mut self, transaction: Serial) {
        self.closed_as_written(transaction);
        self.as_answered = false;
    }

    pub(super) fn reset_accepted(&mut self) {
        self.as_answered = false;
    }

    /// Whether a transaction may be open now that `RSET` was refused.
    pub(super) fn may_be_open(&self) -> bool {
        self.as_answered
    }

    /// Another transaction's end says nothing of this one.
    fn closed_as_written(&mut self, transaction: Serial) {
        if self.as_written == Some(transaction) {
            self.as_written = None;
        }
    }
}
