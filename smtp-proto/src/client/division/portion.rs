//! The recipients of a message that belong to one transaction.
//!
//! Most messages need one transaction for all recipients. If a server accepts fewer at a time
//! (RFC 5321 §4.5.3.1.10, RFC 9422), the rest goes in further transactions. Must never know why
//! a message is divided.

use alloc::vec::Vec;

/// Positions of recipients in the envelope, and how many of them belong to this transaction.
#[derive(Debug)]
pub(in crate::client) struct Portion {
    /// `None` for all recipients, so that an undivided message allocates nothing.
    positions: Option<Positions>,
    /// The number of recipients in this transaction, from the front. The others are left for a
    /// further transaction.
    asked: usize,
    /// The number of recipients, in this transaction or not.
    total: usize,
    /// The number of recipients that the server accepted before it refused more as too many.
    at_a_time: usize,
    /// Whether an earlier transaction of the message was answered.
    further: bool,
}

/// A list that is consumed from the front, so that all transactions of one message share it.
#[derive(Debug)]
struct Positions {
    all: Vec<usize>,
    from: usize,
}

impl Portion {
    /// A portion with all recipients.
    pub(in crate::client) fn whole(recipients: usize) -> Self {
        Self {
            positions: None,
            asked: recipients,
            total: recipients,
            at_a_time: usize::MAX,
            further: false,
        }
    }

    /// The portion for a further transaction: the recipients of this one with the indexes
    /// `again`, in order, then those outside this transaction. `None` if it would be empty.
    pub(in crate::client) fn into_rest(self, again: &[usize]) -> Option<Self> {
        let total = again.len() + self.total - self.asked;
        let mut positions = self.positions.unwrap_or_else(|| Positions {
            all: (0..self.total).collect(),
            from: 0,
        });
        // The repeated recipients take the positions before those outside this transaction.
        let from = positions.from + self.asked - again.len();
        for (nth, again) in again.iter().enumerate().rev() {
            let position = positions.all.get(positions.from + again).copied();
            if let (Some(free), Some(position)) = (positions.all.get_mut(from + nth), position) {
                *free = position;
            }
        }
        positions.from = from;
        (total > 0).then_some(Self {
            positions: Some(positions),
            asked: total.min(self.at_a_time),
            total,
            at_a_time: self.at_a_time,
            further: true,
        })
    }

    /// Removes all other recipients permanently.
    pub(in crate::client) fn keep_only(&mut self, positions: Vec<usize>) {
        self.asked = positions.len();
        self.total = positions.len();
        self.positions = Some(Positions {
            all: positions,
            from: 0,
        });
    }

    /// Limits the number of recipients of this transaction.
    pub(in crate::client) fn limit(&mut self, most: usize) {
        self.asked = self.asked.min(most);
    }

    /// Limits the number of recipients of this and all further transactions.
    pub(in crate::client) fn limit_all(&mut self, at_a_time: usize) {
        self.at_a_time = self.at_a_time.min(at_a_time.max(1));
    }

    /// The number of recipients in this transaction.
    pub(in crate::client) fn asked(&self) -> usize {
        self.asked
    }

    /// The number of recipients, in this transaction or not.
    pub(in crate::client) fn total(&self) -> usize {
        self.total
    }

    /// Whether an earlier transaction of the message was answered.
    pub(in crate::client) fn is_further(&self) -> bool {
        self.further
    }

    /// Whether this transaction is for all recipients of the message.
    pub(in crate::client) fn is_whole(&self) -> bool {
        self.positions.is_none()
    }

    /// The position of the nth recipient in the envelope.
    pub(in crate::client) fn position(&self, nth: usize) -> usize {
        match &self.positions {
            Some(positions) => {
                let position = positions.all.get(positions.from + nth);
                position.copied().unwrap_or(usize::MAX)
            }
            None => nth,
        }
    }

    /// The positions of all recipients in the envelope.
    pub(in crate::client) fn positions(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.total).map(|nth| self.position(nth))
    }

    /// The positions of the recipients of this transaction in the envelope.
    pub(in crate::client) fn asked_positions(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.asked).map(|nth| self.position(nth))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn positions(portion: &Portion) -> Vec<usize> {
        portion.positions().collect()
    }

    #[test]
    fn who_was_too_many_comes_before_who_was_not_asked() {
        let mut portion = Portion::whole(6);
        portion.limit(4);
        let mut rest = portion.into_rest(&[0, 2]).unwrap();
        assert_eq!(positions(&rest), [0, 2, 4, 5]);
        rest.limit(1);
        let mut rest = rest.into_rest(&[]).unwrap();
        assert_eq!(positions(&rest), [2, 4, 5]);
        rest.limit(2);
        assert_eq!(rest.asked_positions().collect::<Vec<_>>(), [2, 4]);
        let rest = rest.into_rest(&[0, 1]).unwrap();
        assert_eq!(positions(&rest), [2, 4, 5]);
        assert!(rest.into_rest(&[]).is_none());
    }

    #[test]
    fn all_of_them_again_are_all() {
        let rest = Portion::whole(3).into_rest(&[0, 1, 2]).unwrap();
        assert_eq!(positions(&rest), [0, 1, 2]);
        assert!(rest.is_further());
        let mut kept = Portion::whole(5);
        kept.keep_only(vec![1, 3]);
        assert_eq!(positions(&kept.into_rest(&[1]).unwrap()), [3]);
    }
}
