//! The server and the judge against a small client in lock step, in thousands of
//! random dialects. The client is careful and stupid, and written from the RFCs too: if
//! the judge condemns it, either of them is wrong.
#![allow(clippy::unwrap_used)]

mod common;

use common::said;
use postwire_reference::{
    Dialect, Protocol, Recorder, ReplyFlow, Reported, Sent, Status, Verdict, judge,
};

struct Client {
    server: Recorder,
    read: Vec<u8>,
    lost: bool,
    pipelines: bool,
}

impl Client {
    /// The code of the next reply; `None` if there will be none.
    fn reply(&mut self) -> Option<u16> {
        if self.lost {
            return None;
        }
        let mut is_nudged = false;
        loop {
            if let Some(code) = self.take_line() {
                if code != 0 {
                    return Some(code);
                }
                continue;
            }
            let more = said(&mut self.server);
            if !more.is_empty() {
                self.read.extend(more.as_bytes());
            } else if is_nudged {
                self.lost = true;
                return None;
            } else {
                self.server.nudge();
                is_nudged = true;
            }
        }
    }

    /// The code of a last line, 0 for another line.
    fn take_line(&mut self) -> Option<u16> {
        let end = self.read.iter().position(|octet| *octet == b'\n')?;
        let line: Vec<u8> = self.read.drain(..=end).collect();
        let code = std::str::from_utf8(&line[..3]).unwrap().parse().unwrap();
        Some(if line[3] == b'-' { 0 } else { code })
    }

    fn ask(&mut self, line: &str) -> Option<u16> {
        if self.lost || self.server.has_hung_up() {
            self.lost = true;
            return None;
        }
        self.server.receive(line.as_bytes());
        let code = self.reply();
        // The server closes, or is to be left alone.
        if code == Some(421) {
            self.lost = true;
        }
        code
    }

    fn is_positive(&mut self, line: &str) -> bool {
        self.ask(line).is_some_and(|code| code / 100 == 2)
    }

    /// Sends one message; gives the statuses of its recipients.
    fn send(&mut self, message: &Sent, by_bdat: bool) -> Vec<Status> {
        let mut statuses = vec![Status::NotSent; message.recipients.len()];
        if self.lost || !self.is_positive("MAIL FROM:<a@client.example>\r\n") {
            return statuses;
        }
        let mut content = postwire_reference::canonical(&message.content);
        content = String::from_utf8(content)
            .unwrap()
            .replace('\n', "\r\n")
            .into_bytes();
        let chunk = [
            format!("BDAT {} LAST\r\n", content.len()).as_bytes(),
            &content,
        ]
        .concat();
        let lines: Vec<String> = message
            .recipients
            .iter()
            .map(|recipient| format!("RCPT TO:<{recipient}>\r\n"))
            .collect();
        let pipelines = by_bdat && self.pipelines;
        if pipelines {
            self.server.receive(lines.concat().as_bytes());
            self.server.receive(&chunk);
        }
        for (line, status) in lines.iter().zip(&mut statuses) {
            let code = if pipelines {
                self.reply()
            } else {
                self.ask(line)
            };
            *status = match code {
                Some(250) => Status::InDoubt,
                None if pipelines => Status::InDoubt,
                _ => Status::Refused,
            };
        }
        let accepted: Vec<usize> = (0..statuses.len())
            .filter(|at| statuses[*at] == Status::InDoubt)
            .collect();
        if !pipelines && (self.lost || accepted.is_empty()) {
            for at in accepted {
                statuses[at] = Status::NotSent;
            }
            self.reset();
            return statuses;
        }
        if !pipelines {
            let content = if by_bdat {
                chunk
            } else if self.ask("DATA\r\n") == Some(354) {
                let text = String::from_utf8(content).unwrap();
                let stuffed = format!("\r\n{text}").replace("\r\n.", "\r\n..");
                [&stuffed.as_bytes()[2..], b".\r\n"].concat()
            } else {
                for at in accepted {
                    statuses[at] = Status::NotSent;
                }
                self.reset();
                return statuses;
            };
            self.server.receive(&content);
        }
        if accepted.is_empty() {
            self.reply();
            self.reset();
            return statuses;
        }
        let is_lmtp = self.server.dialogue().contains("C: LHLO");
        let mut code = None;
        for (number, at) in accepted.into_iter().enumerate() {
            if number == 0 || is_lmtp {
                code = self.reply();
            }
            statuses[at] = match code {
                None => Status::InDoubt,
                Some(250) => Status::Accepted,
                Some(_) => Status::Refused,
            };
        }
        self.reset();
        statuses
    }

    fn reset(&mut self) {
        if !self.is_positive("RSET\r\n") {
            self.lost = true;
        }
    }
}

fn run(seed: u64, dialect: Dialect) {
    let by_bdat = seed % 2 == 1 && dialect.keywords.chunking;
    let pipelines = dialect.keywords.pipelining && seed % 4 == 3;
    let people = ["ann", "no.one", "mixed", "ben", "later", "full"];
    let messages: Vec<Sent> = (0..3)
        .map(|id| Sent {
            id,
            recipients: people[id..id + 3]
                .iter()
                .map(|name| format!("{name}@server.example"))
                .collect(),
            content: format!(
                "Subject: {id}\n{}\n.\r..\r\n",
                ["", "X-Refuse: 550\n", "\n"][(seed as usize / 4 + id) % 3]
            )
            .into_bytes(),
            all_or_nothing: false,
        })
        .collect();
    let lmtp = dialect.protocol == Protocol::Lmtp;
    let mail_max = dialect.keywords.mail_max.unwrap_or(usize::MAX);
    let rcpt_max = dialect.keywords.rcpt_max;
    let mut client = Client {
        server: Recorder::new(dialect),
        read: Vec::new(),
        lost: false,
        pipelines,
    };
    let greeting = client.reply();
    let mut is_extended = false;
    if greeting == Some(220) {
        let hello = if lmtp { "LHLO" } else { "EHLO" };
        is_extended = client.is_positive(&format!("{hello} client.example\r\n"));
        if !is_extended && (lmtp || !client.is_positive("HELO client.example\r\n")) {
            client.lost = true;
        }
    } else {
        client.lost = true;
    }
    client.pipelines &= is_extended;
    let mut reports = Vec::new();
    for (number, message) in messages.iter().enumerate() {
        let mut statuses = vec![Status::NotSent; 3];
        if number < mail_max || !is_extended {
            let most = rcpt_max.filter(|_| is_extended).unwrap_or(3).min(3);
            let mut part = message.clone();
            part.recipients.truncate(most);
            let some = client.send(&part, by_bdat && is_extended);
            statuses[..most].copy_from_slice(&some);
        }
        let verdict = if statuses.contains(&Status::Accepted) {
            Verdict::Accepted
        } else if statuses.contains(&Status::InDoubt) {
            Verdict::InDoubt
        } else {
            Verdict::Rejected
        };
        reports.push(Reported {
            id: message.id,
            verdict,
            recipients: message.recipients.iter().cloned().zip(statuses).collect(),
        });
    }
    if !client.lost {
        client.ask("QUIT\r\n");
    }
    let server = &client.server;
    let taken: Vec<_> = server.taken().iter().collect();
    let context = format!("seed {seed}\n{reports:#?}\n{}", server.dialogue());
    judge(&messages, &reports, &taken).unwrap_or_else(|error| panic!("{error}\n{context}"));
    let own = server
        .framing_lost_after()
        .unwrap_or(server.offences().len());
    assert_eq!(server.offences()[..own], [], "{context}");
}

#[test]
fn a_careful_client_passes_in_every_honest_dialect() {
    let mut honest = 0;
    for seed in 0..8_000 {
        let dialect = Dialect::random(seed);
        if !dialect.misleads() {
            honest += 1;
            run(seed, dialect);
        }
    }
    assert!(honest > 4_000, "{honest}");
}

#[test]
fn a_textbook_server_takes_what_it_should() {
    for seed in 0..24 {
        run(seed, Dialect::default());
        run(seed, Dialect::lmtp());
        run(
            seed,
            Dialect {
                reply_flow: ReplyFlow::AllWithheld,
                ..Dialect::default()
            },
        );
    }
}

/// Sends `content` as it is, by `DATA`, to a server that is lenient with line ends.
fn send_carelessly(content: &str) -> Recorder {
    let mut server = common::addressed(
        Dialect {
            line_ends: postwire_reference::LineEnds::BareLf,
            ..Dialect::default()
        },
        &["ann@server.example"],
    );
    common::ask(&mut server, "DATA\r\n");
    common::ask(&mut server, format!("{content}\r\n.\r\n"));
    server
}

#[test]
fn a_careless_client_is_condemned() {
    let evil = "x\n.\nMAIL FROM:<a@b>\nRCPT TO:<victim@b>\nDATA\nsmuggled";
    for (content, is_right) in [("x\r\ny", true), (evil, false)] {
        let server = send_carelessly(content);
        let sent = Sent {
            id: 1,
            recipients: vec!["ann@server.example".to_owned()],
            content: content.as_bytes().to_vec(),
            all_or_nothing: false,
        };
        let report = Reported {
            id: 1,
            verdict: Verdict::Accepted,
            recipients: vec![("ann@server.example".to_owned(), Status::Accepted)],
        };
        let taken: Vec<_> = server.taken().iter().collect();
        let judgement = judge(&[sent], &[report], &taken);
        assert_eq!(judgement.is_ok(), is_right, "{judgement:?}");
        assert_eq!(server.offences().is_empty(), is_right);
        assert_eq!(taken.len(), if is_right { 1 } else { 2 });
    }
}
