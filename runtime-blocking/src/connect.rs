//! From a name to a connected socket: resolve, then try each address in turn,
//! all within one deadline. A path is a Unix socket, and no name.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use postwire_tls::{ConnectError, SocketOptions, TransportConfig, connection_order};
use socket2::{Domain, Protocol, TcpKeepalive, Type};

use crate::Socket;

/// Connects to the server: to its Unix socket, or to one of its addresses after
/// the other, with `TCP_NODELAY`: a flight is one write, and waiting for more
/// would only delay it.
pub(crate) fn connect(config: &TransportConfig) -> Result<Socket, ConnectError> {
    let timeout = config.timeouts().connect;
    if let Some(path) = config.unix_socket() {
        return connect_to_unix_socket(path, timeout)
            .map_err(|error| ConnectError::unix_socket(path, error));
    }
    let deadline = Instant::now() + timeout;
    let (host, port) = (config.host(), config.port());
    let addresses = match resolve(host, port, deadline) {
        Ok(addresses) => addresses,
        Err(error) => return Err(ConnectError::unresolved(host, port, error)),
    };
    let options = config.socket_options();
    let addresses = connection_order(addresses, options.local_address);
    let left = || deadline.saturating_duration_since(Instant::now());
    let attempt = |address, share| connect_to(address, options, share);
    let connected = try_in_turn(&addresses, left, attempt, ConnectError::new(host, port));
    connected.map(Socket::Tcp)
}

/// The server may have no room for one more yet.
#[cfg(unix)]
fn connect_to_unix_socket(path: &Path, timeout: Duration) -> io::Result<Socket> {
    let address = socket2::SockAddr::unix(path)?;
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // This limits connecting, too; to none at all if it is zero.
    socket.set_write_timeout(Some(timeout.max(Duration::from_millis(1))))?;
    match socket.connect(&address) {
        Ok(()) => Ok(Socket::Unix(OwnedFd::from(socket).into())),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(io::ErrorKind::TimedOut.into())
        }
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
fn connect_to_unix_socket(_: &Path, _: Duration) -> io::Result<Socket> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "this system has no Unix sockets",
    ))
}

/// An address that swallows packets must not use up the others' time: each is given
/// its share of what is left.
fn try_in_turn<T>(
    addresses: &[SocketAddr],
    left: impl Fn() -> Duration,
    mut attempt: impl FnMut(SocketAddr, Duration) -> io::Result<T>,
    mut failed: ConnectError,
) -> Result<T, ConnectError> {
    for (position, address) in addresses.iter().enumerate() {
        let untried = (addresses.len() - position) as u32;
        match attempt(*address, left() / untried) {
            Ok(stream) => return Ok(stream),
            Err(error) => failed.attempt(*address, error),
        }
    }
    Err(failed)
}

fn connect_to(
    address: SocketAddr,
    options: &SocketOptions,
    timeout: Duration,
) -> io::Result<TcpStream> {
    if timeout.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let socket = socket2::Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if let Some(local) = options.local_address {
        socket.bind(&SocketAddr::new(local, 0).into())?;
    }
    if let Some(idle) = options.keep_alive {
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(idle))?;
    }
    socket.connect_timeout(&address.into(), timeout)?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket.into())
}

/// The system's resolver cannot be told to hurry, so it is asked on a thread of
/// its own, which is left behind where it takes too long.
fn resolve(host: &str, port: u16, deadline: Instant) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (answer, answered) = mpsc::sync_channel(1);
    let host = host.to_owned();
    thread::Builder::new()
        .name("postwire-resolve".to_owned())
        .spawn(move || {
            let addresses = (host.as_str(), port).to_socket_addrs();
            // Nobody listens any more if the time was up.
            let _ = answer.send(addresses.map(Iterator::collect::<Vec<_>>));
        })?;
    let left = deadline.saturating_duration_since(Instant::now());
    match answered.recv_timeout(left) {
        Ok(Ok(addresses)) if addresses.is_empty() => Err(io::Error::new(
            io::ErrorKind::NotFound,
            "the name has no address",
        )),
        Ok(resolved) => resolved,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn addresses() -> Vec<SocketAddr> {
        let texts = ["[2001:db8::1]:25", "192.0.2.1:25", "192.0.2.2:25"];
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn each_address_has_its_share_of_the_time() {
        let left = Cell::new(30 * SECOND);
        let mut tried = Vec::new();
        let swallows = |address, share| {
            tried.push((address, share));
            // The first refuses at once, the others use all they are given.
            if tried.len() > 1 {
                left.set(left.get().saturating_sub(share));
            }
            Err::<(), _>(io::ErrorKind::TimedOut.into())
        };
        let failed = ConnectError::new("mail.example", 25);
        let error = try_in_turn(&addresses(), || left.get(), swallows, failed).unwrap_err();
        let shares: Vec<_> = tried.iter().map(|(_, share)| *share).collect();
        assert_eq!(shares, [10 * SECOND, 15 * SECOND, 15 * SECOND]);
        assert!(error.is_timeout());
        for address in addresses() {
            assert!(error.to_string().contains(&address.to_string()), "{error}");
        }
    }

    #[test]
    fn the_first_that_answers_is_taken() {
        let attempt = |address: SocketAddr, _| {
            if address.is_ipv6() {
                Err(io::ErrorKind::ConnectionRefused.into())
            } else {
                Ok(address)
            }
        };
        let failed = ConnectError::new("mail.example", 25);
        let taken = try_in_turn(&addresses(), || SECOND, attempt, failed);
        assert_eq!(taken.unwrap(), addresses()[1]);
    }
}
