//! Which of a message's recipients one transaction is for.
//!
//! Most messages are one transaction, for all of them. Where a server takes fewer at a time
//! (RFC 5321 §4.5.3.1.10, RFC 9422) the rest goes in further ones. Must never know why.

use alloc::vec::Vec;

/// Positions in the envelope, and how many of them are asked for now.
#[derive(Debug)]
pub(in crate::client) struct Portion {
    /// None for all recipients: a message that is not divided allocates nothing.
    places: Option<Places>,
    /// The first of them; those behind are left for a further transaction.
    asked: usize,
    /// How many there are, asked for or not.
    total: usize,
    /// How many the server took at a time when it said that there were too many.
    at_a_time: usize,
    /// An earlier transaction of the message was answered.
    further: bool,
}

/// A list whose front is used up, so that many transactions of one message share it.
#[derive(Debug)]
struct Places {
    all: Vec<usize>,
    from: usize,
}

impl Portion {
    /// All of so many recipients.
    pub(in crate::client) fn whole(recipients: usize) -> Self {
        Self {
            places: None,
            asked: recipients,
            total: recipients,
            at_a_time: usize::MAX,
            further: false,
        }
    }

    /// What this transaction leaves for a further one: those of the asked ones whose number
    /// `again` gives, in order, then those that were not asked. None if there are none.
    pub(in crate::client) fn into_rest(self, again: &[usize]) -> Option<Self> {
        let total = again.len() + self.total - self.asked;
        let mut places = self.places.unwrap_or_else(|| Places {
            all: (0..self.total).collect(),
            from: 0,
        });
        // They take the places in front of those that were not asked.
        let from = places.from + self.asked - again.len();
        for (nth, again) in again.iter().enumerate().rev() {
            let place = places.all.get(places.from + again).copied();
            if let (Some(free), Some(place)) = (places.all.get_mut(from + nth), place) {
                *free = place;
            }
        }
        places.from = from;
        (total > 0).then_some(Self {
            places: Some(places),
            asked: total.min(self.at_a_time),
            total,
            at_a_time: self.at_a_time,
            further: true,
        })
    }

    /// Leaves all others out for good.
    pub(in crate::client) fn keep_only(&mut self, places: Vec<usize>) {
        self.asked = places.len();
        self.total = places.len();
        self.places = Some(Places {
            all: places,
            from: 0,
        });
    }

    /// Asks for no more than so many now.
    pub(in crate::client) fn limit(&mut self, most: usize) {
        self.asked = self.asked.min(most);
    }

    /// The server takes no more than so many at a time, now and in further transactions.
    pub(in crate::client) fn limit_all(&mut self, at_a_time: usize) {
        self.at_a_time = self.at_a_time.min(at_a_time.max(1));
    }

    /// How many are asked for.
    pub(in crate::client) fn asked(&self) -> usize {
        self.asked
    }

    /// How many there are.
    pub(in crate::client) fn total(&self) -> usize {
        self.total
    }

    /// Whether an earlier transaction of the message was answered.
    pub(in crate::client) fn is_further(&self) -> bool {
        self.further
    }

    /// Whether it is all recipients of the message.
    pub(in crate::client) fn is_whole(&self) -> bool {
        self.places.is_none()
    }

    /// Where the nth of them stands in the envelope.
    pub(in crate::client) fn place(&self, nth: usize) -> usize {
        match &self.places {
            Some(places) => {
                let place = places.all.get(places.from + nth);
                place.copied().unwrap_or(usize::MAX)
            }
            None => nth,
        }
    }

    /// Where each of them stands.
    pub(in crate::client) fn places(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.total).map(|nth| self.place(nth))
    }

    /// Where each of those stands that are asked for.
    pub(in crate::client) fn asked_places(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.asked).map(|nth| self.place(nth))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn places(portion: &Portion) -> Vec<usize> {
        portion.places().collect()
    }

    #[test]
    fn who_was_too_many_comes_before_who_was_not_asked() {
        let mut portion = Portion::whole(6);
        portion.limit(4);
        let mut rest = portion.into_rest(&[0, 2]).unwrap();
        assert_eq!(places(&rest), [0, 2, 4, 5]);
        rest.limit(1);
        let mut rest = rest.into_rest(&[]).unwrap();
        assert_eq!(places(&rest), [2, 4, 5]);
        rest.limit(2);
        assert_eq!(rest.asked_places().collect::<Vec<_>>(), [2, 4]);
        let rest = rest.into_rest(&[0, 1]).unwrap();
        assert_eq!(places(&rest), [2, 4, 5]);
        assert!(rest.into_rest(&[]).is_none());
    }

    #[test]
    fn all_of_them_again_are_all() {
        let rest = Portion::whole(3).into_rest(&[0, 1, 2]).unwrap();
        assert_eq!(places(&rest), [0, 1, 2]);
        assert!(rest.is_further());
        let mut kept = Portion::whole(5);
        kept.keep_only(vec![1, 3]);
        assert_eq!(places(&kept.into_rest(&[1]).unwrap()), [3]);
    }
}
