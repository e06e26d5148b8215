//! `send` with parameters of the envelope: the commands on the wire, the server's view of them,
//! and the result if the server lacks an extension.

use serde_json::Value;

use crate::run::{RUNTIMES, Serve, run, send_to, with};
use crate::script::Scripted;

/// Every parameter that `send` can request from a server in plaintext.
const ASKED: [&str; 20] = [
    "--dsn-ret",
    "hdrs",
    "--dsn-envid",
    "QQ 314+1",
    "--notify",
    "success,delay",
    "--orcpt",
    "bob@example.net=robert@example.org",
    "--orcpt",
    "carol@example.net=x400;C=us; S=carol",
    "--deliver-by",
    "-5:notify:trace",
    "--hold-for",
    "3600",
    "--priority",
    "-3",
    "--mail-param",
    "XFOO=a;b",
    "--rcpt-param",
    "X-BARS:XBAR",
];

const MAIL: &str = "MAIL FROM:<alice@example.org> RET=HDRS ENVID=QQ+20314+2B1 BY=-5;NT \
                    HOLDFOR=3600 MT-PRIORITY=-3 XFOO=a;b";
const TO_BOB: &str =
    "RCPT TO:<bob@example.net> NOTIFY=SUCCESS,DELAY XBAR ORCPT=rfc822;robert@example.org";
const TO_CAROL: &str =
    "RCPT TO:<carol@example.net> NOTIFY=SUCCESS,DELAY XBAR ORCPT=x400;C+3Dus;+20S+3Dcarol";

fn to_bob_and_carol(url: &str) -> Vec<String> {
    with(send_to(url), &["--to", "carol@example.net"])
}

/// The words of a command, sorted: the order of parameters has no meaning.
fn words(line: &str) -> Vec<&str> {
    let mut words: Vec<&str> = line.split(' ').collect();
    words.sort_unstable();
    words
}

#[test]
fn every_parameter_is_sent() {
    for runtime in RUNTIMES {
        let server = Scripted::script(
            "S: 220 mx\nC: EHLO\nS: 250-mx\nS: 250-DSN\nS: 250-DELIVERBY\nS: 250-MT-PRIORITY
             S: 250-FUTURERELEASE 86400 2030-01-31T12:00:00Z\nS: 250-XFOO\nS: 250 X-BARS
             C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nC: .
             S: 250 ok",
        );
        let arguments = with(to_bob_and_carol(&server.url()), &ASKED);
        let sent = run(&with(arguments, &["--runtime", runtime]));
        sent.assert_is(0, "accepted", None);
        let received = server.received();
        for (received, expected) in received[1..4].iter().zip([MAIL, TO_BOB, TO_CAROL]) {
            assert_eq!(words(received), words(expected), "{runtime}");
        }
    }
}

#[test]
fn serve_accepts_and_shows_every_parameter() {
    let mut server = Serve::start(&[
        "--offer",
        "DELIVERBY",
        "--offer",
        "FUTURERELEASE=3600",
        "--offer",
        "mt-priority",
        "--offer",
        "XFOO",
        "--offer",
        "X-BARS",
        "--offer",
        "XBAR",
    ]);
    let url = format!("smtp://localhost:{}?tls=none", server.port);
    let arguments = with(to_bob_and_carol(&url), &ASKED);
    run(&arguments).assert_is(0, "accepted", None);
    let line = server.line();
    for reported in [MAIL, TO_BOB, TO_CAROL] {
        let reported = reported
            .split_once(' ')
            .unwrap()
            .1
            .split_once(' ')
            .unwrap()
            .1;
        for parameter in reported.split(' ') {
            assert!(
                line.contains(&format!(" {parameter}")),
                "{parameter}: {line}"
            );
        }
    }
    let until = ["--hold-until", "2030-01-31T12:00:00Z"];
    run(&with(send_to(&url), &until)).assert_is(0, "accepted", None);
    let line = server.line();
    let begin = "message 2: from <alice@example.org> HOLDUNTIL=2030-01-31T12:00:00Z to <bob@";
    assert!(line.starts_with(begin), "{line}");
    // Longer than the server holds messages: the command is not sent, since it would be
    // refused.
    let long = run(&with(send_to(&url), &["--hold-for", "3601"]));
    let object = long.assert_is(69, "not_sent", Some("mail"));
    assert_eq!(object["reply"], Value::Null);
}

#[test]
fn require_tls_needs_verified_tls() {
    let mut server = Serve::start(&["--tls", "starttls", "--offer", "REQUIRETLS"]);
    let authority = server.authority();
    let trust = ["--ca", authority.to_str().unwrap(), "--require-tls"];
    let url = |tls| format!("smtp://localhost:{}?tls={tls}", server.port);
    run(&with(send_to(&url("required")), &trust)).assert_is(0, "accepted", None);
    // In plaintext the extension is not offered, and an offer would not count.
    let plaintext = run(&with(send_to(&url("none")), &["--require-tls"]));
    let object = plaintext.assert_is(69, "not_sent", Some("mail"));
    assert!(object["error"].as_str().unwrap().contains("REQUIRETLS"));
    let line = server.line();
    assert!(
        line.contains("<alice@example.org> REQUIRETLS to <bob@example.net>, "),
        "{line}"
    );
}

/// Optional parameters are left out; if a promise would be broken, nothing is sent.
#[test]
fn a_server_without_the_extensions() {
    let mut server = Serve::start(&["--no-dsn"]);
    let url = format!("smtp://localhost:{}?tls=none", server.port);
    let left_out = [
        "--dsn-ret",
        "full",
        "--dsn-envid",
        "x",
        "--orcpt",
        "bob@example.net=rfc822;b@c.example",
        "--priority",
        "9",
    ];
    run(&with(send_to(&url), &left_out)).assert_is(0, "accepted", None);
    let line = server.line();
    let begin = "message 1: from <alice@example.org> to <bob@example.net>, ";
    assert!(line.starts_with(begin), "{line}");
    for (option, value, extension) in [
        ("--notify", "never", "DSN"),
        ("--deliver-by", "60", "DELIVERBY"),
        ("--hold-for", "60", "FUTURERELEASE"),
        ("--hold-until", "2030-01-31T12:00:00Z", "FUTURERELEASE"),
        ("--mail-param", "XFOO=1", "XFOO"),
        (
            "--mail-param",
            "NO-SOLICITING:SOLICIT=org.example:ADV",
            "NO-SOLICITING",
        ),
        ("--rcpt-param", "XFOO", "XFOO"),
    ] {
        let sent = run(&with(send_to(&url), &[option, value]));
        let object = sent.assert_is(69, "not_sent", Some("mail"));
        assert_eq!(object["reply"], Value::Null);
        let error = object["error"].as_str().unwrap();
        assert!(error.contains(extension), "{option}: {error}");
    }
    assert_eq!(server.messages().len(), 1);
}

/// The session ends between two transactions of one message: why the rest was not sent is said.
#[test]
fn a_server_that_shuts_down_between_two_parts_of_a_message() {
    for runtime in RUNTIMES {
        for json in [true, false] {
            let server = Scripted::play(|peer| {
                peer.play("S: 220 mx\nC: EHLO\nS: 250-mx\nS: 250 LIMITS RCPTMAX=2");
                peer.play("C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: RCPT\nS: 250 ok");
                peer.play("C: DATA\nS: 354 go\nC: .\nS: 250 2.0.0 taken");
                peer.play("C: MAIL\nS: 421 4.3.2 shutting down now");
            });
            let more = ["--to", "r1@b.example", "--to", "r2@b.example"];
            let mut arguments = with(send_to(&server.url()), &more);
            arguments.retain(|argument| json || argument != "--json");
            let sent = run(&with(arguments, &["--runtime", runtime]));
            server.received();
            let error = "mail: the server refused: 421 4.3.2 shutting down now";
            if json {
                let object = sent.assert_is(75, "partial", None);
                assert_eq!(object["error"], error);
                assert_eq!(object["reply"]["code"], 250);
                let status = [0, 1, 2].map(|at| object["recipients"][at]["status"].clone());
                assert_eq!(status, ["accepted", "accepted", "not_sent"]);
            } else {
                assert_eq!(
                    sent.stdout,
                    format!(
                        "accepted, but not for 1 of 3 recipients: 250 2.0.0 taken; the rest was \
                         not sent: {error}\n  r2@b.example: not sent\n"
                    )
                );
                let hint = "hint: the server may accept it later\n";
                assert_eq!(sent.stderr, hint, "{sent:#?}");
            }
        }
    }
}

/// The server declares the limit (LIMITS) or only enforces it: one message, one verdict, and
/// every recipient is tried.
#[test]
fn more_recipients_than_the_server_accepts_at_once() {
    for (options, asked) in [
        (&["--max-recipients", "100"][..], 200),
        (&["--max-recipients", "100", "--offer", "LIMITS"], 150),
    ] {
        let server = Serve::start(options);
        let url = format!("smtp://localhost:{}?tls=none", server.port);
        let mut arguments = with(send_to(&url), &["--trace"]);
        for number in 1..150 {
            arguments = with(arguments, &["--to", &format!("r{number}@example.net")]);
        }
        let sent = run(&arguments);
        let object = sent.assert_is(0, "accepted", None);
        assert_eq!(object["recipients"].as_array().unwrap().len(), 150);
        assert_eq!(sent.stderr.matches("C: RCPT TO:").count(), asked);
        assert_eq!(server.messages().len(), 2);
    }
}
