//! One session with a server, with any runtime.
//!
//! Knows the runtimes. Must never know the messages or their results: commands see no
//! difference between runtimes.

use std::future::{Future, poll_fn};
use std::net::Shutdown;
use std::ops::{ControlFlow, DerefMut};
use std::pin::pin;
use std::sync::LazyLock;
use std::{io, iter};

use bytes::Bytes;
use postwire_async_std::AsyncStd;
use postwire_blocking::proto::{
    BodySource, Envelope, Error, ErrorKind, Event, Outcome, Report, Stage, TraceLine, TransactionId,
};
use postwire_blocking::transport::{self, TransportConfig};
use postwire_blocking::{Socket, Stream};
use postwire_futures::Runtime as AsyncRuntime;
use postwire_smol::Smol;
use postwire_tokio::Tokio;

use crate::arguments::Runtime;
use crate::print::facts::SessionFacts;
use crate::send::interrupt::Interrupt;
use crate::send::meter::{Meter, Metered, MeteredRuntime};

/// A session that blocks the current thread.
pub(crate) struct Session {
    connection: Box<dyn Connection>,
    interrupt: Interrupt,
}

impl Session {
    /// Queues a message; its report is an event.
    pub(crate) fn enqueue(&mut self, envelope: Envelope, body: BodySource) {
        self.connection.enqueue(envelope, body);
    }

    /// Gives the next piece of a streamed message.
    pub(crate) fn body_next(&mut self, id: TransactionId, next: Option<io::Result<Bytes>>) {
        self.connection.body_next(id, next);
    }

    /// Ends the session after everything that is queued.
    pub(crate) fn begin_quit(&mut self) {
        self.connection.begin_quit();
    }

    /// Waits for the next event; `None` once the session is over.
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        self.connection.wait_for_event(&self.interrupt)
    }

    /// The current facts about the session.
    pub(crate) fn facts(&self) -> SessionFacts {
        SessionFacts::of(&self.connection)
    }
}

/// A connection of any runtime, with its session.
trait Connection: DerefMut<Target = transport::Session> {
    /// Waits for the next event; `None` once the session is over. Ctrl-C ends the session.
    fn wait_for_event(&mut self, interrupt: &Interrupt) -> Option<Event>;
}

/// No session could be opened; the facts are those of the last attempt.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) error: Error,
    pub(crate) facts: Box<SessionFacts>,
}

/// Opens a session with the configured server, over the first of its addresses that works, and
/// counts the octets on the socket. Once the session is ready, Ctrl-C ends it.
///
/// `traced` receives each line of the dialogues until then.
pub(crate) fn open(
    runtime: Runtime,
    config: &TransportConfig,
    meter: &Meter,
    interrupt: &Interrupt,
    traced: &mut dyn FnMut(&TraceLine),
) -> Result<Session, Failed> {
    let connection: Box<dyn Connection> = match runtime {
        Runtime::Blocking => Box::new(open_blocking(config, meter, interrupt, traced)?),
        Runtime::AsyncStd => Box::new(open_async(AsyncStd, config, meter, interrupt, traced)?),
        Runtime::Smol => Box::new(open_async(Smol, config, meter, interrupt, traced)?),
        Runtime::Tokio => Box::new(open_async(Tokio, config, meter, interrupt, traced)?),
    };
    Ok(Session {
        connection,
        interrupt: interrupt.clone(),
    })
}

fn open_blocking(
    config: &TransportConfig,
    meter: &Meter,
    interrupt: &Interrupt,
    traced: &mut dyn FnMut(&TraceLine),
) -> Result<postwire_blocking::Connection<Metered<Socket>>, Failed> {
    let around = |socket: Socket| {
        if let Ok(socket) = socket.try_clone() {
            // This ends a read that waits for the server.
            interrupt.replace_action(move || drop(socket.shutdown(Shutdown::Both)));
        }
        Metered::new(socket, meter.clone())
    };
    let mut facts = SessionFacts::default();
    let happened = |session: &postwire_blocking::Connection<_>, event| {
        facts = SessionFacts::of(session);
        opening(event, interrupt, traced)
    };
    let opened = postwire_blocking::Connection::open_with(config, around, happened);
    opened.map_err(|error| failed(error, facts, interrupt))
}

/// Handles an event of a session that is not ready yet.
fn opening(
    event: Event,
    interrupt: &Interrupt,
    traced: &mut dyn FnMut(&TraceLine),
) -> ControlFlow<()> {
    match event {
        Event::Trace(line) => traced(&line),
        Event::Closed(_) if interrupt.was_pressed() => return ControlFlow::Break(()),
        // There is no session while the next address is tried.
        Event::Closed(_) => interrupt.restore_action(),
        _ => {}
    }
    ControlFlow::Continue(())
}

fn failed(error: Error, facts: SessionFacts, interrupt: &Interrupt) -> Failed {
    let error = if interrupt.was_pressed() {
        Error::new(error.stage(), ErrorKind::Aborted)
    } else {
        error
    };
    let facts = Box::new(facts);
    Failed { error, facts }
}

impl<S: Stream> Connection for postwire_blocking::Connection<S> {
    fn wait_for_event(&mut self, interrupt: &Interrupt) -> Option<Event> {
        Some(match self.next_event()? {
            Event::Report(report) if interrupt.was_pressed() => Event::Report(aborted(report)),
            event => event,
        })
    }
}

/// The report after Ctrl-C: the program itself shut the socket down, which looks as if the
/// server had closed the connection, perhaps after it refused some recipients.
fn aborted(report: Report) -> Report {
    let aborted = |error: &Error| match (error.stage(), error.kind()) {
        (stage, ErrorKind::ConnectionClosed | ErrorKind::Transport(_))
        | (stage @ Stage::Rcpt, ErrorKind::Refused(_)) => {
            Some(Error::new(stage, ErrorKind::Aborted))
        }
        _ => None,
    };
    let Some(error) = report.error().and_then(aborted) else {
        return report;
    };
    let made = |outcome, recipients| Report::new(report.transaction(), outcome, recipients);
    let recipients = report.recipients().to_vec();
    match report.outcome() {
        Outcome::InDoubt(_) => made(Outcome::InDoubt(error), recipients),
        Outcome::NotSent(_) => made(Outcome::NotSent(error), recipients),
        accepted => {
            let mut report = made(accepted.clone(), recipients);
            report.merge(made(Outcome::NotSent(error), Vec::new()), iter::empty());
            report
        }
    }
}

/// A runtime that can block this thread until a future is ready.
trait BlockOn: AsyncRuntime {
    fn block_on<F: Future>(future: F) -> F::Output;
}

impl BlockOn for AsyncStd {
    fn block_on<F: Future>(future: F) -> F::Output {
        async_std::task::block_on(future)
    }
}

impl BlockOn for Smol {
    fn block_on<F: Future>(future: F) -> F::Output {
        smol::block_on(future)
    }
}

impl BlockOn for Tokio {
    fn block_on<F: Future>(future: F) -> F::Output {
        // Never dropped: its end would wait for a name that is still being resolved.
        static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            let runtime = builder.enable_all().build();
            runtime.expect("the system has event notification")
        });
        RUNTIME.block_on(future)
    }
}

type AsyncConnection<R> =
    postwire_futures::Connection<Metered<<R as AsyncRuntime>::Stream>, MeteredRuntime<R>>;

fn open_async<R: BlockOn>(
    runtime: R,
    config: &TransportConfig,
    meter: &Meter,
    interrupt: &Interrupt,
    traced: &mut dyn FnMut(&TraceLine),
) -> Result<AsyncConnection<R>, Failed> {
    let runtime = MeteredRuntime::new(runtime, meter.clone());
    let around = |socket| {
        interrupt.replace_action(|| {});
        socket
    };
    let mut facts = SessionFacts::default();
    let happened = |session: &AsyncConnection<R>, event| {
        facts = SessionFacts::of(session);
        opening(event, interrupt, traced)
    };
    let opened = R::block_on(async {
        let opening = postwire_futures::Connection::open_with(runtime, config, around, happened);
        let mut opening = pin!(opening);
        poll_fn(|cx| {
            if interrupt.poll(cx.waker()) {
                meter.cut();
            }
            opening.as_mut().poll(cx)
        })
        .await
    });
    opened.map_err(|error| failed(error, facts, interrupt))
}

impl<R: BlockOn> Connection for AsyncConnection<R> {
    fn wait_for_event(&mut self, interrupt: &Interrupt) -> Option<Event> {
        R::block_on(poll_fn(|cx| {
            if interrupt.poll(cx.waker()) {
                self.abort();
            }
            pin!(self.next_event()).poll(cx)
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::{SocketAddr, TcpListener};
    use std::thread;
    use std::time::{Duration, Instant};

    use clap::ValueEnum;
    use indicatif::ProgressBar;
    use postwire_blocking::transport::TransportBuilder;

    use super::*;

    /// A server that sends these replies, the greeting first, and then reads until the client
    /// closes.
    fn server(answers: &'static [&'static str]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                for answer in answers {
                    // The client may have closed.
                    let _ = stream.write_all(answer.as_bytes());
                    let _ = lines.next();
                }
                while let Some(Ok(_)) = lines.next() {}
            }
        });
        address
    }

    #[test]
    fn the_next_address_is_tried_by_every_runtime() {
        const REFUSES: &[&str] = &["554 not you\r\n"];
        const TAKES: &[&str] = &["220 hi\r\n", "250-hi\r\n250 SIZE 7\r\n"];
        let (bad, good) = (server(REFUSES), server(TAKES));
        for &runtime in Runtime::value_variants() {
            let begun = Instant::now();
            let meter = Meter::new(ProgressBar::hidden());
            let interrupt = Interrupt::default();
            let open = |addresses: [SocketAddr; 2], traced: &mut dyn FnMut(&TraceLine)| {
                let builder =
                    TransportBuilder::<TransportConfig>::from_url("smtp://mail.example?tls=none");
                let builder = builder
                    .unwrap()
                    .addresses(addresses)
                    .client(|client| client.trace(true));
                let config = builder.build().unwrap();
                open(runtime, &config, &meter, &interrupt, traced)
            };
            let mut lines = Vec::new();
            let opened = open([bad, good], &mut |line| lines.push(line.to_string()));
            let session = opened.unwrap();
            let facts = session.facts();
            assert!(facts.capabilities.unwrap().size().is_some());
            assert_eq!(lines[..3], ["S: 554 not you", "C: QUIT", "S: 220 hi"]);
            // Both sessions are counted.
            assert!(meter.written() > "QUIT\r\nEHLO \r\n".len() as u64);
            assert!(meter.read() >= REFUSES[0].len() as u64 + TAKES[0].len() as u64);

            let Err(failed) = open([bad, bad], &mut |_| {}) else {
                panic!("there is no such session");
            };
            assert_eq!(failed.error.stage(), Stage::Greeting);
            assert!(matches!(failed.error.kind(), ErrorKind::Refused(_)));
            // The server does not read QUIT, and the client does not wait for its reply.
            assert!(begun.elapsed() < Duration::from_secs(4));
        }
    }
}
