//! The parts of a message besides its body: what is attached, and pictures within the body.
//!
//! Gives their octets as they were attached. Must never know requests.

use std::fmt::Write as _;

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::{ContentType, Encoding, Message, MessagePart, MimeHeaders as _, PartType};
use md5::Md5;
use serde::Serialize;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::serve::inbox::StoredMessage;
use crate::serve::web::message::parse;

/// A part without its content.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Attachment {
    #[serde(rename = "PartID")]
    part_id: String,
    file_name: String,
    content_type: String,
    #[serde(rename = "ContentID")]
    content_id: String,
    size: usize,
    checksums: Checksums,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "UPPERCASE")]
struct Checksums {
    md5: String,
    sha1: String,
    sha256: String,
}

/// The content of one part.
pub(crate) struct PartContent {
    pub(crate) content_type: String,
    pub(crate) name: String,
    pub(crate) octets: Vec<u8>,
}

/// The positions of the parts that are shown within the body, and of those attached to it.
pub(crate) fn attachments(parsed: &Message<'_>) -> (Vec<u32>, Vec<u32>) {
    let (mut inline, mut attached) = (Vec::new(), Vec::new());
    for position in &parsed.attachments {
        let Some(part) = parsed.part(*position) else {
            continue;
        };
        let disposition = part.content_disposition();
        let is_attached = disposition.is_some_and(ContentType::is_attachment);
        let is_inline =
            disposition.is_some_and(ContentType::is_inline) || part.content_id().is_some();
        if is_inline && !is_attached {
            inline.push(*position);
        } else {
            attached.push(*position);
        }
    }
    (inline, attached)
}

pub(crate) fn attachment(parsed: &Message<'_>, position: u32) -> Option<Attachment> {
    let part = parsed.part(position)?;
    let octets = octets(parsed, part);
    Some(Attachment {
        part_id: position.to_string(),
        file_name: part.attachment_name().unwrap_or_default().to_owned(),
        content_type: content_type(part),
        content_id: part.content_id().unwrap_or_default().to_owned(),
        size: octets.len(),
        checksums: Checksums {
            md5: hexadecimal(&Md5::digest(&octets)),
            sha1: hexadecimal(&Sha1::digest(&octets)),
            sha256: hexadecimal(&Sha256::digest(&octets)),
        },
    })
}

fn hexadecimal(octets: &[u8]) -> String {
    let mut text = String::with_capacity(2 * octets.len());
    for octet in octets {
        // Writing to a string never fails.
        let _ = write!(text, "{octet:02x}");
    }
    text
}

fn content_type(part: &MessagePart<'_>) -> String {
    match part.content_type() {
        Some(content_type) => format!(
            "{}/{}",
            content_type.ctype(),
            content_type.subtype().unwrap_or("octet-stream")
        ),
        None => match part.body {
            PartType::Message(_) => "message/rfc822".to_owned(),
            _ => "text/plain".to_owned(),
        },
    }
}

/// The octets of a part as its author attached it: only the transfer encoding is undone. The
/// parser would convert a text to UTF-8.
fn octets(parsed: &Message<'_>, part: &MessagePart<'_>) -> Vec<u8> {
    if !matches!(part.body, PartType::Text(_) | PartType::Html(_)) {
        return part.contents().to_vec();
    }
    let range = part.offset_body as usize..part.offset_end as usize;
    let raw = parsed.raw_message().get(range).unwrap_or_default();
    let decoded = match part.encoding {
        Encoding::None => None,
        Encoding::QuotedPrintable => quoted_printable_decode(raw),
        Encoding::Base64 => base64_decode(raw),
    };
    decoded.unwrap_or_else(|| raw.to_vec())
}

/// The part at this position.
pub(crate) fn part(message: &StoredMessage, position: &str) -> Option<PartContent> {
    let parsed = parse(message);
    let part = parsed.part(position.parse().ok()?)?;
    Some(PartContent {
        content_type: content_type(part),
        name: part.attachment_name().unwrap_or_default().to_owned(),
        octets: octets(&parsed, part),
    })
}

/// The pictures within the body, by their Content-ID.
pub(crate) fn pictures(message: &StoredMessage) -> Vec<(String, PartContent)> {
    let parsed = parse(message);
    let parts = parsed.attachments().filter_map(|part| {
        let id = part.content_id()?.to_owned();
        let content_type = content_type(part);
        // A picture that can contain a script is still a picture where it is shown as one.
        content_type.starts_with("image/").then(|| {
            let octets = octets(&parsed, part);
            let name = String::new();
            let content = PartContent {
                content_type,
                name,
                octets,
            };
            (id, content)
        })
    });
    parts.collect()
}
