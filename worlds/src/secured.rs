//! One client connection with its TLS layer, the reference server behind rustls' own server, and a
//! wire between them that cuts, breaks and falls silent at any octet, under a virtual clock.
//!
//! The driver hands octets over, writes them later, and reports the writes later still, or never.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Buf as _;
use postwire_proto::{Endpoint as _, Instant, Security};
use postwire_reference::{Dialect, Verdict, canonical};
use postwire_tls::{Connection, Tls};

use crate::choices::Choices;
use crate::oracle::{Outcomes, describe_dialect, describe_reports, describe_server};
use crate::peer::{Peer, ServerTls, client_parameters};
use crate::record::Record;
use crate::scene::{Scene, cuts};

/// What happens to the wire, at an octet of one direction.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The connection breaks once the client has written this many octets.
    ClientBreak(usize),
    /// The connection breaks once this many octets of the server have arrived.
    ServerBreak(usize),
    /// Nothing of the client arrives behind this many octets.
    ClientSilence(usize),
    /// Nothing of the server arrives behind this many octets.
    ServerSilence(usize),
}

/// A client, its server, and everything that happened to them.
#[derive(Debug)]
pub struct World {
    choices: Choices,
    scene: Scene,
    security: Security,
    how: ServerTls,
    /// Whether the client trusts the certificate of the server.
    trusts: bool,
    fault: Option<Fault>,
    /// A break shows as an error of the stream, and not as its end.
    breaks_by_error: bool,
    /// The driver and the wire do something only now and then.
    is_lazy: bool,
    /// The driver reports its writes.
    reports_writes: bool,
    cuts: Vec<usize>,
    client: Connection,
    peer: Peer,
    now: Instant,
    /// Handed over by the client and not written.
    held: VecDeque<u8>,
    written: usize,
    unreported: usize,
    lost: Vec<u8>,
    /// Written by the server and not read.
    back: VecDeque<u8>,
    read: usize,
    eof_was_read: bool,
    record: Record,
}

impl World {
    /// The world of these choices.
    pub fn new(choices: &mut Choices) -> Self {
        let mut dialect = Dialect::from_numbers(&mut || choices.number());
        let security = choices.pick(&[
            Security::Required,
            Security::Required,
            Security::Opportunistic,
            Security::Wrapper,
            Security::Wrapper,
            Security::None,
        ]);
        dialect.keywords.starttls |= !choices.once_in(8);
        let scene = Scene::new(choices, dialect, security);
        let trusts = !choices.once_in(16);
        let parameters = || client_parameters(trusts);
        let tls = match security {
            Security::None => Tls::None,
            Security::Opportunistic => Tls::Opportunistic(parameters()),
            Security::Required => Tls::Required(parameters()),
            Security::Wrapper => Tls::Wrapper(parameters()),
        };
        let how = ServerTls {
            wrapper: security == Security::Wrapper,
            old: choices.once_in(4),
            truncates: choices.once_in(4),
        };
        let most = choices.pick(&[300, 3_000, 9_000]);
        let at = choices.below(most);
        let fault = match choices.below(10) {
            0 => Some(Fault::ClientBreak(at)),
            1 => Some(Fault::ServerBreak(at)),
            2 => Some(Fault::ClientSilence(at)),
            3 => Some(Fault::ServerSilence(at)),
            _ => None,
        };
        Self {
            security,
            how,
            trusts,
            fault,
            breaks_by_error: choices.once_in(2),
            is_lazy: choices.once_in(2),
            reports_writes: choices.once_in(2),
            cuts: cuts(choices),
            client: Connection::new(&Arc::new(scene.config.clone()), &tls),
            peer: Peer::new(scene.dialect.clone(), how),
            scene,
            choices: choices.clone(),
            now: Instant::EPOCH,
            held: VecDeque::new(),
            written: 0,
            unreported: 0,
            lost: Vec::new(),
            back: VecDeque::new(),
            read: 0,
            eof_was_read: false,
            record: Record::default(),
        }
    }

    /// Runs the world to its end, and judges it.
    ///
    /// # Errors
    ///
    /// What the client did wrong, with the dialogue.
    pub fn run(mut self) -> Result<Outcomes, String> {
        let result = self.play().and_then(|()| self.verdict());
        result.map_err(|why| self.describe(&why))
    }

    fn play(&mut self) -> Result<(), String> {
        for (id, message) in self.scene.messages.iter().enumerate() {
            let body = self.scene.body(id);
            self.client.enqueue(message.envelope.clone(), body);
        }
        self.client.quit();
        let mut cuts = self.cuts.clone().into_iter().cycle();
        let mut nudged = false;
        for _ in 0..1_000_000 {
            self.hear_events();
            if self.client.is_closed() {
                self.finish();
                return Ok(());
            }
            let mut most = || cuts.next().unwrap_or(usize::MAX);
            let moved = self.hand_over(most())
                | self.write(most())
                | self.report_writes()
                | self.server_writes()
                | self.client_reads(most());
            if moved {
                nudged = false;
            } else if !nudged {
                nudged = true;
                self.peer.nudge();
            } else {
                self.record.advance_clock(&mut self.client, &mut self.now)?;
            }
        }
        Err("the session does not end".to_owned())
    }

    /// What a driver does when the session is over: it may write what is left.
    fn finish(&mut self) {
        if !self.choices.once_in(4) {
            while self.hand_over(usize::MAX) {}
        }
        while self.write(usize::MAX) {}
        self.peer.receive_eof();
        self.hear_events();
        let lost = std::mem::take(&mut self.lost);
        self.peer.overhear(&lost);
    }

    fn rests(&mut self) -> bool {
        self.is_lazy && self.choices.once_in(2)
    }

    fn is_broken(&self) -> bool {
        match self.fault {
            Some(Fault::ClientBreak(at)) => self.written >= at,
            Some(Fault::ServerBreak(at)) => self.read >= at,
            _ => false,
        }
    }

    /// Takes octets from the client, which count as handed over. Returns whether there were any.
    fn hand_over(&mut self, most: usize) -> bool {
        let waiting = self.client.output().remaining();
        if waiting == 0 || (self.rests() && !self.client.is_closed()) {
            return waiting > 0;
        }
        let octets = match self.choices.below(3) {
            0 => {
                let mut output = self.client.output();
                output.copy_to_bytes(waiting.min(most))
            }
            1 => self.client.next_chunk(most),
            _ => {
                let chunk = self.client.output_chunk();
                let chunk = chunk[..chunk.len().min(most)].to_vec();
                self.client.advance_output(chunk.len());
                chunk.into()
            }
        };
        self.held.extend(octets);
        true
    }

    /// Writes octets that were handed over. Returns whether there were any.
    fn write(&mut self, most: usize) -> bool {
        if self.held.is_empty() || (self.rests() && !self.client.is_closed()) {
            return !self.held.is_empty();
        }
        let octets: Vec<u8> = self.held.drain(..self.held.len().min(most)).collect();
        let arrive = match self.fault {
            Some(Fault::ClientBreak(at) | Fault::ClientSilence(at)) => {
                at.saturating_sub(self.written)
            }
            _ if self.is_broken() => 0,
            _ => usize::MAX,
        };
        let (arrive, lost) = octets.split_at(octets.len().min(arrive));
        self.written += octets.len();
        self.unreported += octets.len();
        if !arrive.is_empty() {
            self.peer.receive(arrive);
        }
        self.lost.extend_from_slice(lost);
        true
    }

    fn report_writes(&mut self) -> bool {
        let waits = self.reports_writes && self.unreported > 0;
        if waits && self.choices.once_in(4) {
            let octets = 1 + self.choices.below(self.unreported);
            self.unreported -= octets;
            self.client.handle_written(self.now, octets);
        }
        waits
    }

    fn server_writes(&mut self) -> bool {
        if self.rests() {
            return true;
        }
        let said = self.peer.say();
        self.back.extend(&said);
        !said.is_empty()
    }

    /// Passes octets of the server to the client, or the end of the connection. Returns whether
    /// there were any.
    fn client_reads(&mut self, most: usize) -> bool {
        if self.rests() {
            return true;
        }
        let arrive = match self.fault {
            Some(Fault::ServerBreak(at) | Fault::ServerSilence(at)) => at.saturating_sub(self.read),
            _ => usize::MAX,
        };
        if !self.back.is_empty() && arrive > 0 {
            let octets = self.back.len().min(most).min(arrive);
            let octets: Vec<u8> = self.back.drain(..octets).collect();
            self.read += octets.len();
            self.client.handle_input(self.now, &octets);
            return true;
        }
        if let Some(Fault::ServerSilence(_)) = self.fault
            && arrive == 0
        {
            return false;
        }
        if self.eof_was_read || !(self.is_broken() || self.peer.has_closed()) {
            return false;
        }
        self.eof_was_read = true;
        if self.is_broken() && self.breaks_by_error {
            let error = io::Error::from(io::ErrorKind::ConnectionReset);
            self.client
                .handle_transport_error(self.now, Arc::new(error));
        } else {
            self.client.handle_eof(self.now);
        }
        true
    }

    fn hear_events(&mut self) {
        while let Some(event) = self.client.poll_event() {
            // The message may have its verdict by now.
            let _ = match self.record.hear(event, &mut self.scene) {
                Some((id, Some(piece))) => self.client.body_chunk(id, piece),
                Some((id, None)) => self.client.body_end(id),
                None => continue,
            };
        }
    }

    fn verdict(&self) -> Result<Outcomes, String> {
        let is_undisturbed = self.trusts && self.fault.is_none();
        let server = self.peer.recorder();
        let outcomes = self.record.verdict(&self.scene, server, is_undisturbed)?;
        if outcomes.is_judged {
            self.check_doubts()?;
        }
        self.check_tls()?;
        Ok(outcomes)
    }

    /// A message is in doubt only if all of its content was handed over.
    fn check_doubts(&self) -> Result<(), String> {
        let heard = self.peer.heard();
        for report in &self.record.reports {
            let content = &self.scene.messages[report.id].content;
            // Without the first octet, which may be a chunk of its own.
            let mark = format!("-Id: {}\r\n", report.id);
            let is_marked = content.starts_with(format!("X{mark}").as_bytes());
            let is_stream = self.scene.streamed[report.id].is_some();
            if report.verdict != Verdict::InDoubt || !is_marked || is_stream {
                continue;
            }
            let least = canonical(content).len().min(content.len()) - 1;
            let mut windows = heard.windows(mark.len());
            let from = windows.position(|window| window == mark.as_bytes());
            if from.is_none_or(|from| heard.len() - from < least) {
                return Err(format!(
                    "message {} is in doubt, but its content was not handed over",
                    report.id
                ));
            }
        }
        Ok(())
    }

    fn check_tls(&self) -> Result<(), String> {
        let promises = matches!(self.security, Security::Required | Security::Wrapper);
        let in_plaintext = |taken: &postwire_reference::Taken| !taken.under_tls;
        if promises && self.peer.recorder().taken().iter().any(in_plaintext) {
            return Err("a message was sent in plaintext".to_owned());
        }
        if !self.trusts && self.peer.is_established() {
            return Err("the client trusts a certificate that it does not know".to_owned());
        }
        match self.peer.tls_error() {
            None | Some(rustls::Error::AlertReceived(_)) => Ok(()),
            // A server that says more behind its 220 to STARTTLS still reads plaintext, and has read
            // the beginning of the handshake.
            Some(_) if self.peer.recorder().misled_after().is_some() => Ok(()),
            Some(error) => Err(format!("what the client wrote is not TLS: {error}")),
        }
    }

    fn describe(&self, why: &str) -> String {
        format!(
            "{why}\n{:?}, {:?}, trusts {}, {:?}, {:?}, by error {}, lazy {}, reports writes {}, streams {:?}, \
             cuts {:?}, written {}, read {}\n{}{}{}",
            self.security,
            self.how,
            self.trusts,
            self.scene.pipelining,
            self.fault,
            self.breaks_by_error,
            self.is_lazy,
            self.reports_writes,
            self.scene.streamed,
            self.cuts,
            self.written,
            self.read,
            describe_dialect(&self.scene.dialect),
            describe_reports(&self.record.reports),
            describe_server(self.peer.recorder()),
        )
    }
}
