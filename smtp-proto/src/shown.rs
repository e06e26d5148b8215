//! Makes foreign text safe to show on one line.
//!
//! Knows characters. Must never know where the text comes from: a server or a certificate must
//! not be able to move the cursor or hide output.

use alloc::string::String;
use core::fmt;

/// Foreign bytes, escaped so that they can be shown on one line of a terminal or a log.
pub(crate) struct Escaped<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            let mut rest = chunk.valid();
            while let Some((position, unsafe_character)) = rest
                .char_indices()
                .find(|&(_, character)| !is_safe_to_show(character))
            {
                let (shown, tail) = rest.split_at(position);
                formatter.write_str(shown)?;
                let mut octets = [0; 4];
                write_octets(
                    formatter,
                    unsafe_character.encode_utf8(&mut octets).as_bytes(),
                )?;
                rest = tail.get(unsafe_character.len_utf8()..).unwrap_or_default();
            }
            formatter.write_str(rest)?;
            write_octets(formatter, chunk.invalid())?;
        }
        Ok(())
    }
}

/// Whether a character can be shown on one line of a terminal or a log: it is not a control
/// character and does not reorder, hide or break the text around it.
///
/// ```
/// use postwire_proto::is_safe_to_show;
///
/// assert!("Gr\u{fc}\u{df}e".chars().all(is_safe_to_show));
/// assert!(!is_safe_to_show('\u{1b}') && !is_safe_to_show('\u{202e}'));
/// // An Arabic letter mark, a soft hyphen, and a tag.
/// assert!(!"\u{61c}\u{ad}\u{e0041}".chars().any(is_safe_to_show));
/// ```
pub fn is_safe_to_show(character: char) -> bool {
    !character.is_control()
        && !matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// Whether a command may carry the character: it is no control character and does not change how the
/// text around it looks, since commands are shown in errors and logs. Joiners are part of how some
/// scripts are written.
pub(crate) fn is_safe_in_a_command(character: char) -> bool {
    is_safe_to_show(character) || matches!(character, '\u{200c}' | '\u{200d}')
}

/// Converts octets to text; octets that are not UTF-8 appear as `\x..`. The text may still hold
/// characters that are not [safe to show](is_safe_to_show).
///
/// ```
/// assert_eq!(postwire_proto::escape_non_utf8(b"gr\xfcn"), r"gr\xfcn");
/// ```
pub fn escape_non_utf8(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    for chunk in octets.utf8_chunks() {
        text.push_str(chunk.valid());
        // Writing to a string never fails.
        let _ = write_octets(&mut text, chunk.invalid());
    }
    text
}

fn write_octets(into: &mut impl fmt::Write, octets: &[u8]) -> fmt::Result {
    octets
        .iter()
        .try_for_each(|octet| write!(into, "\\x{octet:02x}"))
}
