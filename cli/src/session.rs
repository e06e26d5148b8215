//! One session with a server, whatever moves its bytes.
//!
//! Knows the runtimes. Must never know what is sent, or what comes of it: a
//! command sees no difference between them.

use std::future::Future;

use postwire_async_std::AsyncStd;
use postwire_blocking::Stream;
use postwire_blocking::proto::{Body, Envelope, Error, Event, TlsInfo};
use postwire_blocking::tls::TransportConfig;
use postwire_futures::Runtime as AsyncRuntime;
use postwire_smol::Smol;

use crate::arguments::Runtime;
use crate::meter::{Meter, Metered};

/// A session that is waited for on this thread.
pub(crate) trait Session {
    /// Queues a message; its report is an event.
    fn enqueue(&mut self, envelope: Envelope, body: Body);

    /// Leaves once everything queued is done.
    fn begin_quit(&mut self);

    /// Waits for the next thing that happens; `None` once the session is over.
    fn next_event(&mut self) -> Option<Event>;

    /// The TLS session, once it stands.
    fn tls(&self) -> Option<&TlsInfo>;
}

/// Connects to the configured server, and counts what goes over the socket.
pub(crate) fn connect(
    runtime: Runtime,
    config: &TransportConfig,
    meter: Meter,
) -> Result<Box<dyn Session>, Error> {
    Ok(match runtime {
        Runtime::Blocking => {
            let metered = |socket| Metered::new(socket, meter);
            Box::new(postwire_blocking::Connection::connect_with(
                config, metered,
            )?)
        }
        Runtime::AsyncStd => Box::new(connect_async(AsyncStd, config, meter)?),
        Runtime::Smol => Box::new(connect_async(Smol, config, meter)?),
    })
}

impl<S: Stream> Session for postwire_blocking::Connection<S> {
    fn enqueue(&mut self, envelope: Envelope, body: Body) {
        self.enqueue(envelope, body);
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

type AsyncConnection<R> = postwire_futures::Connection<Metered<<R as AsyncRuntime>::Stream>, R>;

fn connect_async<R: BlockOn>(
    runtime: R,
    config: &TransportConfig,
    meter: Meter,
) -> Result<AsyncConnection<R>, Error> {
    let metered = |socket| Metered::new(socket, meter);
    R::block_on(AsyncConnection::connect_with(runtime, config, metered))
}

impl<R: BlockOn> Session for AsyncConnection<R> {
    fn enqueue(&mut self, envelope: Envelope, body: Body) {
        self.enqueue(envelope, body);
    }

    fn begin_quit(&mut self) {
        self.begin_quit();
    }

    fn next_event(&mut self) -> Option<Event> {
        R::block_on(self.next_event())
    }

    fn tls(&self) -> Option<&TlsInfo> {
        self.tls()
    }
}
