//! The command line of `serve`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Run a test server that accepts mail, shows it on a web page, and stores or discards it.
///
/// The first line on standard output is `listening on ADDRESS:PORT`, or the path of the socket;
/// with --web the second is `web page on http://ADDRESS:PORT/`. Then there is one line for each message, including its parameters. Each failure is a line on standard error: a refused
/// command, login or message, a failed handshake, a client that is idle, closes early or does
/// not speak SMTP. Ctrl-C or SIGTERM says 421 to the open sessions and ends the server with exit
/// status 0; the exit status is 71 if an address, the socket, the Maildir or a file cannot be
/// used.
#[derive(Args, Debug)]
pub(crate) struct ServeArguments {
    /// The address to listen on; with port 0 the system chooses a port
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:2525")]
    pub(crate) listen: String,

    /// Listen on a Unix socket with this path instead, in plaintext. A socket that is left over
    /// and that nobody listens on is removed; anything else at the path is kept. The socket is
    /// removed at the end
    #[cfg(unix)]
    #[arg(long, value_name = "PATH", conflicts_with_all = ["listen", "tls"])]
    pub(crate) unix: Option<PathBuf>,

    /// Write the addresses to this file as JSON, once the server listens, for programs that
    /// start it with port 0; only this user can read the file, and it is removed at the end
    #[arg(long, value_name = "FILE")]
    pub(crate) port_file: Option<PathBuf>,

    /// TLS: none, STARTTLS offered, or TLS from the first byte
    #[arg(long, value_name = "none|starttls|wrapper", default_value = "none")]
    pub(crate) tls: ServeTls,

    /// The certificate chain of the server; by default one is generated for localhost and
    /// --hostname
    #[arg(long, value_name = "PEM")]
    pub(crate) cert: Option<PathBuf>,

    /// The private key of the certificate
    #[arg(long, value_name = "PEM")]
    pub(crate) key: Option<PathBuf>,

    /// Write the authority of the generated certificate to this file, for send --ca, once the
    /// server listens
    #[arg(long, value_name = "FILE", conflicts_with = "cert")]
    pub(crate) ca_out: Option<PathBuf>,

    /// Require a client certificate that an authority in this PEM file signed, and offer
    /// EXTERNAL to log in with it, which needs no --auth
    #[arg(long, value_name = "FILE")]
    pub(crate) client_ca: Option<PathBuf>,

    /// The name of the server
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    pub(crate) hostname: String,

    /// Require a login as this user, whose password is in the variable; may be given several
    /// times
    #[arg(long, value_name = "USER[:VAR]")]
    pub(crate) auth: Vec<String>,

    /// The variable with the password of a user who is given without a variable
    #[arg(long, value_name = "VAR", requires = "auth")]
    pub(crate) password_env: Option<String>,

    /// Offer this mechanism only; may be given several times [default: every mechanism that the
    /// users, or --client-ca, make possible]
    #[arg(long, value_name = "MECH")]
    pub(crate) mechanism: Vec<String>,

    /// Accept mail without a login too
    #[arg(long, requires = "auth")]
    pub(crate) optional_auth: bool,

    /// Offer the login in plaintext too
    #[arg(long, requires = "auth")]
    pub(crate) plaintext_auth: bool,

    /// Accept no mail and no login before STARTTLS
    #[arg(long)]
    pub(crate) require_tls: bool,

    /// Store the messages in this Maildir, octet for octet, so that only this user can read
    /// them; by default they are discarded
    #[arg(long, value_name = "DIR")]
    pub(crate) maildir: Option<PathBuf>,

    /// Use LMTP; recipients need no domain
    #[arg(long)]
    pub(crate) lmtp: bool,

    /// Accept addresses without a domain, as LMTP always does; they get --hostname as domain
    #[arg(long, conflicts_with = "lmtp")]
    pub(crate) bare_local_parts: bool,

    /// Accept no message larger than this many octets, and announce the limit (RFC 1870); 0 for none
    #[arg(long, value_name = "OCTETS")]
    pub(crate) size: Option<u64>,

    /// Accept at most this many recipients per message
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub(crate) max_recipients: usize,

    /// Accept at most this many connections at a time
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub(crate) max_connections: usize,

    /// End a session in which the client does nothing for this time [default: 300]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) idle_timeout: Option<String>,

    /// Refuse this recipient, as in bob@example.org=550 or 'bob@example.org=450 4.2.2 full'. The
    /// domain is compared without case, and in A-labels
    #[arg(long, value_name = "ADDR=REPLY")]
    pub(crate) reject: Vec<String>,

    /// Answer this stage with a refusal, as in data:452 or 'mail:451 4.7.1 greylisted', or hang
    /// up, as in content:close. The stages are greeting, hello, auth, mail, rcpt, data (the
    /// command DATA; with BDAT the end of the content) and content (its end); may be given
    /// several times
    #[arg(long, value_name = "STAGE:REPLY|close")]
    pub(crate) fault: Vec<String>,

    /// Wait before answering this stage, or every stage; may be given several times
    #[arg(long, value_name = "[STAGE:]SECONDS")]
    pub(crate) delay: Vec<String>,

    /// Offer this extension too: MT-PRIORITY, REQUIRETLS (under TLS), DELIVERBY=SHORTEST and
    /// FUTURERELEASE=LONGEST (in seconds), LIMITS, or any other by its keyword; may be given
    /// several times. Requests of clients are shown, but the server does not act on them
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

    /// Print the dialogue of each session on standard error, with secrets redacted
    #[arg(long)]
    pub(crate) trace: bool,

    /// Show the messages on a web page at this address, such as 127.0.0.1:8025, and offer them as
    /// JSON in the form of Mailpit's API. There is no login: whoever reaches the address reads
    /// and deletes the messages. Messages are kept in memory, and the oldest are dropped first
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) web: Option<String>,

    /// Answer requests for this host name too; otherwise only those for an IP address or for
    /// localhost are answered, so that the page of another site cannot read mail by having its
    /// own name resolve to this machine
    #[arg(long, value_name = "NAME", requires = "web")]
    pub(crate) web_name: Vec<String>,

    /// Keep at most this many messages for the web page
    #[arg(long, value_name = "N", default_value_t = 1_000, requires = "web")]
    pub(crate) web_messages: usize,

    /// Keep at most this many octets of messages for the web page
    #[arg(
        long,
        value_name = "OCTETS",
        default_value_t = 128 * 1024 * 1024,
        requires = "web"
    )]
    pub(crate) web_octets: usize,
}

/// When `serve` uses TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ServeTls {
    None,
    Starttls,
    Wrapper,
}
