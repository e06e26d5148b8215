//! A transport that several runtimes use, or that is dropped outside of all of them; the options
//! of its sockets.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use postwire_scenarios::server::{Embedded, config_with_all_extensions};
use postwire_tokio::proto::{Envelope, Outcome, Timeouts};
use postwire_tokio::tls::ServerTls;
use postwire_tokio::transport::{PoolConfig, TransportBuilder};
use postwire_tokio::{Runtime as _, Socket, SocketOptions, Tokio, Transport};
use socket2::SockRef;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

fn runtime() -> Runtime {
    let builder = Builder::new_current_thread().enable_all().build();
    builder.unwrap()
}

fn server() -> Embedded {
    Embedded::start(config_with_all_extensions(), ServerTls::None)
}

fn transport(server: &Embedded, pool: PoolConfig) -> Transport {
    let url = format!("smtp://127.0.0.1:{}?tls=none", server.port());
    let builder = TransportBuilder::from_url(url).unwrap();
    let timeouts = Timeouts::default().capped(Duration::from_secs(1));
    builder
        .pool_config(pool)
        .timeouts(timeouts)
        .build()
        .unwrap()
}

fn envelope() -> Envelope {
    Envelope::new(None, vec!["bob@r.example".parse().unwrap()]).unwrap()
}

async fn send(transport: &Transport) {
    let report = transport.send(&envelope(), "Subject: x\r\n\r\n").await;
    assert!(report.unwrap().is_accepted());
}

#[test]
fn a_runtime_that_has_ended_leaves_nothing_that_counts() {
    let server = server();
    let transport = transport(&server, PoolConfig::default());
    for _ in 0..5 {
        // As programs do whose tests have a runtime each.
        runtime().block_on(send(&transport));
    }
    assert_eq!(server.recording().stored.len(), 5);
}

#[test]
fn a_runtime_that_nobody_runs_does_not_stop_the_time() {
    let server = server();
    let pool = PoolConfig::default().max_connections(1);
    let transport = transport(&server, pool);
    let (asleep, awake) = (runtime(), runtime());
    asleep.block_on(send(&transport));
    // The connection was opened in the other runtime, so no reply is seen here.
    let waiting = async {
        let (sleep, envelope) = (Tokio.sleep(Duration::from_secs(30)), envelope());
        let sent = transport.send(&envelope, "Subject: x\r\n\r\n");
        let (mut sent, mut sleep) = (pin!(sent), pin!(sleep));
        poll_fn(|cx| {
            assert!(sleep.as_mut().poll(cx).is_pending(), "it waits forever");
            sent.as_mut().poll(cx).map(drop)
        })
        .await;
    };
    awake.block_on(waiting);
}

#[test]
fn runtimes_that_end_at_any_time() {
    let server = server();
    let transport = transport(&server, PoolConfig::default().max_connections(2));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let envelope = envelope();
                for _ in 0..50 {
                    let sent = transport.send(&envelope, "Subject: x\r\n\r\n");
                    if let Err(error) = runtime().block_on(sent) {
                        // Another thread's runtime, which had the connection, has ended.
                        let outcome = error.report().outcome();
                        assert!(
                            matches!(outcome, Outcome::NotSent(_) | Outcome::InDoubt(_)),
                            "{error}"
                        );
                    }
                }
            });
        }
    });
}

#[test]
fn everything_may_be_dropped_outside_of_a_runtime() {
    let server = server();
    let pool = PoolConfig::default().idle_timeout(Duration::from_millis(1));
    let transport = transport(&server, pool);
    let runtime = runtime();
    let envelope = envelope();
    for polls in 0..6 {
        let mut sending = Box::pin(transport.send(&envelope, "Subject: x\r\n\r\n"));
        for _ in 0..polls {
            let polled = poll_fn(|cx| Poll::Ready(sending.as_mut().poll(cx).is_ready()));
            if runtime.block_on(polled) {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        drop(sending);
    }
    runtime.block_on(async {
        let mut reports = transport.send_all([(envelope, "Subject: x\r\n\r\n".into())]);
        assert!(reports.next().await.unwrap().is_accepted());
    });
    thread::sleep(Duration::from_millis(5));
    transport.close_idle();
    server.wait_for_open_connections(0);
    runtime.block_on(send(&transport));
    drop(runtime);
    thread::sleep(Duration::from_millis(5));
    transport.close_idle();
    server.wait_for_open_connections(0);
    drop(transport);
}

#[tokio::test]
async fn sockets_have_their_options() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let idle = Duration::from_secs(77);
    let options = SocketOptions::default()
        .keep_alive(Some(idle))
        .local_address(Some("127.0.0.3".parse().unwrap()));
    let Socket::Tcp(stream) = Tokio.connect(address, &options).await.unwrap() else {
        panic!("not a TCP socket");
    };
    let (_, peer) = listener.accept().await.unwrap();
    assert_eq!(peer.ip().to_string(), "127.0.0.3");
    let socket = SockRef::from(stream.get_ref());
    assert!(socket.keepalive().unwrap() && socket.tcp_nodelay().unwrap());
    assert_eq!(socket.tcp_keepalive_time().unwrap(), idle);

    let plain = Tokio.connect(address, &SocketOptions::default()).await;
    let plain = plain.unwrap();
    assert_eq!(Tokio.local_address(&plain), Some(address.ip()));
    let Socket::Tcp(stream) = plain else {
        panic!("not a TCP socket");
    };
    assert!(!SockRef::from(stream.get_ref()).keepalive().unwrap());
}
