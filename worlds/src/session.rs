//! One session of the core's client with the reference server, in memory and under a virtual
//! clock. TLS is a name only: the handshake succeeds at once and changes no octet.

use std::sync::Arc;

use bytes::Buf as _;
use postwire_proto::{Client, Endpoint as _, Instant, Security, TlsInfo};
use postwire_reference::{Dialect, Recorder};

use crate::choices::Choices;
use crate::oracle::{Outcomes, describe_dialect, describe_reports, describe_server};
use crate::record::Record;
use crate::scene::{Scene, cuts};

/// What happens to the wire.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The connection breaks once the client has written this many octets.
    ClientBreak(usize),
    /// The connection breaks once the server has written this many octets.
    ServerBreak(usize),
    /// Nothing of the server arrives behind this many octets.
    Silence(usize),
}

/// A client, its server, and everything that happened to them.
#[derive(Debug)]
pub struct World {
    scene: Scene,
    security: Security,
    fault: Option<Fault>,
    cuts: Vec<usize>,
    client: Client,
    server: Recorder,
    now: Instant,
    written: usize,
    heard: usize,
    record: Record,
}

impl World {
    /// The world of these choices.
    pub fn new(choices: &mut Choices) -> Self {
        let dialect = Dialect::random(choices.number());
        let security = if dialect.keywords.starttls {
            choices.pick(&[Security::Required, Security::Opportunistic, Security::None])
        } else {
            choices.pick(&[
                Security::Opportunistic,
                Security::None,
                Security::None,
                Security::None,
                Security::Required,
            ])
        };
        let scene = Scene::new(choices, dialect, security);
        let fault = match choices.below(8) {
            0 => Some(Fault::ClientBreak(choices.below(3_000))),
            1 => Some(Fault::ServerBreak(choices.below(1_500))),
            2 => Some(Fault::Silence(choices.below(1_500))),
            _ => None,
        };
        Self {
            cuts: cuts(choices),
            client: Client::new(Arc::new(scene.config.clone())),
            server: Recorder::new(scene.dialect.clone()),
            scene,
            security,
            fault,
            now: Instant::EPOCH,
            written: 0,
            heard: 0,
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
        for _ in 0..200_000 {
            self.hear_events();
            if self.client.is_closed() {
                self.hear_events();
                return Ok(());
            }
            let most = cuts.next().unwrap_or(usize::MAX);
            let moved = self.server_speaks(most) | self.client_speaks(most);
            if moved {
                nudged = false;
            } else if !nudged {
                nudged = true;
                self.server.nudge();
            } else {
                self.record.advance_clock(&mut self.client, &mut self.now)?;
            }
        }
        Err("the session does not end".to_owned())
    }

    fn is_broken(&self) -> bool {
        match self.fault {
            Some(Fault::ClientBreak(at)) => self.written >= at,
            Some(Fault::ServerBreak(at)) => self.heard >= at,
            _ => false,
        }
    }

    /// Moves octets from the server to the client. Returns whether anything happened.
    fn server_speaks(&mut self, most: usize) -> bool {
        let mut moved = false;
        loop {
            let said = self.server.say();
            if said.is_empty() {
                break;
            }
            moved = true;
            let allowed = match self.fault {
                Some(Fault::ServerBreak(at) | Fault::Silence(at)) => at.saturating_sub(self.heard),
                _ => usize::MAX,
            };
            let arrives = &said[..said.len().min(allowed)];
            self.heard += said.len();
            for piece in arrives.chunks(most.max(1)) {
                self.client.handle_input(self.now, piece);
            }
        }
        if (self.server.has_hung_up() || self.is_broken()) && !self.client.is_closed() {
            self.client.handle_eof(self.now);
            moved = true;
        }
        if self.client.is_awaiting_tls() && self.server.tls_wanted() {
            let info = TlsInfo::new("TLSv1.3", "TLS_AES_128_GCM_SHA256");
            if self.client.handle_tls_established(self.now, info).is_ok() {
                self.server.tls_established();
                moved = true;
            }
        }
        moved
    }

    fn client_speaks(&mut self, most: usize) -> bool {
        let allowed = match self.fault {
            Some(Fault::ClientBreak(at)) => at.saturating_sub(self.written),
            Some(Fault::ServerBreak(_)) if self.is_broken() => 0,
            _ => usize::MAX,
        };
        let mut output = self.client.output();
        let octets = output.remaining().min(most).min(allowed);
        let octets = output.copy_to_bytes(octets);
        drop(output);
        self.written += octets.len();
        if !octets.is_empty() {
            self.server.receive(&octets);
        }
        !octets.is_empty()
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
        let is_undisturbed = self.fault.is_none();
        self.record
            .verdict(&self.scene, &self.server, is_undisturbed)
    }

    fn describe(&self, why: &str) -> String {
        format!(
            "{why}\n{:?}, {:?}, {:?}, streams {:?}, cuts {:?}\n{}{}{}",
            self.security,
            self.scene.pipelining,
            self.fault,
            self.scene.streamed,
            self.cuts,
            describe_dialect(&self.scene.dialect),
            describe_reports(&self.record.reports),
            describe_server(&self.server),
        )
    }
}
