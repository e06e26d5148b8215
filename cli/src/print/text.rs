//! Makes foreign text safe for a terminal.
//!
//! Knows characters. Must never know where the text comes from. A server, a certificate or a
//! file name must not be able to move the cursor or hide output.

use std::fmt::{self, Write as _};

use postwire_blocking::proto::is_safe_to_show;

/// Shows the text on one line, with control characters, and marks that reorder or hide text, as
/// `\u{…}`.
pub(crate) struct SafeText<'a>(pub(crate) &'a str);

impl fmt::Display for SafeText<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            if is_safe_to_show(character) {
                formatter.write_char(character)?;
            } else {
                write!(formatter, "{}", character.escape_unicode())?;
            }
        }
        Ok(())
    }
}

/// Converts octets to text; octets that are not UTF-8 appear as `\x..`.
pub(crate) fn escape_non_utf8(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    for chunk in octets.utf8_chunks() {
        text.push_str(chunk.valid());
        for octet in chunk.invalid() {
            // Writing to a string never fails.
            let _ = write!(text, "\\x{octet:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        let shown = SafeText("a\u{1b}[2J\r\n\u{9b}\u{202e}\u{fc}").to_string();
        assert_eq!(shown, "a\\u{1b}[2J\\u{d}\\u{a}\\u{9b}\\u{202e}\u{fc}");
    }

    #[test]
    fn octets_that_are_not_text_are_kept() {
        assert_eq!(
            escape_non_utf8(b"gr\xfc\xc3\xbcn\xff"),
            "gr\\xfc\u{fc}n\\xff"
        );
    }
}
