//! The choices that make a world: a stream of numbers from a seed, or from the input of a fuzzer.

/// A source of choices. The same seed, or the same octets, give the same choices.
#[derive(Clone, Debug)]
pub struct Choices {
    state: u64,
    /// Octets that come before the numbers of the seed.
    given: Vec<u8>,
}

impl Choices {
    /// Choices from a seed.
    pub fn from_seed(seed: u64) -> Self {
        Self {
            state: seed,
            given: Vec::new(),
        }
    }

    /// Choices from these octets, and from a fixed seed when they are used up.
    pub fn from_octets(octets: &[u8]) -> Self {
        Self {
            state: 0,
            given: octets.iter().rev().copied().collect(),
        }
    }

    /// The next number: of the octets, or of splitmix64 (Steele, Lea, Flood 2014).
    pub fn number(&mut self) -> u64 {
        if !self.given.is_empty() {
            let mut number = 0;
            for _ in 0..2 {
                number = number << 8 | u64::from(self.given.pop().unwrap_or_default());
            }
            return number;
        }
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.state;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }

    /// A number below `bound`, which is at least 1.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.number() % bound).unwrap_or_default()
    }

    /// True once in `times` on average.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of these.
    ///
    /// # Panics
    ///
    /// If there are none.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}
