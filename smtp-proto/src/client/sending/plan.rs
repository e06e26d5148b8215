//! The plan for a message: the parameters of `MAIL`, and `DATA` or `BDAT`; or the reason why this
//! server cannot take the message.
//!
//! Decides from the facts about the body and the server's capabilities. Must never know what was
//! answered.

use alloc::boxed::Box;

use crate::client::message::Message;
use crate::command::{BodyType, MailParameters};
use crate::message::parameters::ServerProperties;
use crate::{BodyFacts, ClientConfig, ErrorKind, Pipelining, Protocol, SizeLimit};

/// How the content is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) enum Plan {
    Data,
    Bdat {
        /// The first octet of the content, if it was sent by a `BDAT` of its own.
        first_octet: Option<u8>,
        /// The position in the output at which the content is announced.
        announced_at: Option<u64>,
    },
}

impl Plan {
    /// The number of octets that the server counts: with corrected line ends, without doubled dots.
    pub(in crate::client) fn octets(self, facts: &BodyFacts) -> u64 {
        match self {
            Self::Data if !facts.ends_with_crlf => facts.canonical_octets() + 2,
            Self::Bdat { .. } if facts.nul => facts.octets,
            Self::Data | Self::Bdat { .. } => facts.canonical_octets(),
        }
    }

    /// The number of octets that follow the last command, as the trace shows it.
    pub(in crate::client) fn last_octets(self, facts: &BodyFacts) -> u64 {
        let first_apart = matches!(
            self,
            Self::Bdat {
                first_octet: Some(_),
                ..
            }
        );
        self.octets(facts).saturating_sub(first_apart.into())
    }
}

/// What is known about the server's `BDAT` (RFC 3030). Some servers offer it and refuse it
/// without reading its octets, and some proxies offer it without supporting it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::client) enum Bdat {
    #[default]
    Unproven,
    /// The first `BDAT` was written, with an octet that cannot be misread as a command.
    Asked,
    /// The server accepted a `BDAT`.
    Proven,
    /// The server refused a `BDAT` after it accepted a recipient: text is sent with `DATA`.
    Refused,
}

impl Message {
    /// Decides how to send the message to a server with these capabilities.
    pub(in crate::client) fn plan(
        &mut self,
        config: &ClientConfig,
        server: ServerProperties<'_>,
        bdat: Bdat,
    ) -> Result<(Plan, MailParameters), ErrorKind> {
        let capabilities = server.capabilities;
        let facts = self.body.facts();
        let stream = self.body.stream_facts();
        let binary = facts.is_some_and(|facts| facts.nul) || stream.is_some_and(|s| s.binary);
        let eight_bit =
            facts.is_some_and(|facts| facts.eight_bit) || stream.is_some_and(|s| s.eight_bit);
        let utf8_header =
            facts.is_some_and(|facts| facts.utf8_header) || stream.is_some_and(|s| s.smtp_utf8);
        let smtp_utf8 = capabilities.smtp_utf8();
        if smtp_utf8 || self.envelope.is_ascii() {
            self.in_ascii = None;
        } else if self.in_ascii.is_none() {
            self.in_ascii = self.envelope.with_a_labels().map(Box::new);
        }
        let international = utf8_header || !self.sent_envelope().is_ascii();
        let chunking = config.chunking && capabilities.chunking();
        if binary && !(capabilities.binary_mime() && chunking) {
            return Err(ErrorKind::ExtensionNotOffered("BINARYMIME"));
        }
        // Text can be sent with DATA after a refused `BDAT`. Binary content cannot: the server may
        // take this message where it refused another.
        let chunking = chunking && (binary || bdat != Bdat::Refused);
        let eight_bit_known = capabilities.eight_bit_mime();
        if eight_bit && !binary && !eight_bit_known && !config.allow_8bit_without_8bitmime {
            return Err(ErrorKind::ExtensionNotOffered("8BITMIME"));
        }
        if international && !smtp_utf8 {
            return Err(ErrorKind::ExtensionNotOffered("SMTPUTF8"));
        }
        if let Some(parameters) = self.envelope.added_parameters()
            && !self.portion.is_further()
        {
            parameters.check(server)?;
        }
        let bold = config.pipelining == Pipelining::Bold;
        let proven = bdat == Bdat::Proven || bold;
        let harmless = proven || self.probe_octet().is_some();
        // In LMTP each recipient gets a reply. If a server refuses a `BDAT` with one reply and
        // does not read its octets, further replies answer lines of the content.
        let certain = harmless && (config.protocol == Protocol::Smtp || bold);
        let plan = if chunking && (binary || (!self.body.is_stream() && certain)) {
            Plan::Bdat {
                first_octet: None,
                announced_at: None,
            }
        } else {
            Plan::Data
        };
        let size = match (facts, plan) {
            (Some(facts), plan) => Some(plan.octets(facts)),
            (None, _) => stream.and_then(|s| s.size_hint),
        };
        let limit = capabilities.size();
        if let (Some(octets), Some(SizeLimit::Octets(limit))) = (size, limit)
            && octets > limit
        {
            return Err(ErrorKind::TooLarge { octets, limit });
        }
        let parameters = MailParameters {
            size: size.filter(|_| limit.is_some()),
            body: match (binary, eight_bit) {
                (true, _) => Some(BodyType::BinaryMime),
                (false, true) if eight_bit_known => Some(BodyType::EightBitMime),
                (false, _) => None,
            },
            smtp_utf8: international,
        };
        Ok((plan, parameters))
    }
}
