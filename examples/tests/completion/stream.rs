//! The stream alone: the octets arrive in order whatever completes when, and a stream that is
//! dropped leaves no operation behind.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use compio::time::sleep;
use futures_lite::{AsyncReadExt, AsyncWriteExt, future::poll_once};
use postwire_examples::completion::{Compio, CompioStream};
use postwire_futures::{Runtime, SocketOptions};
use postwire_scenarios::futures::Executor;

use crate::executor::{Chosen, Polling};

/// Octets of which no part looks like another.
fn numbered(octets: usize) -> Vec<u8> {
    let numbers = (0_u32..).flat_map(u32::to_be_bytes);
    numbers.take(octets).collect()
}

/// A stream, and its peer.
async fn connected() -> (CompioStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let stream = Compio.connect(address, &SocketOptions::default()).await;
    let (peer, _) = listener.accept().unwrap();
    (stream.unwrap(), peer)
}

/// Runs a test by completions and by readiness.
macro_rules! by_both {
    ($test:expr) => {
        Chosen::block_on($test());
        Polling::block_on($test());
    };
}

#[test]
fn octets_arrive_in_order_both_ways_at_once() {
    by_both!(async || {
        let (stream, mut peer) = connected().await;
        let octets = numbered(20 << 20);
        let echo = thread::spawn(move || {
            // Small reads and writes, so that most operations complete in part.
            let mut input = [0; 3_000];
            loop {
                let read = peer.read(&mut input).unwrap();
                if read == 0 {
                    return;
                }
                peer.write_all(&input[..read]).unwrap();
            }
        });
        let (mut reading, mut writing) = futures_lite::io::split(stream);
        let mut echoed = Vec::new();
        let write = async {
            writing.write_all(&octets).await.unwrap();
            writing.close().await.unwrap();
        };
        let read = async { reading.read_to_end(&mut echoed).await.unwrap() };
        futures_lite::future::zip(write, read).await;
        assert!(echoed == octets, "other octets");
        echo.join().unwrap();
    });
}

/// The peer does not read, so the write stays in flight, and the stream is dropped.
#[test]
fn a_dropped_stream_has_written_the_beginning_and_nothing_else() {
    by_both!(async || {
        let (mut stream, mut peer) = connected().await;
        let octets = numbered(64 << 20);
        let mut handed_over = 0;
        while let Some(written) = poll_once(stream.write(&octets[handed_over..])).await {
            handed_over += written.unwrap();
            sleep(Duration::from_millis(1)).await;
        }
        sleep(Duration::from_millis(10)).await;
        drop(stream);
        let reading = thread::spawn(move || {
            let mut received = Vec::new();
            peer.read_to_end(&mut received).unwrap();
            received
        });
        // The runtime cancels the operations.
        sleep(Duration::from_millis(10)).await;
        let received = reading.join().unwrap();
        assert!(received.len() <= handed_over && handed_over < octets.len());
        assert!(
            received == octets[..received.len()],
            "octets were lost or repeated"
        );
    });
}

#[test]
fn octets_that_no_write_has_begun_are_written_when_the_stream_is_dropped() {
    by_both!(async || {
        let (mut stream, mut peer) = connected().await;
        assert_eq!(stream.write(b"QUIT\r\n").await.unwrap(), 6);
        drop(stream);
        let mut received = Vec::new();
        peer.read_to_end(&mut received).unwrap();
        assert_eq!(received, b"QUIT\r\n");
    });
}

#[test]
fn the_last_words_of_the_peer_are_read_after_a_write_has_failed() {
    by_both!(async || {
        let (mut stream, mut peer) = connected().await;
        peer.write_all(b"552 too big\r\n").unwrap();
        // The peer has not read everything when it closes, which resets the connection.
        stream.write_all(&numbered(1 << 20)).await.unwrap();
        drop(peer);
        while stream.write_all(&numbered(1 << 20)).await.is_ok() {}
        let mut words = [0; 13];
        stream.read_exact(&mut words).await.unwrap();
        assert_eq!(&words, b"552 too big\r\n");
        // The end, or the error of the connection.
        assert!(!matches!(stream.read(&mut words).await, Ok(1..)));
        assert_eq!(stream.read(&mut words).await.unwrap(), 0);
    });
}

#[test]
fn a_stream_outlives_its_runtime_only_with_an_error() {
    let (mut stream, peer) = Chosen::block_on(connected());
    Chosen::block_on(async {
        let read = stream.read(&mut [0]).await.unwrap_err();
        assert!(read.to_string().contains("runtime"), "{read}");
        let written = stream.write(b"NOOP\r\n").await.unwrap_err();
        assert!(written.to_string().contains("runtime"), "{written}");
    });
    drop((stream, peer));
}
