//! What waits to be written: command text in one reused buffer, content as
//! slices of the caller's own.
//!
//! Knows positions in the stream of all octets ever written, so that others can
//! tell whether a command has been handed over. Knows nothing of SMTP.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::{Buf, Bytes};

use crate::Secret;
use crate::body::{SHORT, Segment};

/// How much is materialised ahead of the socket, in octets.
pub(crate) const WINDOW: usize = 256 * 1024;

#[derive(Debug, Default)]
pub(crate) struct OutputQueue {
    text: Vec<u8>,
    /// The position of `text[0]` among all text ever written.
    text_base: u64,
    chunks: VecDeque<Chunk>,
    queued: u64,
    taken: u64,
}

#[derive(Debug)]
enum Chunk {
    /// A range of positions in the text.
    Text { start: u64, end: u64 },
    /// The caller's content.
    Slice(Bytes),
    /// Text that is zeroized once it was taken.
    Secret { secret: Secret, taken: usize },
}

impl OutputQueue {
    /// The position up to which output exists.
    pub(crate) fn queued(&self) -> u64 {
        self.queued
    }

    /// The position up to which the driver took it.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    pub(crate) fn pending(&self) -> usize {
        usize::try_from(self.queued - self.taken).unwrap_or(usize::MAX)
    }

    /// Appends what `write` appends to the buffer it is given, and shows it.
    pub(crate) fn write_text(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> &[u8] {
        self.reclaim();
        let before = self.text.len();
        write(&mut self.text);
        let added = (self.text.len() - before) as u64;
        let end = self.text_base + self.text.len() as u64;
        self.queued += added;
        match self.chunks.back_mut() {
            Some(Chunk::Text { end: last, .. }) => *last = end,
            _ if added > 0 => self.chunks.push_back(Chunk::Text {
                start: end - added,
                end,
            }),
            _ => {}
        }
        &self.text[before..]
    }

    pub(crate) fn write_secret(&mut self, secret: Secret) {
        let octets = secret.expose().len();
        if octets > 0 {
            self.queued += octets as u64;
            self.chunks.push_back(Chunk::Secret { secret, taken: 0 });
        }
    }

    pub(crate) fn write_slice(&mut self, slice: Bytes) {
        if slice.len() < SHORT {
            self.write_text(|text| text.extend_from_slice(&slice));
        } else {
            self.queued += slice.len() as u64;
            self.chunks.push_back(Chunk::Slice(slice));
        }
    }

    pub(crate) fn write_segment(&mut self, segment: Segment<'_>) {
        match segment {
            Segment::Slice(slice) => self.write_slice(slice),
            Segment::Text(text) => {
                self.write_text(|out| out.extend_from_slice(text));
            }
        }
    }

    /// Drops everything that was not taken yet.
    pub(crate) fn discard(&mut self) {
        self.chunks.clear();
        self.queued = self.taken;
    }

    /// Makes room in the text buffer, so that it stays within about two windows
    /// even if the driver never takes everything.
    fn reclaim(&mut self) {
        let first = self.chunks.iter().find_map(|chunk| match chunk {
            Chunk::Text { start, .. } => Some(*start),
            _ => None,
        });
        match first {
            None => {
                self.text_base += self.text.len() as u64;
                self.text.clear();
            }
            Some(start) => {
                let dead = (start - self.text_base) as usize;
                if dead >= WINDOW {
                    self.text.drain(..dead);
                    self.text_base = start;
                }
            }
        }
    }

    fn bytes_of<'a>(&'a self, chunk: &'a Chunk) -> &'a [u8] {
        match chunk {
            Chunk::Text { start, end } => {
                let start = (start - self.text_base) as usize;
                let end = (end - self.text_base) as usize;
                &self.text[start..end]
            }
            Chunk::Slice(slice) => slice,
            Chunk::Secret { secret, taken } => &secret.expose()[*taken..],
        }
    }
}

/// What is to be written now: the chunks of a flight, for `writev`.
///
/// `advance` it by as much as the socket took; what remains comes again with
/// the next call of `output()`.
#[derive(Debug)]
pub struct Output<'a>(pub(crate) &'a mut OutputQueue);

impl Buf for Output<'_> {
    fn remaining(&self) -> usize {
        self.0.pending()
    }

    fn chunk(&self) -> &[u8] {
        self.0
            .chunks
            .front()
            .map_or(&[], |chunk| self.0.bytes_of(chunk))
    }

    #[cfg(feature = "std")]
    fn chunks_vectored<'b>(&'b self, into: &mut [std::io::IoSlice<'b>]) -> usize {
        let filled = into.iter_mut().zip(&self.0.chunks);
        filled
            .map(|(into, chunk)| *into = std::io::IoSlice::new(self.0.bytes_of(chunk)))
            .count()
    }

    /// Takes `octets` from the front; never more than there are.
    fn advance(&mut self, octets: usize) {
        let mut left = octets.min(self.remaining());
        self.0.taken += left as u64;
        while left > 0 {
            let Some(chunk) = self.0.chunks.front_mut() else {
                return;
            };
            let length = match chunk {
                Chunk::Text { start, end } => (*end - *start) as usize,
                Chunk::Slice(slice) => slice.len(),
                Chunk::Secret { secret, taken } => secret.expose().len() - *taken,
            };
            if left >= length {
                self.0.chunks.pop_front();
                left -= length;
                continue;
            }
            match chunk {
                Chunk::Text { start, .. } => *start += left as u64,
                Chunk::Slice(slice) => slice.advance(left),
                Chunk::Secret { taken, .. } => *taken += left,
            }
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(queue: &mut OutputQueue, step: usize) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let mut output = Output(queue);
            if !output.has_remaining() {
                return all;
            }
            let n = output.chunk().len().min(step);
            all.extend_from_slice(&output.chunk()[..n]);
            output.advance(n);
        }
    }

    #[test]
    fn order_is_kept_whatever_the_steps() {
        for step in [1, 2, 3, 7, 1_000, usize::MAX] {
            let mut queue = OutputQueue::default();
            queue.write_text(|out| out.extend_from_slice(b"one "));
            queue.write_slice(Bytes::from_static(b"two "));
            queue.write_secret(Secret::from("three "));
            queue.write_slice(Bytes::from(alloc::vec![b'x'; SHORT]));
            queue.write_text(|out| out.extend_from_slice(b" four"));
            let expected = [&b"one two three "[..], &[b'x'; SHORT], b" four"].concat();
            assert_eq!(queue.pending(), expected.len());
            assert_eq!(drain(&mut queue, step), expected);
            assert_eq!(queue.taken(), queue.queued());
        }
    }

    #[test]
    fn the_text_buffer_is_reclaimed_though_never_emptied() {
        let mut queue = OutputQueue::default();
        queue.write_text(|out| out.push(b'!'));
        for _ in 0..1_000 {
            queue.write_text(|out| out.resize(out.len() + 1_000, b'.'));
            Output(&mut queue).advance(1_000);
        }
        assert!(queue.text.capacity() < 4 * WINDOW);
        assert_eq!(queue.pending(), 1);
    }
}
