//! A proxy.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use postwire_scenarios::server::{Embedded, config_with_all_extensions};

/// A proxy for one client, which connects where it is told to.
fn proxy() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut greeting = [0; 3];
        client.read_exact(&mut greeting).unwrap();
        assert_eq!(greeting, [5, 1, 0]);
        client.write_all(&[5, 0]).unwrap();
        let mut request = [0; 5];
        client.read_exact(&mut request).unwrap();
        assert_eq!(request[..4], [5, 1, 0, 3]);
        let mut address = vec![0; usize::from(request[4]) + 2];
        client.read_exact(&mut address).unwrap();
        let (host, port) = address.split_at(address.len() - 2);
        let port = u16::from_be_bytes([port[0], port[1]]);
        let server = TcpStream::connect((str::from_utf8(host).unwrap(), port)).unwrap();
        client.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0]).unwrap();
        let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server);
        let (mut from_server, mut to_client) = (to_server.try_clone().unwrap(), client);
        std::thread::spawn(move || std::io::copy(&mut from_server, &mut to_client));
        let _ = std::io::copy(&mut from_client, &mut to_server);
    });
    port
}

#[test]
fn through_a_proxy() {
    let server = Embedded::start(
        config_with_all_extensions(),
        postwire_scenarios::plaintext(),
    );
    let url = format!("smtp://127.0.0.1:{}?tls=none", server.port());
    let sent = std::process::Command::new(env!("CARGO_BIN_EXE_socks5"))
        .args([&format!("127.0.0.1:{}", proxy()), &url])
        .args(["alice@example.org", "bob@example.net"])
        .output()
        .unwrap();
    assert!(sent.status.success(), "{sent:?}");
    assert_eq!(server.recording().stored.len(), 1);
}
