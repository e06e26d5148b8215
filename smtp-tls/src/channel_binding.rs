//! Channel binding (RFC 5056): octets that only the two ends of a TLS session know.
//!
//! Knows which type of binding suits which version of TLS. Must never know a SASL mechanism.

#[cfg(feature = "scram")]
mod server_end_point;

use postwire_proto::ChannelBinding;
use rustls::ProtocolVersion;
use rustls::pki_types::CertificateDer;

#[cfg(feature = "scram")]
use self::server_end_point::server_end_point;
use crate::session::TlsSession;

/// The channel binding of an established session. `own_certificate` is the server's.
pub(crate) fn channel_binding(
    session: &dyn TlsSession,
    own_certificate: Option<&CertificateDer<'static>>,
) -> Option<ChannelBinding> {
    match session.state().protocol_version()? {
        ProtocolVersion::TLSv1_3 => exporter(session),
        ProtocolVersion::TLSv1_2 => server_end_point(session.server_certificate(own_certificate)?),
        _ => None,
    }
}

/// `tls-exporter` (RFC 9266 §2), which is secure with TLS 1.3.
fn exporter(session: &dyn TlsSession) -> Option<ChannelBinding> {
    let mut value = vec![0; 32];
    let exported =
        session.export_keying_material(&mut value, b"EXPORTER-Channel-Binding", Some(b""));
    exported.ok()?;
    Some(ChannelBinding::TlsExporter(value))
}

/// Nothing: only SCRAM, which this program does not have, uses the hash of a certificate.
#[cfg(not(feature = "scram"))]
fn server_end_point(_: &CertificateDer<'_>) -> Option<ChannelBinding> {
    None
}
