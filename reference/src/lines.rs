//! Framing: where a command line ends and where a content ends, for strict and
//! for lenient servers. Nothing here knows commands or replies.

/// Which octets end a line, and so a command and a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LineEnds {
    /// Only CRLF ends a line; only `<CRLF>.<CRLF>` ends a content. Bare CR and bare LF
    /// are octets of the content.
    #[default]
    Strict,
    /// A bare LF ends a line too: `<LF>.<LF>`, `<CRLF>.<LF>` and `<LF>.<CRLF>` end a
    /// content.
    BareLf,
    /// A bare LF and a bare CR each end a line too: `<CR>.<CR>` also ends a content.
    BareLfAndCr,
    /// The framing is strict, and a content with a bare CR or LF is refused with 550.
    BareRefused,
}

impl LineEnds {
    fn lf_ends(self) -> bool {
        matches!(self, Self::BareLf | Self::BareLfAndCr)
    }

    fn cr_ends(self) -> bool {
        matches!(self, Self::BareLfAndCr)
    }
}

/// One command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// The octets of the line without its end.
    pub(crate) octets: Vec<u8>,
    /// How many octets the line has with its end.
    pub(crate) length: usize,
    /// Whether something other than CRLF ends the line.
    pub(crate) bare_end: bool,
}

/// The first whole line of `input`. With lenient CRs, a CR at the end of the input
/// is no end yet, because an LF may follow.
pub(crate) fn first_line(input: &[u8], ends: LineEnds) -> Option<Line> {
    for (at, octet) in input.iter().enumerate() {
        match octet {
            b'\n' if at > 0 && input[at - 1] == b'\r' => {
                return Some(line(&input[..at - 1], at + 1, false));
            }
            b'\n' if ends.lf_ends() => return Some(line(&input[..at], at + 1, true)),
            b'\r' if ends.cr_ends() => match input.get(at + 1) {
                None => return None,
                Some(b'\n') => {}
                Some(_) => return Some(line(&input[..at], at + 1, true)),
            },
            _ => {}
        }
    }
    None
}

fn line(octets: &[u8], length: usize, bare_end: bool) -> Line {
    Line {
        octets: octets.to_vec(),
        length,
        bare_end,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    LineStart,
    Inside,
    /// Behind a CR.
    Cr,
    /// Behind a dot at the start of a line.
    Dot,
    /// Behind a dot at the start of a line and a CR.
    DotCr,
}

/// Reads a content that `DATA` sends, up to its final dot.
#[derive(Debug)]
pub(crate) struct ContentReader {
    ends: LineEnds,
    place: Place,
    /// The content so far, without the stuffed dots.
    pub(crate) content: Vec<u8>,
}

impl ContentReader {
    pub(crate) fn new(ends: LineEnds) -> Self {
        Self {
            ends,
            place: Place::LineStart,
            content: Vec::new(),
        }
    }

    /// Whether nothing is read yet.
    pub(crate) fn is_fresh(&self) -> bool {
        self.content.is_empty() && self.place == Place::LineStart
    }

    /// Reads from `input`; says how many octets were read, and whether the content
    /// has ended.
    pub(crate) fn read(&mut self, input: &[u8]) -> (usize, bool) {
        for (at, &octet) in input.iter().enumerate() {
            match self.place {
                Place::Dot => match octet {
                    b'\r' => self.place = Place::DotCr,
                    b'\n' if self.ends.lf_ends() => return (at + 1, true),
                    _ => self.push(octet),
                },
                Place::DotCr => match octet {
                    b'\n' => return (at + 1, true),
                    _ if self.ends.cr_ends() => return (at, true),
                    _ => {
                        self.push(b'\r');
                        self.push(octet);
                    }
                },
                Place::Cr if octet == b'.' && self.ends.cr_ends() => self.place = Place::Dot,
                Place::LineStart if octet == b'.' => self.place = Place::Dot,
                Place::LineStart | Place::Inside | Place::Cr => self.push(octet),
            }
        }
        (input.len(), false)
    }

    fn push(&mut self, octet: u8) {
        self.place = match (self.place, octet) {
            (_, b'\r') => Place::Cr,
            (Place::Cr, b'\n') => Place::LineStart,
            (_, b'\n') if self.ends.lf_ends() => Place::LineStart,
            _ => Place::Inside,
        };
        self.content.push(octet);
    }
}

/// Whether `content` holds a CR or an LF that is not part of a CRLF.
pub(crate) fn has_bare_line_end(content: &[u8]) -> bool {
    content.iter().enumerate().any(|(at, octet)| match octet {
        b'\n' => at == 0 || content[at - 1] != b'\r',
        b'\r' => content.get(at + 1) != Some(&b'\n'),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &[u8], ends: LineEnds) -> Option<(Vec<u8>, usize)> {
        let whole = {
            let mut reader = ContentReader::new(ends);
            let (length, ended) = reader.read(input);
            ended.then_some((reader.content, length))
        };
        let mut reader = ContentReader::new(ends);
        let mut position = 0;
        let mut ended = false;
        while position < input.len() && !ended {
            let (length, end) = reader.read(&input[position..=position]);
            position += length;
            ended = end;
        }
        assert_eq!(whole, ended.then_some((reader.content, position)));
        whole
    }

    #[test]
    fn the_final_dot_is_found_and_stuffed_dots_are_removed() {
        let ends = LineEnds::Strict;
        assert_eq!(read(b".\r\n", ends), Some((vec![], 3)));
        assert_eq!(
            read(b"a\r\n..b\r\n.\r\nQUIT", ends),
            Some((b"a\r\n.b\r\n".to_vec(), 11))
        );
        assert_eq!(read(b".\rx\r\n.\r\n", ends), Some((b"\rx\r\n".to_vec(), 8)));
        assert_eq!(read(b"a\n.\n.\n\r.\r\n", ends), None);
    }

    #[test]
    fn lenient_ends_are_found_only_by_lenient_readers() {
        for (input, lf, cr) in [
            (&b"a\n.\n"[..], true, true),
            (b"a\r\n.\n", true, true),
            (b"a\n.\r\n", true, true),
            (b"a\r.\rb", false, true),
            (b"a\r.\r\n", false, true),
            (b"a\r.\n", false, true),
        ] {
            assert_eq!(read(input, LineEnds::Strict), None, "{input:?}");
            assert_eq!(read(input, LineEnds::BareRefused), None, "{input:?}");
            assert_eq!(read(input, LineEnds::BareLf).is_some(), lf, "{input:?}");
            let all = LineEnds::BareLfAndCr;
            assert_eq!(read(input, all).is_some(), cr, "{input:?}");
        }
    }

    #[test]
    fn a_line_ends_where_the_server_says() {
        let strict = first_line(b"NOOP\nRSET\r\nQ", LineEnds::Strict).unwrap();
        assert_eq!((strict.octets, strict.length), (b"NOOP\nRSET".to_vec(), 11));
        let lenient = first_line(b"NOOP\nRSET\r\n", LineEnds::BareLf).unwrap();
        assert_eq!(lenient, line(b"NOOP", 5, true));
        assert_eq!(first_line(b"NOOP\r", LineEnds::BareLfAndCr), None);
        let cr = first_line(b"NOOP\rR", LineEnds::BareLfAndCr).unwrap();
        assert_eq!(cr, line(b"NOOP", 5, true));
    }
}
