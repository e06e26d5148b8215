//! Redaction: removes secrets from text that is shown.
//!
//! The server's text may repeat a secret, in plain text or encoded. Knows the encodings of a
//! secret. Must never know where the text is shown.

use alloc::borrow::Cow;
use alloc::collections::BinaryHeap;
use alloc::string::String;
use alloc::vec::Vec;

use core::ops::Range;

use memchr::memmem;
use zeroize::Zeroizing;

use crate::sasl::encode;
use crate::shown::Escaped;
use crate::{Credentials, Reply, ReplyRef, Secret};

/// The replacement for a secret.
const REDACTED: &[u8] = b"<redacted>";

/// Shorter pieces of a base64 form reveal nothing, and would match anywhere.
const SHORTEST_PIECE: usize = 4;

/// The shortest beginning of a response that is removed where a server repeats only that.
const SHORTEST_BEGINNING: usize = 8;

/// Finds secrets in foreign text and replaces them, before the text is shown.
///
/// A secret is found in plain text, in base64 (RFC 4648 §4 and §5, alone or within a longer
/// message) and in percent-encoding. A session redacts the server's replies itself; use this
/// type for other text that the server chooses: a certificate's names, a list of mechanisms. Do
/// not redact a program's own text: the gap would reveal the secret.
///
/// ```
/// use postwire_proto::{Credentials, Redaction};
///
/// let redaction = Redaction::of(&Credentials::new("alice", "correct horse"));
/// assert_eq!(redaction.text("no correct%20horse"), "no <redacted>");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Redaction {
    needles: Vec<Needle>,
}

/// A text that must not be shown, and how much around it is removed too.
#[derive(Clone, Debug)]
struct Needle {
    octets: Secret,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// The secret in plain text.
    Plain,
    /// A piece of base64: all base64 characters around it are removed too, since the characters
    /// at its ends contain some bits of the secret.
    Piece,
    /// A whole response as it was sent: never shown, however short, unless it is part of
    /// another word.
    Response,
}

impl Redaction {
    /// Creates a redaction for the secret of these credentials.
    pub fn of(credentials: &Credentials) -> Self {
        let mut redaction = Self::default();
        redaction.add(credentials);
        redaction
    }

    /// Also removes the secret of these credentials.
    pub fn add(&mut self, credentials: &Credentials) {
        let needles = &mut self.needles;
        let secret = credentials.secret().expose();
        if !secret.is_empty() {
            needles.push(Needle {
                octets: credentials.secret().clone(),
                form: Form::Plain,
            });
            // Within a longer message a secret has one of three base64 forms, depending on its
            // offset; characters that also depend on neighbouring octets are left out.
            for before in 0..3 {
                let mut padded = Zeroizing::new(alloc::vec![0; before]);
                padded.extend_from_slice(secret);
                let encoded = encode(&padded);
                let start = [0, 2, 3][before];
                let whole = padded.len() * 8 / 6;
                if let Some(piece) = encoded.expose().get(start..whole)
                    && piece.len() >= SHORTEST_PIECE
                {
                    needles.push(Needle {
                        octets: Secret::from(piece.to_vec()),
                        form: Form::Piece,
                    });
                }
            }
        }
    }

    /// Also removes a response, as it was sent to the server in base64.
    pub(crate) fn add_response(&mut self, encoded: &Secret) {
        if encoded.expose().len() > 1 {
            self.needles.push(Needle {
                octets: encoded.clone(),
                form: Form::Response,
            });
        }
    }

    /// Copies the reply without secrets.
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

    /// Shows the beginning of the server's output without secrets, escaped, with its lines
    /// joined as in replies. A secret may be cut off at the end.
    pub(crate) fn shown(&self, octets: &[u8]) -> String {
        let cut = self.needles.iter().map(|needle| {
            let needle = needle.octets.expose();
            let mut lengths = (SHORTEST_PIECE.min(needle.len())..needle.len()).rev();
            lengths.find(|length| octets.ends_with(&needle[..*length]))
        });
        let cut = cut.flatten().max().unwrap_or(0);
        let mut clean = self.bytes(&octets[..octets.len() - cut]);
        if cut > 0 {
            clean.extend_from_slice(REDACTED);
        }
        let lines = clean.split(|octet| *octet == b'\n').map(|line| {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            alloc::format!("{}", Escaped(line))
        });
        lines.collect::<Vec<_>>().join(" / ")
    }

    /// Replaces each secret in the text by `<redacted>`.
    pub fn text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.bytes(text.as_bytes())).into_owned()
    }

    fn applies_to(&self, bytes: &[u8]) -> bool {
        !self.ranges(bytes).is_empty()
    }

    fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        let mut clean = Vec::with_capacity(bytes.len());
        let mut from = 0;
        for range in self.ranges(bytes) {
            clean.extend_from_slice(&bytes[from..range.start]);
            clean.extend_from_slice(REDACTED);
            from = range.end;
        }
        clean.extend_from_slice(&bytes[from..]);
        clean
    }

    /// The positions of the secrets, in order and without overlaps. Each form is searched once,
    /// whatever the server repeats.
    fn ranges(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        self.find(&View::of(bytes), &mut found);
        if bytes.iter().any(|octet| matches!(octet, b'-' | b'_')) {
            self.find(&View::from_base64url(bytes), &mut found);
        }
        if bytes.contains(&b'%') {
            self.find(&View::from_percent_encoding(bytes), &mut found);
        }
        if found.is_empty() {
            return found;
        }
        // A heap is sorted by less code than a list.
        let starts = found.into_iter().map(|range| (range.start, range.end));
        let sorted = starts.collect::<BinaryHeap<_>>().into_sorted_vec();
        let mut found: Vec<Range<usize>> =
            sorted.into_iter().map(|(start, end)| start..end).collect();
        found.dedup_by(|later, earlier| {
            let touches = later.start <= earlier.end;
            if touches {
                earlier.end = earlier.end.max(later.end);
            }
            touches
        });
        found
    }

    fn find(&self, view: &View<'_>, found: &mut Vec<Range<usize>>) {
        for needle in &self.needles {
            let octets = needle.octets.expose();
            // The end of the last match: a long run is only scanned once.
            let mut from = 0;
            for at in memmem::find_iter(&view.octets, octets) {
                let end = at + octets.len();
                let (start, stop) = match needle.form {
                    Form::Piece if at < from => continue,
                    Form::Piece => around(&view.octets, at, end),
                    Form::Response if !stands_alone(&view.octets, at, end) => continue,
                    Form::Plain | Form::Response => (at, end),
                };
                from = stop;
                found.push(view.place(start)..view.place(stop));
            }
            if needle.form == Form::Response
                && let Some(beginning) = octets.get(..SHORTEST_BEGINNING)
            {
                for at in memmem::find_iter(&view.octets, beginning) {
                    let repeated = view.octets[at..].iter().zip(octets);
                    let length = repeated.take_while(|(one, other)| one == other).count();
                    found.push(view.place(at)..view.place(at + length));
                }
            }
        }
    }
}

fn of_base64(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/' | b'=')
}

fn stands_alone(octets: &[u8], at: usize, end: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| octets.get(before));
    !before.copied().is_some_and(of_base64) && !octets.get(end).copied().is_some_and(of_base64)
}

/// The run of base64 characters around a part of it.
fn around(octets: &[u8], at: usize, end: usize) -> (usize, usize) {
    let before = octets[..at]
        .iter()
        .rev()
        .take_while(|octet| of_base64(**octet));
    let behind = octets[end..].iter().take_while(|octet| of_base64(**octet));
    (at - before.count(), end + behind.count())
}

/// The text after an encoding is undone.
struct View<'a> {
    octets: Cow<'a, [u8]>,
    /// The original position of each octet, and of the end; `None` if all positions are
    /// unchanged.
    places: Option<Vec<usize>>,
}

impl<'a> View<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Self {
            octets: Cow::Borrowed(bytes),
            places: None,
        }
    }

    /// RFC 4648 §5
    fn from_base64url(bytes: &[u8]) -> Self {
        let octets = bytes.iter().map(|octet| match octet {
            b'-' => b'+',
            b'_' => b'/',
            octet => *octet,
        });
        Self {
            octets: Cow::Owned(octets.collect()),
            places: None,
        }
    }

    /// RFC 3986 §2.1
    fn from_percent_encoding(bytes: &[u8]) -> Self {
        let mut octets = Vec::with_capacity(bytes.len());
        let mut places = Vec::with_capacity(bytes.len() + 1);
        let mut at = 0;
        while let Some(&octet) = bytes.get(at) {
            places.push(at);
            let encoded = (octet == b'%')
                .then(|| bytes.get(at + 1..at + 3).and_then(hexadecimal))
                .flatten();
            octets.push(encoded.unwrap_or(octet));
            at += if encoded.is_some() { 3 } else { 1 };
        }
        places.push(bytes.len());
        Self {
            octets: Cow::Owned(octets),
            places: Some(places),
        }
    }

    fn place(&self, at: usize) -> usize {
        match &self.places {
            None => at,
            Some(places) => places.get(at).copied().unwrap_or(at),
        }
    }
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    digits.iter().try_fold(0_u8, |number, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(number << 4 | digit as u8)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let redaction = Redaction::of(&Credentials::new("alice", "correct horse"));
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
    fn other_encodings_are_seen_through() {
        let secret = "tok~~~en???>>>with~bits~~";
        let redaction = Redaction::of(&Credentials::new("svc", secret));
        let encoded = encode(alloc::format!("\0svc\0{secret}").as_bytes());
        let base64 = core::str::from_utf8(encoded.expose()).unwrap();
        let base64url = base64.replace('+', "-").replace('/', "_");
        assert_ne!(base64, base64url);
        let percent: String = secret.bytes().fold(String::new(), |text, octet| {
            text + &alloc::format!("%{octet:02X}")
        });
        let mixed = "tok~%7e~en%3F??%3e>>with~bits~~";
        for said in [secret, base64, &base64url, &percent, mixed] {
            let clean = redaction.text(&alloc::format!("5% of a_b: {said}!"));
            assert!(clean.starts_with("5% of a_b: "), "{clean}");
            assert!(clean.contains("<redacted>"), "{clean}");
            assert!(clean.len() < 40, "{clean}");
        }
    }

    #[test]
    fn repetitions_are_taken_together() {
        let redaction = Redaction::of(&Credentials::new("svc", "abab"));
        assert_eq!(redaction.text("xabababababx"), "x<redacted>abx");
        assert_eq!(redaction.text("abab abab"), "<redacted> <redacted>");
    }

    #[test]
    fn the_beginning_of_a_response_is_removed() {
        let mut redaction = Redaction::default();
        redaction.add_response(&encode(b"\0alice\0correct horse"));
        assert_eq!(
            redaction.text("bad login AGFsaWNlAGNvcnJlY3Qg go away"),
            "bad login <redacted> go away"
        );
        assert_eq!(redaction.text("AGFsaWN is short"), "AGFsaWN is short");
    }

    #[test]
    fn a_short_response_is_removed_where_it_stands_alone() {
        let mut redaction = Redaction::default();
        redaction.add_response(&Secret::from("YQ=="));
        for (said, shown) in [
            ("YQ==", "<redacted>"),
            ("bad YQ== login", "bad <redacted> login"),
            ("xYQ==", "xYQ=="),
            ("YQ===", "YQ==="),
            ("see YQ==/ or (YQ==)", "see YQ==/ or (<redacted>)"),
        ] {
            assert_eq!(redaction.text(said), shown);
        }
        // One octet stands for no response, and would hide half of every text.
        redaction.add_response(&Secret::from("="));
        assert_eq!(redaction.text("a = b"), "a = b");
        redaction.add_response(&Secret::from("+/"));
        assert_eq!(redaction.text("a +/ b"), "a <redacted> b");
    }

    #[test]
    fn a_piece_in_base64_takes_the_whole_run_with_it() {
        let redaction = Redaction::of(&Credentials::new("svc", "correct horse"));
        let run = encode(b"before correct horse behind");
        let run = core::str::from_utf8(run.expose()).unwrap();
        assert_eq!(redaction.text(run), "<redacted>");
        assert_eq!(
            redaction.text(&alloc::format!("{run} {run}.")),
            "<redacted> <redacted>."
        );
    }

    #[test]
    fn a_secret_that_looks_like_a_code_leaves_the_code() {
        let redaction = Redaction::of(&Credentials::new("a", "535"));
        let mut input = &b"535 code 535\r\n"[..];
        let mut reader = crate::ReplyReader::new(crate::ReplyLimits::default());
        let reply = reader.read(&mut input).unwrap().unwrap();
        assert_eq!(
            alloc::format!("{}", redaction.reply(reply)),
            "535 code <redacted>"
        );
    }

    #[test]
    fn a_secret_that_is_cut_off_is_not_begun() {
        let redaction = Redaction::of(&Credentials::new("alice", "correct horse"));
        for cut in SHORTEST_PIECE.."correct horse".len() {
            let said = alloc::format!("550 {}", &"correct horse"[..cut]);
            assert_eq!(redaction.shown(said.as_bytes()), "550 <redacted>", "{cut}");
        }
    }
}
