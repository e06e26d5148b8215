//! Credentials: their sources, when they are sent, and that they are never shown.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::run::{LOGIN, PASSWORD, Serve, USER, run, send_to, with};
use crate::script::{Peer, Scripted};

fn plain() -> String {
    STANDARD.encode(format!("\0{USER}\0{PASSWORD}"))
}

#[test]
fn probe_does_not_show_what_the_server_repeats() {
    for json in [&[][..], &["--json"]] {
        let plays = (0..4).map(|number| {
            move |peer: &mut Peer| {
                // The first session tells the server the password, and the others hear it.
                let word = if number == 0 { "mx" } else { PASSWORD };
                peer.send(&format!("220 {word}\r\n"));
                peer.receive();
                peer.send(&format!("250-mx {PASSWORD}\r\n250 AUTH PLAIN\r\n"));
                if number == 0 {
                    peer.receive();
                    peer.send("235 welcome\r\n");
                }
                peer.receive();
                peer.send(&format!("554 {PASSWORD}\r\n"));
                peer.agree();
            }
        });
        let server = Scripted::play_each(plays);
        let url = server.url();
        // Everything that is printed is searched for the password.
        let arguments = [&["probe", &url, "--allow-plaintext-auth"], &LOGIN[..], json];
        let probed = run(&arguments.concat());
        assert!(probed.stdout.contains("<redacted>"), "{probed:#?}");
    }
}

#[test]
fn a_password_is_not_sent_in_plaintext() {
    let server = Scripted::script("S: 220 mx\nC: EHLO\nS: 250-mx\nS: 250 AUTH PLAIN LOGIN");
    let sent = run(&with(send_to(&server.url()), &LOGIN));
    sent.assert_is(77, "not_sent", Some("auth"));
    let received = server.received();
    assert!(
        !received.iter().any(|line| line.starts_with("AUTH")),
        "{received:?}"
    );
}

#[test]
fn a_login_that_is_not_offered() {
    let server = Scripted::script("S: 220 mx\nC: EHLO\nS: 250 mx");
    let arguments = with(send_to(&server.url()), &LOGIN);
    run(&with(arguments, &["--allow-plaintext-auth"])).assert_is(77, "not_sent", Some("auth"));
}

#[test]
fn a_mechanism_that_is_not_offered() {
    let server = Scripted::script("S: 220 mx\nC: EHLO\nS: 250-mx\nS: 250 AUTH PLAIN");
    let arguments = with(send_to(&server.url()), &LOGIN);
    let arguments = with(arguments, &["--allow-plaintext-auth", "--auth", "login"]);
    run(&arguments).assert_is(77, "not_sent", Some("auth"));
}

#[test]
fn login_has_no_initial_response() {
    let server = Scripted::script(
        "S: 220 mx\nC: EHLO\nS: 250-mx\nS: 250 AUTH LOGIN PLAIN\nC: AUTH LOGIN
         S: 334 VXNlcm5hbWU6\nC: YWxpY2U=\nS: 334 UGFzc3dvcmQ6\nC: dHIwdWI0ZG9yJjM=\nS: 235 ok
         C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nC: .\nS: 250 ok",
    );
    let arguments = with(send_to(&server.url()), &LOGIN);
    let arguments = with(
        arguments,
        &["--allow-plaintext-auth", "--auth", "LOGIN", "--trace"],
    );
    let sent = run(&arguments);
    sent.assert_is(0, "accepted", None);
    assert_eq!(server.received()[1], "AUTH LOGIN");
    assert!(sent.stderr.contains("\nC: AUTH LOGIN\n"), "{sent:#?}");
    assert!(
        sent.stderr
            .lines()
            .all(|line| line.starts_with("C: ") || line.starts_with("S: "))
    );
}

#[test]
fn options_override_the_url() {
    let server = Scripted::script(
        "S: 220 mx\nC: EHLO there.example\nS: 250-mx\nS: 250 AUTH PLAIN\nC: AUTH PLAIN \nS: 535 no",
    );
    let url = format!(
        "smtp://eve:wrong@127.0.0.1:{}/here.example?tls=none",
        server.port
    );
    let arguments = with(send_to(&url), &LOGIN);
    let more = ["--allow-plaintext-auth", "--hello", "there.example"];
    let sent = run(&with(arguments, &more));
    let object = sent.assert_is(77, "not_sent", Some("auth"));
    assert_eq!(object["reply"]["code"], 535);
    assert_eq!(server.received()[1], format!("AUTH PLAIN {}", plain()));
}

#[test]
fn the_url_may_contain_the_credentials() {
    let server = Scripted::script(
        "S: 220 mx\nC: EHLO here.example\nS: 250-mx\nS: 250 AUTH PLAIN\nC: AUTH PLAIN \nS: 454 later",
    );
    let password = PASSWORD.replace('&', "%26");
    let port = server.port;
    let url = format!("smtp://{USER}:{password}@127.0.0.1:{port}/here.example?tls=none");
    let sent = run(&with(send_to(&url), &["--allow-plaintext-auth", "--trace"]));
    sent.assert_is(75, "not_sent", Some("auth"));
    assert_eq!(server.received()[1], format!("AUTH PLAIN {}", plain()));
    assert!(!sent.stderr.contains(&password));
}

#[test]
fn a_server_that_repeats_the_secret_is_not_quoted() {
    let form = plain();
    let server = Scripted::play(move |peer| {
        peer.send(&format!("220 {PASSWORD}\r\n"));
        peer.receive();
        peer.send(&format!("250-mx {PASSWORD}\r\n250 AUTH PLAIN\r\n"));
        peer.receive();
        peer.send(&format!("535-{PASSWORD}\r\n535 {form} is wrong\r\n"));
        peer.agree();
    });
    // Every run is checked for secrets in its output.
    let arguments = with(send_to(&server.url()), &LOGIN);
    let arguments = with(arguments, &["--allow-plaintext-auth", "--trace"]);
    let sent = run(&arguments);
    let object = sent.assert_is(77, "not_sent", Some("auth"));
    assert_eq!(object["reply"]["text"][0], "<redacted>");
}

#[test]
fn a_mechanism_named_like_the_secret_is_not_quoted() {
    let server = Scripted::play(|peer| {
        peer.send("220 mx\r\n");
        peer.receive();
        peer.send("250-mx\r\n250 AUTH SECRET12\r\n");
        peer.agree();
    });
    let mut command = crate::run::postwire();
    command
        .args(with(send_to(&server.url()), &LOGIN))
        .env("POSTWIRE_TEST_PASSWORD", "SECRET12")
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let sent = crate::run::finish(command, b"");
    sent.assert_is(77, "not_sent", Some("auth"));
    assert!(!sent.stdout.contains("SECRET12"), "{sent:#?}");
}

#[test]
fn a_token_instead_of_a_password() {
    let server = Scripted::script(
        "S: 220 mx\nC: EHLO\nS: 250-mx\nS: 250 AUTH PLAIN OAUTHBEARER\nC: AUTH OAUTHBEARER
         S: 334 eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0=\nC: AQ==\nS: 535 5.7.8 no",
    );
    let arguments = with(send_to(&server.url()), &LOGIN);
    let login = ["--allow-plaintext-auth", "--auth", "OAUTHBEARER"];
    let sent = run(&with(arguments, &login));
    sent.assert_is(77, "not_sent", Some("auth"));
    assert!(sent.stdout.contains("invalid_token"), "{sent:#?}");
    let received = server.received();
    assert_eq!(received[2], "AQ==");
}

#[test]
fn a_login_without_a_password() {
    for (login, auth) in [
        (&["--auth", "EXTERNAL"][..], "AUTH EXTERNAL ="),
        (
            &["--auth", "EXTERNAL", "--user", "relay"],
            "AUTH EXTERNAL cmVsYXk=",
        ),
        (
            &["--auth", "EXTERNAL", "--acting-for", "relay"],
            "AUTH EXTERNAL cmVsYXk=",
        ),
        (
            &["--auth", "ANONYMOUS", "--user", "sirhc"],
            "AUTH ANONYMOUS c2lyaGM=",
        ),
    ] {
        let server = Scripted::script(
            "S: 220 mx\nC: EHLO\nS: 250-mx\nS: 250 AUTH PLAIN ANONYMOUS EXTERNAL\nC: AUTH\nS: 235 ok
             C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nC: .\nS: 250 ok",
        );
        let sent = run(&with(send_to(&server.url()), login));
        sent.assert_is(0, "accepted", None);
        assert_eq!(server.received()[1], auth);
    }
}

#[test]
fn acting_for_another_user() {
    let server = Scripted::script(
        "S: 220 mx\nC: EHLO\nS: 250-mx\nS: 250 AUTH LOGIN PLAIN\nC: AUTH PLAIN \nS: 535 no",
    );
    let arguments = with(send_to(&server.url()), &LOGIN);
    let more = ["--allow-plaintext-auth", "--acting-for", "bob"];
    run(&with(arguments, &more)).assert_is(77, "not_sent", Some("auth"));
    let both = STANDARD.encode(format!("bob\0{USER}\0{PASSWORD}"));
    assert_eq!(server.received()[1], format!("AUTH PLAIN {both}"));
}

/// A script that offers two mechanisms, of which only the second is set up.
const ONE_IS_NOT_SET_UP: &str = "S: 220 mx\nC: EHLO\nS: 250-mx\nS: 250 AUTH PLAIN LOGIN\nC: AUTH PLAIN \nS: 535 5.7.8 no
     C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: YWxpY2U=\nS: 334 UGFzc3dvcmQ6\nC: dHIwdWI0ZG9yJjM=\nS: 235 ok";

#[test]
fn the_next_mechanism_is_tried_on_request() {
    let server = Scripted::script(
        "S: 220 mx\nC: EHLO\nS: 250-mx\nS: 250 AUTH PLAIN LOGIN\nC: AUTH PLAIN \nS: 535 5.7.8 no",
    );
    let options = [&LOGIN[..], &["--allow-plaintext-auth"]].concat();
    let sent = run(&with(send_to(&server.url()), &options));
    let object = sent.assert_is(77, "not_sent", Some("auth"));
    assert_eq!(object["auth"], Value::Null);

    let options = [&options[..], &["--try-next-mechanism"]].concat();
    let server = Scripted::play(|peer| {
        peer.play(ONE_IS_NOT_SET_UP);
        peer.play("C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nC: .\nS: 250 ok");
        peer.agree();
    });
    let sent = run(&with(send_to(&server.url()), &options));
    let object = sent.assert_is(0, "accepted", None);
    assert_eq!(object["auth"], "LOGIN");

    let server = Scripted::script(ONE_IS_NOT_SET_UP);
    let url = server.url();
    let probed = run(&[&["probe", &url, "--json"][..], &options].concat());
    assert_eq!(probed.status, 0, "{probed:#?}");
    assert_eq!(probed.object()["login"], "LOGIN");
}

#[test]
fn a_login_that_must_be_bound_to_tls() {
    let server = Serve::start(&[
        "--tls",
        "starttls",
        "--auth",
        "alice:POSTWIRE_TEST_PASSWORD",
    ]);
    let authority = server.authority();
    let trust = ["--ca", authority.to_str().unwrap()];
    let url = format!("smtp://localhost:{}", server.port);
    let bound = ["--channel-binding", "required"];
    let options = [&LOGIN[..], &trust, &bound].concat();
    let sent = run(&with(send_to(&url), &options));
    let object = sent.assert_is(0, "accepted", None);
    assert_eq!(object["auth"], "SCRAM-SHA-512-PLUS");

    let unbound = [&options[..], &["--auth", "SCRAM-SHA-256"]].concat();
    run(&with(send_to(&url), &unbound)).assert_is(77, "not_sent", Some("auth"));
    let preferred = [&LOGIN[..], &trust, &["--auth", "SCRAM-SHA-256"]].concat();
    let preferred = [&preferred[..], &["--channel-binding", "preferred"]].concat();
    let object = run(&with(send_to(&url), &preferred)).assert_is(0, "accepted", None);
    assert_eq!(object["auth"], "SCRAM-SHA-256");

    let probed = run(&[&["probe", &url, "--json"][..], &unbound].concat());
    assert_eq!(probed.status, 77, "{probed:#?}");
    let probed = run(&[&["probe", &url, "--json"][..], &options].concat());
    assert_eq!(probed.object()["login"], "SCRAM-SHA-512-PLUS");
}
