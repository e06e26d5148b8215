//! Many messages one after the other: how many to queue on a session ahead of their reports, and
//! when to continue over another connection.
//!
//! Decides only. Must never send anything: an adapter executes each [`BatchStep`].

use std::collections::VecDeque;

use postwire_proto::{BodySource, Envelope, Error, ErrorKind, Outcome, Recipients, Report, Stage};

/// The maximum number of messages that are held at once, and of their octets.
const MESSAGES: usize = 1_000;
const OCTETS: u64 = 1024 * 1024;

/// The messages of one send to one server, reported in order.
///
/// Holds a window of messages; [`wants_more`](Self::wants_more) says whether to add others. If a
/// message is certainly not sent because its connection was lost after other messages, it is sent
/// over a new connection. The same applies to recipients that exceed the limits of one session
/// (RFC 9422); the message still gets one report for all recipients.
///
/// A session reports in the order in which the messages are queued on it, which may differ from
/// their order in the batch. A message that one session could not send is queued on another
/// session, never on the same one.
///
/// ```
/// use postwire_proto::{Body, BodySource, Envelope, Report};
/// use postwire_transport::adapter::{Batch, BatchStep};
///
/// /// Sends the messages over sessions that report on each message at once.
/// fn send_all(
///     messages: Vec<(Envelope, Body)>,
///     mut send: impl FnMut(Envelope, BodySource) -> Report,
/// ) -> Vec<Report> {
///     let mut batch = Batch::new(u64::MAX);
///     for (envelope, body) in messages {
///         batch.add(envelope, body.into());
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
    /// The number of the first message in `waiting`. Messages are numbered in the order of `add`.
    first: u64,
    octets: u64,
    /// No message before this number is new.
    first_new: u64,
    /// The numbers of the messages that the session has not reported on, in the order in which
    /// they were queued.
    given: VecDeque<u64>,
    /// The number of messages that wait for another session.
    turned_back: usize,
    ended: bool,
    connection: Connection,
    /// Whether the next connection must be a new one.
    wants_fresh: bool,
    max_messages: u64,
    /// The number of messages that were turned back, since that number was taken.
    retries: u64,
    /// Whether some of the streamed content was taken, so that its message cannot be sent again.
    stream_was_touched: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    /// The envelope for the remaining recipients.
    envelope: Envelope,
    body: BodySource,
    state: State,
    /// The report from earlier sessions, and the positions of the remaining recipients among all
    /// recipients.
    so_far: Option<Box<(Report, Vec<usize>)>>,
    /// The error by which the server ended the session on which the message was queued.
    last_words: Option<Error>,
}

impl Waiting {
    /// Takes the report of one session. Returns whether there are recipients for another session.
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
                earlier.merge(report, places.iter().copied());
                let left = left.iter().filter_map(|at| places.get(*at).copied());
                (earlier, left.collect())
            }
        };
        if left.is_empty() {
            self.state = State::Settled(report);
            return false;
        }
        self.envelope = self.envelope.with_recipients_at(&left);
        self.so_far = Some(Box::new((report, places)));
        self.state = State::TurnedBack;
        true
    }

    /// Concludes the message as not sent, at least not to the remaining recipients. The server's
    /// own error is preferred to `error`, because it explains more.
    fn give_up(&mut self, error: Error) {
        let error = match self.last_words.take() {
            Some(words) if error.reply().is_none() => words,
            _ => error,
        };
        let report = Report::not_sent(&self.envelope, error);
        self.take(report);
    }
}

#[derive(Clone, Debug)]
enum State {
    /// The message is to be queued on a session.
    New,
    Given,
    /// The message is to be queued on the next session, not on the present one.
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
    /// The connection is lost with messages, and no more messages are queued on it. `worn` says
    /// whether to try another connection.
    Dying {
        worn: bool,
    },
    /// No connection is available, for this reason, or because the last session is over.
    Failed(Option<Error>),
}

/// The next step for a batch.
#[derive(Debug)]
#[must_use = "nothing is sent unless each step is carried out"]
pub enum BatchStep {
    /// Return this report to the caller.
    Report(Report),
    /// Release the last connection and get another one, then call [`Batch::connected`] or
    /// [`Batch::failed`].
    Connect,
    /// Queue this message on the connection.
    Enqueue {
        /// The position of the message among all that were added.
        number: u64,
        /// The envelope with the remaining recipients.
        envelope: Envelope,
        /// The content.
        body: BodySource,
    },
    /// Wait for a report, then call [`Batch::reported`], or [`Batch::disconnected`] if the session
    /// is over.
    Await,
    /// Release the connection: all messages have their reports.
    Done,
}

impl Batch {
    /// Creates an empty batch, which sends at most `max_messages` (at least 1) over a connection:
    /// [`PoolConfig::max_messages`](crate::PoolConfig::max_messages).
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
            retries: 0,
            stream_was_touched: false,
        }
    }

    /// Whether there is room for another message.
    pub fn wants_more(&self) -> bool {
        !self.ended && self.waiting.len() < MESSAGES && self.octets < OCTETS
    }

    /// Adds a message.
    pub fn add(&mut self, envelope: Envelope, body: BodySource) {
        self.push(envelope, body, State::New);
    }

    /// Adds a message whose report is known already, because the configuration refuses it
    /// ([`ClientConfig::not_sent_report`](postwire_proto::ClientConfig::not_sent_report)).
    pub fn add_settled(&mut self, envelope: Envelope, body: BodySource, report: Report) {
        self.push(envelope, body, State::Settled(report));
    }

    /// Records that a piece of streamed content was taken, so that the message cannot be sent
    /// again.
    pub(crate) fn stream_was_touched(&mut self) {
        self.stream_was_touched = true;
    }

    /// Marks the end of the messages.
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

    /// The next step.
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
            let error = error.clone().unwrap_or_else(session_over);
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
            // The session that could not send them may be idle in the pool.
            self.wants_fresh = true;
        }
        BatchStep::Connect
    }

    /// Queues the next new message on the session, if the session may take another one.
    fn give(&mut self) -> Option<BatchStep> {
        let (number, message) = self.given_next()?;
        Some(BatchStep::Enqueue {
            number,
            envelope: message.envelope.clone(),
            body: message.body.clone(),
        })
    }

    /// Records that the next new message is queued on the session, if the session may take another
    /// one, and returns its number.
    pub(crate) fn given_next(&mut self) -> Option<(u64, &Waiting)> {
        let number = self.skip_to_new()?;
        let Connection::Live { given, .. } = &mut self.connection else {
            return None;
        };
        if *given >= self.max_messages {
            return None;
        }
        *given += 1;
        self.given.push_back(number);
        let message = self.numbered(number)?;
        message.state = State::Given;
        Some((number, message))
    }

    /// The first message that is to be queued on the next session, if it was on none before.
    pub(crate) fn first_attempt(&mut self) -> Option<(&Envelope, &BodySource)> {
        let message = self.next_new()?;
        Some((&message.envelope, &message.body))
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

    /// Makes the messages that wait for another session new, because there is another session, or
    /// none at all.
    fn take_up_turned_back(&mut self) {
        if self.turned_back == 0 {
            return;
        }
        self.turned_back = 0;
        // Those after the first new one were on no session.
        let seen = self.first_new.saturating_sub(self.first);
        let seen = usize::try_from(seen).unwrap_or(usize::MAX);
        self.first_new = self.first;
        for waiting in self.waiting.iter_mut().take(seen) {
            if matches!(waiting.state, State::TurnedBack) {
                waiting.state = State::New;
            }
        }
    }

    /// Whether no message is held or under way, so that the connection can be released.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether all messages have their reports and no others will be added, so that the connection
    /// can be released.
    #[cfg(test)]
    pub(crate) fn is_done(&self) -> bool {
        self.ended && self.waiting.is_empty()
    }

    /// Whether the next connection must be a new one, because the last one was lost.
    pub(crate) fn wants_fresh(&self) -> bool {
        self.wants_fresh
    }

    /// Records that there is another connection. `reused` says whether it was used before.
    pub fn connected(&mut self, reused: bool) {
        self.take_up_turned_back();
        self.wants_fresh = false;
        self.connection = Connection::Live {
            reused,
            given: 0,
            answered: false,
        };
    }

    /// Records that there is no other connection, so that nothing more is sent.
    pub fn failed(&mut self, error: Error) {
        self.connection = Connection::Failed(Some(error));
    }

    /// Records the session's report on the oldest message that was queued on it.
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
        let again = if report.may_retry_on_new_connection(worn, at_hand) {
            message.state = State::TurnedBack;
            let said = report.error().filter(|error| error.reply().is_some());
            message.last_words = said.cloned();
            true
        } else {
            message.take(report)
        };
        self.turned_back += usize::from(again);
        self.retries += u64::from(again);
    }

    /// Records that the session takes no messages after those that are queued on it. The others are
    /// queued on the next session, rather than all on this one, which would return each of them.
    pub(crate) fn takes_no_more(&mut self) {
        if let Connection::Live { given, .. } = &mut self.connection {
            *given = self.max_messages;
        }
    }

    /// Takes the number of messages that are sent over another session, since the last call.
    pub(crate) fn take_retries(&mut self) -> u64 {
        std::mem::take(&mut self.retries)
    }

    /// Records that the session is over, after its reports on all messages that were queued on it.
    ///
    /// A message without a report may have been sent: it is in doubt.
    pub fn disconnected(&mut self) {
        while let Some(number) = self.given.pop_front() {
            if let Some(message) = self.numbered(number) {
                let report = Report::in_doubt(&message.envelope, session_over());
                message.take(report);
            }
        }
        self.leave();
    }

    /// Returns the reports on the messages that were queued on a session, in order, because the
    /// caller no longer waits for them. The session must be over and have reported on all of them.
    pub(crate) fn abandon(&mut self) -> Vec<Report> {
        self.disconnected();
        let mut reports = Vec::new();
        for message in self.waiting.drain(..) {
            match (message.state, message.so_far) {
                (State::Settled(report), _) => reports.push(report),
                (_, Some(so_far)) => reports.push(so_far.0),
                (State::TurnedBack, None) => {
                    reports.push(Report::not_sent(&message.envelope, session_over()));
                }
                (State::New | State::Given, None) => {}
            }
        }
        self.turned_back = 0;
        reports
    }

    /// Decides whether to try another connection after the end of this one. If a new connection
    /// sent no message at all, another one is unlikely to succeed.
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
            Connection::Failed(None)
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

fn session_over() -> Error {
    Error::new(Stage::Mail, ErrorKind::SessionOver)
}

fn octets(body: &BodySource) -> u64 {
    body.facts().map_or(0, |facts| facts.octets)
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
