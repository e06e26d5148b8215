//! A connected socket of the program's own, so that what goes over it can be
//! counted: the library's `Connection::connect` keeps its socket to itself.
//!
//! Knows one deadline for all addresses of a name; nothing of mail.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use postwire_blocking::proto::{Error, ErrorKind, Stage};
use postwire_blocking::tls::{ConnectError, TransportConfig, connection_order};

/// Connects to the configured server, one address after the other.
pub(crate) fn dial(config: &TransportConfig) -> Result<TcpStream, Error> {
    connect(config).map_err(|error| {
        let kind = if error.is_timeout() {
            ErrorKind::TimedOut
        } else {
            ErrorKind::Transport(Arc::new(error))
        };
        Error::new(Stage::Connect, kind)
    })
}

fn connect(config: &TransportConfig) -> Result<TcpStream, ConnectError> {
    let (host, port) = (config.host(), config.port());
    let deadline = Instant::now() + config.timeouts().connect;
    let addresses = resolve(host, port, deadline)
        .map_err(|error| ConnectError::unresolved(host, port, error))?;
    let addresses = connection_order(addresses, None);
    let mut failed = ConnectError::new(host, port);
    for (tried, address) in addresses.iter().enumerate() {
        // An address that swallows packets must not use up the others' time.
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        match connect_to(*address, share) {
            Ok(stream) => return Ok(stream),
            Err(error) => failed.attempt(*address, error),
        }
    }
    Err(failed)
}

fn connect_to(address: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    if timeout.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let stream = TcpStream::connect_timeout(&address, timeout)?;
    // A flight is one write: waiting for more would only delay it.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The system's resolver cannot be told to hurry, so it is asked on a thread of
/// its own, which is left behind where it takes too long.
fn resolve(host: &str, port: u16, deadline: Instant) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (answer, answered) = mpsc::sync_channel(1);
    let host = host.to_owned();
    thread::Builder::new().spawn(move || {
        let addresses = (host.as_str(), port).to_socket_addrs();
        // Nobody listens any more if the time was up.
        let _ = answer.send(addresses.map(Iterator::collect));
    })?;
    let left = deadline.saturating_duration_since(Instant::now());
    let answer = answered.recv_timeout(left);
    answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
