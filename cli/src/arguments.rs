//! The command line: its commands and options, and the messages for wrong ones.
//!
//! Values arrive here as text; the library's types check them later, so that no message of this
//! parser repeats a value that may contain a password.
#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "what stands beside an option is its help text, not a link"
)]

pub(crate) mod manual;
pub(crate) mod sendmail;
pub(crate) mod serve;
pub(crate) mod server_options;

use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand, ValueEnum};
use postwire_blocking::proto::{ChannelBindingPolicy, Pipelining};

use crate::arguments::manual::{CompletionsArguments, ManArguments};
use crate::arguments::sendmail::SendmailArguments;
use crate::arguments::serve::ServeArguments;
use crate::print::exit::Exit;
use crate::print::output::{is_written, print_error};
use crate::send::envelope::ParameterArguments;

/// Send mail over SMTP or LMTP, run a test server, inspect a server.
#[derive(Debug, Parser)]
#[command(name = "postwire", version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Send(Box<SendArguments>),
    Sendmail(Box<SendmailArguments>),
    Serve(Box<ServeArguments>),
    Probe(Box<ProbeArguments>),
    Demo(DemoArguments),
    Completions(CompletionsArguments),
    Man(ManArguments),
}

/// The options that tell how to reach a server, for `send` and `probe`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ServerArguments {
    /// Trust the certificates in this PEM file instead of the system's: of authorities, or of the
    /// server itself
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,

    /// Present this client certificate (a PEM file with its chain) to a server that asks for
    /// one; to log in with it, also give --auth EXTERNAL
    #[arg(long, value_name = "FILE")]
    pub(crate) client_cert: Option<PathBuf>,

    /// The private key of the certificate, if it is in another file
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    pub(crate) client_key: Option<PathBuf>,

    /// Log in as this user; overrides the user in the URL
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,

    /// Take the password from this environment variable; overrides the password in the URL
    #[arg(long, value_name = "VAR")]
    pub(crate) password_env: Option<String>,

    /// Log in with this mechanism only; give several in order of preference. With a password:
    /// SCRAM-SHA-512, SCRAM-SHA-256, SCRAM-SHA-1, each also with -PLUS, CRAM-MD5, PLAIN, LOGIN.
    /// With a token instead of the password: OAUTHBEARER, XOAUTH2. With neither: EXTERNAL,
    /// where --user is the identity to act for, and ANONYMOUS, where --user is a text that the
    /// server may log
    #[arg(long, value_name = "MECH")]
    pub(crate) auth: Vec<String>,

    /// Whether a SCRAM login must be bound to the TLS session (-PLUS), so that nobody in
    /// between can relay it; with `preferred`, the login is not bound if the server does not
    /// support it
    #[arg(
        long,
        value_name = "preferred|required",
        default_value = "preferred",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub(crate) channel_binding: ChannelBindingChoice,

    /// Try the next mechanism if the server refuses the credentials (535); each try counts as a
    /// failed login, and servers lock accounts
    #[arg(long)]
    pub(crate) try_next_mechanism: bool,

    /// Act for this user instead of the one who logs in, if the server allows it: with SCRAM,
    /// PLAIN, OAUTHBEARER and EXTERNAL
    #[arg(long, value_name = "USER")]
    pub(crate) acting_for: Option<String>,

    /// Use this name in EHLO: a domain or an address literal
    #[arg(long, value_name = "NAME")]
    pub(crate) hello: Option<String>,

    /// Connect over IPv4 only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub(crate) ipv4: bool,

    /// Connect over IPv6 only
    #[arg(short = '6', long)]
    pub(crate) ipv6: bool,

    /// Time limit for connecting and for each later stage: each stage, not the whole run
    /// [default: 30 seconds to connect, and 1 to 10 minutes for a later stage, as in RFC 5321; for
    /// `probe` 30 seconds]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<String>,

    /// Allow a password to be sent in plaintext; anyone on the network path can read it
    #[arg(long)]
    pub(crate) allow_plaintext_auth: bool,

    /// Use LMTP (RFC 2033), as with an lmtp:// or lmtp+unix:// URL
    #[arg(long)]
    pub(crate) lmtp: bool,

    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// Print the dialogue on standard error, with secrets redacted
    #[arg(long)]
    pub(crate) trace: bool,

    /// Print on standard error what happens below the dialogue: addresses, attempts, sessions
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

/// Send messages over one connection, or over more if one cannot take them all, and print the
/// result of each.
///
/// The exit status is 0 if everything was accepted; 64 for a wrong command line; 65 if a
/// message cannot be sent to any server; 66 if a message file cannot be read; 69 for a
/// permanent refusal; 75 for a temporary refusal, a lost connection or a message in doubt; 76
/// if the server broke the protocol; 77 if a login, STARTTLS or a certificate failed. For
/// several messages it is the first of 76, 77, 69, 65, 75, 0 that occurred.
#[derive(Args, Debug)]
pub(crate) struct SendArguments {
    // In `help`, since rustdoc reads the brackets as links.
    #[arg(
        long,
        value_name = "URL",
        help = "The server: smtp://, smtps:// or lmtp://[USER:PASSWORD@]HOST[:PORT][/HELLO-NAME] \
                [?tls=none|opportunistic|required]; smtp:// means that TLS is required. The port \
                is 465 for smtps://, 24 for lmtp://, and 587 for smtp://, or 25 with tls=none or \
                tls=opportunistic, unless it is given. Or a Unix socket: lmtp+unix:///PATH or \
                smtp+unix:///PATH, in plaintext"
    )]
    pub(crate) server: String,

    /// The sender's address, which failures are reported to; '' or '<>' for the null address
    #[arg(long, value_name = "ADDR")]
    pub(crate) from: String,

    /// A recipient's address; may be given several times
    #[arg(long, value_name = "ADDR", required = true)]
    pub(crate) to: Vec<String>,

    /// A file with a message including its headers (RFC 5322), or - for standard input; may be
    /// given several times. The message is sent unchanged except for line ends: Bcc fields, an
    /// mbox `From ` line and a byte order mark are not removed. A message that contains a NUL
    /// is binary: it is sent octet for octet, line ends too, to a server that offers BINARYMIME
    /// [default: standard input]
    #[arg(long, value_name = "FILE")]
    pub(crate) message: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) server_options: ServerArguments,

    /// How far to run ahead of replies if the server offers PIPELINING; `bold` is for servers
    /// that are known to support it
    #[arg(
        long,
        value_name = "off|careful|bold",
        default_value = "careful",
        hide_possible_values = true
    )]
    pub(crate) pipelining: PipeliningChoice,

    /// Use CHUNKING if the server offers it
    #[arg(long, value_name = "off|on", default_value = "on")]
    pub(crate) chunking: Switch,

    /// Remove the Bcc fields from the messages; by default they are sent
    #[arg(long)]
    pub(crate) strip_bcc: bool,

    /// Send 8-bit content unchanged to a server that does not offer 8BITMIME, as many test
    /// servers do not
    #[arg(long)]
    pub(crate) allow_8bit: bool,

    /// What happens to a lone CR or LF: it becomes CRLF (except in a message that contains a
    /// NUL, which is sent octet for octet), or the message is refused
    #[arg(long, value_name = "normalize|refuse", default_value = "normalize")]
    pub(crate) line_ends: LineEndsChoice,

    /// Refuse a message with a line longer than this (octets without CRLF) [default: no limit]
    #[arg(long, value_name = "N")]
    pub(crate) max_line: Option<String>,

    /// The runtime that moves the bytes: blocking sockets, async-std, smol or tokio; everything
    /// else is the same
    #[arg(
        long,
        value_name = "blocking|async-std|smol|tokio",
        default_value = "blocking"
    )]
    pub(crate) runtime: Runtime,

    // Last, since its heading covers everything that follows.
    #[command(flatten)]
    pub(crate) parameters: ParameterArguments,
}

/// Inspect a server: addresses, greeting, TLS and certificates, capabilities, AUTH, limits.
///
/// Sends no message. The first session does what `send` would do, and logs in if the URL or the
/// options contain credentials; it waits at most 30 seconds for a stage, or for --timeout. About eight
/// further sessions, which do not log in and take at most 10 seconds for a stage, show each address, what each TLS mode would do, the versions of TLS,
/// and the certificates, also where they are not accepted. The exit status is that of the first
/// session, the same as for `send`; 71 means that the file of --chain-out cannot be written.
#[derive(Args, Debug)]
pub(crate) struct ProbeArguments {
    /// The server URL, as for send; or HOST or HOST:PORT, which means TLS if it is offered, on
    /// port 25 unless it is given
    #[arg(value_name = "URL")]
    pub(crate) server: String,

    /// Write the certificates that the server presents to this PEM file, accepted or not: to trust
    /// them with --ca, after their fingerprints were compared in another way
    #[arg(long, value_name = "FILE")]
    pub(crate) chain_out: Option<PathBuf>,

    /// Also find out whether the server loses commands that are sent behind the end of DATA. This
    /// can only be seen if the server lets DATA begin although it refused the only recipient, who
    /// has an address in .invalid; no message is sent
    #[arg(long)]
    pub(crate) behind_data: bool,

    /// Also find out whether the server reads the octets of a BDAT that it refuses, instead of
    /// executing them as commands; they are a NOOP, and no message is sent
    #[arg(long)]
    pub(crate) refused_bdat: bool,

    #[command(flatten)]
    pub(crate) server_options: ServerArguments,
}

/// Send a real message over each TLS mode with each runtime to an embedded server, and compare.
///
/// Nothing leaves this machine. The exit status is 0 if each mode kept its promise, all
/// runtimes had the same dialogue, and all delivered messages are identical, octet for octet,
/// to the one sent; otherwise it is 70.
#[derive(Args, Debug)]
pub(crate) struct DemoArguments {
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// Print the dialogues on standard error, with secrets redacted
    #[arg(long)]
    pub(crate) trace: bool,

    /// How far to run ahead of replies
    #[arg(
        long,
        value_name = "off|careful|bold",
        default_value = "careful",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub(crate) pipelining: PipeliningChoice,

    /// Use CHUNKING: BDAT instead of DATA
    #[arg(
        long,
        value_name = "off|on",
        default_value = "on",
        hide_default_value = true
    )]
    pub(crate) chunking: Switch,
}

/// How far to run ahead of the server's replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PipeliningChoice {
    Off,
    #[value(alias = "on")]
    Careful,
    Bold,
}

impl From<PipeliningChoice> for Pipelining {
    fn from(ahead: PipeliningChoice) -> Self {
        match ahead {
            PipeliningChoice::Off => Self::Off,
            PipeliningChoice::Careful => Self::Careful,
            PipeliningChoice::Bold => Self::Bold,
        }
    }
}

/// Whether a login is bound to its TLS session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ChannelBindingChoice {
    #[default]
    Preferred,
    Required,
}

impl From<ChannelBindingChoice> for ChannelBindingPolicy {
    fn from(binding: ChannelBindingChoice) -> Self {
        match binding {
            ChannelBindingChoice::Preferred => Self::Preferred,
            ChannelBindingChoice::Required => Self::Required,
        }
    }
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

/// The runtime that moves the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Runtime {
    Blocking,
    AsyncStd,
    Smol,
    Tokio,
}

impl Runtime {
    /// The name of the runtime, as `--runtime` takes it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Blocking => "blocking",
            Self::AsyncStd => "async-std",
            Self::Smol => "smol",
            Self::Tokio => "tokio",
        }
    }
}

/// An error about a value that the library's types refused. Never contains the value.
#[derive(Debug)]
pub(crate) struct UsageError(String);

impl UsageError {
    /// Creates the error from the argument's name and the reason.
    pub(crate) fn new(argument: &str, why: impl std::fmt::Display) -> Self {
        Self(format!("{argument}: {why}"))
    }
}

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<UsageError> for Exit {
    fn from(error: UsageError) -> Self {
        print_error(error.0);
        Self::Usage
    }
}

/// Prints the help or the version.
fn print_help(error: &clap::Error) -> Exit {
    if is_written(error.print().and_then(|()| io::stdout().flush())) {
        Exit::Accepted
    } else {
        Exit::System
    }
}

/// Prints the parser's error; help and version are not errors.
///
/// The parser's own messages repeat the arguments, one of which may be a password, so this
/// function prints messages without them.
pub(crate) fn print_parse_error(error: &clap::Error) -> Exit {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            return print_help(error);
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
                    Some(suggestion) => format!("; did you mean {suggestion}?"),
                    None => String::new(),
                };
                let name = argument.split('=').next().unwrap_or_default();
                about(
                    Some(name.to_owned()),
                    &format!("there is no such option{suggestion}"),
                )
            }
            _ => "unexpected argument (not shown, as it may contain a secret)".to_owned(),
        },
        ErrorKind::InvalidSubcommand => {
            "there is no such command; the commands are send, sendmail, serve, probe, demo, \
             completions and man"
                .to_owned()
        }
        ErrorKind::MissingRequiredArgument => match argument {
            Some(missing) => format!("missing arguments: {missing}"),
            None => "missing arguments".to_owned(),
        },
        ErrorKind::ArgumentConflict => match shown(error, ContextKind::PriorArg) {
            Some(prior) if argument.as_ref() != Some(&prior) => {
                about(argument, &format!("cannot be given with {prior}"))
            }
            _ => about(argument, "cannot be given twice"),
        },
        ErrorKind::InvalidUtf8 => "an argument is not UTF-8".to_owned(),
        ErrorKind::TooManyValues => about(argument, "does not take this value"),
        _ => about(argument, "is not valid"),
    };
    print_error(format_args!("{sentence} (see --help)"));
    Exit::Usage
}

fn about(argument: Option<String>, what: &str) -> String {
    match argument {
        Some(argument) => format!("{argument}: {what}"),
        None => format!("an argument {what}"),
    }
}

/// The names in the parser's error, never the values.
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

    #[test]
    fn runtimes_are_called_what_the_option_takes() {
        for runtime in Runtime::value_variants() {
            let value = runtime.to_possible_value().unwrap();
            assert_eq!(value.get_name(), runtime.name());
        }
    }
}
