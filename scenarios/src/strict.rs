//! A runtime whose timers panic if they are polled after their end: the timers of some runtimes
//! do (async-std), and others hide the error.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use postwire_futures::{Runtime, SocketOptions};

/// The sockets and timers of another runtime, with checks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Strict<R>(R);

impl<R: Runtime> Runtime for Strict<R> {
    type Stream = R::Stream;
    type Sleep = StrictSleep<R::Sleep>;

    fn resolve(
        &self,
        host: &str,
        port: u16,
    ) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send {
        self.0.resolve(host, port)
    }

    fn connect(
        &self,
        address: SocketAddr,
        options: &SocketOptions,
    ) -> impl Future<Output = io::Result<R::Stream>> + Send {
        self.0.connect(address, options)
    }

    fn connect_unix(&self, path: &Path) -> impl Future<Output = io::Result<R::Stream>> + Send {
        self.0.connect_unix(path)
    }

    fn local_address(&self, stream: &R::Stream) -> Option<IpAddr> {
        self.0.local_address(stream)
    }

    fn acknowledge(&self, stream: &R::Stream) {
        self.0.acknowledge(stream);
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        StrictSleep(Some(self.0.sleep(duration)))
    }
}

/// A timer that panics if it is polled after its end.
#[derive(Debug)]
pub struct StrictSleep<S>(Option<S>);

impl<S: Future<Output = ()> + Unpin> Future for StrictSleep<S> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(sleep) = &mut self.0 else {
            panic!("a timer is polled after its end");
        };
        let polled = Pin::new(sleep).poll(cx);
        if polled.is_ready() {
            self.0 = None;
        }
        polled
    }
}
