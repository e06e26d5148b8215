//! The content of a message as the caller provides it, and the facts that decide how it may be
//! sent.
//!
//! Knows octets and line ends. Must never know about envelopes, capabilities or the session:
//! other modules decide whether a fact is a problem. Content is never copied; octets that the
//! encoding adds go between slices of the caller's buffer.

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
pub use scan::{BodyFacts, BodyScanner};

/// The content to send: an RFC 5322 message, or any other content that the recipient expects, as
/// octets in memory.
///
/// The octets are scanned once for their [`BodyFacts`] (a few passes at memory speed). Cheap to
/// clone: the octets are shared.
///
/// The server receives the octets unchanged, except for line ends (see [`LineEnds`]) and a
/// final CRLF where `DATA` needs one (RFC 5321 §4.1.1.4).
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
    facts: BodyFacts,
}

impl Body {
    /// The facts about the octets.
    pub fn facts(&self) -> &BodyFacts {
        &self.facts
    }

    /// The octets as given.
    pub fn bytes(&self) -> &Bytes {
        &self.octets
    }
}

/// Shows the facts about the content, not the content.
impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Body").field(&self.facts).finish()
    }
}

/// The content of a message that is given to a session: a [`Body`], or the declaration of a
/// stream.
///
/// The caller gives the octets of a stream piece by piece, when `Event::BodyWanted` asks for them.
/// The client holds only a window of the content, however long it is. The client cannot look at
/// the octets beforehand: it requests only those extensions of the server that the declaration
/// names (such as 8BITMIME for 8-bit content).
#[derive(Clone, Debug)]
pub enum BodySource {
    /// Octets in memory.
    Whole(Body),
    /// A stream, whose octets are given later.
    Stream(StreamFacts),
}

impl BodySource {
    /// The facts about content in memory; `None` for a stream.
    pub fn facts(&self) -> Option<&BodyFacts> {
        match self {
            Self::Whole(body) => Some(body.facts()),
            Self::Stream(_) => None,
        }
    }

    /// The octets as given; `None` for a stream.
    pub fn bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Whole(body) => Some(body.bytes()),
            Self::Stream(_) => None,
        }
    }

    /// The declaration of a stream; `None` for content in memory.
    pub fn stream_facts(&self) -> Option<&StreamFacts> {
        match self {
            Self::Whole(_) => None,
            Self::Stream(declaration) => Some(declaration),
        }
    }

    /// The facts about content in memory, or about a stream that was scanned beforehand.
    pub(crate) fn facts_or_measured(&self) -> Option<&BodyFacts> {
        match self {
            Self::Whole(body) => Some(body.facts()),
            Self::Stream(declaration) => declaration.measured.as_ref(),
        }
    }

    /// The length of the longest line, without its line end (CRLF, CR or LF). Computed at each
    /// call for content in memory; `None` for a stream that was not scanned.
    pub fn longest_line(&self) -> Option<u64> {
        match self {
            Self::Whole(body) => Some(scan::longest_line(&body.octets)),
            Self::Stream(declaration) => declaration.longest_line,
        }
    }

    /// Whether the body is a stream, whose octets are given later.
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
        let facts = BodyFacts::of(&octets);
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

/// The properties that the caller declares of a streamed body.
///
/// The declaration is a promise: the client requests the declared extensions from the server
/// and does not check the octets that follow against the declaration.
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
    /// The approximate number of octets, for `SIZE=` (RFC 1870 §6 allows an estimate,
    /// preferably too high).
    pub size_hint: Option<u64>,
    /// The content holds octets above 127: `BODY=8BITMIME` (RFC 6152).
    pub eight_bit: bool,
    /// The header section holds UTF-8: `SMTPUTF8` (RFC 6531).
    pub smtp_utf8: bool,
    /// The content is not text in lines: `BODY=BINARYMIME` (RFC 3030 §3), which leaves every
    /// octet unchanged, line ends included.
    pub binary: bool,
    /// The length of the longest line, without its line end. RFC 5321 §4.5.3.1.6 guarantees
    /// 998.
    pub longest_line: Option<u64>,
    /// The facts found by a [`BodyScanner`] of the whole content beforehand.
    pub measured: Option<BodyFacts>,
}

impl StreamFacts {
    /// Sets the approximate number of octets.
    #[must_use]
    pub fn size_hint(mut self, octets: u64) -> Self {
        self.size_hint = Some(octets);
        self
    }

    /// Sets whether the content holds octets above 127.
    #[must_use]
    pub fn eight_bit(mut self, eight_bit: bool) -> Self {
        self.eight_bit = eight_bit;
        self
    }

    /// Sets whether the header section holds UTF-8.
    #[must_use]
    pub fn smtp_utf8(mut self, smtp_utf8: bool) -> Self {
        self.smtp_utf8 = smtp_utf8;
        self
    }

    /// Sets the length of the longest line, in octets without its line end.
    #[must_use]
    pub fn longest_line(mut self, octets: u64) -> Self {
        self.longest_line = Some(octets);
        self
    }

    /// Sets the facts that a scan of the whole content found beforehand, with
    /// [`BodyFacts`]. By default nothing is known.
    ///
    /// The content is not checked against the facts: a declaration of 8-bit content or of its size
    /// that does not fit is sent as given here.
    #[must_use]
    pub fn measured(mut self, facts: BodyFacts) -> Self {
        self.measured = Some(facts);
        self
    }

    /// Sets whether the content is something other than text in lines.
    #[must_use]
    pub fn binary(mut self, binary: bool) -> Self {
        self.binary = binary;
        self
    }
}

/// What happens to a CR without LF, or an LF without CR, in a message.
///
/// Neither is ever sent with `DATA` (RFC 5321 §2.3.8): a server that ends the data at a bare LF
/// lets an attacker smuggle a second message inside the first.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum LineEnds {
    /// Each is sent as CRLF.
    #[default]
    Normalize,
    /// The message is refused before anything is sent.
    Refuse,
}

/// Runs of content shorter than this are copied: an `iovec` and a reference count cost more
/// than copying a few hundred octets.
pub(crate) const SHORT: usize = 512;

/// A piece of encoded content.
#[derive(Clone, Debug)]
pub(crate) enum Segment<'a> {
    /// A slice of the caller's buffer.
    Slice(Bytes),
    /// Octets to copy: a short run of the content, or what the encoding adds.
    Text(&'a [u8]),
}

impl Segment<'_> {
    /// The number of octets in the segment.
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
            assert_eq!(body.facts(), Some(&BodyFacts::of(b"a\n")));
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
    fn a_stream_has_the_declared_facts() {
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
    fn debug_does_not_show_content() {
        let shown = format!("{:?}", Body::from("confidential"));
        assert!(!shown.contains("confidential"));
        assert!(shown.contains("octets: 12"));
    }
}
