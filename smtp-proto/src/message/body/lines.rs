//! The loop over content that both encoders share: long runs are passed on unchanged, and the
//! encoder inserts octets between them where a line end or a dot requires it.
//!
//! Knows CR, LF and the dot at the start of a line. Must never know which command the content
//! follows.

use bytes::{Buf, Bytes};
use memchr::memmem::Finder;
use memchr::{memchr, memchr2_iter};

use super::{SHORT, Segment};

pub(super) const CRLF: Segment<'static> = Segment::Text(b"\r\n");
const DOT: Segment<'static> = Segment::Text(b".");

/// The approximate maximum of segments per call, so that content made of nothing but line ends
/// cannot fill a queue of segments.
const SEGMENTS: usize = 1_024;

/// What the encoder changes in the content.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum LineTransform {
    /// A lone CR or LF becomes CRLF.
    LineEnds,
    /// A lone CR or LF becomes CRLF, and a dot at the start of a line is doubled.
    LineEndsAndDots,
    /// Only dots: the caller knows that all line ends are CRLF.
    Dots,
    /// Nothing: the caller also knows that no line begins with a dot.
    Unchanged,
}

/// The encoder's state between two chunks.
#[derive(Debug)]
pub(super) struct LineEncoder {
    transform: LineTransform,
    /// CRs that were consumed and not encoded yet. Before an LF they form one line end with it;
    /// before any other octet each CR is a line end.
    pending_cr: u64,
    at_line_start: bool,
}

/// Octets to pass on unchanged, and the reason why the run ends.
struct PlainRun {
    octets: usize,
    end: RunEnd,
}

enum RunEnd {
    /// The content needs no change here.
    Nothing,
    /// A dot at the start of a line follows: it is written with this run, and again with the
    /// next.
    Dot,
    /// An LF without CR follows.
    LoneLineFeed,
    /// A CR follows that is lone, or that only the next octets can classify.
    CarriageReturn,
}

impl LineEncoder {
    pub(super) fn new(transform: LineTransform) -> Self {
        Self {
            transform,
            pending_cr: 0,
            at_line_start: true,
        }
    }

    /// Encodes from the front of `chunk`, and advances it, until it is empty or about `window`
    /// octets or 1,024 segments are produced. Each call with a chunk that is not empty makes
    /// progress, whatever the window.
    pub(super) fn encode(
        &mut self,
        chunk: &mut Bytes,
        window: usize,
        push: &mut impl FnMut(Segment<'_>),
    ) {
        let finder = (self.transform == LineTransform::Dots).then(|| Finder::new(b"\n."));
        let mut segments = 0;
        // Pushes one segment and returns the rest of the window.
        let mut give = |segment: Segment<'_>, left: usize| {
            let left = left.saturating_sub(segment.octets());
            segments += 1;
            push(segment);
            if segments < SEGMENTS { left } else { 0 }
        };
        let mut left = window.max(1);
        while left > 0
            && let Some(&first) = chunk.first()
        {
            if self.pending_cr > 0 {
                match first {
                    b'\r' => {
                        self.pending_cr += 1;
                        chunk.advance(1);
                        continue;
                    }
                    b'\n' => {
                        self.pending_cr = 0;
                        chunk.advance(1);
                    }
                    _ => self.pending_cr -= 1,
                }
                self.at_line_start = true;
                left = give(CRLF, left);
                continue;
            }
            if self.at_line_start && first == b'.' && self.doubles_dots() {
                // The doubled dot stays together with the dot of the content, even in a full
                // window.
                left = give(DOT, left).max(1);
            }
            let within_reach = &chunk[..chunk.len().min(left)];
            let run = match (&finder, self.transform) {
                (Some(finder), _) => dotted_run(finder, within_reach),
                (None, LineTransform::Unchanged) => whole_run(within_reach),
                (None, _) => self.run(within_reach),
            };
            if run.octets > 0 {
                let twice = matches!(run.end, RunEnd::Dot);
                self.at_line_start = !twice && chunk[run.octets - 1] == b'\n';
                let given = run.octets + usize::from(twice);
                let segment = if given < SHORT {
                    Segment::Text(&chunk[..given])
                } else {
                    Segment::Slice(chunk.slice(..given))
                };
                left = give(segment, left);
                chunk.advance(run.octets);
            }
            match run.end {
                RunEnd::Nothing | RunEnd::Dot => {}
                RunEnd::LoneLineFeed => {
                    chunk.advance(1);
                    self.at_line_start = true;
                    left = give(CRLF, left);
                }
                RunEnd::CarriageReturn => {
                    chunk.advance(1);
                    self.pending_cr = 1;
                }
            }
        }
    }

    fn doubles_dots(&self) -> bool {
        matches!(
            self.transform,
            LineTransform::LineEndsAndDots | LineTransform::Dots
        )
    }

    /// The longest run at the start of `octets`, while no CR is held.
    fn run(&self, octets: &[u8]) -> PlainRun {
        let dots = self.transform == LineTransform::LineEndsAndDots;
        for at in memchr2_iter(b'\r', b'\n', octets) {
            let next = octets.get(at + 1);
            if octets[at] == b'\r' {
                if next != Some(&b'\n') {
                    return PlainRun {
                        octets: at,
                        end: RunEnd::CarriageReturn,
                    };
                }
            } else if at == 0 || octets[at - 1] != b'\r' {
                return PlainRun {
                    octets: at,
                    end: RunEnd::LoneLineFeed,
                };
            } else if dots && next == Some(&b'.') {
                return PlainRun {
                    octets: at + 1,
                    end: RunEnd::Dot,
                };
            }
        }
        whole_run(octets)
    }

    /// Encodes the end of the content: a held CR becomes a line end, and the encoder is reset.
    /// Returns whether the content ended at the start of a line.
    pub(super) fn finish(&mut self, push: &mut impl FnMut(Segment<'_>)) -> bool {
        for _ in 0..core::mem::take(&mut self.pending_cr) {
            push(CRLF);
            self.at_line_start = true;
        }
        core::mem::replace(&mut self.at_line_start, true)
    }
}

fn whole_run(octets: &[u8]) -> PlainRun {
    PlainRun {
        octets: octets.len(),
        end: RunEnd::Nothing,
    }
}

/// The longest run at the start of canonical `octets`, up to a dot at the start of a line.
fn dotted_run(finder: &Finder<'_>, octets: &[u8]) -> PlainRun {
    // Where dots are frequent, the next dot is in the next line, and a search that is fast over
    // long distances has a high start-up cost.
    let near = memchr(b'\n', octets).filter(|at| octets.get(at + 1) == Some(&b'.'));
    match near.or_else(|| finder.find(octets)) {
        Some(at) => PlainRun {
            octets: at + 1,
            end: RunEnd::Dot,
        },
        None => whole_run(octets),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// Joins the octets of all segments.
    pub(crate) fn gather(
        chunks: &[Bytes],
        window: usize,
        mut encode: impl FnMut(&mut Bytes, usize, &mut dyn FnMut(Segment<'_>)),
    ) -> Vec<u8> {
        let mut all = Vec::new();
        for chunk in chunks {
            let mut chunk = chunk.clone();
            while !chunk.is_empty() {
                let before = (all.len(), chunk.len());
                let mut segments = 0;
                encode(&mut chunk, window, &mut |segment| {
                    segments += 1;
                    append(&mut all, &segment);
                });
                assert!(segments > 0 || chunk.len() < before.1, "no progress");
                assert!(all.len() - before.0 <= window.max(1) + 4, "window exceeded");
                assert!(segments <= SEGMENTS + 3);
            }
        }
        all
    }

    pub(crate) fn append(all: &mut Vec<u8>, segment: &Segment<'_>) {
        assert!(segment.octets() > 0, "an empty segment");
        match segment {
            Segment::Slice(slice) => all.extend_from_slice(slice),
            Segment::Text(text) => all.extend_from_slice(text),
        }
    }

    /// Normalises line ends to CRLF, one octet at a time.
    pub(crate) fn normalised(content: &[u8]) -> Vec<u8> {
        let mut all = Vec::new();
        for (at, &octet) in content.iter().enumerate() {
            match octet {
                b'\n' if at > 0 && content[at - 1] == b'\r' => {}
                b'\r' if ends_in_crlf(&content[at + 1..]) => {}
                b'\r' | b'\n' => all.extend_from_slice(b"\r\n"),
                _ => all.push(octet),
            }
        }
        all
    }

    /// Whether a CR before `rest` belongs to the line end that follows.
    fn ends_in_crlf(rest: &[u8]) -> bool {
        let run = rest.iter().take_while(|octet| **octet == b'\r').count();
        run > 0 && rest.get(run) == Some(&b'\n')
    }

    pub(crate) fn has_lone_line_end(octets: &[u8]) -> bool {
        let mut octets_at = octets.iter().enumerate();
        octets_at.any(|(at, octet)| match octet {
            b'\r' => octets.get(at + 1) != Some(&b'\n'),
            b'\n' => at == 0 || octets[at - 1] != b'\r',
            _ => false,
        })
    }

    /// A strategy for content in which line ends and dots are frequent, cut anywhere, together
    /// with a window.
    pub(crate) fn cut_content() -> impl Strategy<Value = (Vec<Bytes>, usize)> {
        let octet = prop::sample::select(&b"\r\n\r\n..ab\xfc\0"[..]);
        let chunk = prop::collection::vec(octet, 0..24).prop_map(Bytes::from);
        (prop::collection::vec(chunk, 0..8), 0..40_usize)
    }
}
