//! Where streamed content comes from.

use std::io::{self, Read};

use bytes::Bytes;
use postwire_transport::adapter::ChunkBuffer;

/// What a reader gives, piece by piece, for
/// [`Transport::send_stream`](crate::Transport::send_stream).
///
/// ```
/// let file = &b"Subject: hello\r\n"[..];
/// let pieces: Result<Vec<_>, _> = postwire_blocking::chunks(file).collect();
/// assert_eq!(pieces?.concat(), file);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn chunks<R: Read>(reader: R) -> Chunks<R> {
    Chunks {
        reader,
        buffer: ChunkBuffer::default(),
        over: false,
    }
}

/// The pieces of [`chunks`]: none after the end, or after an error.
#[derive(Debug)]
pub struct Chunks<R> {
    reader: R,
    buffer: ChunkBuffer,
    over: bool,
}

impl<R: Read> Iterator for Chunks<R> {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.over {
            match self.reader.read(self.buffer.space()) {
                Ok(0) => self.over = true,
                Ok(octets) => return Some(Ok(self.buffer.take(octets))),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.over = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}
