//! The name that one side of a session gives in EHLO, HELO or LHLO.
//!
//! Knows the grammar of that name (RFC 5321 §4.1.1.1). Must never look up the host's name: the
//! configuration sets it.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use crate::AddressError;
use crate::message::address::check_domain;

/// A domain or an address literal, the argument of EHLO (RFC 5321 §4.1.1.1). Cheap to clone.
///
/// At most 255 octets of ASCII: before the server's answer the client does not know whether the
/// server supports SMTPUTF8, so an internationalized name is given in its A-label form (RFC
/// 6531 §3.7.1). A host without a name uses its address as a literal (RFC 5321 §4.1.4); the
/// conversions from IP addresses create one.
///
/// ```
/// use core::net::Ipv6Addr;
/// use postwire_proto::HelloName;
///
/// let name: HelloName = "client.example.org".parse()?;
/// assert_eq!(name.as_str(), "client.example.org");
/// assert_eq!(HelloName::from(Ipv6Addr::LOCALHOST).as_str(), "[IPv6:::1]");
/// # Ok::<(), postwire_proto::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HelloName(Arc<str>);

impl HelloName {
    /// The literal `[127.0.0.1]`, for a client that knows neither its name nor its address.
    pub fn localhost() -> Self {
        Self("[127.0.0.1]".into())
    }

    /// The name as on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HelloName {
    type Err = AddressError;

    fn from_str(name: &str) -> Result<Self, AddressError> {
        if let Some(position) = name.bytes().position(|octet| !octet.is_ascii()) {
            return Err(AddressError::NotAscii { position });
        }
        check_domain(name, 0)?;
        Ok(Self(name.into()))
    }
}

impl TryFrom<&str> for HelloName {
    type Error = AddressError;

    fn try_from(name: &str) -> Result<Self, AddressError> {
        name.parse()
    }
}

impl TryFrom<String> for HelloName {
    type Error = AddressError;

    fn try_from(name: String) -> Result<Self, AddressError> {
        name.parse()
    }
}

impl From<Ipv4Addr> for HelloName {
    fn from(address: Ipv4Addr) -> Self {
        Self(format!("[{address}]").into())
    }
}

impl From<Ipv6Addr> for HelloName {
    fn from(address: Ipv6Addr) -> Self {
        Self(format!("[IPv6:{address}]").into())
    }
}

impl From<IpAddr> for HelloName {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => address.into(),
        }
    }
}

impl AsRef<str> for HelloName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HelloName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_domain_or_an_address_literal() {
        for name in [
            "mx.example.org",
            "localhost",
            "[192.0.2.1]",
            "[IPv6:2001:db8::1]",
        ] {
            assert_eq!(name.parse::<HelloName>().expect(name).as_str(), name);
        }
        for name in ["", "a b", "a\r\nQUIT", "a>", "-a", "[1.2]"] {
            assert!(name.parse::<HelloName>().is_err(), "{name:?}");
        }
        let expected = AddressError::NotAscii { position: 1 };
        assert_eq!("b\u{fc}cher.example".parse::<HelloName>(), Err(expected));
    }

    #[test]
    fn an_address_becomes_a_literal() {
        for address in [
            IpAddr::from([192, 0, 2, 1]),
            IpAddr::from(Ipv6Addr::LOCALHOST),
        ] {
            let name = HelloName::from(address);
            assert_eq!(name.as_str().parse(), Ok(name.clone()));
        }
        assert_eq!(HelloName::localhost(), HelloName::from(Ipv4Addr::LOCALHOST));
    }
}
