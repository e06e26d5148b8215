//! A compio socket with the traits of `futures-io`, which the driver reads and writes.
//!
//! An operation by completion owns its memory until it completes, which may be long after the
//! future that wants the result is dropped. So the operations belong to two tasks on the thread
//! that opened the socket: one always reads, one writes what was handed over. The stream and its
//! tasks share the octets in between. A future that is dropped touches no operation, and the stream
//! may move to another thread.
//!
//! Knows sockets, octets and their limits. Must never know what is read or written.

use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::mem;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use atomic_waker::AtomicWaker;
use bytes::{Buf, Bytes};
use compio::BufResult;
use compio::io::{AsyncRead as _, AsyncWrite as _};
use compio::net::{TcpStream, UnixStream};
use compio::runtime::{JoinHandle, spawn};
use futures_io::{AsyncRead, AsyncWrite};
use socket2::SockRef;

/// The most octets of a read. A stream owns this much memory even if its session is idle.
const READ: usize = 8 * 1024;

/// The most octets of a write. A stream holds at most twice as many: those of the write in flight,
/// and those that wait for it.
const WRITE: usize = 64 * 1024;

/// A connected socket of compio. Clones are the same socket.
#[derive(Clone, Debug)]
pub enum Socket {
    /// Connected to a host and a port.
    Tcp(TcpStream),
    /// Connected to a path on this machine.
    Unix(UnixStream),
}

impl Socket {
    /// The socket, to read and set its options.
    pub fn as_sock_ref(&self) -> SockRef<'_> {
        match self {
            Self::Tcp(stream) => SockRef::from(stream),
            Self::Unix(stream) => SockRef::from(stream),
        }
    }

    async fn read(&self, memory: Vec<u8>) -> BufResult<usize, Vec<u8>> {
        match self {
            Self::Tcp(stream) => (&mut &*stream).read(memory).await,
            Self::Unix(stream) => (&mut &*stream).read(memory).await,
        }
    }

    async fn write(&self, octets: Bytes) -> BufResult<usize, Bytes> {
        match self {
            Self::Tcp(stream) => (&mut &*stream).write(octets).await,
            Self::Unix(stream) => (&mut &*stream).write(octets).await,
        }
    }
}

/// A compio socket with the traits of `futures-io`, which
/// [`Connection::over`](postwire_futures::Connection::over) and
/// [`Transport::with_connector`](postwire_futures::Transport::with_connector) need.
///
/// The runtime in which it was created has to run while it is used. If the runtime ends, reads and
/// writes fail.
#[derive(Debug)]
pub struct CompioStream {
    socket: Socket,
    incoming: Arc<Shared<Incoming>>,
    outgoing: Arc<Shared<Outgoing>>,
    /// Dropped with the stream, which cancels the tasks and their operations.
    _tasks: [JoinHandle<()>; 2],
}

/// What the stream, which the driver polls, and one of its tasks share.
#[derive(Debug, Default)]
struct Shared<T> {
    state: Mutex<T>,
    driver: AtomicWaker,
    task: AtomicWaker,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, T> {
        // No code panics while the lock is held, so the state is always consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was read and the driver has not taken.
#[derive(Debug, Default)]
struct Incoming {
    octets: Vec<u8>,
    taken: usize,
    /// How the reading ended: `Ok` if the peer closed its side.
    end: Option<io::Result<()>>,
}

/// What the driver has handed over and is not written.
#[derive(Debug, Default)]
struct Outgoing {
    /// The octets that no write has begun.
    octets: Vec<u8>,
    /// Whether a write is in flight.
    is_writing: bool,
    /// Why nothing more is written.
    end: Option<io::Error>,
}

impl Outgoing {
    fn check(&mut self) -> io::Result<()> {
        match &mut self.end {
            Some(error) => Err(mem::replace(error, ErrorKind::BrokenPipe.into())),
            None => Ok(()),
        }
    }
}

impl CompioStream {
    /// Begins to read from a connected socket.
    ///
    /// # Panics
    ///
    /// Panics outside of a compio runtime.
    pub fn new(socket: Socket) -> Self {
        let (incoming, outgoing) = (Arc::default(), Arc::default());
        let reading = read(socket.clone(), Reading(Arc::clone(&incoming)));
        let writing = write(socket.clone(), Writing(Arc::clone(&outgoing)));
        Self {
            socket,
            incoming,
            outgoing,
            _tasks: [spawn(reading), spawn(writing)],
        }
    }

    /// The socket.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }
}

impl Drop for CompioStream {
    /// Closes the connection at once, even if the runtime does not run any more.
    fn drop(&mut self) {
        let mut outgoing = self.outgoing.lock();
        let octets = mem::take(&mut outgoing.octets);
        let socket = self.socket.as_sock_ref();
        // A QUIT that was handed over just before. No write of it will begin. None of its octets
        // may overtake those of a write in flight.
        if !outgoing.is_writing && !octets.is_empty() && socket.set_nonblocking(true).is_ok() {
            let _ = socket.send(&octets);
        }
        // The tasks close the socket itself when their operations have ended.
        let _ = socket.shutdown(Shutdown::Both);
    }
}

impl AsyncRead for CompioStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.incoming.driver.register(cx.waker());
        let mut incoming = self.incoming.lock();
        let left = &incoming.octets[incoming.taken..];
        let octets = left.len().min(into.len());
        into[..octets].copy_from_slice(&left[..octets]);
        incoming.taken += octets;
        if octets == 0 {
            return match &mut incoming.end {
                Some(end) => Poll::Ready(mem::replace(end, Ok(())).map(|()| 0)),
                None => Poll::Pending,
            };
        }
        let is_empty = incoming.taken == incoming.octets.len();
        drop(incoming);
        if is_empty {
            self.incoming.task.wake();
        }
        Poll::Ready(Ok(octets))
    }
}

impl AsyncWrite for CompioStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(octets)])
    }

    /// Takes octets if no others wait. If their write fails, the next call returns the error.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.outgoing.driver.register(cx.waker());
        let mut outgoing = self.outgoing.lock();
        outgoing.check()?;
        if !outgoing.octets.is_empty() {
            return Poll::Pending;
        }
        for slice in slices {
            let room = WRITE - outgoing.octets.len();
            let octets = &slice[..slice.len().min(room)];
            outgoing.octets.extend_from_slice(octets);
        }
        let octets = outgoing.octets.len();
        drop(outgoing);
        self.outgoing.task.wake();
        Poll::Ready(Ok(octets))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.driver.register(cx.waker());
        let mut outgoing = self.outgoing.lock();
        outgoing.check()?;
        if outgoing.is_writing || !outgoing.octets.is_empty() {
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        Poll::Ready(self.socket.as_sock_ref().shutdown(Shutdown::Write))
    }
}

fn runtime_ended() -> io::Error {
    io::Error::new(
        ErrorKind::ConnectionAborted,
        "the compio runtime of this connection has ended",
    )
}

/// What the reading task shares. Dropped when the task ends, perhaps before it begins.
struct Reading(Arc<Shared<Incoming>>);

impl Drop for Reading {
    fn drop(&mut self) {
        let Self(incoming) = self;
        let end = || Err(runtime_ended());
        let _ = incoming.lock().end.get_or_insert_with(end);
        incoming.driver.wake();
    }
}

/// Reads until the peer closes its side. The next read begins when the driver has taken the octets
/// of the last one.
async fn read(socket: Socket, task: Reading) {
    let Reading(incoming) = &task;
    let mut memory = Vec::with_capacity(READ);
    loop {
        memory.clear();
        let BufResult(read, octets) = socket.read(memory).await;
        match read {
            Ok(1..) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                memory = octets;
                continue;
            }
            end => {
                incoming.lock().end = Some(end.map(drop));
                return;
            }
        }
        {
            let mut incoming = incoming.lock();
            (incoming.octets, incoming.taken) = (octets, 0);
        }
        incoming.driver.wake();
        memory = poll_fn(|cx| {
            incoming.task.register(cx.waker());
            let mut incoming = incoming.lock();
            if incoming.taken < incoming.octets.len() {
                return Poll::Pending;
            }
            incoming.taken = 0;
            Poll::Ready(mem::take(&mut incoming.octets))
        })
        .await;
    }
}

/// What the writing task shares. Dropped when the task ends, perhaps before it begins.
struct Writing(Arc<Shared<Outgoing>>);

impl Drop for Writing {
    fn drop(&mut self) {
        let Self(outgoing) = self;
        outgoing.lock().end.get_or_insert_with(runtime_ended);
        outgoing.driver.wake();
    }
}

/// Writes what is handed over, one write at a time, until one fails.
async fn write(socket: Socket, task: Writing) {
    let Writing(outgoing) = &task;
    loop {
        let octets = poll_fn(|cx| {
            outgoing.task.register(cx.waker());
            let mut outgoing = outgoing.lock();
            if outgoing.octets.is_empty() {
                return Poll::Pending;
            }
            outgoing.is_writing = true;
            Poll::Ready(mem::take(&mut outgoing.octets))
        });
        let mut octets = Bytes::from(octets.await);
        // There is room for the next octets.
        outgoing.driver.wake();
        while !octets.is_empty() {
            let BufResult(written, rest) = socket.write(octets).await;
            octets = rest;
            match written {
                Ok(written @ 1..) => octets.advance(written),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                end => {
                    let error = end.err().unwrap_or(ErrorKind::WriteZero.into());
                    outgoing.lock().end = Some(error);
                    return;
                }
            }
        }
        outgoing.lock().is_writing = false;
        // A flush may wait for it.
        outgoing.driver.wake();
    }
}
