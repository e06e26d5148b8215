//! A plaintext state machine and the rustls session around it.
//!
//! Moves bytes between the two and tells the machine how TLS fares. Knows no
//! command and no reply: what STARTTLS means is the machine's affair.
//!
//! What the machine puts out is handed over when the last octet of its *record* is, and
//! written when that is: until then the peer cannot read it. What is encrypted and not
//! handed over when the session ends is dropped.

use std::collections::VecDeque;
use std::io::{IoSlice, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use postwire_proto::{Endpoint, Instant, TlsInfo, TransportError};
use rustls::ProtocolVersion;
use rustls::pki_types::CertificateDer;

mod wire;

use wire::{Flight, Record, Wire, take_record};

use crate::TlsFailure;
use crate::channel_binding::channel_binding;

/// The plaintext of a full record (RFC 8446 §5.1).
const RECORD: usize = 16 * 1024;

/// What a record adds to its length, as rustls counts it.
const RECORD_HEADER: usize = 5;

/// How long the rest of that is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much is quoted of a peer that does not speak TLS.
const QUOTED: usize = 100;

/// Plaintext gathered before it is encrypted: four full records.
const WINDOW: usize = 64 * 1024;

/// How much decrypted text is handed over at once: more than most replies.
const DECRYPTED: usize = 4 * 1024;

/// How many slices are gathered at once; `bytes` cuts no more than these.
const SLICES: usize = 16;

/// What [`Secured`] must be able to tell a plaintext machine.
pub(crate) trait Upgradable: Endpoint + Send {
    /// Whether the end of the session takes back what is not handed over by then: a
    /// client's messages are reported as not sent, a server still says goodbye.
    const TAKES_BACK: bool;

    /// Whether TLS is to be established now.
    fn is_awaiting_tls(&self) -> bool;
    fn tls_established(&mut self, now: Instant, info: TlsInfo);
    fn tls_failed(&mut self, now: Instant, error: TransportError);
    /// This came in plaintext where TLS was to begin.
    fn injected(&mut self, now: Instant, said: &[u8]);
    /// What is to be encrypted. To `advance` it hands over nothing yet.
    fn output_for_tls(&mut self) -> impl Buf + Send;
    /// So many more octets of that are handed over.
    fn handed_over(&mut self, octets: usize);
    /// TLS wrote so many more octets of its own; whether some wait.
    fn tls_progress(&mut self, octets: usize, waits: bool);
}

#[derive(Debug)]
pub(crate) struct Secured<E> {
    pub(crate) machine: E,
    tls: Tls,
    wire: Wire,
}

#[derive(Debug)]
enum Tls {
    /// Plaintext, perhaps for ever.
    Off,
    On(Box<Channel>),
}

#[derive(Debug)]
struct Channel {
    session: rustls::Connection,
    /// A server's, which the session does not tell.
    own_certificate: Option<CertificateDer<'static>>,
    /// The session would not stand if the peer's certificate were not good.
    verifies: bool,
    /// How much plaintext fits in one record.
    record: usize,
    /// Encrypted; what lies before `taken` is handed over.
    ciphertext: Vec<u8>,
    taken: usize,
    /// The records of the machine's text that are not handed over.
    pending: VecDeque<Record>,
    /// Those that are, and not written; only of a driver that tells these apart.
    unwritten: VecDeque<Record>,
    /// The machine's octets that were handed over while the driver told nothing apart.
    untold: u64,
    pub(super) plaintext: Vec<u8>,
    /// Whether the peer's first byte is still to come, and plaintext went before.
    first_byte_tells: bool,
    /// It was none of TLS's: the machine hears the rest as it comes.
    injected: bool,
    /// What the peer says in plaintext instead of TLS, as far as it has come.
    not_tls: Option<Plaintext>,
    heard: bool,
    established: bool,
    close_notify_sent: bool,
    close_notify_received: bool,
    failed: bool,
    /// Records were dropped: nothing more is written.
    dropped: bool,
}

/// The beginning of the line that a peer said in plaintext, and when it began.
#[derive(Debug)]
struct Plaintext {
    said: Vec<u8>,
    since: Instant,
}

/// The peer closed the connection without TLS's word for it: what came may not
/// be all that was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncated;

impl std::fmt::Display for Truncated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection was closed without close_notify")
    }
}

impl std::error::Error for Truncated {}

impl<E: Upgradable> Secured<E> {
    pub(crate) fn new(machine: E) -> Self {
        Self {
            machine,
            tls: Tls::Off,
            wire: Wire::default(),
        }
    }

    /// Whether the machine wants TLS and has none: [`secure`](Self::secure) it.
    pub(crate) fn wants_session(&self) -> bool {
        matches!(self.tls, Tls::Off) && self.machine.is_awaiting_tls()
    }

    /// Begins TLS. `after_plaintext` after STARTTLS; `max_fragment` is the
    /// configuration's.
    pub(crate) fn secure(
        &mut self,
        session: rustls::Connection,
        after_plaintext: bool,
        max_fragment: Option<usize>,
    ) {
        let mut session = session;
        session.set_buffer_limit(None);
        let wire = &self.wire;
        let late = Record {
            end: wire.handed_over,
            plaintext: wire.handed_over - wire.written.unwrap_or(wire.handed_over),
        };
        let record = max_fragment.map_or(RECORD, |most| most.saturating_sub(RECORD_HEADER));
        self.tls = Tls::On(Box::new(Channel {
            session,
            record: record.clamp(1, RECORD),
            own_certificate: None,
            verifies: false,
            ciphertext: Vec::new(),
            taken: 0,
            pending: VecDeque::new(),
            unwritten: VecDeque::from([late]),
            untold: wire.written.map_or(wire.handed_over, |_| 0),
            plaintext: Vec::new(),
            first_byte_tells: after_plaintext,
            injected: false,
            not_tls: None,
            heard: false,
            established: false,
            close_notify_sent: false,
            close_notify_received: false,
            failed: false,
            dropped: false,
        }));
    }

    /// Tells that the peer's certificate is verified.
    pub(crate) fn verifies(&mut self) {
        if let Tls::On(channel) = &mut self.tls {
            channel.verifies = true;
        }
    }

    /// Tells which certificate the server's side shows.
    #[cfg(feature = "server")]
    pub(crate) fn shows(&mut self, certificate: Option<CertificateDer<'static>>) {
        if let Tls::On(channel) = &mut self.tls {
            channel.own_certificate = certificate;
        }
    }

    pub(crate) fn session(&self) -> Option<&rustls::Connection> {
        match &self.tls {
            Tls::Off => None,
            Tls::On(channel) => Some(&channel.session),
        }
    }

    pub(crate) fn handle_input(&mut self, now: Instant, input: &[u8]) {
        match &mut self.tls {
            Tls::Off => self.machine.handle_input(now, input),
            Tls::On(channel) => channel.handle_input(&mut self.machine, now, input),
        }
    }

    pub(crate) fn handle_transport_error(&mut self, now: Instant, error: TransportError) {
        if !self.fail_for_plaintext(now) {
            self.machine.handle_transport_error(now, error);
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        let overdue = self.plaintext_deadline().is_some_and(|due| due <= now);
        if !(overdue && self.fail_for_plaintext(now)) {
            self.machine.handle_timeout(now);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let deadlines = [self.machine.poll_timeout(), self.plaintext_deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// Until when the rest of a line in plaintext is waited for.
    fn plaintext_deadline(&self) -> Option<Instant> {
        match &self.tls {
            Tls::Off => None,
            Tls::On(channel) => channel.not_tls.as_ref().map(|said| said.since + PATIENCE),
        }
    }

    fn fail_for_plaintext(&mut self, now: Instant) -> bool {
        match &mut self.tls {
            Tls::Off => false,
            Tls::On(channel) => channel.fail_for_plaintext(&mut self.machine, now),
        }
    }

    pub(crate) fn handle_eof(&mut self, now: Instant) {
        if self.fail_for_plaintext(now) {
            return;
        }
        match &self.tls {
            Tls::On(channel) if channel.established && !channel.close_notify_received => {
                self.machine
                    .handle_transport_error(now, Arc::new(Truncated));
            }
            _ => self.machine.handle_eof(now),
        }
    }

    pub(crate) fn output(&mut self) -> impl Buf + Send {
        let Self { machine, tls, wire } = self;
        match tls {
            Tls::Off => Flight::Plaintext {
                output: machine.output(),
                wire,
            },
            Tls::On(channel) => {
                channel.encrypt(machine, wire);
                Flight::Ciphertext(Ciphertext {
                    channel,
                    machine,
                    wire,
                })
            }
        }
    }

    pub(crate) fn handle_written(&mut self, now: Instant, octets: usize) {
        let written = self.wire.written.unwrap_or(0).saturating_add(octets as u64);
        let written = written.min(self.wire.handed_over);
        self.wire.written = Some(written);
        match &mut self.tls {
            Tls::Off => self.machine.handle_written(now, octets),
            Tls::On(channel) => channel.handle_written(&mut self.machine, &self.wire, now, octets),
        }
    }
}

impl Channel {
    fn handle_input<E: Upgradable>(&mut self, machine: &mut E, now: Instant, mut input: &[u8]) {
        if self.injected {
            return machine.injected(now, input);
        }
        if input.is_empty() || self.failed {
            return;
        }
        if self.first_byte_tells {
            self.first_byte_tells = false;
            const ALERT: u8 = 21;
            const HANDSHAKE: u8 = 22;
            if !matches!(input[0], ALERT | HANDSHAKE) {
                self.failed = true;
                self.injected = true;
                return machine.injected(now, input);
            }
        }
        if !self.heard || self.not_tls.is_some() {
            self.heard = true;
            // The content types of TLS: from change_cipher_spec to application_data.
            if self.not_tls.is_some() || !matches!(input[0], 20..=23) {
                return self.hear_plaintext(machine, now, input);
            }
        }
        while !input.is_empty() {
            // Reading from memory fails only where decrypted text piles up, and
            // that is taken away in each round.
            if let Err(error) = self.session.read_tls(&mut input) {
                self.failed = true;
                let error = TlsFailure::from(rustls::Error::General(error.to_string()));
                return machine.tls_failed(now, Arc::new(error));
            }
            let processed = self.session.process_new_packets();
            if processed.is_ok() && !self.established && !self.session.is_handshaking() {
                self.established = true;
                let info = info(&self.session, self.own_certificate.as_ref());
                machine.tls_established(now, info.with_certificate_verified(self.verifies));
            }
            self.deliver(machine, now);
            match processed {
                Ok(state) => {
                    if state.peer_has_closed() && !self.close_notify_received {
                        self.close_notify_received = true;
                        machine.handle_eof(now);
                    }
                }
                Err(error) => {
                    self.failed = true;
                    return machine.tls_failed(now, Arc::new(TlsFailure::from(error)));
                }
            }
        }
    }

    /// Keeps the beginning of the line that came in plaintext: what is said of it is the
    /// same however it came in pieces.
    fn hear_plaintext<E: Upgradable>(&mut self, machine: &mut E, now: Instant, input: &[u8]) {
        let plaintext = self.not_tls.get_or_insert_with(|| Plaintext {
            said: Vec::new(),
            since: now,
        });
        let said = &mut plaintext.said;
        let end = input.iter().position(|octet| *octet == b'\n');
        let line = &input[..end.unwrap_or(input.len())];
        said.extend_from_slice(&line[..line.len().min(QUOTED - said.len())]);
        if end.is_some() || said.len() == QUOTED {
            self.fail_for_plaintext(machine, now);
        }
    }

    /// Says whether it did.
    fn fail_for_plaintext<E: Upgradable>(&mut self, machine: &mut E, now: Instant) -> bool {
        let Some(Plaintext { said, .. }) = self.not_tls.take() else {
            return false;
        };
        self.failed = true;
        let said = said.strip_suffix(b"\r").unwrap_or(&said);
        let said = said.escape_ascii().to_string();
        machine.tls_failed(now, Arc::new(TlsFailure::plaintext(said)));
        true
    }

    fn deliver<E: Upgradable>(&mut self, machine: &mut E, now: Instant) {
        self.plaintext.resize(DECRYPTED, 0);
        while let Ok(octets) = self.session.reader().read(&mut self.plaintext) {
            if octets == 0 {
                break;
            }
            machine.handle_input(now, &self.plaintext[..octets]);
        }
    }

    /// Refills the ciphertext once all of it was handed over.
    fn encrypt<E: Upgradable>(&mut self, machine: &mut E, wire: &Wire) {
        if E::TAKES_BACK && machine.is_closed() && !self.pending.is_empty() {
            // What these records hold is reported as not sent, and nothing may follow a
            // record that is left out.
            self.pending.clear();
            self.ciphertext.truncate(self.taken);
            self.dropped = true;
        }
        if self.taken < self.ciphertext.len() {
            return;
        }
        self.ciphertext.clear();
        self.taken = 0;
        if self.dropped {
            return;
        }
        if self.established && !self.failed {
            let mut gathered = 0;
            while gathered < WINDOW {
                let output = machine.output_for_tls();
                if !output.has_remaining() {
                    break;
                }
                let mut output = output.take(self.record);
                let mut slices = [IoSlice::new(&[]); SLICES];
                let filled = output.chunks_vectored(&mut slices);
                // Writing to memory, without a limit: all of it is taken.
                let Ok(octets) = self.session.writer().write_vectored(&slices[..filled]) else {
                    break;
                };
                output.advance(octets);
                gathered += octets;
                self.collect();
                self.pending.push_back(Record {
                    end: wire.handed_over + self.ciphertext.len() as u64,
                    plaintext: octets as u64,
                });
            }
        }
        if machine.is_closed() && !self.close_notify_sent {
            self.close_notify_sent = true;
            self.session.send_close_notify();
        }
        self.collect();
        machine.tls_progress(0, !self.ciphertext.is_empty() || !wire.is_written());
    }

    /// Takes over what was encrypted.
    fn collect(&mut self) {
        while self.session.wants_write() {
            // Writing to memory does not fail.
            if self.session.write_tls(&mut self.ciphertext).is_err() {
                debug_assert!(false, "a vector takes all octets");
                break;
            }
        }
    }

    fn hand_over<E: Upgradable>(&mut self, machine: &mut E, wire: &mut Wire, octets: usize) {
        let octets = octets.min(self.ciphertext.len() - self.taken);
        self.taken += octets;
        wire.handed_over += octets as u64;
        while let Some(record) = take_record(&mut self.pending, wire.handed_over) {
            machine.handed_over(record.plaintext as usize);
            match wire.written {
                Some(_) => self.unwritten.push_back(record),
                None => self.untold += record.plaintext,
            }
        }
        let progress = if wire.written.is_none() { octets } else { 0 };
        let waits = self.taken < self.ciphertext.len() || !wire.is_written();
        machine.tls_progress(progress, waits);
    }

    fn handle_written<E: Upgradable>(
        &mut self,
        machine: &mut E,
        wire: &Wire,
        now: Instant,
        octets: usize,
    ) {
        let waits = self.taken < self.ciphertext.len() || !wire.is_written();
        machine.tls_progress(octets, waits);
        let mut plaintext = std::mem::take(&mut self.untold);
        let written = wire.written.unwrap_or(wire.handed_over);
        while let Some(record) = take_record(&mut self.unwritten, written) {
            plaintext += record.plaintext;
        }
        machine.handle_written(now, plaintext as usize);
    }
}

fn info(session: &rustls::Connection, own_certificate: Option<&CertificateDer<'_>>) -> TlsInfo {
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "unknown",
    };
    let cipher = session
        .negotiated_cipher_suite()
        .and_then(|suite| suite.suite().as_str())
        .unwrap_or("unknown");
    let info = TlsInfo::new(version, cipher);
    match channel_binding(session, own_certificate) {
        Some(binding) => info.with_channel_binding(binding),
        None => info,
    }
}

struct Ciphertext<'a, E> {
    channel: &'a mut Channel,
    machine: &'a mut E,
    wire: &'a mut Wire,
}

impl<E: Upgradable> Buf for Ciphertext<'_, E> {
    fn remaining(&self) -> usize {
        self.chunk().len()
    }

    fn chunk(&self) -> &[u8] {
        &self.channel.ciphertext[self.channel.taken..]
    }

    fn advance(&mut self, octets: usize) {
        self.channel.hand_over(self.machine, self.wire, octets);
    }
}
