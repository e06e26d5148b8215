//! Which of a message's recipients one transaction asks for.
//!
//! Most messages are one transaction, for all of them. Where a server takes fewer at a time
//! (RFC 5321 §4.5.3.1.10, RFC 9422) the rest goes in further ones. Must never know why.

use alloc::vec::Vec;

/// Positions in the envelope, and how many of them are asked for now.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// None for all recipients: a message that is not divided allocates nothing.
    places: Option<Vec<usize>>,
    /// The first of them; those behind are left for a further transaction.
    asked: usize,
    /// How many there are, asked for or not.
    total: usize,
    /// An earlier transaction of the message was answered.
    further: bool,
}

impl Part {
    /// All of so many recipients.
    pub(crate) fn whole(recipients: usize) -> Self {
        Self {
            places: None,
            asked: recipients,
            total: recipients,
            further: false,
        }
    }

    /// What earlier transactions left.
    pub(crate) fn rest(places: Vec<usize>) -> Self {
        Self {
            asked: places.len(),
            total: places.len(),
            places: Some(places),
            further: true,
        }
    }

    /// Leaves all others out for good.
    pub(crate) fn keep_only(&mut self, places: Vec<usize>) {
        self.asked = places.len();
        self.total = places.len();
        self.places = Some(places);
    }

    /// Asks for no more than so many now.
    pub(crate) fn limit(&mut self, most: usize) {
        self.asked = self.total.min(most);
    }

    /// How many are asked for.
    pub(crate) fn asked(&self) -> usize {
        self.asked
    }

    /// How many there are.
    pub(crate) fn total(&self) -> usize {
        self.total
    }

    /// Whether an earlier transaction of the message was answered.
    pub(crate) fn is_further(&self) -> bool {
        self.further
    }

    /// Whether it is all recipients of the message.
    pub(crate) fn is_whole(&self) -> bool {
        self.places.is_none()
    }

    /// Where the nth of them stands in the envelope.
    pub(crate) fn place(&self, nth: usize) -> usize {
        match &self.places {
            Some(places) => places.get(nth).copied().unwrap_or(usize::MAX),
            None => nth,
        }
    }

    /// Where each of them stands.
    pub(crate) fn places(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.total).map(|nth| self.place(nth))
    }
}
