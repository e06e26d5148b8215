//! The part of a malformed line that is kept for error messages.

use alloc::vec::Vec;

use super::{ReplyError, ReplyReader, State};

/// The number of octets that are kept of a malformed line.
const QUOTED: usize = 100;

impl ReplyReader {
    /// The first octets of the malformed line that have arrived, without its line end.
    pub(crate) fn quote(&self) -> &[u8] {
        let line = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    /// The first octets of a reply that is not complete; empty between replies.
    pub(crate) fn partial_reply(&self) -> &[u8] {
        if !self.is_within_reply() {
            return &[];
        }
        self.buffer.get(..QUOTED).unwrap_or(&self.buffer)
    }

    /// Whether further input adds nothing to the [`quote`](Self::quote).
    pub(crate) fn is_quote_complete(&self) -> bool {
        let limited = match self.state {
            State::Failed(error) => error.is_about_size(),
            _ => false,
        };
        limited || self.buffer.len() >= QUOTED || self.buffer.ends_with(b"\n")
    }

    /// Keeps the part of a faulty reply that is shown: the line at fault; if lines disagree,
    /// the lines up to the one at fault; if the size of the whole reply is at fault, its first
    /// line. The result does not depend on how the bytes are cut.
    pub(super) fn begin_quote(&mut self, reply: &[u8], line_start: usize, error: ReplyError) {
        let (from, most) = match error {
            ReplyError::LineTooLong { limit } => (line_start, QUOTED.min(limit)),
            ReplyError::TooManyLines { .. } => (0, QUOTED.min(line_start)),
            ReplyError::TooLong { limit } => (0, QUOTED.min(limit)),
            _ => (line_start, QUOTED),
        };
        self.buffer = match error {
            ReplyError::CodeMismatch { .. } => reply[..line_start.min(QUOTED)].to_vec(),
            _ => Vec::new(),
        };
        self.state = State::Between;
        let line = reply.get(from..).unwrap_or_default();
        self.quote_line(line.get(..most).unwrap_or(line));
    }

    pub(super) fn quote_more(&mut self, input: &[u8]) {
        if !self.is_quote_complete() {
            self.quote_line(input);
        }
    }

    fn quote_line(&mut self, input: &[u8]) {
        let end = memchr::memchr(b'\n', input).map_or(input.len(), |end| end + 1);
        let room = QUOTED - self.buffer.len();
        self.buffer.extend_from_slice(&input[..end.min(room)]);
    }
}
