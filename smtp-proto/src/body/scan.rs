//! What a body consists of, found in a few passes at the speed of the cache.
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
        let mut survey = Survey::default();
        survey.feed(content);
        survey.finish()
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

/// How much is looked at in all passes before the next: it stays in the nearest
/// cache.
const BLOCK: usize = 16 * 1024;

/// Finds the [`Facts`] of content that comes in pieces, cut anywhere: of a file that
/// is too large to be held.
///
/// ```
/// use postwire_proto::{Facts, Survey};
///
/// let mut survey = Survey::default();
/// for piece in [&b"Subject: hello\r"[..], b"\n\r\n", b"Hello.\n"] {
///     survey.feed(piece);
/// }
/// assert_eq!(survey.finish(), Facts::of(b"Subject: hello\r\n\r\nHello.\n"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Survey {
    octets: u64,
    eight_bit: bool,
    nul: bool,
    lone_cr: u64,
    lone_lf: u64,
    longest_line: u64,
    /// Octets of the line that is not ended yet.
    line: u64,
    /// The last octet was a CR, and what follows it is not known.
    held_cr: bool,
    header: HeaderSurvey,
}

impl Survey {
    /// The next piece.
    pub fn feed(&mut self, content: &[u8]) {
        for block in content.chunks(BLOCK) {
            self.octets += block.len() as u64;
            self.eight_bit |= !block.is_ascii();
            self.nul |= memchr(0, block).is_some();
            self.header.feed(block);
            if !self.feed_canonical(block) {
                self.feed_any(block);
            }
        }
    }

    /// What the content consists of.
    pub fn finish(self) -> Facts {
        Facts {
            octets: self.octets,
            eight_bit: self.eight_bit,
            utf8_header: self.header.is_utf8_beyond_ascii(),
            lone_cr: self.lone_cr + u64::from(self.held_cr),
            lone_lf: self.lone_lf,
            nul: self.nul,
            longest_line: self.longest_line,
            ends_with_crlf: self.line == 0,
        }
    }

    /// Takes a block in which every CR has its LF, looking at the LF only; or leaves
    /// it.
    fn feed_canonical(&mut self, block: &[u8]) -> bool {
        if self.held_cr && block.first() != Some(&b'\n') {
            return false;
        }
        let carriage_returns = memchr_iter(b'\r', block).count();
        let ends_with_cr = block.last() == Some(&b'\r');
        let (mut line_feeds, mut pairs, mut longest) = (0, 0, self.longest_line);
        let (mut line_start, mut before) = (0, self.line);
        for at in memchr_iter(b'\n', block) {
            line_feeds += 1;
            let paired = at > line_start && block.get(at - 1) == Some(&b'\r');
            pairs += usize::from(paired);
            let line = before + (at - line_start - usize::from(paired)) as u64;
            longest = longest.max(line);
            line_start = at + 1;
            before = 0;
        }
        if carriage_returns != pairs + usize::from(ends_with_cr) {
            return false;
        }
        let rest = block.len() - line_start - usize::from(ends_with_cr);
        let line = before + rest as u64;
        self.longest_line = longest.max(line);
        self.lone_lf += (line_feeds - pairs - usize::from(self.held_cr)) as u64;
        self.line = if ends_with_cr { 0 } else { line };
        self.held_cr = ends_with_cr;
        true
    }

    fn feed_any(&mut self, block: &[u8]) {
        let mut from = 0;
        for at in memchr2_iter(b'\r', b'\n', block) {
            let line_feed = block[at] == b'\n';
            if core::mem::take(&mut self.held_cr) {
                if at == from && line_feed {
                    from = at + 1;
                    continue;
                }
                self.lone_cr += 1;
            }
            self.end_line((at - from) as u64);
            from = at + 1;
            self.lone_lf += u64::from(line_feed);
            self.held_cr = !line_feed;
        }
        if from < block.len() {
            self.lone_cr += u64::from(core::mem::take(&mut self.held_cr));
            self.line += (block.len() - from) as u64;
            self.longest_line = self.longest_line.max(self.line);
        }
    }

    fn end_line(&mut self, octets: u64) {
        self.longest_line = self.longest_line.max(self.line + octets);
        self.line = 0;
    }
}

/// The header section: all up to the first empty line, everything if there is none.
#[derive(Clone, Debug, Default)]
struct HeaderSurvey {
    over: bool,
    eight_bit: bool,
    not_utf8: bool,
    /// The start of a character whose end is in the next piece.
    tail: [u8; 4],
    tail_length: usize,
    line_is_begun: bool,
    held_cr: bool,
}

impl HeaderSurvey {
    fn feed(&mut self, block: &[u8]) {
        if self.over {
            return;
        }
        let end = self.find_end(block);
        let text = &block[..end.unwrap_or(block.len())];
        self.over = end.is_some();
        if !text.is_ascii() || self.tail_length > 0 {
            self.eight_bit = true;
            self.feed_utf8(text);
        }
    }

    fn is_utf8_beyond_ascii(&self) -> bool {
        self.eight_bit && !self.not_utf8 && self.tail_length == 0
    }

    fn find_end(&mut self, block: &[u8]) -> Option<usize> {
        let mut line_start = 0;
        for at in memchr2_iter(b'\r', b'\n', block) {
            let touches = at == line_start;
            line_start = at + 1;
            if core::mem::take(&mut self.held_cr) && touches && block[at] == b'\n' {
                continue;
            }
            if touches && !self.line_is_begun {
                return Some(at);
            }
            self.line_is_begun = false;
            self.held_cr = block[at] == b'\r';
        }
        if line_start < block.len() {
            self.line_is_begun = true;
            self.held_cr = false;
        }
        None
    }

    fn feed_utf8(&mut self, mut text: &[u8]) {
        while self.tail_length > 0
            && let Some((&next, rest)) = text.split_first()
        {
            self.tail[self.tail_length] = next;
            text = rest;
            match core::str::from_utf8(&self.tail[..=self.tail_length]) {
                Ok(_) => self.tail_length = 0,
                Err(error) if error.error_len().is_none() => self.tail_length += 1,
                Err(_) => {
                    self.not_utf8 = true;
                    self.tail_length = 0;
                }
            }
        }
        let Err(error) = core::str::from_utf8(text) else {
            return;
        };
        let tail = &text[error.valid_up_to()..];
        if error.error_len().is_some() {
            self.not_utf8 = true;
        } else {
            self.tail[..tail.len()].copy_from_slice(tail);
            self.tail_length = tail.len();
        }
    }
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

        #[test]
        fn pieces_make_no_difference(
            content in prop::collection::vec(
                prop::sample::select(&b"\r\r\n\n\n.abc\0\xfc\xc3\xbc\xe2\x82\xac"[..]), 0..100
            ),
            line in 0_usize..3,
            size in 1_usize..9,
        ) {
            // Now and then all line ends are right, and the header is UTF-8.
            let content = match line {
                0 => content,
                1 => alloc::string::String::from_utf8_lossy(&content).into_owned().into_bytes(),
                _ => content.split(|octet| b"\r\n".contains(octet)).collect::<Vec<_>>().join(&b"\r\n"[..]),
            };
            let mut survey = Survey::default();
            content.chunks(size).for_each(|piece| survey.feed(piece));
            prop_assert_eq!(survey.finish(), naive(&content));
        }
    }
}
