//! Where streamed content comes from.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use futures_io::AsyncRead;
use postwire_transport::adapter::ChunkBuffer;

/// What a reader gives, piece by piece, for
/// [`Transport::send_stream`](crate::Transport::send_stream).
pub fn chunks<R: AsyncRead + Unpin>(reader: R) -> Chunks<R> {
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

impl<R: AsyncRead + Unpin> Stream for Chunks<R> {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        while !this.over {
            let read = Pin::new(&mut this.reader).poll_read(cx, this.buffer.space());
            match ready!(read) {
                Ok(0) => this.over = true,
                Ok(octets) => return Poll::Ready(Some(Ok(this.buffer.take(octets)))),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    this.over = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        Poll::Ready(None)
    }
}

/// The content of a call that has none to give.
pub(crate) struct Nothing;

impl Stream for Nothing {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(None)
    }
}
