//! The facts about a body, found at the speed of memory.
//!
//! Knows octets, lines and where the header section ends (RFC 5322 §2.1). Must never know which
//! server needs which fact.

use memchr::{memchr, memchr_iter, memchr2_iter, memmem};

mod flags;

use self::flags::BlockFlags;
use super::StreamFacts;

/// The facts about the octets of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BodyFacts {
    /// The number of octets, as given.
    pub octets: u64,
    /// Whether any octet is above 127: `BODY=8BITMIME` (RFC 6152) is needed.
    pub eight_bit: bool,
    /// Whether the header section (everything up to the first empty line) holds octets above
    /// 127 and is valid UTF-8: `SMTPUTF8` (RFC 6531) is needed.
    pub utf8_header: bool,
    /// The number of CRs that are line ends without LF. The CRs of `CR CR LF`, which some
    /// programs make of CRLF, are one line end together and do not count.
    pub lone_cr: u64,
    /// The number of CRs that stand before a CRLF and belong to the same line end. They are
    /// left out.
    pub surplus_cr: u64,
    /// The number of LFs without a CR before them.
    pub lone_lf: u64,
    /// Whether any line begins with a dot, which `DATA` doubles (RFC 5321 §4.5.2).
    pub leading_dot: bool,
    /// Whether any octet is NUL: only `BODY=BINARYMIME` (RFC 3030 §3) carries it.
    pub nul: bool,
    /// Whether the last line ends with CRLF, CR or LF. True for an empty body.
    pub ends_with_crlf: bool,
}

impl BodyFacts {
    /// Scans `content` in one pass, which takes no branch per line where all line ends are
    /// CRLF, and no memory.
    pub fn of(content: &[u8]) -> Self {
        let mut scan = Scan::default();
        for block in content.chunks(BLOCK) {
            scan.feed(block);
        }
        let mut facts = scan.finish();
        if facts.eight_bit {
            // The end of the header section only matters if there are such octets.
            let mut header = HeaderScan::default();
            let has_lone_line_end = !facts.is_canonical();
            for block in content.chunks(BLOCK) {
                header.feed(block, has_lone_line_end);
            }
            facts.utf8_header = header.is_utf8_beyond_ascii();
        }
        facts
    }

    /// Whether every CR is followed by LF and every LF follows a CR.
    pub fn is_canonical(&self) -> bool {
        self.lone_cr == 0 && self.lone_lf == 0 && self.surplus_cr == 0
    }

    /// The size as RFC 1870 §5 defines it: all line ends as CRLF, dots not doubled. A final
    /// CRLF that `DATA` would add does not count.
    pub fn canonical_octets(&self) -> u64 {
        self.octets + self.lone_cr + self.lone_lf - self.surplus_cr
    }
}

/// The length of the longest line, without its line end (CRLF, CR or LF).
pub(super) fn longest_line(content: &[u8]) -> u64 {
    let mut lines = Lines::default();
    lines.feed(content);
    lines.longest
}

/// Scans content that comes in pieces, cut anywhere: a file that is too large for memory,
/// before it is streamed.
///
/// ```
/// use postwire_proto::{BodyFacts, BodyScanner};
///
/// let mut scanner = BodyScanner::default();
/// for piece in [&b"Subject: hello\r"[..], b"\n\r\n", b"Hello.\n"] {
///     scanner.feed(piece);
/// }
/// let found = scanner.finish();
/// let whole = BodyFacts::of(b"Subject: hello\r\n\r\nHello.\n");
/// assert_eq!((found.measured, found.longest_line), (Some(whole), Some(14)));
/// ```
#[derive(Clone, Debug, Default)]
pub struct BodyScanner {
    scan: Scan,
    header: HeaderScan,
    lines: Lines,
}

impl BodyScanner {
    /// Scans the next piece.
    pub fn feed(&mut self, content: &[u8]) {
        for block in content.chunks(BLOCK) {
            let has_lone_line_end = self.scan.feed(block);
            self.header.feed(block, has_lone_line_end);
            self.lines.feed(block);
        }
    }

    /// Returns the declaration of the whole content.
    pub fn finish(self) -> StreamFacts {
        let mut facts = self.scan.finish();
        facts.utf8_header = self.header.is_utf8_beyond_ascii();
        let final_line_end = if facts.ends_with_crlf { 0 } else { 2 };
        StreamFacts {
            size_hint: Some(facts.canonical_octets() + final_line_end),
            eight_bit: facts.eight_bit,
            smtp_utf8: facts.utf8_header,
            binary: facts.nul,
            longest_line: Some(self.lines.longest),
            measured: Some(facts),
        }
    }
}

/// The size of a block that is scanned in every way before the next one: it stays in the
/// nearest cache.
const BLOCK: usize = 16 * 1024;

#[derive(Clone, Debug)]
struct Scan {
    octets: u64,
    eight_bit: bool,
    nul: bool,
    leading_dot: bool,
    lone_cr: u64,
    surplus_cr: u64,
    lone_lf: u64,
    /// The number of CRs at the end of the content so far: only the next octet classifies them.
    pending_cr: u64,
    /// The octet before the next one.
    before: u8,
}

impl Default for Scan {
    fn default() -> Self {
        Self {
            octets: 0,
            eight_bit: false,
            nul: false,
            leading_dot: false,
            lone_cr: 0,
            surplus_cr: 0,
            lone_lf: 0,
            pending_cr: 0,
            // Content begins at the start of a line.
            before: b'\n',
        }
    }
}

impl Scan {
    /// Returns whether any line end in the block, or at its start, is not a CRLF.
    fn feed(&mut self, block: &[u8]) -> bool {
        let (Some(&first), Some(&last)) = (block.first(), block.last()) else {
            return false;
        };
        let flags = BlockFlags::of(block);
        self.octets += block.len() as u64;
        self.eight_bit |= flags.bits > 127;
        self.nul |= flags.smallest == 0;
        let at_line_start = matches!(self.before, b'\r' | b'\n');
        self.leading_dot |= flags.dotted || (at_line_start && first == b'.');
        let has_lone_line_end = flags.has_lone_line_end
            || self.pending_cr > 1
            || (self.before == b'\r') != (first == b'\n');
        if has_lone_line_end {
            self.count_lone_line_ends(block);
        } else {
            self.pending_cr = u64::from(last == b'\r');
        }
        self.before = last;
        has_lone_line_end
    }

    fn count_lone_line_ends(&mut self, block: &[u8]) {
        if memchr(b'\r', block).is_none() {
            // Text with Unix line ends, the most common case here.
            let ends_pending = self.pending_cr > 0 && block.first() == Some(&b'\n');
            let line_feeds = memchr_iter(b'\n', block).count() as u64;
            self.lone_lf += line_feeds - u64::from(ends_pending);
            self.end_run(ends_pending, block.first());
            return;
        }
        // The position of the first octet that is not scanned yet.
        let mut next = 0;
        for at in memchr2_iter(b'\r', b'\n', block) {
            if at > next {
                self.end_run(false, block.get(next));
            }
            next = at + 1;
            if block[at] == b'\r' {
                self.pending_cr += 1;
            } else if self.pending_cr > 0 {
                self.end_run(true, None);
            } else {
                self.lone_lf += 1;
            }
        }
        if next < block.len() {
            self.end_run(false, block.get(next));
        }
    }

    /// Classifies the held CRs now that the next octet is known: an LF makes them one line end;
    /// any other octet belongs to the next line.
    fn end_run(&mut self, line_feed: bool, next: Option<&u8>) {
        let held = core::mem::take(&mut self.pending_cr);
        if held == 0 {
            return;
        }
        if line_feed {
            self.surplus_cr += held - 1;
        } else {
            self.lone_cr += held;
            self.leading_dot |= next == Some(&b'.');
        }
    }

    fn finish(self) -> BodyFacts {
        BodyFacts {
            octets: self.octets,
            eight_bit: self.eight_bit,
            // The header section has its own scan.
            utf8_header: false,
            lone_cr: self.lone_cr + self.pending_cr,
            surplus_cr: self.surplus_cr,
            lone_lf: self.lone_lf,
            nul: self.nul,
            leading_dot: self.leading_dot,
            ends_with_crlf: matches!(self.before, b'\r' | b'\n'),
        }
    }
}

/// Lines, whatever ends them. The LF of a CRLF counts as the end of an empty line, which is
/// never the longest.
#[derive(Clone, Debug, Default)]
struct Lines {
    longest: u64,
    /// The octets of the line that has not ended yet.
    line: u64,
}

impl Lines {
    fn feed(&mut self, content: &[u8]) {
        let mut from = 0;
        for at in memchr2_iter(b'\r', b'\n', content) {
            self.longest = self.longest.max(self.line + (at - from) as u64);
            self.line = 0;
            from = at + 1;
        }
        self.line += (content.len() - from) as u64;
        self.longest = self.longest.max(self.line);
    }
}

/// The header section: everything up to the first empty line, or the whole content if there is
/// none.
#[derive(Clone, Debug, Default)]
struct HeaderScan {
    over: bool,
    eight_bit: bool,
    not_utf8: bool,
    /// The start of a character that ends in the next piece.
    tail: [u8; 4],
    tail_length: usize,
    line_is_begun: bool,
    /// CRs that only the next octet can classify.
    pending_cr: u64,
}

impl HeaderScan {
    /// `has_lone_line_end` is true if some line end of the block is not CRLF.
    fn feed(&mut self, block: &[u8], has_lone_line_end: bool) {
        if self.over {
            return;
        }
        let end = if has_lone_line_end {
            self.find_end(block)
        } else {
            self.find_end_of_canonical(block)
        };
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
        let mut next = 0;
        for at in memchr2_iter(b'\r', b'\n', block) {
            if at > next {
                if self.begin_line() {
                    return Some(next);
                }
                self.line_is_begun = true;
            }
            next = at + 1;
            if block[at] == b'\r' {
                self.pending_cr += 1;
            } else if self.end_line() {
                return Some(at);
            }
        }
        if next < block.len() {
            if self.begin_line() {
                return Some(next);
            }
            self.line_is_begun = true;
        }
        None
    }

    /// Text follows: each held CR ended a line. Returns whether one of these lines was empty.
    fn begin_line(&mut self) -> bool {
        let ends = core::mem::take(&mut self.pending_cr);
        if ends == 0 {
            return false;
        }
        let with_text = core::mem::take(&mut self.line_is_begun);
        ends > u64::from(with_text)
    }

    /// An LF follows: it ends one line together with the held CRs. Returns whether the line was
    /// empty.
    fn end_line(&mut self) -> bool {
        self.pending_cr = 0;
        !core::mem::take(&mut self.line_is_begun)
    }

    /// Finds the end of the header section in a block whose line ends are all CRLF: an empty
    /// line is an LF followed by a CR.
    fn find_end_of_canonical(&mut self, block: &[u8]) -> Option<usize> {
        if self.pending_cr > 0 {
            if self.end_line() {
                return Some(0);
            }
            if block.get(1) == Some(&b'\r') {
                return Some(1);
            }
        } else if !self.line_is_begun && block.first() == Some(&b'\r') {
            return Some(0);
        }
        let found = memmem::find(block, b"\n\r");
        if found.is_none() {
            self.pending_cr = u64::from(block.last() == Some(&b'\r'));
            self.line_is_begun = block.last() != Some(&b'\n');
        }
        found.map(|at| at + 1)
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

    /// Scans one octet at a time, as the definitions read.
    fn naive(content: &[u8]) -> BodyFacts {
        let mut lines: Vec<Vec<u8>> = Vec::new();
        let mut line = Vec::new();
        let (mut lone_cr, mut surplus_cr, mut lone_lf) = (0, 0, 0);
        let mut at = 0;
        while at < content.len() {
            let rest = &content[at..];
            let run = rest.iter().take_while(|octet| **octet == b'\r').count();
            let ended = run > 0 && rest.get(run) == Some(&b'\n');
            match content[at] {
                b'\r' | b'\n' => {
                    lone_cr += u64::from(!ended && content[at] == b'\r');
                    lone_lf += u64::from(content[at] == b'\n');
                    lines.push(core::mem::take(&mut line));
                }
                octet => line.push(octet),
            }
            if ended {
                surplus_cr += run as u64 - 1;
                at += run + 1;
            } else {
                at += 1;
            }
        }
        let ends_with_crlf = line.is_empty();
        lines.push(line);
        let header: Vec<u8> = lines
            .iter()
            .enumerate()
            .take_while(|(index, line)| !line.is_empty() || index + 1 == lines.len())
            .flat_map(|(_, line)| line.iter().copied().chain([b'\n']))
            .collect();
        BodyFacts {
            octets: content.len() as u64,
            eight_bit: content.iter().any(|&octet| octet > 127),
            utf8_header: header.iter().any(|&octet| octet > 127)
                && core::str::from_utf8(&header).is_ok(),
            lone_cr,
            surplus_cr,
            lone_lf,
            nul: content.contains(&0),
            leading_dot: lines.iter().any(|line| line.starts_with(b".")),
            ends_with_crlf,
        }
    }

    fn naive_longest_line(content: &[u8]) -> u64 {
        let lines = content.split(|octet| b"\r\n".contains(octet));
        lines.map(<[u8]>::len).max().unwrap_or(0) as u64
    }

    #[test]
    fn an_empty_body_is_canonical() {
        let facts = BodyFacts::of(b"");
        assert_eq!(facts, naive(b""));
        assert!(facts.is_canonical() && facts.ends_with_crlf);
        assert_eq!(facts.canonical_octets(), 0);
    }

    #[test]
    fn lone_line_ends_are_counted_and_lengthen() {
        let facts = BodyFacts::of(b"a\rbb\r\r\nccc\n\n\r\nd");
        assert_eq!((facts.lone_cr, facts.lone_lf, facts.surplus_cr), (1, 2, 1));
        assert_eq!(longest_line(b"a\rbb\r\r\nccc\n\n\r\nd"), 3);
        assert_eq!(facts.canonical_octets(), 15 + 3 - 1);
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
            ("Subject: u\r\r\nTo: \u{fc}\r\r\n\r\r\n", true),
            ("Subject: u\r\r\n\r\r\n\u{fc}", false),
            ("\r\n\u{fc}", false),
            ("\n\u{fc}", false),
        ] {
            let facts = BodyFacts::of(content.as_bytes());
            assert!(facts.eight_bit);
            assert_eq!(facts.utf8_header, utf8_header, "{content:?}");
        }
        let latin1 = BodyFacts::of(b"Subject: \xfc\r\n\r\n\xc3\xbc");
        assert!(latin1.eight_bit && !latin1.utf8_header);
    }

    #[test]
    fn a_cut_anywhere_makes_no_difference() {
        for content in [
            "Subject: u\r\n\r\n\u{fc}",
            "Subject: \u{fc}\r\n\r\nx",
            "Subject: u\r\nTo: \u{fc}\r\n",
            "\r\n\u{fc}\r\n",
            "a\r\n\r\n\r\n\u{fc}",
            "a\n\n\u{fc}",
            "\u{20ac}\u{fc}\u{1f600}\r\n\r\n\u{20ac}",
        ] {
            let content = content.as_bytes();
            let whole = naive(content);
            for first in 0..=content.len() {
                for second in first..=content.len() {
                    let mut scanner = BodyScanner::default();
                    for piece in [0..first, first..second, second..content.len()] {
                        scanner.feed(&content[piece]);
                    }
                    let found = scanner.finish();
                    assert_eq!(found.measured, Some(whole.clone()), "{first} {second}");
                }
            }
        }
    }

    #[test]
    fn what_was_scanned_is_declared_as_it_is_sent() {
        for (content, octets, binary) in [
            ("", 0, false),
            ("a", 3, false),
            ("a\r\n", 3, false),
            ("a\n\0", 6, true),
        ] {
            let mut scanner = BodyScanner::default();
            scanner.feed(content.as_bytes());
            let found = scanner.finish();
            assert_eq!((found.size_hint, found.binary), (Some(octets), binary));
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_naive_scan(content in "[\r\n.a\0\u{fc}]{0,40}") {
            prop_assert_eq!(BodyFacts::of(content.as_bytes()), naive(content.as_bytes()));
        }

        #[test]
        fn agrees_with_the_naive_scan_on_any_octets(
            content in prop::collection::vec(
                prop::sample::select(&b"\r\n\n.ab\0\xfc\xc3\xbc"[..]), 0..200
            )
        ) {
            prop_assert_eq!(BodyFacts::of(&content), naive(&content));
        }

        #[test]
        fn pieces_make_no_difference(
            content in prop::collection::vec(
                prop::sample::select(&b"\r\r\n\n\n.abc\0\xfc\xc3\xbc\xe2\x82\xac"[..]), 0..100
            ),
            line in 0_usize..3,
            size in 1_usize..9,
        ) {
            // In some cases all line ends are canonical and the header is UTF-8.
            let content = match line {
                0 => content,
                1 => alloc::string::String::from_utf8_lossy(&content).into_owned().into_bytes(),
                _ => content.split(|octet| b"\r\n".contains(octet)).collect::<Vec<_>>().join(&b"\r\n"[..]),
            };
            let mut scanner = BodyScanner::default();
            content.chunks(size).for_each(|piece| scanner.feed(piece));
            let found = scanner.finish();
            prop_assert_eq!(found.longest_line, Some(naive_longest_line(&content)));
            prop_assert_eq!(longest_line(&content), naive_longest_line(&content));
            prop_assert_eq!(found.measured, Some(naive(&content)));
        }
    }
}
