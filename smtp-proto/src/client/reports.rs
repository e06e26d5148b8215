//! The reports that wait for completion: one for each message, in the order of the messages, even
//! if a message needs several transactions and others are finished in between.
//!
//! Must never know how a verdict is reached. `Report` defines how several reports become one.

use alloc::collections::VecDeque;

use super::events::EventQueue;
use super::sending::Concluded;
use super::session::KEPT_MESSAGES;
use crate::{Event, Report, TransactionId};

/// The messages that have begun, the oldest first, until each one's report is complete.
#[derive(Debug, Default)]
pub(super) struct Reports {
    pending: VecDeque<Pending>,
    any_concluded: bool,
}

#[derive(Debug)]
struct Pending {
    id: TransactionId,
    /// `None` until the first transaction of the message is concluded.
    report: Option<Report>,
    /// Whether a transaction is under way or will follow.
    is_open: bool,
}

impl Reports {
    /// Adds the next message when it begins or is concluded without a transaction. Does nothing
    /// if `is_further`, because the message began with an earlier transaction.
    pub(super) fn begin(&mut self, id: TransactionId, is_further: bool) {
        if is_further {
            return;
        }
        debug_assert!(
            self.pending.back().is_none_or(|last| last.id < id),
            "a message began after a message that was queued later"
        );
        self.pending.push_back(Pending {
            id,
            report: None,
            is_open: true,
        });
    }

    /// Adds the result of a transaction. `has_rest` says whether the message gets another one.
    /// Emits the reports that are complete now, each after all earlier ones.
    pub(super) fn conclude(
        &mut self,
        concluded: Concluded,
        has_rest: bool,
        events: &mut EventQueue,
    ) {
        let Concluded {
            report,
            is_further,
            positions,
            ..
        } = concluded;
        self.any_concluded = true;
        let id = report.transaction();
        if let Some(front) = self.pending.front()
            && front.id == id
            && front.report.is_none()
            && !has_rest
        {
            events.push_back(Event::Report(report));
            self.pending.pop_front();
            return self.emit_complete(events);
        }
        let mut pending = self.pending.iter_mut();
        let Some(pending) = pending.find(|pending| pending.id == id) else {
            debug_assert!(false, "a report was made for a message that has not begun");
            return;
        };
        pending.is_open = has_rest;
        match &mut pending.report {
            Some(earlier) if is_further => earlier.merge(report, positions.into_iter()),
            slot => *slot = Some(report),
        }
        self.emit_complete(events);
    }

    /// Whether a transaction was concluded, or a message without one, since the last call.
    pub(super) fn take_any_concluded(&mut self) -> bool {
        core::mem::take(&mut self.any_concluded)
    }

    pub(super) fn release_memory(&mut self) {
        self.pending.shrink_to(KEPT_MESSAGES);
    }

    fn emit_complete(&mut self, events: &mut EventQueue) {
        while let Some(front) = self.pending.front_mut()
            && !front.is_open
            && let Some(report) = front.report.take()
        {
            events.push_back(Event::Report(report));
            self.pending.pop_front();
        }
    }
}
