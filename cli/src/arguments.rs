//! The command line: which commands and options there are, and how a wrong one
//! is refused.
//!
//! Values arrive here as text; the library's types judge them later, so that no
//! message of this parser repeats a value that may hold a password.
#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "what stands beside an option is its help text, not a link"
)]

pub(crate) mod server_options;

use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand, ValueEnum};
use postwire_blocking::proto::{ChannelBindingPolicy, Pipelining};

use crate::print::exit::Exit;
use crate::print::output::complain;
use crate::send::envelope::ParameterArguments;

/// Send mail over SMTP or LMTP, run a sink for tests, look at a server.
#[derive(Debug, Parser)]
#[command(name = "postwire", version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Send(Box<SendArguments>),
    Serve(ServeArguments),
    Probe(ProbeArguments),
    Demo(DemoArguments),
}

/// How to reach a server, for `send` and `probe`.
#[derive(Args, Debug)]
pub(crate) struct ServerArguments {
    /// Trust the certificate authorities in this PEM file instead of the system's
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,

    /// Show this certificate (a PEM file, with what signed it) to a server that asks for one; to log
    /// in by it takes --auth EXTERNAL as well
    #[arg(long, value_name = "FILE")]
    pub(crate) client_cert: Option<PathBuf>,

    /// The certificate's private key, if it is not in the same file
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    pub(crate) client_key: Option<PathBuf>,

    /// Log in as this user; wins over the URL's
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,

    /// Take the password from this environment variable; wins over the URL's
    #[arg(long, value_name = "VAR")]
    pub(crate) password_env: Option<String>,

    /// Log in by this mechanism only; give several in order of preference. By a password:
    /// SCRAM-SHA-512, SCRAM-SHA-256, SCRAM-SHA-1, each also with -PLUS, CRAM-MD5, PLAIN, LOGIN. By
    /// a token in the password's place: OAUTHBEARER, XOAUTH2. By neither: EXTERNAL, ANONYMOUS,
    /// where --user says whom to act for, or what may be logged
    #[arg(long, value_name = "MECH")]
    pub(crate) auth: Vec<String>,

    /// Whether a login by SCRAM has to be bound to the TLS session (its -PLUS forms), so that
    /// nobody in between can pass it on; `preferred` logs in without where a server does not do it
    #[arg(
        long,
        value_name = "preferred|required",
        default_value = "preferred",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub(crate) channel_binding: Binding,

    /// Try the next mechanism where the server refuses the credentials (535); each try counts as a
    /// failed login, and accounts get locked
    #[arg(long)]
    pub(crate) try_next_mechanism: bool,

    /// Act for this user instead of the one who logs in, if the server lets him: by SCRAM, PLAIN,
    /// OAUTHBEARER and EXTERNAL
    #[arg(long, value_name = "USER")]
    pub(crate) acting_for: Option<String>,

    /// Say this name at EHLO: a domain or an address literal
    #[arg(long, value_name = "NAME")]
    pub(crate) hello: Option<String>,

    /// Connect by IPv4 only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub(crate) ipv4: bool,

    /// Connect by IPv6 only
    #[arg(short = '6', long)]
    pub(crate) ipv6: bool,

    /// Give connecting, and each stage after it, at most this long: each stage, not the whole run
    /// [default: 1 to 10 minutes, as RFC 5321 has it for the stage]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<String>,

    /// Let a password travel in plaintext; anyone on the way can read it
    #[arg(long)]
    pub(crate) allow_plaintext_auth: bool,

    /// Speak LMTP (RFC 2033), as to an lmtp:// or lmtp+unix:// URL
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
    // As `help`: rustdoc would take the brackets for links.
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

    /// The sender's address, where failures are reported to; '' or '<>' for nobody
    #[arg(long, value_name = "ADDR")]
    pub(crate) from: String,

    /// A recipient's address; may be given again
    #[arg(long, value_name = "ADDR", required = true)]
    pub(crate) to: Vec<String>,

    /// A message with its headers (RFC 5322), or - for standard input; may be given again. It goes
    /// out as it is, line ends apart: with its Bcc fields, an mbox `From ` line, a byte order mark
    /// [default: standard input]
    #[arg(long, value_name = "FILE")]
    pub(crate) message: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) server_options: ServerArguments,

    /// How far to run ahead of replies where PIPELINING is offered; `bold` is for servers
    /// that are known to bear it
    #[arg(
        long,
        value_name = "off|careful|bold",
        default_value = "careful",
        hide_possible_values = true
    )]
    pub(crate) pipelining: Ahead,

    /// Use CHUNKING where it is offered
    #[arg(long, value_name = "off|on", default_value = "on")]
    pub(crate) chunking: Switch,

    /// Leave the Bcc fields out of the messages; without it they go out as they are
    #[arg(long)]
    pub(crate) strip_bcc: bool,

    /// Send 8-bit content as it is to a server that does not offer 8BITMIME, as test servers often
    /// do not
    #[arg(long)]
    pub(crate) allow_8bit: bool,

    /// What becomes of a lone CR or LF: made a CRLF, or the message refused
    #[arg(long, value_name = "normalize|refuse", default_value = "normalize")]
    pub(crate) line_ends: LineEndsChoice,

    /// Refuse a message with a longer line (octets without CRLF) [default: no limit]
    #[arg(long, value_name = "N")]
    pub(crate) max_line: Option<String>,

    /// What moves the bytes: blocking sockets, async-std or smol; all else is the same
    #[arg(
        long,
        value_name = "blocking|async-std|smol",
        default_value = "blocking"
    )]
    pub(crate) runtime: Runtime,

    // Last: its heading stands over all that follows.
    #[command(flatten)]
    pub(crate) parameters: ParameterArguments,
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

/// Take mail and store or discard it: a server for tests.
///
/// The first line on standard output is `listening on ADDRESS:PORT`, or the path of the socket;
/// then there is one for each message, which also tells its parameters. Ctrl-C ends it, with exit
/// status 0; it is 71 if the address, the socket or the Maildir cannot be used.
#[derive(Args, Debug)]
pub(crate) struct ServeArguments {
    /// Where to listen; port 0 lets the system choose
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:2525")]
    pub(crate) listen: String,

    /// Listen on a Unix socket of this path instead, in plaintext. One that is left over, and that
    /// nobody listens on, is taken away; whatever else is there stays. It goes at the end
    #[cfg(unix)]
    #[arg(long, value_name = "PATH", conflicts_with_all = ["listen", "tls"])]
    pub(crate) unix: Option<PathBuf>,

    /// Plaintext only, STARTTLS offered, or TLS from the first byte
    #[arg(long, value_name = "none|starttls|wrapper", default_value = "none")]
    pub(crate) tls: ServeTls,

    /// The certificate chain to show; without it one is made for localhost and --hostname
    #[arg(long, value_name = "PEM")]
    pub(crate) cert: Option<PathBuf>,

    /// The certificate's private key
    #[arg(long, value_name = "PEM")]
    pub(crate) key: Option<PathBuf>,

    /// Write the authority of the certificate that was made to this file, for send --ca
    #[arg(long, value_name = "FILE", conflicts_with = "cert")]
    pub(crate) ca_out: Option<PathBuf>,

    /// Demand of every client a certificate that an authority in this PEM file signed, and offer
    /// EXTERNAL to log in by it, which needs no --auth
    #[arg(long, value_name = "FILE")]
    pub(crate) client_ca: Option<PathBuf>,

    /// The server's name
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    pub(crate) hostname: String,

    /// Demand a login of this user, whose password the variable holds; may be given again
    #[arg(long, value_name = "USER[:VAR]")]
    pub(crate) auth: Vec<String>,

    /// The variable that holds the password of a user who is given without one
    #[arg(long, value_name = "VAR", requires = "auth")]
    pub(crate) password_env: Option<String>,

    /// Take mail without a login as well
    #[arg(long, requires = "auth")]
    pub(crate) optional_auth: bool,

    /// Offer the login in plaintext as well
    #[arg(long, requires = "auth")]
    pub(crate) plaintext_auth: bool,

    /// Take nothing before STARTTLS
    #[arg(long)]
    pub(crate) require_tls: bool,

    /// Store the messages in this Maildir, octet for octet; without it they are discarded
    #[arg(long, value_name = "DIR")]
    pub(crate) maildir: Option<PathBuf>,

    /// Speak LMTP
    #[arg(long)]
    pub(crate) lmtp: bool,

    /// Take no message of more octets, and say so (RFC 1870)
    #[arg(long, value_name = "OCTETS")]
    pub(crate) size: Option<u64>,

    /// Take no more recipients for one message
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub(crate) max_recipients: usize,

    /// Serve no more connections at a time
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) max_connections: usize,

    /// Refuse this recipient, as in bob@example.org=550 or 'bob@example.org=450 4.2.2 full'
    #[arg(long, value_name = "ADDR=REPLY")]
    pub(crate) reject: Vec<String>,

    /// Offer this extension as well: MT-PRIORITY, REQUIRETLS (under TLS), DELIVERBY=SHORTEST and
    /// FUTURERELEASE=LONGEST (in seconds), LIMITS, or any other by its keyword; may be given again.
    /// What clients ask for is shown; nothing is held, hurried or returned
    #[arg(long, value_name = "EXTENSION[=SECONDS]")]
    pub(crate) offer: Vec<String>,

    /// Do not offer PIPELINING
    #[arg(long)]
    pub(crate) no_pipelining: bool,

    /// Do not offer CHUNKING
    #[arg(long)]
    pub(crate) no_chunking: bool,

    /// Do not offer 8BITMIME
    #[arg(long)]
    pub(crate) no_8bitmime: bool,

    /// Do not offer BINARYMIME
    #[arg(long)]
    pub(crate) no_binarymime: bool,

    /// Do not offer SMTPUTF8
    #[arg(long)]
    pub(crate) no_smtputf8: bool,

    /// Do not offer DSN
    #[arg(long)]
    pub(crate) no_dsn: bool,

    /// Do not offer ENHANCEDSTATUSCODES
    #[arg(long)]
    pub(crate) no_enhancedstatuscodes: bool,
}

/// Send a real message over each TLS mode by each runtime to a server of its own, and compare.
///
/// Nothing leaves this machine. The exit status is 0 if each mode kept its promise, all runtimes
/// said and heard the same, and all delivered messages are, octet for octet, the one sent; 70
/// otherwise.
#[derive(Args, Debug)]
pub(crate) struct DemoArguments {
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// Print the dialogues on standard error, secrets redacted
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
    pub(crate) pipelining: Ahead,

    /// Use CHUNKING: BDAT instead of DATA
    #[arg(
        long,
        value_name = "off|on",
        default_value = "on",
        hide_default_value = true
    )]
    pub(crate) chunking: Switch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ServeTls {
    None,
    Starttls,
    Wrapper,
}

/// How far to run ahead of the server's replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ahead {
    Off,
    #[value(alias = "on")]
    Careful,
    Bold,
}

impl From<Ahead> for Pipelining {
    fn from(ahead: Ahead) -> Self {
        match ahead {
            Ahead::Off => Self::Off,
            Ahead::Careful => Self::Careful,
            Ahead::Bold => Self::Bold,
        }
    }
}

/// Whether a login is bound to its TLS session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Binding {
    Preferred,
    Required,
}

impl From<Binding> for ChannelBindingPolicy {
    fn from(binding: Binding) -> Self {
        match binding {
            Binding::Preferred => Self::Preferred,
            Binding::Required => Self::Required,
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

/// What moves the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Runtime {
    Blocking,
    AsyncStd,
    Smol,
}

impl Runtime {
    /// The name that `--runtime` takes.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Blocking => "blocking",
            Self::AsyncStd => "async-std",
            Self::Smol => "smol",
        }
    }
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
            Some(prior) if argument.as_ref() != Some(&prior) => {
                about(argument, &format!("cannot be given with {prior}"))
            }
            _ => about(argument, "cannot be given twice"),
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

    #[test]
    fn runtimes_are_called_what_the_option_takes() {
        for runtime in Runtime::value_variants() {
            let value = runtime.to_possible_value().unwrap();
            assert_eq!(value.get_name(), runtime.name());
        }
    }
}
