//! What a server session is told beforehand: built once, immutable, shared by
//! `Arc` among all sessions.
//!
//! Knows no socket and no certificate. Defaults are those of a server to test
//! clients against: every extension that needs nothing else is offered.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use postwire_proto::{HelloName, Mechanism, Protocol};

use crate::authentication::Dialogue;

/// How much content is taken where `SIZE` does not say, and the default of it:
/// 50 MiB.
const DEFAULT_SIZE: u64 = 50 * 1024 * 1024;

/// Everything a [`Server`](crate::Server) is told before it starts.
///
/// ```
/// use postwire_proto::{HelloName, Mechanism};
/// use postwire_server::ServerConfig;
///
/// let config = ServerConfig::new(HelloName::localhost())
///     .starttls(true)
///     .auth([Mechanism::PLAIN])
///     .size(Some(10_000_000));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerConfig {
    pub(crate) hostname: HelloName,
    pub(crate) protocol: Protocol,
    pub(crate) greeting: String,
    pub(crate) starttls: bool,
    pub(crate) require_tls: bool,
    pub(crate) mechanisms: Vec<Mechanism>,
    pub(crate) auth_in_plaintext: bool,
    pub(crate) require_auth: bool,
    pub(crate) pipelining: bool,
    pub(crate) chunking: bool,
    pub(crate) eight_bit_mime: bool,
    pub(crate) binary_mime: bool,
    pub(crate) smtp_utf8: bool,
    pub(crate) dsn: bool,
    pub(crate) deliver_by: Option<u32>,
    pub(crate) future_release: Option<u32>,
    pub(crate) mt_priority: bool,
    pub(crate) requiretls: bool,
    pub(crate) extensions: Vec<String>,
    pub(crate) declare_limits: bool,
    pub(crate) max_messages: Option<u32>,
    pub(crate) enhanced_status_codes: bool,
    pub(crate) size: Option<u64>,
    pub(crate) capabilities: Vec<String>,
    pub(crate) data_without_recipients: bool,
    pub(crate) chunks_read: ChunksRead,
    pub(crate) max_recipients: usize,
    pub(crate) max_line: usize,
    pub(crate) max_waiting_input: usize,
    pub(crate) idle_timeout: Duration,
    pub(crate) trace: bool,
}

/// Which octets a server reads as content of those that `BDAT` announces (RFC 3030 §2). What
/// it does not read is the next command line: tests of clients need servers that do as some
/// in use do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChunksRead {
    /// Those of every `BDAT`.
    #[default]
    All,
    /// Those of a `BDAT` that is welcome; one that is refused is taken for a line of its own.
    Welcome,
    /// None: `BDAT` is offered, and not known. Some proxies do that.
    None,
}

impl ServerConfig {
    /// The defaults, for a server that calls itself `hostname`.
    pub fn new(hostname: HelloName) -> Self {
        Self {
            hostname,
            protocol: Protocol::Smtp,
            greeting: String::from("postwire"),
            starttls: false,
            require_tls: false,
            mechanisms: Vec::new(),
            auth_in_plaintext: false,
            require_auth: false,
            pipelining: true,
            chunking: true,
            eight_bit_mime: true,
            binary_mime: true,
            smtp_utf8: true,
            dsn: true,
            deliver_by: None,
            future_release: None,
            mt_priority: false,
            requiretls: false,
            extensions: Vec::new(),
            declare_limits: false,
            max_messages: None,
            enhanced_status_codes: true,
            size: Some(DEFAULT_SIZE),
            capabilities: Vec::new(),
            data_without_recipients: false,
            chunks_read: ChunksRead::All,
            max_recipients: 1_000,
            max_line: 2_048,
            max_waiting_input: 1024 * 1024,
            idle_timeout: Duration::from_secs(5 * 60),
            trace: false,
        }
    }

    /// SMTP (default) or LMTP.
    #[must_use]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// What the greeting says after the hostname and the protocol. Characters
    /// that cannot stand in a reply become blanks.
    #[must_use]
    pub fn greeting(mut self, text: impl Into<String>) -> Self {
        self.greeting = text.into();
        self
    }

    /// Offer STARTTLS (RFC 3207) in plaintext. Off by default, as it takes a
    /// driver that can establish TLS.
    #[must_use]
    pub fn starttls(mut self, offer: bool) -> Self {
        self.starttls = offer;
        self
    }

    /// Refuse with `530` everything but `EHLO`, `NOOP`, `STARTTLS` and `QUIT`
    /// before TLS (RFC 3207 §4). Off by default.
    #[must_use]
    pub fn require_tls(mut self, require: bool) -> Self {
        self.require_tls = require;
        self
    }

    /// Offer AUTH (RFC 4954) with these mechanisms; those whose server side is
    /// not known here are left out. None by default. Offered only under TLS,
    /// unless [`auth_in_plaintext`](Self::auth_in_plaintext) is on or they reveal no
    /// secret and are not EXTERNAL. Those that need randomness are offered if there
    /// [is some](crate::Server::set_nonce), and the `-PLUS` forms of SCRAM if the TLS
    /// session has channel binding.
    #[must_use]
    pub fn auth(mut self, mechanisms: impl IntoIterator<Item = Mechanism>) -> Self {
        let mechanisms = mechanisms.into_iter();
        self.mechanisms = mechanisms
            .filter(|mechanism| Dialogue::is_known(*mechanism))
            .collect();
        self
    }

    /// Offer AUTH without TLS as well. Off by default.
    #[must_use]
    pub fn auth_in_plaintext(mut self, allow: bool) -> Self {
        self.auth_in_plaintext = allow;
        self
    }

    /// Refuse `MAIL` with `530` before an authentication (RFC 4954 §6). Off by
    /// default.
    #[must_use]
    pub fn require_auth(mut self, require: bool) -> Self {
        self.require_auth = require;
        self
    }

    /// Offer PIPELINING (RFC 2920). On by default. Pipelined input is taken
    /// either way.
    #[must_use]
    pub fn pipelining(mut self, offer: bool) -> Self {
        self.pipelining = offer;
        self
    }

    /// Offer CHUNKING (RFC 3030). On by default.
    #[must_use]
    pub fn chunking(mut self, offer: bool) -> Self {
        self.chunking = offer;
        self
    }

    /// Offer 8BITMIME (RFC 6152). On by default.
    #[must_use]
    pub fn eight_bit_mime(mut self, offer: bool) -> Self {
        self.eight_bit_mime = offer;
        self
    }

    /// Offer BINARYMIME (RFC 3030 §3), provided that CHUNKING is. On by default.
    #[must_use]
    pub fn binary_mime(mut self, offer: bool) -> Self {
        self.binary_mime = offer;
        self
    }

    /// Offer SMTPUTF8 (RFC 6531). On by default.
    #[must_use]
    pub fn smtp_utf8(mut self, offer: bool) -> Self {
        self.smtp_utf8 = offer;
        self
    }

    /// Offer DSN (RFC 3461): its parameters are checked and handed on. On by
    /// default.
    #[must_use]
    pub fn dsn(mut self, offer: bool) -> Self {
        self.dsn = offer;
        self
    }

    /// Offer DELIVERBY (RFC 2852) and return messages within no shorter time than so many seconds
    /// (0 for any). Off by default: whoever takes the message has to keep the promise.
    #[must_use]
    pub fn deliver_by(mut self, shortest: Option<u32>) -> Self {
        self.deliver_by = shortest;
        self
    }

    /// Offer FUTURERELEASE (RFC 4865) and hold messages for no longer than so many seconds. Off
    /// by default: whoever takes the message has to keep the promise, and to look at
    /// `HOLDUNTIL`, since there is no clock here.
    #[must_use]
    pub fn future_release(mut self, longest: Option<u32>) -> Self {
        self.future_release = longest;
        self
    }

    /// Offer MT-PRIORITY (RFC 6710). Off by default.
    #[must_use]
    pub fn mt_priority(mut self, offer: bool) -> Self {
        self.mt_priority = offer;
        self
    }

    /// Offer REQUIRETLS (RFC 8689), under TLS. Off by default: whoever takes the message has to
    /// keep the promise.
    #[must_use]
    pub fn requiretls(mut self, offer: bool) -> Self {
        self.requiretls = offer;
        self
    }

    /// Offer an extension that is not known here, and take the parameter of its name with `MAIL`
    /// and `RCPT`, whatever its value. None by default.
    #[must_use]
    pub fn extension(mut self, keyword: impl Into<String>) -> Self {
        self.extensions.push(keyword.into());
        self
    }

    /// Declare [`max_recipients`](Self::max_recipients) and
    /// [`max_messages`](Self::max_messages) with LIMITS (RFC 9422). Off by default: they hold
    /// either way.
    #[must_use]
    pub fn declare_limits(mut self, declare: bool) -> Self {
        self.declare_limits = declare;
        self
    }

    /// How many transactions one session may have; `421` to the `MAIL` beyond them. Any number by
    /// default.
    #[must_use]
    pub fn max_messages(mut self, messages: Option<u32>) -> Self {
        self.max_messages = messages;
        self
    }

    /// Offer ENHANCEDSTATUSCODES (RFC 2034) and say them. On by default.
    #[must_use]
    pub fn enhanced_status_codes(mut self, offer: bool) -> Self {
        self.enhanced_status_codes = offer;
        self
    }

    /// Offer SIZE (RFC 1870) and take no more octets of content than this.
    /// 50 MiB by default, and also where SIZE is not offered (`None`) or names
    /// no limit (`Some(0)`).
    #[must_use]
    pub fn size(mut self, octets: Option<u64>) -> Self {
        self.size = octets;
        self
    }

    /// A further line in the reply to EHLO, such as `LIMITS RCPTMAX=10`. It is
    /// only said: parameters that belong to it are refused.
    #[must_use]
    pub fn capability(mut self, line: impl Into<String>) -> Self {
        self.capabilities.push(line.into());
        self
    }

    /// Answer `DATA` with `354` although no recipient was accepted, and refuse
    /// what follows, as some old servers do (RFC 2920 §3.1). Off by default.
    #[must_use]
    pub fn data_without_recipients(mut self, accept: bool) -> Self {
        self.data_without_recipients = accept;
        self
    }

    /// Which octets are read as content of those that `BDAT` announces. All by default,
    /// as RFC 3030 wants.
    #[must_use]
    pub fn chunks_read(mut self, read: ChunksRead) -> Self {
        self.chunks_read = read;
        self
    }

    /// How many recipients one message may have; `452` for each beyond them.
    /// 1,000 by default; RFC 5321 §4.5.3.1.8 asks for at least 100.
    #[must_use]
    pub fn max_recipients(mut self, recipients: usize) -> Self {
        self.max_recipients = recipients;
        self
    }

    /// How many octets a command may have, CRLF included. 2,048 by default;
    /// RFC 5321 §4.5.3.1.4 asks for at least 512. Responses within AUTH may have
    /// 12,288 (RFC 4954 §4).
    #[must_use]
    pub fn max_line(mut self, octets: usize) -> Self {
        self.max_line = octets;
        self
    }

    /// How many octets may wait while a question is open. More that come then
    /// end the session. 1 MiB by default.
    #[must_use]
    pub fn max_waiting_input(mut self, octets: usize) -> Self {
        self.max_waiting_input = octets;
        self
    }

    /// How long the client may take for a command, or stop in its content,
    /// before it gets `421`. 5 minutes by default (RFC 5321 §4.5.3.2.7).
    #[must_use]
    pub fn idle_timeout(mut self, limit: Duration) -> Self {
        self.idle_timeout = limit;
        self
    }

    /// Report each command as
    /// [`ServerEvent::Command`](crate::ServerEvent::Command). Off by default.
    #[must_use]
    pub fn trace(mut self, on: bool) -> Self {
        self.trace = on;
        self
    }

    pub(crate) fn offers_binary_mime(&self) -> bool {
        self.binary_mime && self.chunking
    }

    /// Whether it is one of those that are not known here; `keyword` is in capitals.
    pub(crate) fn is_extension(&self, keyword: &str) -> bool {
        let mut extensions = self.extensions.iter();
        extensions.any(|known| known.eq_ignore_ascii_case(keyword))
    }

    /// How many octets of content are taken.
    pub(crate) fn content_limit(&self) -> usize {
        let octets = self.size.filter(|&octets| octets > 0);
        usize::try_from(octets.unwrap_or(DEFAULT_SIZE)).unwrap_or(usize::MAX)
    }

    /// Whether a client may authenticate with it, given that TLS is active or
    /// not (RFC 4954 §4).
    pub(crate) fn allows_mechanism(&self, mechanism: Mechanism, tls: bool) -> bool {
        // EXTERNAL rests on whom the client is known to be: in TLS, by its certificate.
        let needs_tls = mechanism.reveals_secret() || mechanism == Mechanism::EXTERNAL;
        tls || self.auth_in_plaintext || !needs_tls
    }

    /// What follows the first line of the reply to EHLO (RFC 5321 §4.1.1.1).
    pub(crate) fn capability_lines(&self, tls: bool, mechanisms: &[&str]) -> Vec<String> {
        let mut lines = Vec::new();
        for (offered, keyword) in [
            (self.pipelining, "PIPELINING"),
            (self.chunking, "CHUNKING"),
            (self.eight_bit_mime, "8BITMIME"),
            (self.offers_binary_mime(), "BINARYMIME"),
            (self.smtp_utf8, "SMTPUTF8"),
            (self.dsn, "DSN"),
            (self.enhanced_status_codes, "ENHANCEDSTATUSCODES"),
            (self.starttls && !tls, "STARTTLS"),
            (self.mt_priority, "MT-PRIORITY"),
            (self.requiretls && tls, "REQUIRETLS"),
        ] {
            if offered {
                lines.push(String::from(keyword));
            }
        }
        if let Some(octets) = self.size {
            lines.push(alloc::format!("SIZE {octets}"));
        }
        if let Some(shortest) = self.deliver_by {
            lines.push(alloc::format!("DELIVERBY {shortest}"));
        }
        if let Some(longest) = self.future_release {
            // RFC 4865 §4 wants a date beside the interval: one that never bounds it.
            lines.push(alloc::format!(
                "FUTURERELEASE {longest} 9999-12-31T23:59:59Z"
            ));
        }
        if self.declare_limits {
            lines.push(self.limits());
        }
        lines.extend(self.extensions.iter().cloned());
        if !mechanisms.is_empty() {
            lines.push(alloc::format!("AUTH {}", mechanisms.join(" ")));
        }
        lines.extend(self.capabilities.iter().cloned());
        lines
    }

    fn limits(&self) -> String {
        let mut line = alloc::format!("LIMITS RCPTMAX={}", self.max_recipients);
        if let Some(messages) = self.max_messages {
            line = alloc::format!("{line} MAILMAX={messages}");
        }
        line
    }
}
