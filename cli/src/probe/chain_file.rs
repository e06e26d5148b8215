//! The certificates of a server as a PEM file (RFC 7468).

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postwire_blocking::tls::rustls::pki_types::CertificateDer;

/// The characters of a line.
const LINE: usize = 64;

/// Writes the certificates, its own first. Without any, nothing is written, which is an error.
pub(super) fn write(file: &Path, chain: &[CertificateDer<'_>]) -> io::Result<()> {
    if chain.is_empty() {
        return Err(io::Error::other("the server presented no certificate"));
    }
    let mut pem = String::new();
    for certificate in chain {
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        let mut rest = &STANDARD.encode(certificate.as_ref())[..];
        while !rest.is_empty() {
            // Base64 is ASCII, so any position is a boundary of a character.
            let (line, following) = rest.split_at(rest.len().min(LINE));
            // Writing to a string never fails.
            let _ = writeln!(pem, "{line}");
            rest = following;
        }
        pem.push_str("-----END CERTIFICATE-----\n");
    }
    fs::write(file, pem)
}
