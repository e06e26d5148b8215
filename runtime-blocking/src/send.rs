//! A server to send mail through: carries out the steps of each send.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use postwire_transport::adapter::{Dispatch, Sending, Step, verdict};
use postwire_transport::proto::{Body, Clock, Envelope, Report, SendError};
use postwire_transport::{StreamBody, TransportConfig};

use crate::Connection;
use crate::driver::{park_until, unpark_this_thread};

/// A server to send mail through, with a pool of connections to it.
///
/// Cheap to clone, and shared by threads; clones share the pool.
#[derive(Clone, Debug)]
pub struct Transport {
    dispatch: Arc<Dispatch<Box<Connection>>>,
    clock: Clock,
}

impl From<TransportConfig> for Transport {
    fn from(config: TransportConfig) -> Self {
        Self {
            dispatch: Dispatch::new(config),
            clock: Clock::new(),
        }
    }
}

impl Transport {
    postwire_transport::transport_constructors!();

    /// How the server is reached and spoken to.
    pub fn config(&self) -> &TransportConfig {
        self.dispatch.config()
    }

    /// Sends one message, over a pooled connection or a new one. A message that
    /// was certainly not sent because a pooled connection had died is tried once
    /// more over a fresh one, and recipients that one session has no room for
    /// (RFC 9422) go over others.
    ///
    /// # Errors
    ///
    /// The server did not take it, or not for every recipient: the error holds the whole
    /// report, and says [whether to try again](SendError::retry).
    pub fn send(&self, envelope: &Envelope, body: impl Into<Body>) -> Result<Report, SendError> {
        let sending = self.dispatch.send_one(envelope, body.into());
        self.report_on(sending, envelope, [])
    }

    /// Sends one message whose content is given piece by piece, however long it
    /// is: [`chunks`](crate::chunks) of a file, for one. Only a window of it is in
    /// memory.
    ///
    /// # Errors
    ///
    /// The server did not take it, or not for every recipient, or a piece was an error: the
    /// error holds the whole report.
    pub fn send_stream(
        &self,
        envelope: &Envelope,
        body: StreamBody<impl IntoIterator<Item = io::Result<Bytes>>>,
    ) -> Result<Report, SendError> {
        let (facts, chunks) = body.into_parts();
        let sending = self.dispatch.send_one(envelope, facts);
        self.report_on(sending, envelope, chunks)
    }

    fn report_on(
        &self,
        sending: Sending<Box<Connection>>,
        envelope: &Envelope,
        chunks: impl IntoIterator<Item = io::Result<Bytes>>,
    ) -> Result<Report, SendError> {
        let mut chunks = chunks.into_iter();
        let mut carrier = Carrier {
            transport: self.clone(),
            sending,
        };
        let report = carrier.next_report(|| None, || chunks.next());
        verdict(report, envelope)
    }

    /// Sends many messages, pipelined where the server has it, over one connection
    /// or, where that is worn or dies, one after the other. Gives one report for
    /// each, in order; sending goes on as they are taken.
    ///
    /// Messages whose reports nobody waits for, since this was dropped midway, are
    /// [`abandoned`](Self::abandoned).
    pub fn send_all<I>(&self, messages: I) -> SendAll<I::IntoIter>
    where
        I: IntoIterator<Item = (Envelope, Body)>,
    {
        SendAll {
            carrier: Carrier {
                transport: self.clone(),
                sending: self.dispatch.send_all(),
            },
            messages: messages.into_iter(),
        }
    }

    /// Takes the reports of messages that nobody waited for, the oldest first. At
    /// most 1,024 are kept.
    pub fn abandoned(&self) -> Vec<Report> {
        self.dispatch.take_abandoned()
    }

    /// Closes connections that have stood idle too long. They are closed with
    /// the next `send` anyway; a program that seldom sends may call this now and
    /// then.
    pub fn close_idle(&self) {
        self.dispatch.close_idle(self.clock.now());
    }

    /// Finishes what is queued, says `QUIT` to every connection and waits until
    /// that is done, at most for
    /// [`shutdown_timeout`](postwire_transport::PoolConfig::shutdown_timeout). Messages given
    /// later are not sent: [`ShutDown`](postwire_transport::proto::ErrorKind::ShutDown). Whoever waits
    /// for a report gets it; the others are given here, as by [`abandoned`](Self::abandoned).
    pub fn shutdown(&self) -> Vec<Report> {
        let shutting_down = self.dispatch.shut_down(self.clock.now());
        let waker = unpark_this_thread();
        while let Err(until) = shutting_down.poll(self.clock.now(), &waker) {
            park_until(self.clock, Some(until));
        }
        self.abandoned()
    }
}

/// The reports of [`Transport::send_all`].
#[derive(Debug)]
pub struct SendAll<I> {
    carrier: Carrier,
    messages: I,
}

impl<I: Iterator<Item = (Envelope, Body)>> Iterator for SendAll<I> {
    type Item = Report;

    fn next(&mut self) -> Option<Report> {
        let messages = &mut self.messages;
        self.carrier.next_report(|| messages.next(), || None)
    }
}

/// Carries out the steps of one send.
#[derive(Debug)]
struct Carrier {
    transport: Transport,
    sending: Sending<Box<Connection>>,
}

impl Carrier {
    fn next_report(
        &mut self,
        mut next_message: impl FnMut() -> Option<(Envelope, Body)>,
        mut next_chunk: impl FnMut() -> Option<io::Result<Bytes>>,
    ) -> Option<Report> {
        let Transport { dispatch, clock } = &self.transport;
        loop {
            match self.sending.next_step(clock.now()) {
                Step::Message(message) => message.give(next_message()),
                Step::Wait(mut wait) => {
                    let waker = unpark_this_thread();
                    while let Err(until) = wait.poll(clock.now(), &waker) {
                        park_until(*clock, until);
                    }
                }
                Step::Glance(glance) => glance.look(|connection| connection.glance()),
                Step::Open(open) => {
                    let opened = Connection::open_within(dispatch.config(), open.time_left());
                    open.opened(clock.now(), opened.map(Box::new));
                }
                Step::Drive(mut drive) => {
                    if drive.wants_chunk() {
                        drive.give_chunk(next_chunk());
                    }
                    let event = drive.line().happens();
                    drive.on_event(event);
                }
                Step::Report(report) => return Some(report),
                Step::Done => return None,
            }
        }
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.sending.leave(self.transport.clock.now());
    }
}
