//! Text from elsewhere, made fit for a terminal.
//!
//! Knows characters; must never know where the text came from. A server, a
//! certificate or a file's name must not move the cursor or hide what was said.

use std::fmt::{self, Write as _};

use postwire_blocking::proto::is_safe_to_show;

/// Shows the text on one line: controls, and marks that reorder or hide text, as
/// `\u{…}`.
pub(crate) struct Plain<'a>(pub(crate) &'a str);

impl fmt::Display for Plain<'_> {
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

/// Octets as text: what is not UTF-8 as `\x..`.
pub(crate) fn lossless(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    for chunk in octets.utf8_chunks() {
        text.push_str(chunk.valid());
        for octet in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\x{octet:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_no_commands() {
        let shown = Plain("a\u{1b}[2J\r\n\u{9b}\u{202e}\u{fc}").to_string();
        assert_eq!(shown, "a\\u{1b}[2J\\u{d}\\u{a}\\u{9b}\\u{202e}\u{fc}");
    }

    #[test]
    fn octets_that_are_no_text_are_kept() {
        assert_eq!(lossless(b"gr\xfc\xc3\xbcn\xff"), "gr\\xfc\u{fc}n\\xff");
    }
}
