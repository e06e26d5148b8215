//! The four TLS modes and their guarantees, with the parameters that each needs.
//!
//! Knows no byte of the protocol: the core enforces the guarantees, and the connection runs the
//! handshake.

use postwire_proto::Security;

use crate::TlsParameters;

/// When TLS is used on the connection to a server.
///
/// In short: [`Wrapper`](Self::Wrapper) or [`Required`](Self::Required) for every server on a
/// network, [`None`](Self::None) for a relay on the same machine. There is no default:
/// plaintext must be chosen explicitly.
///
/// ```no_run
/// use postwire_tls::{Tls, TlsParameters};
///
/// # fn main() -> Result<(), postwire_tls::TlsError> {
/// let tls = Tls::Required(TlsParameters::new("mail.example.org")?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub enum Tls {
    /// Plaintext, always.
    ///
    /// For a trusted relay on this machine or inside a private network. Anyone on the network
    /// path can read the mail and change it. Passwords are not sent unless plaintext
    /// authentication is allowed explicitly.
    None,
    /// Plaintext at first, then STARTTLS (RFC 3207) if the server offers it.
    ///
    /// If the server does not offer STARTTLS, or refuses it with a reply, the session continues
    /// in plaintext, where passwords are still not sent. A failed handshake or an invalid
    /// certificate is an error, not a downgrade.
    ///
    /// **Not safe against an attacker on the network path**, who can remove the offer from the
    /// server's reply and read everything. Use [`Required`](Self::Required) wherever the server
    /// is known to support TLS.
    Opportunistic(TlsParameters),
    /// Plaintext at first, then STARTTLS (RFC 3207); without it the connection fails.
    ///
    /// Before TLS nothing but `EHLO`, `STARTTLS` and `QUIT` is written, and everything that the
    /// server sent before TLS is discarded. Safe against an attacker on the network path.
    /// Usually on port 587.
    Required(TlsParameters),
    /// TLS from the first byte (RFC 8314 §3.3, "implicit TLS").
    ///
    /// If the handshake fails, nothing is sent. The safest mode and the one with the fewest
    /// round trips. Usually on port 465.
    Wrapper(TlsParameters),
}

impl Tls {
    /// The mode without its parameters, as the core uses it.
    pub fn security(&self) -> Security {
        match self {
            Self::None => Security::None,
            Self::Opportunistic(_) => Security::Opportunistic,
            Self::Required(_) => Security::Required,
            Self::Wrapper(_) => Security::Wrapper,
        }
    }

    /// The parameters of the TLS session; `None` for [`None`](Self::None).
    pub fn parameters(&self) -> Option<&TlsParameters> {
        match self {
            Self::None => None,
            Self::Opportunistic(parameters)
            | Self::Required(parameters)
            | Self::Wrapper(parameters) => Some(parameters),
        }
    }
}
