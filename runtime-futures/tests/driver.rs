//! The driver over scripted streams: once it reports the end of the session, the machine holds
//! no event.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::VecDeque;
use std::future::{Future, Ready, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use postwire_futures::proto::{
    Client, ClientConfig, Endpoint, Envelope, Event, HelloName, Outcome, Security, Timeouts,
};
use postwire_futures::{Driver, Runtime, SocketOptions};

/// The overall time limit of the session.
const OVERALL: Duration = Duration::from_millis(50);

/// The result of writing the content.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Content {
    /// The write takes longer than the session may.
    TakesLong,
    /// The write fails.
    Fails,
    /// The content is written, and then the server closes.
    IsTaken,
}

/// Returns a line of the script after each write.
struct Script {
    says: VecDeque<&'static [u8]>,
    content: Content,
    /// The server has sent everything, and the client has written since then.
    waits: bool,
    /// The octets that were read after the server began to send without end.
    flood: Option<Arc<AtomicUsize>>,
}

impl AsyncRead for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.waits
            && let Some(read) = &self.flood
        {
            // One line that never ends.
            let octets = read.fetch_add(1, Ordering::Relaxed);
            into[0] = *b"250-".get(octets).unwrap_or(&b'x');
            return Poll::Ready(Ok(1));
        }
        if self.waits {
            return Poll::Pending;
        }
        self.waits = true;
        let says = self.says.pop_front().unwrap_or_default();
        into[..says.len()].copy_from_slice(says);
        Poll::Ready(Ok(says.len()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.waits = false;
        if octets.ends_with(b".\r\n") {
            match self.content {
                Content::TakesLong => thread::sleep(2 * OVERALL),
                Content::Fails => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                Content::IsTaken => {}
            }
        }
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A runtime whose timers end at once; the driver passes the system's time to the machine.
#[derive(Clone, Copy)]
struct Hurried;

impl Runtime for Hurried {
    type Stream = Script;
    type Sleep = Ready<()>;

    async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn connect(&self, _: SocketAddr, _: &SocketOptions) -> io::Result<Script> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, _: Duration) -> Self::Sleep {
        std::future::ready(())
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        let mut cx = Context::from_waker(Waker::noop());
        if let Poll::Ready(done) = future.as_mut().poll(&mut cx) {
            return done;
        }
    }
}

#[test]
fn every_event_comes_before_the_end_of_the_session() {
    for content in [Content::TakesLong, Content::Fails, Content::IsTaken] {
        let timeouts = Timeouts::default().overall(Some(OVERALL));
        let config = ClientConfig::new(HelloName::localhost(), Security::None).timeouts(timeouts);
        let mut client = Client::new(Arc::new(config));
        let envelope = Envelope::new(None, vec!["a@b.example".parse().unwrap()]).unwrap();
        client.enqueue(envelope, "x\r\n");
        let says: [&[u8]; 3] = [
            b"220 hi\r\n",
            b"250-hi\r\n250 PIPELINING\r\n",
            b"250 ok\r\n250 ok\r\n354 go\r\n",
        ];
        let script = Script {
            says: says.into(),
            content,
            waits: false,
            flood: None,
        };
        let mut driver = Driver::new(client, script, Hurried);
        let mut reports = Vec::new();
        while let Some(event) = run(poll_fn(|cx| driver.poll_event(cx))) {
            if let Event::Report(report) = event {
                reports.push(report);
            }
        }
        assert!(driver.machine_mut().poll_event().is_none(), "{content:?}");
        assert!(driver.machine().is_closed());
        let [report] = &reports[..] else {
            panic!("{content:?}: {reports:?}");
        };
        let in_doubt = matches!(report.outcome(), Outcome::InDoubt(_));
        assert_eq!(in_doubt, content != Content::Fails, "{content:?}: {report}");
    }
}

#[test]
fn a_limit_ends_a_session_in_any_state() {
    let config = ClientConfig::new(HelloName::localhost(), Security::None);
    let client = Client::new(Arc::new(config));
    let says: [&[u8]; 2] = [b"220 hi\r\n", b"250 hi\r\n"];
    let script = Script {
        says: says.into(),
        content: Content::IsTaken,
        waits: false,
        flood: None,
    };
    let mut driver = Driver::new(client, script, Hurried);
    let ready = run(poll_fn(|cx| driver.poll_event(cx)));
    assert!(matches!(ready, Some(Event::Ready)), "{ready:?}");
    // The session waits for nothing, and no deadline of its own would end it.
    driver.limit_time(Some(Duration::ZERO));
    let closed = run(poll_fn(|cx| driver.poll_event(cx)));
    let Some(Event::Closed(Some(error))) = closed else {
        panic!("{closed:?}");
    };
    assert!(error.to_string().contains("timed out"), "{error}");
    assert!(run(poll_fn(|cx| driver.poll_event(cx))).is_none());
}

#[test]
fn a_glance_ends_though_octets_go_on_arriving() {
    let config = ClientConfig::new(HelloName::localhost(), Security::None);
    let client = Client::new(Arc::new(config));
    let says: [&[u8]; 2] = [b"220 hi\r\n", b"250 hi\r\n"];
    let read = Arc::new(AtomicUsize::new(0));
    let script = Script {
        says: says.into(),
        content: Content::IsTaken,
        waits: false,
        flood: Some(Arc::clone(&read)),
    };
    let mut driver = Driver::new(client, script, Hurried);
    let ready = run(poll_fn(|cx| driver.poll_event(cx)));
    assert!(matches!(ready, Some(Event::Ready)), "{ready:?}");
    let before = read.load(Ordering::Relaxed);
    driver.glance(&mut Context::from_waker(Waker::noop()));
    let read = read.load(Ordering::Relaxed) - before;
    assert!((1..=64).contains(&read), "{read}");
}
