//! Which of a host's addresses are tried, in which order, and what is said when
//! none can be reached. Opens nothing.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// The order in which addresses are tried (RFC 8305 §4): the resolver's, with
/// the two families in turn, so that a broken one costs a single attempt.
///
/// With a local address, only those of its family.
pub fn connection_order(addresses: Vec<SocketAddr>, local: Option<IpAddr>) -> Vec<SocketAddr> {
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

/// The server cannot be reached: what was tried, and how each failed.
#[derive(Debug)]
pub struct ConnectError {
    host: String,
    port: u16,
    attempts: Vec<(SocketAddr, io::Error)>,
    resolution: Option<io::Error>,
}

impl ConnectError {
    /// No address of `host` has been tried yet.
    pub fn new(host: &str, port: u16) -> Self {
        Self {
            host: host.to_owned(),
            port,
            attempts: Vec::new(),
            resolution: None,
        }
    }

    /// The name of the host could not be resolved.
    pub fn unresolved(host: &str, port: u16, error: io::Error) -> Self {
        Self {
            resolution: Some(error),
            ..Self::new(host, port)
        }
    }

    /// Connecting to this address failed.
    pub fn attempt(&mut self, address: SocketAddr, error: io::Error) {
        self.attempts.push((address, error));
    }

    /// The addresses that were tried, and how each failed.
    pub fn attempts(&self) -> impl Iterator<Item = (SocketAddr, &io::Error)> {
        self.attempts
            .iter()
            .map(|(address, error)| (*address, error))
    }

    /// Whether the time was up.
    pub fn is_timeout(&self) -> bool {
        self.last()
            .is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
    }

    fn last(&self) -> Option<&io::Error> {
        let last_attempt = self.attempts.last().map(|(_, error)| error);
        self.resolution.as_ref().or(last_attempt)
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect to {} port {}", self.host, self.port)?;
        if let Some(error) = &self.resolution {
            return write!(f, ": the name cannot be resolved: {error}");
        }
        if self.attempts.is_empty() {
            return f.write_str(": it has no address that can be used");
        }
        for (position, (address, error)) in self.attempts.iter().enumerate() {
            let separator = if position == 0 { ": " } else { "; " };
            write!(f, "{separator}{address}: {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.last().map(|error| error as _)
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
}
