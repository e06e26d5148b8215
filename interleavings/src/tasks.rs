//! The program of `postwire-futures`: each thread executes a task, whose sends are polled too often,
//! dropped early, and paused.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use postwire_futures::{Runtime, Transport};
use postwire_transport::proto::{Body, Report};
use postwire_transport::{Counters, SocketOptions};
use postwire_worlds::messages::Message;
use shuttle::future::{block_on, yield_now};

use crate::network::{Network, Wire};
use crate::upset;
use crate::world::{Program, World};

/// Tasks that share a transport.
#[derive(Debug)]
pub struct Tasks(Transport<InMemory>);

/// A runtime whose sockets are wires in memory, and whose timers never end.
#[derive(Clone, Debug)]
pub struct InMemory(Arc<Network>);

impl Runtime for InMemory {
    type Stream = Wire;
    type Sleep = std::future::Pending<()>;

    async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn connect(&self, _: SocketAddr, _: &SocketOptions) -> io::Result<Wire> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn connect_unix(&self, _: &Path) -> io::Result<Wire> {
        yield_now().await;
        Wire::connect(&self.0)
    }

    fn sleep(&self, _: Duration) -> Self::Sleep {
        std::future::pending()
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Wire::poll_read(&self, cx.waker(), into)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Wire::poll_write(&self, cx.waker(), &[io::IoSlice::new(octets)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Wire::poll_write(&self, cx.waker(), slices)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A waker of an executor that panics at times. Each poll has another one.
struct Fragile(Waker);

impl Wake for Fragile {
    fn wake(self: Arc<Self>) {
        self.0.wake_by_ref();
        upset::may_panic_in_waker();
    }
}

/// Polls a future until it is ready, or for so many times that it is left then.
async fn stay<T>(polls: Option<usize>, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(|cx| {
        match &mut left {
            Some(0) => return Poll::Ready(None),
            Some(polls) => *polls -= 1,
            None => {}
        }
        upset::may_unwind();
        let waker = Waker::from(Arc::new(Fragile(cx.waker().clone())));
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        if polled.is_pending() && left == Some(0) {
            // The future is dropped later, and not while it is polled.
            cx.waker().wake_by_ref();
        }
        polled.map(Some)
    })
    .await
}

impl Tasks {
    /// Sends each message by a future of its own, in one task that polls all of them each time.
    async fn send_together(&self, world: &World, messages: &[Message]) {
        let sends = messages.iter().map(|message| {
            let body = Body::from(message.content.clone());
            let sent = self.0.send(&message.envelope, body);
            let polls = world.network.once_in(4).then(|| world.network.below(6));
            Box::pin(async move {
                if let Some(sent) = stay(polls, sent).await {
                    world.sent(message, sent);
                }
            })
        });
        let mut sends: Vec<_> = sends.map(Some).collect();
        std::future::poll_fn(|cx| {
            for slot in &mut sends {
                if let Some(send) = slot
                    && send.as_mut().poll(cx).is_ready()
                {
                    *slot = None;
                }
            }
            let is_done = sends.iter().all(Option::is_none);
            if is_done {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// Sends several messages, pauses at times, and leaves early at times.
    async fn send_all(&self, world: &World, messages: &[Message]) {
        let all: Vec<_> = messages
            .iter()
            .map(|message| {
                (
                    message.envelope.clone(),
                    Body::from(message.content.clone()),
                )
            })
            .collect();
        let mut reports = self.0.send_all(all);
        let mut due = messages.iter();
        while due.len() > 0 {
            let polls = world.network.once_in(3).then(|| world.network.below(5));
            match stay(polls, reports.next()).await {
                Some(Some(report)) => {
                    if let Some(message) = due.next() {
                        world.reported(message, &report);
                    }
                }
                Some(None) => panic!("a message has no report"),
                None if world.network.once_in(2) => return,
                None => yield_now().await,
            }
        }
    }
}

impl Program for Tasks {
    fn new(world: &World) -> Self {
        let runtime = InMemory(Arc::clone(&world.network));
        Self(Transport::new(runtime, world.config.clone()))
    }

    fn send(&self, world: &World, messages: &[Message]) {
        if messages.len() > 1 && world.network.once_in(2) {
            block_on(self.send_all(world, messages));
        } else {
            block_on(self.send_together(world, messages));
        }
    }

    fn clean_up(&self) -> Vec<Report> {
        self.0.close_idle();
        self.0.abandoned()
    }

    fn shut_down(&self) -> Vec<Report> {
        block_on(self.0.shutdown())
    }

    fn counters(&self) -> Counters {
        self.0.counters()
    }
}
