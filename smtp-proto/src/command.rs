//! Commands that are not part of sending a message, such as NOOP or VRFY.
//!
//! Knows their grammar and limits. Must never know when a command may be sent or what its reply
//! means.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

mod wire;

use crate::shown::is_safe_in_a_command;
pub(crate) use wire::{BodyType, MailParameters, bdat, ehlo, line, mail, rcpt};

/// RFC 5321 §4.5.3.1.4, CRLF included.
const MAX_LINE: usize = 512;

/// Space for ` SMTPUTF8` after an argument that needs it.
const SMTP_UTF8: &str = " SMTPUTF8";

/// Commands that begin or end a session, change its state, or are part of a message; each with
/// the reason for its refusal.
const RESERVED_COMMANDS: [(&str, &str); 19] = [
    ("ATRN", "this client cannot act as a server"),
    ("AUTH", "credentials are part of the configuration"),
    ("BDAT", "send a message instead"),
    ("BURL", "send a message instead"),
    ("DATA", "send a message instead"),
    ("EHLO", "the session sends it"),
    ("HELO", "the session sends it"),
    ("LHLO", "the session sends it"),
    ("MAIL", "send a message instead"),
    ("QUIT", "quit the session instead"),
    ("RCPT", "send a message instead"),
    ("RSET", "the session sends it when needed"),
    ("SAML", "send a message instead"),
    ("SEND", "send a message instead"),
    ("SOML", "send a message instead"),
    ("STARTTLS", "the TLS mode is part of the configuration"),
    ("TURN", "this client cannot act as a server"),
    ("XCLIENT", "it resets the session at the server"),
    ("XEXCH50", "data follows the command line"),
];

/// A command that is not part of sending a message, for
/// [`Client::command`](crate::Client::command).
///
/// One line of at most 512 octets including CRLF (RFC 5321 §4.5.3.1.4), without control
/// characters: it cannot be split in two. Cheap to create for each use.
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
    /// The extension that the server must offer; without it the command is not sent.
    required_extension: Option<&'static str>,
}

impl Command {
    /// `NOOP` (RFC 5321 §4.1.1.9): checks that the server still responds.
    pub fn noop() -> Self {
        Self {
            line: "NOOP".into(),
            required_extension: None,
        }
    }

    /// `HELP` (RFC 5321 §4.1.1.8) without a topic.
    pub fn help() -> Self {
        Self {
            line: "HELP".into(),
            required_extension: None,
        }
    }

    /// `HELP` with a topic, such as the name of a command.
    ///
    /// # Errors
    ///
    /// Returns an error if the topic is empty, too long or not printable ASCII.
    pub fn help_on(topic: impl AsRef<str>) -> Result<Self, CommandError> {
        Self::with_argument("HELP", topic.as_ref())
    }

    /// `VRFY` (RFC 5321 §4.1.1.6): asks whether a user or mailbox exists. The reply `252` means
    /// that the server does not tell. A mailbox that is not ASCII is sent only where the server
    /// offers SMTPUTF8 (RFC 6531 §3.7.4.2).
    ///
    /// # Errors
    ///
    /// Returns an error if the argument is empty or too long, or contains a control character.
    pub fn vrfy(mailbox: impl AsRef<str>) -> Result<Self, CommandError> {
        Self::international("VRFY", mailbox.as_ref())
    }

    /// `EXPN` (RFC 5321 §4.1.1.7): asks for the members of a mailing list. A list name that is
    /// not ASCII is sent only where the server offers SMTPUTF8.
    ///
    /// # Errors
    ///
    /// Returns an error if the argument is empty or too long, or contains a control character.
    pub fn expn(list: impl AsRef<str>) -> Result<Self, CommandError> {
        Self::international("EXPN", list.as_ref())
    }

    /// `ETRN` (RFC 1985): asks the server to deliver the messages that wait for a host, for a
    /// domain and all its subdomains (`@` and the domain), or in a queue (`#` and its name).
    /// Not sent where the server does not offer ETRN.
    ///
    /// # Errors
    ///
    /// Returns an error if the argument is empty, too long or not printable ASCII.
    pub fn etrn(node: impl AsRef<str>) -> Result<Self, CommandError> {
        let command = Self::with_argument("ETRN", node.as_ref())?;
        Ok(Self {
            required_extension: Some("ETRN"),
            ..command
        })
    }

    /// Any other command, exactly as it is written on the line. The server must answer it with
    /// a single reply, 2xx, 4xx or 5xx.
    ///
    /// # Errors
    ///
    /// Returns an error if the line has no verb, is too long or is not printable ASCII, or if
    /// only the session may send the verb because it changes the session's state.
    pub fn raw(line: impl AsRef<str>) -> Result<Self, CommandError> {
        let line = line.as_ref();
        let verb = line.split(' ').next().unwrap_or_default();
        if verb.is_empty() || !verb.bytes().all(|octet| octet.is_ascii_alphanumeric()) {
            return Err(CommandError::NoVerb);
        }
        let mut own = RESERVED_COMMANDS.iter();
        if let Some((verb, reason)) = own.find(|(own, _)| own.eq_ignore_ascii_case(verb)) {
            return Err(CommandError::Reserved { verb, reason });
        }
        check(line, false, MAX_LINE)?;
        Ok(Self {
            line: line.into(),
            required_extension: None,
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
            required_extension: None,
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
        // RFC 6531 §3.7.4.2: the parameter does not count.
        check(&line, true, MAX_LINE + SMTP_UTF8.len())?;
        Ok(Self {
            line: line.into(),
            required_extension: Some("SMTPUTF8"),
        })
    }

    /// The line, without its CRLF.
    pub fn as_str(&self) -> &str {
        &self.line
    }

    /// The name of the command, as given.
    pub fn verb(&self) -> &str {
        self.line.split(' ').next().unwrap_or_default()
    }

    /// The extension that the command needs.
    pub(crate) fn required_extension(&self) -> Option<&'static str> {
        self.required_extension
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

/// Positions count from the start of the line.
fn check(line: &str, utf8: bool, limit: usize) -> Result<(), CommandError> {
    let fits = |character: char| match character {
        ' '..='~' => true,
        _ => utf8 && !character.is_ascii() && is_safe_in_a_command(character),
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

/// Why a text is not a valid [`Command`].
#[non_exhaustive]
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// The line does not begin with the name of a command.
    NoVerb,
    /// The argument is missing.
    NoArgument,
    /// The line contains a control character, or a character beyond ASCII where only ASCII is
    /// allowed.
    InvalidCharacter {
        /// The position in the line, in octets.
        position: usize,
    },
    /// The line is longer than servers have to accept.
    TooLong {
        /// The octets of the line, including its CRLF.
        octets: usize,
        /// The highest number allowed.
        limit: usize,
    },
    /// Only the session itself sends this command.
    Reserved {
        /// The name of the command.
        verb: &'static str,
        /// Why the command is refused, or what to use instead.
        reason: &'static str,
    },
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoVerb => {
                f.write_str("a command must begin with a word of ASCII letters and digits")
            }
            Self::NoArgument => f.write_str("the command needs an argument"),
            Self::InvalidCharacter { position } => {
                write!(
                    f,
                    "the character at position {position} is not allowed in a command"
                )
            }
            Self::TooLong { octets, limit } => {
                write!(
                    f,
                    "the command has {octets} octets; at most {limit} are allowed"
                )
            }
            Self::Reserved { verb, reason } => {
                write!(f, "{verb} cannot be sent as a separate command: {reason}")
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
    fn each_constructor_gives_its_line() {
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
    fn invalid_commands_are_refused() {
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
                matches!(refused, Err(CommandError::Reserved { .. })),
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
        fn no_command_can_be_split_in_two(text in any::<String>()) {
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
