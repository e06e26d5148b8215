//! Envelopes and their parameters, in both directions.

use alloc::string::String;
use alloc::vec::Vec;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::message::parameters::EnvelopeParameters;
use crate::{Address, Envelope, MailParameter, Parameter, RcptParameter, Recipients};

#[derive(Serialize)]
struct Written<'a> {
    reverse_path: Option<&'a Address>,
    forward_paths: &'a [Address],
    recipients: Recipients,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parameters: Vec<&'a Parameter>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parameters_for_all: Vec<&'a Parameter>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    recipient_parameters: Vec<OfRecipient<&'a Parameter>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename = "Envelope")]
struct Read {
    /// Must be there, as null for the null path: a missing sender is a mistake.
    #[serde(deserialize_with = "Option::deserialize")]
    reverse_path: Option<Address>,
    forward_paths: Vec<Address>,
    #[serde(default)]
    recipients: Recipients,
    #[serde(default)]
    parameters: Vec<Parameter>,
    #[serde(default)]
    parameters_for_all: Vec<Parameter>,
    #[serde(default)]
    recipient_parameters: Vec<OfRecipient<Parameter>>,
}

/// A parameter of the recipient at this position.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfRecipient<P> {
    recipient: usize,
    parameter: P,
}

impl Serialize for Envelope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let added = self.added_parameters().into_iter();
        let single = added.clone().flat_map(EnvelopeParameters::of_single_rcpts);
        Written {
            reverse_path: self.reverse_path(),
            forward_paths: self.forward_paths(),
            recipients: self.recipients(),
            parameters: self.parameters().collect(),
            parameters_for_all: added.flat_map(EnvelopeParameters::of_every_rcpt).collect(),
            recipient_parameters: single
                .map(|(recipient, parameter)| OfRecipient {
                    recipient,
                    parameter,
                })
                .collect(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Envelope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = Read::deserialize(deserializer)?;
        let mut envelope = Self::new(read.reverse_path, read.forward_paths)
            .map_err(D::Error::custom)?
            .with_recipients(read.recipients);
        for parameter in read.parameters {
            envelope = envelope.with_parameter(MailParameter::from(parameter));
        }
        for parameter in read.parameters_for_all {
            envelope = envelope.with_parameter_for_all(RcptParameter::from(parameter));
        }
        for each in read.recipient_parameters {
            let parameter = RcptParameter::from(each.parameter);
            envelope = envelope
                .with_recipient_parameter(each.recipient, parameter)
                .map_err(D::Error::custom)?;
        }
        Ok(envelope)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename = "Parameter")]
struct Fields<T> {
    text: T,
    extension: T,
    optional: bool,
}

impl Serialize for Parameter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Fields {
            text: self.as_str(),
            extension: self.extension(),
            optional: self.is_optional(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Parameter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = Fields::<String>::deserialize(deserializer)?;
        let known = Parameter::of_any_extension(&read.text).map_err(D::Error::custom)?;
        let parameter = if known.extension() == read.extension {
            known
        } else {
            let other: Parameter = read.text.parse().map_err(D::Error::custom)?;
            other
                .with_extension(&read.extension)
                .map_err(D::Error::custom)?
        };
        Ok(if read.optional {
            parameter.optional()
        } else {
            parameter.required()
        })
    }
}
