//! The pair of client and server, the wire between them and the clock.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use postwire_proto::{
    Address, Body, Client, ClientConfig, Command, Endpoint, EnhancedCode, Envelope, Error, Event,
    HelloName, Instant, Outcome, Pipelining, Protocol, RecipientReport, RecipientStatus,
    Recipients, Reply, ReplyCode, Report, Security,
};
use postwire_server::{Received, ReceivedParameters, Server, ServerConfig, ServerEvent};

/// A message to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) envelope: Envelope,
    pub(crate) content: Bytes,
}

impl Message {
    pub(crate) fn new(recipients: &[&str], content: &[u8]) -> Self {
        Self::from("sender@sender.example", recipients, content)
    }

    pub(crate) fn from(sender: &str, recipients: &[&str], content: &[u8]) -> Self {
        let recipients = recipients.iter().map(|r| r.parse().unwrap()).collect();
        Self {
            envelope: Envelope::new(Some(sender.parse().unwrap()), recipients).unwrap(),
            content: Bytes::copy_from_slice(content),
        }
    }

    pub(crate) fn all_or_nothing(mut self) -> Self {
        self.envelope = self.envelope.with_recipients(Recipients::All);
        self
    }
}

/// A fault of the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// The connection breaks, in both directions, once `side` has sent this many octets.
    Break { side: Side, at: usize },
    /// Nothing from the server arrives after this many octets.
    Silence { after: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// The client and the server, with everything that happened to them.
pub(crate) struct Pair {
    client: Client,
    server: Server,
    now: Instant,
    protocol: Protocol,
    pub(crate) sent: Vec<Message>,
    pub(crate) stored: Vec<Stored>,
    pub(crate) reports: Vec<Report>,
    pub(crate) said_by_client: Vec<u8>,
    pub(crate) said_by_server: Vec<u8>,
    /// Whether the client sends a command after each message.
    asks: bool,
    asked: u64,
    /// The codes of the replies, and 0 where none arrived.
    pub(crate) answers: Vec<u16>,
    /// How the client's session ended.
    pub(crate) closed: Option<Result<(), String>>,
}

/// A message that the server took responsibility for.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) recipients: Vec<Address>,
    pub(crate) content: Bytes,
    pub(crate) parameters: ReceivedParameters,
}

pub(crate) fn config(security: Security) -> ClientConfig {
    ClientConfig::new(HelloName::localhost(), security).pipelining(Pipelining::Bold)
}

impl Pair {
    pub(crate) fn new(client: ClientConfig, server: ServerConfig) -> Self {
        let protocol = if format!("{client:?}").contains("protocol: Lmtp") {
            Protocol::Lmtp
        } else {
            Protocol::Smtp
        };
        Self {
            client: Client::new(Arc::new(client)),
            server: Server::new(Arc::new(server)),
            now: Instant::EPOCH,
            protocol,
            sent: Vec::new(),
            stored: Vec::new(),
            reports: Vec::new(),
            said_by_client: Vec::new(),
            said_by_server: Vec::new(),
            asks: false,
            asked: 0,
            answers: Vec::new(),
            closed: None,
        }
    }

    /// Adds a command after each message.
    pub(crate) fn asking(self) -> Self {
        Self { asks: true, ..self }
    }

    pub(crate) fn dialogue(&self) -> String {
        format!(
            "--- client\n{}\n--- server\n{}\n--- reports\n{:#?}",
            String::from_utf8_lossy(&self.said_by_client),
            String::from_utf8_lossy(&self.said_by_server),
            self.reports
        )
    }

    /// Answers the server's questions as the names in the message say.
    fn answer_server(&mut self) {
        while let Some(event) = self.server.poll_event() {
            match event {
                ServerEvent::MailFrom { reverse_path, .. } => {
                    let user = reverse_path.as_ref().map(Address::user);
                    self.decide(user == Some("nobody"), 550, "no mail from nobody");
                }
                ServerEvent::RcptTo { forward_path, .. } => match forward_path.user() {
                    "later" => self.decide(true, 450, "come back later"),
                    user => self.decide(user == "no", 550, "no such user"),
                },
                ServerEvent::Data => self.server.accept().unwrap(),
                ServerEvent::Message(received) => self.take(received),
                _ => {}
            }
        }
    }

    fn decide(&mut self, refuse: bool, code: u16, why: &str) {
        if refuse {
            let code = ReplyCode::new(code).unwrap();
            let enhanced = EnhancedCode::new(code.get() as u8 / 100, 1, 1);
            let reply = Reply::new(code, enhanced, &[why]);
            self.server.respond(reply).unwrap();
        } else {
            self.server.accept().unwrap();
        }
    }

    fn take(&mut self, received: Received) {
        let refuse = received.content.starts_with(b"refuse");
        let answers = match self.protocol {
            Protocol::Smtp => 1,
            Protocol::Lmtp => received.recipients.len(),
        };
        for _ in 0..answers {
            self.decide(refuse, 554, "refused content");
        }
        if !refuse {
            self.stored.push(Stored {
                recipients: received.recipients,
                content: received.content,
                parameters: *received.parameters,
            });
        }
    }

    fn hear_client(&mut self) {
        while let Some(event) = self.client.poll_event() {
            match event {
                Event::Report(report) => self.reports.push(report),
                Event::Reply(id, answer) => {
                    assert_eq!(id.index(), self.answers.len() as u64);
                    self.answers
                        .push(answer.map_or(0, |reply| reply.code().get()));
                }
                Event::Closed(why) => {
                    assert!(self.closed.is_none(), "closed twice");
                    let why = why.as_ref().map(Error::to_string);
                    self.closed = Some(why.map_or(Ok(()), Err));
                }
                _ => {}
            }
        }
    }
}

/// Takes at most `most` octets of the output of `endpoint`.
fn take(endpoint: &mut impl Endpoint, most: usize) -> Vec<u8> {
    let mut output = endpoint.output();
    let octets = output.remaining().min(most);
    output.copy_to_bytes(octets).to_vec()
}

/// Sends the messages and quits, with pieces of `cuts` octets in turn.
pub(crate) fn run(
    mut pair: Pair,
    messages: Vec<Message>,
    cuts: &[usize],
    fault: Option<Fault>,
) -> Pair {
    for message in messages {
        let body = Body::from(message.content.clone());
        pair.client.enqueue(message.envelope.clone(), body);
        pair.sent.push(message);
        if pair.asks {
            let command = match pair.asked % 3 {
                0 => Command::vrfy("a@ok.example").unwrap(),
                1 => Command::noop(),
                _ => Command::raw("XFOO").unwrap(),
            };
            pair.client.command(command);
            pair.asked += 1;
        }
    }
    pair.client.quit();
    let mut cuts = cuts.iter().copied().cycle();
    let mut broken = false;
    for round in 0.. {
        assert!(
            round < 1_000_000,
            "the session does not end: {}",
            pair.dialogue()
        );
        pair.answer_server();
        pair.hear_client();
        if pair.client.is_closed() {
            break;
        }
        let mut most = cuts.next().unwrap_or(usize::MAX);
        let mut most_back = most;
        match fault {
            Some(Fault::Break {
                side: Side::Client,
                at,
            }) => {
                most = most.min(at - pair.said_by_client.len().min(at));
                broken = pair.said_by_client.len() >= at;
            }
            Some(Fault::Break {
                side: Side::Server,
                at,
            }) => {
                most_back = most_back.min(at - pair.said_by_server.len().min(at));
                broken = pair.said_by_server.len() >= at;
            }
            _ => {}
        }
        if broken {
            pair.client.handle_eof(pair.now);
            pair.server.handle_eof(pair.now);
            continue;
        }
        let forth = take(&mut pair.client, most);
        pair.said_by_client.extend_from_slice(&forth);
        if !forth.is_empty() {
            pair.server.handle_input(pair.now, &forth);
            pair.answer_server();
        }
        let back = take(&mut pair.server, most_back);
        let before = pair.said_by_server.len();
        pair.said_by_server.extend_from_slice(&back);
        let last_input = match fault {
            Some(Fault::Silence { after }) => &back[..back.len().min(after - before.min(after))],
            _ => &back[..],
        };
        if !last_input.is_empty() {
            pair.client.handle_input(pair.now, last_input);
        }
        if forth.is_empty() && back.is_empty() {
            pair.advance_clock();
        }
    }
    pair.hear_client();
    // What the client has sent by then still reaches the server.
    pair
}

impl Pair {
    fn advance_clock(&mut self) {
        if self.server.is_closed() {
            self.client.handle_eof(self.now);
            return;
        }
        let next = self.client.poll_timeout();
        let next = next.expect("the client waits for something, and for no longer than a while");
        assert!(
            next <= self.now + Duration::from_secs(601),
            "a deadline out of bounds"
        );
        self.now = self.now.max(next);
        self.client.handle_timeout(self.now);
    }
}

/// CRLF line ends, and one at the end if `closed`.
pub(crate) fn canonical(content: &[u8], closed: bool) -> Vec<u8> {
    let mut lines = Vec::new();
    let mut rest = content;
    while let Some(at) = rest.iter().position(|octet| matches!(octet, b'\r' | b'\n')) {
        lines.extend_from_slice(&rest[..at]);
        lines.extend_from_slice(b"\r\n");
        let returns = rest[at..].iter().take_while(|octet| **octet == b'\r');
        let returns = returns.count();
        // Any number of CRs before an LF is one line end with it.
        let ended = returns > 0 && rest.get(at + returns) == Some(&b'\n');
        rest = &rest[at + 1 + if ended { returns } else { 0 }..];
    }
    lines.extend_from_slice(rest);
    if closed && !rest.is_empty() {
        lines.extend_from_slice(b"\r\n");
    }
    lines
}

/// Compares the client's reports with the messages that the server stored.
pub(crate) fn check(pair: &Pair) -> Result<(), String> {
    if pair.reports.len() != pair.sent.len() {
        return Err(format!(
            "{} reports on {} messages",
            pair.reports.len(),
            pair.sent.len()
        ));
    }
    if pair.answers.len() as u64 != pair.asked {
        let answers = &pair.answers;
        return Err(format!("{answers:?} to {} commands", pair.asked));
    }
    if pair.closed.is_none() {
        return Err("never closed".to_owned());
    }
    let reported = pair.sent.iter().zip(&pair.reports).enumerate();
    for (index, (message, report)) in reported.clone() {
        if report.transaction().index() != index as u64 {
            return Err(format!(
                "report {index} is about {:?}",
                report.transaction()
            ));
        }
        check_order(index, message, report)?;
    }
    let mut stored: Vec<&Stored> = pair.stored.iter().collect();
    // Messages in doubt come last: any stored message that no other report explains may be
    // theirs.
    let (in_doubt, certain): (Vec<_>, Vec<_>) =
        reported.partition(|(_, (_, report))| matches!(report.outcome(), Outcome::InDoubt(_)));
    for (index, (message, report)) in certain.into_iter().chain(in_doubt) {
        check_recipients(index, message, report, &mut stored)?;
    }
    match stored.first() {
        Some(extra) => Err(format!("stored, and not reported: {extra:?}")),
        None => Ok(()),
    }
}

fn is_of(stored: &Stored, message: &Message) -> bool {
    let whom: BTreeSet<&str> = message
        .envelope
        .forward_paths()
        .iter()
        .map(Address::as_str)
        .collect();
    let same_content = [false, true]
        .iter()
        .any(|closed| stored.content == canonical(&message.content, *closed))
        || stored.content == message.content;
    same_content && stored.recipients.iter().all(|r| whom.contains(r.as_str()))
}

fn check_order(index: usize, message: &Message, report: &Report) -> Result<(), String> {
    let asked: Vec<&Address> = message.envelope.forward_paths().iter().collect();
    let reported: Vec<&Address> = report
        .recipients()
        .iter()
        .map(RecipientReport::address)
        .collect();
    if asked == reported {
        Ok(())
    } else {
        Err(format!(
            "message {index}: asked {asked:?}, reported {reported:?}"
        ))
    }
}

/// Removes the stored copies of this message, from one transaction or several.
fn check_recipients(
    index: usize,
    message: &Message,
    report: &Report,
    stored: &mut Vec<&Stored>,
) -> Result<(), String> {
    let said = |status| {
        let recipients = report.recipients().iter();
        let of = recipients.filter(move |recipient| recipient.status() == status);
        of.map(|recipient| recipient.address().as_str())
    };
    let mut accepted: Vec<&str> = said(RecipientStatus::Accepted).collect();
    let mut perhaps: Vec<&str> = match report.outcome() {
        Outcome::InDoubt(_) => said(RecipientStatus::InDoubt).collect(),
        Outcome::Rejected { .. } | Outcome::NotSent(_) if !accepted.is_empty() => {
            return Err(format!(
                "message {index}: not accepted, but for {accepted:?}"
            ));
        }
        _ => Vec::new(),
    };
    stored.retain(|stored| {
        let (mut still, mut still_perhaps) = (accepted.clone(), perhaps.clone());
        let is_told = is_of(stored, message)
            && stored.recipients.iter().all(|recipient| {
                take_one(&mut still, recipient) || take_one(&mut still_perhaps, recipient)
            });
        if is_told {
            (accepted, perhaps) = (still, still_perhaps);
        }
        !is_told
    });
    if accepted.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "message {index}: accepted and not stored for {accepted:?}"
        ))
    }
}

fn take_one(recipients: &mut Vec<&str>, recipient: &Address) -> bool {
    let position = recipients
        .iter()
        .position(|other| *other == recipient.as_str());
    position
        .map(|position| recipients.remove(position))
        .is_some()
}
