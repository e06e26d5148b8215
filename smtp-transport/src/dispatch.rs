//! The sends of a transport: the pool and the waiting sends behind one lock, and a state machine
//! for each send that returns its next step.
//!
//! Knows the pool and the batch, and the order of the calls to them. Must never open or read a
//! connection, read a clock or sleep: adapters execute the steps. Writes only the `QUIT` of a
//! connection that the pool closes, by `Line::depart`.

#[cfg(test)]
mod model;
mod sending;
mod sharing;
mod step;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, PoisonError};
use std::task::Waker;
use std::time::Duration;

use postwire_proto::{BodySource, Envelope, Event, Instant, Pipelining, Report};

use self::sending::AnySending;
pub use self::sending::{Sending, verdict};
pub use self::step::{Drive, Glance, Message, Open, Step, Wait, WhenBlocked};
use crate::pool::{Counters, PoolConnectionId, PoolEffects, PoolShelf, Totals};
use crate::sync::{Mutex, MutexGuard};
use crate::{Session, TransportConfig};

/// A connection of an adapter: a session and its stream.
///
/// A transport takes a connection that is `Send`, `Sync` and `'static` ([`Open::opened`]), and keeps
/// it behind one pointer.
pub trait Line {
    /// The session of the connection.
    fn session(&mut self) -> &mut Session;

    /// Ends the session after this time like a time-out; `None` removes the limit.
    fn limit_time(&mut self, left: Option<Duration>);

    /// Takes the number of flights since the last call.
    fn take_flights(&mut self) -> u64;

    /// Writes what can be written without waiting, and returns the event if that causes one.
    fn flush(&mut self) -> Option<Event>;

    /// Sends `QUIT` if that is possible without waiting, and closes the connection.
    fn depart(self);
}

/// A [`Line`] of any adapter. All connections of a transport are of one type, which
/// [`Dispatch`] knows.
pub(crate) type AnyLine = Box<dyn ErasedLine>;

/// What a [`Line`] of unknown type does.
pub(crate) trait ErasedLine: Any + Send + Sync {
    fn session(&mut self) -> &mut Session;
    fn limit_time(&mut self, left: Option<Duration>);
    fn take_flights(&mut self) -> u64;
    fn flush(&mut self) -> Option<Event>;
    fn depart(self: Box<Self>);
}

impl<L: Line + Send + Sync + 'static> ErasedLine for L {
    fn session(&mut self) -> &mut Session {
        Line::session(self)
    }

    fn limit_time(&mut self, left: Option<Duration>) {
        Line::limit_time(self, left);
    }

    fn take_flights(&mut self) -> u64 {
        Line::take_flights(self)
    }

    fn flush(&mut self) -> Option<Event> {
        Line::flush(self)
    }

    fn depart(self: Box<Self>) {
        Line::depart(*self);
    }
}

/// The connection as the type that the adapter put in.
fn as_own<L: 'static>(line: &mut AnyLine) -> &mut L {
    let line: &mut dyn Any = &mut **line;
    line.downcast_mut()
        .expect("all connections of a transport are of one type")
}

/// The state that all sends of a transport share: the configuration, the pool, and the abandoned
/// reports.
///
/// The type of the connections is only known here and in the steps. The rest of this module does
/// not depend on it, so that it is compiled once, and not in each program.
pub struct Dispatch<L: Line> {
    any: Arc<AnyDispatch>,
    line: PhantomData<fn() -> L>,
}

/// A [`Dispatch`] of connections of any type.
pub(crate) struct AnyDispatch {
    config: TransportConfig,
    shelf: Mutex<PoolShelf<AnyLine>>,
    totals: Totals,
}

impl<L: Line> Dispatch<L> {
    /// Creates the state of a transport that has not sent anything.
    pub fn new(config: TransportConfig) -> Arc<Self> {
        Arc::new(Self {
            any: AnyDispatch::new(config),
            line: PhantomData,
        })
    }

    /// The configuration of the transport.
    pub fn config(&self) -> &TransportConfig {
        &self.any.config
    }

    /// Begins to send many messages, which [`Step::Message`] takes one by one.
    pub fn send_all(self: &Arc<Self>) -> Sending<L> {
        Sending::new(AnySending::new(&self.any))
    }

    /// Begins to send one message. [`Drive::wants_chunk`] says when to read streamed content. A
    /// small message at hand may share a connection with those of other sends.
    pub fn send_one(
        self: &Arc<Self>,
        envelope: &Envelope,
        body: impl Into<BodySource>,
    ) -> Sending<L> {
        Sending::new(self.any.send_one(envelope, body.into()))
    }

    /// The state of the transport, and what it has done.
    pub fn counters(&self) -> Counters {
        self.any.counters()
    }

    /// Takes the reports on messages whose send was dropped early, the oldest first.
    pub fn take_abandoned(&self) -> Vec<Report> {
        self.any.lock().take_abandoned()
    }

    /// Closes connections that have been idle for too long.
    pub fn close_idle(&self, now: Instant) {
        self.any.with_shelf(|shelf| shelf.handle_timeout(now));
    }

    /// Begins the shutdown: sends that wait are served, new sends are refused, idle connections are
    /// closed. Poll the returned value for the end.
    pub fn shut_down(&self, now: Instant) -> ShuttingDown<'_, L> {
        ShuttingDown {
            dispatch: self,
            until: self.any.shut_down(now),
        }
    }

    #[cfg(test)]
    fn lock(&self) -> MutexGuard<'_, PoolShelf<AnyLine>> {
        self.any.lock()
    }
}

impl AnyDispatch {
    fn new(config: TransportConfig) -> Arc<Self> {
        let pool = config.pool().clone();
        let places = match config.client_config().pipelining {
            Pipelining::Bold => pool.max_queued,
            // While the content of one message is under way, the envelope of the next one is sent.
            _ => pool.max_queued.min(2),
        };
        let shelf = PoolShelf::new(pool, places.max(1));
        Arc::new(Self {
            config,
            shelf: Mutex::new(shelf),
            totals: Totals::default(),
        })
    }

    fn send_one(self: &Arc<Self>, envelope: &Envelope, body: BodySource) -> AnySending {
        let mut sending = AnySending::new(self);
        sending.share_if_small(&body);
        sending.add(envelope.clone(), body);
        sending.end();
        sending
    }

    fn counters(&self) -> Counters {
        self.lock().counters(&self.totals)
    }

    /// Begins the shutdown, and returns the time at which it ends at the latest.
    fn shut_down(&self, now: Instant) -> Instant {
        self.with_shelf(|shelf| shelf.shut_down(now));
        now + self.config.pool().shutdown_timeout
    }

    fn poll_shutdown(&self, now: Instant, until: Instant, waker: &Waker) -> Result<(), Instant> {
        let is_drained = self.lock().poll_drained(waker).is_ready();
        if !is_drained && now < until {
            return Err(until);
        }
        if !is_drained {
            self.with_shelf(|shelf| shelf.refuse_all(now));
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, PoolShelf<AnyLine>> {
        // No code panics while the lock is held, so the state is always consistent.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls the pool, and executes its decisions.
    fn with_shelf<T>(&self, call: impl FnOnce(&mut PoolShelf<AnyLine>) -> T) -> T {
        let (told, effects) = {
            let mut shelf = self.lock();
            let told = call(&mut shelf);
            (told, shelf.effects())
        };
        self.execute(effects);
        told
    }

    /// Executes what the pool has decided. No connection and no waker is used while the lock is
    /// held.
    fn execute(&self, effects: PoolEffects<AnyLine>) {
        // A connection is closed before a send, woken or not, may open one in its place.
        for (id, line) in effects.departing {
            contained(|| line.depart());
            // The pool ignores a time that is earlier than its last one.
            self.with_shelf(|shelf| shelf.lost(Instant::EPOCH, id));
        }
        for waker in effects.woken {
            contained(|| waker.wake());
        }
        for deserted in effects.deserted {
            self.give_back(Instant::EPOCH, deserted.id, deserted.connection, 0);
        }
    }

    /// Returns a connection to the pool after `messages` messages. Only an idle one is kept that takes
    /// further messages: after an early end or a lost session, client and server may be out of step.
    /// Reports that nobody took are abandoned ones.
    fn give_back(&self, now: Instant, id: PoolConnectionId, mut line: AnyLine, messages: u64) {
        self.totals.flown(line.take_flights());
        self.abandon(line.session().end());
        let (is_idle, is_full) = (line.session().is_idle(), line.session().is_full());
        if is_idle && !is_full {
            line.limit_time(None);
            self.with_shelf(|shelf| shelf.put_back(now, id, line, messages));
            return;
        }
        if is_idle {
            contained(|| line.depart());
        } else {
            contained(|| drop(line));
        }
        self.with_shelf(|shelf| shelf.lost(now, id));
    }

    fn abandon(&self, reports: Vec<Report>) {
        if reports.is_empty() {
            return;
        }
        let mut shelf = self.lock();
        for report in reports {
            shelf.abandon(report);
        }
    }
}

/// Calls code of the program or of its runtime on behalf of other sends: a waker, or a stream that is
/// flushed or closed. A panic ends here; the program's panic hook has been called.
///
/// If the panic went on, this send would lose what the pool has just given it, such as a connection, and
/// other sends would wait for that without end.
fn contained<T>(call: impl FnOnce() -> T) -> Option<T> {
    panic::catch_unwind(AssertUnwindSafe(call)).ok()
}

impl Drop for AnyDispatch {
    /// Ends the idle connections when the last clone of the transport is dropped.
    fn drop(&mut self) {
        // The pool ignores a time that is earlier than its last one.
        self.with_shelf(|shelf| shelf.shut_down(Instant::EPOCH));
    }
}

impl<L: Line> fmt::Debug for Dispatch<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatch")
            .field("config", self.config())
            .finish_non_exhaustive()
    }
}

/// A shutdown in progress.
#[derive(Debug)]
#[must_use = "a shutdown must be polled until it is over"]
pub struct ShuttingDown<'a, L: Line> {
    dispatch: &'a Dispatch<L>,
    until: Instant,
}

impl<L: Line> ShuttingDown<'_, L> {
    /// Returns `Ok` if the shutdown is over.
    ///
    /// # Errors
    ///
    /// The time at which to poll again, unless the waker is woken earlier.
    pub fn poll(&self, now: Instant, waker: &Waker) -> Result<(), Instant> {
        self.dispatch.any.poll_shutdown(now, self.until, waker)
    }
}
