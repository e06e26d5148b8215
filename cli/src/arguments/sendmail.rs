//! The options of `sendmail`: those that programs give to `/usr/sbin/sendmail`.

use std::path::PathBuf;

use clap::Parser;

/// The end of the help text.
const CONFIGURATION: &str = r#"The configuration is ~/.config/postwire/sendmail.toml or /etc/postwire/sendmail.toml:

    server = "smtps://mail.example.org"   # required
    user = "alice"                        # to log in
    password-file = "/etc/postwire/password"
    ca = "/etc/postwire/ca.pem"           # instead of the system's authorities
    domain = "example.org"                # of addresses without one
    from = "cron@example.org"             # the sender, unless -f names one
    hello = "client.example.org"          # the name at EHLO
    timeout = 60                          # seconds for the whole message
    allow-8bit = true                     # send 8-bit text to a server without 8BITMIME
    [aliases]
    root = "admin@example.org"            # or a list"#;

/// Send a message from standard input like `/usr/sbin/sendmail`, for cron, `git send-email`, PHP and
/// other programs.
///
/// A copy of this program, or a link to it, with the name `sendmail` does the same. There is no
/// queue: the message is sent before the program ends, and the exit status says whether it was
/// accepted (0), or why not, as for `postwire send`; 78 means that the configuration is missing or
/// wrong.
#[derive(Debug, Default, Parser)]
#[command(
    name = "sendmail",
    after_help = CONFIGURATION,
    disable_help_flag = true,
    max_term_width = 100
)]
pub(crate) struct SendmailArguments {
    /// Recipients, in addition to those of -t
    #[arg(value_name = "RECIPIENT")]
    pub(crate) recipients: Vec<String>,

    /// Send to the addresses in To, Cc and Bcc (or in their Resent- forms)
    #[arg(short = 't')]
    pub(crate) from_header: bool,

    /// The sender: the reverse-path, to which reports of failures go [default: `from` of the
    /// configuration, or $LOGNAME or $USER at its `domain`, or postmaster; never the From field]
    #[arg(short = 'f', value_name = "ADDRESS", visible_short_alias = 'r')]
    pub(crate) sender: Option<String>,

    /// The name of the sender, for a From field that is missing
    #[arg(short = 'F', value_name = "NAME")]
    pub(crate) full_name: Option<String>,

    /// Do not end the message at a line with only a dot (also -oi)
    #[arg(short = 'i')]
    pub(crate) ignore_dots: bool,

    /// -oi; any other option of this form has no effect
    #[arg(short = 'o', value_name = "OPTION", allow_hyphen_values = true)]
    pub(crate) options: Vec<String>,

    /// -bm sends a message (as without it), -bp prints the queue, which is always empty; -bs is not
    /// supported
    #[arg(short = 'b', value_name = "MODE")]
    pub(crate) mode: Option<String>,

    /// The reports that the sender wants (DSN): never, or a list of success, failure and delay
    #[arg(short = 'N', value_name = "LIST")]
    pub(crate) notify: Option<String>,

    /// How much of the message a report returns (DSN): full or hdrs
    #[arg(short = 'R', value_name = "AMOUNT")]
    pub(crate) dsn_return: Option<String>,

    /// The identifier of the message in reports (DSN)
    #[arg(short = 'V', value_name = "ID")]
    pub(crate) envelope_id: Option<String>,

    /// Read this configuration
    #[arg(short = 'C', long = "config", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Print on standard error what happens
    #[arg(short = 'v', long)]
    pub(crate) verbose: bool,

    // Options of other implementations that mean nothing here.
    #[arg(short = 'B', value_name = "TYPE", hide = true)]
    body: Option<String>,
    #[arg(short = 'e', value_name = "MODE", hide = true)]
    errors: Option<String>,
    #[arg(short = 'h', value_name = "HOPS", hide = true)]
    hops: Option<String>,
    #[arg(short = 'L', value_name = "TAG", hide = true)]
    label: Option<String>,
    #[arg(short = 'O', value_name = "OPTION=VALUE", hide = true)]
    long_options: Vec<String>,
    #[arg(short = 'X', value_name = "FILE", hide = true)]
    log: Option<PathBuf>,
    #[arg(short = 'q', num_args = 0..=1, default_missing_value = "", require_equals = true, hide = true)]
    pub(crate) queue: Option<String>,
    #[arg(short = 'n', hide = true)]
    no_aliases: bool,
    #[arg(short = 'm', hide = true)]
    me_too: bool,
    #[arg(short = 'G', hide = true)]
    gateway: bool,
    #[arg(short = 'U', hide = true)]
    submission: bool,

    /// Print this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

impl SendmailArguments {
    /// Whether a line with only a dot is content, not the end of the message.
    pub(crate) fn keeps_dots(&self) -> bool {
        self.ignore_dots || self.options.iter().any(|option| option == "i")
    }
}
