//! A buffer for content that is read piece by piece. No I/O: whoever reads fills
//! it.

use bytes::{Bytes, BytesMut};

/// How much is read at once.
const CHUNK: usize = 64 * 1024;

/// Where a piece of content is read into, to become [`Bytes`] without a copy.
///
/// Its memory is used again once earlier pieces were sent and dropped.
///
/// ```
/// use std::io::Read;
/// use postwire_transport::adapter::ChunkBuffer;
///
/// let mut source = &b"Subject: hello"[..];
/// let mut buffer = ChunkBuffer::default();
/// let octets = source.read(buffer.space())?;
/// assert_eq!(buffer.take(octets), "Subject: hello");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct ChunkBuffer(BytesMut);

impl ChunkBuffer {
    /// Room for the next piece: 16 to 64 KiB.
    pub fn space(&mut self) -> &mut [u8] {
        if self.0.len() < CHUNK / 4 {
            self.0.clear();
            self.0.reserve(CHUNK);
            self.0.resize(CHUNK, 0);
        }
        &mut self.0
    }

    /// The first `octets` of it, which were filled; never more than there are.
    pub fn take(&mut self, octets: usize) -> Bytes {
        self.0.split_to(octets.min(self.0.len())).freeze()
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
