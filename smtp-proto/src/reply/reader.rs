//! The reader that turns bytes, however they are cut, into replies, in bounded memory.
//!
//! Knows the grammar of a reply (RFC 5321 §4.2) and the limits on its size. Must never know
//! which command was sent. No octet is searched twice: progress within a reply is kept between
//! calls.

mod quote;

use alloc::vec::Vec;
use core::fmt;

use super::{ReplyCode, ReplyRef};

/// The capacity that the reader keeps between replies; more is freed.
const KEPT_CAPACITY: usize = 4096;

/// Limits on the size of a reply; a larger one counts as an attack or a fault.
///
/// RFC 5321 §4.5.3.1.5 allows 512 octets per line; servers exceed it, so the defaults are
/// larger.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct ReplyLimits {
    /// Octets of one line, including its line end. Default 2,048.
    pub line: usize,
    /// Lines of one reply. Default 256.
    pub lines: usize,
    /// Octets of one whole reply, including its line ends; also the limit of the reader's
    /// buffer. Default 65,536.
    pub bytes: usize,
}

impl ReplyLimits {
    crate::config::setters! {
        line: usize,
        lines: usize,
        bytes: usize,
    }
}

impl Default for ReplyLimits {
    fn default() -> Self {
        Self {
            line: 2048,
            lines: 256,
            bytes: 65_536,
        }
    }
}

/// Why received bytes are not a reply.
///
/// The earliest octet at fault decides the error, so the error does not depend on how the bytes
/// are cut, and it is returned as soon as that octet arrives. An octet beyond a limit is not
/// examined for other faults.
#[non_exhaustive]
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum ReplyError {
    /// A line does not start with three digits within `200..=599`.
    InvalidCode,
    /// The code is followed by something other than a blank, a hyphen or the end of the line.
    InvalidSeparator,
    /// The lines of one reply have different codes, and the later code is not a refusal. (If it
    /// is, the reply counts as that refusal: [`ReplyRef::has_conflicting_codes`].)
    CodeMismatch {
        /// The code of the reply's first line.
        first: ReplyCode,
        /// The different code of the later line.
        other: ReplyCode,
    },
    /// The text contains a NUL.
    Nul,
    /// A line is longer than [`ReplyLimits::line`].
    LineTooLong {
        /// The limit, in octets.
        limit: usize,
    },
    /// A reply has more lines than [`ReplyLimits::lines`].
    TooManyLines {
        /// The limit, in lines.
        limit: usize,
    },
    /// A reply is longer than [`ReplyLimits::bytes`].
    TooLong {
        /// The limit, in octets.
        limit: usize,
    },
}

impl ReplyError {
    fn is_about_size(self) -> bool {
        matches!(
            self,
            Self::LineTooLong { .. } | Self::TooManyLines { .. } | Self::TooLong { .. }
        )
    }
}

impl fmt::Display for ReplyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidCode => formatter.write_str("a reply line has no valid code"),
            Self::InvalidSeparator => {
                formatter.write_str("a reply code is not followed by a space or a hyphen")
            }
            Self::CodeMismatch { first, other } => {
                write!(
                    formatter,
                    "the lines of a reply disagree: {first}, then {other}"
                )
            }
            Self::Nul => formatter.write_str("a reply contains a NUL"),
            Self::LineTooLong { limit } => {
                write!(formatter, "a reply line is longer than {limit} octets")
            }
            Self::TooManyLines { limit } => {
                write!(formatter, "a reply has more than {limit} lines")
            }
            Self::TooLong { limit } => {
                write!(formatter, "a reply is longer than {limit} octets")
            }
        }
    }
}

impl core::error::Error for ReplyError {}

/// Reads whole replies from bytes that are cut anywhere.
///
/// A reply that lies completely in one input is borrowed from it, without a copy or an
/// allocation. Only a reply that spans several inputs is collected in the reader's buffer,
/// which never exceeds [`ReplyLimits::bytes`] by more than one octet. Lines end in CRLF or a
/// bare LF; a line may consist of the code alone.
///
/// ```
/// use postwire_proto::{ReplyLimits, ReplyReader};
///
/// let mut reader = ReplyReader::new(ReplyLimits::default());
/// let mut input: &[u8] = b"250-mx.example\r\n250 SIZE\r\n354 go";
/// let reply = reader.read(&mut input)?.expect("the first reply is whole");
/// assert_eq!(reply.to_string(), "250 mx.example / SIZE");
/// assert_eq!(reader.read(&mut input)?, None);
/// assert!(reader.is_within_reply());
/// # Ok::<(), postwire_proto::ReplyError>(())
/// ```
#[derive(Debug)]
pub struct ReplyReader {
    limits: ReplyLimits,
    buffer: Vec<u8>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Between replies; the buffer may still hold the last reply, which was already returned.
    Between,
    /// The buffer holds the beginning of a reply.
    WithinReply(ReplyProgress),
    Failed(ReplyError),
}

impl ReplyReader {
    /// Creates a reader for the start of a stream.
    pub fn new(limits: ReplyLimits) -> Self {
        Self {
            limits,
            buffer: Vec::new(),
            state: State::Between,
        }
    }

    /// Reads a reply from the front of `input`.
    ///
    /// If a reply is complete, it is returned and `input` starts after it. Otherwise all of
    /// `input` is consumed and the result is `None` until more arrives. Call again while
    /// `input` is not empty.
    ///
    /// # Errors
    ///
    /// Returns an error if the received bytes are not a reply. The start of the next reply is
    /// then unknown, so `input` is consumed and the reader returns the same error until
    /// [`reset`](Self::reset). The first 100 octets of the line at fault are kept for an error
    /// message.
    pub fn read<'a, 'input: 'a>(
        &'a mut self,
        input: &mut &'input [u8],
    ) -> Result<Option<ReplyRef<'a>>, ReplyError> {
        match self.try_read(input) {
            Ok(Some(CompleteReply::InInput(verdict, end))) => {
                let (raw, rest) = input.split_at_checked(end).unwrap_or((input, &[]));
                *input = rest;
                Ok(Some(verdict.reply(raw)))
            }
            Ok(Some(CompleteReply::InBuffer(verdict))) => Ok(Some(verdict.reply(&self.buffer))),
            Ok(None) => Ok(None),
            Err(error) => {
                *input = &[];
                self.state = State::Failed(error);
                Err(error)
            }
        }
    }

    /// Whether a reply has begun and is not complete: the end of the stream would cut it off.
    pub fn is_within_reply(&self) -> bool {
        matches!(self.state, State::WithinReply(_))
    }

    /// Discards everything that was read, and any error: the stream starts anew, as after
    /// STARTTLS (RFC 3207 §4.2).
    pub fn reset(&mut self) {
        self.empty_buffer();
        self.state = State::Between;
    }

    fn try_read(&mut self, input: &mut &[u8]) -> Result<Option<CompleteReply>, ReplyError> {
        match self.state {
            State::Failed(error) => {
                self.quote_more(input);
                Err(error)
            }
            State::WithinReply(progress) => self.resume(progress, input),
            State::Between => {
                self.empty_buffer();
                let mut progress = ReplyProgress::default();
                let found = progress.advance(input, &self.limits);
                let found =
                    found.inspect_err(|error| self.begin_quote(input, progress.line_start, *error));
                if let Some(code) = found? {
                    return Ok(Some(CompleteReply::InInput(code, progress.line_start)));
                }
                if !input.is_empty() {
                    self.gather(input);
                    *input = &[];
                    self.state = State::WithinReply(progress);
                }
                Ok(None)
            }
        }
    }

    /// Collects line by line, so that nothing after this reply is copied.
    fn resume(
        &mut self,
        mut progress: ReplyProgress,
        input: &mut &[u8],
    ) -> Result<Option<CompleteReply>, ReplyError> {
        while !input.is_empty() {
            let room = self
                .limits
                .bytes
                .saturating_add(1)
                .saturating_sub(self.buffer.len());
            let candidate = input.get(..room).unwrap_or(input);
            let length = memchr::memchr(b'\n', candidate).map_or(candidate.len(), |end| end + 1);
            let (line, rest) = input.split_at_checked(length).unwrap_or((input, &[]));
            self.gather(line);
            *input = rest;
            let found = progress.advance(&self.buffer, &self.limits);
            let found = found.inspect_err(|error| {
                let reply = core::mem::take(&mut self.buffer);
                self.begin_quote(&reply, progress.line_start, *error);
            });
            if let Some(code) = found? {
                self.state = State::Between;
                return Ok(Some(CompleteReply::InBuffer(code)));
            }
        }
        self.state = State::WithinReply(progress);
        Ok(None)
    }

    /// Grows the buffer as a vector does, but never beyond the limit.
    fn gather(&mut self, octets: &[u8]) {
        let needed = self.buffer.len() + octets.len();
        if needed > self.buffer.capacity() {
            let doubled = (self.buffer.capacity() * 2).min(self.limits.bytes.saturating_add(1));
            self.buffer
                .reserve_exact(needed.max(doubled) - self.buffer.len());
        }
        self.buffer.extend_from_slice(octets);
    }

    fn empty_buffer(&mut self) {
        self.buffer.clear();
        self.buffer.shrink_to(KEPT_CAPACITY);
    }
}

enum CompleteReply {
    /// A reply of this length at the front of the input.
    InInput(Code, usize),
    /// The reply is the content of the buffer.
    InBuffer(Code),
}

/// The code of a complete reply.
#[derive(Copy, Clone)]
struct Code {
    code: ReplyCode,
    has_conflicting_codes: bool,
}

impl Code {
    fn reply(self, raw: &[u8]) -> ReplyRef<'_> {
        ReplyRef {
            code: self.code,
            raw,
            has_conflicting_codes: self.has_conflicting_codes,
        }
    }
}

/// How far the current reply is read.
#[derive(Copy, Clone, Debug, Default)]
struct ReplyProgress {
    /// The code of the first line.
    code: Option<ReplyCode>,
    /// The code of a later line, if it is a refusal and differs from the first line's code.
    refusal: Option<ReplyCode>,
    complete_lines: usize,
    /// The position at which the current line starts.
    line_start: usize,
    /// The position up to which the current line was searched for its end.
    searched: usize,
}

impl ReplyProgress {
    /// Continues to read `reply`, which is everything that arrived of the reply so far and
    /// perhaps more. Returns its code once it is complete; `line_start` is then its end.
    fn advance(&mut self, reply: &[u8], limits: &ReplyLimits) -> Result<Option<Code>, ReplyError> {
        loop {
            let arrived = reply.get(self.line_start..).unwrap_or_default();
            let (allowed, excess) = self.remaining_line_octets(limits);
            // Octets beyond a limit are not examined; otherwise the cut would decide the error.
            let line = arrived.get(..allowed).unwrap_or(arrived);
            let code = check_prefix(line, self.code, self.refusal)?;

            let searched = self.searched - self.line_start;
            let unsearched = line.get(searched..).unwrap_or_default();
            let Some(found) = memchr::memchr2(b'\n', 0, unsearched) else {
                self.searched = self.line_start + line.len();
                return if arrived.len() > line.len() {
                    Err(excess)
                } else {
                    Ok(None)
                };
            };
            if unsearched.get(found) == Some(&0) {
                return Err(ReplyError::Nul);
            }

            self.line_start += searched + found + 1;
            self.searched = self.line_start;
            self.complete_lines += 1;
            let Some(code) = code else {
                // A line that ended before its code was complete was rejected above.
                return Err(ReplyError::InvalidCode);
            };
            let first = *self.code.get_or_insert(code);
            if code != first {
                self.refusal.get_or_insert(code);
            }
            if line.get(3) != Some(&b'-') {
                return Ok(Some(Code {
                    code: self.refusal.unwrap_or(first),
                    has_conflicting_codes: self.refusal.is_some(),
                }));
            }
        }
    }

    /// The number of octets that the current line may have, and the error for the octet after
    /// them.
    fn remaining_line_octets(&self, limits: &ReplyLimits) -> (usize, ReplyError) {
        if self.complete_lines >= limits.lines {
            return (
                0,
                ReplyError::TooManyLines {
                    limit: limits.lines,
                },
            );
        }
        let remaining = limits.bytes.saturating_sub(self.line_start);
        if remaining < limits.line {
            (
                remaining,
                ReplyError::TooLong {
                    limit: limits.bytes,
                },
            )
        } else {
            (limits.line, ReplyError::LineTooLong { limit: limits.line })
        }
    }
}

/// Checks the part of the code and separator that has arrived; returns the code once it is
/// complete.
fn check_prefix(
    line: &[u8],
    first: Option<ReplyCode>,
    refusal: Option<ReplyCode>,
) -> Result<Option<ReplyCode>, ReplyError> {
    let Some((&digits, rest)) = line.split_first_chunk::<3>() else {
        let valid = line
            .first()
            .is_none_or(|digit| matches!(digit, b'2'..=b'5'))
            && line.iter().all(u8::is_ascii_digit);
        return if valid {
            Ok(None)
        } else {
            Err(ReplyError::InvalidCode)
        };
    };
    let code = ReplyCode::from_digits(digits).ok_or(ReplyError::InvalidCode)?;
    // A later refusal is the answer, whatever came before it; a later success code is not.
    let disagrees = !code.is_negative() && refusal != Some(code);
    if let Some(first) = first.filter(|&first| first != code && disagrees) {
        return Err(ReplyError::CodeMismatch { first, other: code });
    }
    match rest {
        [] | [b' ' | b'-' | b'\n', ..] | [b'\r'] | [b'\r', b'\n', ..] => Ok(Some(code)),
        _ => Err(ReplyError::InvalidSeparator),
    }
}

#[cfg(test)]
mod tests;
