//! Content that is given piece by piece while it is sent, and what is known of it beforehand.
//!
//! Must never know what gives the pieces, nor how they are waited for.

use postwire_proto::StreamFacts;

/// Content that is not at hand: its pieces, and what is declared of them.
///
/// The pieces are an iterator on the blocking adapter and a stream on the async ones, of
/// `io::Result<Bytes>`: each adapter's `chunks` makes them of a reader. What is not declared
/// (8-bit content, for one) is not asked of the server.
///
/// ```
/// use postwire_transport::StreamBody;
///
/// # let pieces = std::iter::empty::<std::io::Result<bytes::Bytes>>();
/// let body = StreamBody::new(pieces).size_hint(1 << 30).eight_bit(true);
/// ```
///
/// It is not a [`Body`](crate::proto::Body), and nothing that takes one takes a stream:
///
/// ```compile_fail
/// use postwire_transport::{StreamBody, proto::Body};
///
/// let body: Body = StreamBody::new(std::iter::empty::<()>()).into();
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct StreamBody<C> {
    facts: StreamFacts,
    chunks: C,
}

impl<C> StreamBody<C> {
    /// Content of 7-bit text, of any length.
    pub fn new(chunks: C) -> Self {
        let facts = StreamFacts::default();
        Self { facts, chunks }
    }

    /// Declares all that is known, in place of what was declared before: of content that was
    /// [surveyed](crate::proto::Survey), for one.
    pub fn facts(mut self, facts: StreamFacts) -> Self {
        self.facts = facts;
        self
    }

    /// Declares about how many octets there will be: [`StreamFacts::size_hint`].
    pub fn size_hint(mut self, octets: u64) -> Self {
        self.facts = self.facts.size_hint(octets);
        self
    }

    /// Declares whether there are octets above 127.
    pub fn eight_bit(mut self, eight_bit: bool) -> Self {
        self.facts = self.facts.eight_bit(eight_bit);
        self
    }

    /// Declares whether the header section holds UTF-8.
    pub fn smtp_utf8(mut self, smtp_utf8: bool) -> Self {
        self.facts = self.facts.smtp_utf8(smtp_utf8);
        self
    }

    /// Declares whether the content is something else than text in lines.
    pub fn binary(mut self, binary: bool) -> Self {
        self.facts = self.facts.binary(binary);
        self
    }

    /// What was declared, and the pieces.
    pub fn into_parts(self) -> (StreamFacts, C) {
        (self.facts, self.chunks)
    }
}
