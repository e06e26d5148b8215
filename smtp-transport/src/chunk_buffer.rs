//! Content that is read piece by piece: its memory, its end and its errors. Must never know the
//! source of the content.

use std::io;
use std::task::{Poll, ready};

use bytes::{Bytes, BytesMut};

/// The size of the buffer, in octets.
const CHUNK: usize = 64 * 1024;

/// A buffer for content that is read piece by piece and becomes [`Bytes`] without a copy.
///
/// The memory is reused after earlier pieces are sent and dropped.
///
/// ```
/// use std::io::Read;
/// use std::task::Poll;
/// use postwire_transport::adapter::ChunkBuffer;
///
/// let mut source = &b"Subject: hello"[..];
/// let mut buffer = ChunkBuffer::default();
/// let piece = buffer.poll_chunk(|space| Poll::Ready(source.read(space)));
/// assert!(matches!(piece, Poll::Ready(Some(Ok(piece))) if piece == "Subject: hello"));
/// ```
#[derive(Debug, Default)]
pub struct ChunkBuffer {
    space: BytesMut,
    is_over: bool,
}

impl ChunkBuffer {
    /// Reads the next piece; `None` after the end of the content, and after an error.
    pub fn poll_chunk(
        &mut self,
        mut read: impl FnMut(&mut [u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<Option<io::Result<Bytes>>> {
        while !self.is_over {
            match ready!(read(self.space())) {
                Ok(0) => self.is_over = true,
                Ok(octets) => return Poll::Ready(Some(Ok(self.take(octets)))),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.is_over = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        Poll::Ready(None)
    }

    /// The space for the next piece: 16 to 64 KiB.
    fn space(&mut self) -> &mut [u8] {
        if self.space.len() < CHUNK / 4 {
            self.space.clear();
            self.space.reserve(CHUNK);
            self.space.resize(CHUNK, 0);
        }
        &mut self.space
    }

    /// Takes the first `octets` of the space, which were filled, or all if there are fewer.
    fn take(&mut self, octets: usize) -> Bytes {
        self.space.split_to(octets.min(self.space.len())).freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again() {
        let mut buffer = ChunkBuffer::default();
        let first = buffer.space().as_ptr();
        for _ in 0..10 {
            let octets = buffer.space().len();
            assert_eq!(octets, CHUNK);
            assert_eq!(buffer.space().as_ptr(), first);
            drop(buffer.take(octets));
        }
    }

    #[test]
    fn an_interrupted_read_is_repeated_and_an_error_is_the_end() {
        let mut reads = [
            Err(io::ErrorKind::Interrupted),
            Ok(3),
            Err(io::ErrorKind::Interrupted),
            Err(io::ErrorKind::BrokenPipe),
        ]
        .into_iter();
        let mut buffer = ChunkBuffer::default();
        let mut next = || {
            let read = |_: &mut [u8]| Poll::Ready(reads.next().unwrap().map_err(io::Error::from));
            match buffer.poll_chunk(read) {
                Poll::Ready(piece) => piece.map(|piece| piece.map_err(|error| error.kind())),
                Poll::Pending => panic!("every read is ready"),
            }
        };
        assert_eq!(next(), Some(Ok(Bytes::from_static(&[0; 3]))));
        assert_eq!(next(), Some(Err(io::ErrorKind::BrokenPipe)));
        // Nothing is read after an error: there are no more reads to take.
        assert_eq!(next(), None);
    }

    #[test]
    fn pieces_that_are_kept_stay_as_they_are() {
        let mut buffer = ChunkBuffer::default();
        let mut kept = Vec::new();
        for number in 0..20 {
            let space = buffer.space();
            assert!(space.len() >= CHUNK / 4);
            let octets = space.len() * 2 / 3;
            space[..octets].fill(number);
            kept.push(buffer.take(octets));
        }
        for (number, piece) in kept.iter().enumerate() {
            assert!(piece.iter().all(|octet| usize::from(*octet) == number));
        }
        assert!(buffer.take(usize::MAX).len() <= CHUNK);
    }
}
