//! The dialogue: both directions of a connection, written down for the message of a
//! failed test. Secrets are not hidden.

use std::fmt;

/// What was said, in order.
#[derive(Debug, Default)]
pub(crate) struct Dialogue(String);

impl Dialogue {
    pub(crate) fn client(&mut self, octets: &[u8]) {
        self.write("C: ", octets);
    }

    pub(crate) fn server(&mut self, octets: &[u8]) {
        self.write("S: ", octets);
    }

    pub(crate) fn note(&mut self, note: &str) {
        self.0.push_str("-- ");
        self.0.push_str(note);
        self.0.push('\n');
    }

    /// Writes each line behind `side`. CRLF is not shown; every other octet that does
    /// not print is, and so is the place where a segment ends inside a line.
    fn write(&mut self, side: &str, octets: &[u8]) {
        let mut rest = octets;
        while !rest.is_empty() {
            self.0.push_str(side);
            if let Some(at) = rest.windows(2).position(|pair| pair == b"\r\n") {
                self.0.push_str(&rest[..at].escape_ascii().to_string());
                rest = &rest[at + 2..];
            } else {
                self.0.push_str(&rest.escape_ascii().to_string());
                self.0.push_str(" …");
                rest = &[];
            }
            self.0.push('\n');
        }
    }
}

impl fmt::Display for Dialogue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_shown_with_their_side() {
        let mut dialogue = Dialogue::default();
        dialogue.server(b"220 a\r\n");
        dialogue.client(b"NOOP\r\nRS");
        dialogue.client(b"ET\n\r\n");
        dialogue.note("x");
        let expected = "S: 220 a\nC: NOOP\nC: RS …\nC: ET\\n\n-- x\n";
        assert_eq!(dialogue.to_string(), expected);
    }
}
