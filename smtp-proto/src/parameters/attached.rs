//! The parameters that an envelope carries: those of `MAIL`, those of every `RCPT`, and those
//! of one.
//!
//! Knows which of two with the same keyword counts. Must never know what a parameter means.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::{Parameter, Peer};
use crate::{Capabilities, ErrorKind};

/// Each keyword at most once in each place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attached {
    mail: Vec<Parameter>,
    every: Vec<Parameter>,
    /// By the recipient's position.
    single: BTreeMap<usize, Vec<Parameter>>,
}

impl Attached {
    /// Adds a parameter of `MAIL`, in the place of one with its keyword.
    pub(crate) fn add(&mut self, parameter: Parameter) {
        replace_or_push(&mut self.mail, parameter);
    }

    /// Adds a parameter of every `RCPT`, in the place of one with its keyword.
    pub(crate) fn add_for_all(&mut self, parameter: Parameter) {
        replace_or_push(&mut self.every, parameter);
    }

    /// Adds a parameter of one `RCPT`, in the place of one with its keyword.
    pub(crate) fn add_for(&mut self, recipient: usize, parameter: Parameter) {
        replace_or_push(self.single.entry(recipient).or_default(), parameter);
    }

    /// The same for the recipients at these positions only.
    pub(crate) fn only(&self, recipients: &[usize]) -> Self {
        let own = |(position, recipient)| Some((position, self.single.get(recipient)?.clone()));
        Self {
            mail: self.mail.clone(),
            every: self.every.clone(),
            single: recipients.iter().enumerate().filter_map(own).collect(),
        }
    }

    /// Those of `MAIL`.
    pub(crate) fn of_mail(&self) -> impl Iterator<Item = &Parameter> {
        self.mail.iter()
    }

    /// Those of one `RCPT`: its own, and of the others those that it has none of its own for.
    pub(crate) fn of_rcpt(&self, recipient: usize) -> impl Iterator<Item = &Parameter> {
        let own = self.single.get(&recipient).map_or(&[][..], Vec::as_slice);
        let overridden = move |other: &&Parameter| own.iter().any(|own| same_keyword(own, other));
        let others = self.every.iter().filter(move |other| !overridden(other));
        own.iter().chain(others)
    }

    /// Whether all may be sent to this server, or left out.
    pub(crate) fn check(&self, peer: Peer<'_>) -> Result<(), ErrorKind> {
        let single = self.single.values().flatten();
        let mut all = self.mail.iter().chain(&self.every).chain(single);
        all.try_for_each(|parameter| parameter.check(peer))
    }

    /// Appends those of `MAIL` to it.
    pub(crate) fn write_mail(&self, out: &mut Vec<u8>, capabilities: &Capabilities) {
        for parameter in self.of_mail() {
            parameter.write(out, capabilities);
        }
    }

    /// Appends those of one `RCPT` to it.
    pub(crate) fn write_rcpt(
        &self,
        recipient: usize,
        out: &mut Vec<u8>,
        capabilities: &Capabilities,
    ) {
        for parameter in self.of_rcpt(recipient) {
            parameter.write(out, capabilities);
        }
    }
}

fn replace_or_push(parameters: &mut Vec<Parameter>, parameter: Parameter) {
    match parameters
        .iter_mut()
        .find(|other| same_keyword(other, &parameter))
    {
        Some(other) => *other = parameter,
        None => parameters.push(parameter),
    }
}

fn same_keyword(one: &Parameter, other: &Parameter) -> bool {
    one.keyword().eq_ignore_ascii_case(other.keyword())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(text: &str) -> Parameter {
        text.parse().expect(text)
    }

    #[test]
    fn the_last_one_counts_and_the_recipients_own_most() {
        let mut attached = Attached::default();
        attached.add(parameter("X=1"));
        attached.add(parameter("x=2"));
        attached.add_for_all(parameter("N=all"));
        attached.add_for_all(parameter("O=all"));
        attached.add_for(2, parameter("N=2"));
        attached.add_for(1, parameter("N=first"));
        attached.add_for(1, parameter("P=1"));
        attached.add_for(1, parameter("n=1"));
        let of_mail: Vec<_> = attached.of_mail().map(Parameter::as_str).collect();
        assert_eq!(of_mail, ["x=2"]);
        for (recipient, expected) in [
            (0, &["N=all", "O=all"][..]),
            (1, &["n=1", "P=1", "O=all"]),
            (2, &["N=2", "O=all"]),
            (9, &["N=all", "O=all"]),
        ] {
            let of_rcpt: Vec<_> = attached.of_rcpt(recipient).map(Parameter::as_str).collect();
            assert_eq!(of_rcpt, expected);
        }
        let some = attached.only(&[9, 2, 1]);
        for (position, recipient) in [9, 2, 1].into_iter().enumerate() {
            assert!(some.of_rcpt(position).eq(attached.of_rcpt(recipient)));
        }
        assert!(some.of_mail().eq(attached.of_mail()));
    }
}
