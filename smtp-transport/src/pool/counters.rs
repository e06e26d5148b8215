//! What a transport has done, in numbers that a program can read.

use postwire_proto::{Outcome, Report};

use crate::sync::{AtomicU64, Relaxed};

/// The present state of a transport, and what it has done since it was created.
///
/// A message whose send was dropped counts when its report is known; one that was not queued on a
/// connection by then has no report and does not count.
///
/// The totals are for monitoring: while messages are under way, they may lag behind one another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Connections that are being opened now.
    pub opening: usize,
    /// Idle connections now.
    pub idle: usize,
    /// Connections that sends hold now: in use, or being checked before their use.
    pub in_use: usize,
    /// Sends that wait for a connection now.
    pub waiting: usize,
    /// Messages on connections that several sends share now.
    pub queued: usize,
    /// Connections that were opened.
    pub opened: u64,
    /// Connections that could not be opened.
    pub failed_to_open: u64,
    /// Messages that were accepted for some recipient.
    pub accepted: u64,
    /// Messages that the server refused.
    pub rejected: u64,
    /// Messages that were certainly not sent.
    pub not_sent: u64,
    /// Messages of which nobody knows whether the server accepted them.
    pub in_doubt: u64,
    /// Messages that were sent again, wholly or to some recipients, over another connection.
    pub retries: u64,
    /// Flights: the client writes for the first time after it has read. With a distant server, the
    /// number of flights for a message decides the speed of one connection.
    pub flights: u64,
}

/// The totals of a transport.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    accepted: AtomicU64,
    rejected: AtomicU64,
    not_sent: AtomicU64,
    in_doubt: AtomicU64,
    retries: AtomicU64,
    flights: AtomicU64,
}

impl Totals {
    pub(crate) fn reported(&self, report: &Report) {
        let total = match report.outcome() {
            Outcome::Accepted(_) => &self.accepted,
            Outcome::Rejected { .. } => &self.rejected,
            Outcome::InDoubt(_) => &self.in_doubt,
            Outcome::NotSent(_) => &self.not_sent,
        };
        total.fetch_add(1, Relaxed);
    }

    pub(crate) fn retried(&self, messages: u64) {
        self.retries.fetch_add(messages, Relaxed);
    }

    pub(crate) fn flown(&self, flights: u64) {
        self.flights.fetch_add(flights, Relaxed);
    }

    /// Adds the totals to these counters.
    pub(crate) fn add_to(&self, counters: &mut Counters) {
        counters.accepted += self.accepted.load(Relaxed);
        counters.rejected += self.rejected.load(Relaxed);
        counters.not_sent += self.not_sent.load(Relaxed);
        counters.in_doubt += self.in_doubt.load(Relaxed);
        counters.retries += self.retries.load(Relaxed);
        counters.flights += self.flights.load(Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use postwire_proto::{Envelope, Error, ErrorKind, Stage};

    use super::*;

    #[test]
    fn each_total_is_added_to_its_own_counter() {
        let envelope = Envelope::new(None, vec!["b@b.example".parse().unwrap()]).unwrap();
        let reply = |text: &str| text.parse().unwrap();
        let error = || Error::new(Stage::Body, ErrorKind::ConnectionClosed);
        let accepted = Report::accepted(&envelope, reply("250 ok"));
        let rejected = Report::rejected(&envelope, Stage::Mail, reply("550 no"));
        let not_sent = Report::not_sent(&envelope, error());
        let in_doubt = Report::in_doubt(&envelope, error());
        let totals = Totals::default();
        let reports = [
            (&accepted, 1),
            (&rejected, 2),
            (&not_sent, 3),
            (&in_doubt, 4),
        ];
        for (report, times) in reports {
            (0..times).for_each(|_| totals.reported(report));
        }
        totals.retried(5);
        totals.flown(6);
        let mut counters = Counters {
            accepted: 10,
            idle: 7,
            ..Counters::default()
        };
        totals.add_to(&mut counters);
        let expected = Counters {
            accepted: 11,
            rejected: 2,
            not_sent: 3,
            in_doubt: 4,
            retries: 5,
            flights: 6,
            idle: 7,
            ..Counters::default()
        };
        assert_eq!(counters, expected);
    }
}
