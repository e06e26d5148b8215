//! Random messages: recipients whose names say what the server answers, and contents that would do
//! harm if they were read as commands.

use bytes::Bytes;
use postwire_proto::{
    Address, Body, Envelope, Outcome, RecipientStatus, Recipients, Report, SendError,
};
use postwire_reference::{Reported, Sent, Status, Verdict};

use crate::choices::Choices;

/// A message, as the client and as the judge know it.
#[derive(Clone, Debug)]
pub struct Message {
    /// The envelope for the client.
    pub envelope: Envelope,
    /// The content for the client.
    pub content: Bytes,
    /// The message for the judge.
    pub sent: Sent,
}

/// Contents that hold commands, dots and line ends of every form.
const CONTENTS: &[&str] = &[
    "Subject: hello\r\n\r\nHello.\r\n",
    "",
    ".",
    ".\r\n..\r\n...\r\n",
    "no final line end",
    "a final CR\r",
    "lone\nline\nfeeds\n.\nand\rreturns\r.\r",
    "MAIL FROM:<forged@sender.example>\r\nRCPT TO:<ok-f@one.example>\r\nDATA\r\nforged\r\n.\r\n",
    "RSET\r\nMAIL FROM:<forged@sender.example>\r\nRCPT TO:<ok-f@one.example>\r\nBDAT 8 LAST\r\nforged\r\nNOOP\r\n",
    "\r\n.\r\nMAIL FROM:<forged@sender.example>\r\nRCPT TO:<ok-f@one.example>\r\nDATA\r\nforged\r\n.\r\n",
    "\n.\nMAIL FROM:<forged@sender.example>\nRCPT TO:<ok-f@one.example>\nDATA\nforged\n.\n",
    "\n.\r\nMAIL FROM:<forged@sender.example>\r\nRCPT TO:<ok-f@one.example>\r\nDATA\r\nforged\r\n.\r\n",
    "NOOP\r\nNOOP\r\nQUIT\r\n",
    "X-Refuse: 554\r\n\r\nno\r\n",
    "X-Refuse: 451\r\n\r\nnot now\r\n",
];

const NAMES: &[&str] = &["ok", "ok", "ok", "ok", "no", "later", "full", "mixed"];
const DOMAINS: &[&str] = &["one.example", "ONE.example", "two.example", "three.example"];

/// A random message with this number.
///
/// # Panics
///
/// Never: every address is valid.
pub fn message(id: usize, choices: &mut Choices) -> Message {
    let count = match choices.below(8) {
        0..=3 => 1,
        4..=6 => 2 + choices.below(4),
        _ => 1 + choices.below(12),
    };
    let recipients: Vec<String> = (0..count)
        .map(|nth| {
            let (name, domain) = (choices.pick(NAMES), choices.pick(DOMAINS));
            format!("{name}-{id}-{nth}@{domain}")
        })
        .collect();
    let sender = if choices.once_in(12) {
        "nobody"
    } else {
        "alice"
    };
    let sender = format!("{sender}-{id}@sender.example");
    let mut content = choices.pick(CONTENTS).as_bytes().to_vec();
    // Two messages must not be mistaken for each other, except where they are the same on purpose.
    if !choices.once_in(6) {
        let mut marked = format!("X-Id: {id}\r\n").into_bytes();
        marked.extend_from_slice(&content);
        content = marked;
    }
    if choices.once_in(10) {
        content.extend(
            std::iter::repeat_n(b"a line of a long message\r\n", 1 + choices.below(400)).flatten(),
        );
    }
    if choices.once_in(10) {
        content.extend_from_slice("gr\u{fc}\u{df}e\r\n".as_bytes());
    }
    let all_or_nothing = choices.once_in(6);
    let addresses: Vec<Address> = recipients
        .iter()
        .filter_map(|recipient| recipient.parse().ok())
        .collect();
    let kind = if all_or_nothing {
        Recipients::All
    } else {
        Recipients::Any
    };
    let envelope = match Envelope::new(sender.parse().ok(), addresses) {
        Ok(envelope) => envelope.with_recipients(kind),
        Err(error) => panic!("{error}"),
    };
    Message {
        envelope,
        sent: Sent {
            id,
            reverse_path: sender,
            recipients,
            content: content.clone(),
            all_or_nothing,
        },
        content: content.into(),
    }
}

impl Message {
    /// What a client sends.
    pub fn parts(&self) -> (Envelope, Body) {
        (self.envelope.clone(), self.body())
    }

    /// The content for the client.
    pub fn body(&self) -> Body {
        Body::from(self.content.clone())
    }
}

/// The report of a send of one message, whatever became of it.
pub fn report(result: Result<Report, SendError>) -> Report {
    result.unwrap_or_else(SendError::into_report)
}

/// The reports of one send, which come in the order of its messages, in the judge's words.
pub fn paired(messages: &[Message], reports: &[Report]) -> Vec<Reported> {
    let numbered = reports.iter().enumerate().map(|(at, report)| {
        let id = messages
            .get(at)
            .map_or(usize::MAX, |message| message.sent.id);
        reported(id, report)
    });
    numbered.collect()
}

/// A report in the judge's words, about the message with this number.
pub fn reported(id: usize, report: &Report) -> Reported {
    let verdict = match report.outcome() {
        Outcome::Accepted(_) => Verdict::Accepted,
        Outcome::Rejected { .. } => Verdict::Rejected,
        Outcome::NotSent(_) => Verdict::NotSent,
        Outcome::InDoubt(_) => Verdict::InDoubt,
    };
    let recipients = report.recipients().iter().map(|recipient| {
        let status = match recipient.status() {
            RecipientStatus::Accepted => Status::Accepted,
            RecipientStatus::Refused => Status::Refused,
            RecipientStatus::NotSent => Status::NotSent,
            _ => Status::InDoubt,
        };
        (recipient.address().to_string(), status)
    });
    Reported {
        id,
        verdict,
        recipients: recipients.collect(),
    }
}

/// Which message a report is about: its recipients say it.
///
/// # Errors
///
/// If the report has no recipient of a [`message`].
pub fn number_of(report: &Report) -> Result<usize, String> {
    let first = report.recipients().first();
    let first = first.map(|recipient| recipient.address().to_string());
    let number = first.as_ref().and_then(|first| first.split('-').nth(1));
    let number = number.and_then(|number| number.parse().ok());
    number.ok_or_else(|| format!("a report is about nobody: {report:?}"))
}

/// What counts as the report on a message whose send ended without one: `NotSent`, or `InDoubt`.
pub fn unreported(sent: &Sent, verdict: Verdict) -> Reported {
    let status = match verdict {
        Verdict::NotSent => Status::NotSent,
        _ => Status::InDoubt,
    };
    let recipients = sent.recipients.iter();
    Reported {
        id: sent.id,
        verdict,
        recipients: recipients
            .map(|recipient| (recipient.clone(), status))
            .collect(),
    }
}
