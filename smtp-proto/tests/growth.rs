//! Memory grows linearly with the recipients of a message: twice as many need about twice the
//! memory in total, and the memory kept for a server's replies is bounded.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::Arc;

use allocation_counter::{AllocationInfo, measure};
use bytes::Buf;
use postwire_proto::{
    Client, ClientConfig, Endpoint, Envelope, Event, HelloName, Instant, Notify, Report, Security,
};

/// A client that is ready for messages, connected to a server with these capabilities.
fn greeted(capabilities: &str, config: ClientConfig) -> Client {
    let mut client = Client::new(Arc::new(config));
    receive(&mut client, "220 mx\r\n");
    take_output(&mut client);
    receive(
        &mut client,
        &format!("250-mx\r\n250-PIPELINING\r\n{capabilities}"),
    );
    client
}

fn config() -> ClientConfig {
    ClientConfig::new(HelloName::localhost(), Security::None)
}

fn receive(client: &mut Client, words: &str) {
    client.handle_input(Instant::EPOCH, words.as_bytes());
}

fn take_output(client: &mut Client) -> String {
    let mut output = client.output();
    let flight = output.copy_to_bytes(output.remaining());
    String::from_utf8(flight.to_vec()).unwrap()
}

fn report(client: &mut Client) -> Option<Report> {
    std::iter::from_fn(|| client.poll_event()).find_map(|event| match event {
        Event::Report(report) => Some(report),
        _ => None,
    })
}

/// An envelope with this many recipients, each in its own domain.
fn envelope(recipients: usize) -> Envelope {
    let to = (0..recipients).map(|n| format!("user@d{n:05}.example").parse().unwrap());
    Envelope::new(Some("a@b.example".parse().unwrap()), to.collect()).unwrap()
}

/// Exchanges lines until there is no more output; `answer` gives the reply to each line.
fn converse(client: &mut Client, mut answer: impl FnMut(&str) -> Option<String>) {
    loop {
        let flight = take_output(client);
        if flight.is_empty() {
            return;
        }
        let replies: String = flight
            .split_terminator("\r\n")
            .filter_map(&mut answer)
            .collect();
        receive(client, &replies);
    }
}

/// Asserts a factor of two, within a fifth, plus the rounding of buffers that grow by doubling.
fn assert_in_proportion(what: &str, once: AllocationInfo, twice: AllocationInfo) {
    let (once, twice) = (once.bytes_total, twice.bytes_total);
    assert!(2 * twice < 5 * once, "{what}: {once} octets, then {twice}");
}

const N: usize = 2_000;

#[test]
fn one_recipient_per_transaction_grows_linearly() {
    let with = |recipients| {
        let mut client = greeted("250-DSN\r\n250 LIMITS RCPTMAX=1\r\n", config());
        let envelope = envelope(recipients).with_parameter_for_all(Notify::NEVER);
        let mut lines = 0;
        let counted = measure(|| {
            client.enqueue(envelope.clone(), "x\r\n");
            converse(&mut client, |line| {
                lines += 1;
                match line {
                    "DATA" => Some("354 go\r\n".into()),
                    "x" => None,
                    _ => Some("250 ok\r\n".into()),
                }
            });
        });
        assert!(report(&mut client).unwrap().is_accepted());
        // MAIL, RCPT, DATA, the content and its dot.
        assert_eq!(lines, 5 * recipients);
        counted
    };
    assert_in_proportion("RCPTMAX=1", with(N), with(2 * N));
}

/// A server that accepts a hundred recipients at a time and announces it only with 452.
#[test]
fn a_surplus_recipient_is_not_tried_repeatedly() {
    let asked = |recipients: usize| {
        let mut client = greeted("250 SIZE\r\n", config());
        client.enqueue(envelope(recipients), "x\r\n");
        let (mut taken, mut asked) = (0, 0);
        converse(&mut client, |line| match line.split(' ').next() {
            Some("MAIL") => {
                taken = 0;
                Some("250 ok\r\n".into())
            }
            Some("RCPT") => {
                asked += 1;
                taken += 1;
                let answer = if taken <= 100 {
                    "250 ok\r\n"
                } else {
                    "452 too many\r\n"
                };
                Some(answer.into())
            }
            Some("DATA") => Some("354 go\r\n".into()),
            Some("x") => None,
            _ => Some("250 ok\r\n".into()),
        });
        assert!(report(&mut client).unwrap().is_accepted());
        asked
    };
    // The first flight may contain a thousand commands before the first 452 is read.
    for recipients in [N, 2 * N] {
        assert!(asked(recipients) <= recipients + 1_000);
    }
}

#[test]
fn memory_for_domains_grows_linearly() {
    let with = |recipients| {
        let mut client = greeted("250 LIMITS RCPTDOMAINMAX=100000\r\n", config());
        let envelope = envelope(recipients);
        measure(|| {
            client.enqueue(envelope.clone(), "x\r\n");
        })
    };
    assert_in_proportion("RCPTDOMAINMAX", with(N), with(2 * N));
}

/// A server that sends 64 KiB about each recipient, with a different text each time.
#[test]
fn memory_for_refusals_is_bounded() {
    let mut client = greeted("250 SIZE\r\n", config());
    client.enqueue(envelope(N), "x\r\n");
    let mut reports = Vec::with_capacity(1);
    let counted = measure(|| {
        let mut number = 0;
        converse(&mut client, |line| {
            number += 1;
            match line {
                line if line.starts_with("MAIL") => Some("250 ok\r\n".into()),
                _ => {
                    let long = format!("550-{number} {}\r\n", "x".repeat(2_000));
                    Some(long.repeat(30) + "550 no\r\n")
                }
            }
        });
        reports.extend(report(&mut client));
    });
    let kept: usize = reports[0]
        .recipients()
        .iter()
        .map(|recipient| recipient.reply().unwrap().as_bytes().len())
        .sum();
    assert!(kept <= N * 1_024, "{kept} octets of refusals are kept");
    assert!(counted.bytes_current < 8_000_000, "{counted:?}");
}

/// Events that nobody polls: every report, and the latest trace lines.
#[test]
fn memory_for_the_trace_is_bounded() {
    let with = |messages| {
        let mut client = greeted("250 SIZE\r\n", config().trace(true));
        let envelope = envelope(1);
        for _ in 0..messages {
            client.enqueue(envelope.clone(), "x\r\n");
        }
        converse(&mut client, |line| match line {
            "DATA" => Some("354 go\r\n".into()),
            "x" => None,
            _ => Some("250 ok\r\n".into()),
        });
        let events: Vec<Event> = std::iter::from_fn(|| client.poll_event()).collect();
        let lines = events
            .iter()
            .filter(|event| matches!(event, Event::Trace(_)));
        (lines.count(), events.len())
    };
    // The event `Ready` is included.
    assert_eq!(with(N), (1_024, 1_024 + N + 1));
}
