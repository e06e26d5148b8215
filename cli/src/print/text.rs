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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        let shown = SafeText("a\u{1b}[2J\r\n\u{9b}\u{202e}\u{fc}").to_string();
        assert_eq!(shown, "a\\u{1b}[2J\\u{d}\\u{a}\\u{9b}\\u{202e}\u{fc}");
    }
}
