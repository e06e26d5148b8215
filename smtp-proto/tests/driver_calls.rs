//! What a driver may do with a session: take its output in three ways, report writes late, and
//! end it. Also what a program reads from values before there is a session.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use postwire_proto::{
    Address, BodyFacts, BodySource, Client, ClientConfig, Command, Credentials, Endpoint, Envelope,
    ErrorKind, Event, HelloName, Instant, LineEnds, Outcome, Security, Stage, StreamFacts,
    Timeouts, TransportError, Unsendable,
};

const MESSAGE: &str = "Subject: hi\r\n\r\n.first\r\nlast\r\n";

fn config() -> ClientConfig {
    ClientConfig::new("client.example".parse().unwrap(), Security::None)
}

fn envelope() -> Envelope {
    let recipient = "bob@b.example".parse().unwrap();
    Envelope::new(Some("alice@a.example".parse().unwrap()), vec![recipient]).unwrap()
}

fn at(seconds: u64) -> Instant {
    Instant::from_epoch(Duration::from_secs(seconds))
}

/// A client with one message, and what the server says before each flight.
fn client() -> Client {
    let mut client = Client::new(Arc::new(config()));
    client.enqueue(envelope(), BodySource::from(MESSAGE));
    client
}

const REPLIES: [&str; 4] = [
    "220 mx.example\r\n",
    "250-mx.example\r\n250 PIPELINING\r\n",
    "250 sender\r\n250 recipient\r\n354 go on\r\n",
    "250 taken\r\n",
];

/// An endpoint that leaves to the trait what it can leave to it.
struct Least(Client);

impl Endpoint for Least {
    type Event = Event;

    fn handle_input(&mut self, now: Instant, input: &[u8]) {
        self.0.handle_input(now, input);
    }
    fn handle_eof(&mut self, now: Instant) {
        self.0.handle_eof(now);
    }
    fn handle_transport_error(&mut self, now: Instant, error: TransportError) {
        self.0.handle_transport_error(now, error);
    }
    fn output(&mut self) -> impl Buf + Send {
        self.0.output()
    }
    fn output_chunk(&mut self) -> &[u8] {
        self.0.output_chunk()
    }
    fn advance_output(&mut self, octets: usize) {
        self.0.advance_output(octets);
    }
    fn handle_written(&mut self, now: Instant, octets: usize) {
        self.0.handle_written(now, octets);
    }
    fn poll_event(&mut self) -> Option<Event> {
        self.0.poll_event()
    }
    fn poll_timeout(&self) -> Option<Instant> {
        self.0.poll_timeout()
    }
    fn handle_timeout(&mut self, now: Instant) {
        self.0.handle_timeout(now);
    }
    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

/// All that the session writes, when `take` takes some of its output and returns it.
fn written<E: Endpoint>(mut session: E, mut take: impl FnMut(&mut E) -> Vec<u8>) -> String {
    let mut written = Vec::new();
    for said in REPLIES {
        session.handle_input(at(0), said.as_bytes());
        loop {
            let taken = take(&mut session);
            if taken.is_empty() {
                break;
            }
            written.extend(taken);
        }
    }
    String::from_utf8(written).unwrap()
}

#[test]
fn each_way_of_taking_output_takes_the_same() {
    let expected = "EHLO client.example\r\n\
                    MAIL FROM:<alice@a.example>\r\nRCPT TO:<bob@b.example>\r\nDATA\r\n\
                    Subject: hi\r\n\r\n..first\r\nlast\r\n.\r\n";
    let by_output = written(client(), |client| {
        let mut output = client.output();
        let most = output.remaining().min(7);
        output.copy_to_bytes(most).to_vec()
    });
    assert_eq!(by_output, expected);
    for most in [1, 7, usize::MAX] {
        let by_chunk = written(client(), |client| {
            let chunk = client.output_chunk();
            let taken = chunk[..chunk.len().min(most)].to_vec();
            client.advance_output(taken.len());
            taken
        });
        assert_eq!(by_chunk, expected, "{most}");
        let owned = |taken: Bytes| taken.to_vec();
        let by_owned = written(client(), |client| owned(client.next_chunk(most)));
        assert_eq!(by_owned, expected, "{most}");
        let by_default = written(Least(client()), |client| owned(client.next_chunk(most)));
        assert_eq!(by_default, expected, "{most}");
    }
    assert!(!Least(client()).is_idle(), "it does not know");
}

/// The driver hands octets over, and its writes end later.
#[test]
fn deadlines_count_from_what_is_written() {
    let timeouts = Timeouts::default();
    let (reply, write) = (timeouts.ehlo, timeouts.ehlo.min(timeouts.body));
    let mut client = client();
    client.handle_input(at(0), REPLIES[0].as_bytes());
    let taken = client.next_chunk(usize::MAX);
    // As long as something is unwritten, the write deadline begins anew with each octet.
    client.handle_written(at(10), 1);
    assert_eq!(client.poll_timeout(), Some(at(10) + write));
    client.handle_timeout(at(50));
    assert_eq!(client.poll_timeout(), Some(at(10) + write));
    client.handle_written(at(60), 4);
    assert_eq!(client.poll_timeout(), Some(at(60) + write));
    // All is written: the reply's deadline begins.
    client.handle_written(at(100), taken.len() - 5);
    assert_eq!(client.poll_timeout(), Some(at(100) + reply));
    client.handle_timeout(at(150));
    assert_eq!(client.poll_timeout(), Some(at(100) + reply));
}

#[test]
fn a_session_expires_whatever_it_waits_for() {
    let outcome = |mut client: Client| {
        client.expire();
        assert!(client.is_closed());
        let report = std::iter::from_fn(|| client.poll_event()).find_map(|event| match event {
            Event::Report(report) => Some(report),
            _ => None,
        });
        report.unwrap().outcome().clone()
    };
    let Outcome::NotSent(error) = outcome(client()) else {
        panic!("nothing was sent");
    };
    assert!(matches!(error.kind(), ErrorKind::TimedOut));
    assert_eq!(error.stage(), Stage::Greeting);
    let mut under_way = client();
    for said in &REPLIES[..3] {
        under_way.handle_input(at(0), said.as_bytes());
        while !under_way.next_chunk(usize::MAX).is_empty() {}
    }
    let Outcome::InDoubt(error) = outcome(under_way) else {
        panic!("the dot was sent");
    };
    assert!(matches!(error.kind(), ErrorKind::TimedOut));
}

#[test]
fn what_is_set_is_read() {
    let name: HelloName = "client.example".parse().unwrap();
    assert_eq!(name.as_ref() as &str, "client.example");
    let address: Address = "bob@b.example".parse().unwrap();
    assert_eq!(address.as_ref() as &str, "bob@b.example");
    assert!(!config().logs_in());
    assert!(config().late_credentials(true).logs_in());
    assert!(
        config()
            .credentials(Credentials::new("alice", "x"))
            .logs_in()
    );
    let interactive = Timeouts::interactive();
    assert_eq!(interactive.end_of_data, Duration::from_secs(10));
    assert_eq!(interactive.overall, Some(Duration::from_secs(30)));
    assert_eq!(Command::raw("XFOO a b").unwrap().verb(), "XFOO");
    let bob = "b\u{f6}b";
    let most = 512 - "VRFY \r\n".len();
    let fits = format!("{bob}{}", "x".repeat(most - bob.len()));
    assert!(Command::vrfy(&fits).is_ok());
    assert!(Command::vrfy(format!("{fits}x")).is_err());
}

#[test]
fn what_no_server_takes_is_known_without_one() {
    let config = config()
        .line_ends(LineEnds::Refuse)
        .max_line_length(Some(20));
    assert_eq!(config.check(&BodySource::from(MESSAGE)), Ok(()));
    let fine = config.not_sent_report(&envelope(), &BodySource::from(MESSAGE));
    assert!(fine.is_none());
    for (body, why) in [
        (
            BodySource::from("a\r\n\nb\r\n"),
            Unsendable::LoneLineEnd {
                carriage_returns: 0,
                line_feeds: 1,
            },
        ),
        (
            BodySource::from("a\rb\r\r\n"),
            Unsendable::LoneLineEnd {
                carriage_returns: 2,
                line_feeds: 0,
            },
        ),
        (
            BodySource::from("123456789012345678901\r\n"),
            Unsendable::LineTooLong {
                octets: 21,
                limit: 20,
            },
        ),
        (
            BodySource::Stream(StreamFacts::default().longest_line(21)),
            Unsendable::LineTooLong {
                octets: 21,
                limit: 20,
            },
        ),
        (
            BodySource::Stream(StreamFacts::default().measured(BodyFacts::of(b"a\n"))),
            Unsendable::LoneLineEnd {
                carriage_returns: 0,
                line_feeds: 1,
            },
        ),
    ] {
        assert_eq!(config.check(&body), Err(why.clone()));
        let report = config.not_sent_report(&envelope(), &body).unwrap();
        let Outcome::NotSent(error) = report.outcome() else {
            panic!("nothing was sent");
        };
        assert!(matches!(error.kind(), ErrorKind::Unsendable(found) if *found == why));
        assert_eq!(report.recipients().len(), 1);
    }
}
