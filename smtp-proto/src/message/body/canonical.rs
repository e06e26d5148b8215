//! The encoding of text for `BDAT` (RFC 3030 §2): line ends become CRLF and nothing else is
//! changed or added, so that the announced octets are the octets sent.
//!
//! Must never see binary content (`BODY=BINARYMIME`), which is sent unchanged.

use bytes::Bytes;

use super::Segment;
use super::lines::{LineEncoder, LineTransform};

/// Normalises the line ends of one message, chunk by chunk.
#[derive(Debug)]
pub(crate) struct CanonicalEncoder(LineEncoder);

impl CanonicalEncoder {
    pub(crate) fn new() -> Self {
        Self(LineEncoder::new(LineTransform::LineEnds))
    }

    /// Encodes from the front of `chunk`, and advances it, until it is empty or about `window`
    /// octets or 1,024 segments are produced. Each call makes progress. A CR at the end is held
    /// until the next octet or the end arrives.
    pub(crate) fn encode(
        &mut self,
        chunk: &mut Bytes,
        window: usize,
        push: &mut impl FnMut(Segment<'_>),
    ) {
        self.0.encode(chunk, window, push);
    }

    /// Encodes the end of the content. The total is then
    /// [`BodyFacts::canonical_octets`](crate::BodyFacts::canonical_octets).
    pub(crate) fn finish(&mut self, push: &mut impl FnMut(Segment<'_>)) {
        self.0.finish(push);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::BodyFacts;
    use super::super::lines::tests::{append, cut_content, gather, normalised};
    use super::*;

    proptest! {
        #[test]
        fn line_ends_are_normalised_and_counted((chunks, window) in cut_content()) {
            let mut encoder = CanonicalEncoder::new();
            let mut all = gather(&chunks, window, |chunk, window, mut push| {
                encoder.encode(chunk, window, &mut push);
            });
            encoder.finish(&mut |segment| append(&mut all, &segment));
            let content = chunks.concat();
            prop_assert_eq!(all.len() as u64, BodyFacts::of(&content).canonical_octets());
            prop_assert_eq!(all, normalised(&content));
        }
    }
}
