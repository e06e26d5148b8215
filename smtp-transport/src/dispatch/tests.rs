use std::panic;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use postwire_proto::{Body, Endpoint as _, Error, ErrorKind, Stage};

use super::*;
use crate::TransportBuilder;
use crate::adapter::{Dial, SessionMachine};

const NOW: Instant = Instant::EPOCH;

/// A connection whose server said that it takes one message.
struct Scripted {
    machine: SessionMachine,
    /// What happens when the stream is closed.
    closing: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripted")
    }
}

impl Scripted {
    fn open(config: &TransportConfig, closing: impl Fn() + Send + Sync + 'static) -> Self {
        let mut machine = Dial::new(config).session(None);
        machine.handle_input(NOW, b"220 server.example\r\n");
        let closing = Box::new(closing);
        let mut scripted = Self { machine, closing };
        scripted.write_all();
        let hello = b"250-server.example\r\n250-PIPELINING\r\n250 LIMITS MAILMAX=1\r\n";
        scripted.machine.handle_input(NOW, hello);
        assert!(scripted.machine.stands());
        scripted
    }

    fn write_all(&mut self) {
        loop {
            let octets = self.machine.output_chunk().len();
            if octets == 0 {
                return;
            }
            self.machine.advance_output(octets);
        }
    }
}

impl Line for Scripted {
    fn session(&mut self) -> &mut Session {
        self.machine.session_mut()
    }

    fn limit_time(&mut self, _: Option<Duration>) {}

    fn take_flights(&mut self) -> u64 {
        0
    }

    fn flush(&mut self) -> Option<Event> {
        self.write_all();
        self.machine.poll_event()
    }

    fn depart(self) {}
}

impl Drop for Scripted {
    fn drop(&mut self) {
        (self.closing)();
    }
}

fn config(connections: usize) -> TransportConfig {
    TransportBuilder::builder_dangerous("mail.example")
        .pool(|pool| pool.max_connections(connections))
        .build()
        .unwrap()
}

fn send(dispatch: &Arc<Dispatch<Scripted>>) -> Sending<Scripted> {
    let to = vec!["bob@example.net".parse().unwrap()];
    let envelope = Envelope::new(None, to).unwrap();
    dispatch.send_one(&envelope, Body::from("x\r\n"))
}

/// Waits for the pool; whether the wait is over.
fn poll(sending: &mut Sending<Scripted>, waker: &Waker) -> bool {
    match sending.next_step(NOW) {
        Step::Wait(mut wait) => wait.poll(NOW, waker).is_ok(),
        step => panic!("no wait: {step:?}"),
    }
}

fn open(sending: &mut Sending<Scripted>, opened: Result<Scripted, Error>) {
    match sending.next_step(NOW) {
        Step::Open(open) => open.opened(NOW, opened),
        step => panic!("no opening: {step:?}"),
    }
}

fn refused() -> Error {
    Error::new(Stage::Connect, ErrorKind::ConnectionClosed)
}

/// Panics without the hook of panics, which would print it.
fn panics() {
    panic::resume_unwind(Box::new("as a program may"));
}

/// A waker that counts, and panics at times.
struct Counting {
    woken: AtomicUsize,
    panics: bool,
}

impl Counting {
    fn new(panics: bool) -> Arc<Self> {
        let woken = AtomicUsize::new(0);
        Arc::new(Self { woken, panics })
    }

    fn woken(&self) -> usize {
        self.woken.load(Ordering::Relaxed)
    }
}

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.woken.fetch_add(1, Ordering::Relaxed);
        if self.panics {
            panics();
        }
    }
}

#[test]
fn wakers_behind_one_that_panics_are_woken() {
    let dispatch = Dispatch::new(config(1));
    let mut opening = send(&dispatch);
    assert!(poll(&mut opening, Waker::noop()));
    let wakers = [true, false, true, false].map(Counting::new);
    let mut waiting: Vec<_> = wakers.iter().map(|_| send(&dispatch)).collect();
    for (sending, waker) in waiting.iter_mut().zip(&wakers) {
        assert!(!poll(sending, &Waker::from(Arc::clone(waker))));
    }
    let timeout = dispatch.config().pool().shutdown_timeout;
    let ending = dispatch.shut_down(NOW);
    assert_eq!(ending.poll(NOW + timeout, Waker::noop()), Ok(()));
    let woken = wakers.iter().map(|waker| waker.woken());
    assert_eq!(woken.collect::<Vec<_>>(), [1; 4]);
}

#[test]
fn a_waker_that_panics_takes_nothing_from_the_send_that_wakes_it() {
    let dispatch = Dispatch::new(config(1));
    let mut opening = send(&dispatch);
    assert!(poll(&mut opening, Waker::noop()));
    let (fragile, mut next) = (Counting::new(true), send(&dispatch));
    assert!(!poll(&mut next, &Waker::from(Arc::clone(&fragile))));
    // The right to open a connection goes on.
    open(&mut opening, Err(refused()));
    assert_eq!(fragile.woken(), 1);
    assert!(matches!(opening.next_step(NOW), Step::Report(_)));
    assert!(poll(&mut next, Waker::noop()));
    open(&mut next, Err(refused()));
    assert!(matches!(next.next_step(NOW), Step::Report(_)));
    assert_eq!(dispatch.counters().opening, 0);
}

#[test]
fn a_stream_that_panics_when_it_is_closed_leaves_its_place_in_the_pool() {
    let config = config(1);
    let dispatch = Dispatch::new(config.clone());
    let mut sending = send(&dispatch);
    assert!(poll(&mut sending, Waker::noop()));
    open(&mut sending, Ok(Scripted::open(&config, panics)));
    assert!(matches!(sending.next_step(NOW), Step::Drive(_)));
    assert_eq!(dispatch.counters().in_use, 1);
    // The session is in the middle of a message, so the connection is closed.
    sending.leave(NOW);
    assert_eq!(dispatch.counters().in_use, 0);
}

#[test]
fn a_send_whose_message_is_turned_away_leaves_the_connection() {
    let config = config(1);
    let dispatch = Dispatch::new(config.clone());
    let mut first = send(&dispatch);
    assert!(poll(&mut first, Waker::noop()));
    open(&mut first, Ok(Scripted::open(&config, || {})));
    match first.next_step(NOW) {
        Step::Drive(drive) => drive.park(Waker::noop()),
        step => panic!("nothing to drive: {step:?}"),
    }
    // The second message joins. It is for the second send to drive the connection, after the first one
    // has left, but the session takes no second message.
    let mut second = send(&dispatch);
    assert!(!poll(&mut second, Waker::noop()));
    drop(first);
    assert!(poll(&mut second, Waker::noop()));
    assert!(poll(&mut second, Waker::noop()));
    assert_eq!(dispatch.take_abandoned().len(), 1);
    let counters = dispatch.counters();
    assert_eq!((counters.in_use, counters.opening), (0, 1));
    open(&mut second, Err(refused()));
    assert!(matches!(second.next_step(NOW), Step::Report(_)));
}

#[test]
fn no_connection_is_opened_in_place_of_one_that_is_still_open() {
    let config = config(1);
    let dispatch = Dispatch::new(config.clone());
    // While a connection is being closed, another thread wants to send.
    let second = Arc::new(Mutex::new(send(&dispatch)));
    let asks = Arc::clone(&second);
    let line = Scripted::open(&config, move || {
        assert!(!poll(&mut asks.lock().unwrap(), Waker::noop()));
    });
    let mut first = send(&dispatch);
    assert!(poll(&mut first, Waker::noop()));
    open(&mut first, Ok(line));
    first.leave(NOW);
    assert_eq!(dispatch.counters().idle, 1);
    dispatch.close_idle(NOW + dispatch.config().pool().idle_timeout);
    assert!(poll(&mut second.lock().unwrap(), Waker::noop()));
    open(&mut second.lock().unwrap(), Err(refused()));
}
