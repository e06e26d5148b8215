//! Content that is read piece by piece while it is sent, and the facts declared about it.
//!
//! Must never know where the pieces come from, nor how to wait for them.

use postwire_proto::StreamFacts;

/// Content that is not in memory: its pieces, and the facts declared about it.
///
/// The pieces are `io::Result<Bytes>`, from an iterator with the blocking adapter and from a
/// stream with the async adapters. The function `chunks` of each adapter creates them from a
/// reader. A fact that is not declared, such as 8-bit content, is not announced to the server.
///
/// ```
/// use postwire_transport::StreamBody;
///
/// # let pieces = std::iter::empty::<std::io::Result<bytes::Bytes>>();
/// let body = StreamBody::new(pieces).size_hint(1 << 30).eight_bit(true);
/// ```
///
/// A `StreamBody` is not a [`Body`](crate::proto::Body), and a method that takes a `Body` does
/// not take a stream:
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
    /// Creates a stream that is declared as 7-bit text of unknown length.
    pub fn new(chunks: C) -> Self {
        let facts = StreamFacts::default();
        Self { facts, chunks }
    }

    /// Declares all facts and replaces earlier declarations. The facts may come from a
    /// [`BodyScanner`](crate::proto::BodyScanner) of the content.
    pub fn facts(mut self, facts: StreamFacts) -> Self {
        self.facts = facts;
        self
    }

    /// Declares the approximate number of octets: [`StreamFacts::size_hint`].
    pub fn size_hint(mut self, octets: u64) -> Self {
        self.facts = self.facts.size_hint(octets);
        self
    }

    /// Declares whether the content has octets above 127.
    pub fn eight_bit(mut self, eight_bit: bool) -> Self {
        self.facts = self.facts.eight_bit(eight_bit);
        self
    }

    /// Declares whether the header section contains UTF-8.
    pub fn smtp_utf8(mut self, smtp_utf8: bool) -> Self {
        self.facts = self.facts.smtp_utf8(smtp_utf8);
        self
    }

    /// Declares whether the content is binary rather than lines of text.
    pub fn binary(mut self, binary: bool) -> Self {
        self.facts = self.facts.binary(binary);
        self
    }

    /// Returns the declared facts and the pieces.
    pub fn into_parts(self) -> (StreamFacts, C) {
        (self.facts, self.chunks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_declaration_is_about_one_fact() {
        let facts = |body: StreamBody<()>| body.into_parts().0;
        let with = |change: fn(&mut StreamFacts)| {
            let mut facts = StreamFacts::default();
            change(&mut facts);
            facts
        };
        let body = || StreamBody::new(());
        assert_eq!(facts(body()), StreamFacts::default());
        let declared = [
            (body().size_hint(7), with(|facts| facts.size_hint = Some(7))),
            (body().eight_bit(true), with(|facts| facts.eight_bit = true)),
            (body().smtp_utf8(true), with(|facts| facts.smtp_utf8 = true)),
            (body().binary(true), with(|facts| facts.binary = true)),
            // All of them are replaced.
            (
                body()
                    .binary(true)
                    .facts(with(|facts| facts.eight_bit = true)),
                with(|facts| facts.eight_bit = true),
            ),
        ];
        for (body, expected) in declared {
            assert_eq!(facts(body), expected);
        }
    }
}
