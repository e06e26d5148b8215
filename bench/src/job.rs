//! The messages and the server, the same for every client.
//!
//! Knows the sizes and texts of messages. Must never know which client sends them.

use std::sync::Arc;

use bytes::Bytes;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::sink::Port;

/// The security of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Mode {
    Plain,
    StartTls,
    Wrapper,
}

impl Mode {
    pub(crate) const ALL: [Self; 3] = [Self::Plain, Self::StartTls, Self::Wrapper];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plaintext",
            Self::StartTls => "STARTTLS",
            Self::Wrapper => "TLS",
        }
    }
}

/// A server and its parameters.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) port: u16,
    pub(crate) mode: Mode,
    pub(crate) auth: bool,
    pub(crate) root: Arc<str>,
}

pub(crate) const HOST: &str = "127.0.0.1";
pub(crate) const USER: &str = "alice";
pub(crate) const PASSWORD: &str = "correct horse";
pub(crate) const SENDER: &str = "alice@example.org";

impl Target {
    pub(crate) fn new(port: Port, mode: Mode, root: &str) -> Self {
        Self {
            port: port.number,
            mode,
            auth: false,
            root: root.into(),
        }
    }

    /// A plaintext server on a local port.
    pub(crate) fn plain(port: u16, root: &str) -> Self {
        Self {
            port,
            mode: Mode::Plain,
            auth: false,
            root: root.into(),
        }
    }

    pub(crate) fn with_auth(mut self) -> Self {
        self.auth = true;
        self
    }

    /// The rustls configuration, for clients that take one.
    pub(crate) fn rustls(&self) -> Result<Arc<rustls::ClientConfig>, Failure> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.root.as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }
}

/// A message and the number of its recipients.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    pub(crate) body: Bytes,
    /// How many times the body is repeated in one message. Only clients that stream repeat it,
    /// so that it is never completely in memory.
    pub(crate) repeated: usize,
    pub(crate) recipients: Vec<String>,
}

impl Mail {
    /// A message of about `octets` octets to one recipient, with lines of 78 octets and no dot
    /// at the start of a line.
    pub(crate) fn of(octets: usize) -> Self {
        Self {
            body: text(octets),
            repeated: 1,
            recipients: recipients(1),
        }
    }

    /// A message of as many pages of 64 KiB as fit into `octets`.
    pub(crate) fn paged(octets: usize) -> Self {
        const PAGE: usize = 64 * 1024;
        Self {
            repeated: (octets / PAGE).max(1),
            ..Self::of(PAGE)
        }
    }

    /// The octets of one message.
    pub(crate) fn octets(&self) -> u64 {
        (self.body.len() * self.repeated) as u64
    }

    pub(crate) fn to(mut self, count: usize) -> Self {
        self.recipients = recipients(count);
        self
    }
}

fn recipients(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("bob{n}@example.net")).collect()
}

/// A header and lines of 76 octets with CRLF, exactly `octets` long.
pub(crate) fn text(octets: usize) -> Bytes {
    const HEADER: &[u8] = b"From: <alice@example.org>\r\nSubject: a message\r\n\r\n";
    let mut body = Vec::with_capacity(octets + 80);
    body.extend_from_slice(HEADER);
    let line: Vec<u8> = (b'0'..=b'z').chain(*b" ").cycle().take(76).collect();
    while body.len() + 2 < octets {
        let room = (octets - body.len() - 2).min(line.len());
        body.extend_from_slice(&line[..room]);
        body.extend_from_slice(b"\r\n");
    }
    // The rest is 0 or 1 octets shorter than a line end.
    while body.len() < octets {
        body.insert(HEADER.len(), b'x');
    }
    Bytes::from(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_as_long_as_asked_and_ends_in_crlf() {
        for octets in [100, 4095, 4096, 4097, 4098, 10_000] {
            let body = text(octets);
            assert_eq!(body.len(), octets);
            assert!(body.ends_with(b"\r\n") && !body.starts_with(b"."));
            assert!(!body.windows(2).any(|pair| pair == b"\n."));
        }
    }
}
