//! A transport that several runtimes use, or that is dropped outside of all of them; the options of
//! its sockets.

use std::future::{Future, poll_fn};
use std::net::TcpListener;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use compio::runtime::Runtime;
use postwire_examples::completion::{Compio, Socket, Transport};
use postwire_futures::proto::{Envelope, Outcome, Timeouts};
use postwire_futures::tls::ServerTls;
use postwire_futures::transport::{PoolConfig, TransportBuilder};
use postwire_futures::{Runtime as _, SocketOptions};
use postwire_scenarios::server::{Embedded, config_with_all_extensions};

fn runtime() -> Runtime {
    Runtime::new().unwrap()
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
fn a_timer_ends_wherever_it_is_polled() {
    let sleep = |ms| Compio.sleep(Duration::from_millis(ms));
    let of_ended = runtime().enter(|| sleep(1));
    let of_idle_runtime = runtime();
    let of_idle = of_idle_runtime.enter(|| sleep(1));
    let awake = thread::spawn(move || {
        runtime().block_on(async {
            of_ended.await;
            of_idle.await;
        });
    });
    awake.join().unwrap();
    drop(of_idle_runtime);
}

#[test]
fn threads_share_a_transport() {
    let server = server();
    let transport = transport(&server, PoolConfig::default().max_connections(2));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let envelope = envelope();
                let send = async || {
                    let sent = transport.send(&envelope, "Subject: x\r\n\r\n").await;
                    if let Err(error) = sent {
                        // Another thread's runtime, which had the connection, has ended.
                        let outcome = error.report().outcome();
                        assert!(
                            matches!(outcome, Outcome::NotSent(_) | Outcome::InDoubt(_)),
                            "{error}"
                        );
                    }
                };
                for _ in 0..10 {
                    runtime().block_on(async {
                        for _ in 0..5 {
                            send().await;
                        }
                    });
                }
            });
        }
    });
    let accepted = transport.counters().accepted;
    println!("{accepted} of 400 accepted");
    assert!(accepted > 0);
}

#[test]
fn everything_may_be_dropped_outside_of_a_runtime() {
    let server = server();
    let pool = PoolConfig::default().idle_timeout(Duration::from_millis(1));
    let transport = transport(&server, pool);
    let runtime = runtime();
    let envelope = envelope();
    for polls in 0..20 {
        let mut sending = Box::pin(transport.send(&envelope, "Subject: x\r\n\r\n"));
        for _ in 0..polls {
            let polled = poll_fn(|cx| Poll::Ready(sending.as_mut().poll(cx).is_ready()));
            if runtime.block_on(polled) {
                break;
            }
            thread::sleep(Duration::from_millis(2));
        }
        drop(sending);
    }
    runtime.block_on(async {
        let mut reports = transport.send_all([(envelope, "Subject: x\r\n\r\n".into())]);
        assert!(reports.next().await.unwrap().is_accepted());
    });
    thread::sleep(Duration::from_millis(5));
    transport.close_idle();
    // The runtime does not run, and the connections are closed nevertheless.
    server.wait_for_open_connections(0);
    let wire = server.recording().wire;
    assert!(wire.last().unwrap().ends_with(b"QUIT\r\n"));
    runtime.block_on(send(&transport));
    drop(runtime);
    thread::sleep(Duration::from_millis(5));
    transport.close_idle();
    server.wait_for_open_connections(0);
    drop(transport);
}

#[test]
fn sockets_have_their_options() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let idle = Duration::from_secs(77);
    let options = SocketOptions::default()
        .keep_alive(Some(idle))
        .local_address(Some("127.0.0.3".parse().unwrap()));
    runtime().block_on(async {
        let stream = Compio.connect(address, &options).await.unwrap();
        let (_, peer) = listener.accept().unwrap();
        assert_eq!(peer.ip().to_string(), "127.0.0.3");
        let socket = stream.socket().as_sock_ref();
        assert!(socket.keepalive().unwrap() && socket.tcp_nodelay().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), idle);

        let plain = Compio.connect(address, &SocketOptions::default()).await;
        let plain = plain.unwrap();
        assert_eq!(Compio.local_address(&plain), Some(address.ip()));
        assert!(matches!(plain.socket(), Socket::Tcp(_)));
        assert!(!plain.socket().as_sock_ref().keepalive().unwrap());
    });
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[test]
fn the_runtime_asks_for_acknowledgements() {
    use crate::executor::{Chosen, Polling};
    use postwire_scenarios::acknowledgement::option;

    option::check::<Chosen>(|stream| stream.socket().as_sock_ref());
    option::check::<Polling>(|stream| stream.socket().as_sock_ref());
}
