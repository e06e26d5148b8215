use std::task::Poll;

use postwire_proto::{Client, ClientConfig, Envelope, HelloName, Instant, Security};

use super::*;

/// What happens on the stream.
enum Step {
    /// This is read, in one read.
    Read(&'static str),
    /// A read finds nothing, or only the end of the stream or an error.
    NoOctets(fn() -> Poll<io::Result<usize>>),
    /// The driver writes everything there is.
    Write,
    /// The driver asks whether it owes an acknowledgement.
    Owes(bool),
}

use Step::{NoOctets, Owes, Read, Write};

fn replay(steps: &[Step]) {
    let config = ClientConfig::new(HelloName::localhost(), Security::None);
    let mut client = Client::new(Arc::new(config));
    let envelope = Envelope::new(None, vec!["a@b.example".parse().unwrap()]).unwrap();
    client.enqueue(envelope, "x\r\n");
    let mut flow = Flow::new(client);
    let now = || Instant::EPOCH;
    for (number, step) in steps.iter().enumerate() {
        match step {
            Read(text) => {
                let read = flow.poll_read(
                    |into| {
                        into[..text.len()].copy_from_slice(text.as_bytes());
                        Poll::Ready(Ok(text.len()))
                    },
                    now,
                );
                assert!(read.is_ready());
            }
            NoOctets(result) => {
                let _ = flow.poll_read(|_| result(), now);
            }
            Write => {
                let write = |slices: &[IoSlice<'_>]| {
                    Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()))
                };
                while flow.next_move(write, now).event().is_some() {}
            }
            Owes(expected) => {
                assert_eq!(flow.owes_acknowledgement(), *expected, "step {number}");
            }
        }
    }
}

const GREETING: &str = "220 hi\r\n";
const EHLO: &str = "250-hi\r\n250 PIPELINING\r\n";

#[test]
fn nothing_is_owed_before_the_first_read() {
    replay(&[Owes(false), Write, Owes(false)]);
}

#[test]
fn what_is_written_carries_the_acknowledgement() {
    let replies = Read("250 ok\r\n250 ok\r\n354 go\r\n");
    replay(&[
        Read(GREETING),
        Write,
        Owes(false),
        Read(EHLO),
        Write,
        Owes(false),
        replies,
        Write,
        Owes(false),
    ]);
}

#[test]
fn the_rest_of_a_flight_may_wait_for_it_once_for_each_read() {
    replay(&[
        Read("220-hi\r\n"),
        Write,
        Owes(true),
        Owes(false),
        Read("220-hi\r\n"),
        Read("220-"),
        Owes(true),
        Owes(false),
        Read("hi\r\n220 hi\r\n"),
        Write,
        Owes(false),
        Read(EHLO),
        Write,
        Read("250 ok\r\n"),
        Write,
        Owes(true),
        Read("250 ok\r\n354 go\r\n"),
        Write,
        Owes(false),
    ]);
}

#[test]
fn an_idle_session_waits_for_nothing() {
    let verdict = "250 ok\r\n";
    replay(&[
        Read(GREETING),
        Write,
        Read(EHLO),
        Write,
        Read("250 ok\r\n250 ok\r\n354 go\r\n"),
        Write,
        Read(verdict),
        Write,
        Owes(false),
    ]);
}

#[test]
fn a_read_without_octets_owes_nothing() {
    let results: [fn() -> Poll<io::Result<usize>>; 4] = [
        || Poll::Pending,
        || Poll::Ready(Ok(0)),
        || Poll::Ready(Err(io::ErrorKind::Interrupted.into())),
        || Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
    ];
    for result in results {
        replay(&[NoOctets(result), Owes(false)]);
        replay(&[Read("220-"), Owes(true), NoOctets(result), Owes(false)]);
    }
}

#[test]
fn after_a_full_buffer_the_rest_is_read_first() {
    let line = "250-0123456789\r\n";
    let full: &'static str = line.repeat(READ / line.len()).leak();
    replay(&[
        Read(GREETING),
        Write,
        Read(full),
        Write,
        Owes(false),
        Read(line),
        Owes(true),
    ]);
}
