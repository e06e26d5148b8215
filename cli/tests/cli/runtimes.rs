//! `send --runtime`: the result is the same with each runtime.

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use crate::run::{LOGIN, RUNTIMES, Run, Serve, interrupt, run, run_with, send_to, with};
use crate::script::{Peer, Scripted};

/// Runs the command with each runtime, and returns the output, which must be the same.
fn by_each(mut send: impl FnMut(&[&str]) -> Run) -> Run {
    let mut runs = RUNTIMES
        .map(|runtime| send(&["--runtime", runtime]))
        .into_iter();
    let first = runs.next().unwrap();
    for (run, runtime) in runs.zip(&RUNTIMES[1..]) {
        let seen = |run: &Run| (run.status, run.stdout.clone(), run.stderr.clone());
        assert_eq!(seen(&run), seen(&first), "{runtime} differs");
        assert!(run.took.abs_diff(first.took) < Duration::from_secs(2));
    }
    first
}

/// Runs the command with each runtime against a server that plays `play` each time.
fn against_each(timeout: &str, play: fn(&mut Peer)) -> Run {
    by_each(|runtime| {
        let server = Scripted::play(play);
        let mut arguments = with(send_to(&server.url()), &["--trace"]);
        let seconds = arguments.iter().position(|a| a == "5").unwrap();
        timeout.clone_into(&mut arguments[seconds]);
        let run = run(&with(arguments, runtime));
        server.received();
        run
    })
}

#[test]
fn a_message_is_delivered() {
    let server = Serve::start(&[]);
    let url = format!("smtp://localhost:{}?tls=none", server.port);
    let large = b"Subject: large\r\n\r\n.leading dot\r\n".repeat(100_000);
    let sent = by_each(|runtime| run_with(&with(send_to(&url), runtime), &large));
    sent.assert_is(0, "accepted", None);
    let sent = by_each(|runtime| {
        let slow = ["--pipelining", "off", "--chunking", "off", "--trace"];
        run_with(&with(with(send_to(&url), &slow), runtime), &large)
    });
    sent.assert_is(0, "accepted", None);
    let stored = server.messages();
    assert_eq!(stored.len(), 2 * RUNTIMES.len());
    assert!(stored.iter().all(|stored| *stored == large));
}

#[test]
fn several_messages_under_tls_with_a_login() {
    for (tls, scheme) in [("starttls", "smtp"), ("wrapper", "smtps")] {
        let server = Serve::start(&["--tls", tls, "--auth", "alice:POSTWIRE_TEST_PASSWORD"]);
        let url = format!("{scheme}://localhost:{}", server.port);
        let authority = server.authority();
        let folder = tempfile::tempdir().unwrap();
        let mut arguments = with(send_to(&url), &["--ca", authority.to_str().unwrap()]);
        arguments = with(arguments, &LOGIN);
        for number in 0..5 {
            let file = folder.path().join(number.to_string());
            fs::write(&file, number.to_string().repeat(50_000)).unwrap();
            arguments = with(arguments, &["--message", file.to_str().unwrap()]);
        }
        let sent = by_each(|runtime| run(&with(arguments.clone(), runtime)));
        assert_eq!(sent.status, 0, "{sent:#?}");
        for object in sent.objects() {
            assert_eq!(object["outcome"], "accepted");
            assert_eq!(object["tls"]["version"], "TLSv1.3");
        }
        let stored = server.messages();
        assert_eq!(stored.len(), 5 * RUNTIMES.len());
        for (at, stored) in stored.iter().enumerate() {
            assert!(stored.starts_with((at % 5).to_string().repeat(50_000).as_bytes()));
        }
        // Without --ca the test authority is not trusted.
        let refused = by_each(|runtime| run(&with(send_to(&url), runtime)));
        refused.assert_is(77, "not_sent", Some("tls"));
    }
}

#[test]
fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("smtp://{host}:{port}?tls=none");
        let sent = by_each(|runtime| run(&with(send_to(&url), runtime)));
        sent.assert_is(75, "not_sent", Some("connect"));
    }
    let url = "smtp://no-such-host.invalid?tls=none";
    for runtime in RUNTIMES {
        let sent = run(&with(send_to(url), &["--runtime", runtime]));
        sent.assert_is(75, "not_sent", Some("connect"));
    }
}

#[test]
fn the_server_is_silent() {
    let sent = against_each("1", Peer::be_silent);
    let object = sent.assert_is(75, "not_sent", Some("greeting"));
    assert!(object["error"].as_str().unwrap().contains("time"));
    assert!(sent.took >= Duration::from_secs(1), "{sent:#?}");
    assert!(sent.took < Duration::from_secs(3), "{sent:#?}");

    let sent = against_each("1", |peer| {
        up_to_the_content(peer);
        peer.hear_content();
        peer.be_silent();
    });
    sent.assert_is(75, "in_doubt", Some("body"));
}

#[test]
fn the_server_closes_the_connection() {
    let sent = against_each("5", |peer| {
        up_to_the_content(peer);
        peer.hear_content();
        peer.close();
    });
    let object = sent.assert_is(75, "in_doubt", Some("body"));
    assert!(object["recipients"][0]["accepted"].is_null());
    assert_eq!(object["recipients"][0]["status"], "in_doubt");
    assert!(sent.stderr.contains("C: DATA\n"), "{sent:#?}");

    against_each("5", Peer::close).assert_is(75, "not_sent", Some("greeting"));
}

#[test]
fn the_server_refuses_or_sends_garbage() {
    let sent = against_each("5", |peer| {
        up_to_the_content(peer);
        peer.hear_content();
        peer.send("554 5.6.0 no\r\n");
        peer.agree();
    });
    sent.assert_is(69, "rejected", Some("body"));
    let sent = against_each("5", |peer| {
        peer.send("hello\r\n");
        peer.be_silent();
    });
    sent.assert_is(76, "not_sent", Some("greeting"));
}

#[test]
fn the_server_stops_reading() {
    for runtime in RUNTIMES {
        let server = Scripted::play(|peer| {
            up_to_the_content(peer);
            std::thread::sleep(Duration::from_secs(2));
        });
        let mut arguments = send_to(&server.url());
        let seconds = arguments.iter().position(|a| a == "5").unwrap();
        "1".clone_into(&mut arguments[seconds]);
        let large = b"0123456789abcdef0123456789abcdef\r\n".repeat(1_000_000);
        let sent = run_with(&with(arguments, &["--runtime", runtime]), &large);
        let object = sent.object();
        assert_eq!((sent.status, &object["stage"]), (75, &"body".into()));
        assert!(sent.took < Duration::from_secs(4), "{sent:#?}");
        server.received();
    }
}

/// A session without PIPELINING, up to the request for the content.
fn up_to_the_content(peer: &mut Peer) {
    peer.send("220 mx ready\r\n");
    for (command, reply) in [
        ("EHLO", "250 mx\r\n"),
        ("MAIL", "250 ok\r\n"),
        ("RCPT", "250 ok\r\n"),
        ("DATA", "354 go on\r\n"),
    ] {
        assert!(peer.receive().starts_with(command));
        peer.send(reply);
    }
}

/// Ctrl-C while the server is silent: a clean end, and a true verdict.
#[test]
fn ctrl_c_ends_with_a_verdict() {
    let after = Duration::from_millis(700);
    let script = "S: 220 hi\nC: EHLO\nS: 250 hi\nC: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\n\
                  C: DATA\nS: 354 go\nC: .\n";
    let midway = script.split("S: 354").next().unwrap();
    let refused = script.split("S: 250 ok\nC: DATA").next().unwrap();
    let refused = format!("{refused}S: 550 no\nC: RCPT\n").leak();
    for (script, outcome, stage) in [
        ("", "not_sent", "greeting"),
        (midway, "not_sent", "data"),
        (refused, "not_sent", "rcpt"),
        (script, "in_doubt", "body"),
    ] {
        for runtime in RUNTIMES {
            let server = Scripted::play(move |peer| {
                peer.play(script);
                peer.be_silent();
            });
            let more = ["--runtime", runtime, "--to", "carol@example.net"];
            let more = &more[..if script == refused { 4 } else { 2 }];
            let arguments = with(send_to(&server.url()), more);
            let run = interrupt(&arguments, after);
            let object = run.assert_is(75, outcome, Some(stage));
            let error = format!("{stage}: aborted by the program");
            assert_eq!(object["error"], error, "{runtime}: {run:#?}");
            assert!(run.stderr.contains("interrupted"), "{run:#?}");
            assert!(run.took < after + Duration::from_secs(3), "{run:#?}");
            server.received();
        }
    }
}
