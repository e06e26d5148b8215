//! Hints for the most common mistakes, and output that redaction must not hide.

use std::process::Stdio;

use crate::run::{LOGIN, RUNTIMES, Run, Serve, finish, postwire, run, run_with, send_to, with};
use crate::script::Scripted;

/// A script that accepts one message.
const ACCEPTS: &str = "S: 220 mx\nC: EHLO\nS: 250 mx\nC: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nC: .\nS: 250 ok";

#[test]
fn plaintext_where_tls_should_begin() {
    let server = Scripted::script("S: 220 mx.example.org ESMTP");
    let url = format!("smtps://127.0.0.1:{}", server.port);
    let arguments = [
        "send",
        "--server",
        &url,
        "--from",
        "a@b.example",
        "--to",
        "c@d.example",
    ];
    let sent = run(&arguments);
    assert_eq!(sent.status, 77, "{sent:#?}");
    let quote = "on this port, where TLS can only begin with STARTTLS: 220 mx.example.org ESMTP";
    assert!(sent.stdout.contains(quote), "{sent:#?}");
    assert!(sent.stderr.contains("hint: use smtp://"), "{sent:#?}");
    assert!(!sent.stderr.contains("--ca"), "{sent:#?}");
}

#[test]
fn another_protocol_is_quoted() {
    let server = Scripted::script("S: +OK POP3 ready");
    let sent = run(&with(send_to(&server.url()), &["--trace"]));
    let object = sent.assert_is(76, "not_sent", Some("greeting"));
    let error = object["error"].as_str().unwrap();
    assert!(error.ends_with(": +OK POP3 ready"), "{error}");
    assert!(sent.stderr.contains("S: +OK POP3 ready"), "{sent:#?}");
}

#[test]
fn a_password_that_is_a_common_word_hides_nothing() {
    for word in ["refused", "server", "535", "a"] {
        let server = Scripted::script(
            "S: 220 mx\nC: EHLO\nS: 250-mx\nS: 250 AUTH PLAIN\nC: AUTH PLAIN \nS: 535 no",
        );
        let mut command = postwire();
        command.env("POSTWIRE_TEST_PASSWORD", word);
        let url = server.url();
        command.args(["send", "--server", &url, "--from", "a@b.example"]);
        command.args(["--to", "latest@server.example", "--allow-plaintext-auth"]);
        command.args(LOGIN);
        command.stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let sent = finish(command, b"Subject: x\n\nhi\n");
        let said = "not sent: auth: the server refused PLAIN: 535 no; the user name or the password is \
                    probably wrong\n";
        assert_eq!(sent.stdout, said, "{word}: {sent:#?}");
    }
}

#[test]
fn a_user_in_the_url_and_a_password_elsewhere() {
    let server = Scripted::script(
        "S: 220 mx\nC: EHLO\nS: 250-mx\nS: 250 AUTH PLAIN\nC: AUTH PLAIN \nS: 235 ok\nC: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nC: .\nS: 250 ok",
    );
    let url = format!("smtp://alice@127.0.0.1:{}?tls=none", server.port);
    let more = ["--allow-plaintext-auth", LOGIN[2], LOGIN[3]];
    run(&with(send_to(&url), &more)).assert_is(0, "accepted", None);
}

#[test]
fn a_login_with_a_mechanism_that_must_be_configured() {
    let server = Scripted::script("S: 220 mx\nC: EHLO\nS: 250-mx\nS: 250 AUTH XOAUTH2 NTLM");
    let url = server.url();
    let mut arguments = vec!["send", "--server", &url, "--from", "a@b.example"];
    arguments.extend(["--to", "c@d.example", "--allow-plaintext-auth"]);
    arguments.extend(LOGIN);
    let sent = run(&arguments);
    assert_eq!(sent.status, 77);
    assert!(sent.stdout.contains("NTLM is not supported"), "{sent:#?}");
    assert!(
        sent.stderr
            .contains("hint: allow the mechanism with --auth XOAUTH2"),
        "{sent:#?}"
    );
}

#[test]
fn an_address_with_a_display_name() {
    let mut arguments = send_to("smtp://127.0.0.1:1?tls=none");
    arguments.retain(|argument| argument != "--json");
    let sent = run(&with(arguments, &["--to", "Bob <bob@example.net>"]));
    assert_eq!(sent.status, 64, "{sent:#?}");
    let said = "give the address without a name: bob@example.net";
    assert!(sent.stderr.contains(said), "{sent:#?}");
}

#[test]
fn an_empty_password_is_not_sent() {
    let sent = run(&send_to("smtp://alice:@127.0.0.1:1?tls=none"));
    assert_eq!(sent.status, 64, "{sent:#?}");
    assert!(sent.stderr.contains("empty password"), "{sent:#?}");
}

#[test]
fn one_family_of_addresses() {
    let server = Scripted::script(ACCEPTS);
    run(&with(send_to(&server.url()), &["-4"])).assert_is(0, "accepted", None);
    let sent = run(&with(send_to(&server.url()), &["-6"]));
    let object = sent.assert_is(75, "not_sent", Some("connect"));
    let error = object["error"].as_str().unwrap();
    assert!(error.contains("no address that can be used"), "{error}");
}

#[test]
fn eight_bits_to_a_server_that_does_not_offer_them() {
    let message = "Subject: x\n\nGr\u{fc}\u{df}e\n".as_bytes();
    let server = Scripted::script("S: 220 mx\nC: EHLO\nS: 250 mx");
    let sent = run_with(&send_to(&server.url()), message);
    let object = sent.assert_is(69, "not_sent", Some("mail"));
    assert!(
        object["error"]
            .as_str()
            .unwrap()
            .contains("quoted-printable")
    );
    let server = Scripted::script(ACCEPTS);
    let sent = run_with(&with(send_to(&server.url()), &["--allow-8bit"]), message);
    sent.assert_is(0, "accepted", None);
}

#[test]
fn blind_copies_are_removed_on_request() {
    let server = Serve::start(&[]);
    let url = format!("smtp://127.0.0.1:{}?tls=none", server.port);
    let message =
        b"To: a@b.example\nBcc: c@d.example,\n e@f.example\nSubject: x\n\nBcc: no field\n";
    for (more, kept) in [
        (&[][..], &b"To: a@b.example\r\nBcc: c@d.example,\r\n e@f.example\r\nSubject: x\r\n\r\nBcc: no field\r\n"[..]),
        (&["--strip-bcc"], b"To: a@b.example\r\nSubject: x\r\n\r\nBcc: no field\r\n"),
    ] {
        let before = server.messages();
        let sent = run_with(&with(send_to(&url), more), message);
        sent.assert_is(0, "accepted", None);
        let mut stored = server.messages();
        stored.retain(|message| !before.contains(message));
        assert_eq!(stored, [kept]);
    }
}

#[test]
fn probe_shows_the_mechanism_of_the_login() {
    let server = Scripted::script(
        "S: 220 mx\nC: EHLO\nS: 250-mx\nS: 250 AUTH LOGIN PLAIN\nC: AUTH PLAIN \nS: 235 ok\nC: QUIT\nS: 221 bye",
    );
    let url = server.url();
    let mut arguments = vec!["probe", &url, "--json", "--allow-plaintext-auth"];
    arguments.extend(LOGIN);
    let object = run(&arguments).object();
    assert_eq!(object["login"], "PLAIN", "{object}");
}

#[test]
fn a_server_that_loses_pipelined_commands() {
    for (more, reported) in [(&[][..], true), (&["--pipelining", "off"], false)] {
        let server = Scripted::play(|peer| {
            peer.play("S: 220 mx\nC: EHLO\nS: 250-mx\nS: 250 PIPELINING\nC: MAIL\nS: 250 ok");
            // The server loses the rest of the flight.
            while !peer.receive().is_empty() {}
        });
        let mut arguments = with(send_to(&server.url()), more);
        arguments.retain(|argument| argument != "--json");
        for argument in arguments.iter_mut().filter(|argument| *argument == "5") {
            "0.5".clone_into(argument);
        }
        let sent = run(&arguments);
        assert_eq!(sent.status, 75, "{sent:#?}");
        let hint = "hint: if the server loses pipelined commands, use --pipelining off";
        assert_eq!(sent.stderr.contains(hint), reported, "{sent:#?}");
    }
}

#[test]
fn a_server_that_never_answers_the_content() {
    for (lmtp, hello) in [(&[][..], "EHLO"), (&["--lmtp"], "LHLO")] {
        let server = Scripted::play(move |peer| {
            peer.play("S: 220 mx");
            assert!(peer.receive().starts_with(hello));
            peer.play("S: 250-mx\nS: 250 PIPELINING\nC: MAIL\nC: RCPT\nC: DATA");
            peer.play("S: 250 ok\nS: 250 ok\nS: 354 go\nC: .");
            peer.be_silent();
        });
        let sent = advice(&server.url(), &[lmtp, &["--timeout", "0.5"]].concat());
        assert_eq!(sent.status, 75, "{sent:#?}");
        let hint = "hint: ask the recipient whether it arrived before sending it again\n";
        assert_eq!(sent.stderr, hint, "{sent:#?}");
    }
}

#[test]
fn a_refused_starttls_is_noted_if_the_session_continues() {
    for runtime in RUNTIMES {
        let server = Scripted::script(
            "S: 220 mx\nC: EHLO\nS: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 454 not now\nC: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nC: .\nS: 250 ok",
        );
        let url = format!("smtp://127.0.0.1:{}?tls=opportunistic", server.port);
        let sent = run(&with(send_to(&url), &["--runtime", runtime]));
        sent.assert_is(0, "accepted", None);
        let said = "note: the server refused STARTTLS; the session continues in plaintext\n";
        assert_eq!(sent.stderr, said, "{sent:#?}");
    }
    let server = Scripted::script(
        "S: 220 mx\nC: EHLO\nS: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 454 not now\nC: QUIT\nS: 221 bye",
    );
    let url = format!("smtp://127.0.0.1:{}?tls=opportunistic", server.port);
    let looked = run(&["probe", &url]);
    assert!(
        looked.stderr.contains("continues in plaintext"),
        "{looked:#?}"
    );
}

/// Runs `send` and returns its output, for tests of hints.
fn advice(url: &str, more: &[&str]) -> Run {
    let mut arguments = vec!["send", "--server", url, "--from", "a@b.example"];
    arguments.extend(["--to", "c@d.example"]);
    arguments.extend(more);
    run(&arguments)
}

#[test]
fn a_server_of_the_other_protocol() {
    let server = Scripted::script("S: 220 mx ESMTP\nC: LHLO\nS: 500 what?\nC: QUIT\nS: 221 bye");
    let sent = advice(&server.url(), &["--lmtp"]);
    let said = "hint: this server speaks SMTP: use smtp://";
    assert!(sent.stderr.contains(said), "{sent:#?}");
    let server = Scripted::script(
        "S: 220 mx LMTP\nC: EHLO\nS: 500 what?\nC: HELO\nS: 500 what?\nC: QUIT\nS: 221 bye",
    );
    let sent = advice(&server.url(), &[]);
    let said = "hint: this server speaks LMTP: use lmtp://";
    assert!(sent.stderr.contains(said), "{sent:#?}");
}

#[test]
fn an_excluded_mechanism_is_not_suggested() {
    let server = Scripted::script(
        "S: 220 mx\nC: EHLO\nS: 250-mx\nS: 250 AUTH PLAIN SCRAM-SHA-1\nC: QUIT\nS: 221 bye",
    );
    let sent = advice(&server.url(), &[&LOGIN[..], &["--auth", "PLAIN"]].concat());
    assert_eq!(sent.status, 77, "{sent:#?}");
    assert!(!sent.stdout.contains("explicitly requested"), "{sent:#?}");
    let said = "hint: --auth allows only PLAIN; a password is not sent in plaintext: use TLS, or \
                --allow-plaintext-auth, or --auth SCRAM-SHA-1";
    assert!(sent.stderr.contains(said), "{sent:#?}");
}

#[test]
fn a_wrong_or_missing_login() {
    let server = Scripted::script(
        "S: 220 mx\nC: EHLO\nS: 250-mx\nS: 250 AUTH PLAIN\nC: AUTH PLAIN \nS: 535 5.7.8 no",
    );
    let more = [&LOGIN[..], &["--allow-plaintext-auth"]].concat();
    let sent = advice(&server.url(), &more);
    let said = "; the user name or the password is probably wrong\n";
    assert!(sent.stdout.ends_with(said), "{sent:#?}");
    assert_eq!(sent.stderr, "", "{sent:#?}");
    let server = Scripted::script(
        "S: 220 mx\nC: EHLO\nS: 250-mx\nS: 250-STARTTLS\nS: 250 AUTH PLAIN\nC: MAIL\nS: 530 5.7.0 authentication required",
    );
    let sent = advice(&server.url(), &[]);
    for said in ["?tls=required", "--user and --password-env"] {
        assert!(sent.stderr.contains(said), "{sent:#?}");
    }
}

#[test]
fn starttls_that_is_offered_and_not_used() {
    for (refusal, hint) in [
        (
            "530 5.7.0 Must issue a STARTTLS command first",
            "?tls=required",
        ),
        ("530 no", "?tls=required"),
        (
            "451 5.7.3 STARTTLS is required to send mail",
            "?tls=required",
        ),
        ("451 4.7.1 not in plaintext", "?tls=required"),
        ("451 4.3.0 no room", "may accept it later"),
    ] {
        let server = Scripted::play(move |peer| {
            peer.play("S: 220 mx\nC: EHLO\nS: 250-mx\nS: 250 STARTTLS\nC: MAIL");
            peer.send(&format!("{refusal}\r\n"));
            peer.agree();
        });
        let mut arguments = send_to(&server.url());
        arguments.retain(|argument| argument != "--json");
        let sent = run(&arguments);
        assert!(sent.stderr.contains(hint), "{refusal}: {sent:#?}");
    }
}

#[test]
fn a_refused_hello_name_is_reported_once() {
    let server = Scripted::script("S: 220 mx\nC: EHLO\nS: 550 5.7.1 your HELO name is wrong");
    let mut arguments = send_to(&server.url());
    arguments.retain(|argument| argument != "--json");
    let sent = run(&arguments);
    assert_eq!(sent.status, 69, "{sent:#?}");
    let advice = "; send a name in EHLO that this server accepts\n";
    assert!(sent.stdout.ends_with(advice), "{sent:#?}");
    assert_eq!(sent.stderr, "hint: set the name with --hello NAME\n");
}

#[test]
fn an_empty_message_is_sent_and_noted() {
    let server = Serve::start(&[]);
    let url = format!("smtp://127.0.0.1:{}?tls=none", server.port);
    let sent = run_with(&send_to(&url), b"");
    sent.assert_is(0, "accepted", None);
    assert_eq!(sent.stderr, "note: the message is empty\n");
    assert_eq!(server.messages(), [b""]);
}

#[test]
fn text_without_a_header_is_sent_and_noted() {
    let server = Serve::start(&[]);
    let url = format!("smtp://127.0.0.1:{}?tls=none", server.port);
    let large = b"Hello: no\r\n".repeat(200_000);
    let blank = [b"\r\n", &large[..]].concat();
    for (content, noted) in [
        (&b"Hello, Bob.\r\n"[..], true),
        (b"\r\nSubject: x\r\n", true),
        (b"\xef\xbb\xbfSubject: x\r\n", true),
        (b"a b: c\r\n", true),
        (b": c\r\n", true),
        (&blank, true),
        (&large, false),
        (b"Subject : x\r\n", false),
        (b"X-1:\r\n", false),
    ] {
        let sent = run_with(&send_to(&url), content);
        sent.assert_is(0, "accepted", None);
        let note = "note: the message does not begin with a header field\n";
        assert_eq!(sent.stderr, if noted { note } else { "" }, "{sent:#?}");
    }
}

#[test]
fn what_happens_below_the_dialogue_is_shown_on_request() {
    let server = Serve::start(&[]);
    let url = format!("smtp://127.0.0.1:{}?tls=none", server.port);
    let sent = run_with(&with(send_to(&url), &["--verbose"]), b"Subject: hello\n\n");
    sent.assert_is(0, "accepted", None);
    let connected = format!(
        "connected network.peer.address=127.0.0.1 network.peer.port={}\n",
        server.port
    );
    for event in [&connected, "session ready", "smtp.outcome=\"accepted\""] {
        assert!(sent.stderr.contains(event), "{sent:#?}");
    }
    assert!(!sent.stderr.contains("EHLO"), "{sent:#?}");
}

#[test]
fn the_trace_counts_what_goes_out() {
    let server = Serve::start(&[]);
    let url = format!("smtp://127.0.0.1:{}?tls=none", server.port);
    let message = b"Subject: hello\n\nIt works.\n";
    for (chunking, said) in [
        ("on", "C: BDAT 28 LAST\nC: (content, 28 octets)\n"),
        ("off", "C: (content, 29 octets)\n"),
    ] {
        let more = ["--trace", "--chunking", chunking];
        let sent = run_with(&with(send_to(&url), &more), message);
        sent.assert_is(0, "accepted", None);
        assert!(sent.stderr.contains(said), "{sent:#?}");
    }
}
