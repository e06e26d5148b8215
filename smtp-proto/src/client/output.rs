//! The output that waits to be written: command text in one reused buffer, content as slices of
//! the caller's data.
//!
//! Knows positions in the stream of all octets ever queued, so that other modules can decide
//! whether a command is handed over or written. Must never know about SMTP.
//!
//! ```text
//! written ≤ handed over (taken) ≤ drawn ≤ queued
//! ```
//!
//! *Drawn* and *handed over* differ only under TLS, where octets are encrypted before the driver
//! takes them. *Handed over* and *written* differ only if the driver reports writes separately.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::{Buf, Bytes};

use crate::Secret;
use crate::message::body::{SHORT, Segment};

/// The smallest window that a configuration may ask for, in octets.
const SMALLEST_WINDOW: usize = 512;

/// The largest capacity of the text buffer that a session keeps after an idle second, in octets.
const KEPT: usize = 16 * 1024;

/// The largest number of chunks whose memory a session keeps after an idle second.
const KEPT_CHUNKS: usize = 256;

/// The capacity of the text buffer that a session keeps in any case: more than the commands of a
/// message to one recipient.
const KEPT_WHEN_RELEASED: usize = 256;

/// The number of pieces for which memory is kept when it is released.
const KEPT_CHUNKS_WHEN_RELEASED: usize = 4;

#[derive(Debug)]
pub(crate) struct OutputQueue {
    /// The amount of output that is produced ahead of the socket, in octets.
    window: usize,
    text: Vec<u8>,
    /// The position of `text[0]` among all text ever written.
    text_base: u64,
    chunks: VecDeque<Chunk>,
    queued: u64,
    /// The position up to which octets were removed from the chunks.
    drawn: u64,
    /// The position up to which octets were handed over to the driver.
    taken: u64,
    /// The position up to which octets are written, if the driver reports that separately.
    written: Option<u64>,
    /// A counter that grows with each progress of writing.
    progress: u64,
    /// Whether encrypted octets wait.
    tls_waits: bool,
}

#[derive(Debug)]
enum Chunk {
    /// A range of positions in the text.
    Text { start: u64, end: u64 },
    /// A slice of the caller's content.
    Slice(Bytes),
    /// Text that is zeroized after it was taken.
    Secret { secret: Secret, taken: usize },
}

impl OutputQueue {
    /// Creates a queue that produces up to `window` octets ahead of the socket
    /// ([`Limits::output_window`](crate::Limits)).
    pub(crate) fn new(window: usize) -> Self {
        Self {
            window: window.max(SMALLEST_WINDOW),
            text: Vec::new(),
            text_base: 0,
            chunks: VecDeque::new(),
            queued: 0,
            drawn: 0,
            taken: 0,
            written: None,
            progress: 0,
            tls_waits: false,
        }
    }

    /// The number of octets that may still be produced.
    pub(crate) fn room(&self) -> usize {
        self.window.saturating_sub(self.pending())
    }

    /// Whether there is nothing to write, and memory of a large flight is kept.
    pub(crate) fn can_release(&self) -> bool {
        let is_large = self.text.capacity() > KEPT || self.chunks.capacity() > KEPT_CHUNKS;
        self.chunks.is_empty() && is_large
    }

    /// Releases the memory of earlier flights, if there is nothing to write.
    pub(crate) fn release(&mut self) {
        if self.chunks.is_empty() {
            self.reclaim();
            self.text.shrink_to(KEPT_WHEN_RELEASED);
            self.chunks.shrink_to(KEPT_CHUNKS_WHEN_RELEASED);
        }
    }

    /// The first contiguous octets to write.
    pub(crate) fn first_chunk(&self) -> &[u8] {
        let front = self.chunks.front();
        front.map_or(&[], |chunk| self.bytes_of(chunk))
    }

    /// The position up to which output exists.
    pub(crate) fn queued(&self) -> u64 {
        self.queued
    }

    /// The position up to which output is handed over to the driver.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// The position up to which output is written.
    pub(crate) fn written(&self) -> u64 {
        self.written.unwrap_or(self.taken)
    }

    /// A counter that changes with each progress of writing.
    pub(crate) fn progress(&self) -> u64 {
        self.progress
    }

    /// Whether anything waits to be written, here, in a TLS layer or in the driver.
    pub(crate) fn is_waiting(&self) -> bool {
        self.queued > self.written() || self.tls_waits
    }

    /// Records that `octets` more of the drawn octets are handed over.
    pub(crate) fn hand_over(&mut self, octets: usize) {
        self.taken += (octets as u64).min(self.drawn - self.taken);
        if self.written.is_none() {
            self.progress += octets as u64;
        }
    }

    /// Records that `octets` more of the octets that were handed over are written.
    pub(crate) fn mark_written(&mut self, octets: usize) {
        let written = self.written.unwrap_or(0).saturating_add(octets as u64);
        self.written = Some(written.min(self.taken));
        self.progress += octets as u64;
    }

    /// Records the progress of a TLS layer in encrypted octets, and whether more of them wait.
    pub(crate) fn mark_tls(&mut self, progress: u64, waits: bool) {
        self.progress = self.progress.wrapping_add(progress);
        self.tls_waits = waits;
    }

    pub(crate) fn pending(&self) -> usize {
        usize::try_from(self.queued - self.taken).unwrap_or(usize::MAX)
    }

    /// Appends the text that `write` appends to its buffer, and returns that text.
    pub(crate) fn write_text(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> &[u8] {
        self.reclaim();
        let before = self.text.len();
        write(&mut self.text);
        self.text_added(before)
    }

    /// Queues the text from the position `before` of the buffer on, and returns it.
    fn text_added(&mut self, before: usize) -> &[u8] {
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

    /// Drops everything that is not handed over yet.
    pub(crate) fn discard(&mut self) {
        self.chunks.clear();
        self.queued = self.taken;
        self.drawn = self.taken;
    }

    /// Removes `octets` from the front, or all if there are fewer, and returns the number.
    fn draw(&mut self, octets: usize) -> usize {
        let drawn = octets.min(self.remaining());
        self.drawn += drawn as u64;
        let mut left = drawn;
        while left > 0 {
            let Some(chunk) = self.chunks.front_mut() else {
                break;
            };
            let length = match chunk {
                Chunk::Text { start, end } => (*end - *start) as usize,
                Chunk::Slice(slice) => slice.len(),
                Chunk::Secret { secret, taken } => secret.expose().len() - *taken,
            };
            if left >= length {
                self.chunks.pop_front();
                left -= length;
                continue;
            }
            match chunk {
                Chunk::Text { start, .. } => *start += left as u64,
                Chunk::Slice(slice) => slice.advance(left),
                Chunk::Secret { taken, .. } => *taken += left,
            }
            break;
        }
        drawn
    }

    fn remaining(&self) -> usize {
        usize::try_from(self.queued - self.drawn).unwrap_or(usize::MAX)
    }

    /// Frees space in the text buffer, so that the buffer stays within about two windows even if
    /// the driver never takes everything.
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
                if dead >= self.window {
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

/// The octets to write now, as chunks for `writev`.
///
/// Call `advance` for the octets that are handed over to the driver. The rest is returned again
/// by the next call of `output()`.
#[derive(Debug)]
pub struct Output<'a> {
    queue: &'a mut OutputQueue,
    /// Whether `advance` hands octets over, or only removes them.
    hands_over: bool,
}

impl<'a> Output<'a> {
    /// Output that is handed over without encryption.
    pub(crate) fn direct(queue: &'a mut OutputQueue) -> Self {
        Self {
            queue,
            hands_over: true,
        }
    }

    /// Output that is encrypted before it is handed over.
    pub(crate) fn for_tls(queue: &'a mut OutputQueue) -> Self {
        Self {
            queue,
            hands_over: false,
        }
    }
}

impl Buf for Output<'_> {
    fn remaining(&self) -> usize {
        self.queue.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.queue.first_chunk()
    }

    /// Takes `octets` without a copy if they are within one slice of content.
    fn copy_to_bytes(&mut self, octets: usize) -> Bytes {
        assert!(octets <= self.remaining(), "more octets than there are");
        let piece = match self.queue.chunks.front() {
            Some(Chunk::Slice(slice)) if octets <= slice.len() => slice.slice(..octets),
            _ => {
                let mut copy = Vec::with_capacity(octets);
                for chunk in &self.queue.chunks {
                    let wanted = octets - copy.len();
                    let chunk = self.queue.bytes_of(chunk);
                    copy.extend_from_slice(chunk.get(..wanted).unwrap_or(chunk));
                }
                Bytes::from(copy)
            }
        };
        self.advance(octets);
        piece
    }

    #[cfg(feature = "std")]
    fn chunks_vectored<'b>(&'b self, into: &mut [std::io::IoSlice<'b>]) -> usize {
        let filled = into.iter_mut().zip(&self.queue.chunks);
        filled
            .map(|(into, chunk)| *into = std::io::IoSlice::new(self.queue.bytes_of(chunk)))
            .count()
    }

    /// Takes `octets` from the front, or all if there are fewer.
    fn advance(&mut self, octets: usize) {
        let drawn = self.queue.draw(octets);
        if self.hands_over {
            self.queue.hand_over(drawn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: usize = 256 * 1024;

    fn drain(queue: &mut OutputQueue, step: usize) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let mut output = Output::direct(queue);
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
            let mut queue = OutputQueue::new(WINDOW);
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
        let mut queue = OutputQueue::new(WINDOW);
        queue.write_text(|out| out.push(b'!'));
        for _ in 0..1_000 {
            queue.write_text(|out| out.resize(out.len() + 1_000, b'.'));
            Output::direct(&mut queue).advance(1_000);
        }
        assert!(queue.text.capacity() < 4 * WINDOW);
        assert_eq!(queue.pending(), 1);
    }

    #[test]
    fn content_is_given_without_a_copy() {
        let mut queue = OutputQueue::new(WINDOW);
        let content = Bytes::from(alloc::vec![b'x'; SHORT + 1]);
        queue.write_text(|out| out.extend_from_slice(b"BDAT"));
        queue.write_slice(content.clone());
        let mut output = Output::direct(&mut queue);
        assert_eq!(output.copy_to_bytes(4), "BDAT");
        assert_eq!(output.copy_to_bytes(1).as_ptr(), content.as_ptr());
        assert_eq!(output.copy_to_bytes(SHORT).as_ptr(), content[1..].as_ptr());
        assert_eq!(queue.pending(), 0);
    }

    #[test]
    fn what_a_large_flight_needed_is_given_back() {
        let mut queue = OutputQueue::new(WINDOW);
        queue.write_text(|out| out.resize(WINDOW, b'.'));
        queue.release();
        assert!(queue.text.capacity() >= WINDOW);
        Output::direct(&mut queue).advance(WINDOW);
        queue.release();
        assert!(queue.text.capacity() <= KEPT);
        queue.write_text(|out| out.extend_from_slice(b"NOOP"));
        assert_eq!(drain(&mut queue, 1), b"NOOP");
    }
}
