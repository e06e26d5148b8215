//! The driver asks for an acknowledgement where the server may wait for one, and nowhere else.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use postwire_blocking::Connection;
use postwire_scenarios::acknowledgement::check;

#[test]
fn an_acknowledgement_is_asked_for_where_the_server_may_wait_for_it() {
    check(|config, wire, envelope, body| {
        let mut connection = Connection::over(wire, config);
        for _ in 0..2 {
            let report = connection.send(envelope, body.clone()).unwrap();
            assert!(report.is_accepted());
        }
        connection.quit().unwrap();
    });
}

/// A server with Nagle's algorithm, which has sent the first half of a reply, sends the other half
/// once the first is acknowledged.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[test]
fn the_option_is_set_while_the_client_waits() {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread;
    use std::time::{Duration, Instant};

    use postwire_blocking::transport::{TransportBuilder, TransportConfig};
    use socket2::SockRef;

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let of_client = client.try_clone().unwrap();
    let server = thread::spawn(move || {
        let (mut server, _) = listener.accept().unwrap();
        let option = SockRef::from(&of_client);
        server.write_all(b"220 hi\r\n").unwrap();
        assert!(server.read(&mut [0; 64]).unwrap() > 0);
        option.set_tcp_quickack(false).unwrap();
        assert!(!option.tcp_quickack().unwrap());
        server.write_all(b"250-hi\r\n").unwrap();
        let begun = Instant::now();
        while !option.tcp_quickack().unwrap() {
            assert!(begun.elapsed() < Duration::from_secs(20), "it is never set");
            thread::sleep(Duration::from_millis(1));
        }
        server.write_all(b"250 SIZE 7\r\n").unwrap();
    });
    let config: TransportConfig = TransportBuilder::unencrypted_localhost().build().unwrap();
    Connection::over(client, &config).ready().unwrap();
    server.join().unwrap();
}
