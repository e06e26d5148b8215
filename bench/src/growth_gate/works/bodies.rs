//! Works of content: the octets of a body, and the pieces of a stream.

use bytes::Bytes;
use postwire_proto::{
    Body, BodyScanner, Client, Endpoint, Envelope, Event, Instant, LineEnds, StreamFacts,
};

use super::{Prepared, Work, prepared, work};
use crate::Failure;
use crate::in_memory::{Peer, config, converse, drain, session};
use crate::job::SENDER;

const DATA: &[&str] = &["PIPELINING", "8BITMIME", "SMTPUTF8"];
const BDAT: &[&str] = &["PIPELINING", "8BITMIME", "CHUNKING", "BINARYMIME"];

pub(super) const WORKS: &[Work] = &[
    work("octets of a body, DATA", 200_000, |n| octets(n, DATA, LINE)),
    work("octets of a body, BDAT", 200_000, |n| octets(n, BDAT, LINE)),
    work("octets of a body, dots only, DATA", 40_000, |n| {
        octets(n, DATA, b".")
    }),
    work("octets of a body, lines of a dot, DATA", 20_000, |n| {
        octets(n, DATA, b".\r\n")
    }),
    work("octets of a body, LF only, DATA", 20_000, |n| {
        octets(n, DATA, b"\n")
    }),
    work("octets of a body, LF only, BDAT", 20_000, |n| {
        octets(n, BDAT, b"\n")
    }),
    work("octets of a body, CR only, DATA", 20_000, |n| {
        octets(n, DATA, b"\r")
    }),
    work("octets of a body, CR only, BDAT", 20_000, |n| {
        octets(n, BDAT, b"\r")
    }),
    work("octets of a body, CR CR LF, DATA", 20_000, |n| {
        octets(n, DATA, b"\r\r\n")
    }),
    work("octets of a body, LF and dot, DATA", 20_000, |n| {
        octets(n, DATA, b"\n.")
    }),
    work("octets of a body, one line, DATA", 200_000, |n| {
        octets(n, DATA, b"x")
    }),
    work("octets of a body, 8-bit, DATA", 200_000, |n| {
        octets(n, DATA, "gr\u{fc}\u{df}e\r\n".as_bytes())
    }),
    work("octets of a body, NUL, BDAT", 200_000, |n| {
        octets(n, BDAT, b"\0")
    }),
    work(
        "octets of a body that is refused for its LF",
        100_000,
        refused,
    ),
    work("octets of a body, written one at a time", 4_000, |n| {
        let mut client = session(config(), DATA);
        let body = vec![b'\n'; n];
        prepared(move || {
            begin(&mut client, Body::from(body))?;
            let mut taken = 0;
            while !client.output_chunk().is_empty() {
                client.advance_output(1);
                taken += 1;
            }
            end(&mut client)?;
            Ok(n.min(taken))
        })
    }),
    work("octets scanned one at a time", 10_000, |n| {
        prepared(move || {
            let mut scanner = BodyScanner::default();
            for _ in 0..n {
                scanner.feed(b"\n");
            }
            let facts = scanner.finish().measured.ok_or("no facts")?;
            Ok(facts.lone_lf as usize)
        })
    }),
    work("pieces of a stream, one octet, DATA", 4_000, |n| {
        stream(n, DATA, 1, Given::WhenWanted)
    }),
    work("pieces of a stream, 1 KiB, DATA", 2_000, |n| {
        stream(n, DATA, 1_024, Given::WhenWanted)
    }),
    work("pieces of a stream, one octet, BDAT", 2_000, |n| {
        stream(n, BDAT, 1, Given::WhenWanted)
    }),
    work("pieces of a stream, 1 KiB, BDAT", 2_000, |n| {
        stream(n, BDAT, 1_024, Given::WhenWanted)
    }),
    work("pieces of a stream before messages that wait", 1_000, |n| {
        let mut client = session(config(), DATA);
        let envelope = envelope()?;
        prepared(move || {
            let id = client.enqueue(envelope.clone(), StreamFacts::default());
            for _ in 0..n {
                client.enqueue(envelope.clone(), Body::from("x\r\n"));
            }
            for _ in 0..n {
                client.body_chunk(id, Bytes::from_static(b"x"))?;
            }
            client.body_end(id)?;
            let mut accepted = 0;
            converse(&mut client, &mut Peer::default(), |event| {
                if let Event::Report(report) = event {
                    report.into_result()?;
                    accepted += 1;
                }
                Ok(())
            })?;
            Ok(accepted - 1)
        })
    }),
    work(
        "pieces of a stream given ahead, one octet, DATA",
        4_000,
        |n| stream(n, DATA, 1, Given::Ahead),
    ),
    work("pieces of a stream given ahead, 1 KiB, BDAT", 2_000, |n| {
        stream(n, BDAT, 1_024, Given::Ahead)
    }),
];

const LINE: &[u8] = b"The quick brown fox jumps over the lazy dog, again and again and again.\r\n";

fn envelope() -> Result<Envelope, Failure> {
    let to = vec!["bob@example.net".parse()?];
    Ok(Envelope::new(Some(SENDER.parse()?), to)?)
}

/// Sends a body up to the point where its content is written.
fn begin(client: &mut Client, body: Body) -> Result<(), Failure> {
    client.enqueue(envelope()?, body);
    drain(client, |_| {});
    client.handle_input(Instant::EPOCH, b"250 ok\r\n250 ok\r\n354 go\r\n");
    Ok(())
}

/// Answers the content.
fn end(client: &mut Client) -> Result<(), Failure> {
    client.handle_input(Instant::EPOCH, b"250 queued\r\n");
    while let Some(event) = client.poll_event() {
        if let Event::Report(report) = event {
            report.into_result()?;
            return Ok(());
        }
    }
    Err("the message has no report".into())
}

/// The octets of a body that repeats this text.
fn octets(count: usize, extensions: &'static [&str], text: &[u8]) -> Result<Prepared, Failure> {
    let mut client = session(config().max_line_length(None), extensions);
    let body: Vec<u8> = text.iter().copied().cycle().take(count).collect();
    let (envelope, mut written) = (envelope()?, 0);
    let mut peer = Measuring::default();
    prepared(move || {
        client.enqueue(envelope, Body::from(body));
        let mut accepted = false;
        while !accepted {
            drain(&mut client, |chunk| {
                written += chunk.len();
                peer.hear(chunk);
            });
            let replies = peer.replies();
            if replies.is_empty() {
                return Err("the session waits for nothing".into());
            }
            client.handle_input(Instant::EPOCH, replies);
            while let Some(event) = client.poll_event() {
                if let Event::Report(report) = event {
                    report.into_result()?;
                    accepted = true;
                }
            }
        }
        // A CR before a CRLF is left out.
        Ok(if 2 * written >= count { count } else { 0 })
    })
}

/// A peer that does not look at content, which would take more instructions than sending it: it
/// knows that the content ends with the flight.
#[derive(Default)]
struct Measuring {
    in_content: bool,
    commands: Vec<&'static [u8]>,
    said: Vec<u8>,
}

impl Measuring {
    fn hear(&mut self, chunk: &[u8]) {
        if self.in_content {
            return;
        }
        for line in chunk.split_inclusive(|octet| *octet == b'\n') {
            match line.get(..4) {
                Some(b"DATA") => self.commands.push(b"354 go\r\n"),
                Some(b"BDAT") => {
                    self.in_content = true;
                    return;
                }
                _ => self.commands.push(b"250 ok\r\n"),
            }
        }
    }

    /// The replies to what was heard since the last call.
    fn replies(&mut self) -> &[u8] {
        self.said.clear();
        if std::mem::take(&mut self.in_content) {
            self.commands.push(b"250 queued\r\n");
        }
        for reply in self.commands.drain(..) {
            self.in_content |= reply.starts_with(b"354");
            self.said.extend_from_slice(reply);
        }
        &self.said
    }
}

fn refused(count: usize) -> Result<Prepared, Failure> {
    let mut config = config();
    config.line_ends = LineEnds::Refuse;
    let mut client = session(config, DATA);
    let (envelope, body) = (envelope()?, vec![b'\n'; count]);
    prepared(move || {
        client.enqueue(envelope, Body::from(body));
        while let Some(event) = client.poll_event() {
            if let Event::Report(report) = event {
                return Ok(if report.is_accepted() { 0 } else { count });
            }
        }
        Err("the message has no report".into())
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Given {
    WhenWanted,
    Ahead,
}

/// A message whose content is given in pieces of so many octets.
fn stream(
    count: usize,
    extensions: &[&str],
    octets: usize,
    given: Given,
) -> Result<Prepared, Failure> {
    let mut client = session(config().max_line_length(None), extensions);
    let binary = extensions.contains(&"CHUNKING");
    let (envelope, piece) = (envelope()?, Bytes::from(vec![b'x'; octets]));
    prepared(move || {
        let facts = StreamFacts::default().binary(binary);
        let id = client.enqueue(envelope, facts);
        let (mut left, mut accepted) = (count, false);
        if given == Given::Ahead {
            for _ in 0..left {
                client.body_chunk(id, piece.clone())?;
            }
            client.body_end(id)?;
            left = 0;
        }
        let mut peer = Peer::default();
        while !accepted {
            let mut wanted = false;
            converse(&mut client, &mut peer, |event| {
                match event {
                    Event::Report(report) => {
                        report.into_result()?;
                        accepted = true;
                    }
                    Event::BodyWanted(_) => wanted = true,
                    _ => {}
                }
                Ok(())
            })?;
            match (wanted, left) {
                (false, _) if !accepted => return Err("the session waits for nothing".into()),
                (false, _) => {}
                (true, 0) => client.body_end(id)?,
                (true, _) => {
                    client.body_chunk(id, piece.clone())?;
                    left -= 1;
                }
            }
        }
        Ok(count - left)
    })
}
