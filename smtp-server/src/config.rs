//! The configuration of a server session: built once, immutable, shared by `Arc` among all
//! sessions.
//!
//! Must never know a socket or a certificate. The defaults suit a server that tests clients:
//! every extension that has no further requirements is offered.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use postwire_proto::{Address, AddressError, HelloName, Mechanism, Protocol};

use crate::authentication::Dialogue;

/// The largest content that is accepted unless `SIZE` is set: 50 MiB.
const DEFAULT_SIZE: u64 = 50 * 1024 * 1024;

/// The configuration of a [`Server`](crate::Server), fixed before it starts.
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
    pub(crate) ask_at_opening: bool,
    pub(crate) trace: bool,
    pub(crate) trace_replies: bool,
    pub(crate) bare_local_parts: bool,
}

/// Which of the octets announced by `BDAT` (RFC 3030 §2) a server reads as content. It takes
/// the others for the next command line, as some deployed servers do; tests of clients need
/// such servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChunksRead {
    /// The server reads the octets of every `BDAT`.
    #[default]
    All,
    /// The server reads the octets of an accepted `BDAT`; after a refused one it takes them for
    /// commands.
    Accepted,
    /// The server reads no octets: it offers `BDAT` but does not implement it, as some proxies
    /// do.
    None,
}

impl ServerConfig {
    /// Creates the default configuration for a server with the name `hostname`.
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
            ask_at_opening: false,
            trace: false,
            trace_replies: false,
            bare_local_parts: false,
        }
    }

    /// Sets the protocol: SMTP (the default) or LMTP.
    #[must_use]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// Sets the text of the greeting after the hostname and the protocol. Characters that are
    /// not allowed in a reply become blanks.
    #[must_use]
    pub fn greeting(mut self, text: impl Into<String>) -> Self {
        self.greeting = text.into();
        self
    }

    /// Sets whether STARTTLS (RFC 3207) is offered in plaintext. Off by default, since the
    /// driver must be able to establish TLS.
    #[must_use]
    pub fn starttls(mut self, offer: bool) -> Self {
        self.starttls = offer;
        self
    }

    /// Sets whether everything but `EHLO`, `NOOP`, `STARTTLS` and `QUIT` is refused with `530`
    /// before TLS (RFC 3207 §4); AUTH is then not offered before TLS either. Off by default.
    #[must_use]
    pub fn require_tls(mut self, require: bool) -> Self {
        self.require_tls = require;
        self
    }

    /// Sets the mechanisms that AUTH (RFC 4954) offers. None by default; a mechanism whose
    /// server side is not implemented is ignored.
    ///
    /// They are offered under TLS. In plaintext only those are offered that reveal no secret,
    /// other than EXTERNAL, unless [`auth_in_plaintext`](Self::auth_in_plaintext) is on.
    /// Mechanisms that need randomness are offered if [a nonce](crate::Server::set_nonce) is
    /// set, and the `-PLUS` variants of SCRAM if the TLS session has channel binding.
    #[must_use]
    pub fn auth(mut self, mechanisms: impl IntoIterator<Item = Mechanism>) -> Self {
        let mechanisms = mechanisms.into_iter();
        self.mechanisms = mechanisms
            .filter(|mechanism| Dialogue::is_known(*mechanism))
            .collect();
        self
    }

    /// Sets whether AUTH is also offered without TLS. Off by default.
    #[must_use]
    pub fn auth_in_plaintext(mut self, allow: bool) -> Self {
        self.auth_in_plaintext = allow;
        self
    }

    /// Sets whether `MAIL` is refused with `530` before an authentication (RFC 4954 §6). Off by
    /// default.
    #[must_use]
    pub fn require_auth(mut self, require: bool) -> Self {
        self.require_auth = require;
        self
    }

    /// Sets whether PIPELINING (RFC 2920) is offered. On by default. Pipelined input is
    /// accepted in either case.
    #[must_use]
    pub fn pipelining(mut self, offer: bool) -> Self {
        self.pipelining = offer;
        self
    }

    /// Sets whether CHUNKING (RFC 3030) is offered. On by default.
    #[must_use]
    pub fn chunking(mut self, offer: bool) -> Self {
        self.chunking = offer;
        self
    }

    /// Sets whether 8BITMIME (RFC 6152) is offered. On by default.
    #[must_use]
    pub fn eight_bit_mime(mut self, offer: bool) -> Self {
        self.eight_bit_mime = offer;
        self
    }

    /// Sets whether BINARYMIME (RFC 3030 §3) is offered, if CHUNKING is. On by default.
    #[must_use]
    pub fn binary_mime(mut self, offer: bool) -> Self {
        self.binary_mime = offer;
        self
    }

    /// Sets whether SMTPUTF8 (RFC 6531) is offered. On by default.
    #[must_use]
    pub fn smtp_utf8(mut self, offer: bool) -> Self {
        self.smtp_utf8 = offer;
        self
    }

    /// Sets whether DSN (RFC 3461) is offered: its parameters are checked and passed to the
    /// application. On by default.
    #[must_use]
    pub fn dsn(mut self, offer: bool) -> Self {
        self.dsn = offer;
        self
    }

    /// Sets the shortest time, in seconds, after which a message may be returned, and offers
    /// DELIVERBY (RFC 2852); 0 allows any time. Off by default: the application must keep the
    /// promise.
    #[must_use]
    pub fn deliver_by(mut self, shortest: Option<u32>) -> Self {
        self.deliver_by = shortest;
        self
    }

    /// Sets the longest time, in seconds, for which a message may be held, and offers
    /// FUTURERELEASE (RFC 4865). Off by default: the application must keep the promise, and
    /// check `HOLDUNTIL`, since the session has no clock.
    #[must_use]
    pub fn future_release(mut self, longest: Option<u32>) -> Self {
        self.future_release = longest;
        self
    }

    /// Sets whether MT-PRIORITY (RFC 6710) is offered. Off by default.
    #[must_use]
    pub fn mt_priority(mut self, offer: bool) -> Self {
        self.mt_priority = offer;
        self
    }

    /// Sets whether REQUIRETLS (RFC 8689) is offered under TLS. Off by default: the application
    /// must keep the promise.
    #[must_use]
    pub fn requiretls(mut self, offer: bool) -> Self {
        self.requiretls = offer;
        self
    }

    /// Offers an extension that this library does not implement. `MAIL` and `RCPT` then accept
    /// a parameter with this keyword and any value. None by default.
    #[must_use]
    pub fn extension(mut self, keyword: impl Into<String>) -> Self {
        self.extensions.push(keyword.into());
        self
    }

    /// Sets whether LIMITS (RFC 9422) declares [`max_recipients`](Self::max_recipients) and
    /// [`max_messages`](Self::max_messages). Off by default; the limits apply in either case.
    #[must_use]
    pub fn declare_limits(mut self, declare: bool) -> Self {
        self.declare_limits = declare;
        self
    }

    /// Sets the number of transactions that one session may have; a `MAIL` beyond it gets
    /// `421`. No limit by default.
    #[must_use]
    pub fn max_messages(mut self, messages: Option<u32>) -> Self {
        self.max_messages = messages;
        self
    }

    /// Sets whether ENHANCEDSTATUSCODES (RFC 2034) is offered, and the codes are sent. On by
    /// default.
    #[must_use]
    pub fn enhanced_status_codes(mut self, offer: bool) -> Self {
        self.enhanced_status_codes = offer;
        self
    }

    /// Sets the largest content, in octets, and offers SIZE (RFC 1870). The default is 50 MiB,
    /// which also applies if SIZE is not offered (`None`) or announces no limit (`Some(0)`).
    #[must_use]
    pub fn size(mut self, octets: Option<u64>) -> Self {
        self.size = octets;
        self
    }

    /// Adds a line to the reply to EHLO, such as `LIMITS RCPTMAX=10`. The line has no effect:
    /// parameters that belong to it are refused.
    #[must_use]
    pub fn capability(mut self, line: impl Into<String>) -> Self {
        self.capabilities.push(line.into());
        self
    }

    /// Sets whether `DATA` is answered with `354` although no recipient was accepted; the
    /// content is then refused, as some old servers do (RFC 2920 §3.1). Off by default; no effect in
    /// LMTP, where `DATA` must fail (RFC 2033 §4.2).
    #[must_use]
    pub fn data_without_recipients(mut self, accept: bool) -> Self {
        self.data_without_recipients = accept;
        self
    }

    /// Sets which of the octets announced by `BDAT` are read as content. All by default, as RFC
    /// 3030 requires.
    #[must_use]
    pub fn chunks_read(mut self, read: ChunksRead) -> Self {
        self.chunks_read = read;
        self
    }

    /// Sets the number of recipients that one message may have; each one beyond it gets `452`.
    /// 1,000 by default; RFC 5321 §4.5.3.1.8 requires at least 100.
    #[must_use]
    pub fn max_recipients(mut self, recipients: usize) -> Self {
        self.max_recipients = recipients;
        self
    }

    /// Sets the number of octets that a command may have, including CRLF. 2,048 by default; RFC
    /// 5321 §4.5.3.1.4 requires at least 512. Responses within AUTH may always have 12,288 (RFC
    /// 4954 §4).
    #[must_use]
    pub fn max_line(mut self, octets: usize) -> Self {
        self.max_line = octets;
        self
    }

    /// Sets the number of octets that may wait while a question is open. More input ends the
    /// session. 1 MiB by default.
    #[must_use]
    pub fn max_waiting_input(mut self, octets: usize) -> Self {
        self.max_waiting_input = octets;
        self
    }

    /// Sets how long the client may take for a command, or pause within its content, before it
    /// gets `421`. 5 minutes by default (RFC 5321 §4.5.3.2.7).
    #[must_use]
    pub fn idle_timeout(mut self, limit: Duration) -> Self {
        self.idle_timeout = limit;
        self
    }

    /// Sets whether the application is asked before the greeting
    /// ([`ServerEvent::Greeting`](crate::ServerEvent::Greeting)) and at `EHLO`, `HELO` and `LHLO`
    /// ([`ServerEvent::Hello`](crate::ServerEvent::Hello)). Off by default.
    #[must_use]
    pub fn ask_at_opening(mut self, ask: bool) -> Self {
        self.ask_at_opening = ask;
        self
    }

    /// Sets whether each command is reported as
    /// [`ServerEvent::Command`](crate::ServerEvent::Command). Off by default.
    #[must_use]
    pub fn trace(mut self, on: bool) -> Self {
        self.trace = on;
        self
    }

    /// Sets whether each reply is reported as
    /// [`ServerEvent::Reply`](crate::ServerEvent::Reply), in order with the commands. Off by
    /// default.
    #[must_use]
    pub fn trace_replies(mut self, on: bool) -> Self {
        self.trace_replies = on;
        self
    }

    /// Sets whether an address without a domain is accepted in `MAIL` and `RCPT`, and gets the
    /// server's own name as its domain, as `postmaster` always does. Off by default, since RFC
    /// 5321 §2.3.5 requires a domain; local delivery, often by LMTP, does without.
    #[must_use]
    pub fn bare_local_parts(mut self, accept: bool) -> Self {
        self.bare_local_parts = accept;
        self
    }

    /// The address on a path.
    pub(crate) fn address(&self, path: &str) -> Result<Address, AddressError> {
        match path.parse() {
            Err(AddressError::MissingAtSign) if self.bare_local_parts => {
                Address::new(path, self.hostname.as_str())
            }
            parsed => parsed,
        }
    }

    pub(crate) fn offers_binary_mime(&self) -> bool {
        self.binary_mime && self.chunking
    }

    /// Whether the keyword, in capitals, is one of the extensions that this library does not
    /// implement.
    pub(crate) fn is_extension(&self, keyword: &str) -> bool {
        let mut extensions = self.extensions.iter();
        extensions.any(|known| known.eq_ignore_ascii_case(keyword))
    }

    /// The largest content that is accepted, in octets.
    pub(crate) fn content_limit(&self) -> usize {
        let octets = self.size.filter(|&octets| octets > 0);
        usize::try_from(octets.unwrap_or(DEFAULT_SIZE)).unwrap_or(usize::MAX)
    }

    /// Whether a client may authenticate with the mechanism, with or without TLS (RFC 4954 §4).
    pub(crate) fn allows_mechanism(&self, mechanism: Mechanism, tls: bool) -> bool {
        // EXTERNAL relies on the client's identity from TLS, given by its certificate.
        let needs_tls = mechanism.reveals_secret() || mechanism == Mechanism::EXTERNAL;
        tls || self.auth_in_plaintext || !needs_tls
    }

    /// The lines after the first in the reply to EHLO (RFC 5321 §4.1.1.1).
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
            // RFC 4865 §4 requires a date next to the interval; this date never limits it.
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
