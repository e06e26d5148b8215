//! A plaintext state machine and the rustls session around it.
//!
//! Moves bytes between the two and reports the progress of TLS to the machine. Must never know
//! a command or a reply: the machine knows the meaning of STARTTLS.
//!
//! Output of the machine counts as handed over, or written, when the last octet of its *record*
//! is: before that the peer cannot decrypt it. Octets that are encrypted and not handed over
//! when the session ends are dropped.

use std::collections::VecDeque;
use std::io::{BufRead, IoSlice, Write};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use postwire_proto::{Endpoint, Instant, TlsInfo, TransportError};
use rustls::pki_types::CertificateDer;
use rustls::{CommonState, HandshakeKind, ProtocolVersion, Side};

mod wire;

use wire::{Record, TlsOutput, WirePositions, pop_record_until};

use crate::TlsFailure;
use crate::channel_binding::channel_binding;
use crate::session::TlsSession;

/// The plaintext of a full record (RFC 8446 §5.1).
const RECORD: usize = 16 * 1024;

/// The octets that a record adds to its content, as rustls counts them.
const RECORD_HEADER: usize = 5;

/// The time limit for the rest of a plaintext line.
const PLAINTEXT_LINE_TIMEOUT: Duration = Duration::from_secs(5);

/// The number of octets that are quoted from a peer that does not speak TLS.
const QUOTED: usize = 100;

/// The plaintext that is collected before it is encrypted: four full records.
const WINDOW: usize = 64 * 1024;

/// The largest buffer of encrypted octets that an idle session keeps.
const KEPT: usize = 1024;

/// The number of slices that are collected at once; `bytes` produces no more.
const SLICES: usize = 16;

/// What [`TlsLayer`] needs from a plaintext machine.
pub(crate) trait PlaintextMachine: Endpoint + Send {
    /// The role of the machine.
    const ROLE: Side;

    /// Whether TLS is to be established now.
    fn is_awaiting_tls(&self) -> bool;
    fn tls_established(&mut self, now: Instant, info: TlsInfo);
    fn tls_failed(&mut self, now: Instant, failure: TlsFailure);
    /// These octets of the peer as an error may quote them.
    fn quoted(&self, octets: &[u8]) -> String;
    /// Reports that these plaintext octets arrived where TLS should begin.
    fn handle_injection(&mut self, now: Instant, received: &[u8]);
    /// The output to encrypt. Advancing it does not hand anything over yet.
    fn output_for_tls(&mut self) -> impl Buf + Send;
    /// Reports that `octets` more of the encrypted output are handed over.
    fn handed_over(&mut self, octets: usize);
    /// Reports that TLS wrote `octets` more of its own, and whether more are waiting.
    fn tls_progress(&mut self, octets: usize, waits: bool);
}

#[derive(Debug)]
pub(crate) struct TlsLayer<E> {
    pub(crate) machine: E,
    tls: Tls,
    wire: WirePositions,
}

#[derive(Debug)]
enum Tls {
    /// Plaintext, perhaps for the whole session.
    Off,
    On(Box<Channel>),
}

#[derive(Debug)]
struct Channel<S: ?Sized = dyn TlsSession> {
    /// The certificate of a server; the rustls session does not provide it.
    own_certificate: Option<CertificateDer<'static>>,
    /// Whether the session is only established if the peer's certificate is valid.
    verifies: bool,
    /// The plaintext that fits in one record.
    record: usize,
    /// Encrypted octets; those before `taken` are handed over.
    ciphertext: Vec<u8>,
    taken: usize,
    /// The records of the machine's output that are not handed over.
    pending: VecDeque<Record>,
    /// The records that are handed over and not written; only if the driver reports writes.
    unwritten: VecDeque<Record>,
    /// The machine's octets that were handed over before the driver first reported a write.
    unreported: u64,
    /// Whether the peer's first byte is still to come after a plaintext phase.
    checks_first_byte: bool,
    /// Whether the first byte was not TLS: the machine receives the rest unchanged.
    injected: bool,
    /// The plaintext that the peer sent instead of TLS so far.
    not_tls: Option<Plaintext>,
    has_received: bool,
    established: bool,
    close_notify_sent: bool,
    close_notify_received: bool,
    failed: bool,
    /// Whether records were dropped: nothing more is written.
    dropped: bool,
    session: S,
}

/// The beginning of a line that a peer sent in plaintext, and when it began.
#[derive(Debug)]
struct Plaintext {
    received: Vec<u8>,
    since: Instant,
}

/// The peer closed the connection without the `close_notify` of TLS: data may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncated;

impl std::fmt::Display for Truncated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection was closed before the end of its TLS session (close_notify)")
    }
}

impl std::error::Error for Truncated {}

impl<E: PlaintextMachine> TlsLayer<E> {
    pub(crate) fn new(machine: E) -> Self {
        Self {
            machine,
            tls: Tls::Off,
            wire: WirePositions::default(),
        }
    }

    /// Whether the machine asks for TLS and has none; call [`start_tls`](Self::start_tls).
    pub(crate) fn wants_session(&self) -> bool {
        matches!(self.tls, Tls::Off) && self.machine.is_awaiting_tls()
    }

    /// Begins TLS. `after_plaintext` is set after STARTTLS; `max_fragment` comes from the
    /// configuration.
    pub(crate) fn start_tls(
        &mut self,
        mut session: impl TlsSession + 'static,
        after_plaintext: bool,
        max_fragment: Option<usize>,
    ) {
        session.set_buffer_limit(None);
        let wire = &self.wire;
        let late = Record {
            end: wire.handed_over,
            plaintext: wire.handed_over - wire.written.unwrap_or(wire.handed_over),
        };
        let record = max_fragment.map_or(RECORD, |most| most.saturating_sub(RECORD_HEADER));
        self.tls = Tls::On(Box::new(Channel {
            record: record.clamp(1, RECORD),
            own_certificate: None,
            verifies: false,
            ciphertext: Vec::new(),
            taken: 0,
            pending: VecDeque::new(),
            unwritten: VecDeque::from([late]),
            unreported: wire.written.map_or(wire.handed_over, |_| 0),
            checks_first_byte: after_plaintext,
            injected: false,
            not_tls: None,
            has_received: false,
            established: false,
            close_notify_sent: false,
            close_notify_received: false,
            failed: false,
            dropped: false,
            session,
        }));
    }

    /// Records that the peer's certificate is verified.
    pub(crate) fn set_certificate_verified(&mut self) {
        if let Tls::On(channel) = &mut self.tls {
            channel.verifies = true;
        }
    }

    /// Records the certificate that the server presents.
    #[cfg(feature = "server")]
    pub(crate) fn set_own_certificate(&mut self, certificate: Option<CertificateDer<'static>>) {
        if let Tls::On(channel) = &mut self.tls {
            channel.own_certificate = certificate;
        }
    }

    pub(crate) fn session(&self) -> Option<&CommonState> {
        match &self.tls {
            Tls::Off => None,
            Tls::On(channel) => Some(channel.session.state()),
        }
    }

    pub(crate) fn handle_input(&mut self, now: Instant, input: &[u8]) {
        match &mut self.tls {
            Tls::Off => self.machine.handle_input(now, input),
            Tls::On(channel) => channel.handle_input(&mut self.machine, now, input),
        }
        if self.machine.is_idle() {
            self.release_memory();
        }
    }

    pub(crate) fn handle_transport_error(&mut self, now: Instant, error: TransportError) {
        if !self.fail_for_plaintext(now) {
            self.machine.handle_transport_error(now, error);
        }
    }

    /// Releases the buffer of encrypted octets if it is large and all of them are handed over.
    pub(crate) fn release_memory(&mut self) {
        if let Tls::On(channel) = &mut self.tls
            && channel.taken == channel.ciphertext.len()
            && channel.ciphertext.capacity() > KEPT
        {
            channel.ciphertext = Vec::new();
            channel.taken = 0;
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

    /// The deadline for the rest of a plaintext line.
    fn plaintext_deadline(&self) -> Option<Instant> {
        match &self.tls {
            Tls::Off => None,
            Tls::On(channel) => channel
                .not_tls
                .as_ref()
                .map(|received| received.since + PLAINTEXT_LINE_TIMEOUT),
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
            Tls::Off => TlsOutput::Plaintext {
                output: machine.output(),
                wire,
            },
            Tls::On(channel) => {
                channel.encrypt(machine, wire);
                TlsOutput::Ciphertext(Ciphertext {
                    channel,
                    machine,
                    wire,
                })
            }
        }
    }

    pub(crate) fn output_chunk(&mut self) -> &[u8] {
        let Self { machine, tls, wire } = self;
        match tls {
            Tls::Off => machine.output_chunk(),
            Tls::On(channel) => {
                channel.encrypt(machine, wire);
                &channel.ciphertext[channel.taken..]
            }
        }
    }

    pub(crate) fn next_chunk(&mut self, most: usize) -> Bytes {
        let Self { machine, tls, wire } = self;
        match tls {
            Tls::Off => {
                let chunk = machine.next_chunk(most);
                wire.handed_over += chunk.len() as u64;
                chunk
            }
            Tls::On(channel) => {
                channel.encrypt(machine, wire);
                channel.take(machine, wire, most)
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
    fn handle_input<E: PlaintextMachine>(
        &mut self,
        machine: &mut E,
        now: Instant,
        mut input: &[u8],
    ) {
        if self.injected {
            return machine.handle_injection(now, input);
        }
        if input.is_empty() || self.failed {
            return;
        }
        if self.checks_first_byte {
            self.checks_first_byte = false;
            const ALERT: u8 = 21;
            const HANDSHAKE: u8 = 22;
            if !matches!(input[0], ALERT | HANDSHAKE) {
                self.failed = true;
                self.injected = true;
                return machine.handle_injection(now, input);
            }
        }
        if !self.has_received || self.not_tls.is_some() {
            self.has_received = true;
            // The content types of TLS, from change_cipher_spec to application_data.
            if self.not_tls.is_some() || !matches!(input[0], 20..=23) {
                return self.collect_plaintext(machine, now, input);
            }
        }
        while !input.is_empty() {
            // Reading from memory fails only if decrypted text piles up, and each round takes
            // all of it.
            if let Err(error) = self.session.read_tls(&mut input) {
                self.failed = true;
                let error = TlsFailure::from(rustls::Error::General(error.to_string()));
                return machine.tls_failed(now, error);
            }
            let processed = self.session.process_new_packets();
            if processed.is_ok() && !self.established && !self.session.state().is_handshaking() {
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
                    return machine.tls_failed(now, TlsFailure::from(error));
                }
            }
        }
    }

    /// Keeps the beginning of a line that arrived in plaintext, so that the error does not
    /// depend on how the line is cut.
    fn collect_plaintext<E: PlaintextMachine>(
        &mut self,
        machine: &mut E,
        now: Instant,
        input: &[u8],
    ) {
        let plaintext = self.not_tls.get_or_insert_with(|| Plaintext {
            received: Vec::new(),
            since: now,
        });
        let received = &mut plaintext.received;
        let end = input.iter().position(|octet| *octet == b'\n');
        let line = &input[..end.unwrap_or(input.len())];
        received.extend_from_slice(&line[..line.len().min(QUOTED - received.len())]);
        if end.is_some() || received.len() == QUOTED {
            self.fail_for_plaintext(machine, now);
        }
    }

    /// Returns whether the session failed.
    fn fail_for_plaintext<E: PlaintextMachine>(&mut self, machine: &mut E, now: Instant) -> bool {
        let Some(Plaintext { received, .. }) = self.not_tls.take() else {
            return false;
        };
        self.failed = true;
        let mut received = received.strip_suffix(b"\r").unwrap_or(&received);
        if E::ROLE == Side::Server {
            // The command of a client may hold a password: only its name is shown.
            let mut words = received.split(u8::is_ascii_whitespace);
            received = words.next().unwrap_or_default();
        }
        let received = machine.quoted(received);
        machine.tls_failed(now, TlsFailure::plaintext(received));
        true
    }

    fn deliver<E: PlaintextMachine>(&mut self, machine: &mut E, now: Instant) {
        let mut reader = self.session.reader();
        while let Ok(text) = reader.fill_buf()
            && !text.is_empty()
        {
            machine.handle_input(now, text);
            let octets = text.len();
            reader.consume(octets);
        }
    }

    /// Refills the ciphertext once all of it is handed over.
    fn encrypt<E: PlaintextMachine>(&mut self, machine: &mut E, wire: &WirePositions) {
        // A client reports the messages of octets that are not handed over as not sent, while a server
        // still sends its goodbye.
        if E::ROLE == Side::Client && machine.is_closed() && !self.pending.is_empty() {
            // The content of these records is reported as not sent, and no record may follow
            // one that is left out.
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
                // Writing to memory without a limit accepts all octets.
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
            self.session.state_mut().send_close_notify();
        }
        self.collect();
        machine.tls_progress(0, !self.ciphertext.is_empty() || !wire.is_written());
    }

    /// Collects the encrypted octets.
    fn collect(&mut self) {
        while self.session.state().wants_write() {
            // Writing to memory never fails.
            if self.session.write_tls(&mut self.ciphertext).is_err() {
                debug_assert!(false, "a vector takes all octets");
                break;
            }
        }
    }

    /// Hands octets over that the caller owns: the whole flight without a copy.
    fn take<E: PlaintextMachine>(
        &mut self,
        machine: &mut E,
        wire: &mut WirePositions,
        octets: usize,
    ) -> Bytes {
        let waiting = &self.ciphertext[self.taken..];
        if self.taken == 0 && octets >= waiting.len() {
            self.hand_over(machine, wire, octets);
            self.taken = 0;
            return Bytes::from(std::mem::take(&mut self.ciphertext));
        }
        let piece = Bytes::copy_from_slice(waiting.get(..octets).unwrap_or(waiting));
        self.hand_over(machine, wire, piece.len());
        piece
    }

    fn hand_over<E: PlaintextMachine>(
        &mut self,
        machine: &mut E,
        wire: &mut WirePositions,
        octets: usize,
    ) {
        let octets = octets.min(self.ciphertext.len() - self.taken);
        self.taken += octets;
        wire.handed_over += octets as u64;
        while let Some(record) = pop_record_until(&mut self.pending, wire.handed_over) {
            machine.handed_over(record.plaintext as usize);
            match wire.written {
                Some(_) => self.unwritten.push_back(record),
                None => self.unreported += record.plaintext,
            }
        }
        let progress = if wire.written.is_none() { octets } else { 0 };
        let waits = self.taken < self.ciphertext.len() || !wire.is_written();
        machine.tls_progress(progress, waits);
    }

    fn handle_written<E: PlaintextMachine>(
        &mut self,
        machine: &mut E,
        wire: &WirePositions,
        now: Instant,
        octets: usize,
    ) {
        let waits = self.taken < self.ciphertext.len() || !wire.is_written();
        machine.tls_progress(octets, waits);
        let mut plaintext = std::mem::take(&mut self.unreported);
        let written = wire.written.unwrap_or(wire.handed_over);
        while let Some(record) = pop_record_until(&mut self.unwritten, written) {
            plaintext += record.plaintext;
        }
        machine.handle_written(now, plaintext as usize);
    }
}

fn info(session: &dyn TlsSession, own_certificate: Option<&CertificateDer<'static>>) -> TlsInfo {
    let state = session.state();
    let version = match state.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "unknown",
    };
    let cipher = state
        .negotiated_cipher_suite()
        .and_then(|suite| suite.suite().as_str())
        .unwrap_or("unknown");
    let resumed = state.handshake_kind() == Some(HandshakeKind::Resumed);
    let info = TlsInfo::new(version, cipher).with_resumed(resumed);
    match channel_binding(session, own_certificate) {
        Some(binding) => info.with_channel_binding(binding),
        None => info,
    }
}

struct Ciphertext<'a, E> {
    channel: &'a mut Channel,
    machine: &'a mut E,
    wire: &'a mut WirePositions,
}

impl<E: PlaintextMachine> Buf for Ciphertext<'_, E> {
    fn remaining(&self) -> usize {
        self.chunk().len()
    }

    fn chunk(&self) -> &[u8] {
        &self.channel.ciphertext[self.channel.taken..]
    }

    fn advance(&mut self, octets: usize) {
        self.channel.hand_over(self.machine, self.wire, octets);
    }

    fn copy_to_bytes(&mut self, octets: usize) -> Bytes {
        assert!(octets <= self.remaining(), "more octets than there are");
        self.channel.take(self.machine, self.wire, octets)
    }
}
