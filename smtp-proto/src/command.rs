//! Commands beside sending: what a server can be asked between messages.
//!
//! Knows their grammar and limits. Must never know when a command may be sent, nor what
//! an answer to it means.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

mod wire;

pub(crate) use wire::{BodyType, MailParameters, bdat, ehlo, line, mail, rcpt};

/// RFC 5321 §4.5.3.1.4, CRLF included.
const MAX_LINE: usize = 512;

/// Room for ` SMTPUTF8` behind an argument that needs it.
const SMTP_UTF8: &str = " SMTPUTF8";

/// What begins and ends a session, changes what it rests on, or is part of a message; and
/// what does it in this library.
const OF_THE_SESSION: [(&str, &str); 19] = [
    ("ATRN", "a client that serves is not provided for"),
    ("AUTH", "credentials are part of the configuration"),
    ("BDAT", "messages are sent by their own method"),
    ("BURL", "messages are sent by their own method"),
    ("DATA", "messages are sent by their own method"),
    ("EHLO", "the session says it"),
    ("HELO", "the session says it"),
    ("LHLO", "the session says it"),
    ("MAIL", "messages are sent by their own method"),
    ("QUIT", "the session is left by its own method"),
    ("RCPT", "messages are sent by their own method"),
    ("RSET", "the session says it where it has to"),
    ("SAML", "messages are sent by their own method"),
    ("SEND", "messages are sent by their own method"),
    ("SOML", "messages are sent by their own method"),
    ("STARTTLS", "the TLS mode is part of the configuration"),
    ("TURN", "a client that serves is not provided for"),
    ("XCLIENT", "the server forgets the session"),
    ("XEXCH50", "octets follow it"),
];

/// A command beside sending, to be given to [`Client::command`](crate::Client::command).
///
/// One line of at most 512 octets with its CRLF (RFC 5321 §4.5.3.1.4), without control
/// characters: it cannot be split in two. Cheap enough to make for each use.
///
/// ```
/// use postwire_proto::Command;
///
/// assert_eq!(Command::vrfy("alice")?.as_str(), "VRFY alice");
/// assert_eq!(Command::raw("XFORWARD NAME=spike.example")?.verb(), "XFORWARD");
/// assert!(Command::vrfy("alice\r\nMAIL FROM:<>").is_err());
/// assert!(Command::raw("DATA").is_err());
/// # Ok::<(), postwire_proto::CommandError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Command {
    line: Box<str>,
    /// Without it the server is not asked at all.
    needs: Option<&'static str>,
}

impl Command {
    /// `NOOP` (RFC 5321 §4.1.1.9): is the server still there?
    pub fn noop() -> Self {
        Self {
            line: "NOOP".into(),
            needs: None,
        }
    }

    /// `HELP` (RFC 5321 §4.1.1.8), in general.
    pub fn help() -> Self {
        Self {
            line: "HELP".into(),
            needs: None,
        }
    }

    /// `HELP` with a topic, such as the name of a command.
    ///
    /// # Errors
    ///
    /// The topic is empty, too long or not printable ASCII.
    pub fn help_on(topic: impl AsRef<str>) -> Result<Self, CommandError> {
        Self::with_argument("HELP", topic.as_ref())
    }

    /// `VRFY` (RFC 5321 §4.1.1.6): does this user or mailbox exist? `252` means that the
    /// server does not say. One that is not ASCII is asked for only where SMTPUTF8 is
    /// offered (RFC 6531 §3.7.4.2).
    ///
    /// # Errors
    ///
    /// The argument is empty or too long, or has a control character.
    pub fn vrfy(mailbox: impl AsRef<str>) -> Result<Self, CommandError> {
        Self::international("VRFY", mailbox.as_ref())
    }

    /// `EXPN` (RFC 5321 §4.1.1.7): who is on this mailing list? Otherwise as
    /// [`vrfy`](Self::vrfy).
    ///
    /// # Errors
    ///
    /// The argument is empty or too long, or has a control character.
    pub fn expn(list: impl AsRef<str>) -> Result<Self, CommandError> {
        Self::international("EXPN", list.as_ref())
    }

    /// `ETRN` (RFC 1985): begin to deliver what waits for this host, `@` and a domain for
    /// all its subdomains, or `#` and the name of a queue. Not asked where the server does
    /// not offer ETRN.
    ///
    /// # Errors
    ///
    /// The argument is empty, too long or not printable ASCII.
    pub fn etrn(node: impl AsRef<str>) -> Result<Self, CommandError> {
        let command = Self::with_argument("ETRN", node.as_ref())?;
        Ok(Self {
            needs: Some("ETRN"),
            ..command
        })
    }

    /// Any other command, as it stands on the line. Its answer must be one reply that ends
    /// it, 2xx, 4xx or 5xx.
    ///
    /// # Errors
    ///
    /// There is no verb, the line is too long or not printable ASCII, or the verb is the
    /// session's own: one that would change what it rests on.
    pub fn raw(line: impl AsRef<str>) -> Result<Self, CommandError> {
        let line = line.as_ref();
        let verb = line.split(' ').next().unwrap_or_default();
        if verb.is_empty() || !verb.bytes().all(|octet| octet.is_ascii_alphanumeric()) {
            return Err(CommandError::NoVerb);
        }
        let mut own = OF_THE_SESSION.iter();
        if let Some((verb, instead)) = own.find(|(own, _)| own.eq_ignore_ascii_case(verb)) {
            return Err(CommandError::OfTheSession { verb, instead });
        }
        check(line, false, MAX_LINE)?;
        Ok(Self {
            line: line.into(),
            needs: None,
        })
    }

    fn with_argument(verb: &str, argument: &str) -> Result<Self, CommandError> {
        if argument.trim().is_empty() {
            return Err(CommandError::NoArgument);
        }
        let mut line = String::with_capacity(verb.len() + 1 + argument.len() + SMTP_UTF8.len());
        line.push_str(verb);
        line.push(' ');
        line.push_str(argument);
        check(&line, false, MAX_LINE)?;
        Ok(Self {
            line: line.into(),
            needs: None,
        })
    }

    fn international(verb: &str, argument: &str) -> Result<Self, CommandError> {
        if argument.is_ascii() {
            return Self::with_argument(verb, argument);
        }
        let mut line = verb.to_owned();
        line.push(' ');
        line.push_str(argument);
        line.push_str(SMTP_UTF8);
        // RFC 6531 §3.7.4.2: the parameter is not counted.
        check(&line, true, MAX_LINE + SMTP_UTF8.len())?;
        Ok(Self {
            line: line.into(),
            needs: Some("SMTPUTF8"),
        })
    }

    /// The line, without its CRLF.
    pub fn as_str(&self) -> &str {
        &self.line
    }

    /// The command's name, as it was given.
    pub fn verb(&self) -> &str {
        self.line.split(' ').next().unwrap_or_default()
    }

    /// The extension without which the server is not asked.
    pub(crate) fn needs(&self) -> Option<&'static str> {
        self.needs
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

/// Positions count in the whole line.
fn check(line: &str, utf8: bool, limit: usize) -> Result<(), CommandError> {
    let fits = |character: char| match character {
        ' '..='~' => true,
        _ => utf8 && !character.is_ascii() && !character.is_control(),
    };
    if let Some((position, _)) = line.char_indices().find(|(_, character)| !fits(*character)) {
        return Err(CommandError::InvalidCharacter { position });
    }
    let octets = line.len() + "\r\n".len();
    if octets > limit {
        return Err(CommandError::TooLong { octets, limit });
    }
    Ok(())
}

/// Why a text makes no [`Command`].
#[non_exhaustive]
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// It does not begin with a command's name.
    NoVerb,
    /// What is asked about is missing.
    NoArgument,
    /// There is a control character, or one that is not ASCII where only that may stand.
    InvalidCharacter {
        /// Where in the line, in octets.
        position: usize,
    },
    /// The line is longer than servers have to take.
    TooLong {
        /// The line's octets, with its CRLF.
        octets: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The command is the session's own affair.
    OfTheSession {
        /// Its name.
        verb: &'static str,
        /// What does it, or why nothing does.
        instead: &'static str,
    },
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoVerb => f.write_str("a command begins with a word of ASCII letters and digits"),
            Self::NoArgument => f.write_str("the command needs an argument"),
            Self::InvalidCharacter { position } => {
                write!(f, "a character at {position} cannot stand in a command")
            }
            Self::TooLong { octets, limit } => {
                write!(
                    f,
                    "the command has {octets} octets; at most {limit} are allowed"
                )
            }
            Self::OfTheSession { verb, instead } => {
                write!(f, "{verb} cannot be given by itself: {instead}")
            }
        }
    }
}

impl core::error::Error for CommandError {}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_is_its_line() {
        for (command, line) in [
            (Ok(Command::noop()), "NOOP"),
            (Ok(Command::help()), "HELP"),
            (Command::help_on("MAIL"), "HELP MAIL"),
            (
                Command::vrfy("<alice@example.org>"),
                "VRFY <alice@example.org>",
            ),
            (Command::vrfy("j\u{fc}rgen"), "VRFY j\u{fc}rgen SMTPUTF8"),
            (Command::expn("staff"), "EXPN staff"),
            (Command::etrn("@example.org"), "ETRN @example.org"),
            (Command::raw("xfoo a=b c"), "xfoo a=b c"),
        ] {
            assert_eq!(
                command.map(|command| command.to_string()),
                Ok(line.to_owned())
            );
        }
    }

    #[test]
    fn what_is_none() {
        let position = |position| Err(CommandError::InvalidCharacter { position });
        assert_eq!(Command::vrfy(" "), Err(CommandError::NoArgument));
        assert_eq!(Command::vrfy("a\rb"), position(6));
        assert_eq!(Command::expn("\u{fc}\u{85}"), position(7));
        assert_eq!(Command::etrn("b\u{fc}cher.example"), position(6));
        assert_eq!(Command::help_on("a\n"), position(6));
        for line in ["", " NOOP", "\u{fc}", "A=B", "\r\nQUIT"] {
            assert_eq!(Command::raw(line), Err(CommandError::NoVerb), "{line:?}");
        }
        assert_eq!(Command::raw("XFOO a\r\nQUIT"), position(6));
        for line in ["data", "MAIL FROM:<a@b>", "StartTLS", "Quit"] {
            let refused = Command::raw(line);
            assert!(
                matches!(refused, Err(CommandError::OfTheSession { .. })),
                "{line}"
            );
        }
        let longest = "x".repeat(512 - "VRFY \r\n".len());
        assert!(Command::vrfy(&longest).is_ok());
        let too_long = CommandError::TooLong {
            octets: 513,
            limit: 512,
        };
        assert_eq!(Command::vrfy(longest + "x"), Err(too_long));
    }

    proptest! {
        #[test]
        fn nothing_that_is_made_can_be_split(text in any::<String>()) {
            let made = [
                Command::raw(&text),
                Command::vrfy(&text),
                Command::expn(&text),
                Command::help_on(&text),
                Command::etrn(&text),
            ];
            for command in made.into_iter().flatten() {
                prop_assert!(!command.as_str().chars().any(char::is_control));
                prop_assert!(command.as_str().len() <= 512 - 2 + SMTP_UTF8.len());
                prop_assert!(!command.verb().is_empty());
            }
        }
    }
}
