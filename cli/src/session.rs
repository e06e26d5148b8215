//! One session with a server, whatever moves its bytes.
//!
//! Knows the runtimes. Must never know what is sent, or what comes of it: a
//! command sees no difference between them.

use std::future::{Future, poll_fn};
use std::io;
use std::net::Shutdown;
use std::pin::pin;

use bytes::Bytes;
use postwire_async_std::AsyncStd;
use postwire_blocking::proto::{
    Body, Capabilities, Envelope, Error, Event, Reply, TlsInfo, TransactionId,
};
use postwire_blocking::tls::TransportConfig;
use postwire_blocking::{Socket, Stream};
use postwire_futures::Runtime as AsyncRuntime;
use postwire_smol::Smol;

use crate::arguments::Runtime;
use crate::interrupt::Interrupt;
use crate::meter::{Meter, Metered};

/// A session that is waited for on this thread.
pub(crate) trait Session {
    /// Queues a message; its report is an event.
    fn enqueue(&mut self, envelope: Envelope, body: Body);

    /// The next piece of a message whose octets were not at hand.
    fn body_next(&mut self, id: TransactionId, next: Option<io::Result<Bytes>>);

    /// Leaves once everything queued is done.
    fn begin_quit(&mut self);

    /// Waits for the next thing that happens; `None` once the session is over.
    fn next_event(&mut self) -> Option<Event>;

    /// The TLS session, once it stands.
    fn tls(&self) -> Option<&TlsInfo>;

    /// What the server said first.
    fn greeting(&self) -> Option<&Reply>;

    /// What the server offers.
    fn capabilities(&self) -> Option<&Capabilities>;
}

/// Connects to the configured server, and counts what goes over the socket. Once
/// it is connected, Ctrl-C ends the session.
pub(crate) fn connect(
    runtime: Runtime,
    config: &TransportConfig,
    meter: Meter,
    interrupt: &Interrupt,
) -> Result<Box<dyn Session>, Error> {
    Ok(match runtime {
        Runtime::Blocking => {
            let metered = |socket: Socket| {
                if let Ok(socket) = socket.try_clone() {
                    // A read that waits in vain then ends.
                    interrupt.instead(move || drop(socket.shutdown(Shutdown::Both)));
                }
                Metered::new(socket, meter)
            };
            Box::new(postwire_blocking::Connection::connect_with(
                config, metered,
            )?)
        }
        Runtime::AsyncStd => Box::new(connect_async(AsyncStd, config, meter, interrupt)?),
        Runtime::Smol => Box::new(connect_async(Smol, config, meter, interrupt)?),
    })
}

impl<S: Stream> Session for postwire_blocking::Connection<S> {
    fn enqueue(&mut self, envelope: Envelope, body: Body) {
        self.enqueue(envelope, body);
    }

    fn body_next(&mut self, id: TransactionId, next: Option<io::Result<Bytes>>) {
        self.body_next(id, next);
    }

    fn begin_quit(&mut self) {
        self.begin_quit();
    }

    fn next_event(&mut self) -> Option<Event> {
        self.next_event()
    }

    fn tls(&self) -> Option<&TlsInfo> {
        self.tls()
    }

    fn greeting(&self) -> Option<&Reply> {
        self.greeting()
    }

    fn capabilities(&self) -> Option<&Capabilities> {
        self.capabilities()
    }
}

/// A runtime that can hold this thread until a future is ready.
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

/// A session on an async runtime.
struct AsyncSession<R: AsyncRuntime> {
    connection: postwire_futures::Connection<Metered<R::Stream>, R>,
    interrupt: Interrupt,
}

fn connect_async<R: BlockOn>(
    runtime: R,
    config: &TransportConfig,
    meter: Meter,
    interrupt: &Interrupt,
) -> Result<AsyncSession<R>, Error> {
    let metered = |socket| Metered::new(socket, meter);
    let connecting = postwire_futures::Connection::connect_with(runtime, config, metered);
    let connection = R::block_on(connecting)?;
    interrupt.instead(|| {});
    Ok(AsyncSession {
        connection,
        interrupt: interrupt.clone(),
    })
}

impl<R: BlockOn> Session for AsyncSession<R> {
    fn enqueue(&mut self, envelope: Envelope, body: Body) {
        self.connection.enqueue(envelope, body);
    }

    fn body_next(&mut self, id: TransactionId, next: Option<io::Result<Bytes>>) {
        self.connection.body_next(id, next);
    }

    fn begin_quit(&mut self) {
        self.connection.begin_quit();
    }

    fn next_event(&mut self) -> Option<Event> {
        R::block_on(poll_fn(|cx| {
            if self.interrupt.poll(cx.waker()) {
                self.connection.abort();
            }
            pin!(self.connection.next_event()).poll(cx)
        }))
    }

    fn tls(&self) -> Option<&TlsInfo> {
        self.connection.tls()
    }

    fn greeting(&self) -> Option<&Reply> {
        self.connection.greeting()
    }

    fn capabilities(&self) -> Option<&Capabilities> {
        self.connection.capabilities()
    }
}
