//! The servers of a world, each a thread with a reference server, and the wires to them, which cut what is
//! written, take nothing for a while, and break.

use std::fmt;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use postwire_reference::{Dialect, LmtpFinals, Recorder};
use postwire_transport::move_clock;
use postwire_worlds::cells::{Cell, RefCell};
use postwire_worlds::choices::Choices;
use shuttle::sync::{Condvar, Mutex, MutexGuard};
use shuttle::thread::{self, JoinHandle};

use crate::upset;

/// What happens to a wire.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// The connection breaks once the client has written this many octets.
    ClientBreak(usize),
    /// The connection breaks once the server has written this many octets.
    ServerBreak(usize),
    /// The server closes the connection after it has read this many times, with or without a word.
    Leaves(usize, bool),
}

/// How the servers and the wires of a world are.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// The servers behind the name, which take turns.
    pub dialects: Vec<Dialect>,
    /// One connection in this many has a fault; 0 if none has.
    pub faults: usize,
    /// One write in this many finds that the stream takes nothing; 0 if none does.
    pub blocks: usize,
    /// One connection in this many has a socket that cannot be cloned; 0 if none has.
    pub single: usize,
    /// How far the clock moves with each answer.
    pub pace: Duration,
    /// How many connections there may be.
    pub max_connections: usize,
}

/// The servers and the connections of a world.
#[derive(Debug)]
pub struct Network {
    choices: RefCell<Choices>,
    conditions: Conditions,
    live: Cell<usize>,
    links: RefCell<Vec<Arc<Link>>>,
    servers: RefCell<Vec<JoinHandle<()>>>,
}

impl Network {
    /// A network without a connection.
    pub fn new(choices: Choices, conditions: Conditions) -> Self {
        Self {
            choices: RefCell::new(choices),
            conditions,
            live: Cell::new(0),
            links: RefCell::default(),
            servers: RefCell::default(),
        }
    }

    /// A number below `bound`.
    pub fn below(&self, bound: usize) -> usize {
        self.choices.borrow_mut().below(bound)
    }

    /// True once in `times` on average; never if that is 0.
    pub fn once_in(&self, times: usize) -> bool {
        times > 0 && self.choices.borrow_mut().once_in(times)
    }

    /// Waits until every server has ended, which it does when its client has closed the connection.
    pub fn join_servers(&self) {
        loop {
            let next = self.servers.borrow_mut().pop();
            let Some(server) = next else {
                return;
            };
            if let Err(panic) = server.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }

    /// Calls a function with the server of each connection so far.
    ///
    /// # Errors
    ///
    /// The first error of the function.
    pub fn each_server(
        &self,
        mut call: impl FnMut(&Recorder, &Dialect) -> Result<(), String>,
    ) -> Result<(), String> {
        let links: Vec<_> = self.links.borrow().iter().cloned().collect();
        links
            .iter()
            .try_for_each(|link| call(&link.lock().recorder, &link.dialect))
    }

    fn fault(&self, dialect: &Dialect) -> Option<Fault> {
        self.once_in(self.conditions.faults)
            .then(|| match self.below(3) {
                0 => Fault::ClientBreak(self.below(1_200)),
                1 => Fault::ServerBreak(self.below(800)),
                // A 421 says that nothing unanswered was taken, which is not so where a final reply
                // is missing.
                _ => Fault::Leaves(
                    1 + self.below(12),
                    self.once_in(2) && dialect.lmtp_finals == LmtpFinals::EachRecipient,
                ),
            })
    }
}

/// A connection: its server, and what is on its way.
struct Link {
    dialect: Dialect,
    end: Mutex<End>,
    /// The client has written, or closed.
    for_server: Condvar,
    /// The server has written, or closed, or reads again.
    for_client: Condvar,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link")
    }
}

struct End {
    recorder: Recorder,
    fault: Option<Fault>,
    /// What the client has written and the server has not read.
    sent: Vec<u8>,
    /// What the server has written and the client has not read.
    arriving: Vec<u8>,
    /// The client reads the end of the stream behind that.
    is_over: bool,
    /// The client has closed its end.
    is_closed: bool,
    written: usize,
    said: usize,
    readings: usize,
    /// Who waits for the stream: the last that polled it.
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl End {
    fn is_broken(&self) -> bool {
        match self.fault {
            Some(Fault::ClientBreak(at)) => self.written >= at,
            Some(Fault::ServerBreak(at)) => self.said >= at,
            _ => false,
        }
    }

    /// Reads what the client has written, and answers it.
    fn serve(&mut self) {
        self.readings += 1;
        let sent = std::mem::take(&mut self.sent);
        let arrive = match self.fault {
            Some(Fault::ClientBreak(at)) => at.saturating_sub(self.written),
            _ if self.is_broken() => 0,
            _ => usize::MAX,
        };
        self.written += sent.len();
        self.recorder.receive(&sent[..sent.len().min(arrive)]);
        self.say();
        // A slow server answers when nothing else comes.
        self.recorder.nudge();
        self.say();
        if let Some(Fault::Leaves(after, speaks)) = self.fault
            && self.readings >= after
            && !self.recorder.has_hung_up()
        {
            if speaks {
                let word = b"421 4.4.2 idle for too long\r\n";
                self.arriving.extend_from_slice(word);
            }
            self.recorder.receive_eof();
            self.is_over = true;
        }
        if self.is_closed {
            self.recorder.receive_eof();
        }
        let ends = self.recorder.has_hung_up() || self.recorder.has_stopped_writing();
        self.is_over |= ends || self.is_broken();
    }

    fn say(&mut self) {
        loop {
            let said = self.recorder.say();
            if said.is_empty() {
                return;
            }
            let arrive = match self.fault {
                Some(Fault::ServerBreak(at)) => at.saturating_sub(self.said),
                _ => usize::MAX,
            };
            self.said += said.len();
            self.arriving
                .extend_from_slice(&said[..said.len().min(arrive)]);
        }
    }
}

impl Link {
    fn lock(&self) -> MutexGuard<'_, End> {
        self.end
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The thread of the server.
    fn serve(&self, pace: Duration) {
        loop {
            let mut end = self.lock();
            while end.readings > 0 && end.sent.is_empty() && end.writer.is_none() && !end.is_closed
            {
                end = self
                    .for_server
                    .wait(end)
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
            }
            end.serve();
            let is_closed = end.is_closed;
            let woken = [end.reader.take(), end.writer.take()];
            drop(end);
            move_clock(pace);
            self.for_client.notify_all();
            woken.into_iter().flatten().for_each(Waker::wake);
            if is_closed {
                return;
            }
        }
    }
}

/// The client's end of a connection.
#[derive(Debug)]
pub struct Wire {
    network: Arc<Network>,
    link: Arc<Link>,
    can_be_cloned: bool,
}

impl Wire {
    /// Connects to the next server.
    ///
    /// # Errors
    ///
    /// A world with faults has servers that cannot be reached.
    ///
    /// # Panics
    ///
    /// If there are more connections than the pool may have.
    pub fn connect(network: &Arc<Network>) -> io::Result<Self> {
        upset::may_unwind();
        thread::yield_now();
        let conditions = &network.conditions;
        if network.once_in(8 * conditions.faults) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let number = network.links.borrow().len();
        let dialect = conditions.dialects[number % conditions.dialects.len()].clone();
        let end = End {
            recorder: Recorder::new(dialect.clone()),
            fault: network.fault(&dialect),
            sent: Vec::new(),
            arriving: Vec::new(),
            is_over: false,
            is_closed: false,
            written: 0,
            said: 0,
            readings: 0,
            reader: None,
            writer: None,
        };
        let link = Arc::new(Link {
            dialect,
            end: Mutex::new(end),
            for_server: Condvar::new(),
            for_client: Condvar::new(),
        });
        network.links.borrow_mut().push(Arc::clone(&link));
        network.live.set(network.live.get() + 1);
        assert!(
            network.live.get() <= conditions.max_connections,
            "there are too many connections"
        );
        let (server, pace) = (Arc::clone(&link), conditions.pace);
        let server = thread::spawn(move || server.serve(pace));
        network.servers.borrow_mut().push(server);
        Ok(Self {
            can_be_cloned: !network.once_in(conditions.single),
            network: Arc::clone(network),
            link,
        })
    }

    pub(crate) fn can_be_cloned(&self) -> bool {
        self.can_be_cloned
    }

    /// Reads, and waits for something to read.
    pub(crate) fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        upset::may_unwind();
        let mut end = self.link.lock();
        loop {
            if let Poll::Ready(read) = self.read_from(&mut end, into) {
                return read;
            }
            let woken = self.link.for_client.wait(end);
            end = woken.unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    /// Reads what is there.
    pub(crate) fn read_now(&self, into: &mut [u8]) -> io::Result<usize> {
        match self.read_from(&mut self.link.lock(), into) {
            Poll::Ready(read) => read,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn read_from(&self, end: &mut End, into: &mut [u8]) -> Poll<io::Result<usize>> {
        if end.is_closed {
            return Poll::Ready(Ok(0));
        }
        if end.arriving.is_empty() && !end.is_over {
            return Poll::Pending;
        }
        if end.arriving.is_empty() {
            let is_reset = end.is_broken() && self.network.once_in(2);
            return Poll::Ready(if is_reset {
                Err(io::ErrorKind::ConnectionReset.into())
            } else {
                Ok(0)
            });
        }
        let mut octets = end.arriving.len().min(into.len());
        if self.network.once_in(8) {
            octets = 1 + self.network.below(octets);
        }
        into[..octets].copy_from_slice(&end.arriving[..octets]);
        end.arriving.drain(..octets);
        Poll::Ready(Ok(octets))
    }

    /// Writes what the stream takes.
    pub(crate) fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        upset::may_unwind();
        let mut end = self.link.lock();
        if self.network.once_in(self.network.conditions.blocks) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if end.is_closed || (end.is_over && self.network.once_in(2)) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut octets: usize = slices.iter().map(|slice| slice.len()).sum();
        if self.network.once_in(8) {
            octets = 1 + self.network.below(octets);
        }
        let all = slices.iter().flat_map(|slice| slice.iter().copied());
        end.sent.extend(all.take(octets));
        drop(end);
        self.link.for_server.notify_one();
        Ok(octets)
    }

    /// Reads what is there. The waker is woken when there is more.
    pub(crate) fn poll_read(&self, waker: &Waker, into: &mut [u8]) -> Poll<io::Result<usize>> {
        upset::may_unwind();
        let mut end = self.link.lock();
        let read = self.read_from(&mut end, into);
        if read.is_pending() {
            end.reader = Some(waker.clone());
        }
        read
    }

    /// Writes what the stream takes. The waker is woken when it takes more.
    pub(crate) fn poll_write(
        &self,
        waker: &Waker,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.write(slices) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.link.lock().writer = Some(waker.clone());
                self.link.for_server.notify_one();
                Poll::Pending
            }
            written => Poll::Ready(written),
        }
    }

    /// Closes the connection for all handles.
    pub(crate) fn close(&self) {
        let mut end = self.link.lock();
        if !std::mem::replace(&mut end.is_closed, true) {
            self.network.live.set(self.network.live.get() - 1);
        }
        drop(end);
        self.link.for_server.notify_one();
        self.link.for_client.notify_all();
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.close();
    }
}
