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

fn flow() -> Flow<Client> {
    let config = ClientConfig::new(HelloName::localhost(), Security::None);
    Flow::new(Client::new(Arc::new(config)))
}

fn envelope() -> Envelope {
    Envelope::new(None, vec!["a@b.example".parse().unwrap()]).unwrap()
}

fn replay(steps: &[Step]) {
    let mut flow = flow();
    flow.machine_mut().enqueue(envelope(), "x\r\n");
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

/// Passes the greeting, so that `EHLO` is to be written.
fn greeted() -> Flow<Client> {
    let mut flow = flow();
    flow.machine_mut()
        .handle_input(Instant::EPOCH, GREETING.as_bytes());
    flow
}

#[test]
fn a_signal_ends_neither_a_read_nor_a_write() {
    let now = || Instant::EPOCH;
    let interrupted = || Poll::Ready(Err(io::ErrorKind::Interrupted.into()));
    let mut flow = greeted();
    let mut writes = 0;
    let next = flow.next_move(
        |slices| {
            writes += 1;
            match writes {
                1 => interrupted(),
                _ => Poll::Ready(Ok(slices[0].len())),
            }
        },
        now,
    );
    assert!(matches!(next, Move::Read(_)) && flow.can_write());
    assert!(writes > 1);
    assert!(flow.poll_read(|_| interrupted(), now).is_ready());
    assert!(!flow.machine().is_closed());
    let reset = || Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
    assert!(flow.poll_read(|_| reset(), now).is_ready());
    assert!(flow.machine().is_closed());
}

/// What the server said before is read first; the error of the write is then the reason.
#[test]
fn a_write_that_fails_is_the_reason_once_nothing_more_is_read() {
    let now = || Instant::EPOCH;
    let by_write = |flow: &mut Flow<Client>| {
        let broken = |_: &[IoSlice<'_>]| Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        assert!(matches!(
            flow.next_move(broken, || Instant::EPOCH),
            Move::Read(_)
        ));
    };
    let by_flush = |flow: &mut Flow<Client>| {
        flow.write_failed(io::ErrorKind::BrokenPipe.into());
        flow.write_failed(io::ErrorKind::PermissionDenied.into());
    };
    for fail in [by_write as fn(&mut Flow<Client>), by_flush] {
        let mut flow = greeted();
        flow.machine_mut().enqueue(envelope(), "x\r\n");
        assert!(flow.can_write());
        fail(&mut flow);
        assert!(!flow.can_write());
        let reset = io::ErrorKind::ConnectionReset;
        assert!(
            flow.poll_read(|_| Poll::Ready(Err(reset.into())), now)
                .is_ready()
        );
        let mut events = std::iter::from_fn(|| flow.machine_mut().poll_event());
        let report = events.find_map(|event| match event {
            postwire_proto::Event::Report(report) => Some(report),
            _ => None,
        });
        let said = report.unwrap().to_string();
        assert!(said.contains("broken pipe"), "{said}");
    }
}

#[test]
fn only_the_first_write_after_a_read_begins_a_flight() {
    let now = || Instant::EPOCH;
    let mut flow = greeted();
    let one = |slices: &[IoSlice<'_>]| Poll::Ready(Ok(1.min(slices[0].len())));
    assert!(matches!(flow.next_move(one, now), Move::Read(_)));
    assert_eq!((flow.take_flights(), flow.take_flights()), (1, 0));
    for _ in 0..2 {
        let read = |into: &mut [u8]| {
            into[..EHLO.len()].copy_from_slice(EHLO.as_bytes());
            Poll::Ready(Ok(EHLO.len()))
        };
        assert!(flow.poll_read(read, now).is_ready());
        flow.machine_mut().quit();
        while flow.next_move(one, now).event().is_some() {}
    }
    assert_eq!(flow.take_flights(), 1);
}

/// A machine that takes everything and says nothing.
struct Sink;

impl Endpoint for Sink {
    type Event = ();

    fn handle_input(&mut self, _: Instant, _: &[u8]) {}
    fn handle_eof(&mut self, _: Instant) {}
    fn handle_transport_error(&mut self, _: Instant, _: postwire_proto::TransportError) {}
    fn output(&mut self) -> impl Buf + Send {
        &[][..]
    }
    fn output_chunk(&mut self) -> &[u8] {
        &[]
    }
    fn advance_output(&mut self, _: usize) {}
    fn handle_written(&mut self, _: Instant, _: usize) {}
    fn poll_event(&mut self) -> Option<()> {
        None
    }
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
    fn handle_timeout(&mut self, _: Instant) {}
    fn is_closed(&self) -> bool {
        false
    }
}

#[test]
fn the_buffer_doubles_while_it_is_full() {
    let mut flow = Flow::new(Sink);
    let mut sizes = Vec::new();
    let mut read = |fills: bool| {
        let read = |into: &mut [u8]| {
            sizes.push(into.len());
            Poll::Ready(Ok(if fills { into.len() } else { 1 }))
        };
        assert!(flow.poll_read(read, || Instant::EPOCH).is_ready());
    };
    for fills in [true, false, true, true, true, true, true] {
        read(fills);
    }
    let doubled = [
        READ,
        2 * READ,
        2 * READ,
        4 * READ,
        READ_MOST,
        READ_MOST,
        READ_MOST,
    ];
    assert_eq!(sizes, doubled);
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
