//! The order in which the addresses of a host are tried, and the error if the server cannot be
//! reached. Must never open a socket.

mod dial;
mod race;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use postwire_proto::{Error, ErrorKind, Stage};

/// The order in which addresses are tried (RFC 8305 §4): that of the resolver, with the two
/// families in turn, so that a broken family costs a single attempt.
///
/// With a local address, only addresses of its family are tried.
fn connection_order(addresses: Vec<SocketAddr>, local: Option<IpAddr>) -> Vec<SocketAddr> {
    let usable = addresses
        .into_iter()
        .filter(|address| local.is_none_or(|local| local.is_ipv4() == address.is_ipv4()));
    let mut ordered: Vec<SocketAddr> = Vec::new();
    let mut later = std::collections::VecDeque::new();
    for address in usable {
        match ordered.last() {
            Some(last) if last.is_ipv4() == address.is_ipv4() => later.push_back(address),
            _ => {
                ordered.push(address);
                while let (Some(last), Some(next)) = (ordered.last(), later.front()) {
                    if last.is_ipv4() == next.is_ipv4() {
                        break;
                    }
                    ordered.extend(later.pop_front());
                }
            }
        }
    }
    ordered.extend(later);
    ordered
}

pub use self::dial::{ATTEMPT_DELAY, ConnectUnix, Dial, DialStep, Resolve};

/// The error of a server that cannot be reached, with each attempt and its failure.
#[derive(Debug)]
pub struct ConnectError(Failure);

#[derive(Debug)]
enum Failure {
    Addresses {
        host: String,
        port: u16,
        attempts: Vec<(SocketAddr, io::Error)>,
    },
    Name {
        host: String,
        port: u16,
        error: io::Error,
    },
    UnixSocket {
        path: PathBuf,
        error: io::Error,
    },
    /// A function of the program failed.
    Connector {
        host: String,
        port: u16,
        error: io::Error,
    },
}

impl ConnectError {
    /// Creates an error without an attempt.
    pub(crate) fn new(host: &str, port: u16) -> Self {
        Self(Failure::Addresses {
            host: host.to_owned(),
            port,
            attempts: Vec::new(),
        })
    }

    /// Creates the error of a host whose name cannot be resolved.
    pub(crate) fn unresolved(host: &str, port: u16, error: io::Error) -> Self {
        Self(Failure::Name {
            host: host.to_owned(),
            port,
            error,
        })
    }

    /// Creates the error of a Unix socket that cannot be connected.
    pub(crate) fn unix_socket(path: &Path, error: io::Error) -> Self {
        Self(Failure::UnixSocket {
            path: path.to_owned(),
            error,
        })
    }

    /// Creates the error of a connection that a function of the program could not make.
    pub(crate) fn connector(host: &str, port: u16, error: io::Error) -> Self {
        Self(Failure::Connector {
            host: host.to_owned(),
            port,
            error,
        })
    }

    fn host(&self) -> &str {
        match &self.0 {
            Failure::Addresses { host, .. }
            | Failure::Name { host, .. }
            | Failure::Connector { host, .. } => host,
            Failure::UnixSocket { .. } => "",
        }
    }

    fn port(&self) -> u16 {
        match &self.0 {
            Failure::Addresses { port, .. }
            | Failure::Name { port, .. }
            | Failure::Connector { port, .. } => *port,
            Failure::UnixSocket { .. } => 0,
        }
    }

    /// Converts the error into that of a session: `TimedOut` if the last attempt timed out.
    pub(crate) fn into_error(self) -> Error {
        if self.is_timeout() {
            let tried = self.to_string();
            return Error::new(Stage::Connect, ErrorKind::TimedOut).with_detail(Some(tried));
        }
        Error::new(Stage::Connect, ErrorKind::Transport(Arc::new(self)))
    }

    /// Adds the failure of an attempt to connect to this address.
    pub(crate) fn attempt(&mut self, address: SocketAddr, error: io::Error) {
        if let Failure::Addresses { attempts, .. } = &mut self.0 {
            attempts.push((address, error));
        }
    }

    /// The addresses that were tried, with the error of each.
    pub fn attempts(&self) -> impl Iterator<Item = (SocketAddr, &io::Error)> {
        self.tried()
            .iter()
            .map(|(address, error)| (*address, error))
    }

    fn tried(&self) -> &[(SocketAddr, io::Error)] {
        match &self.0 {
            Failure::Addresses { attempts, .. } => attempts,
            Failure::Name { .. } | Failure::UnixSocket { .. } | Failure::Connector { .. } => &[],
        }
    }

    /// Whether the last attempt timed out.
    pub fn is_timeout(&self) -> bool {
        self.last()
            .is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
    }

    fn last(&self) -> Option<&io::Error> {
        match &self.0 {
            Failure::Addresses { attempts, .. } => attempts.last().map(|(_, error)| error),
            Failure::Name { error, .. }
            | Failure::UnixSocket { error, .. }
            | Failure::Connector { error, .. } => Some(error),
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Failure::Name { host, port, error } => {
                return write!(
                    f,
                    "cannot connect to {host} port {port}: the name cannot be resolved: {error}"
                );
            }
            Failure::UnixSocket { path, error } => {
                let path = path.display();
                return write!(f, "cannot connect to the Unix socket {path}: {error}");
            }
            Failure::Connector { host, port, error } => {
                return write!(f, "cannot connect to {host} port {port}: {error}");
            }
            Failure::Addresses { host, port, .. } => {
                write!(f, "cannot connect to {host} port {port}")?;
            }
        }
        if self.tried().is_empty() {
            return f.write_str(": it has no address that can be used");
        }
        for (position, (address, error)) in self.tried().iter().enumerate() {
            let separator = if position == 0 { ": " } else { "; " };
            if address.ip().to_string() == self.host() {
                write!(f, "{separator}{error}")?;
            } else {
                write!(f, "{separator}{address}: {error}")?;
            }
        }
        Ok(())
    }
}

/// `Display` includes the error of each attempt, so `source` returns the source of the last one.
impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.last().and_then(std::error::Error::source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(addresses: &str, local: Option<&str>) -> String {
        let parse = |text: &str| SocketAddr::new(text.parse().unwrap(), 25);
        let addresses = addresses.split(' ').map(parse).collect();
        let local = local.map(|local| local.parse().unwrap());
        let ordered = connection_order(addresses, local);
        let ordered: Vec<String> = ordered.iter().map(|a| a.ip().to_string()).collect();
        ordered.join(" ")
    }

    #[test]
    fn families_take_turns_in_the_resolvers_order() {
        let addresses = "::1 ::2 ::3 127.0.0.1 127.0.0.2";
        assert_eq!(order(addresses, None), "::1 127.0.0.1 ::2 127.0.0.2 ::3");
        assert_eq!(order("127.0.0.1 ::1", None), "127.0.0.1 ::1");
        assert_eq!(order(addresses, Some("127.0.0.9")), "127.0.0.1 127.0.0.2");
    }

    #[test]
    fn every_attempt_is_told() {
        let mut error = ConnectError::new("mail.example.org", 25);
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        error.attempt("127.0.0.1:25".parse().unwrap(), refused());
        error.attempt("[::1]:25".parse().unwrap(), refused());
        assert_eq!(
            error.to_string(),
            "cannot connect to mail.example.org port 25: 127.0.0.1:25: connection refused; \
             [::1]:25: connection refused"
        );
    }

    #[test]
    fn an_address_is_named_once() {
        let mut error = ConnectError::new("192.0.2.1", 25);
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        error.attempt("192.0.2.1:25".parse().unwrap(), refused);
        let said = "cannot connect to 192.0.2.1 port 25: connection refused";
        assert_eq!(error.to_string(), said);
    }

    #[test]
    fn a_unix_socket_is_named_by_its_path() {
        let refused = io::Error::from(io::ErrorKind::PermissionDenied);
        let error = ConnectError::unix_socket(Path::new("/run/lmtp"), refused);
        assert_eq!(
            error.to_string(),
            "cannot connect to the Unix socket /run/lmtp: permission denied"
        );
        assert_eq!((error.attempts().count(), error.is_timeout()), (0, false));
    }
}
