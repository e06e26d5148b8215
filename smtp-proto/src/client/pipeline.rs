//! The pipeline of a session that is ready: the transactions that have begun, and the facts about
//! the server that decide how far to run ahead of its replies.
//!
//! Two cursors move over the transactions. The writing cursor (`writer.rs`) is at the youngest,
//! the reading cursor (`reader.rs`) at the oldest. Each expected reply names its transaction.
//! Must never know what a reply means for a message.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::dialogue::Dialogue;
use super::division::Used;
use super::events::EventQueue;
use super::message::Message;
use super::open::{Change, OpenAtServer, Serial};
use super::requests::Requests;
use super::sending::{Answer, Bdat, Content, Plan, Progress, Transaction};
use super::session::{KEPT_MESSAGES, KEPT_REPLIES};
use crate::{Capabilities, CommandId, Error, Event, Misuse, Pipelining, Reply, TransactionId};

#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) capabilities: Arc<Capabilities>,
    /// The transactions that are not concluded, the oldest first. Only the last one may be
    /// incompletely written.
    begun: VecDeque<Transaction>,
    /// How far to run ahead: as configured, or less if the server rejected pipelined commands.
    pub(super) pipelining: Pipelining,
    /// What is known about the server's `BDAT`.
    pub(super) bdat: Bdat,
    /// A first `BDAT` was refused, and it is unknown whether the server read its octet.
    pub(super) needs_resync: bool,
    pub(super) open: OpenAtServer,
    /// How much of the server's declared limits this session has used.
    pub(super) used: Used,
    /// The number of unanswered content octets that were written before the replies to their
    /// `RCPT` commands.
    pub(super) speculated: u64,
    /// The outstanding command that is not part of a message.
    pub(super) command: Option<CommandId>,
    /// The last reply to `RCPT`. Equal replies share it.
    pub(super) last_rcpt_reply: Option<Reply>,
    /// A buffer for the answers of the oldest transaction, the only one that receives replies.
    pub(super) spare_answers: Vec<Answer>,
}

impl Pipeline {
    pub(super) fn new(pipelining: Pipelining, capabilities: Arc<Capabilities>) -> Self {
        Self {
            capabilities,
            begun: VecDeque::new(),
            pipelining,
            bdat: Bdat::default(),
            needs_resync: false,
            open: OpenAtServer::default(),
            used: Used::default(),
            speculated: 0,
            command: None,
            last_rcpt_reply: None,
            spare_answers: Vec::new(),
        }
    }

    // ---- the transactions

    pub(super) fn push(&mut self, transaction: Transaction) {
        self.begun.push_back(transaction);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.begun.is_empty() && self.command.is_none()
    }

    pub(super) fn transactions(&self) -> impl Iterator<Item = &Transaction> {
        self.begun.iter()
    }

    /// The transaction with this serial number, if it is not concluded.
    pub(super) fn transaction_mut(&mut self, serial: Serial) -> Option<&mut Transaction> {
        // Serial numbers are consecutive, and transactions are concluded from the front.
        let first = self.begun.front()?.serial.0;
        let at = usize::try_from(serial.0.checked_sub(first)?).ok()?;
        self.begun.get_mut(at)
    }

    /// The oldest transaction, whose replies are next.
    pub(super) fn oldest(&self) -> Option<&Transaction> {
        self.begun.front()
    }

    pub(super) fn oldest_mut(&mut self) -> Option<&mut Transaction> {
        self.begun.front_mut()
    }

    /// The transaction that is being written.
    pub(super) fn current(&self) -> Option<&Transaction> {
        self.begun
            .back()
            .filter(|last| !last.progress.is_finished())
    }

    pub(super) fn current_mut(&mut self) -> Option<&mut Transaction> {
        let last = self.begun.back_mut();
        last.filter(|last| !last.progress.is_finished())
    }

    pub(super) fn is_writing_content(&self) -> bool {
        let current = self.current();
        current.is_some_and(|current| matches!(current.progress, Progress::Content(_)))
    }

    /// Whether the content of the oldest message is partly written: begun, and not yet handed
    /// over to its end.
    pub(super) fn is_within_content(&self, taken: u64) -> bool {
        self.oldest()
            .is_some_and(|oldest| oldest.is_within_content(taken))
    }

    /// Stops writing a transaction that the server does not accept.
    pub(super) fn abandon(&mut self, serial: Serial) {
        if let Some(transaction) = self.transaction_mut(serial)
            && transaction.abandon()
            && transaction.answers.mail_accepted()
        {
            self.open.change(Change::Abandoned, serial);
        }
    }

    pub(super) fn release_memory(&mut self) {
        self.begun.shrink_to(KEPT_MESSAGES);
        self.spare_answers.shrink_to(KEPT_REPLIES);
    }

    // ---- confirmation

    // A verdict waits after all replies of its transaction, so these are the oldest ones.

    fn unconfirmed_mut(&mut self) -> impl Iterator<Item = &mut Transaction> {
        let begun = self.begun.iter_mut();
        begun.take_while(|transaction| transaction.is_unconfirmed)
    }

    /// Whether a verdict waits for the reply to a later command.
    pub(super) fn is_unconfirmed(&self) -> bool {
        self.oldest().is_some_and(|oldest| oldest.is_unconfirmed)
    }

    /// Accepts the verdicts that wait: the reply to a later command arrived, so there was no
    /// surplus reply.
    pub(super) fn confirm(&mut self) {
        for transaction in self.unconfirmed_mut() {
            transaction.is_unconfirmed = false;
        }
    }

    /// Whether a verdict that waits depends on the number of final replies (LMTP).
    pub(super) fn counts_finals(&self) -> bool {
        let mut unconfirmed = self.begun.iter().take_while(|begun| begun.is_unconfirmed);
        unconfirmed.any(|transaction| transaction.answers.counts_finals())
    }

    /// Puts the verdicts that wait in doubt, because there was a surplus reply.
    pub(super) fn put_in_doubt(&mut self) {
        for transaction in self.unconfirmed_mut() {
            transaction.is_unconfirmed = false;
            transaction.outstanding += 1;
            transaction.answers.put_in_doubt();
        }
    }

    // ---- streamed bodies

    /// The message of a transaction that needs more content of a streamed body.
    pub(super) fn message_mut(
        &mut self,
        id: TransactionId,
    ) -> Result<Option<&mut Message>, Misuse> {
        // The message that is being written is the last one.
        let mut begun = self.begun.iter_mut().rev();
        let Some(transaction) = begun.find(|transaction| transaction.message.id == id) else {
            return Ok(None);
        };
        if transaction.progress.is_finished() {
            return Err(Misuse::NotStreaming);
        }
        Ok(Some(&mut transaction.message))
    }

    /// Handles a failed source of the body that is being written.
    ///
    /// Returns the error that must end the session if content was written after `DATA`:
    /// otherwise the server would accept the part as the whole message.
    pub(super) fn source_failed(&mut self, error: Error) -> Option<Error> {
        let transaction = self.current_mut()?;
        match &transaction.progress {
            // Earlier messages may still wait for their verdicts, and the server may refuse
            // `DATA`. Only after a 354 must the session end.
            Progress::AwaitingGoAhead => transaction.lose_source(error),
            Progress::Content(Content::Dotted { .. }) => {
                transaction.fail(error.clone());
                return Some(error);
            }
            _ => {
                let serial = transaction.serial;
                transaction.fail(error);
                self.open.change(Change::Abandoned, serial);
            }
        }
        None
    }

    // ---- verdicts

    /// Concludes the transactions at the front that have all their replies. Unless `may_go_on`,
    /// no message gets a further transaction, because the session is ending. Returns whether one
    /// gets one.
    pub(super) fn settle(
        &mut self,
        requests: &mut Requests,
        may_go_on: bool,
        events: &mut EventQueue,
    ) -> bool {
        let mut has_rest = false;
        while self.oldest().is_some_and(Transaction::is_settled)
            && let Some(finished) = self.begun.pop_front()
        {
            self.speculated -= finished.speculated;
            let has_out_of_sequence_reply = finished.answers.has_out_of_sequence_reply();
            let mut concluded = finished.conclude(&mut self.spare_answers);
            let rest = concluded.rest.take().filter(|_| may_go_on);
            requests.reports.conclude(concluded, rest.is_some(), events);
            if let Some(rest) = rest {
                has_rest = true;
                if has_out_of_sequence_reply {
                    self.pipelining = Pipelining::Off;
                }
                requests.put_back(*rest);
            }
        }
        has_rest
    }

    /// Concludes all transactions because the session is over: the first with `error`, and the others
    /// with `of_others`. The server may have acted on the output before the position `taken`.
    pub(super) fn conclude_all(
        &mut self,
        requests: &mut Requests,
        error: &Error,
        of_others: &Error,
        taken: u64,
        events: &mut EventQueue,
    ) {
        self.speculated = 0;
        for (place, transaction) in core::mem::take(&mut self.begun).into_iter().enumerate() {
            let if_unsent = if place == 0 { error } else { of_others };
            let concluded = transaction.conclude_at_end(error, if_unsent, taken);
            requests.reports.conclude(concluded, false, events);
        }
    }

    /// Reports the result of the outstanding command that is not part of a message.
    pub(super) fn conclude_command(
        &mut self,
        answer: Result<Reply, Error>,
        dialogue: &mut Dialogue,
        requests: &mut Requests,
    ) {
        if let Some(id) = self.command.take() {
            dialogue.events.push_back(Event::Reply(id, answer));
        }
        requests.conclude_refused_commands(&mut dialogue.events);
    }

    /// Records the output position at which the content of the current transaction is announced.
    pub(super) fn note_announcement(&mut self, at: u64) {
        if let Some(Transaction {
            plan: Plan::Bdat { announced_at, .. },
            ..
        }) = self.current_mut()
        {
            *announced_at = Some(at);
        }
    }
}
