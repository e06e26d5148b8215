//! Three messages with the defaults, to every server other than Postfix and Dovecot's LMTP:
//! servers that lost, refused or delayed messages that others accept.
//!
//! Knows a server by the settings of its script (`tests/servers`). Must never know a server by
//! name.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use postwire_blocking::proto::{Address, Body, Envelope, Outcome as Verdict, Report};
use postwire_blocking::transport::TransportConfig;

use crate::access_paths::{self, AccessPath, IN_PLAINTEXT};
use crate::bodies;
use crate::cases::Outcome;
use crate::mailboxes::{Delivery, Mailboxes};
use crate::server::Environment;
use crate::session::{self, Runtime};
use crate::table::{Octets, Row, Table};

const USERS: [&str; 3] = ["alice", "bob", "carol"];

/// The longest time of a case, from the connection to the reply to `QUIT`. A slow case is tried
/// once more, since the machine may have been busy.
const LONGEST: Duration = Duration::from_secs(1);

pub(crate) fn run_all(environment: &Environment, table: &mut Table) -> Outcome {
    let name = environment.get("SERVER")?;
    let folder = Path::new(environment.get("MAIL_DIR")?);
    let is_cyrus = environment.get("MAIL_FORMAT").is_ok_and(|it| it == "cyrus");
    let mailboxes = if is_cyrus {
        Mailboxes::open_cyrus(folder, &USERS)?
    } else {
        Mailboxes::open(folder, &USERS)?
    };
    let mut interop = Interop {
        name,
        domain: environment.get("DOMAIN")?,
        keeps_line_ends: environment.get("LINE_ENDS").is_ok_and(|it| it == "CRLF"),
        mailboxes,
        table,
        runtime: Runtime::Blocking,
        sent: 0,
    };
    let begun = Instant::now();
    let access_paths = access_paths::all(environment)?;
    for path in &access_paths {
        interop.every_case(path)?;
    }
    // All runtimes produce the same octets on the wire, so one case each is enough.
    for runtime in [Runtime::Smol, Runtime::AsyncStd, Runtime::Tokio] {
        interop.runtime = runtime;
        if let Some(path) = access_paths.iter().rfind(|path| !path.fails()) {
            interop.check(path, Case::OneAfterTheOther)?;
        }
    }
    println!("{name}: {:.0?}", begun.elapsed());
    interop.nothing_else_arrived()
}

/// The messages, and the part of the library that sends them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    /// With a transport's `send_all`.
    OneAfterTheOther,
    /// With a session that has all three messages, and `QUIT`, before it connects.
    QueuedWithQuit,
    /// With a session that has one message, and `QUIT`, before it connects.
    LoneWithQuit,
    /// The second of three messages goes to a recipient that does not exist.
    RefusedAmidst,
}

impl Case {
    const ALL: [Self; 4] = [
        Self::OneAfterTheOther,
        Self::QueuedWithQuit,
        Self::LoneWithQuit,
        Self::RefusedAmidst,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::OneAfterTheOther => "three messages",
            Self::QueuedWithQuit => "three messages and QUIT queued",
            Self::LoneWithQuit => "one message and QUIT queued",
            Self::RefusedAmidst => "the second of three refused",
        }
    }

    fn expected(self, path: &AccessPath) -> String {
        if path.fails() {
            return "not sent at tls".to_owned();
        }
        match self {
            Self::OneAfterTheOther => "accepted".to_owned(),
            Self::QueuedWithQuit | Self::LoneWithQuit => format!("accepted, {}", path.channel),
            Self::RefusedAmidst => "accepted; rejected at rcpt: 550; accepted".to_owned(),
        }
    }
}

/// A message to send.
struct Message {
    to: &'static [&'static str],
    octets: Vec<u8>,
}

struct Interop<'a> {
    name: &'a str,
    domain: &'a str,
    keeps_line_ends: bool,
    mailboxes: Mailboxes,
    table: &'a mut Table,
    runtime: Runtime,
    /// The number of messages so far; each has its own identifier.
    sent: usize,
}

impl Interop<'_> {
    fn every_case(&mut self, path: &AccessPath) -> Outcome {
        for case in Case::ALL {
            let offers_chunking = self.check(path, case)?;
            if case == Case::QueuedWithQuit && offers_chunking {
                self.check(&path.without_chunking(), case)?;
            }
        }
        Ok(())
    }

    /// Sends, compares and measures; returns whether the server offers CHUNKING.
    fn check(&mut self, path: &AccessPath, case: Case) -> Result<bool, Box<dyn Error>> {
        let expected = case.expected(path);
        let config = path.config()?;
        let mut tried = self.attempt(&config, case)?;
        if tried.took > LONGEST && tried.outcome == expected {
            println!("{}: {}: {:.3?}, again", self.name, case.name(), tried.took);
            let first = tried.octets;
            tried = self.attempt(&config, case)?;
            if tried.took > LONGEST {
                tried.outcome.push_str(", slow twice");
            }
            if matches!(first, Octets::Differ(_)) {
                tried.octets = first;
            }
        }
        if tried.outcome != expected {
            for report in &tried.reports {
                println!("    {report}");
            }
        }
        self.table.add(&Row {
            runtime: self.runtime.name(),
            mode: path.mode,
            port: path.port,
            case: format!("{}: {}{}", self.name, case.name(), path.settings()),
            expected,
            outcome: tried.outcome,
            octets: tried.octets,
            took: Some(tried.took),
        });
        Ok(tried.offers_chunking)
    }

    fn attempt(
        &mut self,
        config: &TransportConfig,
        case: Case,
    ) -> Result<CaseResult, Box<dyn Error>> {
        let messages = self.messages(case);
        let mut for_sending = Vec::new();
        for message in &messages {
            for_sending.push(self.for_sending(message)?);
        }
        let begun = Instant::now();
        let (reports, channel, offers_chunking) = match case {
            Case::OneAfterTheOther | Case::RefusedAmidst => {
                let reports = session::send_all(config, self.runtime, for_sending);
                (reports, None, false)
            }
            Case::QueuedWithQuit | Case::LoneWithQuit => {
                let sent = session::send(config, self.runtime, for_sending)?;
                let offers_chunking = sent.is_offered("CHUNKING");
                let channel = sent.tls.unwrap_or_else(|| IN_PLAINTEXT.to_owned());
                (sent.reports, Some(channel), offers_chunking)
            }
        };
        let took = begun.elapsed();
        Ok(CaseResult {
            octets: self.compare(&messages, &reports)?,
            outcome: outcome(&reports, channel.as_deref()),
            reports,
            offers_chunking,
            took,
        })
    }

    fn messages(&mut self, case: Case) -> Vec<Message> {
        let small = self.message(&["alice"], "small", "", b".Hello.\r\n.\r\n");
        let large = self.message(&["bob"], "lines and dots", "", &bodies::lines_and_dots());
        let mime = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
                    Content-Transfer-Encoding: 8bit\r\n";
        let text = "Grüße aus 東京\r\n..Äpfel\r\n".as_bytes();
        let eight_bit = self.message(&["alice", "carol"], "8-bit", mime, text);
        match case {
            Case::OneAfterTheOther | Case::QueuedWithQuit => vec![small, large, eight_bit],
            Case::LoneWithQuit => vec![small],
            Case::RefusedAmidst => {
                let to_nobody = Message {
                    to: &["nobody"],
                    ..large
                };
                vec![small, to_nobody, eight_bit]
            }
        }
    }

    /// A message with a complete header, since some servers add missing fields.
    fn message(
        &mut self,
        to: &'static [&'static str],
        subject: &str,
        fields: &str,
        body: &[u8],
    ) -> Message {
        self.sent += 1;
        let number = self.sent;
        let process = std::process::id();
        let mut octets = format!(
            "From: Sender <sender@client.example>\r\nTo: Users <users@{}>\r\n\
             Subject: {subject}\r\nDate: Thu, 26 Nov 2026 12:00:00 +0000\r\n\
             Message-ID: <{number}.{process}@client.example>\r\n{fields}\r\n",
            self.domain
        )
        .into_bytes();
        octets.extend_from_slice(body);
        Message { to, octets }
    }

    fn for_sending(&self, message: &Message) -> Result<(Envelope, Body), Box<dyn Error>> {
        let address = |user: &&str| Address::new(user, self.domain);
        let recipients: Result<Vec<_>, _> = message.to.iter().map(address).collect();
        let envelope = Envelope::new(Some("sender@client.example".parse()?), recipients?)?;
        Ok((envelope, Body::from(message.octets.clone())))
    }

    fn compare(
        &mut self,
        messages: &[Message],
        reports: &[Report],
    ) -> Result<Octets, Box<dyn Error>> {
        if messages.len() != reports.len() {
            let (sent, reported) = (messages.len(), reports.len());
            return Ok(Octets::Differ(format!("{sent} sent, {reported} reported")));
        }
        let deliveries: Vec<_> = messages
            .iter()
            .zip(reports)
            .map(|(message, report)| Delivery::new(&message.octets, report))
            .map(|delivery| {
                if self.keeps_line_ends {
                    delivery.with_its_line_ends()
                } else {
                    delivery
                }
            })
            .collect();
        Ok(self.mailboxes.compare(&deliveries)?)
    }

    fn nothing_else_arrived(&mut self) -> Outcome {
        std::thread::sleep(Duration::from_millis(500));
        let surplus = self.mailboxes.surplus()?;
        self.table.add(&Row {
            runtime: "",
            mode: "",
            port: "",
            case: format!("{}: nothing else arrived", self.name),
            expected: "0 files".to_owned(),
            outcome: format!("{surplus} files"),
            octets: Octets::Nothing,
            took: None,
        });
        Ok(())
    }
}

/// The result of a case.
struct CaseResult {
    reports: Vec<Report>,
    outcome: String,
    octets: Octets,
    offers_chunking: bool,
    took: Duration,
}

/// The outcomes of all messages in words; a common outcome only once.
fn outcome(reports: &[Report], channel: Option<&str>) -> String {
    let mut outcomes: Vec<String> = reports
        .iter()
        .map(|report| verdict(report, channel))
        .collect();
    outcomes.dedup();
    outcomes.join("; ")
}

fn verdict(report: &Report, channel: Option<&str>) -> String {
    match (report.outcome(), channel) {
        (Verdict::Accepted(_), _) if report.is_partial() => "partial".to_owned(),
        (Verdict::Accepted(_), Some(channel)) => format!("accepted, {channel}"),
        (Verdict::Accepted(_), None) => "accepted".to_owned(),
        // The texts and enhanced codes differ between servers.
        (Verdict::Rejected { stage, reply }, _) => {
            format!("rejected at {stage}: {}", reply.code())
        }
        (Verdict::NotSent(error), _) => format!("not sent at {}", error.stage()),
        (Verdict::InDoubt(error), _) => format!("in doubt at {}", error.stage()),
    }
}
