//! `xtext` (RFC 3461 §4): any octets as characters that are allowed in a parameter's value.
//!
//! Must never know a parameter.

use alloc::string::String;
use alloc::vec::Vec;

/// Encodes text.
pub(super) fn encode(text: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_graphic() && !matches!(octet, b'+' | b'=') {
            encoded.push(char::from(octet));
        } else {
            encoded.push('+');
            for half in [octet >> 4, octet & 15] {
                encoded.push(char::from(DIGITS[usize::from(half)]));
            }
        }
    }
    encoded
}

/// Decodes text; `None` if it is not `xtext`. Hexadecimal digits must be in capitals.
pub(super) fn decode(encoded: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut octets = encoded.bytes();
    while let Some(octet) = octets.next() {
        decoded.push(match octet {
            b'+' => digit(octets.next()?)? << 4 | digit(octets.next()?)?,
            b'=' => return None,
            graphic if graphic.is_ascii_graphic() => graphic,
            _ => return None,
        });
    }
    Some(decoded)
}

fn digit(octet: u8) -> Option<u8> {
    match octet {
        b'0'..=b'9' => Some(octet - b'0'),
        b'A'..=b'F' => Some(octet - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plus_equals_and_blanks_are_encoded() {
        assert_eq!(encode("a+b=c d"), "a+2Bb+3Dc+20d");
        assert_eq!(encode("\u{e9}\r\n"), "+C3+A9+0D+0A");
        for malformed in ["+", "+2", "+2b", "+G0", "a=b", "a b", "\u{e9}"] {
            assert_eq!(decode(malformed), None, "{malformed}");
        }
    }

    proptest! {
        #[test]
        fn encoded_text_decodes_to_itself(text in ".{0,20}") {
            let encoded = encode(&text);
            prop_assert!(encoded.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'='));
            prop_assert_eq!(decode(&encoded), Some(text.into_bytes()));
        }
    }
}
