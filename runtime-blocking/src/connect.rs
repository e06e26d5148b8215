//! From a name to a connected socket: resolve, then try each address in turn,
//! all within one deadline.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use postwire_tls::{ConnectError, SocketOptions, TransportConfig, connection_order};
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

/// Connects to the server, one address after the other, with `TCP_NODELAY`: a
/// flight is one write, and waiting for more would only delay it.
pub(crate) fn connect(config: &TransportConfig) -> Result<TcpStream, ConnectError> {
    let deadline = Instant::now() + config.timeouts().connect;
    let (host, port) = (config.host(), config.port());
    let addresses = match resolve(host, port, deadline) {
        Ok(addresses) => addresses,
        Err(error) => return Err(ConnectError::unresolved(host, port, error)),
    };
    let options = config.socket_options();
    let addresses = connection_order(addresses, options.local_address);
    let mut failed = ConnectError::new(host, port);
    for (position, address) in addresses.iter().enumerate() {
        // An address that swallows packets must not use up the others' time.
        let untried = (addresses.len() - position) as u32;
        let share = deadline.saturating_duration_since(Instant::now()) / untried;
        match connect_to(*address, options, share) {
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
    let socket = Socket::new(
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
