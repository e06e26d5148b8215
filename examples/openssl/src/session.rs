//! The client, OpenSSL in memory below it, and the socket below both.
//!
//! Knows the order in which octets pass between them. Must never know what is sent.

use std::collections::VecDeque;
use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use openssl::error::ErrorStack;
use openssl::ssl::{ErrorCode, Ssl, SslCipherRef, SslRef, SslStream};
use openssl::x509::X509VerifyResult;
use postwire_proto::{ChannelBinding, Client, Clock, Endpoint, Event, Instant, Report, TlsInfo};

/// The most plaintext that one TLS record holds, in octets.
const RECORD: usize = 16 * 1024;

/// A write fails after this time without progress.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// The shortest wait for input: zero would mean no limit to the socket.
const LEAST_WAIT: Duration = Duration::from_millis(1);

/// A client and the TLS below it.
pub(crate) struct Session {
    client: Client,
    tls: SslStream<Pipe>,
    /// Whether the octets on the socket are those of TLS.
    has_begun: bool,
}

impl Session {
    /// Makes the session. TLS begins when the client asks for it.
    pub(crate) fn new(client: Client, ssl: Ssl) -> Result<Self, ErrorStack> {
        Ok(Self {
            client,
            tls: SslStream::new(ssl, Pipe::default())?,
            has_begun: false,
        })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Runs the session until it is over. Returns the report of its message.
    pub(crate) fn drive(&mut self, socket: &mut TcpStream) -> io::Result<Option<Report>> {
        let clock = Clock::new();
        let mut input = [0; RECORD];
        let mut report = None;
        let mut is_writable = true;
        socket.set_write_timeout(Some(WRITE_TIMEOUT))?;
        'session: loop {
            // After a failed write: the server may have sent a reply before it closed.
            is_writable = is_writable && self.write(socket).is_ok();
            // The deadlines of what was just written start.
            self.client.handle_timeout(clock.now());
            while let Some(event) = self.client.poll_event() {
                if let Event::StartTls = event {
                    self.has_begun = true;
                    self.handshake(clock.now());
                    continue 'session;
                } else if let Event::Report(of_message) = event {
                    report = Some(of_message);
                }
            }
            if self.client.is_closed() {
                return Ok(report);
            }
            let deadline = self.client.poll_timeout();
            let wait = deadline.map(|at| at.saturating_duration_since(clock.now()));
            socket.set_read_timeout(wait.map(|wait| wait.max(LEAST_WAIT)))?;
            let read = socket.read(&mut input);
            let now = clock.now();
            match read {
                Ok(0) => self.client.handle_eof(now),
                Ok(octets) if self.has_begun => self.receive(now, &input[..octets]),
                Ok(octets) => self.client.handle_input(now, &input[..octets]),
                Err(error) => match error.kind() {
                    WouldBlock | TimedOut | Interrupted => self.client.handle_timeout(now),
                    _ => self.client.handle_transport_error(now, Arc::new(error)),
                },
            }
        }
    }

    /// Begins the handshake, or continues it with what arrived.
    fn handshake(&mut self, now: Instant) {
        match self.tls.connect().map(|()| describe(self.tls.ssl())) {
            // Refused only if the session ended in the meantime.
            Ok(Ok(info)) => drop(self.client.handle_tls_established(now, info)),
            Ok(Err(error)) => self.client.handle_tls_failed(now, Arc::new(error)),
            Err(error) if error.code() == ErrorCode::WANT_READ => {}
            Err(error) => self.client.handle_tls_failed(now, Arc::new(error)),
        }
    }

    /// Takes octets of TLS.
    fn receive(&mut self, now: Instant, input: &[u8]) {
        // TLS begins with an alert or a handshake. Anything else was injected before it.
        let pipe = self.tls.get_mut();
        if !pipe.has_received && !matches!(input[0], 21 | 22) {
            return self.client.handle_starttls_injection(now, input);
        }
        pipe.has_received = true;
        pipe.received.extend(input);
        if self.client.is_awaiting_tls() {
            self.handshake(now);
        }
        let mut plaintext = [0; RECORD];
        while !self.client.is_awaiting_tls() && !self.client.is_closed() {
            match self.tls.ssl_read(&mut plaintext) {
                Ok(octets) => self.client.handle_input(now, &plaintext[..octets]),
                Err(error) => match error.code() {
                    ErrorCode::WANT_READ => return,
                    ErrorCode::ZERO_RETURN => return self.client.handle_eof(now),
                    _ => return self.client.handle_tls_failed(now, Arc::new(error)),
                },
            }
        }
    }

    /// Writes everything that is to be written.
    fn write(&mut self, socket: &mut TcpStream) -> io::Result<()> {
        while !self.has_begun && !self.client.output_chunk().is_empty() {
            let octets = socket.write(self.client.output_chunk())?;
            self.client.advance_output(octets);
        }
        self.tls.get_mut().send(socket)?;
        while self.has_begun && !self.client.is_awaiting_tls() {
            let mut output = self.client.output_for_tls();
            let most = output.chunk().len().min(RECORD);
            if most == 0 {
                break;
            }
            let written = self.tls.ssl_write(&output.chunk()[..most]);
            let octets = written.map_err(io::Error::other)?;
            output.advance(octets);
            drop(output);
            // Without the end of its record, the server cannot read any octet of it.
            self.tls.get_mut().send(socket)?;
            self.client.handle_handed_over(octets);
        }
        Ok(())
    }
}

/// Describes an established session of TLS 1.3.
fn describe(ssl: &SslRef) -> Result<TlsInfo, ErrorStack> {
    let cipher = ssl.current_cipher().and_then(SslCipherRef::standard_name);
    let mut exported = vec![0; 32];
    ssl.export_keying_material(&mut exported, "EXPORTER-Channel-Binding", Some(&[]))?;
    Ok(
        TlsInfo::new(ssl.version_str(), cipher.unwrap_or_default().to_owned())
            .with_certificate_verified(ssl.verify_result() == X509VerifyResult::OK)
            .with_channel_binding(ChannelBinding::TlsExporter(exported)),
    )
}

/// The transport below OpenSSL, in memory.
#[derive(Default)]
struct Pipe {
    has_received: bool,
    received: VecDeque<u8>,
    to_send: Vec<u8>,
}

impl Pipe {
    fn send(&mut self, socket: &mut TcpStream) -> io::Result<()> {
        socket.write_all(&std::mem::take(&mut self.to_send))
    }
}

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.received.read(into)? {
            0 => Err(WouldBlock.into()),
            octets => Ok(octets),
        }
    }
}

impl Write for Pipe {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.to_send.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
