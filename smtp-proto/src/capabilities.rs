//! The capabilities that a server announces.
//!
//! Knows the EHLO reply (RFC 5321 §4.1.1.1) and the keywords that this library supports. Must
//! never decide what is used: the session compares capabilities with its configuration.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::ReplyRef;

/// SASL mechanism names kept from the AUTH lines; servers offer about ten.
const MAX_MECHANISMS: usize = 64;

/// The capabilities in a server's reply to EHLO or LHLO.
///
/// The default value holds none, as for a server that only supports HELO. The memory is that of
/// the reply, which the reader bounds.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    greeting_line: Box<[u8]>,
    /// The well-formed lines, each ended by LF.
    lines: String,
    malformed: usize,
    mechanisms: Vec<Box<str>>,
    known: Known,
}

/// Capabilities that are looked up once, since each message needs them.
#[derive(Copy, Clone, Default, PartialEq, Eq)]
struct Known {
    pipelining: bool,
    chunking: bool,
    eight_bit_mime: bool,
    binary_mime: bool,
    smtp_utf8: bool,
    dsn: bool,
    starttls: bool,
    enhanced_status_codes: bool,
    size: Option<SizeLimit>,
    limits: LimitsParameters,
}

impl Capabilities {
    /// Reads the capabilities of a positive reply to EHLO or LHLO: all lines but the first.
    ///
    /// # Errors
    ///
    /// Returns [`CapabilitiesError::TooMany`] if the reply has more than `limit` lines after
    /// the first.
    pub fn parse(reply: ReplyRef<'_>, limit: usize) -> Result<Self, CapabilitiesError> {
        let mut raw_lines = reply.raw_lines();
        let greeting_line = raw_lines.next().unwrap_or_default().into();
        if raw_lines.clone().count() > limit {
            return Err(CapabilitiesError::TooMany { limit });
        }
        let mut capabilities = Self {
            greeting_line,
            ..Self::default()
        };
        for raw in raw_lines {
            match core::str::from_utf8(raw) {
                Ok(line) if Capability::parse(line).is_some() => {
                    capabilities.lines.push_str(line);
                    capabilities.lines.push('\n');
                }
                _ => capabilities.malformed += 1,
            }
        }
        let offered: Vec<_> = capabilities.iter().collect();
        let (mechanisms, known) = (collect_mechanisms(&offered), Known::of(&offered));
        Ok(Self {
            mechanisms,
            known,
            ..capabilities
        })
    }

    /// The well-formed capabilities, in the server's order.
    pub fn iter(&self) -> impl Iterator<Item = Capability<'_>> {
        self.lines
            .split_terminator('\n')
            .filter_map(Capability::parse)
    }

    /// The first capability with this keyword, in any case.
    pub fn get(&self, keyword: &str) -> Option<Capability<'_>> {
        self.iter()
            .find(|capability| capability.keyword.eq_ignore_ascii_case(keyword))
    }

    /// Whether the server offers this keyword, in any case.
    pub fn has(&self, keyword: &str) -> bool {
        self.get(keyword).is_some()
    }

    /// The first line of the reply, which is not a keyword: the server's name, and perhaps a
    /// greeting. Not necessarily UTF-8.
    pub fn greeting_line(&self) -> &[u8] {
        &self.greeting_line
    }

    /// The number of lines that were skipped because they are not UTF-8 or have no valid
    /// keyword.
    pub fn malformed(&self) -> usize {
        self.malformed
    }

    /// `PIPELINING` (RFC 2920): commands may be sent ahead of their replies.
    pub fn pipelining(&self) -> bool {
        self.known.pipelining
    }

    /// `CHUNKING` (RFC 3030): the server knows BDAT.
    pub fn chunking(&self) -> bool {
        self.known.chunking
    }

    /// `8BITMIME` (RFC 6152): bodies may hold octets above 127.
    pub fn eight_bit_mime(&self) -> bool {
        self.known.eight_bit_mime
    }

    /// `BINARYMIME` (RFC 3030 §3): bodies may be any octets, by BDAT.
    pub fn binary_mime(&self) -> bool {
        self.known.binary_mime
    }

    /// `SMTPUTF8` (RFC 6531): addresses and headers may be UTF-8.
    pub fn smtp_utf8(&self) -> bool {
        self.known.smtp_utf8
    }

    /// `DSN` (RFC 3461): delivery reports can be asked for.
    pub fn dsn(&self) -> bool {
        self.known.dsn
    }

    /// `STARTTLS` (RFC 3207).
    pub fn starttls(&self) -> bool {
        self.known.starttls
    }

    /// `ENHANCEDSTATUSCODES` (RFC 2034).
    pub fn enhanced_status_codes(&self) -> bool {
        self.known.enhanced_status_codes
    }

    /// `SIZE` (RFC 1870): `None` if the server does not offer the extension.
    pub fn size(&self) -> Option<SizeLimit> {
        self.known.size
    }

    /// `LIMITS` (RFC 9422): the limits of one session and one transaction. Every limit is
    /// `None` without the extension.
    pub fn limits(&self) -> LimitsParameters {
        self.known.limits
    }

    /// The names of the SASL mechanisms in all `AUTH` lines (RFC 4954 §3), including the older
    /// form `AUTH=PLAIN LOGIN`. In the server's order and spelling, each once, at most 64.
    pub fn auth(&self) -> impl Iterator<Item = &str> {
        self.mechanisms.iter().map(|name| &**name)
    }
}

impl Known {
    fn of(offered: &[Capability<'_>]) -> Self {
        let get = |keyword| {
            let mut offered = offered.iter().copied();
            offered.find(|capability| capability.keyword.eq_ignore_ascii_case(keyword))
        };
        let has = |keyword| get(keyword).is_some();
        Self {
            pipelining: has("PIPELINING"),
            chunking: has("CHUNKING"),
            eight_bit_mime: has("8BITMIME"),
            binary_mime: has("BINARYMIME"),
            smtp_utf8: has("SMTPUTF8"),
            dsn: has("DSN"),
            starttls: has("STARTTLS"),
            enhanced_status_codes: has("ENHANCEDSTATUSCODES"),
            size: get("SIZE").map(SizeLimit::of),
            limits: get("LIMITS").map(LimitsParameters::of).unwrap_or_default(),
        }
    }
}

fn collect_mechanisms(offered: &[Capability<'_>]) -> Vec<Box<str>> {
    let mut mechanisms: Vec<Box<str>> = Vec::new();
    let offered = offered
        .iter()
        .filter(|capability| capability.keyword.eq_ignore_ascii_case("AUTH"))
        .flat_map(|capability| capability.parameters())
        .filter(|name| is_mechanism_name(name));
    for name in offered {
        if mechanisms.len() == MAX_MECHANISMS {
            break;
        }
        if !mechanisms
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name))
        {
            mechanisms.push(name.into());
        }
    }
    mechanisms
}

/// The keywords that are known, and the number of the others: a server may repeat a secret in a line of
/// its own.
impl fmt::Debug for Capabilities {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = |capability: &Capability<'_>| {
            let mut keywords = KEYWORDS.iter().copied();
            keywords.find(|keyword| keyword.eq_ignore_ascii_case(capability.keyword()))
        };
        let found: Vec<&str> = self.iter().filter_map(|it| known(&it)).collect();
        formatter
            .debug_struct("Capabilities")
            .field("others", &(self.iter().count() - found.len()))
            .field("known", &found)
            .finish_non_exhaustive()
    }
}

/// The keywords that `Debug` shows.
const KEYWORDS: [&str; 19] = [
    "8BITMIME",
    "AUTH",
    "BINARYMIME",
    "CHUNKING",
    "DELIVERBY",
    "DSN",
    "ENHANCEDSTATUSCODES",
    "ETRN",
    "EXPN",
    "FUTURERELEASE",
    "HELP",
    "LIMITS",
    "MT-PRIORITY",
    "PIPELINING",
    "REQUIRETLS",
    "SIZE",
    "SMTPUTF8",
    "STARTTLS",
    "VRFY",
];

/// `sasl-mech` (RFC 4422 §3.1), in either case.
fn is_mechanism_name(name: &str) -> bool {
    (1..=20).contains(&name.len())
        && name
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'))
}

/// One line of the EHLO reply: a keyword and its parameters (RFC 5321 §4.1.1.1).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Capability<'a> {
    keyword: &'a str,
    parameters: &'a str,
}

impl<'a> Capability<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (word, parameters) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let (keyword, parameters) = match word.split_once('=') {
            // The form used by servers older than RFC 2554, still sent next to the current
            // form.
            Some((keyword, _)) if keyword.eq_ignore_ascii_case("AUTH") => {
                (keyword, line.get(keyword.len() + 1..).unwrap_or_default())
            }
            _ => (word.trim_end(), parameters),
        };
        let valid = keyword.starts_with(|first: char| first.is_ascii_alphanumeric())
            && keyword
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
        valid.then_some(Self {
            keyword,
            parameters,
        })
    }

    /// The keyword as the server wrote it.
    pub fn keyword(self) -> &'a str {
        self.keyword
    }

    /// The words after the keyword.
    pub fn parameters(self) -> impl Iterator<Item = &'a str> {
        self.parameters.split_ascii_whitespace()
    }
}

/// The message size that the server accepts (RFC 1870 §4).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum SizeLimit {
    /// The server offers `SIZE` without a fixed limit: `SIZE`, `SIZE 0`, or a value that is not
    /// a number.
    Unlimited,
    /// At most this many octets, with line ends counted as CRLF and without dot-stuffing.
    Octets(u64),
}

impl SizeLimit {
    fn of(capability: Capability<'_>) -> Self {
        match capability
            .parameters()
            .next()
            .and_then(|number| number.parse().ok())
        {
            None | Some(0) => Self::Unlimited,
            Some(octets) => Self::Octets(octets),
        }
    }
}

/// The limits that a server declares with `LIMITS` (RFC 9422 §4); `None` for each limit that it
/// does not declare.
#[non_exhaustive]
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitsParameters {
    /// `MAILMAX`: transactions in one session.
    pub mail_max: Option<u32>,
    /// `RCPTMAX`: recipients of one transaction.
    pub rcpt_max: Option<u32>,
    /// `RCPTDOMAINMAX`: recipient domains of one session.
    pub rcpt_domain_max: Option<u32>,
}

impl LimitsParameters {
    fn of(capability: Capability<'_>) -> Self {
        let mut limits = Self::default();
        for (name, value) in capability
            .parameters()
            .filter_map(|word| word.split_once('='))
        {
            let limit = match name {
                _ if name.eq_ignore_ascii_case("MAILMAX") => &mut limits.mail_max,
                _ if name.eq_ignore_ascii_case("RCPTMAX") => &mut limits.rcpt_max,
                _ if name.eq_ignore_ascii_case("RCPTDOMAINMAX") => &mut limits.rcpt_domain_max,
                _ => continue,
            };
            // RFC 9422 §4 has no limit of zero; taken literally, it would forbid all mail.
            *limit = value.parse().ok().filter(|&number| number > 0);
        }
        limits
    }
}

/// Why an EHLO reply was rejected.
#[non_exhaustive]
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum CapabilitiesError {
    /// The reply lists more capabilities than the configured limit.
    TooMany {
        /// The limit, in lines.
        limit: usize,
    },
}

impl fmt::Display for CapabilitiesError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany { limit } => {
                write!(formatter, "the server lists more than {limit} capabilities")
            }
        }
    }
}

impl core::error::Error for CapabilitiesError {}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;

    use proptest::prelude::*;

    use super::*;
    use crate::{ReplyLimits, ReplyReader};

    fn parse_with(lines: &[&[u8]], limit: usize) -> Result<Capabilities, CapabilitiesError> {
        let mut wire = Vec::new();
        for line in lines {
            wire.extend_from_slice(b"250-");
            wire.extend_from_slice(line);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"250 HELP\r\n");
        let mut reader = ReplyReader::new(ReplyLimits::default());
        let reply = reader.read(&mut &wire[..]).expect("valid").expect("whole");
        Capabilities::parse(reply, limit)
    }

    fn parse(lines: &[&str]) -> Capabilities {
        let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        parse_with(&lines, 128).expect("within the limit")
    }

    #[test]
    fn reads_the_capabilities_that_the_library_supports() {
        let capabilities = parse(&[
            "mx.example greets you",
            "pipelining",
            "SIZE 1000",
            "8BITMIME",
            "X-Thing  a\tb ",
            "SIZE 2",
        ]);
        assert_eq!(capabilities.greeting_line(), b"mx.example greets you");
        assert!(capabilities.pipelining() && capabilities.eight_bit_mime());
        assert!(!capabilities.chunking() && !capabilities.starttls());
        assert!(!capabilities.has("mx.example") && capabilities.has("help"));
        let others = parse(&[
            "mx.example",
            "BINARYMIME",
            "SMTPUTF8",
            "DSN",
            "enhancedstatuscodes",
            "X=y",
        ]);
        assert!(others.binary_mime() && others.smtp_utf8());
        assert!(others.dsn() && others.enhanced_status_codes());
        assert!(!capabilities.binary_mime() && !capabilities.smtp_utf8());
        assert!(!capabilities.dsn() && !capabilities.enhanced_status_codes());
        // Only AUTH has a form with an equals sign.
        assert!(!others.has("X") && others.malformed() == 1);
        assert_eq!(capabilities.size(), Some(SizeLimit::Octets(1000)));
        let thing = capabilities.get("x-thing").expect("offered");
        assert_eq!(thing.keyword(), "X-Thing");
        assert_eq!(thing.parameters().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(capabilities.iter().count(), 6);
    }

    #[test]
    fn a_size_that_is_not_a_number_is_no_limit() {
        for line in [
            "SIZE",
            "SIZE 0",
            "SIZE many",
            "SIZE -1",
            "SIZE 99999999999999999999",
        ] {
            assert_eq!(
                parse(&["mx", line]).size(),
                Some(SizeLimit::Unlimited),
                "{line}"
            );
        }
        assert_eq!(parse(&["mx"]).size(), None);
    }

    #[test]
    fn gathers_the_mechanisms_of_all_forms() {
        let capabilities = parse(&[
            "mx",
            "AUTH PLAIN CRAM-MD5",
            "auth=plain LOGIN",
            "AUTH= XOAUTH2",
            "AUTH \u{e9} =",
        ]);
        let mechanisms: Vec<&str> = capabilities.auth().collect();
        assert_eq!(mechanisms, ["PLAIN", "CRAM-MD5", "LOGIN", "XOAUTH2"]);
        assert_eq!(parse(&["mx", "AUTH"]).auth().count(), 0);
    }

    #[test]
    fn a_flood_of_mechanisms_is_bounded() {
        let line = (0..300).fold("AUTH".to_string(), |line, number| {
            format!("{line} M{number}")
        });
        assert_eq!(parse(&["mx", &line]).auth().count(), MAX_MECHANISMS);
    }

    #[test]
    fn reads_declared_limits() {
        let capabilities = parse(&["mx", "LIMITS MAILMAX=5 rcptmax=100 RCPTDOMAINMAX=0 X=1 Y"]);
        let expected = LimitsParameters {
            mail_max: Some(5),
            rcpt_max: Some(100),
            rcpt_domain_max: None,
        };
        assert_eq!(capabilities.limits(), expected);
    }

    #[test]
    fn malformed_lines_are_only_counted() {
        let lines: [&[u8]; 6] = [b"mx", b"DSN\xff", b"", b" DSN", b"-X", b"D_N"];
        let capabilities = parse_with(&lines, 128).expect("within the limit");
        assert_eq!(
            (capabilities.malformed(), capabilities.iter().count()),
            (5, 1)
        );
        assert!(!capabilities.dsn());
    }

    #[test]
    fn too_many_lines_are_an_error() {
        assert!(parse_with(&[b"mx", b"DSN"], 2).is_ok());
        let expected = CapabilitiesError::TooMany { limit: 1 };
        assert_eq!(parse_with(&[b"mx", b"DSN"], 1), Err(expected));
    }

    proptest! {
        #[test]
        fn each_line_is_a_capability_or_malformed(
            lines in prop::collection::vec("(AUTH|LIMITS|SIZE|[ -~\\r\\t]{0,5})[ =]?[ -~é]{0,20}", 1..9),
        ) {
            let lines: Vec<&str> = lines.iter().map(|line| line.trim_end_matches('\r')).collect();
            let capabilities = parse(&lines);
            prop_assert_eq!(capabilities.iter().count() + capabilities.malformed(), lines.len());
            for capability in capabilities.iter() {
                prop_assert!(capabilities.has(&capability.keyword().to_lowercase()));
                prop_assert!(capability.parameters().all(|word| !word.is_empty()));
            }
        }
    }
}
