//! Rounds in which every client has a turn, in a different order each time.
//!
//! Other load on the machine thus affects all clients alike.

/// Calls `measure` for each of `entrants` in each of `rounds`.
pub(crate) fn interleaved<T>(
    rounds: usize,
    entrants: &mut [T],
    mut measure: impl FnMut(usize, &mut T),
) {
    let count = entrants.len();
    for round in 0..rounds {
        for turn in 0..count {
            measure(round, &mut entrants[(turn + round) % count]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_comes_once_a_round_and_another_one_first() {
        let mut seen = Vec::new();
        interleaved(3, &mut ['a', 'b', 'c'], |_, who| seen.push(*who));
        assert_eq!(String::from_iter(seen), "abcbcacab");
    }
}
