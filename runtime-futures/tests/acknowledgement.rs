//! The driver asks for an acknowledgement where the server may wait for one, and nowhere else.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::future::{Future, Pending, pending};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use postwire_futures::proto::{Body, Envelope, Error};
use postwire_futures::{Connection, Runtime, SocketOptions};
use postwire_scenarios::acknowledgement::{Wire, check};

/// A runtime with one stream, whose timers never end.
#[derive(Clone)]
struct OneStream(Wire);

impl Runtime for OneStream {
    type Stream = Wire;
    type Sleep = Pending<()>;

    async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn connect(&self, _: SocketAddr, _: &SocketOptions) -> io::Result<Wire> {
        Ok(self.0.clone())
    }

    fn acknowledge(&self, stream: &Wire) {
        stream.acknowledge();
    }

    fn sleep(&self, _: Duration) -> Pending<()> {
        pending()
    }
}

fn finish<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..1_000 {
        if let Poll::Ready(done) = future.as_mut().poll(&mut cx) {
            return done;
        }
    }
    panic!("the future waits");
}

async fn send_twice(
    opened: impl Future<Output = Result<Connection<Wire, OneStream>, Error>>,
    envelope: &Envelope,
    body: Body,
) {
    let mut connection = opened.await.unwrap();
    for _ in 0..2 {
        let report = connection.send(envelope, body.clone()).await.unwrap();
        assert!(report.is_accepted());
    }
    connection.quit().await.unwrap();
}

#[test]
fn an_acknowledgement_is_asked_for_where_the_server_may_wait_for_it() {
    check(|config, wire, envelope, body| {
        let opened = Connection::open(OneStream(wire), config);
        finish(send_twice(opened, envelope, body));
    });
    check(|config, wire, envelope, body| {
        let connected = Connection::connect(OneStream(wire), config);
        finish(send_twice(connected, envelope, body));
    });
}
