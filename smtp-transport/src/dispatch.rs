//! Who sends what over which connection: the pool and its waiters behind one lock, and a
//! machine for each send that says what to do next.
//!
//! Knows the pool, the batch and when each is told what. Must never open, read or write a
//! connection, ask for the time or sleep: adapters carry out the steps.

#[cfg(test)]
mod model;
mod sending;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use postwire_proto::{BodySource, Envelope, Instant, Report};

pub use self::sending::{Drive, Glance, Message, Open, Sending, Step, Wait, verdict};
use crate::pool::PoolShelf;
use crate::{Session, TransportConfig};

/// A connection, as far as it takes part in decisions: a session, with a stream that is the
/// adapter's own affair.
pub trait Line {
    /// Its session.
    fn session(&mut self) -> &mut Session;

    /// Ends the session after this time, as a time-out does; `None` takes that back.
    fn limit_time(&mut self, left: Option<Duration>);

    /// Says `QUIT` if that can be done at once, and closes the connection.
    fn depart(self);
}

impl<L: Line> Line for Box<L> {
    fn session(&mut self) -> &mut Session {
        (**self).session()
    }

    fn limit_time(&mut self, left: Option<Duration>) {
        (**self).limit_time(left);
    }

    fn depart(self) {
        (*self).depart();
    }
}

/// What all sends of one transport share: its configuration, the pool, and the reports that
/// nobody waited for.
pub struct Dispatch<L: Line> {
    config: TransportConfig,
    shelf: Mutex<PoolShelf<L>>,
}

impl<L: Line> Dispatch<L> {
    /// A transport that has not sent anything.
    pub fn new(config: TransportConfig) -> Arc<Self> {
        let shelf = PoolShelf::new(config.pool().clone());
        Arc::new(Self {
            config,
            shelf: Mutex::new(shelf),
        })
    }

    /// How the server is reached and spoken to.
    pub fn config(&self) -> &TransportConfig {
        &self.config
    }

    /// Sends many messages, which [`Step::Message`] asks for.
    pub fn send_all(self: &Arc<Self>) -> Sending<L> {
        Sending::new(self)
    }

    /// Sends one message. [`Drive::wants_chunk`] asks for the content of a stream.
    pub fn send_one(
        self: &Arc<Self>,
        envelope: &Envelope,
        body: impl Into<BodySource>,
    ) -> Sending<L> {
        let mut sending = Sending::new(self);
        sending.add(envelope.clone(), body.into());
        sending.end();
        sending
    }

    /// Takes the reports of messages that nobody waited for, the oldest first.
    pub fn take_abandoned(&self) -> Vec<Report> {
        self.lock().take_abandoned()
    }

    /// Closes connections that have stood idle too long.
    pub fn close_idle(&self, now: Instant) {
        self.tell(|shelf| shelf.handle_timeout(now));
    }

    /// Serves those who wait, refuses those who come, closes what is idle. The end of that is
    /// to be waited for.
    pub fn shut_down(&self, now: Instant) -> ShuttingDown<'_, L> {
        self.tell(|shelf| shelf.shut_down(now));
        let until = now + self.config.pool().shutdown_timeout;
        ShuttingDown {
            dispatch: self,
            until,
        }
    }

    fn lock(&self) -> MutexGuard<'_, PoolShelf<L>> {
        // Nothing panics while the lock is held; the state is whole anyway.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the pool something, and carries out what it decides.
    fn tell<T>(&self, tell: impl FnOnce(&mut PoolShelf<L>) -> T) -> T {
        let (told, effects) = {
            let mut shelf = self.lock();
            let told = tell(&mut shelf);
            (told, shelf.effects())
        };
        // Neither a connection nor a stranger's waker is touched under the lock.
        effects.departing.into_iter().for_each(Line::depart);
        effects.woken.into_iter().for_each(Waker::wake);
        told
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

impl<L: Line> Drop for Dispatch<L> {
    /// The last clone of the transport is gone: nobody else says goodbye.
    fn drop(&mut self) {
        // The pool has its own idea of how late it is, and nothing here depends on it.
        self.tell(|shelf| shelf.shut_down(Instant::EPOCH));
    }
}

impl<L: Line> fmt::Debug for Dispatch<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatch")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// A shutdown that is under way.
#[derive(Debug)]
#[must_use = "the end of a shutdown is waited for"]
pub struct ShuttingDown<'a, L: Line> {
    dispatch: &'a Dispatch<L>,
    until: Instant,
}

impl<L: Line> ShuttingDown<'_, L> {
    /// Whether it is over.
    ///
    /// # Errors
    ///
    /// When to ask again, where the waker is not woken before.
    pub fn poll(&self, now: Instant, waker: &Waker) -> Result<(), Instant> {
        let is_drained = self.dispatch.lock().poll_drained(waker).is_ready();
        if !is_drained && now < self.until {
            return Err(self.until);
        }
        if !is_drained {
            self.dispatch.tell(|shelf| shelf.refuse_all(now));
        }
        Ok(())
    }
}
