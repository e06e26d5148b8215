//! The tests of the sign-ups: without a socket, and against a server.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use postwire_blocking::{Mailer, Transport};
use postwire_examples::sign_up::{Answer, SignUps};
use postwire_testing::{RecordingTransport, TestServer, Trigger::*};

fn sign_ups(mailer: &dyn Mailer) -> SignUps<'_> {
    let sender = "site@example.org".parse().unwrap();
    SignUps::new(mailer, sender, || "1234".to_owned())
}

#[test]
fn a_code_is_sent_and_confirms() {
    let mailer = RecordingTransport::new();
    let sign_ups = sign_ups(&mailer);
    assert_eq!(
        sign_ups.sign_up("bob@example.net"),
        Answer::LookIntoYourMailbox
    );

    let message = &mailer.messages()[0];
    assert_eq!(
        message.envelope.forward_paths()[0].to_string(),
        "bob@example.net"
    );
    assert!(message.text().contains("Your code is 1234."));

    assert!(!sign_ups.confirm("bob@example.net", "0000"));
    assert!(sign_ups.confirm("bob@example.net", "1234"));
    assert!(!sign_ups.confirm("bob@example.net", "1234"));
}

#[test]
fn an_address_that_does_not_exist_is_said() {
    let mailer = RecordingTransport::new();
    mailer.on(AnyRcpt).reply("550 5.1.1 no such user");
    let sign_ups = sign_ups(&mailer);
    assert_eq!(
        sign_ups.sign_up("nobody@example.net"),
        Answer::CheckTheAddress
    );
    assert_eq!(sign_ups.sign_up("not an address"), Answer::CheckTheAddress);
    assert!(!sign_ups.confirm("nobody@example.net", "1234"));
    assert_eq!(mailer.attempts().len(), 1);
}

#[test]
fn what_fails_for_now_is_sent_later() {
    let mailer = RecordingTransport::new();
    mailer.on(Greeting).once().hang_up();
    mailer.on(Content).once().hang_up();
    let sign_ups = sign_ups(&mailer);
    assert_eq!(sign_ups.sign_up("bob@example.net"), Answer::PleaseWait);
    sign_ups.send_again();
    assert!(mailer.messages().is_empty());
    sign_ups.send_again();
    sign_ups.send_again();
    assert_eq!(mailer.messages().len(), 1);
    assert_eq!(mailer.attempts().len(), 3);
}

#[test]
fn a_server_refuses_for_good_and_for_now() {
    let server = TestServer::builder().starttls().start();
    server
        .on(Rcpt("nobody@example.net"))
        .reply("550 5.1.1 no such user");
    server
        .on(Rcpt("bob@example.net"))
        .once()
        .reply("450 4.2.1 come back later");

    let transport: Transport = server.transport().build().unwrap();
    let sign_ups = sign_ups(&transport);
    assert_eq!(
        sign_ups.sign_up("nobody@example.net"),
        Answer::CheckTheAddress
    );
    assert_eq!(sign_ups.sign_up("bob@example.net"), Answer::PleaseWait);
    assert!(server.messages().is_empty());

    sign_ups.send_again();
    let message = &server.wait_for(1)[0];
    assert!(message.tls.is_some());
    assert_eq!(message.recipients[0].to_string(), "bob@example.net");
    assert!(message.text().contains("Your code is 1234."));
    assert!(sign_ups.confirm("bob@example.net", "1234"));
}
