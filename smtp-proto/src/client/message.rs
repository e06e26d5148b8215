//! A message of a session: what to send, and to which of its recipients.
//!
//! Must never know about the server. What is written and answered belongs to the transaction
//! (`sending.rs`).

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

use super::division::Portion;
use super::sending::Concluded;
use crate::{
    BodySource, Envelope, Error, Outcome, RecipientReport, RecipientStatus, Report, TransactionId,
};

#[derive(Debug)]
pub(super) struct Message {
    pub(super) id: TransactionId,
    pub(super) envelope: Envelope,
    pub(super) body: BodySource,
    pub(super) source: Source,
    /// The recipients of the next transaction.
    pub(super) portion: Portion,
    /// The envelope for a server without SMTPUTF8, if one was needed.
    pub(super) in_ascii: Option<Box<Envelope>>,
}

/// The part of a streamed body that the program has passed.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// Pieces that wait to be written.
    pub(super) chunks: VecDeque<Bytes>,
    /// Whether the program was asked for more and has not answered yet.
    pub(super) asked: bool,
    pub(super) ended: bool,
}

impl Message {
    pub(super) fn new(id: TransactionId, envelope: Envelope, body: BodySource) -> Self {
        Self {
            id,
            portion: Portion::whole(envelope.forward_paths().len()),
            envelope,
            body,
            source: Source::default(),
            in_ascii: None,
        }
    }

    /// The envelope in the form that is sent to the server.
    pub(super) fn sent_envelope(&self) -> &Envelope {
        self.in_ascii.as_deref().unwrap_or(&self.envelope)
    }

    /// Concludes a message that gets no transaction, or no further transaction.
    pub(super) fn not_sent(self, error: Error) -> Concluded {
        let addresses = self.envelope.forward_paths();
        let not_sent = |position: usize| {
            let address = addresses.get(position)?.clone();
            Some(RecipientReport::new(
                address,
                RecipientStatus::NotSent,
                None,
            ))
        };
        let is_further = self.portion.is_further();
        let positions: Vec<usize> = if is_further {
            self.portion.asked_positions().collect()
        } else {
            Vec::new()
        };
        let recipients = if is_further {
            positions.iter().copied().filter_map(not_sent).collect()
        } else {
            (0..addresses.len()).filter_map(not_sent).collect()
        };
        Concluded {
            report: Report::new(self.id, Outcome::NotSent(error), recipients),
            is_further,
            positions,
            rest: None,
        }
    }
}
