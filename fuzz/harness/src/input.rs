//! Reads the octets of a fuzzer's input as choices, front to back, so that a seed can be
//! written by hand and a truncated input stays meaningful.

/// Octets that are read as choices. Missing octets read as zero.
#[derive(Clone, Debug)]
pub(crate) struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets }
    }

    pub(crate) fn octet(&mut self) -> u8 {
        self.next().unwrap_or_default()
    }

    /// Four boolean choices in the low half of an octet: `'0'` to `'?'` in a seed.
    pub(crate) fn flags(&mut self) -> [bool; 4] {
        let octet = self.octet();
        [octet & 1, octet & 2, octet & 4, octet & 8].map(|bit| bit != 0)
    }

    /// One of `options`: `'0'` in a seed is the first.
    pub(crate) fn one_of<T: Copy, const N: usize>(&mut self, options: [T; N]) -> T {
        let octet = usize::from(self.octet().wrapping_sub(b'0'));
        options[octet % N]
    }

    /// The rest of the octets.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }
}

impl Iterator for Input<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }
}
