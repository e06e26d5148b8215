//! The content of a message, as the caller gave it, and the facts that decide
//! how it may travel.
//!
//! Knows octets and line ends. Must never know about envelopes, capabilities or
//! the session: whether a fact is a problem is decided elsewhere. Content is
//! never copied; what is added to it lies between slices of the caller's buffer.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

mod canonical;
mod dot;
mod lines;
mod scan;

pub(crate) use canonical::CanonicalEncoder;
pub(crate) use dot::DotEncoder;
pub use scan::{Facts, Survey};

/// What to send: an RFC 5322 message, or whatever else the recipient expects, as octets that
/// are at hand.
///
/// Scanned once for its [`Facts`] (a few passes at memory speed). Cheap to clone: the octets
/// are shared.
///
/// The server receives the octets that are given here, but for line ends (see
/// [`LineEnds`]) and a final CRLF where `DATA` needs one (RFC 5321 §4.1.1.4).
///
/// ```
/// use postwire_proto::Body;
///
/// let body = Body::from("Subject: hello\n\nGr\u{fc}\u{df}e\n");
/// let facts = body.facts();
/// assert_eq!((facts.lone_lf, facts.eight_bit, facts.utf8_header), (3, true, false));
/// ```
#[derive(Clone)]
pub struct Body {
    octets: Bytes,
    facts: Facts,
}

impl Body {
    /// What is known of the octets.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The octets, as given.
    pub fn bytes(&self) -> &Bytes {
        &self.octets
    }
}

/// Shows what is known of the content, not the content.
impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Body").field(&self.facts).finish()
    }
}

/// The content of a message that is given to a session: a [`Body`], or the declaration of a
/// stream.
///
/// The octets of a stream are given piece by piece, asked for by `Event::BodyWanted`. However
/// long it is, only a window of it is held. Nobody can look at its octets beforehand: what is
/// not declared (8-bit content, for one) is not asked of the server.
#[derive(Clone, Debug)]
pub enum BodySource {
    /// The octets are at hand.
    Whole(Body),
    /// The octets are still to come.
    Stream(StreamFacts),
}

impl BodySource {
    /// What is known of the octets; `None` for a stream.
    pub fn facts(&self) -> Option<&Facts> {
        match self {
            Self::Whole(body) => Some(body.facts()),
            Self::Stream(_) => None,
        }
    }

    /// The octets, as given; `None` for a stream.
    pub fn bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Whole(body) => Some(body.bytes()),
            Self::Stream(_) => None,
        }
    }

    /// What was declared of a stream; `None` where the octets are at hand.
    pub fn stream_facts(&self) -> Option<&StreamFacts> {
        match self {
            Self::Whole(_) => None,
            Self::Stream(declaration) => Some(declaration),
        }
    }

    /// The facts, whether found in octets at hand or in those of a stream that was
    /// surveyed beforehand.
    pub(crate) fn known_facts(&self) -> Option<&Facts> {
        match self {
            Self::Whole(body) => Some(body.facts()),
            Self::Stream(declaration) => declaration.surveyed.as_ref(),
        }
    }

    /// The longest line, its line end (CRLF, CR or LF) not counted; looked for now
    /// where the octets are at hand, `None` of a stream that was not surveyed.
    pub fn longest_line(&self) -> Option<u64> {
        match self {
            Self::Whole(body) => Some(scan::longest_line(&body.octets)),
            Self::Stream(declaration) => declaration.longest_line,
        }
    }

    /// Whether the octets are still to come.
    pub fn is_stream(&self) -> bool {
        matches!(self, Self::Stream(_))
    }
}

impl From<StreamFacts> for BodySource {
    fn from(declaration: StreamFacts) -> Self {
        Self::Stream(declaration)
    }
}

impl<B: Into<Body>> From<B> for BodySource {
    fn from(body: B) -> Self {
        Self::Whole(body.into())
    }
}

impl From<Bytes> for Body {
    fn from(octets: Bytes) -> Self {
        let facts = Facts::of(&octets);
        Self { octets, facts }
    }
}

impl From<Vec<u8>> for Body {
    fn from(octets: Vec<u8>) -> Self {
        Bytes::from(octets).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl From<&'static [u8]> for Body {
    fn from(octets: &'static [u8]) -> Self {
        Bytes::from_static(octets).into()
    }
}

impl<const N: usize> From<&'static [u8; N]> for Body {
    fn from(octets: &'static [u8; N]) -> Self {
        Bytes::from_static(octets).into()
    }
}

/// What is declared of content that is given as a stream.
///
/// The declaration is a promise: the client asks the server for what is
/// declared and does not check it against the octets that follow.
///
/// ```
/// use postwire_proto::{BodySource, StreamFacts};
///
/// let body = BodySource::from(StreamFacts::default().size_hint(1 << 30).eight_bit(true));
/// assert!(body.is_stream());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamFacts {
    /// About how many octets there will be, for `SIZE=` (RFC 1870 §6: an
    /// estimate will do, and should rather be too high).
    pub size_hint: Option<u64>,
    /// The content holds octets above 127: `BODY=8BITMIME` (RFC 6152).
    pub eight_bit: bool,
    /// The header section holds UTF-8: `SMTPUTF8` (RFC 6531).
    pub smtp_utf8: bool,
    /// The content is not text in lines: `BODY=BINARYMIME` (RFC 3030 §3), which
    /// leaves every octet, line ends too, as it is.
    pub binary: bool,
    /// The longest line, its line end not counted. RFC 5321 §4.5.3.1.6 guarantees
    /// 998.
    pub longest_line: Option<u64>,
    /// All of it was looked at beforehand: [`Survey`].
    pub surveyed: Option<Facts>,
}

impl StreamFacts {
    /// Declares about how many octets there will be.
    #[must_use]
    pub fn size_hint(mut self, octets: u64) -> Self {
        self.size_hint = Some(octets);
        self
    }

    /// Declares whether there are octets above 127.
    #[must_use]
    pub fn eight_bit(mut self, eight_bit: bool) -> Self {
        self.eight_bit = eight_bit;
        self
    }

    /// Declares whether the header section holds UTF-8.
    #[must_use]
    pub fn smtp_utf8(mut self, smtp_utf8: bool) -> Self {
        self.smtp_utf8 = smtp_utf8;
        self
    }

    /// Declares whether the content is something else than text in lines.
    #[must_use]
    pub fn binary(mut self, binary: bool) -> Self {
        self.binary = binary;
        self
    }
}

/// What becomes of a CR without LF or an LF without CR in a message.
///
/// Neither ever goes out through `DATA` (RFC 5321 §2.3.8): servers that end the
/// data at a bare LF let a second message be smuggled in the first.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum LineEnds {
    /// Each is sent as CRLF.
    #[default]
    Normalize,
    /// The message is refused before anything is sent.
    Refuse,
}

/// Runs of content shorter than this are copied beside their neighbours: an `iovec`
/// and a reference count cost more than a few hundred octets do.
pub(crate) const SHORT: usize = 512;

/// A piece of encoded content.
#[derive(Clone, Debug)]
pub(crate) enum Segment<'a> {
    /// A slice of the caller's buffer.
    Slice(Bytes),
    /// To be copied: a short run of it, or what the encoding adds.
    Text(&'a [u8]),
}

impl Segment<'_> {
    /// How many octets it is.
    pub(crate) fn octets(&self) -> usize {
        match self {
            Self::Slice(slice) => slice.len(),
            Self::Text(text) => text.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;

    use super::*;

    #[test]
    fn every_source_is_scanned_and_shared() {
        let octets = Bytes::from_static(b"a\n");
        for body in [
            BodySource::from(octets.clone()),
            BodySource::from(vec![b'a', b'\n']),
            BodySource::from(String::from("a\n")),
            BodySource::from("a\n"),
            BodySource::from(&b"a\n"[..]),
            BodySource::from(b"a\n"),
        ] {
            assert_eq!(body.bytes(), Some(&octets));
            assert_eq!(body.facts(), Some(&Facts::of(b"a\n")));
            assert_eq!(body.stream_facts(), None);
            assert!(!body.is_stream());
        }
        let body = BodySource::from(octets.clone());
        let shared = body.clone();
        assert_eq!(
            shared.bytes().map(|octets| octets.as_ptr()),
            Some(octets.as_ptr())
        );
    }

    #[test]
    fn a_stream_is_what_was_declared() {
        let declaration = StreamFacts::default()
            .size_hint(7)
            .eight_bit(true)
            .smtp_utf8(true)
            .binary(true);
        let body = BodySource::from(declaration.clone());
        assert_eq!(body.stream_facts(), Some(&declaration));
        assert_eq!((body.facts(), body.bytes()), (None, None));
        assert!(body.is_stream());
    }

    #[test]
    fn content_is_not_shown() {
        let shown = format!("{:?}", Body::from("confidential"));
        assert!(!shown.contains("confidential"));
        assert!(shown.contains("octets: 12"));
    }
}
