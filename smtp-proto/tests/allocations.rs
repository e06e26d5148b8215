//! Counts the allocations of a message once a connection is in use: those of its report, and
//! nothing else.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::Arc;

use allocation_counter::measure;
use bytes::{Buf, Bytes};
use postwire_proto::{
    Body, Client, ClientConfig, Endpoint, Envelope, Event, HelloName, Instant, Pipelining, Security,
};

/// A client that is ready for messages, connected to a server with these capabilities.
fn greeted(capabilities: &str, pipelining: Pipelining) -> Client {
    let config = ClientConfig::new(HelloName::localhost(), Security::None).pipelining(pipelining);
    let mut client = Client::new(Arc::new(config));
    receive(&mut client, "220 mail.example.org\r\n");
    take_all(&mut client);
    receive(
        &mut client,
        &format!("250-mail.example.org\r\n{capabilities}"),
    );
    client
}

fn receive(client: &mut Client, words: &str) {
    client.handle_input(Instant::EPOCH, words.as_bytes());
}

/// Takes all output and returns its length.
fn take_all(client: &mut Client) -> usize {
    let mut taken = 0;
    loop {
        let mut output = client.output();
        let octets = output.chunk().len();
        if octets == 0 {
            return taken;
        }
        output.advance(octets);
        taken += octets;
    }
}

fn next_report(client: &mut Client) -> bool {
    while let Some(event) = client.poll_event() {
        if let Event::Report(report) = event {
            return report.is_accepted();
        }
    }
    false
}

/// The allocations for the 1,001st message of this kind, after those of its report are dropped.
fn of_a_message(capabilities: &str, body: &Body, recipients: usize, replies: &[&str]) -> u64 {
    let forward_paths = (0..recipients)
        .map(|n| format!("r{n}@example.org").parse().unwrap())
        .collect();
    let envelope = Envelope::new(Some("s@example.org".parse().unwrap()), forward_paths).unwrap();
    let mut client = greeted(capabilities, Pipelining::Careful);
    if capabilities == BY_BDAT {
        // The first octet of the first content of a session is sent alone.
        client.enqueue(envelope.clone(), body.clone());
        take_all(&mut client);
        receive(&mut client, "250 ok\r\n250 ok\r\n250 ok\r\n");
        take_all(&mut client);
        receive(&mut client, "250 queued\r\n");
        assert!(next_report(&mut client));
    }
    let mut send = || {
        client.enqueue(envelope.clone(), body.clone());
        for words in replies {
            assert!(take_all(&mut client) > 0);
            receive(&mut client, words);
        }
        assert!(next_report(&mut client));
    };
    (0..1_000).for_each(|_| send());
    measure(send).count_total
}

const BY_DATA: &str = "250-PIPELINING\r\n250 SIZE\r\n";
const BY_BDAT: &str = "250-PIPELINING\r\n250 CHUNKING\r\n";

/// The list of recipients, and the server's reply, which the recipients share.
const THE_REPORTS_OWN: u64 = 2;

#[test]
fn a_message_allocates_its_report() {
    let mut content = b"Subject: hello\r\n\r\n".to_vec();
    let small = Body::from(content.clone());
    content.extend(b".a line that begins with a dot\r\n".repeat(3_000));
    let large = Body::from(content.clone());
    content.push(b'\n');
    let mended = Body::from(content);
    for (name, body) in [("small", &small), ("large", &large), ("mended", &mended)] {
        let data = ["250 ok\r\n250 ok\r\n354 go on\r\n", "250 queued\r\n"];
        let by_data = of_a_message(BY_DATA, body, 1, &data);
        assert_eq!(by_data, THE_REPORTS_OWN, "{name}, by DATA");
        let bdat = ["250 ok\r\n250 ok\r\n", "250 queued\r\n"];
        let by_bdat = of_a_message(BY_BDAT, body, 1, &bdat);
        assert_eq!(by_bdat, THE_REPORTS_OWN, "{name}, by BDAT");
    }
}

#[test]
fn recipients_cost_no_allocations() {
    let recipients = 100;
    let oks = "250 ok\r\n".repeat(1 + recipients);
    let replies = [&*format!("{oks}354 go on\r\n"), "250 queued\r\n"];
    let body = Body::from("Subject: hello\r\n\r\n");
    let many = of_a_message(BY_DATA, &body, recipients, &replies);
    assert_eq!(many, THE_REPORTS_OWN);
}

#[test]
fn messages_in_one_flight_only_allocate_their_reports() {
    const MESSAGES: usize = 50;
    let envelope = Envelope::new(None, vec!["r@example.org".parse().unwrap()]).unwrap();
    let body = Body::from(vec![b'x'; 4_096]);
    let mut client = greeted(BY_BDAT, Pipelining::Bold);
    let replies = "250 queued\r\n250 reset\r\n250 ok\r\n250 ok\r\n".repeat(MESSAGES - 1);
    let mut send = || {
        for _ in 0..MESSAGES {
            client.enqueue(envelope.clone(), body.clone());
        }
        assert!(take_all(&mut client) > MESSAGES * 4_096);
        receive(&mut client, "250 ok\r\n250 ok\r\n");
        receive(&mut client, &replies);
        receive(&mut client, "250 queued\r\n");
        for _ in 0..MESSAGES {
            assert!(next_report(&mut client));
        }
    };
    (0..20).for_each(|_| send());
    let total = measure(send).count_total;
    assert_eq!(total, THE_REPORTS_OWN * MESSAGES as u64);
}

#[test]
fn streamed_content_allocates_nothing() {
    let envelope = Envelope::new(None, vec!["r@example.org".parse().unwrap()]).unwrap();
    let piece = Bytes::from(b"a line of text\r\n.and another\n".repeat(2_000));
    let mut client = greeted(BY_DATA, Pipelining::Careful);
    let id = client.enqueue(envelope, postwire_proto::StreamFacts::default());
    take_all(&mut client);
    receive(&mut client, "250 ok\r\n250 ok\r\n354 go on\r\n");
    let mut give = || {
        client.body_chunk(id, piece.clone()).unwrap();
        assert!(take_all(&mut client) > piece.len());
        while client.poll_event().is_some() {}
    };
    (0..10).for_each(|_| give());
    assert_eq!(measure(|| (0..100).for_each(|_| give())).count_total, 0);
}
