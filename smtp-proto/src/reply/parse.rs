//! A reply of one line from text, for servers and tests.
//!
//! Knows the form `550 5.1.1 text`. Replies from the network are read by
//! [`ReplyReader`](super::ReplyReader) instead.

use core::fmt;
use core::str::FromStr;

use super::{EnhancedCode, Reply, ReplyCode};

/// Parses a reply of one line: a code and text, such as `550 5.1.1 no such user` or `250`.
///
/// ```
/// use postwire_proto::Reply;
///
/// let reply: Reply = "550 5.1.1 no such user".parse()?;
/// assert_eq!(reply.code().get(), 550);
/// assert_eq!(reply.as_bytes(), b"550 5.1.1 no such user\r\n");
/// assert!("no such user".parse::<Reply>().is_err());
/// # Ok::<(), postwire_proto::InvalidReply>(())
/// ```
impl FromStr for Reply {
    type Err = InvalidReply;

    fn from_str(text: &str) -> Result<Self, InvalidReply> {
        if text.chars().any(char::is_control) {
            return Err(InvalidReply);
        }
        let (code, text) = match text.split_once(' ') {
            Some((code, text)) => (code, text.trim_start_matches(' ')),
            None => (text, ""),
        };
        let digits = code.as_bytes().try_into().map_err(|_| InvalidReply)?;
        let code = ReplyCode::from_digits(digits).ok_or(InvalidReply)?;
        match EnhancedCode::parse(text.as_bytes()) {
            Some((enhanced, length)) if u16::from(enhanced.class()) == code.get() / 100 => {
                let text = text.get(length..).unwrap_or_default();
                let text = text.strip_prefix(' ').unwrap_or(text);
                Ok(Self::new(code, Some(enhanced), &[text]))
            }
            _ => Ok(Self::new(code, None, &[text])),
        }
    }
}

/// The error for text that is not a reply of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidReply;

impl fmt::Display for InvalidReply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("not a reply of one line: a code from 200 to 599, a space and text")
    }
}

impl core::error::Error for InvalidReply {}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_reply_is_parsed_or_refused() {
        for (text, wire) in [
            ("550 5.1.1 no such user", "550 5.1.1 no such user\r\n"),
            ("450  later", "450 later\r\n"),
            ("250", "250 \r\n"),
            ("250 4.1.1 another class", "250 4.1.1 another class\r\n"),
        ] {
            let reply: Reply = text.parse().unwrap();
            assert_eq!(reply.as_bytes(), wire.as_bytes());
        }
        assert_eq!(
            InvalidReply.to_string(),
            "not a reply of one line: a code from 200 to 599, a space and text"
        );
        // Where a text follows the enhanced code, the two are apart.
        for text in ["550 5.1.1", "450 4.7.1 ", "250 2.0.0 ok"] {
            let reply: Reply = text.parse().unwrap();
            assert!(reply.enhanced().is_some(), "{text}");
            let words: alloc::vec::Vec<_> = reply.text_lines().collect();
            assert_eq!(words, [text.get(10..).unwrap_or("").as_bytes()]);
        }
        let reply: Reply = "550 5.1.1 no such user".parse().unwrap();
        assert_eq!(reply.enhanced().unwrap().to_string(), "5.1.1");
        for text in [
            "",
            "55",
            "5500 no",
            "150 no",
            "600 no",
            "550-no",
            "550 a\r\n250 b",
            "55\u{e9} no",
        ] {
            assert_eq!(text.parse::<Reply>(), Err(InvalidReply), "{text}");
        }
    }
}
