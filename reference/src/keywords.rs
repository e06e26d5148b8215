//! The keywords of an EHLO response: which service extensions a server offers,
//! and how the response states them. It also knows how far each extension raises
//! the limit of a command line.

/// A SASL mechanism that the server knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// `AUTH PLAIN` (RFC 4616).
    Plain,
    /// `AUTH LOGIN`, as deployed servers speak it.
    Login,
}

impl Mechanism {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
        }
    }
}

/// The service extensions that a server offers in its EHLO response.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Keywords {
    /// `PIPELINING` (RFC 2920).
    pub pipelining: bool,
    /// `CHUNKING` (RFC 3030).
    pub chunking: bool,
    /// `BINARYMIME` (RFC 3030); of use only with [`chunking`](Self::chunking).
    pub binary_mime: bool,
    /// `8BITMIME` (RFC 6152).
    pub eight_bit_mime: bool,
    /// `SIZE n` (RFC 1870); 0 states no limit. The server enforces the limit.
    pub size: Option<u64>,
    /// `SMTPUTF8` (RFC 6531).
    pub smtp_utf8: bool,
    /// `DSN` (RFC 3461).
    pub dsn: bool,
    /// `ENHANCEDSTATUSCODES` (RFC 2034).
    pub enhanced_status_codes: bool,
    /// `STARTTLS` (RFC 3207).
    pub starttls: bool,
    /// `AUTH` with these mechanisms (RFC 4954); none: `AUTH` is not offered.
    pub auth: Vec<Mechanism>,
    /// `LIMITS RCPTMAX=n` (RFC 9422). The server enforces it.
    pub rcpt_max: Option<usize>,
    /// `LIMITS MAILMAX=n` (RFC 9422). The server enforces it.
    pub mail_max: Option<usize>,
    /// `LIMITS RCPTDOMAINMAX=n` (RFC 9422), of one session. The server enforces it.
    pub rcpt_domain_max: Option<usize>,
}

impl Keywords {
    /// The lines of the EHLO response behind its first line.
    pub(crate) fn lines(&self) -> Vec<String> {
        let flags = [
            (self.pipelining, "PIPELINING"),
            (self.chunking, "CHUNKING"),
            (self.binary_mime, "BINARYMIME"),
            (self.eight_bit_mime, "8BITMIME"),
            (self.smtp_utf8, "SMTPUTF8"),
            (self.dsn, "DSN"),
            (self.enhanced_status_codes, "ENHANCEDSTATUSCODES"),
            (self.starttls, "STARTTLS"),
        ];
        let mut lines: Vec<String> = flags
            .iter()
            .filter(|(offered, _)| *offered)
            .map(|(_, keyword)| (*keyword).to_owned())
            .collect();
        match self.size {
            Some(0) => lines.push("SIZE".to_owned()),
            Some(size) => lines.push(format!("SIZE {size}")),
            None => {}
        }
        if !self.auth.is_empty() {
            let names: Vec<&str> = self.auth.iter().map(|mechanism| mechanism.name()).collect();
            lines.push(format!("AUTH {}", names.join(" ")));
        }
        let limits: Vec<String> = [
            ("RCPTMAX", self.rcpt_max),
            ("MAILMAX", self.mail_max),
            ("RCPTDOMAINMAX", self.rcpt_domain_max),
        ]
        .iter()
        .filter_map(|(name, limit)| limit.map(|limit| format!("{name}={limit}")))
        .collect();
        if !limits.is_empty() {
            lines.push(format!("LIMITS {}", limits.join(" ")));
        }
        lines
    }

    /// The most octets that a command line may have, with its CRLF: 512
    /// (RFC 5321 §4.5.3.1.4) and what each offered extension adds.
    pub(crate) fn line_limit(&self, verb: &str) -> usize {
        let added = match verb {
            "MAIL" => [
                (self.size.is_some(), 26),
                (self.eight_bit_mime || self.binary_mime, 17),
                (self.smtp_utf8, 10),
                (!self.auth.is_empty(), 500),
                (self.dsn, 8 + 107),
            ]
            .iter()
            .filter(|(offered, _)| *offered)
            .map(|(_, octets)| octets)
            .sum(),
            "RCPT" if self.dsn => 500 + 28,
            "AUTH" if !self.auth.is_empty() => 12_288 - 512,
            _ => 0,
        };
        512 + added
    }
}
