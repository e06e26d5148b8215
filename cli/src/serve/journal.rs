//! What is said about a session: a line for each failure, the dialogue for `--trace`, and the
//! dialogue that is kept with a message.
//!
//! Knows commands, replies and the end of a session as text. Must never decide anything.

use std::fmt::Display;
use std::mem;

use postwire_blocking::proto::escape_non_utf8;
use postwire_server::ServerViolation;

use crate::print::output::{print_error, print_note};
use crate::print::text::SafeText;

/// The number of failures of one session that are printed: a client must not fill a log.
const MAX_FAILURES: usize = 100;

/// The number of octets of a dialogue that are kept with a message.
const MAX_DIALOGUE: usize = 32 * 1024;

/// What is printed about sessions.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Log {
    pub(crate) failures: bool,
    pub(crate) dialogue: bool,
}

/// The journal of one session.
pub(crate) struct Journal {
    log: Log,
    number: u64,
    peer: String,
    /// The last command, which the next replies answer; `None` before the first one.
    command: Option<String>,
    /// The user who is logging in, with the mechanism.
    login: Option<String>,
    /// A refusal that is not printed yet, since it may be the last word of a failed session.
    refusal: Option<String>,
    failures: usize,
    /// The dialogue before the first transaction, and that of the latest transaction.
    opening: String,
    transaction: String,
    has_begun: bool,
}

impl Journal {
    pub(crate) fn new(log: Log, number: u64, peer: String) -> Self {
        Self {
            log,
            number,
            peer,
            command: None,
            login: None,
            refusal: None,
            failures: 0,
            opening: String::new(),
            transaction: String::new(),
            has_begun: false,
        }
    }

    /// The number of the connection.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The address of the client.
    pub(crate) fn peer(&self) -> &str {
        &self.peer
    }

    /// The dialogue so far that concerns the latest message: the opening, and its transaction.
    pub(crate) fn dialogue(&self) -> String {
        format!("{}{}", self.opening, self.transaction)
    }

    /// Whether the latest command is this one.
    pub(crate) fn is_after(&self, verb: &str) -> bool {
        let command = self.command.as_deref().unwrap_or_default();
        let verb_of = command.split(' ').next().unwrap_or_default();
        verb_of.eq_ignore_ascii_case(verb)
    }

    /// Records a command, without secrets.
    pub(crate) fn on_command(&mut self, line: &[u8]) {
        self.print_refusal();
        let line = SafeText(&escape_non_utf8(line)).to_string();
        // A response within AUTH belongs to the command, also where AUTH was refused.
        let is_response = line == "<redacted>";
        if !is_response {
            self.command = Some(line.clone());
            self.login = None;
        }
        if self.is_after("MAIL") {
            self.transaction.clear();
            self.has_begun = true;
        }
        self.add_line('C', &line);
    }

    /// Records the user of a login.
    pub(crate) fn on_login(&mut self, user: &str, mechanism: impl Display) {
        let user = SafeText(user);
        self.login = Some(format!("login of {user} by {mechanism}"));
    }

    /// Records that the content of a message has arrived.
    pub(crate) fn on_content(&mut self, octets: usize) {
        self.add_line('C', &format!("({octets} octets of content)"));
    }

    /// Records a reply. Returns whether it refuses something.
    pub(crate) fn on_reply(&mut self, reply: &[u8]) -> bool {
        self.print_refusal();
        let reply = escape_non_utf8(reply);
        for line in reply.split("\r\n") {
            let line = SafeText(line).to_string();
            self.add_line('S', &line);
        }
        let is_refusal = reply.starts_with(['4', '5']);
        if is_refusal {
            let lines = SafeText(&reply.replace("\r\n", " / ")).to_string();
            let refused = self.login.take().or_else(|| self.command.clone());
            let refused = refused.unwrap_or_else(|| "the connection".to_owned());
            self.refusal = Some(format!("{refused}: {lines}"));
        }
        is_refusal
    }

    /// Records the end of the session, and what was wrong with it.
    pub(crate) fn on_end(&mut self, violation: Option<&ServerViolation>) {
        let Some(violation) = violation else {
            return self.print_refusal();
        };
        let what = match violation {
            ServerViolation::ConnectionClosed if self.command.is_none() => {
                self.print_refusal();
                "the client closed the connection without a command".to_owned()
            }
            ServerViolation::ConnectionClosed | ServerViolation::Transport(_) => {
                self.print_refusal();
                violation.to_string()
            }
            // The refusal says the same in other words.
            _ => {
                self.refusal = None;
                violation.to_string()
            }
        };
        self.print_failure(&SafeText(&what).to_string());
    }

    /// Records that the server hung up on demand.
    pub(crate) fn on_hang_up(&mut self) {
        self.print_refusal();
        self.print_failure("the server hung up on demand");
    }

    /// Whether a refusal is not printed yet.
    pub(crate) fn has_refused(&self) -> bool {
        self.refusal.is_some()
    }

    /// Prints the refusal that is not printed yet.
    pub(crate) fn print_refusal(&mut self) {
        if let Some(refusal) = mem::take(&mut self.refusal) {
            self.print_failure(&refusal);
        }
    }

    fn print_failure(&mut self, what: &str) {
        self.failures += 1;
        if self.log.failures && self.failures <= MAX_FAILURES {
            let (number, peer) = (self.number, &self.peer);
            print_error(format_args!("connection {number} from {peer}: {what}"));
            if self.failures == MAX_FAILURES {
                print_error(format_args!(
                    "connection {number} from {peer}: further failures are not shown"
                ));
            }
        }
    }

    fn add_line(&mut self, side: char, line: &str) {
        if self.log.dialogue {
            print_note(format_args!("{} {side}: {line}", self.number));
        }
        let kept = if self.has_begun {
            &mut self.transaction
        } else {
            &mut self.opening
        };
        if kept.len() + line.len() < MAX_DIALOGUE {
            kept.push(side);
            kept.push_str(": ");
            kept.push_str(line);
            kept.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal() -> Journal {
        Journal::new(Log::default(), 1, "here".to_owned())
    }

    #[test]
    fn the_dialogue_is_that_of_the_latest_transaction() {
        let mut journal = journal();
        journal.on_reply(b"220 mx");
        for address in ["a@b", "c@d"] {
            journal.on_command(format!("mail FROM:<{address}>").as_bytes());
            journal.on_reply(b"250 ok");
        }
        journal.on_content(5);
        assert_eq!(
            journal.dialogue(),
            "S: 220 mx\nC: mail FROM:<c@d>\nS: 250 ok\nC: (5 octets of content)\n"
        );
        assert!(journal.is_after("MAIL"));
    }

    #[test]
    fn the_dialogue_is_bounded() {
        let mut journal = journal();
        for _ in 0..MAX_DIALOGUE {
            journal.on_command(b"NOOP");
        }
        assert!(journal.dialogue().len() <= MAX_DIALOGUE);
    }

    #[test]
    fn a_refusal_names_what_it_answers() {
        let mut journal = journal();
        journal.on_command(b"AUTH PLAIN <redacted>");
        journal.on_login("ali\u{1b}ce", "PLAIN");
        assert!(journal.on_reply(b"535 5.7.8 no"));
        let refusal = journal.refusal.clone();
        let expected = "login of ali\\u{1b}ce by PLAIN: 535 5.7.8 no";
        assert_eq!(refusal.as_deref(), Some(expected));
        journal.on_command(b"RCPT TO:<a@b>");
        assert!(!journal.on_reply(b"250 ok"));
        assert_eq!(journal.refusal, None);
        assert_eq!(journal.failures, 1);
    }
}
