//! A connection of the model: a real session, and a server that fails in every way.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use postwire_proto::{Endpoint, Error, Event, Instant};
use postwire_worlds::cells::{Cell, RefCell};

use super::Line;
use crate::pool::model::Random;
use crate::session::SessionMachine;
use crate::{Session, TransportConfig};

/// The faults of the server. Each number is the average interval between two faults.
#[derive(Clone, Copy)]
pub(super) struct Habits {
    /// A new connection gets a 421, or is lost.
    pub(super) refuses: u64,
    pub(super) fails: u64,
    /// The server closes the connection instead of a reply to a command.
    pub(super) hangs_up: u64,
    /// A command gets a 421, 451 or 550.
    pub(super) says_no: u64,
    /// The stream takes no output for some time.
    pub(super) blocks: u64,
    /// The extensions that the server offers.
    pub(super) pipelining: bool,
    pub(super) chunking: bool,
    pub(super) opening: u64,
    pub(super) answering: u64,
    /// The maximum lifetime of a connection.
    pub(super) lifetime: u64,
}

/// The state that all connections share.
pub(super) struct Common {
    pub(super) now: Cell<Instant>,
    pub(super) live: Cell<usize>,
    /// The flights that all connections have written.
    pub(super) flights: Cell<u64>,
    /// The connections that said goodbye.
    pub(super) departed: Cell<usize>,
    pub(super) random: RefCell<Random>,
    pub(super) habits: Habits,
    pub(super) stored: RefCell<HashMap<usize, usize>>,
    /// The number of connections so far.
    pub(super) wires: Cell<u64>,
    /// The sender that each stream wakes.
    pub(super) watchers: RefCell<HashMap<u64, usize>>,
    /// The time at which each stream can be read.
    pub(super) readable: RefCell<HashMap<u64, Instant>>,
    pub(super) config: TransportConfig,
}

impl Common {
    pub(super) fn one_in(&self, many: u64) -> bool {
        self.random.borrow_mut().one_in(many)
    }

    pub(super) fn later(&self, milliseconds: u64) -> Instant {
        self.now.get() + self.random.borrow_mut().duration(milliseconds)
    }
}

/// A connection: a real session, and the state of its server.
pub(super) struct Wire {
    number: u64,
    machine: SessionMachine,
    limit: Option<Instant>,
    common: Arc<Common>,
    input: Vec<u8>,
    /// The sender of the message that the server receives, if there is one.
    message: Option<usize>,
    in_content: bool,
    /// Whether the last `MAIL` was accepted.
    in_mail: bool,
    /// The octets that are left of a chunk, and whether it is the last one.
    chunk: Option<(usize, bool)>,
    flights: u64,
    has_read: bool,
    answers: VecDeque<(Instant, &'static str)>,
    /// The time at which the server closes the connection.
    ends: Instant,
    /// The time until which the stream takes no output.
    blocked: Instant,
}

impl Wire {
    /// Opens a connection with a ready session.
    pub(super) fn open(common: &Arc<Common>) -> Result<Self, Error> {
        common.live.set(common.live.get() + 1);
        common.wires.set(common.wires.get() + 1);
        let mut wire = Self {
            number: common.wires.get(),
            machine: SessionMachine::opening(&common.config, None),
            limit: None,
            common: Arc::clone(common),
            input: Vec::new(),
            message: None,
            in_content: false,
            in_mail: false,
            chunk: None,
            flights: 0,
            has_read: false,
            answers: VecDeque::new(),
            ends: common.later(common.habits.lifetime),
            blocked: Instant::EPOCH,
        };
        let now = common.now.get();
        if common.one_in(common.habits.fails) {
            wire.machine.handle_eof(now);
        } else if common.one_in(common.habits.refuses) {
            wire.machine.handle_input(now, b"421 no room\r\n");
        } else {
            let capabilities: &[u8] = match (common.habits.pipelining, common.habits.chunking) {
                (true, true) => b"250-hi\r\n250-CHUNKING\r\n250 PIPELINING\r\n",
                (false, true) => b"250-hi\r\n250 CHUNKING\r\n",
                (true, false) => b"250-hi\r\n250 PIPELINING\r\n",
                (false, false) => b"250 hi\r\n",
            };
            wire.machine.handle_input(now, b"220 hi\r\n");
            let octets = wire.machine.output().remaining();
            wire.machine.output().advance(octets);
            wire.machine.handle_input(now, capabilities);
        }
        while wire.machine.poll_event().is_some() {}
        if wire.machine.stands() {
            return Ok(wire);
        }
        drop(wire.machine.give_up());
        Err(wire.machine.error())
    }

    /// Moves octets until there is an event; `None` when the session is over. The error is the time
    /// at which to try again. `reads` says whether this sender may read.
    pub(super) fn drive(&mut self, reads: bool) -> Result<Option<Event>, Instant> {
        let now = self.common.now.get();
        loop {
            let was_closed = self.machine.is_closed();
            if let Some(event) = self.machine.poll_event() {
                return Ok(Some(event));
            }
            self.write();
            if let Some(event) = self.machine.poll_event() {
                return Ok(Some(event));
            }
            if was_closed {
                return Ok(None);
            }
            if reads && self.read() {
                continue;
            }
            let limit = self.limit.filter(|_| !self.machine.is_closed());
            if limit.is_some_and(|limit| limit <= now) {
                self.limit = None;
                self.machine.expire();
                continue;
            }
            let deadline = self.machine.poll_timeout();
            if deadline.is_some_and(|deadline| deadline <= now) {
                self.machine.handle_timeout(now);
                continue;
            }
            self.becomes_readable();
            let answer = self.answers.front().map(|(at, _)| *at);
            let free = Some(self.blocked).filter(|_| self.is_blocked());
            let next = answer.into_iter().chain(deadline).chain(limit);
            return Err(next.chain(free).chain([self.ends]).min().unwrap());
        }
    }

    fn write(&mut self) {
        let now = self.common.now.get();
        loop {
            let chunk = self.machine.output().chunk().to_vec();
            if chunk.is_empty() || self.is_blocked() {
                return;
            }
            if self.common.one_in(self.common.habits.blocks) {
                self.blocked = self.common.later(200);
                return;
            }
            self.machine.output().advance(chunk.len());
            self.machine.handle_timeout(now);
            let begins = u64::from(std::mem::take(&mut self.has_read));
            self.flights += begins;
            self.common.flights.set(self.common.flights.get() + begins);
            self.hear(&chunk);
        }
    }

    /// Reads, and returns whether the server had sent anything.
    fn read(&mut self) -> bool {
        let now = self.common.now.get();
        if self.machine.is_closed() {
            return false;
        }
        if self.ends <= now {
            self.machine.handle_eof(now);
            return true;
        }
        // What arrived at the same time is read at once.
        let mut input = String::new();
        while let Some((_, answer)) = self.answers.pop_front_if(|(at, _)| *at <= now) {
            input.push_str(answer);
        }
        if input.is_empty() {
            return false;
        }
        self.has_read = true;
        self.machine.handle_input(now, input.as_bytes());
        true
    }

    /// Passes written octets to the server.
    fn hear(&mut self, octets: &[u8]) {
        self.input.extend_from_slice(octets);
        loop {
            if let Some((octets, is_last)) = self.chunk {
                if self.input.len() < octets {
                    return;
                }
                self.input.drain(..octets);
                self.chunk = None;
                self.answer(if is_last { b"(last chunk)" } else { b"(chunk)" });
                continue;
            }
            let end: &[u8] = if self.in_content {
                b"\r\n.\r\n"
            } else {
                b"\r\n"
            };
            let mut windows = self.input.windows(end.len());
            let Some(position) = windows.position(|window| window == end) else {
                return;
            };
            let line: Vec<u8> = self.input.drain(..position + end.len()).collect();
            let text = String::from_utf8_lossy(&line);
            match text.strip_prefix("BDAT ") {
                Some(chunk) if !self.in_content => {
                    let mut words = chunk.split_whitespace();
                    let octets = words.next().unwrap().parse().unwrap();
                    self.chunk = Some((octets, words.next() == Some("LAST")));
                }
                _ => self.answer(&line),
            }
        }
    }

    fn answer(&mut self, line: &[u8]) {
        let common = Arc::clone(&self.common);
        let is_content = self.in_content || line == b"(last chunk)";
        let mut says_no = common.one_in(common.habits.says_no);
        self.in_content = false;
        if !is_content && common.one_in(common.habits.hangs_up) {
            self.ends = self.ends.min(common.later(10));
        }
        let text = String::from_utf8_lossy(line);
        if let Some(to) = text.strip_prefix("RCPT TO:<") {
            self.message = to.split('@').next().unwrap().parse().ok();
        }
        if text.starts_with("RSET") || text.starts_with("MAIL") {
            self.message = None;
            self.in_mail = text.starts_with("MAIL") && !says_no;
        }
        says_no |= text.starts_with("RCPT") && !self.in_mail;
        let needs_recipient = text.starts_with("DATA") || text.contains("chunk)");
        let no_recipient = needs_recipient && self.message.is_none();
        says_no |= no_recipient;
        let answer = if text.starts_with("QUIT") {
            "221 bye\r\n"
        } else if says_no && text.starts_with("RSET") {
            "250 ok\r\n"
        } else if says_no {
            // A transaction with a refused chunk cannot be completed (RFC 3030).
            let keeps = text.starts_with("DATA") || is_content;
            if !keeps || text.contains("chunk)") {
                self.message = None;
            }
            let all = ["451 later\r\n", "550 never\r\n", "554 never\r\n"];
            all[common.random.borrow_mut().below(3) as usize]
        } else if is_content {
            let message = self.message.take().expect("content of no message");
            *common.stored.borrow_mut().entry(message).or_default() += 1;
            // The server may close the connection without a reply.
            if common.one_in(common.habits.hangs_up) {
                self.ends = common.now.get();
            }
            "250 taken\r\n"
        } else if text.starts_with("DATA") {
            self.in_content = true;
            "354 go\r\n"
        } else {
            "250 ok\r\n"
        };
        let last = self.answers.back().map(|(at, _)| *at);
        let at = common.later(common.habits.answering);
        let at = last.map_or(at, |last| last.max(at));
        self.answers.push_back((at, answer));
    }

    /// Whether the stream takes no output that there is.
    pub(super) fn is_blocked(&mut self) -> bool {
        self.blocked > self.common.now.get() && self.machine.output().has_remaining()
    }

    /// Whether a read would not wait.
    pub(super) fn can_read(&self) -> bool {
        let now = self.common.now.get();
        self.ends <= now || self.answers.front().is_some_and(|(at, _)| *at <= now)
    }

    /// Records when the stream can be read.
    fn becomes_readable(&self) {
        let answer = self.answers.front().map(|(at, _)| *at);
        let at = answer.into_iter().chain([self.ends]).min();
        let at = at.unwrap_or(self.ends);
        self.common.readable.borrow_mut().insert(self.number, at);
    }

    /// The next deadline of the session.
    pub(super) fn deadline(&mut self) -> Option<Instant> {
        let limit = self.limit.filter(|_| !self.machine.is_closed());
        self.machine.poll_timeout().into_iter().chain(limit).min()
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Records that the stream wakes this sender from now on.
    pub(super) fn is_watched_by(&mut self, sender: usize) {
        self.common
            .watchers
            .borrow_mut()
            .insert(self.number, sender);
    }

    pub(super) fn glance(&mut self) {
        while self.read() {}
    }
}

impl Line for Wire {
    fn session(&mut self) -> &mut Session {
        self.machine.session_mut()
    }

    fn limit_time(&mut self, left: Option<Duration>) {
        self.limit = left.map(|left| self.common.now.get() + left);
    }

    fn take_flights(&mut self) -> u64 {
        std::mem::take(&mut self.flights)
    }

    fn flush(&mut self) -> Option<Event> {
        let event = self.machine.poll_event();
        if event.is_none() {
            self.write();
        }
        event.or_else(|| self.machine.poll_event())
    }

    fn depart(self) {
        self.common.departed.set(self.common.departed.get() + 1);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // Closing ends the waits of all handles of the stream.
        let now = self.common.now.get();
        self.common.readable.borrow_mut().insert(self.number, now);
        self.common.live.set(self.common.live.get() - 1);
    }
}
