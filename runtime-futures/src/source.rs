//! Streamed content from a reader.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use futures_io::AsyncRead;
use postwire_transport::adapter::ChunkBuffer;

/// Reads content piece by piece from a reader, for
/// [`Transport::send_stream`](crate::Transport::send_stream).
pub fn chunks<R: AsyncRead + Unpin>(reader: R) -> Chunks<R> {
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

impl<R: AsyncRead + Unpin> Stream for Chunks<R> {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { reader, buffer } = &mut *self;
        buffer.poll_chunk(|space| Pin::new(&mut *reader).poll_read(cx, space))
    }
}

/// The content of a call without streamed content.
pub(crate) struct Nothing;

impl Stream for Nothing {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(None)
    }
}
