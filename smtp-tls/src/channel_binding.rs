//! Channel binding (RFC 5056): octets that only the two ends of a TLS session know.
//!
//! Knows which type of binding suits which version of TLS. Must never know a SASL mechanism.

#[cfg(feature = "scram")]
mod server_end_point;

use postwire_proto::ChannelBinding;
use rustls::pki_types::CertificateDer;
use rustls::{Connection, ProtocolVersion};

#[cfg(feature = "scram")]
use self::server_end_point::server_end_point;

/// The channel binding of an established session. `own_certificate` is the server's.
pub(crate) fn channel_binding(
    session: &Connection,
    own_certificate: Option<&CertificateDer<'_>>,
) -> Option<ChannelBinding> {
    match session.protocol_version()? {
        ProtocolVersion::TLSv1_3 => exporter(session),
        ProtocolVersion::TLSv1_2 => {
            let certificate = match session {
                Connection::Client(session) => session.peer_certificates()?.first(),
                Connection::Server(_) => own_certificate,
            };
            server_end_point(certificate?)
        }
        _ => None,
    }
}

/// `tls-exporter` (RFC 9266 §2), which is secure with TLS 1.3.
fn exporter(session: &Connection) -> Option<ChannelBinding> {
    let value = session
        .export_keying_material(vec![0; 32], b"EXPORTER-Channel-Binding", Some(b""))
        .ok()?;
    Some(ChannelBinding::TlsExporter(value))
}

/// Nothing: only SCRAM, which this program does not have, uses the hash of a certificate.
#[cfg(not(feature = "scram"))]
fn server_end_point(_: &CertificateDer<'_>) -> Option<ChannelBinding> {
    None
}
