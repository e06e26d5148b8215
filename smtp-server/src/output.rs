//! The replies that wait to be written, in one reused buffer.
//!
//! Knows the format of a reply (RFC 5321 §4.2.1) and whether enhanced codes are used. Must
//! never know why a reply is sent.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;

use bytes::{Buf, Bytes};
use postwire_proto::Reply;

use crate::default_reply::DefaultReply;

/// Octets that were taken are freed once there are this many.
const RECLAIMED: usize = 64 * 1024;

/// The number of replies that may wait for the trace; later ones are not recorded.
const MAX_RECORDED: usize = 1_024;

pub(crate) struct Replies {
    octets: Vec<u8>,
    taken: usize,
    /// The total number of octets handed over.
    handed_over: u64,
    /// The number of these octets that are written, if the driver reports it.
    written: Option<u64>,
    enhanced_codes: bool,
    record: Option<Record>,
}

/// The replies written since the last look, for the trace.
#[derive(Default)]
struct Record {
    /// Complete replies, without their last CRLF.
    replies: VecDeque<Bytes>,
    /// The lines so far of a reply of several lines.
    begun: Vec<u8>,
}

impl Replies {
    pub(crate) fn new(enhanced_codes: bool, is_traced: bool) -> Self {
        Self {
            octets: Vec::new(),
            taken: 0,
            handed_over: 0,
            written: None,
            enhanced_codes,
            record: is_traced.then(Record::default),
        }
    }

    /// The oldest reply written since the last look; `None` unless replies are traced.
    pub(crate) fn next_traced(&mut self) -> Option<Bytes> {
        self.record.as_mut()?.replies.pop_front()
    }

    /// Whether there are replies that the client has not taken.
    pub(crate) fn is_waiting(&self) -> bool {
        let unwritten = self.written.is_some_and(|octets| octets < self.handed_over);
        self.pending() > 0 || unwritten
    }

    pub(crate) fn mark_written(&mut self, octets: usize) {
        let written = self.written.unwrap_or(0).saturating_add(octets as u64);
        self.written = Some(written.min(self.handed_over));
    }

    pub(crate) fn pending(&self) -> usize {
        self.octets.len() - self.taken
    }

    /// The octets to write, in one piece.
    pub(crate) fn first_chunk(&self) -> &[u8] {
        self.octets.get(self.taken..).unwrap_or_default()
    }

    pub(crate) fn write(&mut self, reply: DefaultReply) {
        let DefaultReply {
            code,
            enhanced,
            text,
        } = reply;
        if self.enhanced_codes && !enhanced.is_empty() {
            self.line(code, ' ', format_args!("{enhanced} {text}"));
        } else {
            self.line(code, ' ', text);
        }
    }

    /// Writes a reply of several lines without enhanced codes (RFC 2034 §4 does not allow them
    /// in the reply to EHLO). An empty list writes nothing.
    pub(crate) fn write_lines(&mut self, code: u16, lines: &[impl fmt::Display]) {
        if let Some((last, lines)) = lines.split_last() {
            for line in lines {
                self.line(code, '-', line);
            }
            self.line(code, ' ', last);
        }
    }

    /// Writes a `334` with its challenge (RFC 4954 §4).
    pub(crate) fn challenge(&mut self, encoded: &[u8]) {
        self.reclaim();
        self.octets.extend_from_slice(b"334 ");
        self.octets.extend_from_slice(encoded);
        self.octets.extend_from_slice(b"\r\n");
        if let Some(record) = &mut self.record {
            // A challenge may contain what the client said.
            let shown: &[u8] = match encoded {
                b"" => b"334 ",
                _ => b"334 <redacted>",
            };
            record.push(Bytes::from_static(shown));
        }
    }

    pub(crate) fn relay(&mut self, reply: &Reply) {
        self.reclaim();
        self.octets.extend_from_slice(reply.as_bytes());
        if let Some(record) = &mut self.record {
            let octets = reply.as_bytes();
            let octets = octets.strip_suffix(b"\r\n").unwrap_or(octets);
            record.push(Bytes::copy_from_slice(octets));
        }
    }

    fn line(&mut self, code: u16, separator: char, text: impl fmt::Display) {
        use fmt::Write as _;

        self.reclaim();
        let start = self.octets.len();
        // Writing to a vector never fails.
        let _ = write!(Line(&mut self.octets), "{code}{separator}{text}");
        if let Some(record) = &mut self.record {
            record.add_line(self.octets.get(start..).unwrap_or_default(), separator);
        }
        self.octets.extend_from_slice(b"\r\n");
    }

    fn reclaim(&mut self) {
        if self.taken == self.octets.len() || self.taken >= RECLAIMED {
            self.octets.drain(..self.taken);
            self.taken = 0;
        }
    }
}

impl Record {
    /// Adds a line. A blank after the code marks the last one of its reply.
    fn add_line(&mut self, line: &[u8], separator: char) {
        if !self.begun.is_empty() {
            self.begun.extend_from_slice(b"\r\n");
        }
        self.begun.extend_from_slice(line);
        if separator == ' ' {
            let reply = core::mem::take(&mut self.begun);
            self.push(reply.into());
        }
    }

    /// Adds a reply, unless too many were never looked at.
    fn push(&mut self, reply: Bytes) {
        if self.replies.len() < MAX_RECORDED {
            self.replies.push_back(reply);
        }
    }
}

/// A text in which nothing can end the line.
struct Line<'a>(&'a mut Vec<u8>);

impl fmt::Write for Line<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend(text.bytes().map(|octet| match octet {
            b'\r' | b'\n' | 0 => b' ',
            octet => octet,
        }));
        Ok(())
    }
}

/// The output to write now; octets that are not taken are offered again.
pub(crate) struct ReplyOutput<'a>(pub(crate) &'a mut Replies);

impl Buf for ReplyOutput<'_> {
    fn remaining(&self) -> usize {
        self.0.pending()
    }

    fn chunk(&self) -> &[u8] {
        self.0.first_chunk()
    }

    /// Takes `octets` from the front, at most as many as there are.
    fn advance(&mut self, octets: usize) {
        let taken = octets.min(self.remaining());
        self.0.taken += taken;
        self.0.handed_over += taken as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: DefaultReply = DefaultReply {
        code: 250,
        enhanced: "2.0.0",
        text: "ok",
    };

    #[test]
    fn enhanced_codes_can_be_left_out() {
        for (enhanced, expected) in [(true, "250 2.0.0 ok\r\n"), (false, "250 ok\r\n")] {
            let mut replies = Replies::new(enhanced, false);
            replies.write(OK);
            assert_eq!(ReplyOutput(&mut replies).chunk(), expected.as_bytes());
        }
    }

    #[test]
    fn no_text_ends_its_line() {
        let mut replies = Replies::new(true, false);
        replies.write_lines(250, &["a\r\n250 b", "c"]);
        assert_eq!(
            ReplyOutput(&mut replies).chunk(),
            b"250-a  250 b\r\n250 c\r\n"
        );
    }

    #[test]
    fn replies_are_recorded_whole() {
        let mut replies = Replies::new(true, true);
        replies.write_lines(250, &["a", "b"]);
        replies.write(OK);
        replies.challenge(b"");
        replies.challenge(b"c2VjcmV0");
        for expected in [
            &b"250-a\r\n250 b"[..],
            b"250 2.0.0 ok",
            b"334 ",
            b"334 <redacted>",
        ] {
            assert_eq!(replies.next_traced().as_deref(), Some(expected));
        }
        assert_eq!(replies.next_traced(), None);
    }

    #[test]
    fn the_buffer_is_reused_even_if_never_empty() {
        let mut replies = Replies::new(true, false);
        replies.write(OK);
        for _ in 0..100_000 {
            replies.write(OK);
            let mut output = ReplyOutput(&mut replies);
            output.advance(14);
            assert_eq!(output.remaining(), 14);
        }
        assert!(replies.octets.capacity() <= 4 * RECLAIMED);
        ReplyOutput(&mut replies).advance(usize::MAX);
        assert_eq!(replies.pending(), 0);
    }
}
