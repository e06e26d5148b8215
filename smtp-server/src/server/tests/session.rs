//! Greeting, order, TLS, time and the end.

use super::*;
use postwire_proto::TransportError;

#[test]
fn a_session_has_a_greeting_and_a_goodbye() {
    play(
        config(),
        &[
            EHLO,
            "
            C: NOOP
            S: 250 2.0.0 ok
            C: HELP
            S: 214 2.0.0 see RFC 5321
            C: VRFY someone
            S: 252 2.5.0 send a message and see
            C: EXPN list
            S: 502 5.5.1 command not implemented
            C: RSET
            S: 250 2.0.0 ok
            c: QUIT\\r\\nNOOP\\r\\n
            S: 221 2.0.0 goodbye
            Q: closed
            C: NOOP
            ",
        ],
    );
}

#[test]
fn the_configured_extensions_are_offered() {
    let config = config()
        .pipelining(false)
        .chunking(false)
        .smtp_utf8(false)
        .dsn(false)
        .enhanced_status_codes(false)
        .size(None)
        .capability("LIMITS RCPTMAX=10\r\n250 X");
    play(
        config,
        &["
        S: 220 mx.example ESMTP ready
        C: EHLO me
        S: 250-mx.example greets me
        S: 250-8BITMIME
        S: 250 LIMITS RCPTMAX=10  250 X
        C: NOOP
        S: 250 ok
        "],
    );
}

#[test]
fn commands_out_of_order_are_refused() {
    play(
        config().auth([Mechanism::PLAIN]).auth_in_plaintext(true),
        &["
        S: 220 mx.example ESMTP ready
        C: MAIL FROM:<a@b>
        S: 503 5.5.1 send EHLO first
        C: RCPT TO:<a@b>
        S: 503 5.5.1 send EHLO first
        C: DATA
        S: 503 5.5.1 send EHLO first
        C: AUTH PLAIN =
        S: 503 5.5.1 send EHLO first
        C: LHLO me
        S: 500 5.5.1 unknown command
        C: HELO me
        S: 250 mx.example greets me
        C: RCPT TO:<a@b>
        S: 503 5.5.1 MAIL first
        C: DATA
        S: 503 5.5.1 MAIL first
        C: MAIL FROM:<a@b> SIZE=1
        S: 555 5.5.4 parameter not offered
        C: MAIL FROM:<>
        Q: mail <>
        A: yes
        S: 250 2.1.0 sender ok
        C: MAIL FROM:<>
        S: 503 5.5.1 a transaction is open
        C: AUTH PLAIN =
        S: 503 5.5.1 send EHLO first
        C: DATA
        S: 503 5.5.1 no valid recipients
        C: RSET
        S: 250 2.0.0 ok
        C: DATA
        S: 503 5.5.1 MAIL first
        C: STARTTLS
        S: 502 5.5.1 command not implemented
        C: FROB
        S: 500 5.5.1 unknown command
        C: RSET now
        S: 501 5.5.4 syntax error in the arguments
        "],
    );
}

#[test]
fn hello_ends_a_transaction() {
    play(
        config(),
        &[
            HELLO,
            ENVELOPE,
            "
            C: HELO me
            S: 250 mx.example greets me
            C: DATA
            S: 503 5.5.1 MAIL first
            ",
        ],
    );
}

#[test]
fn lines_that_are_too_long_are_skipped() {
    let noop = |octets: usize| format!("C: NOOP {}", "x".repeat(octets - "NOOP \r\n".len()));
    play(
        config().max_line(64),
        &[
            HELLO,
            &noop(64),
            "S: 250 2.0.0 ok",
            &noop(65),
            "S: 500 5.5.2 line too long",
            &noop(5_000),
            "S: 500 5.5.2 line too long",
            &noop(10),
            "S: 250 2.0.0 ok",
        ],
    );
}

#[test]
fn a_bare_line_feed_ends_the_session() {
    play(
        config(),
        &[
            HELLO,
            "
            c: NOOP\\nNOOP\\r\\n
            S: 500 5.5.2 bare line feed refused, lines end in CRLF
            Q: closed: a bare line feed in a command
            ",
        ],
    );
    play(
        config(),
        &[
            HELLO,
            "
            c: NOOP\\rRSET\\r\\n
            S: 500 5.5.2 control character or invalid UTF-8 refused
            c: NOOP \\0\\r\\n
            S: 500 5.5.2 control character or invalid UTF-8 refused
            c: NOOP \\xff\\r\\n
            S: 500 5.5.2 control character or invalid UTF-8 refused
            ",
        ],
    );
}

const STARTTLS: &str = "
    S: 220 mx.example ESMTP ready
    C: EHLO me
    S: 250-mx.example greets me
    S: 250-PIPELINING
    S: 250-CHUNKING
    S: 250-8BITMIME
    S: 250-BINARYMIME
    S: 250-SMTPUTF8
    S: 250-DSN
    S: 250-ENHANCEDSTATUSCODES
    S: 250-STARTTLS
    S: 250 SIZE 52428800
    C: STARTTLS
    S: 220 2.0.0 ready to start TLS
    Q: starttls
";

fn tls() -> TlsInfo {
    TlsInfo::new("TLSv1.3", "TLS13_AES_128_GCM_SHA256")
}

#[test]
fn tls_discards_what_was_learnt_before() {
    let config = config().starttls(true).require_auth(true);
    let mut player = Player::new(Server::new(Arc::new(config)), usize::MAX);
    assert_eq!(
        player.server.handle_tls_established(Instant::EPOCH, tls()),
        Err(ServerMisuse::NoHandshake)
    );
    player.play(&[STARTTLS]);
    assert!(player.server.is_awaiting_tls());
    let established = player.server.handle_tls_established(Instant::EPOCH, tls());
    assert_eq!(established, Ok(()));
    assert_eq!(player.server.tls(), Some(&tls()));
    player.play(&["
        C: MAIL FROM:<a@b>
        S: 503 5.5.1 send EHLO first
        C: HELO me
        S: 250 mx.example greets me
        C: STARTTLS
        S: 503 5.5.1 already under TLS
        C: MAIL FROM:<a@b>
        S: 530 5.7.0 authentication required
        "]);
}

#[test]
fn tls_can_come_first() {
    let mut player = Player::new(Server::wrapped(Arc::new(config())), usize::MAX);
    player.play(&["Q: starttls"]);
    let established = player.server.handle_tls_established(Instant::EPOCH, tls());
    assert_eq!(established, Ok(()));
    let message = "
        C: DATA
        Q: data
        A: yes
        S: 354 end data with <CRLF>.<CRLF>
        C: .
        Q: message <a@b.example> <c@d.example>  in TLSv1.3
        A: yes
        S: 250 2.0.0 message accepted
        ";
    player.play(&[HELLO, ENVELOPE, message]);
    let server = || Server::new_tls(Arc::new(config()), tls());
    play_on(server, &[HELLO, ENVELOPE, message]);
}

#[test]
fn plaintext_after_starttls_ends_the_session() {
    let injected = STARTTLS.replace("C: STARTTLS", "c: STARTTLS\\r\\nRSET\\r\\n");
    let closed = "Q: closed: plaintext after STARTTLS (possibly an injection)";
    play(config().starttls(true), &[&injected, closed]);
    play(
        config().starttls(true),
        &[STARTTLS, "c: \\x16", closed, "C: NOOP"],
    );
    let mut server = Server::new(Arc::new(config().starttls(true)));
    server.handle_input(Instant::EPOCH, b"STARTTLS\r\nX");
    assert!(server.is_closed());
    assert_eq!(server.handle_tls_established(Instant::EPOCH, tls()), Ok(()));
    assert_eq!(server.tls(), None);
}

#[test]
fn tls_can_be_demanded() {
    let config = config().starttls(true).require_tls(true);
    play(
        config,
        &["
        S: 220 mx.example ESMTP ready
        C: HELO me
        S: 530 5.7.0 must issue a STARTTLS command first
        C: NOOP
        S: 250 2.0.0 ok
        C: MAIL FROM:<a@b>
        S: 530 5.7.0 must issue a STARTTLS command first
        C: BDAT 6 LAST
        c: QUIT\\r\\n
        S: 530 5.7.0 must issue a STARTTLS command first
        C: QUIT
        S: 221 2.0.0 goodbye
        Q: closed
        "],
    );
}

#[test]
fn questions_pause_pipelined_input() {
    play(
        config(),
        &[
            HELLO,
            "
            c: MAIL FROM:<a@b>\\r\\nRCPT TO:<c@d>\\r\\nRCPT TO:<e@f>\\r\\nDATA\\r\\nfirst\\r\\n.\\r\\nQUIT\\r\\n
            Q: mail <a@b>
            A: 250 fine
            S: 250 fine
            Q: rcpt <c@d>
            A: 550 5.1.1 nobody here
            S: 550 5.1.1 nobody here
            Q: rcpt <e@f>
            A: yes
            S: 250 2.1.5 recipient ok
            Q: data
            A: yes
            S: 354 end data with <CRLF>.<CRLF>
            Q: message <a@b> <e@f> first\\r\\n
            A: 451 4.3.0 later
            S: 451 4.3.0 later
            S: 221 2.0.0 goodbye
            Q: closed
            ",
        ],
    );
}

#[test]
fn waiting_input_is_bounded() {
    let mail = "C: MAIL FROM:<a@b>\nQ: mail <a@b>";
    let mut player = Player::new(
        Server::new(Arc::new(config().max_waiting_input(100))),
        usize::MAX,
    );
    player.play(&[HELLO, mail]);
    assert!(player.server.is_awaiting_answer());
    player.input(&[b'x'; 100]);
    assert!(!player.server.is_closed());
    player.input(b"x");
    player.play(&[
        "S: 421 4.7.0 too much input, closing\nQ: closed: more than 100 octets before a reply",
    ]);
    assert_eq!(player.server.accept(), Ok(()));
}

#[test]
fn unread_replies_are_bounded() {
    let mut server = Server::new(Arc::new(config()));
    while !server.is_closed() {
        server.handle_input(Instant::EPOCH, b"NOOP\r\nNOOP\r\n");
        assert!(server.output().remaining() < 1_100_000);
    }
    let event = server.poll_event().map(describe);
    assert_eq!(
        event.as_deref(),
        Some("closed: the client does not read the replies")
    );
}

#[test]
fn only_matching_answers_are_accepted() {
    let mut server = Server::new(Arc::new(config()));
    assert_eq!(server.accept(), Err(ServerMisuse::NoQuestion));
    server.handle_input(Instant::EPOCH, b"HELO me\r\nMAIL FROM:<a@b>\r\n");
    let unfit = reply("354 go on");
    let code = unfit.code();
    assert_eq!(
        server.respond(unfit),
        Err(ServerMisuse::WrongReplyCode(code))
    );
    assert_eq!(server.accept(), Ok(()));
    assert_eq!(server.accept(), Err(ServerMisuse::NoQuestion));
}

#[test]
fn an_answer_of_421_ends_the_session() {
    play(
        config(),
        &[
            HELLO,
            "
            c: MAIL FROM:<a@b>\\r\\nNOOP\\r\\n
            Q: mail <a@b>
            A: 421 4.3.2 shutting down
            S: 421 4.3.2 shutting down
            Q: closed
            ",
        ],
    );
}

#[test]
fn idle_clients_are_disconnected() {
    play(
        config(),
        &["
            S: 220 mx.example ESMTP ready
            @1000s:
            @299s:
            C: HELO me
            S: 250 mx.example greets me
            @299s:
            C: MAIL FROM:<a@b>
            Q: mail <a@b>
            @1000s:
            A: yes
            S: 250 2.1.0 sender ok
            @1000s:
            @299s:
            c: half a li
            @1s:
            S: 421 4.4.2 idle for too long, closing
            Q: closed: the client was idle for too long
            "],
    );
    let server = Server::new(Arc::new(config()));
    assert_eq!(server.poll_timeout(), Some(Instant::EPOCH));
}

#[test]
fn flowing_content_is_not_idle() {
    play(
        config(),
        &[
            HELLO,
            ENVELOPE,
            "
            C: DATA
            Q: data
            A: yes
            S: 354 end data with <CRLF>.<CRLF>
            @299s:
            c: a
            @299s:
            c: b
            @300s:
            S: 421 4.4.2 idle for too long, closing
            Q: closed: the client was idle for too long
            ",
        ],
    );
}

#[test]
fn the_end_of_input_waits_for_answers() {
    let mut player = Player::new(Server::new(Arc::new(config())), usize::MAX);
    player.play(&[HELLO, ENVELOPE, "c: DATA\\r\\n.\\r\\n", "Q: data"]);
    player.server.handle_eof(Instant::EPOCH);
    player.play(&["
        A: yes
        S: 354 end data with <CRLF>.<CRLF>
        Q: message <a@b.example> <c@d.example> 
        A: yes
        S: 250 2.0.0 message accepted
        Q: closed: the client closed the connection without QUIT
        "]);
    assert!(player.server.is_closed());
}

#[test]
fn a_failed_connection_is_reported_once() {
    let mut server = Server::new(Arc::new(config()));
    let error: TransportError = Arc::new(postwire_proto::SaslError::InvalidChallenge);
    server.handle_transport_error(Instant::EPOCH, error);
    server.handle_eof(Instant::EPOCH);
    let event = server.poll_event().map(describe);
    let expected = "closed: the connection failed: the server's challenge is not valid";
    assert_eq!(event.as_deref(), Some(expected));
    assert!(server.poll_event().is_none());
    assert_eq!(server.poll_timeout(), None);
}

#[test]
fn the_application_can_be_asked_at_the_opening() {
    let config = || config().ask_at_opening(true).enhanced_status_codes(false);
    play(
        config(),
        &["
        Q: greeting
        A: yes
        S: 220 mx.example ESMTP ready
        C: EHLO me
        Q: hello me
        A: 550 not you
        S: 550 not you
        C: MAIL FROM:<>
        S: 503 send EHLO first
        C: HELO me
        Q: hello me
        A: yes
        S: 250 mx.example greets me
        C: QUIT
        S: 221 goodbye
        Q: closed
        "],
    );
    play(
        config(),
        &["
        Q: greeting
        A: 554 no service
        S: 554 no service
        Q: closed
        C: EHLO me
        "],
    );
}

#[test]
fn the_application_is_asked_after_the_handshake() {
    let config = config().ask_at_opening(true);
    let mut server = Server::wrapped(Arc::new(config));
    assert_eq!(server.poll_event(), Some(ServerEvent::StartTls));
    assert_eq!(server.poll_event(), None);
    let tls = postwire_proto::TlsInfo::new("TLSv1.3", "a cipher");
    server.handle_tls_established(Instant::EPOCH, tls).unwrap();
    assert_eq!(server.poll_event(), Some(ServerEvent::Greeting));
    assert!(!server.output().has_remaining());
    server.accept().unwrap();
    assert!(server.output().has_remaining());
}

#[test]
fn commands_can_be_traced() {
    let config = config()
        .trace(true)
        .auth([Mechanism::LOGIN])
        .auth_in_plaintext(true);
    let mut player = Player::new(Server::new(Arc::new(config)), usize::MAX);
    player.input(b"EHLO me\r\nauth login c2VjcmV0\r\nc2VjcmV0\r\n");
    player.take_output();
    player.output.clear();
    player.play(&["
        Q: command EHLO me
        Q: command AUTH LOGIN <redacted>
        Q: command <redacted>
        Q: auth LOGIN secret secret
        "]);
    for (line, shown) in [
        ("AUTH c2VjcmV0", "AUTH <redacted>"),
        (" AUTH PLAIN c2VjcmV0", "AUTH PLAIN <redacted>"),
        ("\t  auth LOGIN c2VjcmV0", "AUTH LOGIN <redacted>"),
        ("authc2VjcmV0", "AUTH <redacted>"),
        ("c2VjcmV0", "<redacted>"),
        ("quit ", "quit "),
        ("GET / HTTP/1.1", "GET / HTTP/1.1"),
        ("", ""),
    ] {
        player.server = Server::new(player.server.session.config.clone());
        player.input(format!("{line}\r\n").as_bytes());
        let event = player.server.poll_event().map(describe);
        assert_eq!(event, Some(format!("command {shown}")));
    }
}

#[test]
fn the_server_can_be_shared() {
    fn check<T: Send + Sync + fmt::Debug>(value: &T) -> String {
        format!("{value:?}")
    }
    let shown = check(&Server::new(Arc::new(config())));
    assert!(shown.starts_with("Server {"), "{shown}");
}
