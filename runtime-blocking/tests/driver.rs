//! The driver over scripted streams: once it reports the end of the session, the machine holds
//! no event.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use postwire_blocking::proto::{
    Client, ClientConfig, Endpoint, Envelope, Event, HelloName, Outcome, Security, Timeouts,
};
use postwire_blocking::{Driver, Stream};

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

/// Returns a line of the script with each read.
struct Script {
    says: VecDeque<&'static [u8]>,
    content: Content,
}

impl Read for Script {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let says = self.says.pop_front().unwrap_or_default();
        into[..says.len()].copy_from_slice(says);
        Ok(says.len())
    }
}

impl Write for Script {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if octets.ends_with(b".\r\n") {
            match self.content {
                Content::TakesLong => thread::sleep(2 * OVERALL),
                Content::Fails => return Err(io::ErrorKind::BrokenPipe.into()),
                Content::IsTaken => {}
            }
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Script {}

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
        };
        let mut driver = Driver::new(client, script);
        let mut reports = Vec::new();
        while let Some(event) = driver.next_event() {
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
