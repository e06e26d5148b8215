//! A plaintext state machine and the rustls session around it.
//!
//! Moves bytes between the two and tells the machine how TLS fares. Knows no
//! command and no reply: what STARTTLS means is the machine's affair.

use std::io::{IoSlice, Read, Write};
use std::sync::Arc;

use bytes::Buf;
use postwire_proto::{Endpoint, Instant, TlsInfo, TransportError};
use rustls::ProtocolVersion;
use rustls::pki_types::CertificateDer;

use crate::channel_binding::channel_binding;

/// Plaintext gathered before it is encrypted: four full records.
const WINDOW: usize = 64 * 1024;

/// How much decrypted text is handed over at once: more than most replies.
const DECRYPTED: usize = 4 * 1024;

/// How many slices are gathered at once; `bytes` cuts no more than these.
const SLICES: usize = 16;

/// What [`Secured`] must be able to tell a plaintext machine.
pub(crate) trait Upgradable: Endpoint {
    /// Whether TLS is to be established now.
    fn is_awaiting_tls(&self) -> bool;
    fn tls_established(&mut self, now: Instant, info: TlsInfo);
    fn tls_failed(&mut self, now: Instant, error: TransportError);
    /// Plaintext came where TLS was to begin.
    fn injected(&mut self, now: Instant);
}

#[derive(Debug)]
pub(crate) struct Secured<E> {
    pub(crate) machine: E,
    tls: Tls,
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
    /// Encrypted and not yet taken.
    ciphertext: Vec<u8>,
    taken: usize,
    plaintext: Vec<u8>,
    /// Whether the peer's first byte is still to come, and plaintext went before.
    first_byte_tells: bool,
    established: bool,
    close_notify_sent: bool,
    close_notify_received: bool,
    failed: bool,
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
        }
    }

    /// Whether the machine wants TLS and has none: [`secure`](Self::secure) it.
    pub(crate) fn wants_session(&self) -> bool {
        matches!(self.tls, Tls::Off) && self.machine.is_awaiting_tls()
    }

    /// Begins TLS. `after_plaintext` after STARTTLS.
    pub(crate) fn secure(&mut self, session: rustls::Connection, after_plaintext: bool) {
        let mut session = session;
        session.set_buffer_limit(None);
        self.tls = Tls::On(Box::new(Channel {
            session,
            own_certificate: None,
            verifies: false,
            ciphertext: Vec::new(),
            taken: 0,
            plaintext: Vec::new(),
            first_byte_tells: after_plaintext,
            established: false,
            close_notify_sent: false,
            close_notify_received: false,
            failed: false,
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

    pub(crate) fn handle_eof(&mut self, now: Instant) {
        match &self.tls {
            Tls::On(channel) if channel.established && !channel.close_notify_received => {
                self.machine
                    .handle_transport_error(now, Arc::new(Truncated));
            }
            _ => self.machine.handle_eof(now),
        }
    }

    pub(crate) fn output(&mut self) -> impl Buf {
        match &mut self.tls {
            Tls::Off => Flight::Plaintext(self.machine.output()),
            Tls::On(channel) => {
                channel.encrypt(&mut self.machine);
                Flight::Ciphertext(Ciphertext(channel))
            }
        }
    }
}

impl Channel {
    fn handle_input<E: Upgradable>(&mut self, machine: &mut E, now: Instant, mut input: &[u8]) {
        if input.is_empty() || self.failed {
            return;
        }
        if self.first_byte_tells {
            self.first_byte_tells = false;
            const ALERT: u8 = 21;
            const HANDSHAKE: u8 = 22;
            if !matches!(input[0], ALERT | HANDSHAKE) {
                self.failed = true;
                return machine.injected(now);
            }
        }
        while !input.is_empty() {
            // Reading from memory fails only where decrypted text piles up, and
            // that is taken away in each round.
            if let Err(error) = self.session.read_tls(&mut input) {
                self.failed = true;
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
                    return machine.tls_failed(now, Arc::new(error));
                }
            }
        }
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

    /// Refills the ciphertext once all of it was taken.
    fn encrypt<E: Upgradable>(&mut self, machine: &mut E) {
        if self.taken < self.ciphertext.len() {
            return;
        }
        self.ciphertext.clear();
        self.taken = 0;
        if self.established && !self.failed {
            let mut gathered = 0;
            while gathered < WINDOW {
                let output = machine.output();
                if !output.has_remaining() {
                    break;
                }
                let mut output = output.take(WINDOW - gathered);
                let mut slices = [IoSlice::new(&[]); SLICES];
                let filled = output.chunks_vectored(&mut slices);
                // Writing to memory, without a limit: all of it is taken.
                let Ok(octets) = self.session.writer().write_vectored(&slices[..filled]) else {
                    break;
                };
                output.advance(octets);
                gathered += octets;
            }
        }
        if machine.is_closed() && !self.close_notify_sent {
            self.close_notify_sent = true;
            self.session.send_close_notify();
        }
        while self.session.wants_write() {
            if self.session.write_tls(&mut self.ciphertext).is_err() {
                break;
            }
        }
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

/// What is to be written, of either kind.
enum Flight<P, C> {
    Plaintext(P),
    Ciphertext(C),
}

impl<P: Buf, C: Buf> Buf for Flight<P, C> {
    fn remaining(&self) -> usize {
        match self {
            Self::Plaintext(output) => output.remaining(),
            Self::Ciphertext(output) => output.remaining(),
        }
    }

    fn chunk(&self) -> &[u8] {
        match self {
            Self::Plaintext(output) => output.chunk(),
            Self::Ciphertext(output) => output.chunk(),
        }
    }

    fn chunks_vectored<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        match self {
            Self::Plaintext(output) => output.chunks_vectored(into),
            Self::Ciphertext(output) => output.chunks_vectored(into),
        }
    }

    fn advance(&mut self, octets: usize) {
        match self {
            Self::Plaintext(output) => output.advance(octets),
            Self::Ciphertext(output) => output.advance(octets),
        }
    }
}

struct Ciphertext<'a>(&'a mut Channel);

impl Buf for Ciphertext<'_> {
    fn remaining(&self) -> usize {
        self.chunk().len()
    }

    fn chunk(&self) -> &[u8] {
        &self.0.ciphertext[self.0.taken..]
    }

    fn advance(&mut self, octets: usize) {
        self.0.taken += octets.min(self.remaining());
    }
}
