//! The parameters of an envelope: those of `MAIL`, those of every `RCPT`, and those of a single
//! recipient.
//!
//! Knows which of two parameters with the same keyword counts. Must never know what a parameter
//! means.

use alloc::vec::Vec;

use super::{Parameter, ServerProperties};
use crate::{Capabilities, ErrorKind};

/// Parameters, each keyword at most once per place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EnvelopeParameters {
    mail: Vec<Parameter>,
    every: Vec<Parameter>,
    /// The parameters of single recipients, by position. The last entry is not empty.
    single: Vec<Vec<Parameter>>,
}

impl EnvelopeParameters {
    /// Adds a parameter of `MAIL`, replacing one with the same keyword.
    pub(crate) fn add(&mut self, parameter: Parameter) {
        replace_or_push(&mut self.mail, parameter);
    }

    /// Adds a parameter of every `RCPT`, replacing one with the same keyword.
    pub(crate) fn add_for_all(&mut self, parameter: Parameter) {
        replace_or_push(&mut self.every, parameter);
    }

    /// Adds a parameter of one `RCPT`, replacing one with the same keyword.
    pub(crate) fn add_for(&mut self, recipient: usize, parameter: Parameter) {
        if self.single.len() <= recipient {
            self.single.resize_with(recipient + 1, Vec::new);
        }
        replace_or_push(&mut self.single[recipient], parameter);
    }

    /// The parameters for only the recipients at these positions.
    pub(crate) fn with_recipients_at(&self, recipients: &[usize]) -> Self {
        let own = |recipient: &usize| self.of_single(*recipient);
        let with_own = |recipient: &usize| !own(recipient).is_empty();
        let end = recipients.iter().rposition(with_own);
        let kept = &recipients[..end.map_or(0, |last| last + 1)];
        Self {
            mail: self.mail.clone(),
            every: self.every.clone(),
            single: kept
                .iter()
                .map(|recipient| own(recipient).to_vec())
                .collect(),
        }
    }

    fn of_single(&self, recipient: usize) -> &[Parameter] {
        self.single.get(recipient).map_or(&[], Vec::as_slice)
    }

    /// The parameters of `MAIL`.
    pub(crate) fn of_mail(&self) -> impl Iterator<Item = &Parameter> {
        self.mail.iter()
    }

    /// The parameters of every `RCPT`.
    #[cfg(feature = "serde")]
    pub(crate) fn of_every_rcpt(&self) -> impl Iterator<Item = &Parameter> {
        self.every.iter()
    }

    /// The parameters of single recipients, with their positions.
    #[cfg(feature = "serde")]
    pub(crate) fn of_single_rcpts(&self) -> impl Iterator<Item = (usize, &Parameter)> {
        let single = self.single.iter().enumerate();
        single.flat_map(|(recipient, all)| all.iter().map(move |each| (recipient, each)))
    }

    /// The parameters of one `RCPT`: the recipient's own, and those of every `RCPT` with other
    /// keywords.
    pub(crate) fn of_rcpt(&self, recipient: usize) -> impl Iterator<Item = &Parameter> {
        let own = self.of_single(recipient);
        let overridden = move |other: &&Parameter| own.iter().any(|own| same_keyword(own, other));
        let others = self.every.iter().filter(move |other| !overridden(other));
        own.iter().chain(others)
    }

    /// Checks that all parameters may be sent to this server, or left out.
    pub(crate) fn check(&self, server: ServerProperties<'_>) -> Result<(), ErrorKind> {
        let single = self.single.iter().flatten();
        let mut all = self.mail.iter().chain(&self.every).chain(single);
        all.try_for_each(|parameter| parameter.check(server))
    }

    /// Appends the parameters of `MAIL` to the command.
    pub(crate) fn write_mail(&self, out: &mut Vec<u8>, capabilities: &Capabilities) {
        for parameter in self.of_mail() {
            parameter.write(out, capabilities);
        }
    }

    /// Appends the parameters of one `RCPT` to the command.
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
    fn a_recipients_own_parameter_takes_precedence() {
        let mut parameters = EnvelopeParameters::default();
        parameters.add(parameter("X=1"));
        parameters.add(parameter("x=2"));
        parameters.add_for_all(parameter("N=all"));
        parameters.add_for_all(parameter("O=all"));
        parameters.add_for(2, parameter("N=2"));
        parameters.add_for(1, parameter("N=first"));
        parameters.add_for(1, parameter("P=1"));
        parameters.add_for(1, parameter("n=1"));
        let of_mail: Vec<_> = parameters.of_mail().map(Parameter::as_str).collect();
        assert_eq!(of_mail, ["x=2"]);
        for (recipient, expected) in [
            (0, &["N=all", "O=all"][..]),
            (1, &["n=1", "P=1", "O=all"]),
            (2, &["N=2", "O=all"]),
            (9, &["N=all", "O=all"]),
        ] {
            let of_rcpt: Vec<_> = parameters
                .of_rcpt(recipient)
                .map(Parameter::as_str)
                .collect();
            assert_eq!(of_rcpt, expected);
        }
        let some = parameters.with_recipients_at(&[9, 2, 1]);
        for (position, recipient) in [9, 2, 1].into_iter().enumerate() {
            assert!(some.of_rcpt(position).eq(parameters.of_rcpt(recipient)));
        }
        assert!(some.of_mail().eq(parameters.of_mail()));
    }
}
