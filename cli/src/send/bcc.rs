//! A reader that removes the Bcc fields of a message (RFC 5322 §3.6.3).
//!
//! Knows where the header section and a field end. Everything else passes unchanged.

use std::io::{self, BufRead, Read};

/// Reads `inner` without the Bcc fields of its header.
#[derive(Debug)]
pub(crate) struct WithoutBcc<R> {
    inner: R,
    section: Section,
    /// A line of the header that is kept, and how much of it was read.
    line: Vec<u8>,
    read: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    Field,
    /// Within a field that is removed, including its folded lines.
    Bcc,
    Body,
}

impl<R: BufRead> WithoutBcc<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self {
            inner,
            section: Section::Field,
            line: Vec::new(),
            read: 0,
        }
    }

    /// Reads the next line of the header that is kept; empty at the end.
    fn next_line(&mut self) -> io::Result<()> {
        self.read = 0;
        loop {
            self.line.clear();
            self.inner.read_until(b'\n', &mut self.line)?;
            let is_folded = matches!(self.line.first(), Some(b' ' | b'\t'));
            let text = self.line.trim_ascii_end();
            self.section = match self.section {
                _ if self.line.is_empty() || text.is_empty() && !is_folded => Section::Body,
                section if is_folded => section,
                _ if is_bcc(text) => Section::Bcc,
                _ => Section::Field,
            };
            if self.section != Section::Bcc {
                return Ok(());
            }
        }
    }
}

/// RFC 5322 §4.5: blanks before the colon are obsolete syntax, and are recognised.
fn is_bcc(line: &[u8]) -> bool {
    let mut parts = line.splitn(2, |octet| *octet == b':');
    let name = parts.next().unwrap_or_default().trim_ascii_end();
    let has_colon = parts.next().is_some();
    let is_one = [&b"bcc"[..], b"resent-bcc"];
    has_colon && is_one.iter().any(|bcc| name.eq_ignore_ascii_case(bcc))
}

impl<R: BufRead> Read for WithoutBcc<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.read == self.line.len() {
            if self.section == Section::Body {
                return self.inner.read(into);
            }
            self.next_line()?;
        }
        let mut rest = &self.line[self.read..];
        let octets = rest.read(into)?;
        self.read += octets;
        Ok(octets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(message: &str) -> String {
        let mut text = String::new();
        let mut reader = WithoutBcc::new(message.as_bytes());
        reader.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn the_field_is_removed_with_its_folded_lines() {
        for (message, kept) in [
            (
                "To: a@b\r\nBcc: c@d,\r\n e@f,\r\n\tg@h\r\nSubject: x\r\n\r\nBcc: body\r\n",
                "To: a@b\r\nSubject: x\r\n\r\nBcc: body\r\n",
            ),
            (
                "bcc : c@d\nSubject: x\n y\n\nhi\n",
                "Subject: x\n y\n\nhi\n",
            ),
            ("Resent-Bcc: c@d\nTo: a@b", "To: a@b"),
            ("Bcc: c@d\n\nhi", "\nhi"),
            ("Bcc: c@d", ""),
            ("Bcc-Note: x\nbcc\n\nhi", "Bcc-Note: x\nbcc\n\nhi"),
            ("", ""),
        ] {
            assert_eq!(stripped(message), kept, "{message:?}");
        }
    }
}
