//! Futures that are dropped at any point: no connection is out of step or leaked, no memory is
//! leaked, no caller waits forever, and no stored message is without a report.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::io::Write;
use std::net::TcpListener;
use std::ops::Range;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use postwire_futures::{Runtime, Transport};
use postwire_tls::ServerTls;
use postwire_tls::proto::{Body, Envelope, Outcome, RecipientReport, RecipientStatus, Report};
use postwire_transport::{PoolConfig, TransportBuilder};

use crate::futures::Executor;
use crate::memory::live_octets;
use crate::server::{Embedded, config_with_all_extensions, exchange};
use crate::strict::Strict;

/// The interval for polling a condition that has no waker.
const TURN: Duration = Duration::from_millis(5);

/// The polls after which a future is dropped, at most: by then, a runtime that reads and writes
/// while it polls has sent many a message.
const POLLS: usize = 4;

/// The number of concurrent sends at the end: more than the pool serves at once.
const CROWD: usize = 64;

/// A future that waits longer than this counts as stuck.
const TEST_TIMEOUT: Duration = Duration::from_secs(60);

/// The increase of memory in use that is allowed between the first hundred futures and the
/// last: a few octets per future, less than any object that could be leaked.
const MEMORY: usize = 4 * 1024;

/// Polls a future a number of times, then drops it.
async fn poll_at_most<T>(times: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut polled = 0;
    poll_fn(|cx| {
        if polled == times {
            return Poll::Ready(None);
        }
        polled += 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if polled == times => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Waits for all futures at once. Panics if that takes too long.
async fn all<R: Runtime + Default, T>(futures: impl Iterator<Item = impl Future<Output = T>>) {
    let mut waiting: Vec<_> = futures.map(Box::pin).collect();
    let mut limit = R::default().sleep(TEST_TIMEOUT);
    poll_fn(|cx| {
        waiting.retain_mut(|future| future.as_mut().poll(cx).is_pending());
        if waiting.is_empty() {
            return Poll::Ready(());
        }
        let late = Pin::new(&mut limit).poll(cx).is_ready();
        assert!(!late, "{} are stuck", waiting.len());
        Poll::Pending
    })
    .await;
}

/// A transport, and the results of the messages that were given to it.
struct Sender<R: Runtime> {
    transport: Transport<R>,
    envelope: Envelope,
    reported: HashMap<usize, Report>,
    dropped: usize,
    /// The most polls before a future is dropped.
    most_polls: usize,
}

fn content(number: usize) -> String {
    format!("Subject: {number}\r\n\r\nmessage {number}\r\n")
}

impl<R: Runtime + Default> Sender<R> {
    fn new(server: &Embedded, connections: usize, most_polls: usize) -> Self {
        let url = format!("smtp://127.0.0.1:{}?tls=none", server.port());
        let sender = Some("sender@sender.example".parse().unwrap());
        let recipient = "recipient@recipient.example".parse().unwrap();
        Self {
            transport: TransportBuilder::from_url(url)
                .unwrap()
                .pool_config(PoolConfig::default().max_connections(connections))
                .build()
                .unwrap(),
            envelope: Envelope::new(sender, vec![recipient]).unwrap(),
            reported: HashMap::new(),
            dropped: 0,
            most_polls,
        }
    }

    /// Sends these messages, and drops each future after a different number of polls.
    async fn drop_midway(&mut self, numbers: Range<usize>) {
        for number in numbers {
            let sending = self.transport.send(&self.envelope, content(number));
            let report = match poll_at_most(number % self.most_polls + 1, sending).await {
                Some(Ok(report)) => Some(report),
                Some(Err(error)) => panic!("{number}: {error}"),
                None => {
                    self.dropped += 1;
                    let mut abandoned = self.transport.abandoned();
                    assert!(abandoned.len() <= 1);
                    abandoned.pop()
                }
            };
            self.reported.extend(report.map(|report| (number, report)));
            if number % 10 == 0 {
                self.drop_in_the_queue().await;
            }
            if number % 100 == 0 {
                self.send_whole().await;
            }
        }
    }

    /// With all connections in use, drops a future that waits, and a future that was given a
    /// connection and has not been polled since.
    async fn drop_in_the_queue(&self) {
        let held = || (self.envelope.clone(), Body::from("Subject: held\r\n\r\n"));
        let connections = self.transport.config().pool().max_connections;
        let mut holders = Vec::new();
        for _ in 0..connections {
            let mut holder = self.transport.send_all([held(), held()]);
            assert!(holder.next().await.is_some_and(|r| r.is_accepted()));
            holders.push(holder);
        }
        {
            let send = || {
                self.transport
                    .send(&self.envelope, "Subject: dropped\r\n\r\n")
            };
            let mut served = pin!(send());
            let waits = poll_fn(|cx| Poll::Ready(served.as_mut().poll(cx).is_pending()));
            assert!(waits.await);
            assert!(poll_at_most(1, send()).await.is_none());
            for mut holder in holders {
                assert!(holder.next().await.is_some_and(|r| r.is_accepted()));
            }
        }
        assert!(self.transport.abandoned().is_empty());
    }

    /// A future that is not dropped succeeds as if nothing had happened.
    async fn send_whole(&self) {
        let sending = self
            .transport
            .send(&self.envelope, "Subject: whole\r\n\r\n");
        assert!(sending.await.is_ok_and(|report| report.is_accepted()));
    }

    async fn send_from_a_crowd(&self) {
        all::<R, _>((0..CROWD).map(|_| self.send_whole())).await;
    }
}

/// Drops `futures` sends, each after a different number of polls, and compares the reports with
/// the stored messages.
pub fn run<E: Executor>(futures: usize) {
    run_within::<E>(futures, POLLS);
}

/// Like [`run`], for a runtime that polls a future more often before its message is accepted: each
/// future is dropped after at most so many polls.
pub fn run_within<E: Executor>(futures: usize, most_polls: usize) {
    let server = Embedded::start(config_with_all_extensions(), ServerTls::None);
    let mut sender = Sender::<Strict<E::Runtime>>::new(&server, 2, most_polls);
    E::block_on(async {
        sender.drop_midway(0..futures).await;
        sender.send_from_a_crowd().await;
        sender.transport.shutdown().await;
    });
    server.wait_for_open_connections(0);
    let Sender {
        reported, dropped, ..
    } = sender;
    // The scheduler decides how many.
    assert!(dropped > 0);

    let mut stored: HashMap<Vec<u8>, usize> = HashMap::new();
    for message in server.recording().stored {
        *stored.entry(message.content.to_vec()).or_default() += 1;
    }
    let mut by_outcome = [0; 3];
    for number in 0..futures {
        let times = stored.get(content(number).as_bytes()).copied();
        let times = times.unwrap_or_default();
        match reported.get(&number).map(Report::outcome) {
            Some(Outcome::Accepted(_)) => {
                by_outcome[0] += 1;
                assert_eq!(times, 1, "{number}");
            }
            Some(Outcome::InDoubt(_)) => {
                by_outcome[1] += 1;
                assert!(times <= 1, "{number}");
            }
            None | Some(_) => {
                by_outcome[2] += 1;
                assert_eq!(times, 0, "{number}");
            }
        }
    }
    let [accepted, in_doubt, not_sent] = by_outcome;
    let connections = server.recording().wire.len();
    println!(
        "{futures} futures, {dropped} dropped: {accepted} accepted, {in_doubt} in doubt, \
         {not_sent} not sent; {connections} connections, none left"
    );
}

/// One session accepts a message for some recipients, and the future is dropped while another
/// session is being opened for the others: the report must still be available.
pub fn leaves_a_trace<E: Executor>() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        exchange(&mut stream, "220 hi\r\n", "EHLO");
        exchange(
            &mut stream,
            "250-hi\r\n250 LIMITS RCPTDOMAINMAX=1\r\n",
            "MAIL",
        );
        exchange(&mut stream, "250 ok\r\n", "RCPT");
        exchange(&mut stream, "250 ok\r\n", "DATA");
        exchange(&mut stream, "354 go\r\n", "\r\n.\r\n");
        stream.write_all(b"250 taken\r\n").unwrap();
        // A client that connects for the other recipients gets no greeting.
        (listener.accept().unwrap(), stream)
    });
    let url = format!("smtp://127.0.0.1:{port}?tls=none");
    let transport: Transport<Strict<E::Runtime>> =
        TransportBuilder::from_url(url).unwrap().build().unwrap();
    let to = ["a@one.example", "b@two.example"].map(|to| to.parse().unwrap());
    let envelope = Envelope::new(None, to.to_vec()).unwrap();
    let left = E::block_on(async {
        {
            let mut sending = pin!(transport.send(&envelope, "Subject: x\r\n\r\n"));
            let mut limit = Strict::<E::Runtime>::default().sleep(TEST_TIMEOUT);
            let mut turn = Strict::<E::Runtime>::default().sleep(TURN);
            poll_fn(|cx| {
                assert!(sending.as_mut().poll(cx).is_pending());
                assert!(Pin::new(&mut limit).poll(cx).is_pending(), "nobody comes");
                while Pin::new(&mut turn).poll(cx).is_ready() {
                    turn = Strict::<E::Runtime>::default().sleep(TURN);
                }
                if server.is_finished() {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
        }
        transport.shutdown().await
    });
    drop(server.join().unwrap());
    let [report] = &left[..] else {
        panic!("no report, or several: {left:?}");
    };
    let statuses: Vec<_> = report
        .recipients()
        .iter()
        .map(RecipientReport::status)
        .collect();
    assert_eq!(
        statuses,
        [RecipientStatus::Accepted, RecipientStatus::NotSent]
    );
}

/// Drops `futures` sends and counts the memory in use. It must be the only test of its program,
/// with a counting allocator: [`crate::memory`].
pub fn count_memory<E: Executor>(futures: usize) {
    count_memory_within::<E>(futures, POLLS);
}

/// Like [`count_memory`], with this limit of polls, as for [`run_within`].
pub fn count_memory_within<E: Executor>(futures: usize, most_polls: usize) {
    let server = Embedded::start_without_recording(config_with_all_extensions(), ServerTls::None);
    let mut sender = Sender::<Strict<E::Runtime>>::new(&server, 1, most_polls);
    let [first, last] = [0..100, 100..futures].map(|numbers| {
        E::block_on(async {
            sender.drop_midway(numbers).await;
            sender.reported = HashMap::new();
            sender.send_whole().await;
        });
        server.wait_for_open_connections(1);
        live_octets()
    });
    let dropped = sender.dropped;
    // A server thread that has ended may not have freed its memory yet.
    let deadline = Instant::now() + TEST_TIMEOUT;
    while live_octets() > first + MEMORY && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    let last = last.min(live_octets());
    println!("{dropped} of {futures} dropped: {first} octets after the first hundred, {last} now");
    assert!(last <= first + MEMORY, "{last} octets, {first} before");
    E::block_on(sender.transport.shutdown());
    server.wait_for_open_connections(0);
}

/// The number of futures that a test drops: 10,000 if `POSTWIRE_CHAOS_MESSAGES` is set, fewer
/// by default.
pub fn futures() -> usize {
    crate::chaos::messages()
}
