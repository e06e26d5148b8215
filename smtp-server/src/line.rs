//! Splitting of octets into lines, and storage for octets that must wait.
//!
//! Knows that a line ends only in CRLF (RFC 5321 §2.3.8), and its maximum length. Must never
//! know the meaning of a line.

use alloc::vec::Vec;

use memchr::memchr;

/// Why there is no valid line.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum LineError {
    /// The line was longer than allowed; its end has been read.
    TooLong,
    /// The line contains an LF without CR: two readers may disagree about its end.
    BareLineFeed,
}

/// Finds lines in input that is cut anywhere, reading each octet once.
#[derive(Debug)]
pub(crate) enum LineReader {
    /// The first `scanned` octets of the input are known to contain no LF.
    Seeking { scanned: usize },
    /// A line that is too long is skipped up to its CRLF.
    Skipping { after_cr: bool },
}

impl LineReader {
    pub(crate) fn new() -> Self {
        Self::Seeking { scanned: 0 }
    }

    /// Whether the next octet begins a line: no line is being skipped.
    pub(crate) fn is_at_start(&self) -> bool {
        matches!(self, Self::Seeking { .. })
    }

    /// Takes a line of at most `limit` octets, CRLF included, from the front of `input` and
    /// returns it without the CRLF. If there is no complete line, `input` is unchanged and must
    /// be passed again with more octets (skipped octets are gone).
    pub(crate) fn read<'a>(
        &mut self,
        input: &mut &'a [u8],
        limit: usize,
    ) -> Option<Result<&'a [u8], LineError>> {
        if let Self::Seeking { scanned } = *self {
            let candidates = &input[..input.len().min(limit)];
            let unseen = candidates.get(scanned..).unwrap_or_default();
            if let Some(offset) = memchr(b'\n', unseen) {
                let (line, rest) = input.split_at(scanned + offset);
                *input = rest.get(1..).unwrap_or_default();
                *self = Self::new();
                return Some(line.strip_suffix(b"\r").ok_or(LineError::BareLineFeed));
            }
            if candidates.len() < limit {
                *self = Self::Seeking {
                    scanned: candidates.len(),
                };
                return None;
            }
            *self = Self::Skipping { after_cr: false };
        }
        self.skip(input).then(|| {
            *self = Self::new();
            Err(LineError::TooLong)
        })
    }

    /// Skips octets up to a CRLF. Returns whether it was found.
    fn skip(&mut self, input: &mut &[u8]) -> bool {
        let Self::Skipping { after_cr } = self else {
            return false;
        };
        while let Some((&octet, rest)) = input.split_first() {
            *input = rest;
            if *after_cr && octet == b'\n' {
                return true;
            }
            *after_cr = octet == b'\r';
            if !*after_cr {
                let next = memchr(b'\r', input).unwrap_or(input.len());
                *input = &input[next..];
            }
        }
        false
    }
}

/// Input that cannot be processed yet: an incomplete line, or anything after an open question.
#[derive(Default)]
pub(crate) struct WaitingInput {
    octets: Vec<u8>,
    start: usize,
}

impl WaitingInput {
    pub(crate) fn as_slice(&self) -> &[u8] {
        self.octets.get(self.start..).unwrap_or_default()
    }

    pub(crate) fn append(&mut self, input: &[u8]) {
        // The cost of moving is covered by the octets taken since the last move.
        if self.start > self.octets.len() / 2 {
            self.octets.drain(..self.start);
            self.start = 0;
        }
        self.octets.extend_from_slice(input);
    }

    /// Drops all but the last `left` octets.
    pub(crate) fn retain_last(&mut self, left: usize) {
        self.start = self.octets.len().saturating_sub(left);
        if left == 0 {
            // A single flood must not keep a large buffer allocated.
            if self.octets.capacity() > 64 * 1024 {
                self.octets = Vec::new();
            }
            self.octets.clear();
            self.start = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(chunks: &[&[u8]], limit: usize) -> Vec<Result<Vec<u8>, LineError>> {
        let mut reader = LineReader::new();
        let mut waiting = WaitingInput::default();
        let mut lines = Vec::new();
        for chunk in chunks {
            waiting.append(chunk);
            let mut rest = waiting.as_slice();
            while let Some(line) = reader.read(&mut rest, limit) {
                lines.push(line.map(<[u8]>::to_vec));
            }
            let left = rest.len();
            waiting.retain_last(left);
            assert!(left < limit);
        }
        lines
    }

    #[test]
    fn only_crlf_ends_a_line() {
        assert_eq!(
            lines(&[b"a\r\n\r\nb\rc\r\n\rd\ne\r\r\nf"], 10),
            [
                Ok(b"a".to_vec()),
                Ok(b"".to_vec()),
                Ok(b"b\rc".to_vec()),
                Err(LineError::BareLineFeed),
                Ok(b"e\r".to_vec()),
            ]
        );
    }

    #[test]
    fn the_limit_counts_the_line_end() {
        assert_eq!(lines(&[b"abc\r\n"], 5), [Ok(b"abc".to_vec())]);
        assert_eq!(
            lines(&[b"abcd\r\n\r\nabcdefg\n\r\r\nx\r\n"], 5),
            [
                Err(LineError::TooLong),
                Ok(b"".to_vec()),
                Err(LineError::TooLong),
                Ok(b"x".to_vec()),
            ]
        );
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(
            text in "[a\r\n]{0,40}",
            limit in 2..8_usize,
            size in 1..9_usize,
        ) {
            let chunks: Vec<_> = text.as_bytes().chunks(size).collect();
            prop_assert_eq!(lines(&chunks, limit), lines(&[text.as_bytes()], limit));
        }
    }
}
