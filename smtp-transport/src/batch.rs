//! Many messages one after the other: how many are given to a session ahead of
//! their reports, and when the rest goes on over another connection.
//!
//! Decisions only, like the pool's: an adapter carries out each [`BatchStep`].

use std::collections::VecDeque;

use postwire_proto::{BodySource, Envelope, Error, ErrorKind, Outcome, Recipients, Report, Stage};

/// How many messages are held at once, and of how many octets.
const MESSAGES: usize = 1_000;
const OCTETS: u64 = 1024 * 1024;

/// Messages on their way to one server, reported in order.
///
/// Holds a window of them: [`wants_more`](Self::wants_more) asks for others. A
/// message that was certainly not sent, because its connection died after others
/// had gone over it, goes out over a fresh one; so do its recipients that one session
/// had no room for (RFC 9422), with one report for all of them.
///
/// A session reports in the order in which it was given the messages, whatever their order
/// here. Each message is in one place at a time: what one session turned back is given to
/// another one, never to the same.
///
/// ```
/// use postwire_proto::{Body, Envelope, Report};
/// use postwire_transport::adapter::{Batch, BatchStep};
///
/// /// Sends the messages over sessions that report on each message at once.
/// fn send_all(
///     messages: Vec<(Envelope, Body)>,
///     mut send: impl FnMut(Envelope, Body) -> Report,
/// ) -> Vec<Report> {
///     let mut batch = Batch::new(u64::MAX);
///     for (envelope, body) in messages {
///         batch.add(envelope, body);
///     }
///     batch.end();
///     let (mut sent, mut reports) = (Vec::new(), Vec::new());
///     loop {
///         match batch.next_step() {
///             BatchStep::Connect => batch.connected(false),
///             BatchStep::Enqueue { envelope, body, .. } => sent.push(send(envelope, body)),
///             BatchStep::Await if sent.is_empty() => batch.disconnected(),
///             BatchStep::Await => batch.reported(sent.remove(0)),
///             BatchStep::Report(report) => reports.push(report),
///             BatchStep::Done => return reports,
///         }
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Batch {
    waiting: VecDeque<Waiting>,
    /// The number of the first that waits; they are numbered as they come.
    first: u64,
    octets: u64,
    /// Before this number none is new.
    first_new: u64,
    /// The numbers of those that the session has not reported on, in the order of giving.
    given: VecDeque<u64>,
    /// How many wait for another session.
    turned_back: usize,
    ended: bool,
    connection: Connection,
    /// The next connection is to be one that nobody has used.
    wants_fresh: bool,
    max_messages: u64,
    /// Some of the streamed content is gone, so that its message cannot be sent again.
    stream_was_touched: bool,
}

#[derive(Clone, Debug)]
struct Waiting {
    /// For the recipients that are left.
    envelope: Envelope,
    body: BodySource,
    state: State,
    /// What became of it in earlier sessions, and where those that are left stand among
    /// all recipients.
    so_far: Option<Box<(Report, Vec<usize>)>>,
    /// What a server said when it ended the session that the message was given to.
    last_words: Option<Box<Error>>,
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
        self.state = State::TurnedBack;
        true
    }

    /// It is not sent, at least not to those that are left. A server's own words on that say
    /// more than that there is no other session.
    fn give_up(&mut self, error: Error) {
        let error = match self.last_words.take() {
            Some(words) if error.reply().is_none() => *words,
            _ => error,
        };
        let report = Report::not_sent(&self.envelope, error);
        self.take(report);
    }
}

#[derive(Clone, Debug)]
enum State {
    /// To be given to a session.
    New,
    Given,
    /// Not for the session that there is: to be given to the next one.
    TurnedBack,
    Settled(Report),
}

#[derive(Clone, Debug)]
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
#[must_use = "nothing is sent unless each step is carried out"]
pub enum BatchStep {
    /// Give this report to the caller.
    Report(Report),
    /// Get a connection, giving the last one back:
    /// [`Batch::connected`] or [`Batch::failed`].
    Connect,
    /// Give this message to the connection.
    Enqueue {
        /// The position of the message among all that were added.
        number: u64,
        /// The recipients that are left.
        envelope: Envelope,
        /// The content.
        body: BodySource,
    },
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
            first: 0,
            octets: 0,
            first_new: 0,
            given: VecDeque::new(),
            turned_back: 0,
            ended: false,
            connection: Connection::None,
            wants_fresh: false,
            max_messages: max_messages.max(1),
            stream_was_touched: false,
        }
    }

    /// Whether there is room for another message.
    pub fn wants_more(&self) -> bool {
        !self.ended && self.waiting.len() < MESSAGES && self.octets < OCTETS
    }

    /// Another message.
    pub fn add(&mut self, envelope: Envelope, body: BodySource) {
        self.push(envelope, body, State::New);
    }

    /// Another message, whose report is known: it was refused beforehand
    /// ([`ClientConfig::refuse`](postwire_proto::ClientConfig::refuse)).
    pub fn add_settled(&mut self, envelope: Envelope, body: BodySource, report: Report) {
        self.push(envelope, body, State::Settled(report));
    }

    /// A piece of streamed content was taken: it cannot be sent again.
    pub(crate) fn stream_was_touched(&mut self) {
        self.stream_was_touched = true;
    }

    /// There are no more messages.
    pub fn end(&mut self) {
        self.ended = true;
    }

    fn push(&mut self, envelope: Envelope, body: BodySource, state: State) {
        self.octets = self.octets.saturating_add(octets(&body));
        self.waiting.push_back(Waiting {
            envelope,
            body,
            state,
            so_far: None,
            last_words: None,
        });
    }

    /// What to do next.
    pub fn next_step(&mut self) -> BatchStep {
        if let Some(report) = self.take_settled() {
            return BatchStep::Report(report);
        }
        if let Some(step) = self.give() {
            return step;
        }
        if !self.given.is_empty() {
            return BatchStep::Await;
        }
        if let Connection::Dying { .. } = self.connection {
            self.leave();
        }
        if let Connection::Failed(error) = &self.connection {
            let error = error.clone();
            self.take_up_turned_back();
            while let Some(message) = self.next_new() {
                message.give_up(error.clone());
            }
            return match self.take_settled() {
                Some(report) => BatchStep::Report(report),
                None => BatchStep::Done,
            };
        }
        if self.next_new().is_none() {
            if self.turned_back == 0 {
                return BatchStep::Done;
            }
            // The session that turned them back may stand idle in the pool.
            self.wants_fresh = true;
        }
        BatchStep::Connect
    }

    /// Gives the next new message to the session, where that may have another.
    fn give(&mut self) -> Option<BatchStep> {
        let number = self.skip_to_new()?;
        let Connection::Live { given, .. } = &mut self.connection else {
            return None;
        };
        if *given >= self.max_messages {
            return None;
        }
        *given += 1;
        let message = self.next_new()?;
        message.state = State::Given;
        let step = BatchStep::Enqueue {
            number,
            envelope: message.envelope.clone(),
            body: message.body.clone(),
        };
        self.given.push_back(number);
        Some(step)
    }

    fn next_new(&mut self) -> Option<&mut Waiting> {
        let number = self.skip_to_new()?;
        self.numbered(number)
    }

    /// The number of the first new message.
    fn skip_to_new(&mut self) -> Option<u64> {
        loop {
            match self.numbered(self.first_new)?.state {
                State::New => return Some(self.first_new),
                _ => self.first_new += 1,
            }
        }
    }

    fn numbered(&mut self, number: u64) -> Option<&mut Waiting> {
        let position = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.waiting.get_mut(position)
    }

    /// There is another session, or none at all: what was turned back is new to it.
    fn take_up_turned_back(&mut self) {
        if self.turned_back == 0 {
            return;
        }
        self.turned_back = 0;
        self.first_new = self.first;
        for waiting in &mut self.waiting {
            if matches!(waiting.state, State::TurnedBack) {
                waiting.state = State::New;
            }
        }
    }

    /// Whether nothing is held or under way, for the moment or for good: the connection can be
    /// given back.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether all messages were reported, and no others will come: the
    /// connection can be given back.
    #[cfg(test)]
    pub(crate) fn is_done(&self) -> bool {
        self.ended && self.waiting.is_empty()
    }

    /// The next connection is to be a fresh one: the last one had died.
    pub(crate) fn wants_fresh(&self) -> bool {
        self.wants_fresh
    }

    /// There is another connection; `reused` if others had used it before.
    pub fn connected(&mut self, reused: bool) {
        self.take_up_turned_back();
        self.wants_fresh = false;
        self.connection = Connection::Live {
            reused,
            given: 0,
            answered: false,
        };
    }

    /// There is no other connection: nothing more is sent.
    pub fn failed(&mut self, error: Error) {
        self.connection = Connection::Failed(error);
    }

    /// The session reported on the oldest message that it was given.
    pub fn reported(&mut self, report: Report) {
        let Some(number) = self.given.pop_front() else {
            debug_assert!(false, "a report on nothing");
            return;
        };
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
        if report.session_was_lost() {
            self.connection = Connection::Dying { worn };
            self.wants_fresh = true;
        }
        let stream_was_touched = self.stream_was_touched;
        let Some(message) = self.numbered(number) else {
            debug_assert!(false, "a report on a message that has one");
            return;
        };
        let at_hand = !message.body.is_stream() || !stream_was_touched;
        let again = if report.deserves_fresh_connection(worn, at_hand) {
            message.state = State::TurnedBack;
            let said = report.error().filter(|error| error.reply().is_some());
            message.last_words = said.cloned().map(Box::new);
            true
        } else {
            message.take(report)
        };
        self.turned_back += usize::from(again);
    }

    /// The session is over, and has reported on all that it was given.
    pub fn disconnected(&mut self) {
        let over = Error::new(Stage::Mail, ErrorKind::SessionOver);
        while let Some(number) = self.given.pop_front() {
            if let Some(message) = self.numbered(number) {
                message.give_up(over.clone());
            }
        }
        self.leave();
    }

    /// Nobody waits for the reports any more: what became of the messages that a session was
    /// given, in order. The session has ended, and has reported on all of them.
    pub(crate) fn abandon(&mut self) -> Vec<Report> {
        self.disconnected();
        let mut reports = Vec::new();
        for message in self.waiting.drain(..) {
            match (message.state, message.so_far) {
                (State::Settled(report), _) => reports.push(report),
                (_, Some(so_far)) => reports.push(so_far.0),
                (State::TurnedBack, None) => {
                    let over = Error::new(Stage::Mail, ErrorKind::SessionOver);
                    reports.push(Report::not_sent(&message.envelope, over));
                }
                (State::New | State::Given, None) => {}
            }
        }
        self.turned_back = 0;
        reports
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
        self.first += 1;
        self.first_new = self.first_new.max(self.first);
        self.octets = self.octets.saturating_sub(octets(&front.body));
        match front.state {
            State::Settled(report) => Some(report),
            _ => None,
        }
    }
}

fn octets(body: &BodySource) -> u64 {
    body.facts().map_or(0, |facts| facts.octets)
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
