//! The dialogue: both directions of a connection, written down for the message of a
//! failed test. Secrets are not hidden.

use std::fmt;

/// How many octets of a line are shown.
const SHOWN: usize = 160;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

#[derive(Debug)]
enum Entry {
    Said { side: Side, octets: Vec<u8> },
    Note(String),
}

/// What was said, in order.
#[derive(Debug, Default)]
pub(crate) struct Dialogue {
    entries: Vec<Entry>,
}

impl Dialogue {
    pub(crate) fn client(&mut self, octets: &[u8]) {
        self.say(Side::Client, octets);
    }

    pub(crate) fn server(&mut self, octets: &[u8]) {
        self.say(Side::Server, octets);
    }

    pub(crate) fn note(&mut self, note: &str) {
        self.entries.push(Entry::Note(note.to_owned()));
    }

    /// Octets that follow others of their side join them.
    fn say(&mut self, side: Side, octets: &[u8]) {
        if octets.is_empty() {
            return;
        }
        if let Some(Entry::Said {
            side: last,
            octets: before,
        }) = self.entries.last_mut()
            && *last == side
        {
            before.extend(octets);
            return;
        }
        let octets = octets.to_vec();
        self.entries.push(Entry::Said { side, octets });
    }
}

/// Each line stands behind its side. CRLF is not shown, but every other octet that does
/// not print is. `…` ends a line that goes on behind the other side or a note.
impl fmt::Display for Dialogue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for entry in &self.entries {
            let (mark, mut rest) = match entry {
                Entry::Note(note) => {
                    writeln!(formatter, "-- {note}")?;
                    continue;
                }
                Entry::Said {
                    side: Side::Client,
                    octets,
                } => ("C: ", &octets[..]),
                Entry::Said {
                    side: Side::Server,
                    octets,
                } => ("S: ", &octets[..]),
            };
            while !rest.is_empty() {
                let end = rest.windows(2).position(|pair| pair == b"\r\n");
                let length = end.unwrap_or(rest.len());
                let shown = rest[..length.min(SHOWN)].escape_ascii();
                write!(formatter, "{mark}{shown}")?;
                if length > SHOWN {
                    write!(formatter, " (in all {length} octets)")?;
                }
                writeln!(formatter, "{}", if end.is_some() { "" } else { " …" })?;
                rest = &rest[(length + 2).min(rest.len())..];
            }
        }
        Ok(())
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
        dialogue.client(b"ET\n\r\nQ");
        dialogue.note("x");
        dialogue.client(&[b'x'; 200]);
        let expected = format!(
            "S: 220 a\nC: NOOP\nC: RSET\\n\nC: Q …\n-- x\nC: {} (in all 200 octets) …\n",
            "x".repeat(SHOWN)
        );
        assert_eq!(dialogue.to_string(), expected);
    }
}
