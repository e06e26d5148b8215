//! The transport that only records, and the traits.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::Arc;
use std::thread;

use postwire_testing::proto::{
    Body, Envelope, Error, ErrorKind, Outcome, RecipientReport, RecipientStatus, Recipients,
    Report, SendError, Stage,
};
use postwire_testing::{AsyncMailer, Mailer, RecordingTransport, Trigger::*};

fn envelope(recipients: &[&str]) -> Envelope {
    let recipients = recipients.iter().map(|text| text.parse().unwrap());
    Envelope::new(None, recipients.collect()).unwrap()
}

fn hello() -> Body {
    Body::from("Subject: hello\n\nHello.\n")
}

#[test]
fn messages_and_attempts_are_recorded() {
    let transport = RecordingTransport::new();
    let both = envelope(&["bob@example.net", "carol@example.net"]);
    transport
        .on(Rcpt("bob@example.net"))
        .nth(2)
        .reply("550 5.1.1 no");
    transport.on(Mail).nth(3).reply("451 4.3.0 later");
    assert!(transport.send(&both, hello()).is_ok());
    let partial = transport.send(&both, hello()).unwrap_err();
    assert!(partial.report().is_partial());
    assert!(transport.send(&both, hello()).is_err());
    let [accepted, messages] = [transport.messages(), transport.attempts()].map(|of| of.len());
    assert_eq!((accepted, messages), (2, 3));
    let last = transport.attempts().pop().unwrap();
    assert_eq!(
        (&last.envelope, &*last.text()),
        (&both, "Subject: hello\n\nHello.\n")
    );
    assert_eq!(last.report.stage(), Some(Stage::Mail));
    transport.clear_messages();
    assert!(transport.messages().is_empty() && transport.attempts().is_empty());
}

#[test]
fn all_or_nothing_is_kept() {
    let transport = RecordingTransport::new();
    transport
        .on(Rcpt("bob@example.net"))
        .reply("450 4.2.1 later");
    let both = envelope(&["bob@example.net", "carol@example.net"]).with_recipients(Recipients::All);
    let report = transport.send(&both, hello()).unwrap_err().into_report();
    assert_eq!(report.stage(), Some(Stage::Rcpt));
    let status: Vec<_> = report
        .recipients()
        .iter()
        .map(RecipientReport::status)
        .collect();
    assert_eq!(status, [RecipientStatus::Refused, RecipientStatus::NotSent]);
    assert!(transport.messages().is_empty());
}

fn confirm(mailer: &dyn Mailer) -> Result<Report, SendError> {
    mailer.send(&envelope(&["bob@example.net"]), hello())
}

async fn confirm_async(mailer: impl AsyncMailer) -> Result<Report, SendError> {
    mailer.send(&envelope(&["bob@example.net"]), hello()).await
}

#[test]
fn an_application_sends_through_either_trait() {
    let transport = RecordingTransport::new();
    assert!(confirm(&transport).is_ok());
    let shared: Arc<dyn Mailer> = Arc::new(transport.clone());
    assert!(confirm(&shared).is_ok());
    let shared: Arc<dyn AsyncMailer> = Arc::new(transport.clone());
    assert!(smol::block_on(confirm_async(shared)).is_ok());
    let boxed: Box<dyn AsyncMailer> = Box::new(transport.clone());
    assert!(smol::block_on(confirm_async(boxed)).is_ok());
    assert!(smol::block_on(confirm_async(&transport)).is_ok());
    assert_eq!(transport.wait_for(5).len(), 5);
}

#[test]
fn a_test_can_wait_for_the_background() {
    let transport = RecordingTransport::new();
    let of_thread = transport.clone();
    let thread = thread::spawn(move || confirm(&of_thread));
    assert_eq!(smol::block_on(transport.wait_for_async(1)).len(), 1);
    assert!(thread.join().unwrap().is_ok());
}

#[test]
fn reports_can_be_built() {
    let bob = envelope(&["bob@example.net"]);
    let reply = |text: &str| text.parse().unwrap();
    let closed = || Error::new(Stage::Body, ErrorKind::ConnectionClosed);
    let accepted = Report::accepted(&bob, reply("250 2.0.0 ok"));
    assert!(accepted.into_result().is_ok());
    let rejected = Report::rejected(&bob, Stage::Rcpt, reply("550 5.1.1 no"));
    assert_eq!(rejected.to_string(), "rejected at rcpt: 550 5.1.1 no");
    assert_eq!(rejected.refused().count(), 1);
    for (report, status) in [
        (Report::not_sent(&bob, closed()), RecipientStatus::NotSent),
        (Report::in_doubt(&bob, closed()), RecipientStatus::InDoubt),
    ] {
        assert_eq!(report.recipients()[0].status(), status);
        assert!(!matches!(report.outcome(), Outcome::Accepted(_)));
    }
}
