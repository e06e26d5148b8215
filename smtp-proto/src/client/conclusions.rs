//! Reports on their way out: one a message, in the order of `send`, also where a message took
//! several transactions and others were finished in between.
//!
//! Must never know how a verdict comes about; what several make of one is the report's own.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::session::{Session, State};
use super::timers::Timer;
use super::transaction::{Progress, Transaction};
use super::verdict::Concluded;
use crate::{Event, Pipelining, Report};

/// Reports that wait for a part of theirs, or for one before them.
#[derive(Debug, Default)]
pub(crate) struct Conclusions {
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    report: Report,
    /// A further transaction is under way.
    open: bool,
}

impl Conclusions {
    /// Takes the report on a message's first transaction; `open` if there is to be another.
    pub(crate) fn begin(&mut self, report: Report, open: bool) {
        self.waiting.push_back(Waiting { report, open });
    }

    /// Takes the report on a further transaction, for the recipients at these places.
    pub(crate) fn go_on(&mut self, report: Report, places: Vec<usize>, open: bool) {
        let id = report.transaction();
        let mut waiting = self.waiting.iter_mut();
        if let Some(waiting) = waiting.find(|waiting| waiting.report.transaction() == id) {
            waiting.report.absorb(report, places.into_iter());
            waiting.open = open;
        }
    }

    /// The next report that is complete, once all before it are.
    pub(crate) fn next(&mut self) -> Option<Report> {
        let complete = self.waiting.front().is_some_and(|front| !front.open);
        let front = complete.then(|| self.waiting.pop_front()).flatten()?;
        Some(front.report)
    }

    /// Whether none waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl Session {
    /// Reports the messages at the front that are finished, in order. Says whether one of them
    /// needs a further transaction.
    pub(super) fn settle(&mut self) -> bool {
        let mut any_rest = false;
        while let Some(front) = self.transactions.front() {
            if front.outstanding > 0 || !matches!(front.progress, Progress::Done) {
                break;
            }
            if let Some(finished) = self.transactions.pop_front() {
                self.speculated -= finished.speculated;
                self.writing = self.writing.saturating_sub(1);
                let step_by_step = finished.met_out_of_step();
                let mut concluded = finished.conclude(&mut self.spare_answers);
                if !matches!(self.state, State::Ready) {
                    concluded.rest = None;
                }
                let rest = concluded.rest.take();
                self.conclude(concluded, rest.is_some());
                if let Some(rest) = rest {
                    any_rest = true;
                    if step_by_step {
                        self.pipelining = Pipelining::Off;
                    }
                    self.insert_next(*rest);
                }
                self.timers.overall = Timer::Off;
            }
        }
        any_rest
    }

    /// Puts a transaction behind those that are begun.
    fn insert_next(&mut self, transaction: Transaction) {
        let current = self.transactions.get(self.writing);
        let begun = current.is_some_and(|current| !matches!(current.progress, Progress::Queued));
        let position = self.writing + usize::from(begun);
        self.transactions.insert(position, transaction);
    }

    /// Takes what became of a transaction, and tells the reports that are complete.
    pub(super) fn conclude(&mut self, concluded: Concluded, has_rest: bool) {
        let Concluded {
            report,
            further,
            places,
            ..
        } = concluded;
        if further {
            self.conclusions.go_on(report, places, has_rest);
        } else if has_rest || !self.conclusions.is_empty() {
            self.conclusions.begin(report, has_rest);
        } else {
            self.events.push_back(Event::Report(report));
        }
        while let Some(report) = self.conclusions.next() {
            self.events.push_back(Event::Report(report));
        }
    }
}
