//! The content of a message as it arrives: collected up to a limit, with dot-stuffing removed
//! (RFC 5321 §4.5.2).
//!
//! Strict where attacks happen: the data ends only at CRLF "." CRLF, and content with a lone CR
//! or LF is refused once it has ended. Must never know whose message it is.

use alloc::vec::Vec;

use bytes::Bytes;
use memchr::memmem::Finder;
use postwire_proto::BodyFacts;

use crate::default_reply::{self, DefaultReply};

/// The content collected so far; dropped as soon as it is too large.
#[derive(Debug)]
pub(crate) enum Content {
    Gathered { octets: Vec<u8>, limit: usize },
    TooLarge,
}

impl Content {
    pub(crate) fn new(limit: usize) -> Self {
        Self::Gathered {
            octets: Vec::new(),
            limit,
        }
    }

    pub(crate) fn is_too_large(&self) -> bool {
        matches!(self, Self::TooLarge)
    }

    pub(crate) fn append(&mut self, more: &[u8]) {
        let Self::Gathered { octets, limit } = self else {
            return;
        };
        let needed = octets.len().saturating_add(more.len());
        if needed > *limit {
            *self = Self::TooLarge;
            return;
        }
        if needed > octets.capacity() {
            // The capacity doubles as in a vector, but never exceeds the limit.
            let capacity = octets.capacity().saturating_mul(2).min(*limit).max(needed);
            octets.reserve_exact(capacity - octets.len());
        }
        octets.extend_from_slice(more);
    }

    /// The content, or the reply that refuses it. `binary` content may contain any octets (RFC
    /// 3030 §3).
    pub(crate) fn finish(self, binary: bool) -> Result<Bytes, DefaultReply> {
        match self {
            Self::TooLarge => Err(default_reply::TOO_LARGE),
            Self::Gathered { octets, .. } if binary => Ok(octets.into()),
            Self::Gathered { octets, .. } => match BodyFacts::of(&octets) {
                facts if facts.is_canonical() => Ok(octets.into()),
                facts if facts.lone_lf > 0 => Err(default_reply::BARE_LINE_FEED_IN_CONTENT),
                _ => Err(default_reply::BARE_CARRIAGE_RETURN_IN_CONTENT),
            },
        }
    }
}

/// Reads the content after `354` up to the final dot.
#[derive(Debug)]
pub(crate) struct DotDecoder {
    content: Content,
    position: Position,
    /// Searches for a dot at the start of a line.
    finder: Finder<'static>,
}

/// The position of the next octet. Only CRLF starts a line.
#[derive(Copy, Clone, Debug)]
enum Position {
    LineStart,
    /// After a dot at the start of a line, which was removed.
    AfterDot,
    /// After a removed dot and a CR, which has not been stored yet.
    AfterDotCr,
    Inside,
    AfterCr,
}

impl DotDecoder {
    pub(crate) fn new(content: Content) -> Self {
        Self {
            content,
            position: Position::LineStart,
            finder: Finder::new(b"\r\n."),
        }
    }

    /// Reads content from the front of `input`. Returns whether the content has ended: `input`
    /// then starts after its end, and otherwise is empty.
    pub(crate) fn read(&mut self, input: &mut &[u8]) -> bool {
        while let Some((&octet, rest)) = input.split_first() {
            self.position = match (self.position, octet) {
                (Position::LineStart, b'.') => {
                    *input = rest;
                    Position::AfterDot
                }
                (Position::AfterDot, b'\r') => {
                    *input = rest;
                    Position::AfterDotCr
                }
                (Position::AfterDotCr, b'\n') => {
                    *input = rest;
                    return true;
                }
                (Position::AfterDotCr, _) => {
                    self.content.append(b"\r");
                    Position::Inside
                }
                (Position::AfterCr, b'\n') => {
                    self.content.append(b"\n");
                    *input = rest;
                    Position::LineStart
                }
                _ => self.run(input),
            };
        }
        false
    }

    /// Reads everything up to the next dot at the start of a line.
    fn run(&mut self, input: &mut &[u8]) -> Position {
        if let Some(at) = self.finder.find(input) {
            let (run, rest) = input.split_at(at + 2);
            self.content.append(run);
            *input = rest;
            return Position::LineStart;
        }
        let run = core::mem::take(input);
        self.content.append(run);
        match run {
            [.., b'\r', b'\n'] => Position::LineStart,
            [.., b'\r'] => Position::AfterCr,
            _ => Position::Inside,
        }
    }

    pub(crate) fn into_content(self) -> Content {
        self.content
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns the content and the rest of the input, if the data ended.
    fn read(chunks: &[&[u8]], limit: usize) -> Option<(Result<Bytes, DefaultReply>, Vec<u8>)> {
        let mut decoder = DotDecoder::new(Content::new(limit));
        for (index, chunk) in chunks.iter().enumerate() {
            let mut rest = *chunk;
            if decoder.read(&mut rest) {
                let left = [rest, &chunks[index + 1..].concat()].concat();
                return Some((decoder.into_content().finish(false), left));
            }
            assert!(rest.is_empty());
        }
        None
    }

    fn content(wire: &[u8]) -> Option<Result<Bytes, DefaultReply>> {
        let whole = read(&[wire], 1_000);
        for cut in 0..=wire.len() {
            let (head, tail) = wire.split_at(cut);
            assert_eq!(read(&[head, tail], 1_000), whole, "cut at {cut}");
        }
        whole.map(|(content, rest)| {
            assert!(rest.is_empty());
            content
        })
    }

    #[test]
    fn dot_stuffing_is_removed() {
        for (wire, expected) in [
            (".\r\n", ""),
            ("a\r\n.\r\n", "a\r\n"),
            ("\r\n.\r\n", "\r\n"),
            ("..\r\n.\r\n", ".\r\n"),
            (".a\r\n..b\r\n...\r\n.\r\n", "a\r\n.b\r\n..\r\n"),
            ("a.\r\n.\r\n", "a.\r\n"),
        ] {
            let content = content(wire.as_bytes());
            assert_eq!(content, Some(Ok(Bytes::from_static(expected.as_bytes()))));
        }
    }

    #[test]
    fn only_the_final_dot_ends_the_data() {
        for wire in [
            "",
            ".",
            ".\r",
            ".\n",
            "\n.\n",
            "\n.\r\n",
            "\r.\r",
            "\r.\r\n",
            "\r\n.\n",
            "\r\n.\r",
            "\r\n.\r\r\n",
            "\r\n..\r\n",
            "\r\n.\n\r\n",
            "\n.\r\nQUIT\r\n",
        ] {
            assert_eq!(content(wire.as_bytes()), None, "{wire:?}");
            let wire = [wire, "x\r\n.\r\n"].concat();
            let content = content(wire.as_bytes()).expect("an end");
            let smuggling = wire.trim_end_matches("x\r\n.\r\n");
            let clean = ["", ".", "\r\n..\r\n"].contains(&smuggling);
            assert_eq!(content.is_ok(), clean, "{wire:?}: {content:?}");
        }
    }

    #[test]
    fn too_large_content_is_dropped_at_once() {
        let (content, rest) = read(&[b"12345\r\n", b"1\r\n.\r\nNOOP"], 9).expect("an end");
        assert_eq!(content, Err(default_reply::TOO_LARGE));
        assert_eq!(rest, b"NOOP");
        let (content, _) = read(&[b"12345\r\n.\r\n"], 7).expect("an end");
        assert_eq!(content, Ok(Bytes::from_static(b"12345\r\n")));
    }

    #[test]
    fn memory_stays_within_the_limit() {
        let mut content = Content::new(1_500);
        for _ in 0..15 {
            content.append(&[b'x'; 100]);
            if let Content::Gathered { octets, .. } = &content {
                assert!(octets.capacity() <= 1_500);
            }
        }
        assert!(!content.is_too_large());
        content.append(b"x");
        assert!(content.is_too_large());
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(wire in "[a.\r\n]{0,60}", size in 1..9_usize) {
            let wire = [wire.as_bytes(), b"\r\n.\r\n"].concat();
            let chunks: Vec<_> = wire.chunks(size).collect();
            prop_assert_eq!(read(&chunks, 30), read(&[&wire], 30));
        }
    }
}
