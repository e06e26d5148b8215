//! Recipients that one session does not ask for, and that the program may try over another one.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::Arc;

use bytes::Buf as _;
use postwire_proto::{
    Body, Client, ClientConfig, Endpoint as _, Envelope, Event, HelloName, Instant, Protocol,
    Report, Security,
};

/// The report on a message to two domains, from a server that allows one and refuses the content.
fn report_where_one_domain_fits(protocol: Protocol) -> Report {
    let config = ClientConfig::new(HelloName::localhost(), Security::None).protocol(protocol);
    let mut client = Client::new(Arc::new(config));
    let to = ["b@one.example", "c@two.example"].map(|address| address.parse().unwrap());
    client.enqueue(
        Envelope::new(None, to.to_vec()).unwrap(),
        Body::from("hello\r\n"),
    );
    // The last reply answers a later command, by which the client makes sure that no final reply
    // is missing.
    for reply in [
        "220 mx.example\r\n",
        "250-mx.example\r\n250 LIMITS RCPTDOMAINMAX=1\r\n",
        "250 ok\r\n",
        "250 ok\r\n",
        "354 go on\r\n",
        "552 mailbox full\r\n",
        "250 ok\r\n",
    ] {
        client.handle_input(Instant::EPOCH, reply.as_bytes());
        let mut output = client.output();
        let octets = output.remaining();
        output.advance(octets);
    }
    let mut events = std::iter::from_fn(|| client.poll_event());
    events
        .find_map(|event| match event {
            Event::Report(report) => Some(report),
            _ => None,
        })
        .unwrap()
}

#[test]
fn a_refusal_by_one_mailbox_leaves_the_others_for_another_session() {
    let report = report_where_one_domain_fits(Protocol::Lmtp);
    assert_eq!(report.left_for_another_session(), [1], "{report}");
}

#[test]
fn a_refusal_of_the_content_is_for_everyone() {
    let report = report_where_one_domain_fits(Protocol::Smtp);
    assert!(report.left_for_another_session().is_empty(), "{report}");
}
