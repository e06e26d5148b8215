//! Keeps secrets out of everything that is shown: the server's words may repeat
//! what it was told, as it was said or in base64.

use alloc::string::String;
use alloc::vec::Vec;

use memchr::memmem;
use zeroize::Zeroizing;

use crate::reply::Escaped;
use crate::sasl::encode;
use crate::{Credentials, Reply, ReplyRef, Secret};

/// What stands in a secret's place.
const REDACTED: &[u8] = b"<redacted>";

/// Shorter pieces of a base64 form are no secret, and would be found anywhere.
const SHORTEST_PIECE: usize = 4;

#[derive(Debug, Default)]
pub(crate) struct Redaction {
    needles: Vec<Secret>,
}

impl Redaction {
    pub(crate) fn of(credentials: Option<&Credentials>) -> Self {
        let mut redaction = Self::default();
        if let Some(credentials) = credentials {
            redaction.add(credentials);
        }
        redaction
    }

    /// Keeps these secrets as well.
    pub(crate) fn add(&mut self, credentials: &Credentials) {
        let needles = &mut self.needles;
        let secret = credentials.secret().expose();
        if !secret.is_empty() {
            needles.push(credentials.secret().clone());
            // Within a longer message a secret has one of three base64 forms,
            // by where it starts; the characters that its neighbours share
            // with it are left out.
            for before in 0..3 {
                let mut padded = Zeroizing::new(alloc::vec![0; before]);
                padded.extend_from_slice(secret);
                let encoded = encode(&padded);
                let start = [0, 2, 3][before];
                let whole = padded.len() * 8 / 6;
                if let Some(piece) = encoded.expose().get(start..whole)
                    && piece.len() >= SHORTEST_PIECE
                {
                    needles.push(Secret::from(piece.to_vec()));
                }
            }
            needles.sort_by_key(|needle| core::cmp::Reverse(needle.expose().len()));
        }
    }

    /// The reply, owned, without a secret in it.
    pub(crate) fn reply(&self, reply: ReplyRef<'_>) -> Reply {
        if !self.applies_to(reply.as_bytes()) {
            return reply.to_owned();
        }
        let text: Vec<String> = reply
            .raw_lines()
            .map(|line| String::from_utf8_lossy(&self.bytes(line)).into_owned())
            .collect();
        let text: Vec<&str> = text.iter().map(String::as_str).collect();
        Reply::new(reply.code(), None, &text)
    }

    /// The beginning of what the server said, escaped as replies are, without a secret in
    /// it. One may be cut by its end.
    pub(crate) fn shown(&self, octets: &[u8]) -> String {
        let cut = self.needles.iter().map(|needle| {
            let needle = needle.expose();
            let mut lengths = (SHORTEST_PIECE.min(needle.len())..needle.len()).rev();
            lengths.find(|length| octets.ends_with(&needle[..*length]))
        });
        let cut = cut.flatten().max().unwrap_or(0);
        let mut clean = self.bytes(&octets[..octets.len() - cut]);
        if cut > 0 {
            clean.extend_from_slice(REDACTED);
        }
        alloc::format!("{}", Escaped(&clean))
    }

    /// Text of the server's without a secret in it.
    pub(crate) fn text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.bytes(text.as_bytes())).into_owned()
    }

    fn applies_to(&self, bytes: &[u8]) -> bool {
        self.needles
            .iter()
            .any(|needle| memmem::find(bytes, needle.expose()).is_some())
    }

    fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        let mut clean = bytes.to_vec();
        for needle in &self.needles {
            let needle = needle.expose();
            let mut from = 0;
            while let Some(at) = memmem::find(&clean[from..], needle) {
                let at = from + at;
                clean.splice(at..at + needle.len(), REDACTED.iter().copied());
                from = at + REDACTED.len();
            }
        }
        clean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let redaction = Redaction::of(Some(&Credentials::new("alice", "correct horse")));
        let raw = alloc::format!("535 {text}\r\n");
        let mut input = raw.as_bytes();
        let mut reader = crate::ReplyReader::new(crate::ReplyLimits::default());
        let reply = reader.read(&mut input).unwrap().unwrap();
        alloc::format!("{}", redaction.reply(reply))
    }

    #[test]
    fn a_server_that_repeats_the_secret_is_not_quoted() {
        assert_eq!(
            shown("no such password: correct horse!"),
            "535 no such password: <redacted>!"
        );
        for prefix in ["", "a", "ab", "\0alice\0"] {
            let blob = encode(alloc::format!("{prefix}correct horse").as_bytes());
            let blob = core::str::from_utf8(blob.expose()).unwrap();
            assert!(shown(blob).contains("<redacted>"), "{prefix:?}");
        }
        assert_eq!(shown("5.7.8 go away"), "535 5.7.8 go away");
    }

    #[test]
    fn a_secret_that_looks_like_a_code_leaves_the_code() {
        let redaction = Redaction::of(Some(&Credentials::new("a", "535")));
        let mut input = &b"535 code 535\r\n"[..];
        let mut reader = crate::ReplyReader::new(crate::ReplyLimits::default());
        let reply = reader.read(&mut input).unwrap().unwrap();
        assert_eq!(
            alloc::format!("{}", redaction.reply(reply)),
            "535 code <redacted>"
        );
    }
}
