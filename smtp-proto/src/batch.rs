//! Many messages one after the other: how many are given to a session ahead of
//! their reports, and when the rest goes on over another connection.
//!
//! Decisions only, like the pool's: an adapter carries out each [`BatchStep`].

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::pool::is_lost;
use crate::{
    Body, Envelope, Error, ErrorKind, Outcome, Recipients, Report, Stage,
    deserves_a_fresh_connection,
};

/// How many messages are held at once, and of how many octets.
const MESSAGES: usize = 1_000;
const OCTETS: u64 = 1024 * 1024;

/// Messages on their way to one server, reported in order.
///
/// Holds a window of them: [`wants_more`](Self::wants_more) asks for others. A
/// message that was certainly not sent, because its connection died after others
/// had gone over it, goes out over a fresh one; so do its recipients that one session
/// had no room for (RFC 9422), with one report for all of them.
#[derive(Debug)]
pub struct Batch {
    waiting: VecDeque<Waiting>,
    octets: u64,
    /// Before this position none is to be given to a session.
    first_new: usize,
    /// How many were given and not reported.
    given: usize,
    ended: bool,
    connection: Connection,
    /// The last connection died.
    wants_fresh: bool,
    max_messages: u64,
}

#[derive(Debug)]
struct Waiting {
    /// For the recipients that are left.
    envelope: Envelope,
    body: Body,
    state: State,
    /// What became of it in earlier sessions, and where those that are left stand among
    /// all recipients.
    so_far: Option<Box<(Report, Vec<usize>)>>,
}

impl Waiting {
    /// Takes the report of one session. Gives whether there are recipients for another.
    fn take(&mut self, report: Report) -> bool {
        let left = if self.envelope.recipients() == Recipients::Any && !self.body.is_stream() {
            report.left_for_another_session()
        } else {
            Vec::new()
        };
        let (report, places) = match self.so_far.take() {
            None => (report, left.clone()),
            Some(so_far) => {
                let (mut earlier, places) = *so_far;
                earlier.absorb(report, places.iter().copied());
                let left = left.iter().filter_map(|at| places.get(*at).copied());
                (earlier, left.collect())
            }
        };
        if left.is_empty() {
            self.state = State::Settled(report);
            return false;
        }
        self.envelope = self.envelope.only(&left);
        self.so_far = Some(Box::new((report, places)));
        self.state = State::New;
        true
    }

    /// It is not sent, at least not to those that are left.
    fn give_up(&mut self, error: Error) {
        let report = Report::not_sent(&self.envelope, error);
        self.take(report);
    }
}

#[derive(Debug)]
enum State {
    /// To be given to a session.
    New,
    Given,
    Settled(Report),
}

#[derive(Debug)]
enum Connection {
    None,
    Live {
        reused: bool,
        given: u64,
        answered: bool,
    },
    /// Messages were lost with it: nothing more is given to it. Whether another is
    /// worth trying.
    Dying {
        worn: bool,
    },
    /// There is none to be had.
    Failed(Error),
}

/// What the adapter is to do next.
#[derive(Debug)]
pub enum BatchStep {
    /// Give this report to the caller.
    Report(Report),
    /// Get a connection, giving the last one back:
    /// [`Batch::connected`] or [`Batch::failed`].
    Connect,
    /// Give this message to the connection.
    Enqueue(Envelope, Body),
    /// Wait for a report: [`Batch::reported`], or [`Batch::disconnected`] where the
    /// session is over.
    Await,
    /// All messages were reported. The connection is given back.
    Done,
}

impl Batch {
    /// An empty one, which gives a connection no more than `max_messages`
    /// (at least 1): [`PoolConfig::max_messages`](crate::PoolConfig::max_messages).
    pub fn new(max_messages: u64) -> Self {
        Self {
            waiting: VecDeque::new(),
            octets: 0,
            first_new: 0,
            given: 0,
            ended: false,
            connection: Connection::None,
            wants_fresh: false,
            max_messages: max_messages.max(1),
        }
    }

    /// Whether there is room for another message.
    pub fn wants_more(&self) -> bool {
        !self.ended && self.waiting.len() < MESSAGES && self.octets < OCTETS
    }

    /// Another message.
    pub fn add(&mut self, envelope: Envelope, body: Body) {
        self.push(envelope, body, State::New);
    }

    /// Another message, whose report is known: it was refused beforehand
    /// ([`ClientConfig::refuse`](crate::ClientConfig::refuse)).
    pub fn add_settled(&mut self, envelope: Envelope, body: Body, report: Report) {
        self.push(envelope, body, State::Settled(report));
    }

    /// There are no more messages.
    pub fn end(&mut self) {
        self.ended = true;
    }

    fn push(&mut self, envelope: Envelope, body: Body, state: State) {
        self.octets = self.octets.saturating_add(octets(&body));
        self.waiting.push_back(Waiting {
            envelope,
            body,
            state,
            so_far: None,
        });
    }

    /// What to do next.
    pub fn next_step(&mut self) -> BatchStep {
        if let Some(report) = self.take_settled() {
            return BatchStep::Report(report);
        }
        self.skip_to_new();
        let Some(message) = self.waiting.get_mut(self.first_new) else {
            return if self.given > 0 {
                BatchStep::Await
            } else {
                BatchStep::Done
            };
        };
        match &mut self.connection {
            Connection::Live { given, .. } if *given < self.max_messages => {
                *given += 1;
                self.given += 1;
                message.state = State::Given;
                BatchStep::Enqueue(message.envelope.clone(), message.body.clone())
            }
            _ if self.given > 0 => BatchStep::Await,
            Connection::Dying { .. } => {
                self.leave();
                self.next_step()
            }
            Connection::Failed(error) => {
                message.give_up(error.clone());
                match self.take_settled() {
                    Some(report) => BatchStep::Report(report),
                    None => BatchStep::Await,
                }
            }
            _ => BatchStep::Connect,
        }
    }

    fn skip_to_new(&mut self) {
        while let Some(waiting) = self.waiting.get(self.first_new)
            && !matches!(waiting.state, State::New)
        {
            self.first_new += 1;
        }
    }

    /// Whether all messages were reported, and no others will come: the
    /// connection can be given back.
    pub fn is_done(&self) -> bool {
        self.ended && self.waiting.is_empty()
    }

    /// The next connection is to be a fresh one: the last one had died.
    pub fn wants_fresh(&self) -> bool {
        self.wants_fresh
    }

    /// A connection was had; `reused` if others had used it before.
    pub fn connected(&mut self, reused: bool) {
        self.wants_fresh = false;
        self.connection = Connection::Live {
            reused,
            given: 0,
            answered: false,
        };
    }

    /// No connection could be had: nothing more is sent.
    pub fn failed(&mut self, error: Error) {
        self.connection = Connection::Failed(error);
    }

    /// The session reported on the oldest message that it was given.
    pub fn reported(&mut self, report: Report) {
        let mut waiting = self.waiting.iter_mut().enumerate();
        let given = waiting.find(|(_, waiting)| matches!(waiting.state, State::Given));
        let Some((position, message)) = given else {
            return;
        };
        self.given -= 1;
        let worn = match &mut self.connection {
            Connection::Live {
                reused, answered, ..
            } => {
                let outcome = report.outcome();
                *answered |= matches!(outcome, Outcome::Accepted(_) | Outcome::Rejected { .. });
                *reused || *answered
            }
            Connection::Dying { worn } => *worn,
            _ => false,
        };
        if is_lost(&report) {
            self.connection = Connection::Dying { worn };
            self.wants_fresh = true;
        }
        let again = if deserves_a_fresh_connection(&report, worn, !message.body.is_stream()) {
            message.state = State::New;
            true
        } else {
            message.take(report)
        };
        if again {
            self.first_new = self.first_new.min(position);
        }
    }

    /// The session is over, and has reported on all that it was given.
    pub fn disconnected(&mut self) {
        let over = Error::new(Stage::Mail, ErrorKind::SessionOver);
        for waiting in &mut self.waiting {
            if matches!(waiting.state, State::Given) {
                waiting.give_up(over.clone());
            }
        }
        self.given = 0;
        self.leave();
    }

    /// Whether another connection is worth trying once this one is gone. One that
    /// took nothing at all, and was new, tells of all others.
    fn leave(&mut self) {
        let worn = match &self.connection {
            Connection::Live {
                reused, answered, ..
            } => *reused || *answered,
            Connection::Dying { worn } => *worn,
            Connection::None => true,
            Connection::Failed(_) => return,
        };
        self.connection = if worn {
            Connection::None
        } else {
            Connection::Failed(Error::new(Stage::Mail, ErrorKind::SessionOver))
        };
    }

    fn take_settled(&mut self) -> Option<Report> {
        if !matches!(self.waiting.front()?.state, State::Settled(_)) {
            return None;
        }
        let front = self.waiting.pop_front()?;
        self.first_new = self.first_new.saturating_sub(1);
        self.octets = self.octets.saturating_sub(octets(&front.body));
        match front.state {
            State::Settled(report) => Some(report),
            _ => None,
        }
    }
}

fn octets(body: &Body) -> u64 {
    body.facts().map_or(0, |facts| facts.octets)
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;
    use crate::{RecipientReport, RecipientStatus, Reply, ReplyCode, TransactionId};

    fn envelope() -> Envelope {
        Envelope::new(None, vec!["a@b".parse().unwrap()]).unwrap()
    }

    fn batch(messages: usize, per_connection: u64) -> Batch {
        let mut batch = Batch::new(per_connection);
        for number in 0..messages {
            batch.add(envelope(), format!("{number}").into());
        }
        batch.end();
        batch
    }

    fn reply(code: u16) -> Reply {
        Reply::new(ReplyCode::new(code).unwrap(), None, &["hm"])
    }

    fn accepted() -> Report {
        let outcome = Outcome::Accepted(reply(250));
        Report::new(TransactionId(0), outcome, Vec::new())
    }

    fn lost(kind: ErrorKind) -> Report {
        Report::not_sent(&envelope(), Error::new(Stage::Mail, kind))
    }

    /// Carries out everything; a session does what `sessions` says in turn: a
    /// letter for each message, `a`ccepted, `l`ost, in `d`oubt, `4` for 421. Where
    /// the word ends the session does. Gives what was done.
    fn run(mut batch: Batch, sessions: &[&str]) -> String {
        let mut sessions = sessions.iter();
        let mut told = String::new();
        let mut session = "".chars();
        loop {
            match batch.next_step() {
                BatchStep::Report(report) => {
                    told.push_str(match report.outcome() {
                        Outcome::Accepted(_) => "A",
                        Outcome::InDoubt(_) => "D",
                        _ => "N",
                    });
                }
                BatchStep::Connect => {
                    let fresh = if batch.wants_fresh() { "!" } else { "" };
                    match sessions.next() {
                        Some(script) => {
                            told.extend(["<", fresh]);
                            batch.connected(script.starts_with('r'));
                            session = script.trim_start_matches('r').chars();
                        }
                        None => batch.failed(Error::new(Stage::Connect, ErrorKind::TimedOut)),
                    }
                }
                BatchStep::Enqueue(_, body) => {
                    told += &String::from_utf8_lossy(body.bytes().unwrap());
                }
                BatchStep::Await => match session.next() {
                    Some('a') => batch.reported(accepted()),
                    Some('d') => {
                        let error = Error::new(Stage::Body, ErrorKind::ConnectionClosed);
                        let outcome = Outcome::InDoubt(error);
                        batch.reported(Report::new(TransactionId(0), outcome, Vec::new()));
                    }
                    Some('4') => batch.reported(lost(ErrorKind::Refused(reply(421)))),
                    Some(_) => batch.reported(lost(ErrorKind::ConnectionClosed)),
                    None => batch.disconnected(),
                },
                BatchStep::Done => {
                    assert!(batch.is_done());
                    return told;
                }
            }
        }
    }

    #[test]
    fn all_over_one_connection_in_order() {
        assert_eq!(run(batch(3, 10), &["aaa"]), "<012AAA");
    }

    #[test]
    fn a_connection_gets_no_more_than_it_may() {
        assert_eq!(run(batch(5, 2), &["aa", "aa", "a"]), "<01AA<23AA<4A");
    }

    #[test]
    fn what_a_worn_connection_lost_goes_over_a_fresh_one() {
        // The one in doubt is not sent again.
        assert_eq!(run(batch(4, 9), &["adll", "aa"]), "<0123AD<!23AA");
        assert_eq!(run(batch(3, 9), &["a44", "aa"]), "<012A<!12AA");
        // Pooled, and dead by the time that it was used.
        assert_eq!(run(batch(2, 9), &["rll", "aa"]), "<01<!01AA");
    }

    #[test]
    fn as_long_as_each_connection_takes_some_there_is_another() {
        assert_eq!(run(batch(3, 9), &["all", "al", "a"]), "<012A<!12A<!2A");
        assert_eq!(run(batch(3, 9), &["all", "ll", "aa"]), "<012A<!12NN");
        // A server that takes one message a connection.
        assert_eq!(run(batch(3, 9), &["a44", "a4", "a"]), "<012A<!12A<!2A");
    }

    #[test]
    fn a_new_connection_that_takes_nothing_is_the_last() {
        assert_eq!(run(batch(3, 2), &["ll", "aaa"]), "<01NNN");
        assert_eq!(run(batch(3, 9), &[]), "NNN");
        assert_eq!(run(batch(4, 2), &["aa"]), "<01AANN");
    }

    /// A session that takes the first recipient, and has no room for the others.
    fn takes_one(envelope: &Envelope) -> Report {
        let mut statuses = vec![RecipientStatus::NotSent; envelope.forward_paths().len()];
        statuses[0] = RecipientStatus::Accepted;
        let recipients = envelope.forward_paths().iter().zip(statuses);
        let recipients =
            recipients.map(|(to, status)| RecipientReport::new(to.clone(), status, None));
        let outcome = Outcome::Accepted(reply(250));
        Report::new(TransactionId(0), outcome, recipients.collect())
    }

    #[test]
    fn who_has_no_room_in_one_session_goes_in_others_and_is_reported_with_the_rest() {
        let to = ["a@b", "c@d", "e@f"].map(|address| address.parse().unwrap());
        let envelope = Envelope::new(None, to.to_vec()).unwrap();
        for sessions in 0..=to.len() {
            let mut batch = Batch::new(1);
            batch.add(envelope.clone(), "x".into());
            batch.end();
            let mut asked = Vec::new();
            let report = loop {
                match batch.next_step() {
                    BatchStep::Report(report) => break report,
                    BatchStep::Connect if asked.len() < sessions => batch.connected(false),
                    BatchStep::Connect => {
                        batch.failed(Error::new(Stage::Connect, ErrorKind::TimedOut));
                    }
                    BatchStep::Enqueue(envelope, _) => asked.push(envelope),
                    BatchStep::Await => batch.reported(takes_one(asked.last().unwrap())),
                    BatchStep::Done => panic!("no report"),
                }
            };
            for (session, asked) in asked.iter().enumerate() {
                assert_eq!(asked.forward_paths(), &to[session..]);
            }
            assert_eq!(report.is_accepted(), sessions > 0);
            for (position, recipient) in report.recipients().iter().enumerate() {
                assert_eq!(*recipient.address(), to[position]);
                let status = recipient.status();
                assert_eq!(status == RecipientStatus::Accepted, position < sessions);
                assert_ne!(status, RecipientStatus::InDoubt);
            }
            assert!(matches!(batch.next_step(), BatchStep::Done));
        }
    }

    #[test]
    fn all_or_nobody_is_not_divided_among_sessions() {
        let to = ["a@b", "c@d"].map(|address| address.parse().unwrap());
        let envelope = Envelope::new(None, to.to_vec()).unwrap();
        let mut batch = Batch::new(9);
        batch.add(
            envelope.clone().with_recipients(Recipients::All),
            "x".into(),
        );
        batch.end();
        batch.connected(false);
        assert!(matches!(batch.next_step(), BatchStep::Enqueue(..)));
        batch.reported(takes_one(&envelope));
        assert!(matches!(batch.next_step(), BatchStep::Report(report) if report.is_partial()));
    }
}
