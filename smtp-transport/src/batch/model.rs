//! Batches over several sessions with servers that have limits: every recipient of every
//! message is delivered to at most once, and exactly as reported.
//!
//! The servers are pseudo-random and reproducible. They declare limits (RFC 9422) or do not
//! declare them, refuse temporarily or permanently, and disconnect at any point, also between
//! accepting a message and replying.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Buf;
use postwire_proto::{
    Client, ClientConfig, Endpoint, Envelope, Error, ErrorKind, Event, HelloName, Instant, Outcome,
    RecipientStatus, Report, Security, Stage,
};

use super::{Batch, BatchStep};

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    fn maybe(&mut self, end: u64) -> Option<usize> {
        self.one_in(2).then(|| 1 + self.below(end) as usize)
    }
}

/// The limits and faults of one session.
#[derive(Clone, Copy, Debug)]
struct Habits {
    pipelining: bool,
    mail_max: Option<usize>,
    rcpt_max: Option<usize>,
    domain_max: Option<usize>,
    /// An undeclared limit of recipients per message; further ones get 452.
    secret_rcpt_max: Option<usize>,
    /// One command in this many is answered with 421 or not at all.
    leaves: u64,
}

impl Habits {
    fn new(random: &mut Random) -> Self {
        Self {
            pipelining: random.one_in(2),
            mail_max: random.maybe(3),
            rcpt_max: random.maybe(3),
            domain_max: random.maybe(2),
            secret_rcpt_max: random.maybe(3),
            leaves: if random.one_in(2) { 30 } else { u64::MAX },
        }
    }
}

/// How often each recipient of each message was accepted, by the message's number and the
/// recipient.
type Taken = HashMap<(usize, String), usize>;

/// A session with a server, which reads the client's output line by line.
struct Session<'a> {
    habits: Habits,
    random: &'a mut Random,
    taken: &'a mut Taken,
    mails: usize,
    in_transaction: bool,
    domains: Vec<String>,
    recipients: Vec<String>,
    content: Option<String>,
    is_over: bool,
}

impl Session<'_> {
    /// The reply to a line; empty if there is none.
    fn answer(&mut self, line: &str) -> String {
        if let Some(content) = &mut self.content {
            if line != "." {
                content.push_str(line);
                return String::new();
            }
            return self.store();
        }
        if self.random.one_in(self.habits.leaves) {
            self.is_over = true;
            return ["421 4.3.2 leaving\r\n", ""][self.random.below(2) as usize].to_owned();
        }
        let habits = self.habits;
        let verb = line.split(' ').next().unwrap();
        match verb {
            "EHLO" => return self.capabilities(),
            "MAIL" => {
                if habits.mail_max.is_some_and(|most| self.mails == most) {
                    self.is_over = true;
                    return "421 4.7.0 too many messages\r\n".to_owned();
                }
                self.mails += 1;
                self.recipients.clear();
                self.in_transaction = !self.random.one_in(20);
                if !self.in_transaction {
                    return "450 4.3.0 not now\r\n".to_owned();
                }
            }
            "RCPT" | "DATA" if !self.in_transaction => {
                return "503 5.5.1 MAIL first\r\n".to_owned();
            }
            "RCPT" => return self.recipient(line),
            "DATA" if self.recipients.is_empty() => {
                return "503 5.5.1 no recipients\r\n".to_owned();
            }
            "DATA" => {
                self.content = Some(String::new());
                return "354 go\r\n".to_owned();
            }
            "RSET" => {
                self.in_transaction = false;
                self.recipients.clear();
            }
            "QUIT" => {
                self.is_over = true;
                return "221 bye\r\n".to_owned();
            }
            _ => panic!("{line}"),
        }
        "250 ok\r\n".to_owned()
    }

    fn capabilities(&self) -> String {
        let mut limits = String::new();
        for (keyword, most) in [
            ("MAILMAX", self.habits.mail_max),
            ("RCPTMAX", self.habits.rcpt_max),
            ("RCPTDOMAINMAX", self.habits.domain_max),
        ] {
            if let Some(most) = most {
                let _ = write!(limits, " {keyword}={most}");
            }
        }
        let mut lines = "250-honest\r\n".to_owned();
        if self.habits.pipelining {
            lines += "250-PIPELINING\r\n";
        }
        if !limits.is_empty() {
            let _ = write!(lines, "250-LIMITS{limits}\r\n");
        }
        lines + "250 SIZE\r\n"
    }

    fn recipient(&mut self, line: &str) -> String {
        let address = line.split(['<', '>']).nth(1).unwrap().to_owned();
        let domain = address.split('@').nth(1).unwrap().to_owned();
        let known = self.domains.contains(&domain);
        let rcpt_max = [self.habits.rcpt_max, self.habits.secret_rcpt_max];
        let rcpt_max = rcpt_max.into_iter().flatten().min();
        if rcpt_max.is_some_and(|most| self.recipients.len() == most)
            || (!known && self.habits.domain_max == Some(self.domains.len()))
        {
            return "452 4.5.3 too many recipients\r\n".to_owned();
        }
        if !known {
            self.domains.push(domain);
        }
        match self.random.below(12) {
            0 => "550 5.1.1 nobody\r\n".to_owned(),
            1 => "450 4.2.1 come back later\r\n".to_owned(),
            _ => {
                self.recipients.push(address);
                "250 ok\r\n".to_owned()
            }
        }
    }

    fn store(&mut self) -> String {
        let content = self.content.take().unwrap();
        let number = content.parse().unwrap();
        let recipients = std::mem::take(&mut self.recipients);
        self.in_transaction = false;
        if self.random.one_in(15) {
            return "554 5.6.0 not this\r\n".to_owned();
        }
        self.is_over = self.random.one_in(self.habits.leaves);
        if self.is_over && self.random.one_in(2) {
            return String::new();
        }
        for recipient in recipients {
            *self.taken.entry((number, recipient)).or_default() += 1;
        }
        if self.is_over {
            // The message is accepted, and no reply is sent.
            return String::new();
        }
        "250 taken\r\n".to_owned()
    }
}

/// A client connected to a session of the server.
struct Joined<'a> {
    client: Client,
    session: Session<'a>,
    /// The part of an incomplete line that the server has received.
    heard: String,
}

impl Joined<'_> {
    /// Moves octets until a report is available; `None` once the session is over.
    fn next_report(&mut self) -> Option<Report> {
        let now = Instant::EPOCH;
        loop {
            while let Some(event) = self.client.poll_event() {
                if let Event::Report(report) = event {
                    return Some(report);
                }
            }
            if self.client.is_closed() {
                return None;
            }
            let mut output = self.client.output();
            while output.has_remaining() {
                let chunk = output.chunk();
                self.heard.push_str(str::from_utf8(chunk).unwrap());
                let octets = chunk.len();
                output.advance(octets);
            }
            drop(output);
            let mut answers = String::new();
            while !self.session.is_over
                && let Some(end) = self.heard.find("\r\n")
            {
                let line: String = self.heard.drain(..end + 2).collect();
                answers += &self.session.answer(line.trim_end());
            }
            if !answers.is_empty() {
                self.client.handle_input(now, answers.as_bytes());
            } else if self.session.is_over {
                self.client.handle_eof(now);
            } else if self.client.poll_timeout().is_some() && self.heard.is_empty() {
                self.client.handle_timeout(now);
            }
        }
    }
}

fn envelope(random: &mut Random) -> Envelope {
    let addresses = (0..=random.below(4)).map(|number| {
        let domain = ["one", "two", "three"][random.below(3) as usize];
        format!("{number}@{domain}.example").parse().unwrap()
    });
    Envelope::new(
        Some("a@sender.example".parse().unwrap()),
        addresses.collect(),
    )
    .unwrap()
}

/// Sends one batch and compares the reports with what the servers accepted. Returns the number
/// of accepted recipients and of sessions.
fn send_a_batch(seed: u64) -> (usize, usize) {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let habits = Habits::new(&mut random);
    let config = ClientConfig::new(HelloName::localhost(), Security::None);
    let config = Arc::new(config);
    let envelopes: Vec<Envelope> = (0..=random.below(5))
        .map(|_| envelope(&mut random))
        .collect();
    let mut batch = Batch::new(1 + random.below(4));
    for (number, envelope) in envelopes.iter().enumerate() {
        batch.add(envelope.clone(), format!("{number}\r\n").into());
    }
    batch.end();

    let mut taken = Taken::new();
    let mut reports = Vec::new();
    let mut sessions = 0;
    while !batch.is_done() {
        assert!(
            matches!(batch.next_step(), BatchStep::Connect),
            "seed {seed}: {batch:?}"
        );
        if random.one_in(20) {
            batch.failed(Error::new(Stage::Connect, ErrorKind::TimedOut));
            while let BatchStep::Report(report) = batch.next_step() {
                reports.push(report);
            }
            break;
        }
        sessions += 1;
        assert!(sessions < 200, "seed {seed}: no end of sessions");
        let reused = !batch.wants_fresh() && random.one_in(2);
        batch.connected(reused);
        let mut joined = Joined {
            client: Client::new(Arc::clone(&config)),
            session: Session {
                habits,
                random: &mut random,
                taken: &mut taken,
                mails: 0,
                in_transaction: false,
                domains: Vec::new(),
                recipients: Vec::new(),
                content: None,
                is_over: false,
            },
            heard: String::new(),
        };
        joined
            .client
            .handle_input(Instant::EPOCH, b"220 honest\r\n");
        loop {
            match batch.next_step() {
                BatchStep::Report(report) => reports.push(report),
                BatchStep::Enqueue { envelope, body, .. } => {
                    joined.client.send(envelope, body);
                }
                BatchStep::Await => match joined.next_report() {
                    Some(report) => batch.reported(report),
                    None => batch.disconnected(),
                },
                BatchStep::Connect | BatchStep::Done => break,
            }
        }
    }
    check(seed, &envelopes, &reports, &taken);
    (taken.len(), sessions)
}

fn check(seed: u64, envelopes: &[Envelope], reports: &[Report], taken: &Taken) {
    assert_eq!(reports.len(), envelopes.len(), "seed {seed}");
    for (number, (report, envelope)) in reports.iter().zip(envelopes).enumerate() {
        assert_eq!(report.recipients().len(), envelope.forward_paths().len());
        let mut any = false;
        for (recipient, address) in report.recipients().iter().zip(envelope.forward_paths()) {
            assert_eq!(recipient.address(), address, "seed {seed}");
            let times = taken.get(&(number, address.to_string())).copied();
            let times = times.unwrap_or_default();
            let is_true = match recipient.status() {
                RecipientStatus::Accepted => times == 1,
                RecipientStatus::InDoubt => times <= 1,
                _ => times == 0,
            };
            any |= recipient.status() == RecipientStatus::Accepted;
            assert!(
                is_true,
                "seed {seed}: message {number} was taken {times} times for {address}: {report:?}"
            );
        }
        let in_doubt = matches!(report.outcome(), Outcome::InDoubt(_));
        assert!(
            in_doubt || report.is_accepted() == any,
            "seed {seed}: {report:?}"
        );
    }
}

#[test]
fn every_recipient_is_delivered_to_as_reported() {
    let (mut accepted, mut sessions) = (0, 0);
    for seed in 1..=100_000 {
        let (taken, opened) = send_a_batch(seed);
        accepted += taken;
        sessions += opened;
    }
    assert!(accepted > 300_000, "{accepted}");
    assert!(sessions > 150_000, "{sessions}");
}
