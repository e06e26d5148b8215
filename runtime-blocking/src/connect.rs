//! From a name to a connected socket: resolve, then try each address in turn,
//! all within one deadline.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use postwire_tls::TransportConfig;
use socket2::{Domain, Protocol, Socket, Type};

/// The server cannot be reached: what was tried, and how each failed.
#[derive(Debug)]
#[non_exhaustive]
pub struct ConnectError {
    host: String,
    port: u16,
    attempts: Vec<(SocketAddr, io::Error)>,
    resolution: Option<io::Error>,
}

impl ConnectError {
    /// The addresses that were tried, and how each failed.
    pub fn attempts(&self) -> impl Iterator<Item = (SocketAddr, &io::Error)> {
        self.attempts
            .iter()
            .map(|(address, error)| (*address, error))
    }

    /// Whether the time was up.
    pub fn is_timeout(&self) -> bool {
        let last = self.resolution.as_ref();
        last.or(self.attempts.last().map(|(_, error)| error))
            .is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect to {} port {}", self.host, self.port)?;
        if let Some(error) = &self.resolution {
            return write!(f, ": resolving the name failed: {error}");
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
        let last = self.resolution.as_ref();
        last.or(self.attempts.last().map(|(_, error)| error))
            .map(|error| error as _)
    }
}

/// Connects to the server, one address after the other, with `TCP_NODELAY`: a
/// flight is one write, and waiting for more would only delay it.
pub(crate) fn connect(config: &TransportConfig) -> Result<TcpStream, ConnectError> {
    let deadline = Instant::now() + config.timeouts().connect;
    let mut error = ConnectError {
        host: config.host().to_owned(),
        port: config.port(),
        attempts: Vec::new(),
        resolution: None,
    };
    let addresses = match resolve(config.host(), config.port(), deadline) {
        Ok(addresses) => addresses,
        Err(why) => {
            error.resolution = Some(why);
            return Err(error);
        }
    };
    let local = config.local_address();
    let usable = |address: &&SocketAddr| local.is_none_or(|l| l.is_ipv4() == address.is_ipv4());
    let mut left = addresses.iter().filter(usable).count() as u32;
    for address in addresses.iter().filter(usable) {
        // An address that swallows packets must not use up the others' time.
        let share = deadline.saturating_duration_since(Instant::now()) / left.max(1);
        match connect_to(*address, local, share) {
            Ok(stream) => return Ok(stream),
            Err(why) => error.attempts.push((*address, why)),
        }
        left -= 1;
    }
    if error.attempts.is_empty() {
        let why = "no address of the local address's family";
        error.resolution = Some(io::Error::new(io::ErrorKind::AddrNotAvailable, why));
    }
    Err(error)
}

fn connect_to(
    address: SocketAddr,
    local: Option<IpAddr>,
    timeout: Duration,
) -> io::Result<TcpStream> {
    if timeout.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if let Some(local) = local {
        socket.bind(&SocketAddr::new(local, 0).into())?;
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
