//! What a body consists of, found in a few passes at memory speed.
//!
//! Knows octets, lines and where the header section ends (RFC 5322 §2.1). Must
//! never know which server would mind.

use memchr::{memchr, memchr_iter, memchr2_iter};

/// What is known of a body's octets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Facts {
    /// How many there are, as given.
    pub octets: u64,
    /// Some are above 127: `BODY=8BITMIME` (RFC 6152) is needed.
    pub eight_bit: bool,
    /// The header section (all up to the first empty line) holds octets above
    /// 127 and is valid UTF-8: `SMTPUTF8` (RFC 6531) is needed.
    pub utf8_header: bool,
    /// How many CR have no LF after them.
    pub lone_cr: u64,
    /// How many LF have no CR before them.
    pub lone_lf: u64,
    /// Some are NUL: only `BODY=BINARYMIME` (RFC 3030 §3) carries them.
    pub nul: bool,
    /// The longest line, its line end (CRLF, CR or LF) not counted. RFC 5321
    /// §4.5.3.1.6 guarantees 998.
    pub longest_line: u64,
    /// The last line is ended, be it by CRLF, CR or LF. True of an empty body.
    pub ends_with_crlf: bool,
}

impl Facts {
    /// Scans `content`, in time that grows with its length and no memory.
    pub fn of(content: &[u8]) -> Self {
        let carriage_returns = memchr_iter(b'\r', content).count() as u64;
        let mut line_feeds = 0;
        let mut pairs = 0;
        let mut longest_line = 0;
        let mut line_start = 0;
        for at in memchr_iter(b'\n', content) {
            line_feeds += 1;
            let paired = at > line_start && content.get(at - 1) == Some(&b'\r');
            pairs += u64::from(paired);
            longest_line = longest_line.max(at - line_start - usize::from(paired));
            line_start = at + 1;
        }
        longest_line = longest_line.max(content.len() - line_start);
        let lone_cr = carriage_returns - pairs;
        if lone_cr > 0 {
            // Lines end at these, too: rare enough to look again.
            longest_line = longest_line_of_any_end(content);
        }
        let eight_bit = !content.is_ascii();
        Self {
            octets: content.len() as u64,
            eight_bit,
            utf8_header: eight_bit && is_utf8_beyond_ascii(header_section(content)),
            lone_cr,
            lone_lf: line_feeds - pairs,
            nul: memchr(0, content).is_some(),
            longest_line: longest_line as u64,
            ends_with_crlf: matches!(content.last(), None | Some(b'\r' | b'\n')),
        }
    }

    /// Whether every CR has its LF and every LF its CR.
    pub fn is_canonical(&self) -> bool {
        self.lone_cr == 0 && self.lone_lf == 0
    }

    /// The size in the sense of RFC 1870 §5: all line ends as CRLF, dots not
    /// doubled. A final CRLF that `DATA` would add is not counted.
    pub fn canonical_octets(&self) -> u64 {
        self.octets + self.lone_cr + self.lone_lf
    }
}

fn longest_line_of_any_end(content: &[u8]) -> usize {
    let mut line_start = 0;
    let mut longest = 0;
    for at in memchr2_iter(b'\r', b'\n', content) {
        // The LF of a CRLF counts as an empty line, which is never the longest.
        longest = longest.max(at - line_start);
        line_start = at + 1;
    }
    longest.max(content.len() - line_start)
}

/// All up to the first empty line; everything if there is none.
fn header_section(content: &[u8]) -> &[u8] {
    let mut line_start = 0;
    for at in memchr2_iter(b'\r', b'\n', content) {
        let second_half = at > 0 && content[at] == b'\n' && content[at - 1] == b'\r';
        if at == line_start && !second_half {
            return &content[..at];
        }
        line_start = at + 1;
    }
    content
}

fn is_utf8_beyond_ascii(octets: &[u8]) -> bool {
    !octets.is_ascii() && core::str::from_utf8(octets).is_ok()
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// The same by the book, an octet at a time.
    fn naive(content: &[u8]) -> Facts {
        let mut lines: Vec<Vec<u8>> = Vec::new();
        let mut line = Vec::new();
        let (mut lone_cr, mut lone_lf) = (0, 0);
        let mut at = 0;
        while at < content.len() {
            let pair = content[at..].starts_with(b"\r\n");
            match content[at] {
                b'\r' | b'\n' => {
                    lone_cr += u64::from(!pair && content[at] == b'\r');
                    lone_lf += u64::from(content[at] == b'\n');
                    lines.push(core::mem::take(&mut line));
                }
                octet => line.push(octet),
            }
            at += if pair { 2 } else { 1 };
        }
        let ends_with_crlf = line.is_empty();
        lines.push(line);
        let header: Vec<u8> = lines
            .iter()
            .enumerate()
            .take_while(|(index, line)| !line.is_empty() || index + 1 == lines.len())
            .flat_map(|(_, line)| line.iter().copied().chain([b'\n']))
            .collect();
        Facts {
            octets: content.len() as u64,
            eight_bit: content.iter().any(|&octet| octet > 127),
            utf8_header: header.iter().any(|&octet| octet > 127)
                && core::str::from_utf8(&header).is_ok(),
            lone_cr,
            lone_lf,
            nul: content.contains(&0),
            longest_line: lines.iter().map(Vec::len).max().unwrap_or(0) as u64,
            ends_with_crlf,
        }
    }

    #[test]
    fn an_empty_body_is_canonical() {
        let facts = Facts::of(b"");
        assert_eq!(facts, naive(b""));
        assert!(facts.is_canonical() && facts.ends_with_crlf);
        assert_eq!(facts.canonical_octets(), 0);
    }

    #[test]
    fn lone_line_ends_are_counted_and_lengthen() {
        let facts = Facts::of(b"a\rbb\r\r\nccc\n\n\r\nd");
        assert_eq!((facts.lone_cr, facts.lone_lf), (2, 2));
        assert_eq!(facts.longest_line, 3);
        assert_eq!(facts.canonical_octets(), 15 + 4);
        assert!(!facts.is_canonical() && !facts.ends_with_crlf);
    }

    #[test]
    fn only_the_header_makes_a_message_international() {
        for (content, utf8_header) in [
            ("Subject: \u{fc}\r\n\r\n", true),
            ("Subject: \u{fc}\n\nx", true),
            ("Subject: \u{fc}", true),
            ("Subject: u\r\n\r\n\u{fc}", false),
            ("Subject: u\n\n\u{fc}", false),
            ("Subject: u\r\r\u{fc}", false),
            ("\r\n\u{fc}", false),
            ("\n\u{fc}", false),
        ] {
            let facts = Facts::of(content.as_bytes());
            assert!(facts.eight_bit);
            assert_eq!(facts.utf8_header, utf8_header, "{content:?}");
        }
        let latin1 = Facts::of(b"Subject: \xfc\r\n\r\n\xc3\xbc");
        assert!(latin1.eight_bit && !latin1.utf8_header);
    }

    proptest! {
        #[test]
        fn agrees_with_the_naive_scan(content in "[\r\n.a\0\u{fc}]{0,40}") {
            prop_assert_eq!(Facts::of(content.as_bytes()), naive(content.as_bytes()));
        }

        #[test]
        fn agrees_with_the_naive_scan_on_any_octets(
            content in prop::collection::vec(
                prop::sample::select(&b"\r\n\n.ab\0\xfc\xc3\xbc"[..]), 0..200
            )
        ) {
            prop_assert_eq!(Facts::of(&content), naive(&content));
        }
    }
}
