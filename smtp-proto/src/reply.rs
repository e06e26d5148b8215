//! Replies: a code, an optional enhanced code, and lines of text.
//!
//! Knows the content of one reply (RFC 5321 §4.2) and how it is shown. Must never know which
//! command it answers or whether it was expected: the client's expectations decide that. The
//! text is foreign bytes, never assumed to be UTF-8 and never shown unescaped.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

mod parse;
mod reader;

pub use parse::InvalidReply;
pub use reader::{ReplyError, ReplyLimits, ReplyReader};

use crate::shown::Escaped;

/// The three digits of a reply, `200..=599` (RFC 5321 §4.2.1).
///
/// The second digit may be larger than the RFC's grammar allows, as it is with deployed
/// servers. `1yz` codes do not exist in SMTP and are rejected.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash, Debug)]
pub struct ReplyCode(u16);

impl ReplyCode {
    /// Returns the code with this number, or `None` outside `200..=599`.
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            200..=599 => Some(Self(code)),
            _ => None,
        }
    }

    /// The number, `200..=599`.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// `2yz`: positive completion.
    pub const fn is_positive(self) -> bool {
        self.0 / 100 == 2
    }

    /// `3yz`: positive intermediate; the server waits for more input.
    pub const fn is_intermediate(self) -> bool {
        self.0 / 100 == 3
    }

    /// `4yz`: refused for now; the same command may succeed later.
    pub const fn is_transient(self) -> bool {
        self.0 / 100 == 4
    }

    /// `5yz`: refused; the same command will fail again.
    pub const fn is_permanent(self) -> bool {
        self.0 / 100 == 5
    }

    /// `x0z` of a refusal: about the command itself, which is unknown, not implemented or out of place,
    /// as in `500` to `504` (RFC 5321 §4.2.1).
    pub(crate) const fn is_about_syntax(self) -> bool {
        self.is_negative() && self.0 % 100 < 10
    }

    /// `4yz` or `5yz`: refused.
    pub const fn is_negative(self) -> bool {
        self.0 / 100 >= 4
    }

    /// Reads a code from three ASCII digits; `None` for anything else.
    const fn from_digits(digits: [u8; 3]) -> Option<Self> {
        let [
            hundreds @ b'2'..=b'5',
            tens @ b'0'..=b'9',
            ones @ b'0'..=b'9',
        ] = digits
        else {
            return None;
        };
        // The largest sum is 599, which is in range for any digits.
        Some(Self(
            (hundreds - b'0') as u16 * 100 + (tens - b'0') as u16 * 10 + (ones - b'0') as u16,
        ))
    }
}

/// So that `reply.code() == 550` can be written.
impl PartialEq<u16> for ReplyCode {
    fn eq(&self, other: &u16) -> bool {
        self.0 == *other
    }
}

impl fmt::Display for ReplyCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

/// An enhanced status code such as `5.1.1` (RFC 3463 §2), at the start of a reply's text.
/// Servers that offer `ENHANCEDSTATUSCODES` send them (RFC 2034 §4).
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash, Debug)]
pub struct EnhancedCode {
    class: u8,
    subject: u16,
    detail: u16,
}

impl EnhancedCode {
    /// Returns the code `class.subject.detail`, or `None` unless the class is 2, 4 or 5 and
    /// subject and detail are at most 999.
    pub const fn new(class: u8, subject: u16, detail: u16) -> Option<Self> {
        if !matches!(class, 2 | 4 | 5) || subject > 999 || detail > 999 {
            return None;
        }
        Some(Self {
            class,
            subject,
            detail,
        })
    }

    /// The class: 2 success, 4 persistent transient failure, 5 permanent failure.
    pub const fn class(self) -> u8 {
        self.class
    }

    /// The subject: 1 addressing, 2 mailbox, 3 mail system, 4 network and routing, 5 protocol,
    /// 6 content, 7 security or policy; at most 999.
    pub const fn subject(self) -> u16 {
        self.subject
    }

    /// The precise condition within the subject; at most 999.
    pub const fn detail(self) -> u16 {
        self.detail
    }

    /// Reads the code at the start of `text`. Returns the code and its length in octets,
    /// without the blank after it, or `None` if there is no code.
    ///
    /// Leading zeros are rejected (RFC 3463 §2), and so is a longer dotted number or word that
    /// only begins with a code, such as `2.0.0.1` or `5.1.1a`.
    pub fn parse(text: &[u8]) -> Option<(Self, usize)> {
        let (&[class @ (b'2' | b'4' | b'5'), b'.'], rest) = text.split_first_chunk::<2>()? else {
            return None;
        };
        let (subject, rest) = parse_number(rest)?;
        let (&b'.', rest) = rest.split_first()? else {
            return None;
        };
        let (detail, rest) = parse_number(rest)?;
        let continues = match rest {
            [b'.', next, ..] => next.is_ascii_digit(),
            [next, ..] => next.is_ascii_alphanumeric() || matches!(next, b'-' | b'_'),
            [] => false,
        };
        if continues {
            return None;
        }
        let code = Self {
            class: class - b'0',
            subject,
            detail,
        };
        Some((code, text.len() - rest.len()))
    }
}

/// Reads one to three digits without a leading zero. Returns the number and the rest of the
/// text.
fn parse_number(text: &[u8]) -> Option<(u16, &[u8])> {
    let digits = text
        .iter()
        .take(4)
        .take_while(|octet| octet.is_ascii_digit())
        .count();
    if !(1..=3).contains(&digits) || (digits > 1 && text.first() == Some(&b'0')) {
        return None;
    }
    let (number, rest) = text.split_at_checked(digits)?;
    let number = number
        .iter()
        .fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    Some((number, rest))
}

impl fmt::Display for EnhancedCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// A whole reply, borrowed from the received segment or from the reader's buffer.
///
/// Only [`ReplyReader`] creates it, so it is always well-formed. It is as cheap to copy as a
/// pointer; [`to_owned`](Self::to_owned) makes a reply that can be kept.
#[derive(Copy, Clone, PartialEq, Eq)]
pub struct ReplyRef<'a> {
    code: ReplyCode,
    raw: &'a [u8],
    has_conflicting_codes: bool,
}

impl<'a> ReplyRef<'a> {
    /// The code, which is the same on each line. For a reply that [contradicts
    /// itself](Self::has_conflicting_codes) it is the code of the refusal.
    pub fn code(self) -> ReplyCode {
        self.code
    }

    /// Whether a refusal follows lines with another code, such as `220-wait` and then `521
    /// blocked` from a server that screens its clients. RFC 5321 §4.2.1 requires the same code
    /// on each line.
    pub fn has_conflicting_codes(self) -> bool {
        self.has_conflicting_codes
    }

    /// The enhanced code at the start of the first line, if there is one and its class is the
    /// first digit of the code, as RFC 2034 §4 requires.
    pub fn enhanced(self) -> Option<EnhancedCode> {
        let first = self.raw_lines().next()?;
        let (enhanced, _) = EnhancedCode::parse(first)?;
        (u16::from(enhanced.class) == self.code.0 / 100).then_some(enhanced)
    }

    /// The lines without code, separator and line end; at least one.
    pub fn raw_lines(self) -> impl Iterator<Item = &'a [u8]> + Clone {
        RawLines { rest: self.raw }
    }

    /// The lines as in [`raw_lines`](Self::raw_lines), without the enhanced code and the blank
    /// after it. Only the code that [`enhanced`](Self::enhanced) returns is removed.
    pub fn text_lines(self) -> impl Iterator<Item = &'a [u8]> + Clone {
        let enhanced = self.enhanced();
        self.raw_lines()
            .map(move |line| strip_enhanced(line, enhanced))
    }

    /// The reply as received, each line with its line end.
    pub fn as_bytes(self) -> &'a [u8] {
        self.raw
    }

    /// Copies the reply, in one allocation.
    pub fn to_owned(self) -> Reply {
        Reply {
            code: self.code,
            raw: self.raw.into(),
        }
    }
}

#[derive(Clone)]
struct RawLines<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for RawLines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let end = memchr::memchr(b'\n', self.rest)?;
        let (line, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest.get(1..).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // A line may end right after its code: RFC 5321 §4.2 asks clients to accept that.
        Some(line.get(4..).unwrap_or_default())
    }
}

fn strip_enhanced(line: &[u8], enhanced: Option<EnhancedCode>) -> &[u8] {
    match EnhancedCode::parse(line) {
        Some((code, consumed)) if Some(code) == enhanced => {
            let text = line.get(consumed..).unwrap_or_default();
            text.strip_prefix(b" ").unwrap_or(text)
        }
        _ => line,
    }
}

/// Shows `550 5.1.1 first line / second line` with the text escaped: control characters,
/// invisible direction marks and octets that are not UTF-8 appear as `\x..`.
impl fmt::Display for ReplyRef<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced() {
            write!(formatter, " {enhanced}")?;
        }
        let mut separator = " ";
        for line in self.text_lines().filter(|line| !line.is_empty()) {
            write!(formatter, "{separator}{}", Escaped(line))?;
            separator = " / ";
        }
        Ok(())
    }
}

/// Shows the same text as [`Display`](fmt::Display), in quotes.
impl fmt::Debug for ReplyRef<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\"{self}\"")
    }
}

/// An owned reply, as kept in reports and errors or sent by a server.
///
/// One allocation, whatever the number of lines; cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    code: ReplyCode,
    raw: Arc<[u8]>,
}

impl Reply {
    /// Builds a reply, for servers and tests.
    ///
    /// Each line of `text` becomes one line of the reply, with the enhanced code in front (RFC
    /// 2034 §4); an empty `text` gives one empty line. CR, LF and NUL in the text are replaced
    /// by blanks. An enhanced code is left out if its class is not the first digit of `code`,
    /// since RFC 2034 §4 does not allow it.
    pub fn new(code: ReplyCode, enhanced: Option<EnhancedCode>, text: &[&str]) -> Self {
        use core::fmt::Write as _;

        let text = if text.is_empty() { &[""] } else { text };
        let enhanced = enhanced.filter(|enhanced| u16::from(enhanced.class) == code.0 / 100);
        let length = text
            .iter()
            .map(|line| line.len() + "250-5.999.999 \r\n".len())
            .sum();
        let mut raw = WireText(Vec::with_capacity(length));
        let mut lines = text.iter().peekable();
        while let Some(line) = lines.next() {
            let separator = if lines.peek().is_some() { '-' } else { ' ' };
            // Writing to a vector never fails.
            let _ = write!(raw, "{code}{separator}");
            if let Some(enhanced) = enhanced {
                let _ = write!(raw, "{enhanced} ");
            }
            raw.0.extend(line.bytes().map(|octet| match octet {
                b'\r' | b'\n' | 0 => b' ',
                octet => octet,
            }));
            raw.0.extend_from_slice(b"\r\n");
        }
        Self {
            code,
            raw: raw.0.into(),
        }
    }

    /// Borrows the reply.
    pub fn as_ref(&self) -> ReplyRef<'_> {
        ReplyRef {
            code: self.code,
            raw: &self.raw,
            has_conflicting_codes: false,
        }
    }

    /// The code, which is the same on each line.
    pub fn code(&self) -> ReplyCode {
        self.code
    }

    /// The enhanced code, if there is one; see [`ReplyRef::enhanced`].
    pub fn enhanced(&self) -> Option<EnhancedCode> {
        self.as_ref().enhanced()
    }

    /// The lines without code, separator and line end; see [`ReplyRef::raw_lines`].
    pub fn raw_lines(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.as_ref().raw_lines()
    }

    /// The lines without the enhanced code; see [`ReplyRef::text_lines`].
    pub fn text_lines(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.as_ref().text_lines()
    }

    /// The reply as on the wire, each line with its line end.
    pub fn as_bytes(&self) -> &[u8] {
        &self.raw
    }

    /// The reply cut to at most `most` octets: whole lines are dropped, or the end of its only
    /// line.
    pub(crate) fn shortened(self, most: usize) -> Self {
        const LEAST: usize = "250 \r\n".len();

        if self.raw.len() <= most.max(LEAST) {
            return self;
        }
        let kept = self.raw.get(..most.max(LEAST)).unwrap_or(&self.raw);
        let mut raw = if let Some(end) = memchr::memrchr(b'\n', kept) {
            kept.get(..=end).unwrap_or(kept).to_vec()
        } else {
            let line = kept.get(..kept.len() - 2).unwrap_or_default();
            [line, b"\r\n"].concat()
        };
        let before_last = raw.len().saturating_sub(1);
        let last = raw
            .get(..before_last)
            .and_then(|raw| memchr::memrchr(b'\n', raw));
        let separator = last.map_or(0, |end| end + 1) + 3;
        if let Some(separator) = raw.get_mut(separator).filter(|octet| **octet == b'-') {
            *separator = b' ';
        }
        Self {
            code: self.code,
            raw: raw.into(),
        }
    }
}

struct WireText(Vec<u8>);

impl fmt::Write for WireText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Shows the reply as [`ReplyRef`] does.
impl fmt::Display for Reply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_ref(), formatter)
    }
}

/// Shows the same text as [`Display`](fmt::Display), in quotes.
impl fmt::Debug for Reply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.as_ref(), formatter)
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::{String, ToString};

    use proptest::prelude::*;

    use super::*;

    fn code(number: u16) -> ReplyCode {
        ReplyCode::new(number).expect("a valid code")
    }

    fn reply(wire: &[u8]) -> Reply {
        let mut reader = ReplyReader::new(ReplyLimits::default());
        reader
            .read(&mut &*wire)
            .expect("valid")
            .expect("whole")
            .to_owned()
    }

    #[test]
    fn each_code_has_its_class() {
        for number in 200..=599 {
            let (code, class) = (code(number), number / 100);
            assert_eq!(code.is_positive(), class == 2);
            assert_eq!(code.is_intermediate(), class == 3);
            assert_eq!(code.is_transient(), class == 4);
            assert_eq!(code.is_permanent(), class == 5);
            assert_eq!(code.is_negative(), class >= 4);
            let about_syntax = matches!(number, 400..=409 | 500..=509);
            assert_eq!(code.is_about_syntax(), about_syntax, "{number}");
            assert!(code == number && code != number + 1);
        }
    }

    #[test]
    fn a_long_reply_is_cut_to_whole_lines() {
        let shortened = |wire: &[u8], most| reply(wire).shortened(most);
        let three = b"250-one\r\n250-two\r\n250 three\r\n";
        for (most, left) in [
            (three.len(), &three[..]),
            (three.len() - 1, b"250-one\r\n250 two\r\n"),
            (18, b"250-one\r\n250 two\r\n"),
            (17, b"250 one\r\n"),
            (9, b"250 one\r\n"),
            (8, b"250-on\r\n"),
            (0, b"250-\r\n"),
        ] {
            let mut expected = left.to_vec();
            if most < 9 {
                // The end of the only line that is left is cut off.
                expected[3] = b' ';
            }
            assert_eq!(shortened(three, most).as_bytes(), expected, "{most}");
        }
        let one = b"250 a-b-c-d-e-f\r\n";
        assert_eq!(shortened(one, 12).as_bytes(), b"250 a-b-c-\r\n");
        assert_eq!(shortened(one, one.len()).as_bytes(), one);
    }

    #[test]
    fn codes_have_a_range_and_a_class() {
        assert_eq!(ReplyCode::new(199), None);
        assert_eq!(ReplyCode::new(600), None);
        assert!(code(250).is_positive() && !code(250).is_negative());
        assert!(code(354).is_intermediate() && !code(354).is_negative());
        assert!(code(421).is_transient() && code(421).is_negative());
        assert!(code(599).is_permanent() && code(599).is_negative());
    }

    #[test]
    fn enhanced_codes_are_parsed_exactly() {
        for (text, consumed) in [
            ("2.0.0", 5),
            ("5.1.1 no", 5),
            ("4.999.10: x", 8),
            ("5.7.1. x", 5),
        ] {
            let (parsed, length) = EnhancedCode::parse(text.as_bytes()).expect(text);
            assert_eq!(
                (parsed.to_string().as_str(), length),
                (&text[..consumed], consumed)
            );
        }
        for text in [
            "", "5", "5.", "5.1", "5.1.", "3.0.0", "5.1.1000", "5.01.1", "2.0.0.1", "2.0.0a",
            "5..1",
        ] {
            assert_eq!(EnhancedCode::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(EnhancedCode::new(5, 1000, 0), None);
        assert_eq!(EnhancedCode::new(1, 0, 0), None);
    }

    #[test]
    fn lines_lose_code_and_enhanced_code() {
        let reply = reply(b"550-5.1.1 one\r\n550-5.1.1\n550-5.7.1 three\r\n550\r\n");
        assert_eq!(reply.enhanced(), EnhancedCode::new(5, 1, 1));
        let raw: Vec<&[u8]> = reply.raw_lines().collect();
        assert_eq!(raw, [&b"5.1.1 one"[..], b"5.1.1", b"5.7.1 three", b""]);
        let text: Vec<&[u8]> = reply.text_lines().collect();
        assert_eq!(text, [&b"one"[..], b"", b"5.7.1 three", b""]);
        assert_eq!(reply.to_string(), "550 5.1.1 one / 5.7.1 three");
    }

    #[test]
    fn an_enhanced_code_of_another_class_is_text() {
        let reply = reply(b"250 5.1.1 odd\r\n");
        assert_eq!(reply.enhanced(), None);
        assert_eq!(reply.to_string(), "250 5.1.1 odd");
    }

    #[test]
    fn text_is_shown_escaped() {
        let reply = reply("250 gr\u{fc}n \x1b[31m\u{202e}\r\n".as_bytes());
        assert_eq!(
            format!("{reply:?}"),
            "\"250 gr\u{fc}n \\x1b[31m\\xe2\\x80\\xae\""
        );
        assert_eq!(
            self::reply(b"250 a\xff\rb\r\n").to_string(),
            "250 a\\xff\\x0db"
        );
        assert_eq!(self::reply(b"250\n").to_string(), "250");
    }

    #[test]
    fn builds_the_wire_form() {
        let enhanced = EnhancedCode::new(2, 1, 5);
        let reply = Reply::new(code(250), enhanced, &["a\r\nb", "c\0"]);
        assert_eq!(reply.as_bytes(), b"250-2.1.5 a  b\r\n250 2.1.5 c \r\n");
        assert_eq!(Reply::new(code(354), enhanced, &[]).as_bytes(), b"354 \r\n");
    }

    proptest! {
        #[test]
        fn a_built_reply_is_read_back(
            number in 200_u16..600,
            enhanced in prop::option::of((2_u8..6, 0_u16..1000, 0_u16..1000)),
            text in prop::collection::vec(any::<String>(), 0..4),
        ) {
            let enhanced = enhanced.and_then(|(class, subject, detail)| {
                EnhancedCode::new(class, subject, detail)
            });
            let text: Vec<&str> = text.iter().map(|line| &**line).collect();
            let built = Reply::new(code(number), enhanced, &text);
            let read = reply(built.as_bytes());
            prop_assert_eq!(&read, &built);
            prop_assert_eq!(read.raw_lines().count(), text.len().max(1));
            prop_assert!(!read.to_string().chars().any(char::is_control));
        }

        #[test]
        fn an_enhanced_code_survives_display(class in 2_u8..6, subject: u16, detail: u16) {
            if let Some(enhanced) = EnhancedCode::new(class, subject, detail) {
                let shown = enhanced.to_string();
                prop_assert_eq!(EnhancedCode::parse(shown.as_bytes()), Some((enhanced, shown.len())));
            }
        }
    }
}
