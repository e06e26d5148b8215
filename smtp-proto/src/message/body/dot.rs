//! The encoding of content for `DATA`: dot-stuffing, CRLF line ends and the final dot (RFC 5321
//! §4.5.2, §4.1.1.4), produced lazily.
//!
//! Must never know how the segments reach the socket.

use bytes::Bytes;

use super::lines::{LineEncoder, LineTransform};
use super::{BodyFacts, Segment};

/// Encodes one message, chunk by chunk.
#[derive(Debug)]
pub(crate) struct DotEncoder(LineEncoder);

impl DotEncoder {
    /// Creates an encoder for content whose facts are unknown.
    pub(crate) fn new() -> Self {
        Self(LineEncoder::new(LineTransform::LineEndsAndDots))
    }

    /// Creates an encoder for content with known facts; it skips the search for anything that
    /// the facts exclude. Facts of other content lead to wrong output.
    pub(crate) fn with_facts(facts: &BodyFacts) -> Self {
        let transform = match (facts.is_canonical(), facts.leading_dot) {
            (true, false) => LineTransform::Unchanged,
            (true, true) => LineTransform::Dots,
            (false, _) => LineTransform::LineEndsAndDots,
        };
        Self(LineEncoder::new(transform))
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

    /// Encodes the end of the content: a CRLF if the content does not end in one, then the
    /// final dot. For empty content this is a lone dot.
    pub(crate) fn finish(&mut self, push: &mut impl FnMut(Segment<'_>)) {
        let at_line_start = self.0.finish(push);
        push(Segment::Text(if at_line_start {
            b".\r\n"
        } else {
            b"\r\n.\r\n"
        }));
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::super::lines::tests::{append, cut_content, gather, has_lone_line_end, normalised};
    use super::*;

    fn encode(mut encoder: DotEncoder, chunks: &[Bytes], window: usize) -> Vec<u8> {
        let mut all = gather(chunks, window, |chunk, window, mut push| {
            encoder.encode(chunk, window, &mut push);
        });
        encoder.finish(&mut |segment| append(&mut all, &segment));
        all
    }

    /// Decodes as a receiver does: returns the content, and the octets that follow its end.
    fn decode(encoded: &[u8]) -> (Vec<u8>, &[u8]) {
        let mut content = Vec::new();
        let mut rest = encoded;
        loop {
            let end = rest.windows(2).position(|pair| pair == b"\r\n");
            let (line, after) = rest.split_at(end.expect("a line end") + 2);
            rest = after;
            if line == b".\r\n" {
                return (content, rest);
            }
            content.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        }
    }

    #[test]
    fn encodes_as_the_rfc_shows() {
        for (content, encoded) in [
            ("", ".\r\n"),
            ("a", "a\r\n.\r\n"),
            ("a\r\n", "a\r\n.\r\n"),
            (".", "..\r\n.\r\n"),
            (".\r\n", "..\r\n.\r\n"),
            ("\r\n.\r\n", "\r\n..\r\n.\r\n"),
            ("a\r\n.b\r\n..c\r\n", "a\r\n..b\r\n...c\r\n.\r\n"),
            ("a.b\r\nc.", "a.b\r\nc.\r\n.\r\n"),
            ("a\n.\n", "a\r\n..\r\n.\r\n"),
            ("a\r.\r", "a\r\n..\r\n.\r\n"),
            ("a\n\n.b", "a\r\n\r\n..b\r\n.\r\n"),
            ("a\r\r\n.", "a\r\n..\r\n.\r\n"),
            ("a\r\r.", "a\r\n\r\n..\r\n.\r\n"),
            ("\r", "\r\n.\r\n"),
            ("\n", "\r\n.\r\n"),
        ] {
            let content = Bytes::from_static(content.as_bytes());
            for window in [0, 1, 2, 3, 1_000] {
                let all = encode(DotEncoder::new(), core::slice::from_ref(&content), window);
                assert_eq!(all, encoded.as_bytes(), "{content:?}");
            }
        }
    }

    #[test]
    fn long_runs_of_the_content_are_not_copied() {
        let lines = b"one line after the other\r\n".repeat(1_000);
        let content = Bytes::from([&lines[..], b".two\r\n", &lines].concat());
        let range = content.as_ptr_range();
        let mut encoder = DotEncoder::with_facts(&BodyFacts::of(&content));
        let mut slices = 0;
        encoder.encode(&mut content.clone(), usize::MAX, &mut |segment| {
            if let Segment::Slice(slice) = segment {
                assert!(range.contains(&slice.as_ptr()));
                slices += 1;
            }
        });
        assert_eq!(slices, 2);
    }

    #[test]
    fn an_encoder_can_be_used_again() {
        let mut encoder = DotEncoder::new();
        for _ in 0..2 {
            let mut all = Vec::new();
            let push = &mut |segment: Segment<'_>| append(&mut all, &segment);
            encoder.encode(&mut Bytes::from_static(b".a\r"), 10, push);
            encoder.finish(push);
            assert_eq!(all, b"..a\r\n.\r\n");
        }
    }

    proptest! {
        #[test]
        fn the_receiver_decodes_the_given_content((chunks, window) in cut_content()) {
            let content = chunks.concat();
            let encoded = encode(DotEncoder::new(), &chunks, window);
            let mut expected = normalised(&content);
            if !expected.is_empty() && !expected.ends_with(b"\r\n") {
                expected.extend_from_slice(b"\r\n");
            }
            prop_assert_eq!(decode(&encoded), (expected, &b""[..]));
            prop_assert!(!has_lone_line_end(&encoded));
            let whole = encode(DotEncoder::new(), &[content.into()], 100_000);
            prop_assert_eq!(encoded, whole);
        }

        #[test]
        fn the_fast_path_agrees((chunks, window) in cut_content(), size in 1..9_usize) {
            let content = Bytes::from(normalised(&chunks.concat()));
            prop_assert!(BodyFacts::of(&content).is_canonical());
            let facts = BodyFacts::of(&content);
            let chunks: Vec<_> = content.chunks(size).map(Bytes::copy_from_slice).collect();
            prop_assert_eq!(
                encode(DotEncoder::with_facts(&facts), &chunks, window),
                encode(DotEncoder::new(), &[content], 100_000)
            );
        }
    }
}
