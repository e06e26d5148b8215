//! The command line: which commands and options there are, and how a wrong one
//! is refused.
//!
//! Values arrive here as text; the library's types judge them later, so that no
//! message of this parser repeats a value that may hold a password.

use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::exit::Exit;
use crate::output::complain;

/// Send mail over SMTP or LMTP, run a sink for tests, look at a server.
#[derive(Debug, Parser)]
#[command(name = "postwire", version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Send(SendArguments),
    Probe(ProbeArguments),
}

/// How to reach a server, for `send` and `probe`.
#[derive(Args, Debug)]
pub(crate) struct ServerArguments {
    /// Trust the certificate authorities in this PEM file instead of the system's
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,

    /// Log in as this user; wins over the URL's
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,

    /// Take the password from this environment variable; wins over the URL's
    #[arg(long, value_name = "VAR")]
    pub(crate) password_env: Option<String>,

    /// Log in by this mechanism only (PLAIN, LOGIN, XOAUTH2); give several in order of preference
    #[arg(long, value_name = "MECH")]
    pub(crate) auth: Vec<String>,

    /// Say this name at EHLO: a domain or an address literal
    #[arg(long, value_name = "NAME")]
    pub(crate) hello: Option<String>,

    /// Give connecting, and each stage after it, at most this long
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<String>,

    /// Let a password travel in plaintext; anyone on the way can read it
    #[arg(long)]
    pub(crate) allow_plaintext_auth: bool,

    /// Speak LMTP (RFC 2033), as an lmtp:// URL does
    #[arg(long)]
    pub(crate) lmtp: bool,

    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// Print the dialogue on standard error, secrets redacted
    #[arg(long)]
    pub(crate) trace: bool,
}

/// Send messages over one connection, and print what became of each.
///
/// The exit status is 0 if everything was accepted; 64 for a wrong command line; 65 if a message
/// cannot be sent to any server; 66 if a message file cannot be read; 69 for a refusal for good;
/// 75 for one that may pass, a lost connection or a doubt; 76 if the server broke the protocol;
/// 77 if a login, STARTTLS or a certificate failed. Over several messages the first of 76, 77,
/// 69, 65, 75, 0 that occurred.
#[derive(Args, Debug)]
pub(crate) struct SendArguments {
    /// The server: smtp://, smtps:// or lmtp://[USER:PASSWORD@]HOST[:PORT][/HELLO-NAME]
    /// [?tls=none|opportunistic|required]; smtp:// means that TLS is required
    #[arg(long, value_name = "URL")]
    pub(crate) server: String,

    /// The sender's address, where failures are reported to; '' or '<>' for nobody
    #[arg(long, value_name = "ADDR")]
    pub(crate) from: String,

    /// A recipient's address; may be given again
    #[arg(long, value_name = "ADDR", required = true)]
    pub(crate) to: Vec<String>,

    /// A message with its headers (RFC 5322), or - for standard input; may be given again
    #[arg(long, value_name = "FILE")]
    pub(crate) message: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) server_options: ServerArguments,

    /// Use PIPELINING where it is offered
    #[arg(
        long,
        value_name = "off|on",
        default_value = "on",
        hide_default_value = true
    )]
    pub(crate) pipelining: Switch,

    /// Use CHUNKING where it is offered
    #[arg(
        long,
        value_name = "off|on",
        default_value = "on",
        hide_default_value = true
    )]
    pub(crate) chunking: Switch,

    /// What becomes of a lone CR or LF: made a CRLF, or the message refused
    #[arg(
        long,
        value_name = "normalize|refuse",
        default_value = "normalize",
        hide_default_value = true
    )]
    pub(crate) line_ends: LineEndsChoice,

    /// Refuse a message with a longer line (octets without CRLF)
    #[arg(long, value_name = "N")]
    pub(crate) max_line: Option<String>,

    /// What moves the bytes
    #[arg(long, default_value = "blocking", hide_default_value = true)]
    pub(crate) runtime: Runtime,
}

/// Look at a server: greeting, TLS and certificate, capabilities, AUTH, limits.
///
/// Sends no message; logs in if the URL or the options hold credentials. The exit status is that
/// of `send`.
#[derive(Args, Debug)]
pub(crate) struct ProbeArguments {
    /// The server, as for send
    #[arg(value_name = "URL")]
    pub(crate) server: String,

    #[command(flatten)]
    pub(crate) server_options: ServerArguments,
}

/// An option that is on or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    Off,
    On,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LineEndsChoice {
    Normalize,
    Refuse,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Runtime {
    Blocking,
    AsyncStd,
    Smol,
}

/// A value that the library's types refused. Never holds the value.
#[derive(Debug)]
pub(crate) struct UsageError(String);

impl UsageError {
    /// Which argument, and what is wrong with it.
    pub(crate) fn new(argument: &str, why: impl std::fmt::Display) -> Self {
        Self(format!("{argument}: {why}"))
    }
}

impl From<UsageError> for Exit {
    fn from(error: UsageError) -> Self {
        complain(error.0);
        Self::Usage
    }
}

/// Says what the parser refused: help and version are no refusal.
///
/// Its own messages repeat the arguments, one of which may hold a password; so
/// they are said again here without.
pub(crate) fn refuse(error: &clap::Error) -> Exit {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A reader that has gone away has seen enough.
            let _ = error.print();
            return Exit::Accepted;
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            return Exit::Usage;
        }
        _ => {}
    }
    let argument = shown(error, ContextKind::InvalidArg);
    let sentence = match error.kind() {
        ErrorKind::InvalidValue => match shown(error, ContextKind::ValidValue) {
            Some(valid) => about(argument, &format!("must be one of {valid}")),
            None => about(argument, "needs a value"),
        },
        ErrorKind::UnknownArgument => match argument {
            Some(argument) if argument.starts_with('-') => {
                let suggestion = match shown(error, ContextKind::SuggestedArg) {
                    Some(suggestion) => format!("; is {suggestion} meant?"),
                    None => String::new(),
                };
                let name = argument.split('=').next().unwrap_or_default();
                about(
                    Some(name.to_owned()),
                    &format!("there is no such option{suggestion}"),
                )
            }
            _ => "there is an argument too many (not shown, as it may hold a secret)".to_owned(),
        },
        ErrorKind::InvalidSubcommand => {
            "there is no such command; the commands are send, serve, probe and demo".to_owned()
        }
        ErrorKind::MissingRequiredArgument => match argument {
            Some(missing) => format!("these arguments are missing: {missing}"),
            None => "arguments are missing".to_owned(),
        },
        ErrorKind::ArgumentConflict => match shown(error, ContextKind::PriorArg) {
            Some(prior) => about(argument, &format!("cannot be given with {prior}")),
            None => about(argument, "cannot be given twice"),
        },
        ErrorKind::InvalidUtf8 => "an argument is not UTF-8".to_owned(),
        ErrorKind::TooManyValues => about(argument, "takes no such value"),
        _ => about(argument, "is not understood"),
    };
    complain(format_args!("{sentence} (see --help)"));
    Exit::Usage
}

fn about(argument: Option<String>, what: &str) -> String {
    match argument {
        Some(argument) => format!("{argument}: {what}"),
        None => format!("an argument {what}"),
    }
}

/// What the parser says of names, never of values.
fn shown(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(name) => Some(name.clone()),
        ContextValue::Strings(names) if !names.is_empty() => Some(names.join(", ")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }
}
