//! The race of a server's addresses (RFC 8305), over a scripted network with a clock that only
//! moves when nothing else can.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fmt::Write as _;
use std::future::{Future, pending};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use postwire_futures::proto::{Error, ErrorKind, Stage, Timeouts};
use postwire_futures::transport::{SocketOptions, TransportBuilder, TransportConfig};
use postwire_futures::{Connection, Runtime};

/// The result of an attempt, with the milliseconds until it.
#[derive(Clone, Copy)]
enum Answer {
    Never,
    Connected(u64),
    Refused(u64),
}
use Answer::{Connected, Never, Refused};

/// A network with its own clock.
#[derive(Clone)]
struct Network(Arc<Mutex<World>>);

struct World {
    now: Duration,
    timers: Vec<(Duration, Waker)>,
    addresses: Vec<(SocketAddr, Answer)>,
    name_is_answered: bool,
    /// The client's actions, one per line: `MILLISECONDS action`.
    log: String,
    sockets: Vec<SocketAddr>,
}

impl Network {
    fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    fn log(&self, what: &str) {
        let mut world = self.lock();
        let now = world.now.as_millis();
        writeln!(world.log, "{now} {what}").unwrap();
    }
}

impl Runtime for Network {
    type Stream = Socket;
    type Sleep = Sleep;

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.log(&format!("resolve {host}:{port}"));
        let answered = self.lock().name_is_answered;
        if !answered {
            pending::<()>().await;
        }
        Ok(self.lock().addresses.iter().map(|(of, _)| *of).collect())
    }

    async fn connect(&self, address: SocketAddr, _: &SocketOptions) -> io::Result<Socket> {
        self.log(&format!("connect {address}"));
        let (socket, answer) = Socket::open(self, address);
        match answer {
            Never => pending().await,
            Connected(after) => {
                self.sleep(Duration::from_millis(after)).await;
                Ok(socket)
            }
            Refused(after) => {
                self.sleep(Duration::from_millis(after)).await;
                Err(io::ErrorKind::ConnectionRefused.into())
            }
        }
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        Sleep(self.clone(), self.lock().now + duration, false)
    }
}

/// A socket that is connected or connecting. The network counts it until it is dropped.
struct Socket(Network, SocketAddr);

impl Socket {
    fn open(network: &Network, address: SocketAddr) -> (Self, Answer) {
        let mut world = network.lock();
        world.sockets.push(address);
        let known = world.addresses.iter().find(|(of, _)| *of == address);
        (Self(network.clone(), address), known.unwrap().1)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let mut world = self.0.lock();
        let position = world.sockets.iter().position(|of| *of == self.1);
        world.sockets.remove(position.unwrap());
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Pending
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A timer that ends at a point of the network's time, and must not be polled after that.
struct Sleep(Network, Duration, bool);

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        assert!(!self.2, "a timer is polled after its end");
        let network = self.0.clone();
        let mut world = network.lock();
        if world.now >= self.1 {
            self.2 = true;
            return Poll::Ready(());
        }
        world.timers.push((self.1, cx.waker().clone()));
        Poll::Pending
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Runs a future to its end. The future is only polled after it was woken; otherwise the clock
/// moves to the next timer.
fn run<T>(network: &Network, future: impl Future<Output = T>) -> T {
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&woken));
    let mut future = pin!(future);
    loop {
        while woken.0.swap(false, Ordering::SeqCst) {
            if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return done;
            }
        }
        let mut world = network.lock();
        let next = world.timers.iter().map(|(end, _)| *end).min();
        world.now = next.expect("the clock has no further timer");
        let due = world.timers.extract_if(.., |(end, _)| Some(*end) == next);
        due.for_each(|(_, waker)| waker.wake());
    }
}

/// The result of a race.
struct Race {
    /// The address that won.
    won: Result<SocketAddr, Error>,
    log: String,
}

fn config(url: &str) -> TransportConfig {
    TransportBuilder::from_url(url).unwrap().build().unwrap()
}

fn network(addresses: &[(&str, Answer)]) -> Network {
    let parse = |(address, answer): &(&str, Answer)| (address.parse().unwrap(), *answer);
    Network(Arc::new(Mutex::new(World {
        now: Duration::ZERO,
        timers: Vec::new(),
        addresses: addresses.iter().map(parse).collect(),
        name_is_answered: true,
        log: String::new(),
        sockets: Vec::new(),
    })))
}

fn race_in(network: &Network, config: &TransportConfig) -> Race {
    let connected = run(network, Connection::connect(network.clone(), config));
    network.log("done");
    let left = network.lock().sockets.clone();
    let won = connected.map(|connection| {
        assert_eq!(left.len(), 1, "the losers are gone: {left:?}");
        drop(connection);
        left[0]
    });
    assert_eq!(network.lock().sockets, []);
    let log = network.lock().log.clone();
    Race { won, log }
}

/// Runs the race for `mail.example` with these addresses.
fn race(addresses: &[(&str, Answer)]) -> Race {
    let config = config("smtp://mail.example:25?tls=none");
    race_in(&network(addresses), &config)
}

#[test]
fn the_other_family_begins_after_a_quarter_of_a_second() {
    let race = race(&[("[2001:db8::1]:25", Never), ("192.0.2.1:25", Connected(20))]);
    assert_eq!(race.won.unwrap().to_string(), "192.0.2.1:25");
    assert_eq!(
        race.log,
        "0 resolve mail.example:25\n\
         0 connect [2001:db8::1]:25\n\
         250 connect 192.0.2.1:25\n\
         270 done\n"
    );
}

#[test]
fn a_failed_address_leads_to_the_next_at_once() {
    let race = race(&[
        ("[2001:db8::1]:25", Refused(0)),
        ("192.0.2.1:25", Refused(30)),
        ("[2001:db8::2]:25", Connected(20)),
    ]);
    assert_eq!(race.won.unwrap().to_string(), "[2001:db8::2]:25");
    assert_eq!(
        race.log,
        "0 resolve mail.example:25\n\
         0 connect [2001:db8::1]:25\n\
         0 connect 192.0.2.1:25\n\
         30 connect [2001:db8::2]:25\n\
         50 done\n"
    );
}

#[test]
fn the_families_take_turns() {
    let race = race(&[
        ("[2001:db8::1]:25", Never),
        ("[2001:db8::2]:25", Never),
        ("192.0.2.1:25", Never),
        ("192.0.2.2:25", Connected(0)),
    ]);
    assert_eq!(
        race.log,
        "0 resolve mail.example:25\n\
         0 connect [2001:db8::1]:25\n\
         250 connect 192.0.2.1:25\n\
         500 connect [2001:db8::2]:25\n\
         750 connect 192.0.2.2:25\n\
         750 done\n"
    );
}

#[test]
fn an_address_that_answers_late_is_awaited() {
    // A timer that has ended is not polled again.
    let race = race(&[("192.0.2.1:25", Connected(1_000))]);
    assert_eq!(race.won.unwrap().to_string(), "192.0.2.1:25");
    assert!(race.log.ends_with("\n0 connect 192.0.2.1:25\n1000 done\n"));
}

#[test]
fn the_first_answer_wins() {
    let addresses = |first, second| [("[2001:db8::1]:25", first), ("192.0.2.1:25", second)];
    let race_slow = race(&addresses(Connected(300), Connected(150)));
    assert_eq!(race_slow.won.unwrap().to_string(), "[2001:db8::1]:25");
    assert!(
        race_slow
            .log
            .ends_with("\n250 connect 192.0.2.1:25\n300 done\n")
    );

    let overtaken = race(&addresses(Connected(300), Connected(40)));
    assert_eq!(overtaken.won.unwrap().to_string(), "192.0.2.1:25");
    assert!(
        overtaken
            .log
            .ends_with("\n250 connect 192.0.2.1:25\n290 done\n")
    );
}

#[test]
fn a_late_failure_does_not_stop_the_others() {
    let race = race(&[
        ("[2001:db8::1]:25", Refused(300)),
        ("192.0.2.1:25", Connected(400)),
    ]);
    assert_eq!(race.won.unwrap().to_string(), "192.0.2.1:25");
    assert!(race.log.ends_with("\n250 connect 192.0.2.1:25\n650 done\n"));
}

#[test]
fn if_all_fail_each_address_is_named_with_its_reason() {
    let race = race(&[
        ("[2001:db8::1]:25", Refused(260)),
        ("192.0.2.1:25", Refused(0)),
    ]);
    let error = race.won.unwrap_err();
    assert_eq!(error.stage(), Stage::Connect);
    assert!(matches!(error.kind(), ErrorKind::Transport(_)));
    let words = error.to_string();
    for address in ["[2001:db8::1]:25", "192.0.2.1:25"] {
        let reason = format!("{address}: connection refused");
        assert!(words.contains(&reason), "{words}");
    }
    assert!(race.log.ends_with("\n260 done\n"));
}

#[test]
fn without_any_answer_the_race_times_out() {
    let network = network(&[("[2001:db8::1]:25", Never), ("192.0.2.1:25", Never)]);
    let timeouts = Timeouts::default().connect(Duration::from_secs(7));
    let builder = TransportBuilder::<TransportConfig>::from_url("smtp://mail.example:25?tls=none");
    let config = builder.unwrap().timeouts(timeouts).build().unwrap();

    let race = race_in(&network, &config);
    let error = race.won.unwrap_err();
    assert_eq!(error.stage(), Stage::Connect);
    assert!(matches!(error.kind(), ErrorKind::TimedOut), "{error}");
    assert!(race.log.ends_with("\n7000 done\n"));

    // The time of the resolver counts too.
    network.lock().name_is_answered = false;
    let race = race_in(&network, &config);
    assert!(matches!(race.won.unwrap_err().kind(), ErrorKind::TimedOut));
    assert!(
        race.log
            .ends_with("\n7000 resolve mail.example:25\n14000 done\n")
    );
}

#[test]
fn a_name_without_addresses_cannot_be_reached() {
    let race = race(&[]);
    let error = race.won.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Transport(_)), "{error}");
    assert_eq!(race.log, "0 resolve mail.example:25\n0 done\n");
}

#[test]
fn an_address_is_not_resolved() {
    for (url, address) in [
        ("smtp://192.0.2.1:2525?tls=none", "192.0.2.1:2525"),
        ("smtp://[2001:db8::1]:2525?tls=none", "[2001:db8::1]:2525"),
    ] {
        let race = race_in(&network(&[(address, Connected(5))]), &config(url));
        assert_eq!(race.won.unwrap().to_string(), address);
        assert_eq!(race.log, format!("0 connect {address}\n5 done\n"));
    }
}

#[test]
fn a_dropped_race_leaves_no_socket() {
    let network = network(&[("192.0.2.1:25", Never)]);
    let config = config("smtp://mail.example:25?tls=none");
    {
        let mut racing = pin!(Connection::connect(network.clone(), &config));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(racing.as_mut().poll(&mut cx).is_pending());
        assert_eq!(network.lock().sockets.len(), 1);
    }
    assert_eq!(network.lock().sockets, []);
}
