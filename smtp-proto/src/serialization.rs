//! Serialisation of what programs store, log or configure (feature `serde`): addresses and
//! envelopes in both directions, reports and errors in one.
//!
//! Everything that is read passes the parser of its type, so that a stored envelope cannot contain
//! what an envelope cannot. Names are stable. Secrets are never written.

mod envelope;
mod report;
#[cfg(test)]
mod tests;

use core::fmt;
use core::marker::PhantomData;
use core::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Address, HelloName, Mechanism, Security, Stage};

/// Types whose serialised form is their text.
macro_rules! text {
    ($($name:ident: $expected:literal),+ $(,)?) => {
        $(
            impl Serialize for $name {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.collect_str(self)
                }
            }

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    deserializer.deserialize_str(TextVisitor($expected, PhantomData))
                }
            }
        )+
    };
}

text! {
    Address: "an email address",
    HelloName: "a domain or an address literal",
    Mechanism: "the name of a SASL mechanism",
    Security: "none, opportunistic, required or wrapper",
}

impl Serialize for Stage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Reads a text with its parser. The error never repeats the text.
struct TextVisitor<T>(&'static str, PhantomData<T>);

impl<T> Visitor<'_> for TextVisitor<T>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}
