//! Texts: reports in the notation of the transcripts, differences, and the encodings in which a
//! secret must not appear.

use std::fmt::Write as _;

use postwire_proto::{Outcome, RecipientStatus, Report};

/// How many lines of a difference are shown.
const SHOWN_LINES: usize = 12;

/// A report in the notation of the transcripts, with the recipients whose result differs from
/// the message's.
pub(crate) fn show_report(report: &Report) -> String {
    let mut text = format!("report {}: ", report.transaction().index());
    let (status, reply) = match report.outcome() {
        Outcome::Accepted(reply) => {
            let _ = write!(text, "accepted {reply}");
            (RecipientStatus::Accepted, Some(reply))
        }
        Outcome::Rejected { stage, reply } => {
            let _ = write!(text, "rejected {stage} {reply}");
            (RecipientStatus::Refused, Some(reply))
        }
        Outcome::NotSent(error) => {
            let _ = write!(text, "not sent: {error}");
            (RecipientStatus::NotSent, None)
        }
        Outcome::InDoubt(error) => {
            let _ = write!(text, "in doubt: {error}");
            (RecipientStatus::InDoubt, None)
        }
    };
    let alike = report
        .recipients()
        .iter()
        .all(|recipient| recipient.status() == status && recipient.reply() == reply);
    if !alike {
        let each = report.recipients().iter().map(|recipient| {
            let status = match recipient.status() {
                RecipientStatus::Accepted => "accepted",
                RecipientStatus::Refused => "refused",
                RecipientStatus::NotSent => "not sent",
                RecipientStatus::InDoubt => "in doubt",
                other => panic!("{other:?} has no notation"),
            };
            let code = recipient
                .reply()
                .map(|reply| format!(" {}", reply.code()))
                .unwrap_or_default();
            format!("{} {status}{code}", recipient.address())
        });
        let each: Vec<String> = each.collect();
        let _ = write!(text, " ; {}", each.join(", "));
    }
    text
}

/// Whether the expected text describes this event; a final `…` stands for any text. Recipients
/// that were accepted with a plain 250 of their own may be omitted.
pub(crate) fn matches_expectation(event: &str, expected: &str) -> bool {
    let (text, recipients) = event.split_once(" ; ").unwrap_or((event, ""));
    let (expected, expected_recipients) = expected.split_once(" ; ").unwrap_or((expected, ""));
    let same = match expected.strip_suffix('…') {
        Some(start) => text.starts_with(start),
        None => text == expected,
    };
    let plainly_accepted = |recipient: &str| recipient.ends_with(" accepted 250");
    same && (recipients == expected_recipients
        || (expected_recipients.is_empty() && recipients.split(", ").all(plainly_accepted)))
}

/// The lines of both texts, with the differences marked.
pub(crate) fn difference(expected: &[u8], written: &[u8]) -> String {
    let lines = |octets: &[u8]| -> Vec<String> {
        octets
            .split_inclusive(|octet| *octet == b'\n')
            .map(|line| match line.strip_suffix(b"\r\n") {
                Some(line) => line.escape_ascii().to_string(),
                None => format!("{}\\", line.escape_ascii()),
            })
            .collect()
    };
    let (expected, written) = (lines(expected), lines(written));
    let same = expected
        .iter()
        .zip(&written)
        .take_while(|(expected, written)| expected == written)
        .count();
    let mut text = String::new();
    let marked = [
        (' ', &expected[..same]),
        ('-', &expected[same..]),
        ('+', &written[same..]),
    ];
    for (mark, lines) in marked {
        let unshown = lines.len().saturating_sub(SHOWN_LINES);
        // The end of an equal part is the most useful, and the beginning of a different part.
        let skipped = if mark == ' ' { unshown } else { 0 };
        for line in lines.iter().skip(skipped).take(SHOWN_LINES) {
            let shown: String = line.chars().take(200).collect();
            let _ = writeln!(text, "  {mark} C: {shown}");
        }
        if unshown > 0 {
            let _ = writeln!(text, "  {mark} ({unshown} more lines)");
        }
    }
    text
}

/// A secret in plain text, and in base64 at every offset within a longer message.
pub(crate) fn encodings_of_secret(secret: &[u8]) -> Vec<String> {
    if secret.is_empty() {
        return Vec::new();
    }
    let mut forms = vec![String::from_utf8_lossy(secret).into_owned()];
    for before in 0..3 {
        // Characters that also depend on neighbouring octets are left out.
        let start = (before * 8_usize).div_ceil(6);
        let end = (before + secret.len()) * 8 / 6;
        let padded = [&vec![0; before][..], secret].concat();
        forms.push(base64(&padded)[start..end].to_owned());
    }
    forms
}

/// Implemented separately, so that the library does not test itself.
fn base64(octets: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = octets
        .iter()
        .flat_map(|octet| (0..8).rev().map(move |bit| octet >> bit & 1));
    let bits: Vec<u8> = bits.collect();
    bits.chunks(6)
        .map(|digit| {
            let value = (0..6).fold(0, |value, bit| value << 1 | digit.get(bit).unwrap_or(&0));
            char::from(DIGITS[usize::from(value)])
        })
        .collect()
}
