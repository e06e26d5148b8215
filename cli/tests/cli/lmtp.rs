//! `send` over LMTP: a verdict and an exit status from the replies for each recipient, over TCP
//! and over a Unix socket, with each runtime.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;

use serde_json::Value;

use crate::run::{RUNTIMES, run, send_to, with};

/// A delivery agent that accepts every recipient and sends these replies after the content;
/// then it closes, or waits for `QUIT`.
fn converse(stream: impl Read + Write, verdicts: &str, leaves: bool) -> Vec<String> {
    let mut stream = BufReader::new(stream);
    let mut received = Vec::new();
    let mut is_content = false;
    let mut reply = "220 hi\r\n".to_owned();
    loop {
        if stream.get_mut().write_all(reply.as_bytes()).is_err() {
            return received;
        }
        if reply == verdicts && leaves {
            return received;
        }
        let mut line = String::new();
        if stream.read_line(&mut line).unwrap_or(0) == 0 {
            return received;
        }
        reply = match line.get(..4) {
            _ if is_content && line == ".\r\n" => {
                is_content = false;
                verdicts.to_owned()
            }
            _ if is_content => String::new(),
            Some("DATA") => {
                is_content = true;
                "354 go\r\n".to_owned()
            }
            Some("QUIT") => "221 bye\r\n".to_owned(),
            _ => "250 ok\r\n".to_owned(),
        };
        received.push(line);
    }
}

/// Sends a message to three recipients. Returns the exit status, the outcome and whether each
/// recipient was accepted, which must be the same with each runtime and over both sockets.
fn send(verdicts: &'static str, leaves: bool) -> (i32, Value, [Value; 3]) {
    let mut outcomes = Vec::new();
    for runtime in RUNTIMES {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = tcp.local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lmtp");
        let unix = UnixListener::bind(&path).unwrap();
        let server = thread::spawn(move || {
            let over_tcp = converse(tcp.accept().unwrap().0, verdicts, leaves);
            [
                over_tcp,
                converse(unix.accept().unwrap().0, verdicts, leaves),
            ]
        });
        for url in [format!("lmtp://127.0.0.1:{port}?tls=none"), url_of(&path)] {
            let more = ["--to", "b@here.example", "--to", "c@here.example"];
            let arguments = with(with(send_to(&url), &more), &["--runtime", runtime]);
            let sent = run(&arguments);
            let object = sent.object();
            let accepted = [0, 1, 2].map(|at| object["recipients"][at]["accepted"].clone());
            outcomes.push((sent.status, object["outcome"].clone(), accepted));
        }
        for received in server.join().unwrap() {
            assert!(received[0].starts_with("LHLO "), "{received:?}");
        }
    }
    let first = outcomes.swap_remove(0);
    assert!(outcomes.iter().all(|other| *other == first), "{outcomes:?}");
    first
}

fn url_of(path: &Path) -> String {
    format!("lmtp+unix://{}", path.display())
}

#[test]
fn the_reply_for_each_recipient_decides_the_exit_status() {
    let (yes, no, unknown) = (Value::Bool(true), Value::Bool(false), Value::Null);
    for (verdicts, leaves, status, outcome, accepted) in [
        (
            "250 ok\r\n250 ok\r\n250 ok\r\n",
            false,
            0,
            "accepted",
            [&yes, &yes, &yes],
        ),
        (
            "250 ok\r\n552 5.2.2 full\r\n452 4.2.2 busy\r\n",
            false,
            69,
            "partial",
            [&yes, &no, &no],
        ),
        (
            "250 ok\r\n452 4.2.2 busy\r\n250 ok\r\n",
            false,
            75,
            "partial",
            [&yes, &no, &yes],
        ),
        (
            "452 4.2.2 busy\r\n452 4.2.2 busy\r\n552 5.2.2 full\r\n",
            false,
            69,
            "rejected",
            [&no, &no, &no],
        ),
        (
            "452 4.2.2 busy\r\n452 4.2.2 busy\r\n452 4.2.2 busy\r\n",
            false,
            75,
            "rejected",
            [&no, &no, &no],
        ),
        (
            "250 2.0.0 saved\r\n",
            true,
            75,
            "in_doubt",
            [&yes, &unknown, &unknown],
        ),
    ] {
        let expected = (status, Value::from(outcome), accepted.map(Clone::clone));
        assert_eq!(send(verdicts, leaves), expected, "{verdicts:?}");
    }
}

#[test]
fn every_recipient_is_listed_where_their_fates_differ() {
    for (first, said) in [
        ("550 5.1.1 no", "bob@example.net was refused: 550 5.1.1 no"),
        ("250 2.0.0 saved", "bob@example.net: accepted"),
    ] {
        let verdicts = format!("{first}\r\n");
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("lmtp://{}?tls=none", tcp.local_addr().unwrap());
        let server = thread::spawn(move || converse(tcp.accept().unwrap().0, &verdicts, true));
        let more = ["--to", "b@here.example", "--to", "c@here.example"];
        let mut arguments = with(send_to(&url), &more);
        arguments.retain(|argument| argument != "--json");
        let sent = run(&arguments);
        server.join().unwrap();
        assert_eq!(sent.status, 75, "{sent:#?}");
        let lines: Vec<_> = sent.stdout.lines().skip(1).map(str::trim).collect();
        let doubtful = ["b@here.example: in doubt", "c@here.example: in doubt"];
        assert_eq!(lines, [said, doubtful[0], doubtful[1]], "{sent:#?}");
    }
}

#[test]
fn a_missing_socket() {
    let folder = tempfile::tempdir().unwrap();
    let url = url_of(&folder.path().join("nobody"));
    for runtime in RUNTIMES {
        let sent = run(&with(send_to(&url), &["--runtime", runtime]));
        let object = sent.assert_is(75, "not_sent", Some("connect"));
        let error = object["error"].as_str().unwrap();
        assert!(
            error.contains("cannot connect to the Unix socket /"),
            "{error}"
        );
    }
    for wrong in [
        "lmtp+unix://here/lmtp",
        "lmtp+unix:///",
        "smtps+unix:///run/s",
    ] {
        let refused = run(&send_to(wrong));
        assert_eq!(refused.status, 64, "{refused:#?}");
        assert!(refused.stderr.contains("--server: "), "{refused:#?}");
    }
}
