//! Counts flights: how often the client writes and then waits. Round trips are the cost of a
//! message on a real network, so each count here is exact.
//!
//! The server is scripted: it accepts everything and answers each flight as a whole.

use std::sync::Arc;

use bytes::Buf;
use postwire_proto::{
    Client, ClientConfig, Credentials, Endpoint, Envelope, Event, HelloName, Instant, Limits,
    Pipelining, Security, TlsInfo,
};

/// A server that accepts everything.
struct Server {
    capabilities: &'static [&'static str],
    input: Vec<u8>,
    reading: Reading,
}

enum Reading {
    Commands,
    /// Lines up to the lone dot.
    Data,
    /// This many octets.
    Chunk(usize),
}

impl Server {
    fn new(capabilities: &'static [&'static str]) -> Self {
        Self {
            capabilities,
            input: Vec::new(),
            reading: Reading::Commands,
        }
    }

    /// The replies to a flight.
    fn answer(&mut self, flight: &[u8]) -> String {
        self.input.extend_from_slice(flight);
        let mut replies = String::new();
        loop {
            if let Reading::Chunk(octets) = self.reading {
                if self.input.len() < octets {
                    return replies;
                }
                self.input.drain(..octets);
                self.reading = Reading::Commands;
                replies.push_str("250 queued\r\n");
            }
            let Some(end) = self.input.iter().position(|octet| *octet == b'\n') else {
                return replies;
            };
            let line: Vec<u8> = self.input.drain(..=end).collect();
            let line = String::from_utf8(line).expect("ASCII");
            match self.reading {
                Reading::Data if line == ".\r\n" => {
                    self.reading = Reading::Commands;
                    replies.push_str("250 queued\r\n");
                }
                Reading::Data => {}
                _ => replies.push_str(&self.command(&line)),
            }
        }
    }

    fn command(&mut self, line: &str) -> String {
        let mut words = line.split_whitespace();
        match words.next().unwrap_or_default() {
            "EHLO" => {
                let mut reply = "250-mail.example.org\r\n".to_owned();
                for keyword in self.capabilities {
                    reply.extend(["250-", keyword, "\r\n"]);
                }
                reply + "250 HELP\r\n"
            }
            "STARTTLS" => "220 go on\r\n".into(),
            "AUTH" => "235 welcome\r\n".into(),
            "MAIL" | "RCPT" | "RSET" => "250 ok\r\n".into(),
            "DATA" => {
                self.reading = Reading::Data;
                "354 go on\r\n".into()
            }
            "BDAT" => {
                let octets = words.next().and_then(|octets| octets.parse().ok());
                self.reading = Reading::Chunk(octets.expect("a length"));
                String::new()
            }
            "QUIT" => "221 bye\r\n".into(),
            other => panic!("{other}?"),
        }
    }
}

/// Counts the flights for this many messages with this many recipients each, from the greeting
/// to `QUIT`.
fn flights(
    config: ClientConfig,
    capabilities: &'static [&'static str],
    messages: usize,
    recipients: usize,
) -> usize {
    let now = Instant::EPOCH;
    let mut server = Server::new(capabilities);
    let mut client = Client::new(Arc::new(config));
    let forward_paths: Vec<_> = (0..recipients)
        .map(|n| {
            format!("recipient{n}@example.org")
                .parse()
                .expect("an address")
        })
        .collect();
    let sender = "sender@example.org".parse().expect("an address");
    let envelope = Envelope::new(Some(sender), forward_paths).expect("recipients");
    for _ in 0..messages {
        client.enqueue(envelope.clone(), "Subject: hello\r\n\r\n.\r\n");
    }
    client.quit();

    let mut flights = 0;
    let mut accepted = 0;
    let mut greeting = Some("220 mail.example.org\r\n");
    loop {
        while let Some(event) = client.poll_event() {
            match event {
                Event::Report(report) => {
                    assert!(report.is_accepted() && !report.is_partial(), "{report}");
                    accepted += 1;
                }
                Event::StartTls => {
                    let info = TlsInfo::new("TLSv1.3", "TLS13_AES_128_GCM_SHA256");
                    let established = client.handle_tls_established(now, info);
                    established.expect("TLS was asked for");
                }
                Event::Closed(error) => {
                    assert!(error.is_none(), "{error:?}");
                    assert_eq!(accepted, messages);
                    return flights;
                }
                _ => {}
            }
        }
        let mut flight = Vec::new();
        loop {
            let mut output = client.output();
            if !output.has_remaining() {
                break;
            }
            flight.extend_from_slice(output.chunk());
            let taken = output.chunk().len();
            output.advance(taken);
        }
        let replies = match (flight.is_empty(), greeting) {
            (true, Some(greeting)) => greeting.to_owned(),
            (true, None) => panic!("waits without a deadline: {client:?}"),
            (false, _) => {
                flights += 1;
                server.answer(&flight)
            }
        };
        if flight.is_empty() {
            greeting = None;
        }
        client.handle_input(now, replies.as_bytes());
    }
}

fn config(security: Security) -> ClientConfig {
    ClientConfig::new(HelloName::localhost(), security)
        .credentials(Credentials::new("alice", "correct horse"))
}

const PIPELINING: &[&str] = &["PIPELINING", "SIZE", "STARTTLS", "AUTH PLAIN LOGIN"];
const CHUNKING: &[&str] = &["PIPELINING", "CHUNKING", "STARTTLS", "AUTH PLAIN LOGIN"];
const NOTHING: &[&str] = &["STARTTLS", "AUTH PLAIN LOGIN"];

#[test]
fn one_message_under_wrapper() {
    // EHLO; AUTH with its initial response; MAIL RCPT… DATA; content; QUIT. With the wait for
    // the greeting these are six round trips for any number of recipients, and the message is
    // accepted after five.
    for recipients in [1, 10, 500] {
        let count = flights(config(Security::Wrapper), PIPELINING, 1, recipients);
        assert_eq!(count, 5, "{recipients} recipients");
        let count = flights(bold(Security::Wrapper), PIPELINING, 1, recipients);
        assert_eq!(count, 4, "{recipients} recipients");
    }
}

#[test]
fn a_password_that_is_a_keyword_has_no_effect() {
    // Redaction for people must not affect what the client itself reads.
    let config = ClientConfig::new(HelloName::localhost(), Security::Wrapper)
        .credentials(Credentials::new("alice", "PIPELINING"));
    assert_eq!(flights(config, PIPELINING, 1, 10), 5);
}

#[test]
fn starttls_costs_two_more() {
    // EHLO; STARTTLS; EHLO under TLS; then as with Wrapper.
    for recipients in [1, 10, 500] {
        for security in [Security::Required, Security::Opportunistic] {
            let count = flights(config(security), PIPELINING, 1, recipients);
            assert_eq!(count, 7, "{security:?}, {recipients} recipients");
        }
    }
}

#[test]
fn plaintext_without_credentials() {
    // EHLO; MAIL RCPT… DATA; content; QUIT.
    assert_eq!(flights(anonymous(), PIPELINING, 1, 10), 4);
}

#[test]
fn a_further_message_with_data_costs_two_and_one_if_bold() {
    for messages in [2, 3, 50] {
        for recipients in [1, 10] {
            let count = flights(config(Security::Wrapper), PIPELINING, messages, recipients);
            assert_eq!(count, 3 + 2 * messages, "{messages} messages");
            let count = flights(bold(Security::Wrapper), PIPELINING, messages, recipients);
            assert_eq!(count, 3 + messages, "{messages} messages");
        }
    }
}

#[test]
fn chunking_saves_the_wait_for_354() {
    // EHLO; AUTH; MAIL RCPT… and the first octet; BDAT content QUIT.
    for recipients in [1, 10, 100, 500] {
        let count = flights(config(Security::Wrapper), CHUNKING, 1, recipients);
        assert_eq!(count, 4, "{recipients} recipients");
    }
    // Bold: EHLO; AUTH; MAIL RCPT… BDAT content QUIT. More than 100 recipients may be too many
    // for the server (RFC 5321 §4.5.3.1.8), so QUIT waits for its RCPT replies.
    for (recipients, expected) in [(1, 3), (10, 3), (100, 3), (500, 4)] {
        let count = flights(bold(Security::Wrapper), CHUNKING, 1, recipients);
        assert_eq!(count, expected, "{recipients} recipients");
    }
}

fn anonymous() -> ClientConfig {
    ClientConfig::new(HelloName::localhost(), Security::None)
}

fn bold(security: Security) -> ClientConfig {
    config(security).pipelining(Pipelining::Bold)
}

#[test]
fn with_chunking_a_further_message_costs_one_and_none_if_bold() {
    for messages in [2, 3, 50, 240] {
        // EHLO; AUTH; MAIL RCPT… and the first octet; (BDAT content RSET MAIL RCPT…)…; BDAT
        // content QUIT.
        let count = flights(config(Security::Wrapper), CHUNKING, messages, 1);
        assert_eq!(count, 3 + messages, "{messages} messages");
        // EHLO; AUTH; MAIL RCPT… BDAT content (RSET MAIL RCPT… BDAT content)… QUIT.
        let count = flights(bold(Security::Wrapper), CHUNKING, messages, 1);
        assert_eq!(count, 3, "{messages} messages");
    }
    // A thousand replies may be outstanding, and a message has four.
    assert_eq!(flights(bold(Security::Wrapper), CHUNKING, 500, 1), 4);
}

#[test]
fn the_budget_for_content_under_way_is_respected() {
    // 21 octets each: they are sent when the budget has room, which the replies to earlier
    // messages make. Without a budget each message waits for its recipients, and the next one
    // follows it.
    for (budget, turns) in [(0, 11), (20, 11), (21, 10), (3 * 21, 4), (10 * 21, 1)] {
        let mut limits = Limits::default();
        limits.speculation = budget;
        let config = anonymous().pipelining(Pipelining::Bold).limits(limits);
        let count = flights(config, CHUNKING, 10, 1);
        assert_eq!(count, 1 + turns, "{budget} octets");
    }
}

#[test]
fn one_command_at_a_time_without_pipelining() {
    // MAIL, each RCPT, DATA, content: three and the recipients for a message; EHLO, AUTH, QUIT.
    for recipients in [1, 10, 500] {
        let count = flights(config(Security::Wrapper), NOTHING, 1, recipients);
        assert_eq!(count, 3 + 3 + recipients);
        let count = flights(config(Security::Wrapper), NOTHING, 3, recipients);
        assert_eq!(count, 3 + 3 * (3 + recipients));
        let off = config(Security::Wrapper).pipelining(Pipelining::Off);
        assert_eq!(flights(off, PIPELINING, 1, recipients), 3 + 3 + recipients);
    }
}

#[test]
fn chunking_without_pipelining() {
    // BDAT replaces DATA and its content: one flight less per message, except for the first,
    // whose first octet is sent alone.
    let off = config(Security::Wrapper).pipelining(Pipelining::Off);
    assert_eq!(flights(off, CHUNKING, 2, 10), 3 + 1 + 2 * (2 + 10));
}

#[test]
fn the_bound_on_outstanding_replies_costs_little() {
    // 1,000 replies at most: MAIL and 999 RCPT; the other RCPT and DATA; content; QUIT.
    assert_eq!(flights(config(Security::Wrapper), PIPELINING, 1, 1_500), 6);
}
