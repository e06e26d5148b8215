//! Streamed content from a reader of the standard library, which the program reads by itself.

use std::io::{self, Read};
use std::task::Poll;

use crate::chunk_buffer::ChunkBuffer;
use bytes::Bytes;

/// Reads content piece by piece from a reader, for the `send_stream` of the blocking adapter.
///
/// ```
/// let file = &b"Subject: hello\r\n"[..];
/// let pieces: Result<Vec<_>, _> = postwire_transport::adapter::chunks(file).collect();
/// assert_eq!(pieces?.concat(), file);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn chunks<R: Read>(reader: R) -> Chunks<R> {
    Chunks {
        reader,
        buffer: ChunkBuffer::default(),
    }
}

/// The pieces of [`chunks`]. After the end of the content or an error there are no more.
#[derive(Debug)]
pub struct Chunks<R> {
    reader: R,
    buffer: ChunkBuffer,
}

impl<R: Read> Iterator for Chunks<R> {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        let (reader, buffer) = (&mut self.reader, &mut self.buffer);
        match buffer.poll_chunk(|space| Poll::Ready(reader.read(space))) {
            Poll::Ready(next) => next,
            Poll::Pending => None,
        }
    }
}
