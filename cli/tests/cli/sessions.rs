//! `send` over several sessions: what one session could not take goes over the next one, with
//! one result for each message, in order, and never without progress.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::run::{RUNTIMES, Run, interrupt, run, send_to, with};
use crate::script::{Peer, Scripted};

type Play = fn(&mut Peer);

/// Two messages, as `--message` options.
struct Two {
    folder: tempfile::TempDir,
}

impl Two {
    fn new(contents: [&[u8]; 2]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (content, name) in contents.iter().zip(["0", "1"]) {
            fs::write(folder.path().join(name), content).unwrap();
        }
        Self { folder }
    }

    fn short() -> Self {
        let message = b"Subject: test\r\n\r\nHello.\r\n";
        Self::new([message, message])
    }

    fn options(&self, server: &Scripted, runtime: &str) -> Vec<String> {
        let mut arguments = with(send_to(&server.url()), &["--runtime", runtime]);
        for name in ["0", "1"] {
            let file = self.folder.path().join(name);
            arguments = with(arguments, &["--message", file.to_str().unwrap()]);
        }
        arguments
    }

    /// Sends them with each runtime to a server that plays these. Asserts the exit status and
    /// the outcomes, in order; returns the runs, and what the server received each time.
    #[track_caller]
    fn assert(
        &self,
        plays: &[Play],
        more: &[&str],
        (status, expected): (i32, [&str; 2]),
    ) -> Vec<(Run, Vec<String>)> {
        let send = |runtime| {
            let server = Scripted::play_each(plays.to_vec());
            let sent = run(&with(self.options(&server, runtime), more));
            let received = server.received();
            assert_eq!(sent.status, status, "{received:?} {sent:#?}");
            assert_outcomes(&sent, expected);
            (sent, received)
        };
        RUNTIMES.map(send).into()
    }
}

#[track_caller]
fn assert_outcomes(sent: &Run, expected: [&str; 2]) {
    let objects = sent.objects();
    assert_eq!(objects.len(), 2, "{sent:#?}");
    for (position, (object, expected)) in objects.iter().zip(expected).enumerate() {
        assert_eq!(object["message"], position, "{sent:#?}");
        assert_eq!(object["outcome"], expected, "{sent:#?}");
    }
}

fn greet(peer: &mut Peer, capability: &str) {
    peer.play("S: 220 mx\nC: EHLO\nS: 250-mx");
    peer.play(&format!("S: 250 {capability}"));
}

fn envelope(peer: &mut Peer) {
    peer.play("C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok");
}

fn take(peer: &mut Peer) {
    envelope(peer);
    peer.play("C: DATA\nS: 354 go\nC: .\nS: 250 taken");
}

fn take_and_part(peer: &mut Peer) {
    greet(peer, "HELP");
    take(peer);
    peer.agree();
}

/// By the design of the core a refused `BDAT` ends the session.
#[test]
fn a_refused_bdat_does_not_end_the_run() {
    let refuse: Play = |peer| {
        greet(peer, "CHUNKING");
        envelope(peer);
        peer.play("C: BDAT 1\nS: 250 ok");
        // The first octet stands before the next command.
        assert!(peer.receive().starts_with("SBDAT "));
        for line in ["ubject: test", "", "Hello."] {
            assert_eq!(peer.receive(), line);
        }
        peer.play("S: 552 5.3.4 too much");
        peer.be_silent();
    };
    let two = Two::short();
    two.assert(
        &[refuse, take_and_part],
        &[],
        (69, ["rejected", "accepted"]),
    );
    // Each session refuses one message.
    let runs = two.assert(&[refuse, refuse], &[], (69, ["rejected", "rejected"]));
    for (sent, _) in runs {
        for object in sent.objects() {
            assert_eq!(object["reply"]["code"], 552, "{sent:#?}");
        }
    }
}

#[test]
fn a_session_takes_no_more_messages_than_it_declares() {
    let one: Play = |peer| {
        greet(peer, "LIMITS MAILMAX=1");
        take(peer);
        peer.agree();
    };
    let runs = Two::short().assert(&[one, one], &["--trace"], (0, ["accepted", "accepted"]));
    for (sent, received) in runs {
        let quits = received.iter().filter(|line| *line == "QUIT").count();
        assert_eq!(quits, 2, "{received:?}");
        assert_eq!(sent.stderr.matches("C: QUIT").count(), 2, "{sent:#?}");
    }
}

/// Content that is read from its file again in another session.
#[test]
fn a_large_message_is_read_again_from_its_start() {
    // More than the buffers of the system take: the refusal comes before the end.
    let line = "x".repeat(900);
    let large = format!("Subject: large\r\n\r\n{line}\r\n");
    let large = large.repeat(25_000).into_bytes();
    let lost: Play = |peer| {
        greet(peer, "HELP");
        take(peer);
        envelope(peer);
        peer.play("C: DATA\nS: 354 go");
        for _ in 0..1_000 {
            peer.receive();
        }
        peer.send("421 4.3.2 closing\r\n");
        peer.close();
    };
    let whole: Play = |peer| {
        greet(peer, "HELP");
        envelope(peer);
        peer.play("C: DATA\nS: 354 go");
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line| line != ".") {
            lines.push(peer.receive());
        }
        assert_eq!(lines.len(), 75_001);
        assert_eq!(lines[..2], ["Subject: large", ""]);
        peer.send("250 taken\r\n");
        peer.agree();
    };
    let two = Two::new([b"Subject: x\r\n\r\n", &large]);
    for runtime in RUNTIMES {
        let server = Scripted::play_each([lost, whole]);
        let sent = run(&two.options(&server, runtime));
        let second = sent.objects()[1]["outcome"].clone();
        assert_eq!(second, "accepted", "{sent:#?}");
        server.received();
    }
}

#[test]
fn recipients_that_one_session_has_no_room_for() {
    let one: Play = |peer| {
        greet(peer, "LIMITS RCPTDOMAINMAX=1");
        take(peer);
        peer.agree();
    };
    for runtime in RUNTIMES {
        let server = Scripted::play_each([one, one]);
        let more = ["--to", "carol@example.org", "--runtime", runtime];
        let sent = run(&with(send_to(&server.url()), &more));
        let object = sent.assert_is(0, "accepted", None);
        for recipient in object["recipients"].as_array().unwrap() {
            assert_eq!(recipient["accepted"], true, "{sent:#?}");
        }
        let received = server.received();
        for address in ["bob@example.net", "carol@example.org"] {
            let asked = received.iter().filter(|line| line.contains(address));
            assert_eq!(asked.count(), 1, "{received:?}");
        }
    }
}

#[test]
fn a_session_without_a_verdict_is_the_last() {
    let close: Play = |peer| {
        greet(peer, "HELP");
        peer.play("C: MAIL");
        peer.close();
    };
    // Nobody accepts another connection.
    Two::short().assert(&[close], &[], (75, ["not_sent", "not_sent"]));
    let take_one: Play = |peer| {
        greet(peer, "HELP");
        take(peer);
        peer.play("C: MAIL");
        peer.close();
    };
    Two::short().assert(&[take_one, close], &[], (75, ["accepted", "not_sent"]));
}

#[test]
fn another_session_cannot_be_opened() {
    let shut_down: Play = |peer| {
        greet(peer, "HELP");
        take(peer);
        peer.play("C: MAIL\nS: 421 4.3.2 shutting down");
    };
    let runs = Two::short().assert(&[shut_down], &[], (75, ["accepted", "not_sent"]));
    for (sent, _) in runs {
        let error = sent.objects()[1]["error"].clone();
        let said = "mail: the server refused: 421 4.3.2 shutting down";
        assert_eq!(error, said, "{sent:#?}");
    }
    let busy: Play = |peer| {
        peer.send("554 5.7.1 not again\r\n");
        peer.agree();
    };
    let runs = Two::short().assert(&[shut_down, busy], &[], (69, ["accepted", "not_sent"]));
    for (sent, _) in runs {
        let second = &sent.objects()[1];
        assert_eq!(second["reply"]["code"], 554, "{sent:#?}");
        assert_eq!(second["tls"], Value::Null);
    }
}

/// Ctrl-C in the second session: the first message keeps its verdict.
#[test]
fn ctrl_c_in_a_further_session() {
    let one: Play = |peer| {
        greet(peer, "LIMITS MAILMAX=1");
        take(peer);
        peer.agree();
    };
    let silent: Play = |peer| {
        greet(peer, "HELP");
        peer.play("C: MAIL");
        peer.be_silent();
    };
    let two = Two::short();
    for runtime in RUNTIMES {
        for (second, error) in [
            (silent, "mail: aborted by the program"),
            (Peer::be_silent as Play, "greeting: aborted by the program"),
        ] {
            let server = Scripted::play_each([one, second]);
            let arguments = two.options(&server, runtime);
            let sent = interrupt(&arguments, Duration::from_millis(700));
            assert_eq!(sent.status, 75, "{sent:#?}");
            assert_outcomes(&sent, ["accepted", "not_sent"]);
            assert_eq!(sent.objects()[1]["error"], error, "{runtime}: {sent:#?}");
            server.received();
        }
    }
}
