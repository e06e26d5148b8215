//! The configuration of a client session: built once, immutable, shared by `Arc` among all
//! connections to one server.
//!
//! Knows the host and the port only as values for SASL. Must never connect to them, or know a
//! certificate: the adapter and the TLS layer do. The defaults are the safe values.

/// Defines a setter for each of these public fields, under the field's name.
macro_rules! setters {
    ($($field:ident: $type:ty),+ $(,)?) => {
        $(
            #[doc = concat!("Sets [`", stringify!($field), "`](Self#structfield.", stringify!($field), ").")]
            #[must_use]
            pub fn $field(mut self, $field: $type) -> Self {
                self.$field = $field;
                self
            }
        )+
    };
}

mod limits;
mod timeouts;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

pub use self::limits::Limits;
pub use self::timeouts::Timeouts;
use crate::{
    BodySource, Credentials, Envelope, Error, ErrorKind, HelloName, LineEnds, Mechanism, Redaction,
    Report, Stage, Unsendable,
};
pub(crate) use setters;

/// The protocol that the client speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Protocol {
    /// SMTP (RFC 5321): one final reply a message.
    #[default]
    Smtp,
    /// LMTP (RFC 2033): `LHLO`, and a final reply for each accepted recipient.
    Lmtp,
}

/// When TLS is used: the four modes, without the parameters of the TLS session.
///
/// The core enforces the promises of each mode; `postwire_tls::Tls` pairs each with its TLS
/// parameters.
///
/// Its text is that of a server URL's `tls=`:
///
/// ```
/// use postwire_proto::Security;
///
/// assert_eq!("opportunistic".parse(), Ok(Security::Opportunistic));
/// assert_eq!(Security::Wrapper.to_string(), "wrapper");
/// ```
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
    /// STARTTLS is required: without it the connection fails. Before TLS nothing but `EHLO`,
    /// `STARTTLS` and `QUIT` is written.
    Required,
    /// TLS from the first byte (RFC 8314 "implicit TLS"). Fewest round trips.
    Wrapper,
}

impl Security {
    /// The mode in one lower-case word: `none`, `opportunistic`, `required` or `wrapper`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Opportunistic => "opportunistic",
            Self::Required => "required",
            Self::Wrapper => "wrapper",
        }
    }
}

impl fmt::Display for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Security {
    type Err = UnknownSecurity;

    fn from_str(text: &str) -> Result<Self, UnknownSecurity> {
        [
            Self::None,
            Self::Opportunistic,
            Self::Required,
            Self::Wrapper,
        ]
        .into_iter()
        .find(|mode| mode.as_str() == text)
        .ok_or(UnknownSecurity)
    }
}

/// The error for a text that is not the name of a [`Security`] mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UnknownSecurity;

impl fmt::Display for UnknownSecurity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the TLS mode must be none, opportunistic, required or wrapper")
    }
}

impl core::error::Error for UnknownSecurity {}

/// How far the client runs ahead of the server's replies (RFC 2920, RFC 3030).
///
/// It only matters where the server offers PIPELINING; without it one command is outstanding at
/// a time, as with [`Off`](Self::Off). RFC 2920 allows more than many servers handle: of
/// sixteen tested servers, five lose or refuse commands that follow the end of a message's
/// content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Pipelining {
    /// One command at a time.
    Off,
    /// `MAIL`, every `RCPT` and `DATA` go out in one flight. Behind the content of `DATA`
    /// nothing follows until its reply arrives, not even `QUIT`. With `BDAT`, content goes out
    /// once every `RCPT` of its own transaction is answered and at least one is accepted;
    /// `RSET` and the next `MAIL` and `RCPT` follow in the same flight. The default.
    ///
    /// Two round trips per message with `DATA`, one with `BDAT`.
    #[default]
    Careful,
    /// As far as the standards allow: the next envelope follows the content of `DATA`, and with
    /// `BDAT` whole messages go out in one flight, up to [`Limits::speculation`] octets of
    /// content whose recipients are not known to be accepted.
    ///
    /// For a relay that is known to support it, such as your own Postfix or Exim. A server that
    /// refuses `BDAT` *without reading its octets* executes the content as commands: the author
    /// of the content controls the session. If the connection breaks, every message whose
    /// content is under way is in doubt.
    ///
    /// One round trip per message with `DATA`, a constant number for all messages with `BDAT`.
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

/// Whether a login is bound to its TLS session (RFC 5056), so that nobody between the two ends
/// can relay it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum ChannelBindingPolicy {
    /// Bind the login where the server offers it. If the server offers channel binding but
    /// supports only another type, the client logs in without it.
    #[default]
    Preferred,
    /// Bind the login, or do not log in.
    Required,
}

/// The configuration of a [`Client`](crate::Client), fixed before it starts.
///
/// ```
/// use postwire_proto::{ClientConfig, Credentials, HelloName, Security};
///
/// let config = ClientConfig::new(HelloName::localhost(), Security::Required)
///     .credentials(Credentials::new("alice", "correct horse"));
/// assert!(!format!("{config:?}").contains("horse"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ClientConfig {
    /// The name given in `EHLO`; `None` for the address of the local end of the connection.
    pub hello_name: Option<HelloName>,
    /// The protocol: SMTP or LMTP.
    pub protocol: Protocol,
    /// The TLS mode.
    pub security: Security,
    /// The server's host name, for the SASL mechanisms that use it.
    pub host: String,
    /// The server's port, for the SASL mechanisms that use it.
    pub port: Option<u16>,
    /// The credentials to authenticate with; none by default.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub credentials: Option<Credentials>,
    /// Whether [`Event::CredentialsWanted`](crate::Event::CredentialsWanted) asks for
    /// credentials.
    pub late_credentials: bool,
    /// The mechanisms that may be used, the preferred one first; `None` for the default ones.
    pub mechanisms: Option<Vec<Mechanism>>,
    /// Whether passwords and tokens may be sent in plaintext.
    pub allow_plaintext_auth: bool,
    /// Whether the login must be bound to the TLS session.
    pub channel_binding: ChannelBindingPolicy,
    /// Whether the next mechanism is tried after the server refused the credentials.
    pub try_next_mechanism: bool,
    /// How far the client runs ahead of the replies.
    pub pipelining: Pipelining,
    /// Whether `BDAT` is used if the server offers CHUNKING.
    pub chunking: bool,
    /// What happens to a lone CR or LF in a message.
    pub line_ends: LineEnds,
    /// The longest line that a message may have, in octets without its CRLF; `None` for no
    /// limit.
    pub max_line_length: Option<u64>,
    /// Whether 8-bit content is sent to a server without 8BITMIME.
    pub allow_8bit_without_8bitmime: bool,
    /// The time limit of each stage.
    pub timeouts: Timeouts,
    /// The limits on what the server can make the client store.
    pub limits: Limits,
    /// Whether the dialogue is reported as [`Event::Trace`](crate::Event::Trace).
    pub trace: bool,
}

impl ClientConfig {
    /// Creates the default configuration for a client that gives `hello_name` in `EHLO`.
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
            allow_8bit_without_8bitmime: false,
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            trace: false,
        }
    }

    /// Creates the default configuration for a client without a name of its own. In `EHLO` the
    /// client gives the address of its end of the connection, as a literal (RFC 5321 §4.1.4),
    /// if the driver sets it with
    /// [`Client::set_local_address`](crate::Client::set_local_address); otherwise it gives
    /// `[127.0.0.1]`.
    pub fn without_hello_name(security: Security) -> Self {
        Self {
            hello_name: None,
            ..Self::new(HelloName::localhost(), security)
        }
    }

    /// Sets the name given in `EHLO` (RFC 5321 §4.1.1.1).
    #[must_use]
    pub fn hello_name(mut self, hello_name: HelloName) -> Self {
        self.hello_name = Some(hello_name);
        self
    }

    /// Sets the protocol: SMTP (the default) or LMTP.
    #[must_use]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// Sets the server's host name, for the SASL mechanisms that use it. Empty by default.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = host.into();
        self
    }

    /// Sets the port that the server listens on, for the SASL mechanisms that use it. None by
    /// default.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Whether a session of this configuration logs in: it has credentials, or gets them later.
    pub fn logs_in(&self) -> bool {
        self.credentials.is_some() || self.late_credentials
    }

    /// Sets the credentials to authenticate with. If the server offers no usable mechanism,
    /// nothing is sent.
    #[must_use]
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Sets whether to ask for credentials when they are needed, and once more when the server
    /// refuses them, with [`Event::CredentialsWanted`](crate::Event::CredentialsWanted). Off by
    /// default.
    ///
    /// Use it for tokens, which expire. The client waits for the credentials for
    /// [`Timeouts::auth`]. Together with [`credentials`](Self::credentials), the client only
    /// asks after a refusal.
    #[must_use]
    pub fn late_credentials(mut self, on: bool) -> Self {
        self.late_credentials = on;
        self
    }

    /// Sets the mechanisms that may be used, the preferred one first. The default is
    /// [`Mechanism::preference_for`] the credentials.
    #[must_use]
    pub fn mechanisms(mut self, mechanisms: Vec<Mechanism>) -> Self {
        self.mechanisms = Some(mechanisms);
        self
    }

    /// Sets whether passwords and tokens may be sent in plaintext. Off by default: anyone on
    /// the network path can read them.
    #[must_use]
    pub fn allow_plaintext_auth(mut self, allow: bool) -> Self {
        self.allow_plaintext_auth = allow;
        self
    }

    /// Sets whether the login must be bound to the TLS session (SCRAM's `-PLUS` variants).
    /// [`ChannelBindingPolicy::Preferred`] by default.
    #[must_use]
    pub fn channel_binding(mut self, policy: ChannelBindingPolicy) -> Self {
        self.channel_binding = policy;
        self
    }

    /// Sets whether to try the next mechanism when the server refuses the credentials (535).
    /// Off by default: each try counts as a failed login, and servers lock accounts.
    ///
    /// Use it for servers that offer mechanisms which are not set up. The next mechanism may
    /// reveal the password, within the bounds of
    /// [`allow_plaintext_auth`](Self::allow_plaintext_auth).
    #[must_use]
    pub fn try_next_mechanism(mut self, on: bool) -> Self {
        self.try_next_mechanism = on;
        self
    }

    /// Sets how far the client runs ahead of the replies where the server offers PIPELINING
    /// (RFC 2920). [`Pipelining::Careful`] by default.
    #[must_use]
    pub fn pipelining(mut self, pipelining: Pipelining) -> Self {
        self.pipelining = pipelining;
        self
    }

    /// Sets whether to use CHUNKING (RFC 3030) where the server offers it. On by default.
    ///
    /// Unless [`Pipelining::Bold`] is set, the first `BDAT` of a session carries a single octet,
    /// which cannot be a command, and is sent after every `RCPT` is answered. If the server refuses
    /// it, the message is sent with `DATA`, unless its content is binary.
    #[must_use]
    pub fn chunking(mut self, on: bool) -> Self {
        self.chunking = on;
        self
    }

    /// Sets what happens to a lone CR or LF in a message.
    #[must_use]
    pub fn line_ends(mut self, line_ends: LineEnds) -> Self {
        self.line_ends = line_ends;
        self
    }

    /// Sets the longest line that a message may have, in octets without the CRLF; a message
    /// with a longer line is refused. No limit by default; RFC 5321 §4.5.3.1.6 guarantees 998.
    #[must_use]
    pub fn max_line_length(mut self, octets: Option<u64>) -> Self {
        self.max_line_length = octets;
        self
    }

    /// Sets whether to send 8-bit content unchanged to a server that does not offer 8BITMIME
    /// (RFC 6152), instead of refusing the message. Off by default: such a server may refuse or
    /// damage the content.
    ///
    /// Use it for test servers, which often accept 8-bit content without offering the
    /// extension.
    #[must_use]
    pub fn allow_8bit_without_8bitmime(mut self, on: bool) -> Self {
        self.allow_8bit_without_8bitmime = on;
        self
    }

    /// Sets how long each stage may take.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Sets the limits on what the server can make the client store.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets whether the dialogue is reported as [`Event::Trace`](crate::Event::Trace), with
    /// secrets redacted. Off by default.
    #[must_use]
    pub fn trace(mut self, on: bool) -> Self {
        self.trace = on;
        self
    }

    /// Sets the TLS mode, replacing the mode that was given to the constructor.
    #[must_use]
    pub fn security(mut self, security: Security) -> Self {
        self.security = security;
        self
    }

    /// The redaction of the configured credentials; it removes nothing if there are none.
    pub fn redaction(&self) -> Redaction {
        let credentials = self.credentials.as_ref();
        credentials.map(Redaction::of).unwrap_or_default()
    }

    /// Returns the report for a message that cannot be sent to any server, so that an adapter
    /// need not connect; otherwise `None`. See [`check`](Self::check).
    pub fn not_sent_report(&self, envelope: &Envelope, body: &BodySource) -> Option<Report> {
        let why = self.check(body).err()?;
        let error = Error::new(Stage::Mail, ErrorKind::Unsendable(why));
        Some(Report::not_sent(envelope, error))
    }

    /// Checks whether a message with this content can be sent to *some* server under this
    /// configuration.
    ///
    /// [`Client::enqueue`](crate::Client::enqueue) refuses a message for the same reasons; this
    /// method finds them before any connection is made.
    ///
    /// # Errors
    ///
    /// Returns the reason why no server can be sent this content.
    pub fn check(&self, body: &BodySource) -> Result<(), Unsendable> {
        if self.line_ends == LineEnds::Refuse
            && let Some(facts) = body.facts_or_measured()
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
