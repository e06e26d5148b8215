//! A server that fails at each point of a session, in each possible way.

use std::net::TcpListener;

use crate::run::{LOGIN, RUNTIMES, Run, run, send_to, with};
use crate::script::{Peer, Scripted};

/// A session without PIPELINING: each command, and the reply that continues the session.
const STEPS: [(&str, &str); 8] = [
    ("", "220 mx ready\r\n"),
    ("EHLO", "250-mx\r\n250 AUTH PLAIN\r\n"),
    ("AUTH", "235 welcome\r\n"),
    ("MAIL", "250 ok\r\n"),
    ("RCPT", "250 ok\r\n"),
    ("DATA", "354 go on\r\n"),
    (".", "250 taken\r\n"),
    ("QUIT", "221 bye\r\n"),
];

#[derive(Clone, Copy)]
enum Fault {
    Say(&'static str),
    Silence,
    Close,
    CloseInALine,
}

/// Runs a session that succeeds up to the step of this command, and fails there.
fn fail_at(command: &'static str, fault: Fault, runtime: &str) -> Run {
    let server = Scripted::play(move |peer| {
        for (received, answer) in STEPS {
            expect_command(peer, received);
            if received == command {
                return be_at_fault(peer, fault);
            }
            peer.send(answer);
        }
    });
    let timeout = match fault {
        Fault::Silence => "0.4",
        _ => "5",
    };
    let arguments = with(send_to(&server.url()), &LOGIN);
    let arguments = with(
        arguments,
        &[
            "--allow-plaintext-auth",
            "--runtime",
            runtime,
            "--timeout",
            timeout,
        ],
    );
    // The last value counts.
    let position = arguments.iter().position(|a| a == "--timeout").unwrap();
    let arguments = [&arguments[..position], &arguments[position + 2..]].concat();
    let run = run(&arguments);
    server.received();
    run
}

fn expect_command(peer: &mut Peer, command: &str) {
    match command {
        "" => {}
        "." => peer.hear_content(),
        command => assert!(peer.receive().starts_with(command), "no {command}"),
    }
}

fn be_at_fault(peer: &mut Peer, fault: Fault) {
    match fault {
        Fault::Say(reply) => {
            peer.send(reply);
            loop {
                match peer.receive().split(' ').next() {
                    Some("HELO") => peer.send(reply),
                    Some("QUIT") => peer.send("221 bye\r\n"),
                    Some("") | None => return,
                    Some(_) => peer.send("250 ok\r\n"),
                }
            }
        }
        Fault::Silence => peer.be_silent(),
        Fault::Close => peer.close(),
        Fault::CloseInALine => {
            peer.send("250-half a rep");
            peer.close();
        }
    }
}

/// Fails at each step with this fault, with each runtime: the exit status, outcome and stage
/// for each.
fn fail_each(fault: Fault, expected: &[(i32, &str, Option<&str>); 8]) {
    for ((command, _), (status, outcome, stage)) in STEPS.iter().zip(*expected) {
        for runtime in RUNTIMES {
            let run = fail_at(command, fault, runtime);
            let object = run.assert_is(status, outcome, stage);
            assert_eq!(object["message"], 0);
            assert_eq!(object["tls"], serde_json::Value::Null);
            assert!(run.took.as_secs_f32() < 3.0, "{run:#?}");
        }
    }
}

const ACCEPTED: (i32, &str, Option<&str>) = (0, "accepted", None);

#[test]
fn end_of_file_at_every_stage() {
    let expected = [
        (75, "not_sent", Some("greeting")),
        (75, "not_sent", Some("ehlo")),
        (75, "not_sent", Some("auth")),
        (75, "not_sent", Some("mail")),
        (75, "not_sent", Some("rcpt")),
        (75, "not_sent", Some("data")),
        (75, "in_doubt", Some("body")),
        ACCEPTED,
    ];
    fail_each(Fault::Close, &expected);
    fail_each(Fault::CloseInALine, &expected);
}

#[test]
fn silence_at_every_stage() {
    fail_each(
        Fault::Silence,
        &[
            (75, "not_sent", Some("greeting")),
            (75, "not_sent", Some("ehlo")),
            (75, "not_sent", Some("auth")),
            (75, "not_sent", Some("mail")),
            (75, "not_sent", Some("rcpt")),
            (75, "not_sent", Some("data")),
            (75, "in_doubt", Some("body")),
            ACCEPTED,
        ],
    );
}

#[test]
fn service_closing_at_every_stage() {
    fail_each(
        Fault::Say("421 4.3.2 closing\r\n"),
        &[
            (75, "not_sent", Some("greeting")),
            (75, "not_sent", Some("ehlo")),
            (75, "not_sent", Some("auth")),
            (75, "not_sent", Some("mail")),
            (75, "not_sent", Some("rcpt")),
            (75, "not_sent", Some("data")),
            (75, "rejected", Some("body")),
            ACCEPTED,
        ],
    );
}

#[test]
fn permanent_refusal_at_every_stage() {
    fail_each(
        Fault::Say("554 5.7.1 no\r\n"),
        &[
            (69, "not_sent", Some("greeting")),
            (69, "not_sent", Some("ehlo")),
            (77, "not_sent", Some("auth")),
            (69, "rejected", Some("mail")),
            (69, "rejected", Some("rcpt")),
            (69, "rejected", Some("data")),
            (69, "rejected", Some("body")),
            ACCEPTED,
        ],
    );
}

#[test]
fn temporary_refusal_at_every_stage() {
    fail_each(
        Fault::Say("454 4.7.0 later\r\n"),
        &[
            (75, "not_sent", Some("greeting")),
            (75, "not_sent", Some("ehlo")),
            (75, "not_sent", Some("auth")),
            (75, "rejected", Some("mail")),
            (75, "rejected", Some("rcpt")),
            (75, "rejected", Some("data")),
            (75, "rejected", Some("body")),
            ACCEPTED,
        ],
    );
}

#[test]
fn garbage_at_every_stage() {
    let expected = [
        (76, "not_sent", Some("greeting")),
        (76, "not_sent", Some("ehlo")),
        (76, "not_sent", Some("auth")),
        (76, "not_sent", Some("mail")),
        (76, "not_sent", Some("rcpt")),
        (76, "not_sent", Some("data")),
        (76, "in_doubt", Some("body")),
        ACCEPTED,
    ];
    fail_each(Fault::Say("HTTP/1.1 400 Bad Request\r\n"), &expected);
    fail_each(Fault::Say("99\u{0}\r\n"), &expected);
    // A code that has no meaning as a reply here.
    fail_each(Fault::Say("330 hm\r\n"), &expected);
}

#[test]
fn the_servers_reply_is_kept() {
    let refusal = Fault::Say("550-5.7.1 not\r\n550 5.7.1 today\r\n");
    let object = fail_at("MAIL", refusal, "blocking").object();
    let reply = serde_json::json!({"code": 550, "enhanced": "5.7.1", "text": ["not", "today"]});
    assert_eq!(object["reply"], reply);
    assert_eq!(object["error"], serde_json::Value::Null);
    let recipient = serde_json::json!(
        {"address": "bob@example.net", "accepted": false, "status": "refused", "reply": reply}
    );
    assert_eq!(object["recipients"], serde_json::json!([recipient]));

    let object = fail_at("", Fault::Say("554 go away\r\n"), "blocking").object();
    let reply = serde_json::json!({"code": 554, "enhanced": null, "text": ["go away"]});
    assert_eq!(object["reply"], reply);
    assert_eq!(object["error"], "greeting: the server refused: 554 go away");
    assert_eq!(object["recipients"][0]["accepted"], false);
    assert_eq!(object["recipients"][0]["status"], "not_sent");
}

#[test]
fn a_surplus_reply() {
    for runtime in RUNTIMES {
        let server = Scripted::play(|peer| {
            // In one segment: a moment later the second reply would answer EHLO.
            peer.send("220 mx\r\n250 mx\r\n");
            peer.be_silent();
        });
        let sent = run(&with(send_to(&server.url()), &["--runtime", runtime]));
        sent.assert_is(76, "not_sent", Some("ehlo"));
    }
}

#[test]
fn nobody_listens() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(
        "smtp://127.0.0.1:{}?tls=none",
        free.local_addr().unwrap().port()
    );
    drop(free);
    let run_one = run(&send_to(&url));
    let object = run_one.assert_is(75, "not_sent", Some("connect"));
    assert!(object["error"].as_str().unwrap().contains("cannot connect"));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("message");
    std::fs::write(&file, "Subject: a\n\nb\n").unwrap();
    let file = file.to_str().unwrap();
    let both = run(&with(send_to(&url), &["--message", file, "--message", "-"]));
    assert_eq!(both.status, 75);
    let objects = both.objects();
    assert_eq!(objects.len(), 2);
    for (position, object) in objects.iter().enumerate() {
        assert_eq!(object["message"], position);
        assert_eq!(object["outcome"], "not_sent");
        assert_eq!(object["stage"], "connect");
        assert_eq!(object["recipients"][0]["address"], "bob@example.net");
    }
}

#[test]
fn an_unknown_host_name() {
    let arguments = send_to("smtp://no-such-host.invalid?tls=none");
    run(&arguments).assert_is(75, "not_sent", Some("connect"));
}
