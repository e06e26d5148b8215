//! The replies: their text, the form in which a dialect writes them, and the queue
//! from which they are said. The queue knows which replies a client waits for.

use std::collections::VecDeque;

use crate::dialect::ReplyForm;

/// One reply of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    /// The enhanced status code, or nothing where none belongs.
    enhanced: &'static str,
    lines: Vec<String>,
}

impl Reply {
    pub(crate) fn new(code: u16, enhanced: &'static str, text: impl Into<String>) -> Self {
        Self::of_lines(code, enhanced, vec![text.into()])
    }

    pub(crate) fn of_lines(code: u16, enhanced: &'static str, lines: Vec<String>) -> Self {
        Self {
            code,
            enhanced,
            lines,
        }
    }

    /// A refusal whose code a dialect chooses.
    pub(crate) fn refusal(code: u16, text: &str) -> Self {
        let enhanced = if code < 500 { "4.3.0" } else { "5.3.0" };
        Self::new(code, enhanced, text)
    }

    pub(crate) fn is_error(&self) -> bool {
        self.code >= 400
    }

    /// The octets of the reply. With `disagreeing`, its first line has another code.
    pub(crate) fn octets(&self, form: ReplyForm, enhanced: bool, disagreeing: bool) -> Vec<u8> {
        let end = match form {
            ReplyForm::LfOnly => "\n",
            _ => "\r\n",
        };
        let prefix = if enhanced && !self.enhanced.is_empty() {
            format!("{} ", self.enhanced)
        } else {
            String::new()
        };
        let mut lines: Vec<String> = self
            .lines
            .iter()
            .map(|line| format!("{prefix}{line}"))
            .collect();
        // A challenge is data, and a list of keywords is too.
        let may_vary = self.lines.len() == 1 && self.code != 334;
        match form {
            ReplyForm::ManyLines(more) if may_vary => {
                for number in (0..more).rev() {
                    lines.insert(0, format!("{prefix}line {number} of many"));
                }
            }
            ReplyForm::LongText(octets) if may_vary => {
                let missing = octets.saturating_sub(lines[0].len());
                lines[0].push_str(&"x".repeat(missing));
            }
            _ => {}
        }
        if form == ReplyForm::CodeOnly && may_vary && !disagreeing {
            return format!("{}{end}", self.code).into_bytes();
        }
        let mut written = Vec::new();
        if disagreeing {
            let other = if self.is_error() { 250 } else { 550 };
            written.push(format!("{other}-of two minds{end}"));
        }
        let last = lines.len() - 1;
        for (number, line) in lines.iter().enumerate() {
            let mark = if number == last { ' ' } else { '-' };
            written.push(format!("{}{mark}{line}{end}", self.code));
        }
        written.concat().into_bytes()
    }
}

#[derive(Debug)]
struct Queued {
    octets: Vec<u8>,
    /// Whether the client waits for it.
    owed: bool,
}

/// The replies that are not said yet.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    ready: VecDeque<Queued>,
    withheld: VecDeque<Queued>,
    /// How many replies were said that nobody waited for.
    surplus_said: usize,
}

impl Outgoing {
    /// Adds a reply. Behind a withheld one each is withheld, because order is kept.
    pub(crate) fn push(&mut self, octets: Vec<u8>, owed: bool, withhold: bool) {
        let queue = if withhold || !self.withheld.is_empty() {
            &mut self.withheld
        } else {
            &mut self.ready
        };
        queue.push_back(Queued { octets, owed });
    }

    /// Makes the withheld replies ready.
    pub(crate) fn release(&mut self) {
        self.ready.append(&mut self.withheld);
    }

    /// Whether the client still waits for a reply. It cannot tell replies that nobody
    /// asked for from others, so it may have read one of those instead.
    pub(crate) fn is_owing(&self) -> bool {
        let unsaid = self.ready.iter().chain(&self.withheld);
        unsaid.filter(|reply| reply.owed).count() > self.surplus_said
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.withheld.is_empty()
    }

    pub(crate) fn take_one(&mut self) -> Vec<u8> {
        let Some(reply) = self.ready.pop_front() else {
            return Vec::new();
        };
        self.surplus_said += usize::from(!reply.owed);
        reply.octets
    }

    pub(crate) fn take_all(&mut self) -> Vec<u8> {
        let mut said = Vec::new();
        while !self.ready.is_empty() {
            said.extend(self.take_one());
        }
        said
    }
}
