//! Messages that arrive, and the output for messages that only reach some recipients.

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::run::{LOGIN, Serve, finish, postwire, run, run_with, send_to, with};
use crate::script::Scripted;

fn plaintext(server: &Serve) -> String {
    format!("smtp://localhost:{}?tls=none", server.port)
}

#[test]
fn messages_arrive_octet_for_octet() {
    let server = Serve::start(&[]);
    let long_line = [&vec![b'x'; 5_000][..], b"\r\n"].concat();
    let large = b"Subject: large\r\n\r\n.leading dot\r\n".repeat(40_000);
    let bodies: [&[u8]; 9] = [
        b"",
        b"\r\n",
        b"Subject: a\r\n\r\nb\r\n",
        b".\r\n..\r\n.\r\n\r\n.x\r\n",
        b"Subject: 8bit\r\n\r\nGr\xfc\xdfe\r\n",
        "Subject: Gr\u{fc}\u{df}e\r\n\r\nutf8 headers\r\n".as_bytes(),
        b"Subject: null\r\n\r\na\0b\r\n",
        &long_line,
        &large,
    ];
    for body in bodies {
        run_with(&send_to(&plaintext(&server)), body).assert_is(0, "accepted", None);
    }
    for chunking in ["off", "on"] {
        let arguments = with(send_to(&plaintext(&server)), &["--chunking", chunking]);
        run_with(&arguments, b"no end").assert_is(0, "accepted", None);
        run_with(&arguments, b"a\nb\rc\r\n").assert_is(0, "accepted", None);
    }
    let stored = server.messages();
    for (stored, body) in stored.iter().zip(bodies) {
        assert!(stored == body, "{} octets differ", body.len());
    }
    let mended: [&[u8]; 4] = [
        b"no end\r\n",
        b"a\r\nb\r\nc\r\n",
        b"no end",
        b"a\r\nb\r\nc\r\n",
    ];
    assert_eq!(&stored[bodies.len()..], &mended);
}

/// From a file, which is read twice, and from standard input, which cannot be read twice.
/// (Every run is checked for its memory use.)
#[test]
fn a_message_larger_than_the_memory_limit() {
    let server = Serve::start(&["--size", "200000000"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large.eml");
    let large = b"Subject: large\n\n.leading dot, and so on and on\n".repeat(2_000_000);
    assert!(large.len() > 80 << 20);
    fs::write(&file, &large).unwrap();
    // A large transfer on a machine that may be busy.
    let patient = send_to(&plaintext(&server)).into_iter();
    let patient: Vec<String> = patient
        .map(|argument| {
            if argument == "5" {
                "60".into()
            } else {
                argument
            }
        })
        .collect();
    let file = file.to_str().unwrap();
    let arguments = with(patient.clone(), &["--message", file, "--message", "-"]);
    let sent = run_with(&arguments, b"Subject: small\n\n");
    assert_eq!(sent.objects().len(), 2);
    for (position, object) in sent.objects().iter().enumerate() {
        assert_eq!(object["outcome"], "accepted", "{position}: {object}");
    }
    run_with(&patient, &large).assert_is(0, "accepted", None);
    let stored = server.messages();
    let canonical = b"Subject: large\r\n\r\n.leading dot, and so on and on\r\n".repeat(2_000_000);
    assert_eq!(stored[1], b"Subject: small\r\n\r\n");
    for position in [0, 2] {
        assert!(stored[position] == canonical, "message {position} differs");
    }
}

/// The facts of a large file are used as for a small one.
#[test]
fn a_large_message_that_no_server_can_accept() {
    let server = Serve::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large.eml");
    let mut large = b"Subject: large\r\n\r\n".repeat(100_000);
    large.extend_from_slice(b"a lone\nline feed\r\n");
    fs::write(&file, &large).unwrap();
    let arguments = with(
        send_to(&plaintext(&server)),
        &["--line-ends", "refuse", "--message"],
    );
    let refused = run(&with(arguments, &[file.to_str().unwrap()]));
    refused.assert_is(65, "not_sent", Some("mail"));
    assert!(server.messages().is_empty());
}

#[test]
fn the_object_of_an_accepted_message() {
    let server = Serve::start(&[]);
    let sent = run(&send_to(&plaintext(&server)));
    let reply = json!({"code": 250, "enhanced": "2.0.0", "text": ["message accepted"]});
    let of_recipient = json!({"code": 250, "enhanced": "2.1.5", "text": ["recipient ok"]});
    assert_eq!(
        sent.object(),
        json!({
            "message": 0,
            "outcome": "accepted",
            "stage": null,
            "reply": reply,
            "error": null,
            "recipients": [{
                "address": "bob@example.net",
                "accepted": true,
                "status": "accepted",
                "reply": of_recipient,
            }],
            "tls": null,
            "auth": null,
        })
    );
    let begin = r#"{"message":0,"outcome":"accepted","stage":null,"reply":{"code":250,"enhanced":"2.0.0","text":["#;
    assert!(sent.stdout.starts_with(begin), "{sent:#?}");
}

#[test]
fn several_messages_over_one_connection() {
    let mut server = Serve::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = with(send_to(&plaintext(&server)), &["--trace"]);
    for number in 0..5 {
        let file = folder.path().join(number.to_string());
        fs::write(&file, format!("Subject: {number}\n\n{number}\n")).unwrap();
        arguments = with(arguments, &["--message", file.to_str().unwrap()]);
    }
    let sent = run(&arguments);
    assert_eq!(sent.status, 0, "{sent:#?}");
    for (position, object) in sent.objects().iter().enumerate() {
        assert_eq!(object["message"], position);
        assert_eq!(object["outcome"], "accepted");
    }
    assert_eq!(sent.stderr.matches("S: 220 ").count(), 1, "{sent:#?}");
    for (number, stored) in server.messages().iter().enumerate() {
        let expected = format!("Subject: {number}\r\n\r\n{number}\r\n");
        assert_eq!(String::from_utf8_lossy(stored), expected);
    }
    let line = server.line();
    let begin = "message 1: from <alice@example.org> to <bob@example.net>, 17 octets, plaintext, stored as new/";
    assert!(line.starts_with(begin), "{line}");
}

#[test]
fn one_of_several_cannot_be_sent() {
    let server = Serve::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (folder.path().join("good"), folder.path().join("bad"));
    fs::write(&good, "Subject: a\r\n\r\na\r\n").unwrap();
    fs::write(&bad, "Subject: a\r\n\r\na\rb\r\n").unwrap();
    let [good, bad] = [&good, &bad].map(|path| path.to_str().unwrap());
    let more = [
        "--line-ends",
        "refuse",
        "--message",
        good,
        "--message",
        bad,
        "--message",
        good,
    ];
    let sent = run(&with(send_to(&plaintext(&server)), &more));
    assert_eq!(sent.status, 65, "{sent:#?}");
    let outcomes: Vec<Value> = sent
        .objects()
        .iter()
        .map(|o| o["outcome"].clone())
        .collect();
    assert_eq!(outcomes, ["accepted", "not_sent", "accepted"]);
}

#[test]
fn some_recipients_are_refused() {
    let server = Serve::start(&[
        "--reject",
        "gone@example.net=550 5.1.1 no such user",
        "--reject",
        "later@example.net=450",
    ]);
    let to = |recipients: &[&str]| {
        let mut arguments = vec!["send".to_owned(), "--server".to_owned(), plaintext(&server)];
        arguments.extend(["--from".to_owned(), "<>".to_owned()]);
        for recipient in recipients {
            arguments.extend(["--to".to_owned(), format!("{recipient}@example.net")]);
        }
        arguments
    };
    let json = |recipients: &[&str]| run(&with(to(recipients), &["--json"]));
    let partial = json(&["bob", "gone", "later", "bob"]);
    let object = partial.assert_is(69, "partial", None);
    assert_eq!(object["reply"]["code"], 250);
    let accepted: Vec<Value> = (0..4)
        .map(|at| object["recipients"][at]["accepted"].clone())
        .collect();
    assert_eq!(accepted, [true, false, false, true]);
    let reply = json!({"code": 550, "enhanced": "5.1.1", "text": ["no such user"]});
    assert_eq!(object["recipients"][1]["reply"], reply);
    assert_eq!(object["recipients"][2]["reply"]["code"], 450);

    json(&["bob", "later"]).assert_is(75, "partial", None);
    json(&["gone"]).assert_is(69, "rejected", Some("rcpt"));
    json(&["later", "later"]).assert_is(75, "rejected", Some("rcpt"));
    json(&["later", "gone"]).assert_is(69, "rejected", Some("rcpt"));

    let people = run(&to(&["bob", "gone"]));
    assert_eq!(
        people.stdout,
        "accepted, but not for 1 of 2 recipients: 250 2.0.0 message accepted\n  \
         gone@example.net was refused: 550 5.1.1 no such user\n"
    );
    // The null reverse-path arrived.
    let mut server = server;
    assert!(
        server
            .line()
            .contains("from <> to <bob@example.net>, <bob@example.net>")
    );
}

#[test]
fn the_message_is_larger_than_the_server_takes() {
    let server = Serve::start(&["--size", "1000"]);
    let sent = run_with(&send_to(&plaintext(&server)), &b"x\r\n".repeat(1_000));
    let object = sent.assert_is(69, "not_sent", Some("mail"));
    assert_eq!(object["reply"], Value::Null);
    assert!(object["error"].as_str().unwrap().contains("3000"));
}

#[test]
fn an_extension_that_the_message_needs() {
    let server = Serve::start(&["--no-8bitmime", "--no-smtputf8", "--no-chunking"]);
    let body = b"Subject: a\r\n\r\n\xfc\r\n";
    let sent = run_with(&send_to(&plaintext(&server)), body);
    let object = sent.assert_is(69, "not_sent", Some("mail"));
    assert!(object["error"].as_str().unwrap().contains("8BITMIME"));
    let sent = run(&with(
        send_to(&plaintext(&server)),
        &["--to", "j\u{f6}rg@example.net"],
    ));
    let object = sent.assert_is(69, "not_sent", Some("mail"));
    assert!(object["error"].as_str().unwrap().contains("SMTPUTF8"));
    run_with(&send_to(&plaintext(&server)), b"a\0").assert_is(69, "not_sent", Some("mail"));
}

#[test]
fn a_message_with_a_nul_is_sent_octet_for_octet() {
    let server = Serve::start(&[]);
    let message = b"Subject: a\n\na\0b\r\n\n";
    let sent = run_with(&with(send_to(&plaintext(&server)), &["--trace"]), message);
    sent.assert_is(0, "accepted", None);
    assert!(sent.stderr.contains(" BODY=BINARYMIME"), "{sent:#?}");
    assert_eq!(server.messages(), [message]);
    let refuse = ["--line-ends", "refuse"];
    let sent = run_with(&with(send_to(&plaintext(&server)), &refuse), message);
    sent.assert_is(65, "not_sent", Some("mail"));
}

#[test]
fn without_pipelining_and_chunking() {
    for server in [
        Serve::start(&[
            "--no-pipelining",
            "--no-chunking",
            "--no-enhancedstatuscodes",
        ]),
        Serve::start(&[]),
    ] {
        let off = ["--pipelining", "off", "--chunking", "off", "--trace"];
        let sent = run(&with(send_to(&plaintext(&server)), &off));
        sent.assert_is(0, "accepted", None);
        let lines: Vec<&str> = sent.stderr.lines().collect();
        let ahead = lines
            .windows(2)
            .filter(|pair| pair[0].starts_with("C: ") && pair[1].starts_with("C: "));
        assert_eq!(ahead.count(), 0, "{sent:#?}");
    }
}

#[test]
fn a_message_over_lmtp() {
    let server = Serve::start(&["--lmtp", "--reject", "gone@example.net=550"]);
    let more = ["--to", "gone@example.net", "--to", "carol@example.net"];
    for url in [
        format!("lmtp://127.0.0.1:{}?tls=none", server.port),
        plaintext(&server),
    ] {
        let arguments = with(send_to(&url), &more);
        let sent = run(&with(arguments, &["--lmtp", "--trace"]));
        let object = sent.assert_is(69, "partial", None);
        let accepted: Vec<Value> = (0..3)
            .map(|at| object["recipients"][at]["accepted"].clone())
            .collect();
        assert_eq!(accepted, [true, false, true]);
        assert!(sent.stderr.contains("C: LHLO [127.0.0.1]\n"), "{sent:#?}");
    }
    assert_eq!(server.messages().len(), 2);
}

#[test]
fn every_tls_mode_and_mechanism() {
    for (tls, modes) in [
        ("starttls", &["?tls=required", "?tls=opportunistic", ""][..]),
        ("wrapper", &[""][..]),
    ] {
        let mut server = Serve::start(&["--tls", tls, "--auth", "alice:POSTWIRE_TEST_PASSWORD"]);
        let scheme = if tls == "wrapper" { "smtps" } else { "smtp" };
        let authority = server.authority();
        for mode in modes {
            for mechanism in [
                "SCRAM-SHA-512-PLUS",
                "SCRAM-SHA-256-PLUS",
                "SCRAM-SHA-1-PLUS",
                "SCRAM-SHA-512",
                "SCRAM-SHA-256",
                "SCRAM-SHA-1",
                "CRAM-MD5",
                "PLAIN",
                "LOGIN",
                "OAUTHBEARER",
                "XOAUTH2",
            ] {
                let url = format!("{scheme}://localhost:{}{mode}", server.port);
                let more = ["--ca", authority.to_str().unwrap(), "--auth", mechanism];
                let sent = run(&with(with(send_to(&url), &LOGIN), &more));
                let object = sent.assert_is(0, "accepted", None);
                assert_eq!(object["tls"]["version"], "TLSv1.3");
                assert!(
                    object["tls"]["cipher"]
                        .as_str()
                        .unwrap()
                        .starts_with("TLS13_")
                );
                let line = server.line();
                assert!(
                    line.contains(", TLSv1.3, by alice, stored as new/"),
                    "{line}"
                );
            }
        }
        let url = format!("{scheme}://localhost:{}", server.port);
        let wrong = format!("{scheme}://alice:wrong@localhost:{}", server.port);
        let trust = ["--ca", authority.to_str().unwrap()];
        let refused = run(&with(send_to(&wrong), &trust)).assert_is(77, "not_sent", Some("auth"));
        assert_eq!(refused["reply"]["code"], 535);
        assert_eq!(refused["tls"]["version"], "TLSv1.3");
        let without = run(&with(send_to(&url), &trust)).assert_is(69, "rejected", Some("mail"));
        assert_eq!(without["reply"]["code"], 530);
    }
}

#[test]
fn output_that_nobody_reads() {
    let server = Serve::start(&[]);
    for json in [true, false] {
        let mut arguments = send_to(&plaintext(&server));
        arguments.retain(|argument| json || argument != "--json");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = postwire();
        command
            .args(with(arguments, &["--to", "carol@example.net"]))
            .stdin(Stdio::piped())
            .stdout(writer)
            .stderr(Stdio::piped());
        let sent = finish(command, b"Subject: a\n\nb\n");
        assert_eq!((sent.status, sent.stderr.as_str()), (0, ""));
    }
    assert_eq!(server.messages().len(), 2);
}

#[test]
fn results_for_people_are_lines() {
    let server = Serve::start(&[]);
    let mut arguments = send_to(&plaintext(&server));
    arguments.pop();
    let sent = run(&arguments);
    assert_eq!(sent.stdout, "accepted: 250 2.0.0 message accepted\n");
    assert_eq!(sent.stderr, "");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a\u{1b}[2J");
    fs::write(&file, "a\n").unwrap();
    let more = ["--message", "-", "--message", file.to_str().unwrap()];
    let sent = run(&with(arguments, &more));
    let lines: Vec<&str> = sent.stdout.lines().collect();
    assert_eq!(
        lines[0],
        "standard input: accepted: 250 2.0.0 message accepted"
    );
    assert!(
        lines[1].ends_with("/a\\u{1b}[2J: accepted: 250 2.0.0 message accepted"),
        "{sent:#?}"
    );
}

#[test]
fn recipients_beyond_a_limit_can_be_sent_to_again() {
    let server = Scripted::script(
        "S: 220 mx
         C: EHLO
         S: 250-mx
         S: 250 LIMITS MAILMAX=1 RCPTMAX=1
         C: MAIL
         S: 250 ok
         C: RCPT TO:<bob@example.net>
         S: 250 ok
         C: DATA
         S: 354 go on
         C: .
         S: 250 2.0.0 queued",
    );
    let arguments = with(send_to(&server.url()), &["--to", "carol@example.net"]);
    let sent = run_with(&arguments, b"Subject: x\r\n\r\nHello.\r\n");
    let object = sent.assert_is(75, "partial", None);
    assert_eq!(object["recipients"][0]["accepted"], true);
    assert_eq!(object["recipients"][1]["status"], "not_sent");
}
