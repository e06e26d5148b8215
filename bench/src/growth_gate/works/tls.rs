//! Works under TLS: messages, records in, small writes out.

use std::io::Write as _;
use std::sync::Arc;

use postwire_proto::{Body, Command, Endpoint, Envelope, Event, Instant, Limits, ReplyLimits};
use postwire_tls::{Certificate, CertificateStore, Connection};
use postwire_transport::{TransportBuilder, TransportConfig};
use rustls::ServerConnection;

use super::{Prepared, Work, prepared, work};
use crate::Failure;
use crate::in_memory::{Peer, drain, offer};
use crate::job::{SENDER, text};
use crate::sink::server_config;

pub(super) const WORKS: &[Work] = &[
    work("TLS: messages", 500, messages),
    work("TLS: commands", 500, |n| {
        let mut pair = Pair::new(Limits::default())?;
        prepared(move || {
            for _ in 0..n {
                pair.client.command(Command::noop());
            }
            pair.converse(|event| matches!(event, Event::Reply(_, Ok(_))))
        })
    }),
    work("TLS: records of a line, in one read", 500, |n| {
        records(n, usize::MAX)
    }),
    work("TLS: records of a line, one octet at a time", 200, |n| {
        records(n, 1)
    }),
    work("TLS: octets taken one at a time", 10_000, |n| {
        let mut pair = Pair::new(Limits::default())?;
        let body = Body::from(text(n));
        let envelope = envelope()?;
        prepared(move || {
            pair.client.enqueue(envelope, body);
            let octets = |pair: &mut Pair| {
                let mut taken = 0;
                while !pair.client.output_chunk().is_empty() {
                    pair.client.advance_output(1);
                    taken += 1;
                }
                taken
            };
            // The envelope, then the content.
            let mut taken = octets(&mut pair);
            pair.say(b"250 ok\r\n250 ok\r\n354 go\r\n")?;
            taken += octets(&mut pair);
            Ok(n.min(taken))
        })
    }),
];

/// A client under TLS, and the TLS session of its peer.
struct Pair {
    client: Connection,
    server: ServerConnection,
    peer: Peer,
}

impl Pair {
    /// A session that is ready.
    fn new(limits: Limits) -> Result<Self, Failure> {
        let (tls, root) = server_config()?;
        let root = Certificate::from_pem(root.as_bytes())?;
        let config = TransportBuilder::<TransportConfig>::from_url("smtps://127.0.0.1")?
            .client(|client| client.limits(limits))
            .tls_parameters(|tls| {
                tls.certificate_store(CertificateStore::None)
                    .add_root_certificate(root)
            })
            .build()?;
        let mut server = ServerConnection::new(Arc::clone(&tls))?;
        server.set_buffer_limit(None);
        let mut pair = Self {
            client: Connection::new(&config.client_config(), config.tls()),
            server,
            peer: Peer::default(),
        };
        pair.move_octets(|_| {})?;
        pair.say(b"220 mx ESMTP\r\n")?;
        pair.move_octets(|_| {})?;
        pair.say(offer(&["PIPELINING"]).as_bytes())?;
        while pair.client.poll_event().is_some() {}
        if !pair.client.is_ready() {
            return Err("the session is not ready".into());
        }
        Ok(pair)
    }

    /// Moves octets in both directions until there are none. Passes the client's plaintext on.
    fn move_octets(&mut self, mut hear: impl FnMut(&[u8])) -> Result<(), Failure> {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let mut flight = Vec::new();
            drain(&mut self.client, |chunk| flight.extend_from_slice(chunk));
            let mut input = &flight[..];
            while !input.is_empty() {
                self.server.read_tls(&mut input)?;
                let state = self.server.process_new_packets()?;
                let mut left = state.plaintext_bytes_to_read();
                while left > 0 {
                    let read = std::io::Read::read(&mut self.server.reader(), &mut buffer)?;
                    hear(&buffer[..read]);
                    left -= read.min(left);
                }
            }
            let back = self.encrypted()?;
            if flight.is_empty() && back.is_empty() {
                return Ok(());
            }
            self.client.handle_input(Instant::EPOCH, &back);
        }
    }

    fn encrypted(&mut self) -> Result<Vec<u8>, Failure> {
        let mut octets = Vec::new();
        while self.server.wants_write() {
            self.server.write_tls(&mut octets)?;
        }
        Ok(octets)
    }

    /// Passes a text of the server to the client.
    fn say(&mut self, text: &[u8]) -> Result<(), Failure> {
        self.server.writer().write_all(text)?;
        let octets = self.encrypted()?;
        self.client.handle_input(Instant::EPOCH, &octets);
        Ok(())
    }

    /// Lets both talk until neither has anything to say, and counts events.
    fn converse(&mut self, is_counted: fn(&Event) -> bool) -> Result<usize, Failure> {
        let mut count = 0;
        loop {
            let mut peer = std::mem::take(&mut self.peer);
            self.move_octets(|octets| peer.hear(octets))?;
            while let Some(event) = self.client.poll_event() {
                count += usize::from(is_counted(&event));
            }
            let is_silent = peer.said().is_empty();
            if !is_silent {
                self.say(peer.said())?;
            }
            peer.clear();
            self.peer = peer;
            if is_silent {
                return Ok(count);
            }
        }
    }
}

fn envelope() -> Result<Envelope, Failure> {
    let to = vec!["bob@example.net".parse()?];
    Ok(Envelope::new(Some(SENDER.parse()?), to)?)
}

fn messages(count: usize) -> Result<Prepared, Failure> {
    let mut pair = Pair::new(Limits::default())?;
    let (envelope, body) = (envelope()?, Body::from(text(200)));
    prepared(move || {
        for _ in 0..count {
            pair.client.enqueue(envelope.clone(), body.clone());
        }
        pair.converse(|event| matches!(event, Event::Report(report) if report.is_accepted()))
    })
}

/// A reply whose lines come in a record each.
fn records(count: usize, cut: usize) -> Result<Prepared, Failure> {
    let reply = ReplyLimits::default().lines(count + 3).bytes(usize::MAX);
    let mut pair = Pair::new(Limits::default().reply(reply))?;
    pair.client.command(Command::noop());
    pair.move_octets(|_| {})?;
    let mut octets = Vec::new();
    for number in 1..=count {
        let line: &[u8] = if number == count {
            b"250 x\r\n"
        } else {
            b"250-x\r\n"
        };
        pair.server.writer().write_all(line)?;
        octets.extend(pair.encrypted()?);
    }
    prepared(move || {
        for piece in octets.chunks(cut) {
            pair.client.handle_input(Instant::EPOCH, piece);
        }
        let mut lines = 0;
        while let Some(event) = pair.client.poll_event() {
            if let Event::Reply(_, reply) = event {
                lines += reply?.text_lines().count();
            }
        }
        Ok(lines)
    })
}
