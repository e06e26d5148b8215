//! Which kinds of octets a block contains, not how many or where: many octets are compared at
//! once, and no branch is taken per line.
//!
//! Plain loops over lanes, which the compiler turns into vector instructions. With the feature
//! `simd` they are compiled for several kinds of processor, and the program selects one when it
//! runs; otherwise they are compiled for the minimum of the target.

/// What was found in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockFlags {
    /// The bitwise OR of all octets.
    pub(super) bits: u8,
    /// The smallest octet.
    pub(super) smallest: u8,
    /// Whether there is a CR that is not followed by LF, or an LF that does not follow a CR.
    pub(super) has_lone_line_end: bool,
    /// Whether there is a dot after an LF.
    pub(super) dotted: bool,
}

/// The number of octets in a vector register of most processors.
const LANES: usize = 32;

/// The number of octets compared in one round: large enough that the loop's own cost does not
/// matter.
const ROUND: usize = 4 * LANES;

/// A round and the two octets after it.
const WINDOW: usize = ROUND + 2;

impl BlockFlags {
    #[cfg(feature = "simd")]
    pub(super) fn of(block: &[u8]) -> Self {
        let level = fearless_simd::Level::new();
        // Wider vectors are no faster here: loads take most of the time, and each of them would
        // cross a cache line.
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        let level = level.as_avx2().map_or(level, fearless_simd::Simd::level);
        fearless_simd::dispatch!(level, _simd => Self::scan_vectors(block))
    }

    #[cfg(not(feature = "simd"))]
    pub(super) fn of(block: &[u8]) -> Self {
        Self::scan_vectors(block)
    }

    // Inlined into each function that is compiled for a kind of processor.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    fn scan_vectors(block: &[u8]) -> Self {
        let Some(last) = block.len().checked_sub(WINDOW) else {
            return Self::scan_octets(block);
        };
        let mut bits = [0; LANES];
        let mut smallest = [u8::MAX; LANES];
        let mut has_lone_line_end = [0; LANES];
        let mut dotted = [0; LANES];
        let mut at = 0;
        while let Some(window) = block[at..].first_chunk::<WINDOW>() {
            for round in 0..ROUND / LANES {
                for lane in 0..LANES {
                    let at = round * LANES + lane;
                    let octet = window[at + 1];
                    bits[lane] |= octet;
                    smallest[lane] = octet.min(smallest[lane]);
                    let line_feed = mask(octet == b'\n');
                    has_lone_line_end[lane] |= mask(window[at] == b'\r') ^ line_feed;
                    dotted[lane] |= line_feed & mask(window[at + 2] == b'.');
                }
            }
            if at == last {
                break;
            }
            // The last window may overlap the one before: comparing an octet twice is harmless.
            at = (at + ROUND).min(last);
        }
        // The octets before and after those that the rounds covered.
        let first = block[0];
        let (before, end) = (block[last + WINDOW - 2], block[last + WINDOW - 1]);
        Self {
            bits: bits.iter().fold(first | end, |all, lane| all | lane),
            smallest: smallest
                .iter()
                .fold(first.min(end), |smallest, lane| smallest.min(*lane)),
            has_lone_line_end: has_lone_line_end.iter().any(|lane| *lane != 0)
                || is_lone_line_end(before, end),
            dotted: dotted.iter().any(|lane| *lane != 0) || block.starts_with(b"\n."),
        }
    }

    /// Finds the flags of a few octets, one at a time.
    fn scan_octets(block: &[u8]) -> Self {
        let mut pairs = block.windows(2);
        Self {
            bits: block.iter().fold(0, |all, octet| all | octet),
            smallest: block.iter().copied().min().unwrap_or(u8::MAX),
            has_lone_line_end: pairs.clone().any(|pair| is_lone_line_end(pair[0], pair[1])),
            dotted: pairs.any(|pair| pair == b"\n."),
        }
    }
}

/// All ones or all zeros, the result of a vector comparison.
#[allow(clippy::inline_always)]
#[inline(always)]
fn mask(is: bool) -> u8 {
    if is { u8::MAX } else { 0 }
}

fn is_lone_line_end(before: u8, octet: u8) -> bool {
    (before == b'\r') != (octet == b'\n')
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    /// Every pattern that the functions look for, and patterns that are nearly the same.
    const SEEN: [&[u8]; 8] = [
        b"\r\n", b"\r", b"\n", b".", b"\r\n.", b"\n.", b"\0", b"\xff",
    ];

    proptest! {
        #[test]
        fn vectors_and_single_octets_agree(
            octets in 0..3 * WINDOW,
            places in prop::collection::vec((any::<prop::sample::Index>(), 0..SEEN.len()), 0..4),
        ) {
            let mut block = vec![b'a'; octets];
            for (place, seen) in places {
                let rest = &mut block[place.index(octets.max(1))..];
                let seen = &SEEN[seen][..SEEN[seen].len().min(rest.len())];
                rest[..seen.len()].copy_from_slice(seen);
            }
            let (seen, known) = (BlockFlags::of(&block), BlockFlags::scan_octets(&block));
            prop_assert_eq!(seen, known);
        }
    }
}
