//! The walk over content that both encoders share: long runs go out as they
//! are, and something is put between them where a line end or a dot asks for it.
//!
//! Knows CR, LF and the dot at the start of a line. Must never know which
//! command the content follows.

use bytes::{Buf, Bytes};
use memchr::memmem::Finder;
use memchr::{memchr, memchr2_iter};

use super::{SHORT, Segment};

pub(super) const CRLF: Segment<'static> = Segment::Text(b"\r\n");
const DOT: Segment<'static> = Segment::Text(b".");

/// About how many segments one call gives, so that content made of nothing but
/// line ends cannot fill a queue of segments.
const SEGMENTS: usize = 1_024;

/// What the walk looks for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Mending {
    /// Lone CR and LF become CRLF.
    LineEnds,
    /// The same, and dots at the start of a line are doubled.
    LineEndsAndDots,
    /// Dots only: whoever asks knows that all line ends are CRLF.
    Dots,
    /// Nothing: he knows that no line begins with a dot either.
    Nothing,
}

/// The walk, between one chunk and the next.
#[derive(Debug)]
pub(super) struct LineEncoder {
    mending: Mending,
    /// CRs that were taken and not given: before an LF they are one line end with it, before
    /// anything else each is one of its own.
    held_cr: u64,
    at_line_start: bool,
}

/// Octets that go out as they are, and why they end.
struct Run {
    octets: usize,
    end: RunEnd,
}

enum RunEnd {
    /// There is nothing to be taken out of the content here.
    Nothing,
    /// A dot follows that starts a line: it is given with this run, and again with the
    /// next.
    Dot,
    /// An LF without CR follows.
    LoneLineFeed,
    /// A CR follows that is lone, or about which only the next octets can tell.
    CarriageReturn,
}

impl LineEncoder {
    pub(super) fn new(mending: Mending) -> Self {
        Self {
            mending,
            held_cr: 0,
            at_line_start: true,
        }
    }

    /// Encodes from the front of `chunk`, which is advanced, until it is empty
    /// or about `window` octets or 1,024 segments were given. Something is
    /// given or taken of a chunk that is not empty, whatever the window.
    pub(super) fn encode(
        &mut self,
        chunk: &mut Bytes,
        window: usize,
        push: &mut impl FnMut(Segment<'_>),
    ) {
        let finder = (self.mending == Mending::Dots).then(|| Finder::new(b"\n."));
        let mut segments = 0;
        // Gives one segment; says how much of the window is left.
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
            if self.held_cr > 0 {
                match first {
                    b'\r' => {
                        self.held_cr += 1;
                        chunk.advance(1);
                        continue;
                    }
                    b'\n' => {
                        self.held_cr = 0;
                        chunk.advance(1);
                    }
                    _ => self.held_cr -= 1,
                }
                self.at_line_start = true;
                left = give(CRLF, left);
                continue;
            }
            if self.at_line_start && first == b'.' && self.doubles_dots() {
                // Not apart from the dot that it announces, even in a full window.
                left = give(DOT, left).max(1);
            }
            let within_reach = &chunk[..chunk.len().min(left)];
            let run = match (&finder, self.mending) {
                (Some(finder), _) => dotted_run(finder, within_reach),
                (None, Mending::Nothing) => whole_run(within_reach),
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
                    self.held_cr = 1;
                }
            }
        }
    }

    fn doubles_dots(&self) -> bool {
        matches!(self.mending, Mending::LineEndsAndDots | Mending::Dots)
    }

    /// The longest run at the start of `octets`, no CR being held.
    fn run(&self, octets: &[u8]) -> Run {
        let dots = self.mending == Mending::LineEndsAndDots;
        for at in memchr2_iter(b'\r', b'\n', octets) {
            let next = octets.get(at + 1);
            if octets[at] == b'\r' {
                if next != Some(&b'\n') {
                    return Run {
                        octets: at,
                        end: RunEnd::CarriageReturn,
                    };
                }
            } else if at == 0 || octets[at - 1] != b'\r' {
                return Run {
                    octets: at,
                    end: RunEnd::LoneLineFeed,
                };
            } else if dots && next == Some(&b'.') {
                return Run {
                    octets: at + 1,
                    end: RunEnd::Dot,
                };
            }
        }
        whole_run(octets)
    }

    /// The end of the content: gives a CR that was held. Afterwards the encoder
    /// is as new. Says whether the content ended at the start of a line.
    pub(super) fn finish(&mut self, push: &mut impl FnMut(Segment<'_>)) -> bool {
        for _ in 0..core::mem::take(&mut self.held_cr) {
            push(CRLF);
            self.at_line_start = true;
        }
        core::mem::replace(&mut self.at_line_start, true)
    }
}

fn whole_run(octets: &[u8]) -> Run {
    Run {
        octets: octets.len(),
        end: RunEnd::Nothing,
    }
}

/// The longest run at the start of canonical `octets`, up to a dot that starts a
/// line.
fn dotted_run(finder: &Finder<'_>, octets: &[u8]) -> Run {
    // Where dots are frequent, the next is in the next line, and a search that is fast over
    // long ways takes longer to begin than to look there.
    let near = memchr(b'\n', octets).filter(|at| octets.get(at + 1) == Some(&b'.'));
    match near.or_else(|| finder.find(octets)) {
        Some(at) => Run {
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

    /// What the segments say, one after the other.
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

    /// Line ends as CRLF, an octet at a time.
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

    /// Whether a CR before this belongs to the line end that follows.
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

    /// Content in which every line end and dot that matters is frequent, cut
    /// anywhere, and a window.
    pub(crate) fn cut_content() -> impl Strategy<Value = (Vec<Bytes>, usize)> {
        let octet = prop::sample::select(&b"\r\n\r\n..ab\xfc\0"[..]);
        let chunk = prop::collection::vec(octet, 0..24).prop_map(Bytes::from);
        (prop::collection::vec(chunk, 0..8), 0..40_usize)
    }
}
