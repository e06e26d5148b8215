//! Connecting to a server: executes the steps of [`Dial`].
//!
//! Each attempt of a race, and each resolution of a name, runs on a thread of its own, because the
//! standard library can neither wait for several operations nor cancel one. A single address is no
//! race.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use postwire_transport::adapter::{ATTEMPT_DELAY, Dial, DialStep};
use postwire_transport::proto::{Clock, Error, Instant};
use postwire_transport::{SocketOptions, TransportConfig};
use socket2::{Domain, Protocol, TcpKeepalive, Type};

use crate::{Socket, Stream};

/// A function of the program that makes connections.
pub(crate) type Connector =
    Arc<dyn Fn() -> io::Result<Box<dyn Stream + Send + Sync>> + Send + Sync>;

/// Connects, and sets `TCP_NODELAY`: a flight is one write, and a delay would have no benefit. A
/// function of the program runs on a thread of its own.
pub(crate) fn connect(
    dial: &mut Dial<'_>,
    config: &TransportConfig,
    connector: Option<&Connector>,
    left: Option<Duration>,
) -> Result<Socket, Error> {
    let options = *config.socket_options();
    let attempt = move |address, left| connect_to(address, &options, left).map(Socket::Tcp);
    let attempt_once = |path: &Path, left| match connector.cloned() {
        Some(connect) => within(left, "postwire-connect", move || {
            connect().map(Socket::Other)
        }),
        None => connect_to_unix_socket(path, left),
    };
    let limit = dial.limit(left);
    run(dial, limit, resolve, attempt, attempt_once)
}

/// Executes the steps, with one attempt for each address, or one for a path. An attempt that lost
/// the race ends at its time limit, and its socket is closed. An attempt takes no longer than its
/// time limit, so that a single address needs no thread.
fn run<T: Send + 'static>(
    dial: &mut Dial<'_>,
    limit: Duration,
    resolve: impl Fn(&str, u16, Duration) -> io::Result<Vec<SocketAddr>>,
    attempt: impl Fn(SocketAddr, Duration) -> io::Result<T> + Clone + Send + 'static,
    attempt_once: impl Fn(&Path, Duration) -> io::Result<T>,
) -> Result<T, Error> {
    let (ended, attempts) = mpsc::channel();
    let clock = Clock::new();
    let left = |until: Instant| until.saturating_duration_since(clock.now());
    let limit = clock.now() + limit;
    let mut join = limit;
    loop {
        match dial.next_step() {
            DialStep::Fail(error) => return Err(error),
            DialStep::Resolve(name) => {
                let addresses = resolve(name.host(), name.port(), left(limit));
                name.resolved(addresses);
            }
            DialStep::ConnectUnix(socket) => match attempt_once(socket.path(), left(limit)) {
                Ok(connected) => return Ok(connected),
                Err(error) => socket.failed(error),
            },
            DialStep::Start(address) => {
                join = clock.now() + ATTEMPT_DELAY;
                let (ended, attempt, left) = (ended.clone(), attempt.clone(), left(limit));
                // The receiver is gone if another attempt won.
                let start = move || drop(ended.send((address, attempt(address, left))));
                let thread = thread::Builder::new().name("postwire-connect".to_owned());
                if dial.is_only_address() {
                    start();
                } else if let Err(error) = thread.spawn(start) {
                    dial.attempt_failed(address, error);
                }
            }
            DialStep::Wait => match attempts.recv_timeout(left(limit.min(join))) {
                Ok((address, Ok(connected))) => {
                    dial.connected(address);
                    return Ok(connected);
                }
                Ok((address, Err(error))) => dial.attempt_failed(address, error),
                Err(_) if left(limit).is_zero() => return Err(dial.timed_out()),
                Err(_) => {
                    join = limit;
                    dial.delay_is_over();
                }
            },
        }
    }
}

/// Connects to a Unix socket. Times out if its queue of connections stays full.
#[cfg(unix)]
fn connect_to_unix_socket(path: &Path, timeout: Duration) -> io::Result<Socket> {
    let address = socket2::SockAddr::unix(path)?;
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // The write timeout limits connecting as well. Zero would mean no limit.
    socket.set_write_timeout(Some(timeout.max(Duration::from_millis(1))))?;
    let connected = socket.connect(&address);
    connected.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    })?;
    Ok(Socket::Unix(OwnedFd::from(socket).into()))
}

#[cfg(not(unix))]
fn connect_to_unix_socket(_: &Path, _: Duration) -> io::Result<Socket> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "this system has no Unix sockets",
    ))
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

/// Resolves a name on a thread, which continues unused if it takes too long. An address needs no
/// thread.
fn resolve(host: &str, port: u16, limit: Duration) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![(address, port).into()]);
    }
    let host = host.to_owned();
    within(limit, "postwire-resolve", move || {
        Ok((host.as_str(), port).to_socket_addrs()?.collect())
    })
}

/// Runs a function on a thread, which continues unused if it takes too long.
fn within<T: Send + 'static>(
    limit: Duration,
    name: &str,
    run: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (answer, answered) = mpsc::sync_channel(1);
    // The receiver is gone if the time limit has passed.
    let thread = thread::Builder::new().name(name.to_owned());
    thread.spawn(move || drop(answer.send(run())))?;
    let late = |_| Err(io::ErrorKind::TimedOut.into());
    answered.recv_timeout(limit).unwrap_or_else(late)
}

#[cfg(test)]
mod tests;
