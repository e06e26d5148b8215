//! A whole session between a client and a server that their driver knows as trait objects only,
//! with owned chunks and completions, as a driver over completion I/O or in another language has
//! it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use postwire_proto::{
    Body, Client, ClientConfig, Credentials, Endpoint, Envelope, Event, HelloName, Instant,
    Mechanism, Misuse, Outcome, Security, TlsInfo,
};
use postwire_server::{Server, ServerConfig, ServerEvent, ServerMisuse};

type Handed = VecDeque<Bytes>;

/// Takes what `from` has to write, in owned chunks of at most `most` octets, and as borrowed
/// octets in every other round.
fn take<E>(from: &mut dyn Endpoint<Event = E>, most: usize, to: &mut Handed) {
    loop {
        let owned = from.next_chunk(most);
        if owned.is_empty() {
            return;
        }
        assert!(owned.len() <= most);
        to.push_back(owned);
        let borrowed = from.output_chunk();
        let borrowed = Bytes::copy_from_slice(&borrowed[..borrowed.len().min(most)]);
        from.advance_output(borrowed.len());
        if !borrowed.is_empty() {
            to.push_back(borrowed);
        }
    }
}

/// Completes the writes of `from`, one by one, and delivers each to `to`.
fn complete<A, B>(
    handed: &mut Handed,
    from: &mut dyn Endpoint<Event = A>,
    to: &mut dyn Endpoint<Event = B>,
) {
    while let Some(chunk) = handed.pop_front() {
        from.handle_written(Instant::EPOCH, chunk.len());
        to.handle_input(Instant::EPOCH, &chunk);
    }
}

fn tls_info() -> TlsInfo {
    TlsInfo::new("TLSv1.3", "TLS_AES_128_GCM_SHA256")
}

fn message(number: usize) -> (Envelope, String) {
    let recipient = "bob@recipient.example".parse().unwrap();
    let envelope = Envelope::new(
        Some("alice@sender.example".parse().unwrap()),
        vec![recipient],
    );
    (
        envelope.unwrap(),
        format!(
            "Subject: {number}\r\n\r\n.\r\n..dots\r\n{}\r\n",
            "line\r\n".repeat(50)
        ),
    )
}

/// Sends three messages in writes of at most `most` octets; returns what arrived.
fn run(most: usize, chunking: bool) -> Vec<Bytes> {
    let config = ClientConfig::new(HelloName::localhost(), Security::Required)
        .credentials(Credentials::new("alice", "correct horse"))
        .mechanisms(vec![Mechanism::CRAM_MD5]);
    let mut client = Client::new(Arc::new(config));
    let config = ServerConfig::new("mail.example".parse().unwrap())
        .starttls(true)
        .auth(vec![Mechanism::CRAM_MD5])
        .chunking(chunking);
    let mut server = Server::new(Arc::new(config));
    server.set_nonce(b"0123456789abcdef");
    for number in 0..3 {
        let (envelope, body) = message(number);
        client.enqueue(envelope, Body::from(body));
    }
    client.quit();
    let (mut forth, mut back) = (Handed::new(), Handed::new());
    let (mut accepted, mut arrived, mut closed) = (0, Vec::new(), false);
    for round in 0.. {
        assert!(round < 10_000, "the session does not end");
        if closed {
            break;
        }
        take(&mut client, most, &mut forth);
        complete(&mut forth, &mut client, &mut server);
        while let Some(event) = server.poll_event() {
            match event {
                ServerEvent::PasswordWanted { .. } => {
                    assert_eq!(server.accept(), Err(ServerMisuse::PasswordWanted));
                    server.password(&"correct horse".into()).unwrap();
                }
                ServerEvent::Message(received) => {
                    arrived.push(received.content);
                    server.accept().unwrap();
                }
                ServerEvent::MailFrom { .. } | ServerEvent::RcptTo { .. } | ServerEvent::Data => {
                    server.accept().unwrap();
                }
                _ => {}
            }
        }
        take(&mut server, most, &mut back);
        complete(&mut back, &mut server, &mut client);
        if client.is_awaiting_tls() {
            assert!(!client.is_authenticated() && client.tls().is_none());
            client
                .handle_tls_established(Instant::EPOCH, tls_info())
                .unwrap();
            server
                .handle_tls_established(Instant::EPOCH, tls_info())
                .unwrap();
        }
        while let Some(event) = client.poll_event() {
            match event {
                Event::Report(report) => {
                    assert!(matches!(report.outcome(), Outcome::Accepted(_)), "{report}");
                    assert_eq!(client.mechanism(), Some(Mechanism::CRAM_MD5));
                    assert!(client.is_authenticated() && client.tls().is_some());
                    accepted += 1;
                }
                Event::Closed(why) => {
                    assert_eq!(why, None);
                    closed = true;
                }
                _ => {}
            }
        }
    }
    assert_eq!(accepted, 3);
    assert!(client.is_closed() && server.is_closed());
    arrived
}

#[test]
fn a_session_of_trait_objects_delivers_the_same_octets() {
    for chunking in [false, true] {
        for most in [1, 7, 4096, usize::MAX] {
            let arrived = run(most, chunking);
            let sent: Vec<String> = (0..3).map(|number| message(number).1).collect();
            assert_eq!(arrived, sent, "at most {most} octets, chunking: {chunking}");
        }
    }
}

/// What a program calls at the wrong time is refused, and changes nothing.
#[test]
fn calls_at_the_wrong_time_are_refused() {
    let config = ClientConfig::new(HelloName::localhost(), Security::None);
    let mut client = Client::new(Arc::new(config));
    let established = client.handle_tls_established(Instant::EPOCH, tls_info());
    assert_eq!(established, Err(Misuse::NoHandshake));
    let late = client.credentials(Credentials::new("alice", "correct horse"));
    assert_eq!(late, Err(Misuse::NoCredentialsWanted));
    let (envelope, body) = message(0);
    let id = client.enqueue(envelope, Body::from(body));
    assert_eq!(
        client.body_chunk(id, Bytes::new()),
        Err(Misuse::NotStreaming)
    );
    assert_eq!(
        client.body_failed(id, Arc::new(std::io::Error::other("x"))),
        Err(Misuse::NotStreaming)
    );
    client.handle_input(Instant::EPOCH, b"220 mx.example ESMTP\r\n");
    assert_eq!(client.next_chunk(usize::MAX), "EHLO [127.0.0.1]\r\n");
    client.expire();
    assert!(client.is_closed());
    assert_eq!(client.body_end(id), Err(Misuse::NoSuchTransaction));

    let config = ServerConfig::new("mail.example".parse().unwrap());
    let mut server = Server::new(Arc::new(config));
    assert_eq!(server.accept(), Err(ServerMisuse::NoQuestion));
    assert_eq!(server.password(&"x".into()), Err(ServerMisuse::NoQuestion));
    let established = server.handle_tls_established(Instant::EPOCH, tls_info());
    assert_eq!(established, Err(ServerMisuse::NoHandshake));
    for (misuse, words) in [
        (ServerMisuse::NoQuestion, "no question is open"),
        (ServerMisuse::NoHandshake, "no TLS handshake was requested"),
    ] {
        assert_eq!(misuse.to_string(), words);
    }
    server.expire();
    assert!(server.is_closed());
}
