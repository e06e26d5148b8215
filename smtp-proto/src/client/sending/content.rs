//! The content while it is written, in the encoding that its plan requires.
//!
//! Knows line ends, dots and octet counts. Must never know what was answered.

use bytes::Bytes;

use super::plan::Plan;
use super::{Progress, Transaction};
use crate::client::message::Message;
use crate::message::body::{CanonicalEncoder, DotEncoder};

#[derive(Debug)]
pub(in crate::client) enum Content {
    /// After `DATA`: dot-stuffed, ended by a dot.
    Dotted { encoder: DotEncoder, rest: Bytes },
    /// After `BDAT n LAST`: text whose line ends need correction.
    Canonical {
        encoder: CanonicalEncoder,
        rest: Bytes,
    },
    /// After `BDAT n LAST`: octets without a change.
    Whole(Bytes),
    /// One `BDAT` for each piece that the program passes.
    Chunks,
}

impl Message {
    /// The first octet of the content, for the first `BDAT` of a session, if it is harmless to
    /// a server that takes it for a command or for the beginning of one.
    ///
    /// Binary content cannot be sent by `DATA`, so any first octet is tried: one octet may be an
    /// empty line, but never a command.
    pub(in crate::client) fn probe_octet(&self) -> Option<Bytes> {
        let content = self.body.bytes()?;
        let first = content.first()?;
        let is_binary = self.body.facts().is_some_and(|facts| facts.nul);
        (is_harmless(*first) || is_binary).then(|| content.slice(..1))
    }
}

impl Transaction {
    /// The number of octets that `BDAT … LAST` announces; `None` for a stream.
    pub(in crate::client) fn announced_octets(&self) -> Option<u64> {
        let facts = self.message.body.facts()?;
        let octets = if facts.nul {
            facts.octets
        } else {
            facts.canonical_octets()
        };
        Some(octets - u64::from(self.plan.is_first_octet_written()))
    }

    /// Begins the content after the `354` to `DATA`.
    pub(in crate::client) fn begin_dotted(&mut self) {
        let body = &self.message.body;
        let encoder = body
            .facts()
            .map_or_else(DotEncoder::new, DotEncoder::with_facts);
        let rest = body.bytes().cloned().unwrap_or_default();
        self.progress = Progress::Content(Content::Dotted { encoder, rest });
    }

    /// Begins the content after `BDAT`.
    pub(in crate::client) fn begin_chunked(&mut self) {
        let body = &self.message.body;
        let already = usize::from(self.plan.is_first_octet_written());
        let rest = body.bytes().map(|content| content.slice(already..));
        let content = match (body.facts(), rest) {
            (_, None) => Content::Chunks,
            (Some(facts), Some(rest)) if !facts.is_canonical() && !facts.nul => {
                let encoder = CanonicalEncoder::new();
                Content::Canonical { encoder, rest }
            }
            (_, Some(rest)) => Content::Whole(rest),
        };
        self.progress = Progress::Content(content);
    }
}

impl Plan {
    fn is_first_octet_written(&self) -> bool {
        let Self::Bdat { first_octet, .. } = self else {
            return false;
        };
        first_octet.is_some()
    }

    /// Whether the octet of the first `BDAT` gets no reply of its own if the server does not read
    /// it as content.
    pub(in crate::client) fn was_probe_harmless(&self) -> bool {
        let Self::Bdat { first_octet, .. } = self else {
            return true;
        };
        first_octet.is_none_or(is_harmless)
    }
}

/// Whether the octet and a command after it form one line.
fn is_harmless(octet: u8) -> bool {
    octet.is_ascii_graphic()
}
