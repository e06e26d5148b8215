//! A connection of a transport: a real session in the adapters' flow, the reference server, and a
//! wire that delays, blocks, breaks and falls silent, on the virtual clock of the world.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use postwire_proto::{Endpoint as _, Error, ErrorKind, Event, Instant, Stage};
use postwire_reference::{Dialect, LmtpFinals, Recorder};
use postwire_transport::adapter::{Dial, Flow, Line, Move, SessionMachine};
use postwire_transport::{Session, TransportConfig};

use crate::cells::{Cell, RefCell};
use crate::choices::Choices;

/// What happens to the wire.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// The connection breaks once the client has written this many octets.
    ClientBreak(usize),
    /// The connection breaks once the server has written this many octets.
    ServerBreak(usize),
    /// Nothing of the server arrives behind this many octets.
    Silence(usize),
    /// The server closes the connection at this time, with or without a word.
    Leaves(Instant, bool),
}

/// The state that all connections of a world share.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) now: Cell<Instant>,
    pub(super) choices: RefCell<Choices>,
    pub(super) config: TransportConfig,
    /// The servers behind the name, which take turns.
    pub(super) dialects: Vec<Dialect>,
    /// One connection in this many has a fault; 0 if none has.
    pub(super) faults: usize,
    /// The longest time until an answer arrives, in milliseconds.
    pub(super) latency: usize,
    /// One write in this many finds that the stream takes nothing for a while.
    pub(super) blocks: usize,
    /// The connections that are open.
    pub(super) live: Cell<usize>,
    /// The far end of every connection so far.
    pub(super) ends: RefCell<Vec<Arc<RefCell<FarEnd>>>>,
}

impl Common {
    pub(super) fn below(&self, bound: usize) -> usize {
        self.choices.borrow_mut().below(bound)
    }

    pub(super) fn once_in(&self, times: usize) -> bool {
        times > 0 && self.choices.borrow_mut().once_in(times)
    }

    /// A time at most this many milliseconds from now.
    pub(super) fn later(&self, milliseconds: usize) -> Instant {
        let milliseconds = u64::try_from(self.below(milliseconds)).unwrap_or_default();
        self.now.get() + Duration::from_millis(milliseconds)
    }

    pub(super) fn end(&self, wire: usize) -> Arc<RefCell<FarEnd>> {
        Arc::clone(&self.ends.borrow()[wire])
    }
}

/// The server of a connection, and what is on its way to the client.
#[derive(Debug)]
pub(super) struct FarEnd {
    pub(super) recorder: Recorder,
    pub(super) dialect: Dialect,
    pub(super) fault: Option<Fault>,
    arriving: VecDeque<(Instant, Vec<u8>)>,
    /// When the client reads the end of the stream.
    eof: Option<Instant>,
    eof_was_read: bool,
    written: usize,
    said: usize,
    /// The sender that the stream wakes.
    pub(super) watcher: Option<usize>,
    /// The client has closed its end.
    pub(super) is_closed: bool,
}

impl FarEnd {
    fn is_broken(&self) -> bool {
        match self.fault {
            Some(Fault::ClientBreak(at)) => self.written >= at,
            Some(Fault::ServerBreak(at)) => self.said >= at,
            _ => false,
        }
    }

    /// Whether the client still can reach the server, and the server still says something.
    fn is_left(&self, now: Instant) -> bool {
        matches!(self.fault, Some(Fault::Leaves(at, _)) if at <= now)
    }

    fn receive(&mut self, octets: &[u8], common: &Common) {
        self.pass_time(common);
        let arrive = match self.fault {
            Some(Fault::ClientBreak(at)) => at.saturating_sub(self.written),
            _ if self.is_broken() => 0,
            _ => usize::MAX,
        };
        self.written += octets.len();
        self.recorder.receive(&octets[..octets.len().min(arrive)]);
        self.answer(common, common.latency);
    }

    /// Puts on the way what the server says.
    fn answer(&mut self, common: &Common, latency: usize) {
        loop {
            let said = self.recorder.say();
            if said.is_empty() {
                break;
            }
            let arrive = match self.fault {
                Some(Fault::ServerBreak(at) | Fault::Silence(at)) => at.saturating_sub(self.said),
                _ => usize::MAX,
            };
            self.said += said.len();
            self.send(common, latency, said[..said.len().min(arrive)].to_vec());
        }
        let is_silent = matches!(self.fault, Some(Fault::Silence(at)) if at <= self.said);
        let ends = self.recorder.has_hung_up() || self.recorder.has_stopped_writing();
        if (ends && !is_silent) || self.is_broken() {
            let last = self.arriving.back().map(|(at, _)| *at);
            let at = last.unwrap_or_else(|| common.later(latency));
            self.eof.get_or_insert(at);
        }
    }

    fn send(&mut self, common: &Common, latency: usize, octets: Vec<u8>) {
        if octets.is_empty() {
            return;
        }
        let at = common.later(latency);
        let last = self.arriving.back().map_or(at, |(last, _)| *last);
        self.arriving.push_back((at.max(last), octets));
    }

    /// Lets a server leave whose time has come.
    fn pass_time(&mut self, common: &Common) {
        let Some(Fault::Leaves(_, speaks)) = self.fault else {
            return;
        };
        if !self.is_left(common.now.get()) || self.recorder.has_hung_up() {
            return;
        }
        // What the server withholds comes first.
        self.recorder.nudge();
        self.answer(common, 1);
        if speaks && self.eof.is_none() {
            self.send(common, 1, b"421 4.4.2 idle for too long\r\n".to_vec());
        }
        self.recorder.receive_eof();
        self.answer(common, 1);
    }

    /// Lets a slow server answer when nothing else is on the way.
    fn nudge(&mut self, common: &Common) {
        if self.arriving.is_empty() && self.eof.is_none() {
            self.recorder.nudge();
            self.answer(common, 5 * common.latency);
        }
    }

    /// The time at which a read finds something.
    pub(super) fn readable_at(&self) -> Option<Instant> {
        if self.is_closed {
            // Closing ends the waits of all handles of the stream.
            return Some(Instant::EPOCH);
        }
        let leaves = match self.fault {
            Some(Fault::Leaves(at, _)) if self.eof.is_none() => Some(at),
            _ => None,
        };
        let arriving = self.arriving.front().map(|(at, _)| *at);
        // What was said before a break still arrives before the end.
        let eof = self
            .eof
            .filter(|_| self.arriving.is_empty() && !self.eof_was_read);
        arriving.into_iter().chain(eof).chain(leaves).min()
    }

    fn read(&mut self, into: &mut [u8], common: &Common) -> Poll<io::Result<usize>> {
        self.pass_time(common);
        let now = common.now.get();
        let mut length = 0;
        while let Some((_, octets)) = self.arriving.front_mut().filter(|(at, _)| *at <= now) {
            let octets_read = octets.len().min(into.len() - length);
            if octets_read == 0 {
                break;
            }
            into[length..length + octets_read].copy_from_slice(&octets[..octets_read]);
            length += octets_read;
            octets.drain(..octets_read);
            if octets.is_empty() {
                self.arriving.pop_front();
            }
        }
        if length > 0 {
            return Poll::Ready(Ok(length));
        }
        if self.arriving.is_empty() && self.eof.is_some_and(|at| at <= now) {
            self.eof_was_read = true;
            return Poll::Ready(if self.is_broken() && common.once_in(2) {
                Err(io::ErrorKind::ConnectionReset.into())
            } else {
                Ok(0)
            });
        }
        Poll::Pending
    }
}

/// A connection, as an adapter has it.
#[derive(Debug)]
pub(super) struct Wire {
    number: usize,
    flow: Flow<SessionMachine>,
    end: Arc<RefCell<FarEnd>>,
    common: Arc<Common>,
    /// The time until which the stream takes no output.
    blocked: Instant,
}

/// What the driver of a connection waits for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blocked {
    /// The next deadline of the session.
    pub(super) deadline: Option<Instant>,
    /// The time at which the stream takes output again, if it takes none.
    pub(super) writable: Option<Instant>,
}

impl Wire {
    /// Connects; the session is opened by [`drive`](Self::drive) and [`is_open`](Self::is_open).
    pub(super) fn connect(common: &Arc<Common>) -> Result<Self, Error> {
        if common.faults > 0 && common.once_in(8 * common.faults) {
            return Err(Error::new(Stage::Connect, ErrorKind::ConnectionClosed));
        }
        let number = common.ends.borrow().len();
        let dialect = common.dialects[number % common.dialects.len()].clone();
        let fault = common
            .once_in(common.faults)
            .then(|| match common.below(4) {
                0 => Fault::ClientBreak(common.below(2_000)),
                1 => Fault::ServerBreak(common.below(1_500)),
                2 => Fault::Silence(common.below(1_500)),
                // A 421 says that nothing unanswered was taken, which is not so where a final
                // reply is missing.
                _ => Fault::Leaves(
                    common.later(5_000),
                    common.once_in(2) && dialect.lmtp_finals == LmtpFinals::EachRecipient,
                ),
            });
        let mut end = FarEnd {
            recorder: Recorder::new(dialect.clone()),
            dialect,
            fault,
            arriving: VecDeque::new(),
            eof: None,
            eof_was_read: false,
            written: 0,
            said: 0,
            watcher: None,
            is_closed: false,
        };
        end.answer(common, common.latency);
        let end = Arc::new(RefCell::new(end));
        common.ends.borrow_mut().push(Arc::clone(&end));
        common.live.set(common.live.get() + 1);
        Ok(Self {
            number,
            flow: Flow::new(Dial::new(&common.config).session(None)),
            end,
            common: Arc::clone(common),
            blocked: Instant::EPOCH,
        })
    }

    /// Opens the session. `Ok` says that it is open; the error is what to wait for.
    pub(super) fn open(&mut self) -> Result<Result<(), Error>, Blocked> {
        loop {
            if self.flow.machine_mut().stands() {
                self.flow.limit_time(None);
                return Ok(Ok(()));
            }
            match self.drive(true) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) if self.flow.machine().is_given_up() => break,
                Err(blocked) => return Err(blocked),
            }
        }
        self.flow.machine_mut().give_up();
        let mut dial = Dial::new(&self.common.config);
        let is_open = dial.is_open(self.flow.machine(), ControlFlow::Break(()));
        Ok(is_open.map(|_| ()))
    }

    /// Moves octets until there is an event; `None` when the session is over. The error is what to
    /// wait for. `reads` says whether this sender may read.
    pub(super) fn drive(&mut self, reads: bool) -> Result<Option<Event>, Blocked> {
        loop {
            let now = self.common.now.get();
            let (deadline, blocks) = match self.next_move() {
                Move::Event(event) => return Ok(Some(event)),
                Move::Close => return Ok(None),
                Move::Read(deadline) => (deadline, false),
                Move::Write(deadline) => (deadline, true),
            };
            if reads && self.read() {
                continue;
            }
            if deadline.is_some_and(|deadline| deadline <= now) {
                self.flow.handle_timeout(now);
                continue;
            }
            self.end.borrow_mut().nudge(&self.common);
            return Err(Blocked {
                deadline: self.flow.poll_timeout(),
                writable: blocks.then_some(self.blocked),
            });
        }
    }

    fn next_move(&mut self) -> Move<Event> {
        let Self {
            flow,
            end,
            common,
            blocked,
            ..
        } = self;
        let now = common.now.get();
        let write = |slices: &[IoSlice<'_>]| {
            if *blocked > now {
                return Poll::Pending;
            }
            if common.once_in(common.blocks) {
                *blocked = common.later(200) + Duration::from_millis(1);
                return Poll::Pending;
            }
            let mut end = end.borrow_mut();
            if end.is_broken() && common.once_in(2) {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            let octets: Vec<u8> = slices
                .iter()
                .flat_map(|slice| slice.iter().copied())
                .collect();
            let length = if common.once_in(4) {
                1 + common.below(octets.len())
            } else {
                octets.len()
            };
            end.receive(&octets[..length], common);
            Poll::Ready(Ok(length))
        };
        flow.next_move(write, || now)
    }

    /// Reads, and returns whether there was anything.
    fn read(&mut self) -> bool {
        if self.flow.machine().is_closed() {
            return false;
        }
        let (end, common) = (&self.end, &self.common);
        let read = |into: &mut [u8]| end.borrow_mut().read(into, common);
        let now = || common.now.get();
        self.flow.poll_read(read, now).is_ready()
    }

    /// Reads what the server has sent, without waiting.
    pub(super) fn glance(&mut self) {
        while self.read() {}
    }

    /// Whether a read would not wait.
    pub(super) fn can_read(&self) -> bool {
        let readable = self.end.borrow().readable_at();
        readable.is_some_and(|at| at <= self.common.now.get())
    }

    pub(super) fn number(&self) -> usize {
        self.number
    }
}

impl Line for Wire {
    fn session(&mut self) -> &mut Session {
        self.flow.machine_mut().session_mut()
    }

    fn limit_time(&mut self, left: Option<Duration>) {
        let until = left.map(|left| self.common.now.get() + left);
        self.flow.limit_time(until);
    }

    fn take_flights(&mut self) -> u64 {
        self.flow.take_flights()
    }

    fn flush(&mut self) -> Option<Event> {
        self.next_move().event()
    }

    fn depart(mut self) {
        self.session().begin_quit();
        while self.flush().is_some() {}
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let mut end = self.end.borrow_mut();
        end.is_closed = true;
        end.recorder.receive_eof();
        self.common.live.set(self.common.live.get() - 1);
    }
}
