//! What a client session is told beforehand: built once, immutable, shared by
//! `Arc` among all connections to one server.
//!
//! Knows no host to connect to and no certificate: those are the adapter's and
//! the TLS layer's. Defaults are the safe ones.

mod limits;
mod timeouts;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

pub use self::limits::Limits;
pub use self::timeouts::Timeouts;
use crate::{
    BodySource, Credentials, Envelope, Error, ErrorKind, HelloName, LineEnds, Mechanism, Report,
    Stage, Unsendable,
};

/// Which of the two protocols is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// SMTP (RFC 5321): one final reply a message.
    #[default]
    Smtp,
    /// LMTP (RFC 2033): `LHLO`, and a final reply for each accepted recipient.
    Lmtp,
}

/// When TLS is used: the four modes, without the parameters of the TLS session.
///
/// The core keeps their promises; `postwire_tls::Tls` pairs each with what TLS
/// itself needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Security {
    /// Plaintext only. For a trusted local relay.
    None,
    /// STARTTLS if the server offers it, plaintext otherwise.
    ///
    /// Anyone between client and server can strip the offer: use
    /// [`Required`](Self::Required) wherever the server is known to have TLS.
    /// Passwords still stay out of plaintext.
    Opportunistic,
    /// STARTTLS, or the attempt fails. Before TLS nothing but `EHLO`,
    /// `STARTTLS` and `QUIT` is written.
    Required,
    /// TLS from the first byte (RFC 8314 "implicit TLS"). Fewest round trips.
    Wrapper,
}

/// How far the client runs ahead of the server's replies (RFC 2920, RFC 3030).
///
/// Matters only where the server offers PIPELINING; without it one command is
/// outstanding at a time, as with [`Off`](Self::Off). RFC 2920 allows more than many
/// servers bear: of sixteen in use, five lose or refuse what follows the end of a
/// message's content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Pipelining {
    /// One command at a time.
    Off,
    /// `MAIL`, every `RCPT` and `DATA` in one flight; nothing behind the content of `DATA`
    /// until it is answered, `QUIT` included. By `BDAT`, content goes out once every
    /// `RCPT` of its own transaction was answered and one of them was accepted; in its
    /// flight follow `RSET` and the next `MAIL` and `RCPT`. The default.
    ///
    /// Two round trips a message by `DATA`, one by `BDAT`.
    #[default]
    Careful,
    /// As far as the standards allow: the next envelope behind the content of `DATA`, and
    /// by `BDAT` whole messages in one flight, up to [`Limits::speculation`] octets of
    /// content whose recipients are not known to be accepted.
    ///
    /// For a relay that is known to read on, such as a Postfix or Exim of one's own. A
    /// server that refuses `BDAT` *without reading its octets* takes the content for
    /// commands: whoever writes the content writes commands. Should the connection break,
    /// every message whose content is under way is in doubt.
    ///
    /// One round trip a message by `DATA`, a constant number for all by `BDAT`.
    Bold,
}

impl Pipelining {
    /// The setting in one lower-case word: `off`, `careful` or `bold`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Careful => "careful",
            Self::Bold => "bold",
        }
    }
}

impl fmt::Display for Pipelining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a login is bound to its TLS session (RFC 5056), so that nobody between the
/// two ends can pass it on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChannelBindingPolicy {
    /// Bound where the server offers it. A server that offers it and turns out to know
    /// another way of binding is logged in to without.
    #[default]
    Preferred,
    /// Bound, or not at all.
    Required,
}

/// Everything a [`Client`](crate::Client) is told before it starts.
///
/// ```
/// use postwire_proto::{ClientConfig, Credentials, HelloName, Security};
///
/// let config = ClientConfig::new(HelloName::localhost(), Security::Required)
///     .credentials(Credentials::new("alice", "correct horse"));
/// assert!(!format!("{config:?}").contains("horse"));
/// ```
#[derive(Clone, Debug)]
pub struct ClientConfig {
    pub(crate) hello_name: Option<HelloName>,
    pub(crate) protocol: Protocol,
    pub(crate) security: Security,
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) late_credentials: bool,
    pub(crate) mechanisms: Option<Vec<Mechanism>>,
    pub(crate) allow_plaintext_auth: bool,
    pub(crate) channel_binding: ChannelBindingPolicy,
    pub(crate) try_next_mechanism: bool,
    pub(crate) pipelining: Pipelining,
    pub(crate) chunking: bool,
    pub(crate) line_ends: LineEnds,
    pub(crate) max_line_length: Option<u64>,
    pub(crate) eight_bit_anyway: bool,
    pub(crate) timeouts: Timeouts,
    pub(crate) limits: Limits,
    pub(crate) trace: bool,
}

impl ClientConfig {
    /// The defaults, for a client that greets as `hello_name`.
    pub fn new(hello_name: HelloName, security: Security) -> Self {
        Self {
            hello_name: Some(hello_name),
            protocol: Protocol::Smtp,
            security,
            host: String::new(),
            port: None,
            credentials: None,
            late_credentials: false,
            mechanisms: None,
            allow_plaintext_auth: false,
            channel_binding: ChannelBindingPolicy::Preferred,
            try_next_mechanism: false,
            pipelining: Pipelining::default(),
            chunking: true,
            line_ends: LineEnds::Normalize,
            max_line_length: None,
            eight_bit_anyway: false,
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            trace: false,
        }
    }

    /// The defaults, for a client without a name: it greets with the address of its end of
    /// the connection, as a literal (RFC 5321 §4.1.4), where the driver says which that is
    /// ([`Client::set_local_address`](crate::Client::set_local_address)), and else with
    /// `[127.0.0.1]`.
    pub fn unnamed(security: Security) -> Self {
        Self {
            hello_name: None,
            ..Self::new(HelloName::localhost(), security)
        }
    }

    /// The name given to `EHLO` (RFC 5321 §4.1.1.1).
    #[must_use]
    pub fn hello_name(mut self, hello_name: HelloName) -> Self {
        self.hello_name = Some(hello_name);
        self
    }

    /// SMTP (default) or LMTP.
    #[must_use]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// The server's name, for the SASL mechanisms that want one. Empty by default.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = host.into();
        self
    }

    /// The port that the server listens on, for the SASL mechanisms that want it. None by default.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Authenticate with these. Given, and no usable mechanism offered: nothing
    /// is sent.
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Ask for credentials when they are needed, and once more when they were refused:
    /// [`Event::CredentialsWanted`](crate::Event::CredentialsWanted). Off by default.
    ///
    /// For tokens, which expire. They are waited for as long as [`Timeouts::auth`]. Together with [`credentials`](Self::credentials) only the
    /// renewal is asked for.
    #[must_use]
    pub fn late_credentials(mut self, on: bool) -> Self {
        self.late_credentials = on;
        self
    }

    /// The mechanisms that may be used, the preferred one first.
    /// [`Mechanism::preference_for`] the credentials by default.
    #[must_use]
    pub fn mechanisms(mut self, mechanisms: Vec<Mechanism>) -> Self {
        self.mechanisms = Some(mechanisms);
        self
    }

    /// Let passwords and tokens travel in plaintext. Off by default; anyone on
    /// the way can read them.
    #[must_use]
    pub fn allow_plaintext_auth(mut self, allow: bool) -> Self {
        self.allow_plaintext_auth = allow;
        self
    }

    /// Whether the login must be bound to the TLS session (SCRAM's `-PLUS` forms).
    /// [`ChannelBindingPolicy::Preferred`] by default.
    #[must_use]
    pub fn channel_binding(mut self, policy: ChannelBindingPolicy) -> Self {
        self.channel_binding = policy;
        self
    }

    /// Try the next mechanism when the server refused the credentials (535). Off by
    /// default: each try counts as a failed login, and accounts get locked.
    ///
    /// For servers that offer mechanisms which are not set up. The next mechanism may
    /// reveal the password, within the bounds of
    /// [`allow_plaintext_auth`](Self::allow_plaintext_auth).
    #[must_use]
    pub fn try_next_mechanism(mut self, on: bool) -> Self {
        self.try_next_mechanism = on;
        self
    }

    /// How far to run ahead of the replies where PIPELINING (RFC 2920) is offered.
    /// [`Pipelining::Careful`] by default.
    #[must_use]
    pub fn pipelining(mut self, pipelining: Pipelining) -> Self {
        self.pipelining = pipelining;
        self
    }

    /// Use CHUNKING (RFC 3030) where it is offered. On by default.
    ///
    /// Unless [`Pipelining::Bold`] is set, a session's first `BDAT` is an empty one in the
    /// flight of `MAIL` and `RCPT`. A server that refuses it has read nothing that it could
    /// take for commands; the message then goes by `DATA`.
    #[must_use]
    pub fn chunking(mut self, on: bool) -> Self {
        self.chunking = on;
        self
    }

    /// What becomes of a lone CR or LF in a message.
    #[must_use]
    pub fn line_ends(mut self, line_ends: LineEnds) -> Self {
        self.line_ends = line_ends;
        self
    }

    /// Refuse a message with a longer line (octets, without its CRLF). None by
    /// default; RFC 5321 §4.5.3.1.6 guarantees 998.
    #[must_use]
    pub fn max_line_length(mut self, octets: Option<u64>) -> Self {
        self.max_line_length = octets;
        self
    }

    /// Send 8-bit content as it is to a server that does not offer 8BITMIME (RFC 6152),
    /// instead of not at all. Off by default: such a server may refuse or mutilate it.
    ///
    /// For test servers, which often take it and do not say so.
    #[must_use]
    pub fn eight_bit_anyway(mut self, on: bool) -> Self {
        self.eight_bit_anyway = on;
        self
    }

    /// How long each stage may take.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Bounds on what the server may make the client keep.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Report the dialogue as [`Event::Trace`](crate::Event::Trace), secrets
    /// redacted. Off by default.
    #[must_use]
    pub fn trace(mut self, on: bool) -> Self {
        self.trace = on;
        self
    }

    /// The TLS mode, after the fact.
    #[must_use]
    pub fn security_mode(mut self, security: Security) -> Self {
        self.security = security;
        self
    }

    /// The TLS mode.
    pub fn security(&self) -> Security {
        self.security
    }

    /// SMTP or LMTP, after the fact.
    pub fn spoken_protocol(&self) -> Protocol {
        self.protocol
    }

    /// The stage timeouts, for an adapter's own waits (connecting).
    pub fn stage_timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// The report on a message that could not be sent to any server: for adapters,
    /// which then need not connect. See [`check`](Self::check).
    pub fn refuse(&self, envelope: &Envelope, body: &BodySource) -> Option<Report> {
        let why = self.check(envelope, body).err()?;
        let error = Error::new(Stage::Mail, ErrorKind::Unsendable(why));
        Some(Report::not_sent(envelope, error))
    }

    /// Whether this message could be sent to *some* server under this
    /// configuration: what [`Client::enqueue`](crate::Client::enqueue) would refuse
    /// at once is told here before any connection is made.
    pub fn check(&self, _envelope: &Envelope, body: &BodySource) -> Result<(), Unsendable> {
        if self.line_ends == LineEnds::Refuse
            && let Some(facts) = body.known_facts()
            && !facts.is_canonical()
        {
            return Err(Unsendable::LoneLineEnd {
                carriage_returns: facts.lone_cr + facts.surplus_cr,
                line_feeds: facts.lone_lf,
            });
        }
        if let Some(limit) = self.max_line_length
            && let Some(octets) = body.longest_line()
            && octets > limit
        {
            return Err(Unsendable::LineTooLong { octets, limit });
        }
        Ok(())
    }
}
