//! A small client, written from the RFCs: careful, and stupid. It reads every reply that
//! it is owed, closes where anything is odd, and claims only what it knows.

use postwire_reference::{Recorder, Sent, Status, canonical};

use crate::common::said;

/// How the client sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    /// A message goes out as one group, if `PIPELINING` is offered.
    pub(crate) groups: bool,
    /// Contents go out by `BDAT`, if `CHUNKING` is offered, in this many chunks.
    pub(crate) chunks: Option<usize>,
    /// TLS and authentication are used, if they are offered.
    pub(crate) secures: bool,
    /// What the client writes arrives in pieces of up to this many octets.
    pub(crate) piece: usize,
}

pub(crate) struct Client {
    pub(crate) server: Recorder,
    habits: Habits,
    read: Vec<u8>,
    /// The text of the lines of the last reply.
    lines: Vec<String>,
    keywords: Vec<String>,
    is_lmtp: bool,
    /// Nothing more is to be sent.
    pub(crate) lost: bool,
    /// Nothing more is to be read.
    ended: bool,
    mails: usize,
}

impl Client {
    /// Reads the greeting and says hello.
    pub(crate) fn connect(server: Recorder, is_lmtp: bool, habits: Habits) -> Self {
        let mut client = Self {
            server,
            habits,
            read: Vec::new(),
            lines: Vec::new(),
            keywords: Vec::new(),
            is_lmtp,
            lost: false,
            ended: false,
            mails: 0,
        };
        if client.reply() != Some(220) || !client.hello() {
            client.lost = true;
        }
        if habits.secures && !client.lost {
            client.secure();
        }
        client
    }

    fn hello(&mut self) -> bool {
        let verb = if self.is_lmtp { "LHLO" } else { "EHLO" };
        self.keywords.clear();
        if self.is_positive(&format!("{verb} client.example\r\n")) {
            self.keywords = self.lines.drain(1..).collect();
            return true;
        }
        !self.is_lmtp && self.is_positive("HELO client.example\r\n")
    }

    fn secure(&mut self) {
        if self.offers("STARTTLS") && self.ask("STARTTLS\r\n") == Some(220) {
            assert!(self.server.tls_wanted());
            self.server.tls_established();
            self.lost = !self.hello();
        }
        let Some(mechanisms) = self.value("AUTH") else {
            return;
        };
        let success = if mechanisms.split(' ').any(|name| name == "PLAIN") {
            self.ask("AUTH PLAIN AHVzZXIAcGFzc3dvcmQ=\r\n")
        } else {
            self.ask("AUTH LOGIN\r\n");
            self.ask("dXNlcg==\r\n");
            self.ask("cGFzc3dvcmQ=\r\n")
        };
        self.lost |= success != Some(235);
    }

    fn offers(&self, keyword: &str) -> bool {
        self.keywords.iter().any(|line| line == keyword)
    }

    fn value(&self, keyword: &str) -> Option<String> {
        let start = format!("{keyword} ");
        let line = self.keywords.iter().find(|line| line.starts_with(&start))?;
        Some(line[start.len()..].to_owned())
    }

    fn limit(&self, name: &str) -> usize {
        let start = format!("{name}=");
        let limits = self.value("LIMITS").unwrap_or_default();
        let limit = limits.split(' ').find_map(|word| word.strip_prefix(&start));
        limit.map_or(usize::MAX, |limit| limit.parse().unwrap())
    }

    /// The code of the next reply; `None` if there is none.
    fn reply(&mut self) -> Option<u16> {
        self.lines.clear();
        let mut is_nudged = false;
        while !self.ended {
            if let Some(end) = self.read.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                let line = String::from_utf8(line).unwrap();
                let line = line.trim_end_matches(['\r', '\n']);
                self.lines.push(line.get(4..).unwrap_or("").to_owned());
                if line.as_bytes().get(3) != Some(&b'-') {
                    let code = line[..3].parse().unwrap();
                    // The server closes, or is to be left alone.
                    self.lost |= code == 421;
                    return Some(code);
                }
                continue;
            }
            let more = said(&mut self.server);
            if !more.is_empty() {
                self.read.extend(more.as_bytes());
            } else if is_nudged {
                self.lost = true;
                self.ended = true;
            } else {
                self.server.nudge();
                is_nudged = true;
            }
        }
        None
    }

    fn write(&mut self, octets: &[u8]) {
        for piece in octets.chunks(self.habits.piece) {
            self.server.receive(piece);
        }
    }

    fn ask(&mut self, line: &str) -> Option<u16> {
        if self.lost {
            return None;
        }
        self.write(line.as_bytes());
        self.reply()
    }

    fn is_positive(&mut self, line: &str) -> bool {
        self.ask(line).is_some_and(|code| code / 100 == 2)
    }

    /// Ends the session.
    pub(crate) fn quit(&mut self) {
        self.ask("QUIT\r\n");
        self.server.receive_eof();
    }

    /// Sends one message; gives the status of each recipient.
    pub(crate) fn send(&mut self, message: &Sent) -> Vec<Status> {
        let mut statuses = vec![Status::NotSent; message.recipients.len()];
        if self.lost || self.mails >= self.limit("MAILMAX") {
            return statuses;
        }
        self.mails += 1;
        let text = String::from_utf8(canonical(&message.content)).unwrap();
        let content = text.replace('\n', "\r\n");
        let most = statuses.len().min(self.limit("RCPTMAX"));
        self.transact(&message.recipients[..most], &content, &mut statuses[..most]);
        if !self.lost && !self.is_positive("RSET\r\n") {
            self.lost = true;
        }
        statuses
    }

    fn transact(&mut self, recipients: &[String], content: &str, statuses: &mut [Status]) {
        let size = match self.value("SIZE") {
            Some(_) => format!(" SIZE={}", content.len()),
            None => String::new(),
        };
        let mail = format!("MAIL FROM:<a@client.example>{size}\r\n");
        let rcpts = recipients.iter().map(|to| format!("RCPT TO:<{to}>\r\n"));
        let rcpts: Vec<String> = rcpts.collect();
        let chunks = self.habits.chunks.filter(|_| self.offers("CHUNKING"));
        let last = match chunks {
            Some(count) => chunked(content, count),
            None => "DATA\r\n".to_owned(),
        };
        let groups = self.habits.groups && self.offers("PIPELINING");
        if groups {
            self.write((mail.clone() + &rcpts.concat() + &last).as_bytes());
        }
        let mail_code = if groups {
            self.reply()
        } else {
            self.ask(&mail)
        };
        if mail_code != Some(250) && !groups {
            return;
        }
        for (rcpt, status) in rcpts.iter().zip(statuses.iter_mut()) {
            let code = if groups { self.reply() } else { self.ask(rcpt) };
            *status = match code {
                Some(250) => Status::InDoubt,
                // The content is on its way.
                None if groups && chunks.is_some() => Status::InDoubt,
                None => Status::NotSent,
                Some(_) => Status::Refused,
            };
        }
        let is_wanted = statuses.contains(&Status::InDoubt);
        if !groups && (self.lost || !is_wanted) {
            return withdraw(statuses);
        }
        match chunks {
            Some(count) => self.end_chunks(statuses, count, groups, &last),
            None => self.end_data(statuses, content, groups),
        }
    }

    fn end_data(&mut self, statuses: &mut [Status], content: &str, groups: bool) {
        let code = if groups {
            self.reply()
        } else {
            self.ask("DATA\r\n")
        };
        let is_wanted = statuses.contains(&Status::InDoubt);
        if code != Some(354) {
            return withdraw(statuses);
        }
        if self.lost || (self.is_lmtp && !is_wanted) {
            self.lost = true;
            return withdraw(statuses);
        }
        if !is_wanted {
            // RFC 2920 §3.1: an empty content, which the server refuses.
            self.write(b".\r\n");
            self.reply();
            return;
        }
        let stuffed = format!("\r\n{content}").replace("\r\n.", "\r\n..");
        self.write(format!("{}.\r\n", &stuffed[2..]).as_bytes());
        self.read_finals(statuses);
    }

    fn end_chunks(&mut self, statuses: &mut [Status], count: usize, groups: bool, last: &str) {
        if !groups && !self.offers("PIPELINING") {
            return self.end_chunks_in_step(statuses, last);
        }
        if !groups {
            self.write(last.as_bytes());
        }
        let mut is_failed = false;
        for _ in 1..count {
            is_failed |= self.reply() != Some(250);
        }
        if is_failed || !statuses.contains(&Status::InDoubt) {
            // Whatever the answers are now, they are none for a recipient.
            let is_answered = self.reply().is_some();
            if is_answered {
                withdraw(statuses);
            }
            self.lost |= self.is_lmtp;
            return;
        }
        self.read_finals(statuses);
    }

    /// Sends each chunk when the one before it is answered.
    fn end_chunks_in_step(&mut self, statuses: &mut [Status], last: &str) {
        let mut rest = last;
        while let Some((head, behind)) = rest.split_once("\r\n") {
            let mut words = head.split(' ').skip(1);
            let size: usize = words.next().unwrap().parse().unwrap();
            self.write(&rest.as_bytes()[..head.len() + 2 + size]);
            if words.next().is_some() {
                return self.read_finals(statuses);
            }
            if self.reply() != Some(250) || self.lost {
                return withdraw(statuses);
            }
            rest = &behind[size..];
        }
    }

    fn read_finals(&mut self, statuses: &mut [Status]) {
        let mut shared = None;
        let open = statuses
            .iter_mut()
            .filter(|status| **status == Status::InDoubt);
        for (number, status) in open.enumerate() {
            if number == 0 || self.is_lmtp {
                shared = self.reply();
            }
            *status = match shared {
                None => Status::InDoubt,
                Some(250) => Status::Accepted,
                Some(_) => Status::Refused,
            };
        }
    }
}

/// The content is not sent after all.
fn withdraw(statuses: &mut [Status]) {
    for status in statuses {
        if *status == Status::InDoubt {
            *status = Status::NotSent;
        }
    }
}

/// `content` in chunks; the last one is empty if there are more than one.
fn chunked(content: &str, count: usize) -> String {
    if count == 1 {
        return format!("BDAT {} LAST\r\n{content}", content.len());
    }
    let size = content.len().div_ceil(count - 1);
    let mut chunks: Vec<String> = content
        .as_bytes()
        .chunks(size)
        .map(|chunk| {
            let text = std::str::from_utf8(chunk).unwrap();
            format!("BDAT {}\r\n{text}", chunk.len())
        })
        .collect();
    chunks.resize(count - 1, "BDAT 0\r\n".to_owned());
    chunks.concat() + "BDAT 0 LAST\r\n"
}
