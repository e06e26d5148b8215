//! STARTTLS, up to the start of TLS.

use crate::run::{run, send_to, with};
use crate::script::Scripted;

const OFFER: &str = "S: 220 mx\nC: EHLO\nS: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\n";

fn url(server: &Scripted, mode: &str) -> String {
    format!("smtp://127.0.0.1:{}?tls={mode}", server.port)
}

fn script(after_the_offer: &str) -> Scripted {
    Scripted::script(Box::leak(
        format!("{OFFER}{after_the_offer}").into_boxed_str(),
    ))
}

/// Asserts that nothing else was written before TLS.
fn assert_nothing_leaked(received: &[String]) {
    for line in received {
        let verb = line.split(' ').next().unwrap();
        assert!(["EHLO", "STARTTLS", "QUIT"].contains(&verb), "{received:?}");
    }
}

#[test]
fn starttls_is_removed_from_the_reply() {
    let server = Scripted::script("S: 220 mx\nC: EHLO\nS: 250 mx");
    run(&send_to(&url(&server, "required"))).assert_is(77, "not_sent", Some("starttls"));
    assert_nothing_leaked(&server.received());

    let server = Scripted::script(
        "S: 220 mx\nC: EHLO\nS: 250 mx\nC: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nC: .\nS: 250 ok",
    );
    run(&send_to(&url(&server, "opportunistic"))).assert_is(0, "accepted", None);
}

#[test]
fn starttls_is_required_by_default() {
    let server = Scripted::script("S: 220 mx\nC: EHLO\nS: 250 mx");
    let url = format!("smtp://127.0.0.1:{}", server.port);
    run(&send_to(&url)).assert_is(77, "not_sent", Some("starttls"));
    assert_nothing_leaked(&server.received());
}

#[test]
fn without_ehlo_there_is_no_starttls() {
    let server = Scripted::script("S: 220 mx\nC: EHLO\nS: 502 what?");
    run(&send_to(&url(&server, "required"))).assert_is(69, "not_sent", Some("ehlo"));
    assert_nothing_leaked(&server.received());
}

#[test]
fn starttls_is_refused() {
    for reply in ["S: 454 4.7.0 not now", "S: 502 5.5.1 never"] {
        let server = script(reply);
        run(&send_to(&url(&server, "required"))).assert_is(77, "not_sent", Some("starttls"));
        assert_nothing_leaked(&server.received());
    }
    let server = script("S: 421 4.3.2 closing");
    run(&send_to(&url(&server, "required"))).assert_is(75, "not_sent", Some("starttls"));
}

#[test]
fn plaintext_is_injected_after_starttls() {
    for mode in ["required", "opportunistic"] {
        let server = Scripted::play(|peer| {
            peer.send("220 mx\r\n");
            peer.receive();
            peer.send("250-mx\r\n250 STARTTLS\r\n");
            peer.receive();
            peer.send("220 go\r\n250 mine\r\n");
            peer.be_silent();
        });
        run(&send_to(&url(&server, mode))).assert_is(76, "not_sent", Some("starttls"));
        assert_nothing_leaked(&server.received());
    }
}

#[test]
fn the_connection_ends_in_the_handshake() {
    let server = Scripted::play(|peer| {
        peer.send("220 mx\r\n");
        peer.receive();
        peer.send("250-mx\r\n250 STARTTLS\r\n");
        peer.receive();
        peer.send("220 go\r\n");
        std::thread::sleep(std::time::Duration::from_millis(100));
        peer.close();
    });
    run(&send_to(&url(&server, "required"))).assert_is(75, "not_sent", Some("tls"));
}

#[test]
fn an_endless_handshake() {
    let server = Scripted::play(|peer| {
        peer.send("220 mx\r\n");
        peer.receive();
        peer.send("250-mx\r\n250 STARTTLS\r\n");
        peer.receive();
        peer.send("220 go\r\n");
        peer.be_silent();
    });
    let mut arguments = send_to(&url(&server, "required"));
    let seconds = arguments.iter().position(|a| a == "5").unwrap();
    arguments[seconds] = "0.5".to_owned();
    let run = run(&arguments);
    run.assert_is(75, "not_sent", Some("tls"));
    assert!(run.took.as_secs_f32() < 2.5, "{run:#?}");
}

#[test]
fn plaintext_where_tls_is_expected() {
    let server = Scripted::play(|peer| {
        peer.send("220 mx ready\r\n");
        peer.be_silent();
    });
    let url = format!("smtps://127.0.0.1:{}", server.port);
    let sent = run(&with(send_to(&url), &["--message", "-"]));
    sent.assert_is(77, "not_sent", Some("tls"));
}
