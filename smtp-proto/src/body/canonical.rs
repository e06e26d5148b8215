//! Text as it follows `BDAT` (RFC 3030 §2): CRLF line ends, and nothing else
//! changed or added, so that the octets announced are the octets sent.
//!
//! Must never see binary content (`BODY=BINARYMIME`), which goes out as it is.

use bytes::Bytes;

use super::Segment;
use super::lines::{LineEncoder, Mending};

/// Mends the line ends of one message, chunk by chunk.
#[derive(Debug)]
pub(crate) struct CanonicalEncoder(LineEncoder);

impl CanonicalEncoder {
    pub(crate) fn new() -> Self {
        Self(LineEncoder::new(Mending::LineEnds))
    }

    /// Encodes from the front of `chunk`, which is advanced, until it is empty
    /// or about `window` octets or 1,024 segments were given; each call makes
    /// progress. A CR at the end is held until its successor or the end comes.
    pub(crate) fn encode(
        &mut self,
        chunk: &mut Bytes,
        window: usize,
        push: &mut impl FnMut(Segment<'_>),
    ) {
        self.0.encode(chunk, window, push);
    }

    /// The end of the content: all together it was
    /// [`Facts::canonical_octets`](crate::Facts::canonical_octets).
    pub(crate) fn finish(&mut self, push: &mut impl FnMut(Segment<'_>)) {
        self.0.finish(push);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Facts;
    use super::super::lines::tests::{append, cut_content, gather, normalised};
    use super::*;

    proptest! {
        #[test]
        fn line_ends_are_mended_and_counted((chunks, window) in cut_content()) {
            let mut encoder = CanonicalEncoder::new();
            let mut all = gather(&chunks, window, |chunk, window, mut push| {
                encoder.encode(chunk, window, &mut push);
            });
            encoder.finish(&mut |segment| append(&mut all, &segment));
            let content = chunks.concat();
            prop_assert_eq!(all.len() as u64, Facts::of(&content).canonical_octets());
            prop_assert_eq!(all, normalised(&content));
        }
    }
}
