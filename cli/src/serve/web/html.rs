//! The HTML of a message, made ready for a frame without rights.
//!
//! The frame has an opaque origin and runs no scripts, and its policy loads nothing from
//! anywhere. What this file removes are the elements that a policy does not reach, or too late:
//! hints to connect (`link`), refreshes (`meta`), another base of links (`base`), and frames, for
//! which Chromium connects before it asks the policy.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::serve::inbox::StoredMessage;
use crate::serve::web::{message, parts};

/// The most octets that pictures may add: one picture can be named any number of times.
const MAX_PICTURES: usize = 32 * 1024 * 1024;

/// Links open in a tab of their own, outside the frame.
const LINK_TARGET: &str = "<base target=\"_blank\">";

/// The starts of the names of elements that lose their meaning.
const NEUTRALIZED: [&str; 7] = ["link", "meta", "base", "iframe", "frame", "object", "embed"];

/// The HTML for the frame, with the pictures of the message in it; `None` if there is none.
pub(crate) fn for_frame(message: &StoredMessage) -> Option<String> {
    let html = message::html(message);
    if html.is_empty() {
        return None;
    }
    let mut html = neutralize(&html);
    let mut room = MAX_PICTURES;
    for (id, picture) in parts::pictures(message) {
        let reference = format!("cid:{id}");
        let times = html.matches(&reference).count();
        if id.is_empty() || times == 0 {
            continue;
        }
        // The type is a token in the message, but need not be one for an attribute.
        let is_token = |octet: u8| octet.is_ascii_alphanumeric() || b"/+-.".contains(&octet);
        if picture.content_type.bytes().all(is_token) {
            let octets = STANDARD.encode(&picture.octets);
            let data = format!("data:{};base64,{octets}", picture.content_type);
            let needed = times.saturating_mul(data.len());
            if needed <= room {
                room -= needed;
                html = html.replace(&reference, &data);
            }
        }
    }
    Some(with_link_target(&html))
}

/// Renames the elements. A tag begins with these very characters, so that none is missed; that
/// text which only looks like a tag is renamed too does no harm.
fn neutralize(html: &str) -> String {
    let mut result = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        let (before, tag) = rest.split_at(at + 1);
        result.push_str(before);
        let is_this = |name: &&str| {
            let start = tag.get(..name.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(name))
        };
        if NEUTRALIZED.iter().any(is_this) {
            result.push_str("x-");
        }
        rest = tag;
    }
    result.push_str(rest);
    result
}

/// Inserts the target of links behind the document type, which must come first.
fn with_link_target(html: &str) -> String {
    let start = html.trim_start();
    let is_type = start
        .get(..9)
        .is_some_and(|start| start.eq_ignore_ascii_case("<!doctype"));
    let end = if is_type { start.find('>') } else { None };
    match end {
        Some(end) => {
            let (doctype, rest) = start.split_at(end + 1);
            format!("{doctype}{LINK_TARGET}{rest}")
        }
        None => format!("{LINK_TARGET}{html}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_beyond_a_policy_are_renamed() {
        for (html, expected) in [
            ("<LINK rel=preconnect>", "<x-LINK rel=preconnect>"),
            ("<meta\nhttp-equiv>", "<x-meta\nhttp-equiv>"),
            ("<<base href>", "<<x-base href>"),
            ("<frameset><iFrame src>", "<x-frameset><x-iFrame src>"),
            ("<b>a < b</b>\u{fc}<", "<b>a < b</b>\u{fc}<"),
            ("<me\u{fc}", "<me\u{fc}"),
        ] {
            assert_eq!(neutralize(html), expected);
        }
    }

    #[test]
    fn the_document_type_stays_first() {
        let target = LINK_TARGET;
        assert_eq!(
            with_link_target(" <!DOCTYPE html><p>"),
            format!("<!DOCTYPE html>{target}<p>")
        );
        assert_eq!(with_link_target("<p>"), format!("{target}<p>"));
        assert_eq!(with_link_target("<!doctype"), format!("{target}<!doctype"));
    }
}
