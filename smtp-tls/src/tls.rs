//! The four TLS modes: what each promises, paired with the parameters it needs.
//!
//! Knows no byte of the protocol: the core keeps the promises, the connection
//! runs the handshake.

use postwire_proto::Security;

use crate::TlsParameters;

/// When TLS is used on the way to a server.
///
/// In short: [`Wrapper`](Self::Wrapper) or [`Required`](Self::Required) for
/// every server on a network, [`None`](Self::None) for a relay on the same
/// machine. There is no default: nobody gets plaintext without asking for it.
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
    /// For a trusted relay on this machine or inside a private network. Anyone
    /// on the way reads the mail and can alter it. Passwords are kept out of it
    /// unless plaintext authentication is allowed expressly.
    None,
    /// Plaintext at first, then STARTTLS (RFC 3207) if the server offers it.
    ///
    /// Not offered, or refused by a reply: the session goes on in plaintext,
    /// passwords still kept out of it. A handshake or a certificate that fails
    /// is an error, not a downgrade.
    ///
    /// **Not safe against an attacker on the way**: he strips the offer from the
    /// server's reply and reads everything. Use [`Required`](Self::Required)
    /// wherever the server is known to have TLS.
    Opportunistic(TlsParameters),
    /// Plaintext at first, then STARTTLS (RFC 3207) or the attempt fails.
    ///
    /// Before TLS nothing but `EHLO`, `STARTTLS` and `QUIT` is ever written, and
    /// what the server said before TLS is forgotten. Safe against an attacker
    /// on the way. Port 587 by custom.
    Required(TlsParameters),
    /// TLS from the first byte (RFC 8314 §3.3, "implicit TLS").
    ///
    /// A handshake that fails ends the attempt with nothing sent. The safest
    /// mode and the one with the fewest round trips. Port 465 by custom.
    Wrapper(TlsParameters),
}

impl Tls {
    /// The mode without its parameters: what the core is told.
    pub fn security(&self) -> Security {
        match self {
            Self::None => Security::None,
            Self::Opportunistic(_) => Security::Opportunistic,
            Self::Required(_) => Security::Required,
            Self::Wrapper(_) => Security::Wrapper,
        }
    }

    /// The parameters of the TLS session, if there may be one.
    pub fn parameters(&self) -> Option<&TlsParameters> {
        match self {
            Self::None => None,
            Self::Opportunistic(parameters)
            | Self::Required(parameters)
            | Self::Wrapper(parameters) => Some(parameters),
        }
    }
}
