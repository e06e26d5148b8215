//! How a message is sent to a server: what is said with `MAIL`, by `DATA` or `BDAT`, in which
//! encoding, to how many recipients at a time; or that it cannot be.
//!
//! Decides from the body's facts and the server's capabilities. Must never know what was
//! answered.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

use super::transaction::{Bdat, Content, Transaction, Transfer};
use crate::body::{CanonicalEncoder, DotEncoder};
use crate::command::{BodyType, MailParameters};
use crate::parameters::Peer;
use crate::{ClientConfig, ErrorKind, Pipelining, Protocol, Recipients, SizeLimit};

impl Transaction {
    /// Decides how this message is sent to a server with these capabilities.
    pub(crate) fn plan(
        &mut self,
        config: &ClientConfig,
        peer: Peer<'_>,
        bdat: Bdat,
    ) -> Result<MailParameters, ErrorKind> {
        let capabilities = peer.capabilities;
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
        let chunking = config.chunking && capabilities.chunking() && bdat != Bdat::Refused;

        if binary && !(capabilities.binary_mime() && chunking) {
            return Err(ErrorKind::ExtensionNotOffered("BINARYMIME"));
        }
        let eight_bit_known = capabilities.eight_bit_mime();
        if eight_bit && !binary && !eight_bit_known && !config.eight_bit_anyway {
            return Err(ErrorKind::ExtensionNotOffered("8BITMIME"));
        }
        if international && !smtp_utf8 {
            return Err(ErrorKind::ExtensionNotOffered("SMTPUTF8"));
        }
        if let Some(attached) = self.envelope.attached()
            && !self.part.is_further()
        {
            attached.check(peer)?;
        }
        let bold = config.pipelining == Pipelining::Bold;
        let proven = bdat == Bdat::Proven || bold;
        let harmless = proven || self.harmless_first_octet().is_some();
        // LMTP owes a reply for each recipient: where a `BDAT` is refused with one and its
        // octets are not read, the others are replies to lines of the content.
        let certain = harmless && (config.protocol == Protocol::Smtp || bold);
        self.transfer = if chunking && (binary || (!self.body.is_stream() && certain)) {
            Transfer::Chunking
        } else {
            Transfer::Data
        };
        let size = match (facts, self.transfer) {
            (Some(facts), Transfer::Data) => {
                let final_line_end = if facts.ends_with_crlf { 0 } else { 2 };
                Some(facts.canonical_octets() + final_line_end)
            }
            (Some(facts), Transfer::Chunking) if facts.nul => Some(facts.octets),
            (Some(facts), Transfer::Chunking) => Some(facts.canonical_octets()),
            (None, _) => stream.and_then(|s| s.size_hint),
        };
        let limit = capabilities.size();
        if let (Some(octets), Some(SizeLimit::Octets(limit))) = (size, limit)
            && octets > limit
        {
            return Err(ErrorKind::TooLarge { octets, limit });
        }
        Ok(MailParameters {
            size: size.filter(|_| limit.is_some()),
            body: match (binary, eight_bit) {
                (true, _) => Some(BodyType::BinaryMime),
                (false, true) if eight_bit_known => Some(BodyType::EightBitMime),
                (false, _) => None,
            },
            smtp_utf8: international,
        })
    }

    /// Asks for no more recipients than these at a time.
    pub(crate) fn limit_recipients(
        &mut self,
        limit: &'static str,
        most: usize,
    ) -> Result<(), ErrorKind> {
        if self.part.total() <= most {
            return Ok(());
        }
        self.allow_fewer_recipients(limit, self.part.total(), most)?;
        self.part.limit(most);
        Ok(())
    }

    /// Leaves all recipients out but these. `most` is the server's limit on their domains.
    pub(crate) fn keep_recipients(
        &mut self,
        limit: &'static str,
        most: usize,
        places: Vec<usize>,
    ) -> Result<(), ErrorKind> {
        if places.is_empty() {
            return Err(ErrorKind::SessionFull);
        }
        self.allow_fewer_recipients(limit, most.saturating_add(1), most)?;
        self.part.keep_only(places);
        Ok(())
    }

    /// A part of the recipients is none where it is to be all or nobody.
    fn allow_fewer_recipients(
        &self,
        limit: &'static str,
        wanted: usize,
        most: usize,
    ) -> Result<(), ErrorKind> {
        match self.envelope.recipients() {
            Recipients::Any => Ok(()),
            Recipients::All => Err(ErrorKind::BeyondLimit {
                limit,
                wanted: wanted as u64,
                allowed: most as u64,
            }),
        }
    }

    /// The octets announced by `BDAT … LAST`; none for a stream.
    pub(crate) fn announced_octets(&self) -> Option<u64> {
        let facts = self.body.facts()?;
        let octets = if facts.nul {
            facts.octets
        } else {
            facts.canonical_octets()
        };
        Some(octets - u64::from(self.first_octet_written))
    }

    /// Content as it follows `DATA`'s `354`.
    pub(crate) fn dotted_content(&self) -> Content {
        let facts = self.body.facts();
        let encoder = facts.map_or_else(DotEncoder::new, DotEncoder::knowing);
        let rest = self.body.bytes().cloned().unwrap_or_default();
        Content::Dotted { encoder, rest }
    }

    /// The first octet of the content, if a server that takes it for a command, or for the
    /// beginning of one, finds none.
    pub(crate) fn harmless_first_octet(&self) -> Option<Bytes> {
        let content = self.body.bytes()?;
        let first = content.first()?;
        first.is_ascii_graphic().then(|| content.slice(..1))
    }

    /// Content as it follows `BDAT`.
    pub(crate) fn chunked_content(&self) -> Content {
        let already = usize::from(self.first_octet_written);
        let rest = self.body.bytes().map(|content| content.slice(already..));
        match self.body.facts() {
            Some(facts) if !facts.is_canonical() && !facts.nul => Content::Canonical {
                encoder: CanonicalEncoder::new(),
                rest: rest.unwrap_or_default(),
            },
            _ => Content::Verbatim { rest },
        }
    }
}
