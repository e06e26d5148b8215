//! The name of the client in `EHLO`.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use postwire_blocking::proto::{AddressError, HelloName};

/// The name of the client in `EHLO`. If a program sets none, it is the local address of the
/// connection; in lettre it is the name of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientId {
    /// A fully qualified domain name.
    Domain(String),
    /// An IPv4 address.
    Ipv4(Ipv4Addr),
    /// An IPv6 address.
    Ipv6(Ipv6Addr),
}

/// `[127.0.0.1]`, as in lettre without its feature `hostname`.
impl Default for ClientId {
    fn default() -> Self {
        Self::Ipv4(Ipv4Addr::LOCALHOST)
    }
}

impl TryFrom<ClientId> for HelloName {
    type Error = AddressError;

    fn try_from(id: ClientId) -> Result<Self, AddressError> {
        match id {
            ClientId::Domain(name) => Self::try_from(name),
            ClientId::Ipv4(address) => Ok(address.into()),
            ClientId::Ipv6(address) => Ok(address.into()),
        }
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(name) => f.write_str(name),
            Self::Ipv4(address) => write!(f, "[{address}]"),
            Self::Ipv6(address) => write!(f, "[IPv6:{address}]"),
        }
    }
}
