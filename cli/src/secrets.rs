//! Keeps what must not be seen out of everything that is printed for people.
//!
//! The library redacts what the server says; this is the last gate, for all the
//! rest: an error's text, a certificate's names, a list of mechanisms.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use postwire_blocking::proto::Credentials;

/// What stands in a secret's place.
const REDACTED: &str = "<redacted>";

/// Shorter pieces of a base64 form would be found anywhere.
const SHORTEST_PIECE: usize = 4;

static KEPT: OnceLock<Vec<String>> = OnceLock::new();

/// From now on nothing printed shows this secret.
pub(crate) fn keep(credentials: &Credentials) {
    // A program logs in as one user only: the first stays.
    let _ = KEPT.set(needles(credentials.secret().expose()));
}

/// The text without the secret that is kept.
pub(crate) fn hide(text: &str) -> String {
    let needles = KEPT.get().map_or(&[][..], Vec::as_slice);
    hide_all(text, needles)
}

fn hide_all(text: &str, needles: &[String]) -> String {
    let hide_one = |text: String, needle: &String| text.replace(needle, REDACTED);
    needles.iter().fold(text.to_owned(), hide_one)
}

/// The forms in which a secret may be seen, the longest first.
fn needles(secret: &[u8]) -> Vec<String> {
    let mut needles = Vec::new();
    if secret.is_empty() {
        return needles;
    }
    if let Ok(text) = std::str::from_utf8(secret) {
        needles.push(text.to_owned());
    }
    // Within a longer message a secret has one of three base64 forms, by where it
    // starts; the characters that its neighbours share with it are left out.
    for (before, start) in [(0, 0), (1, 2), (2, 3)] {
        let mut padded = vec![0; before];
        padded.extend_from_slice(secret);
        let encoded = STANDARD_NO_PAD.encode(&padded);
        let whole = padded.len() * 8 / 6;
        if let Some(piece) = encoded.get(start..whole)
            && piece.len() >= SHORTEST_PIECE
        {
            needles.push(piece.to_owned());
        }
    }
    needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
    needles
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_hidden() {
        let needles = needles(b"correct horse");
        assert_eq!(hide_all("no: correct horse!", &needles), "no: <redacted>!");
        for prefix in ["", "a", "ab", "\0alice\0"] {
            let encoded = STANDARD_NO_PAD.encode(format!("{prefix}correct horse"));
            assert!(
                hide_all(&encoded, &needles).contains(REDACTED),
                "{prefix:?}"
            );
        }
        assert_eq!(hide_all("rect hor", &needles), "rect hor");
    }
}
