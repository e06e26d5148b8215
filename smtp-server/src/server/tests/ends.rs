//! Tests of clients that do not speak SMTP, of the end of the server, and of the trace of replies.

use super::*;

#[test]
fn other_protocols_end_the_session() {
    play(
        config(),
        &["
        S: 220 mx.example ESMTP ready
        C: POST / HTTP/1.1
        S: 421 4.7.0 this is an SMTP server, closing
        Q: closed: an HTTP request instead of a command
        C: EHLO me
        "],
    );
    play(
        config(),
        &["
        S: 220 mx.example ESMTP ready
        c: \\x16\\x03\\x01
        S: 421 4.7.0 this is an SMTP server, closing
        Q: closed: a TLS handshake where a command should be
        c: \\x02\\0\\n
        "],
    );
    // Within content and within a line these octets mean nothing.
    play(
        config(),
        &[
            HELLO,
            "
            c: NOOP \\x16\\r\\n
            S: 500 5.5.2 control character or invalid UTF-8 refused
            ",
            ENVELOPE,
            "
            C: DATA
            Q: data
            A: yes
            S: 354 end data with <CRLF>.<CRLF>
            c: \\x16\\r\\nGET / HTTP/1.1\\r\\n.\\r\\n
            Q: message <a@b.example> <c@d.example> \\x16\\r\\nGET / HTTP/1.1\\r\\n
            A: yes
            S: 250 2.0.0 message accepted
            ",
        ],
    );
}

#[test]
fn the_end_of_the_server_is_said() {
    let last = |server: &mut Server| {
        server.shut_down();
        server.shut_down();
        let mut output = server.output();
        let octets = output.copy_to_bytes(output.remaining());
        drop(output);
        assert_eq!(server.poll_event(), Some(ServerEvent::Closed(None)));
        assert_eq!(server.poll_event(), None);
        assert!(server.is_closed());
        String::from_utf8_lossy(&octets).into_owned()
    };
    let said = "421 4.3.2 shutting down, try later\r\n";
    let mut server = Server::new(Arc::new(config()));
    assert!(last(&mut server).ends_with(said));
    // In the middle of a question, whose answer no longer matters.
    let mut server = Server::new(Arc::new(config()));
    server.handle_input(Instant::EPOCH, b"HELO me\r\nMAIL FROM:<>\r\n");
    assert!(matches!(
        server.poll_event(),
        Some(ServerEvent::MailFrom { .. })
    ));
    assert!(last(&mut server).ends_with(said));
    assert_eq!(server.accept(), Ok(()));
    assert!(!server.output().has_remaining());
    // Where TLS is to begin, the client cannot read it.
    let mut server = Server::wrapped(Arc::new(config()));
    assert_eq!(server.poll_event(), Some(ServerEvent::StartTls));
    assert_eq!(last(&mut server), "");
}

#[test]
fn auth_is_not_offered_where_tls_is_required_first() {
    let config = config()
        .starttls(true)
        .require_tls(true)
        .auth([Mechanism::PLAIN])
        .auth_in_plaintext(true);
    let offered = |server: &mut Server| {
        server.handle_input(Instant::EPOCH, b"EHLO me\r\n");
        let mut output = server.output();
        let octets = output.copy_to_bytes(output.remaining());
        String::from_utf8_lossy(&octets).contains("250 AUTH PLAIN")
    };
    let config = Arc::new(config);
    assert!(!offered(&mut Server::new(Arc::clone(&config))));
    let tls = postwire_proto::TlsInfo::new("TLSv1.3", "a cipher");
    assert!(offered(&mut Server::new_tls(config, tls)));
}

#[test]
fn replies_are_traced_in_order_with_commands() {
    let config = config()
        .trace(true)
        .trace_replies(true)
        .auth([Mechanism::LOGIN])
        .auth_in_plaintext(true)
        .enhanced_status_codes(false);
    let mut player = Player::new(Server::new(Arc::new(config)), usize::MAX);
    player.input(b"HELO me\r\nNOOP\r\nMAIL FROM:<a@b>\r\n");
    player.take_output();
    player.output.clear();
    player.play(&["
        Q: reply 220 mx.example ESMTP ready
        Q: command HELO me
        Q: reply 250 mx.example greets me
        Q: command NOOP
        Q: reply 250 ok
        Q: command MAIL FROM:<a@b>
        Q: mail <a@b>
        A: 451 later
        S: 451 later
        Q: reply 451 later
        C: POST / HTTP/1.1
        S: 421 this is an SMTP server, closing
        Q: command POST / HTTP/1.1
        Q: reply 421 this is an SMTP server, closing
        Q: closed: an HTTP request instead of a command
        "]);
}
