//! Bytes to replies, however the bytes are cut, in bounded memory.
//!
//! Knows the grammar of a reply (RFC 5321 §4.2) and the limits on its size. Must never know
//! what was asked. Nothing is searched twice: progress within a reply is kept between calls.

mod quote;

use alloc::vec::Vec;
use core::fmt;

use super::{ReplyCode, ReplyRef};

/// Capacity that the reader keeps from one reply to the next; more is given back.
const KEPT_CAPACITY: usize = 4096;

/// How large a reply may be before it counts as an attack or a fault.
///
/// RFC 5321 §4.5.3.1.5 allows 512 octets a line; servers exceed it, so the defaults are wider.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplyLimits {
    /// Octets of one line with its line end. Default 2,048.
    pub line: usize,
    /// Lines of one reply. Default 256.
    pub lines: usize,
    /// Octets of one whole reply with its line ends; also the bound of the reader's buffer.
    /// Default 65,536.
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

/// What is wrong with the bytes that should have been a reply.
///
/// The octet at fault decides, the earliest in the stream: the error is the same however the
/// bytes were cut, and comes as soon as that octet does. An octet beyond a limit is not looked
/// at otherwise.
#[non_exhaustive]
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum ReplyError {
    /// A line does not start with three digits of `200..=599`.
    InvalidCode,
    /// The code is followed by something else than a blank, a hyphen or the line's end.
    InvalidSeparator,
    /// The lines of one reply disagree in their code, and the later one is no refusal. (Where
    /// it is, the reply is that refusal: [`ReplyRef::contradicts_itself`].)
    CodeMismatch {
        /// The code of the reply's first line.
        first: ReplyCode,
        /// The differing code of the later line.
        other: ReplyCode,
    },
    /// A NUL in the text.
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
                formatter.write_str("a reply code is followed by neither blank nor hyphen")
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

/// Takes bytes cut anywhere, gives whole replies.
///
/// A reply that lies whole in one input is borrowed from it: no copy, no allocation. Only one
/// that spans inputs is gathered in the reader's buffer, never more than
/// [`ReplyLimits::bytes`] and one octet. Lines end in CRLF or a bare LF; a line may be the
/// code alone.
///
/// ```
/// use postwire_proto::{ReplyLimits, ReplyReader};
///
/// let mut reader = ReplyReader::new(ReplyLimits::default());
/// let mut input: &[u8] = b"250-mx.example\r\n250 SIZE\r\n354 go";
/// let reply = reader.read(&mut input)?.expect("the first reply is whole");
/// assert_eq!(reply.to_string(), "250 mx.example / SIZE");
/// assert_eq!(reader.read(&mut input)?, None);
/// assert!(reader.is_midway());
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
    /// Between replies; the buffer may still hold the last one, already given out.
    Between,
    /// The buffer holds the beginning of a reply.
    Midway(Progress),
    Failed(ReplyError),
}

impl ReplyReader {
    /// A reader at the start of a stream.
    pub fn new(limits: ReplyLimits) -> Self {
        Self {
            limits,
            buffer: Vec::new(),
            state: State::Between,
        }
    }

    /// Reads from the front of `input`: either one whole reply, and `input` then starts after
    /// it, or everything, and the answer is `None` until more comes. Call again while `input`
    /// is not empty.
    ///
    /// # Errors
    ///
    /// What the server sent is not a reply. There is no way to tell where the next one would
    /// start, so `input` is consumed and the reader stays failed: it gives the same error
    /// until [`reset`](Self::reset). The first 100 octets of the line at fault are kept,
    /// for an error message.
    pub fn read<'a, 'input: 'a>(
        &'a mut self,
        input: &mut &'input [u8],
    ) -> Result<Option<ReplyRef<'a>>, ReplyError> {
        match self.try_read(input) {
            Ok(Some(Found::InInput(verdict, end))) => {
                let (raw, rest) = input.split_at_checked(end).unwrap_or((input, &[]));
                *input = rest;
                Ok(Some(verdict.reply(raw)))
            }
            Ok(Some(Found::InBuffer(verdict))) => Ok(Some(verdict.reply(&self.buffer))),
            Ok(None) => Ok(None),
            Err(error) => {
                *input = &[];
                self.state = State::Failed(error);
                Err(error)
            }
        }
    }

    /// Whether the beginning of a reply is buffered and its end has not come: an end of the
    /// stream now would cut it.
    pub fn is_midway(&self) -> bool {
        matches!(self.state, State::Midway(_))
    }

    /// Forgets what was read, and a failure: the stream starts anew, as after STARTTLS (RFC
    /// 3207 §4.2).
    pub fn reset(&mut self) {
        self.empty_buffer();
        self.state = State::Between;
    }

    fn try_read(&mut self, input: &mut &[u8]) -> Result<Option<Found>, ReplyError> {
        match self.state {
            State::Failed(error) => {
                self.quote_more(input);
                Err(error)
            }
            State::Midway(progress) => self.resume(progress, input),
            State::Between => {
                self.empty_buffer();
                let mut progress = Progress::default();
                let found = progress.advance(input, &self.limits);
                let found =
                    found.inspect_err(|error| self.begin_quote(input, progress.line_start, *error));
                if let Some(code) = found? {
                    return Ok(Some(Found::InInput(code, progress.line_start)));
                }
                if !input.is_empty() {
                    self.gather(input);
                    *input = &[];
                    self.state = State::Midway(progress);
                }
                Ok(None)
            }
        }
    }

    /// Gathers line by line, so that nothing behind this reply is copied.
    fn resume(
        &mut self,
        mut progress: Progress,
        input: &mut &[u8],
    ) -> Result<Option<Found>, ReplyError> {
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
                return Ok(Some(Found::InBuffer(code)));
            }
        }
        self.state = State::Midway(progress);
        Ok(None)
    }

    /// Grows the buffer as a vector would, but never past the limit.
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

enum Found {
    /// A reply at the front of the input, of this length.
    InInput(Code, usize),
    /// The buffer is the reply.
    InBuffer(Code),
}

/// The code of a whole reply.
#[derive(Copy, Clone)]
struct Code {
    code: ReplyCode,
    contradicts_itself: bool,
}

impl Code {
    fn reply(self, raw: &[u8]) -> ReplyRef<'_> {
        ReplyRef {
            code: self.code,
            raw,
            contradicts_itself: self.contradicts_itself,
        }
    }
}

/// How far one reply has been read.
#[derive(Copy, Clone, Debug, Default)]
struct Progress {
    /// The first line's.
    code: Option<ReplyCode>,
    /// A later line's, where it refuses and the first line's is another.
    refusal: Option<ReplyCode>,
    complete_lines: usize,
    /// Where the current line starts.
    line_start: usize,
    /// Up to where the current line was searched for its end.
    searched: usize,
}

impl Progress {
    /// Goes on through `reply`, all that came of it so far and perhaps more. When it is whole,
    /// gives its code, and `line_start` is where it ends.
    fn advance(&mut self, reply: &[u8], limits: &ReplyLimits) -> Result<Option<Code>, ReplyError> {
        loop {
            let arrived = reply.get(self.line_start..).unwrap_or_default();
            let (allowed, excess) = self.allowance(limits);
            // What lies beyond a limit is not looked at, or the cut would decide the error.
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
                // A line that ended before its code was whole was refused above.
                return Err(ReplyError::InvalidCode);
            };
            let first = *self.code.get_or_insert(code);
            if code != first {
                self.refusal.get_or_insert(code);
            }
            if line.get(3) != Some(&b'-') {
                return Ok(Some(Code {
                    code: self.refusal.unwrap_or(first),
                    contradicts_itself: self.refusal.is_some(),
                }));
            }
        }
    }

    /// The octets that the current line may have, and the error of the one after them.
    fn allowance(&self, limits: &ReplyLimits) -> (usize, ReplyError) {
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

/// Checks as much of code and separator as has come; gives the code once it is whole.
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
    // A later refusal is the answer, whatever stood before it; a later yes is none.
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
