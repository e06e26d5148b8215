//! From a name to a connected socket: resolve, then race the addresses
//! (RFC 8305, "happy eyeballs"), all within one deadline. A path is a Unix
//! socket, and no name.
//!
//! Which address is tried when is [`AddressRace`]'s decision. Each attempt of a race has a
//! thread of its own: the standard library waits for one connection at a time.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use postwire_transport::proto::Error;
use postwire_transport::{
    ATTEMPT_DELAY, AddressRace, ConnectError, RaceStep, SocketOptions, TransportConfig,
};
use socket2::{Domain, Protocol, TcpKeepalive, Type};

use crate::Socket;

/// The way to a server: its addresses, and which of them have failed.
pub(crate) struct Dialer<'a> {
    config: &'a TransportConfig,
    /// Once they are known.
    race: Option<AddressRace>,
}

impl<'a> Dialer<'a> {
    pub(crate) fn new(config: &'a TransportConfig) -> Self {
        Self { config, race: None }
    }

    /// Connects to the first address that has not failed, as the race has it, with
    /// `TCP_NODELAY`: a flight is one write, and waiting for more would only delay it.
    pub(crate) fn connect(&mut self, left: Option<Duration>) -> Result<Socket, Error> {
        let limit = self.config.timeouts().connect;
        let limit = Limit::new(left.map_or(limit, |left| limit.min(left)));
        if let Some(path) = self.config.unix_socket() {
            return connect_to_unix_socket(path, limit.left())
                .map_err(|error| ConnectError::unix_socket(path, error).into_error());
        }
        if self.race.is_none() {
            let addresses = self.resolve(&limit).map_err(ConnectError::into_error)?;
            self.race = Some(AddressRace::new(self.config, addresses));
        }
        let options = *self.config.socket_options();
        let attempt = move |address, left| connect_to(address, &options, left);
        match &mut self.race {
            Some(addresses) => race(addresses, &limit, attempt).map(Socket::Tcp),
            None => Err(ConnectError::new(self.config.host(), self.config.port()).into_error()),
        }
    }

    /// The session failed: gives the error back where there is no other address to try.
    pub(crate) fn session_failed(&mut self, error: Error) -> Result<(), Error> {
        match &mut self.race {
            Some(race) => race.session_failed(error),
            None => Err(error),
        }
    }

    /// How much of the time that is left the session may take until it stands.
    pub(crate) fn share(&self, left: Duration) -> Duration {
        self.race.as_ref().map_or(left, |race| race.share(left))
    }

    fn resolve(&self, limit: &Limit) -> Result<Vec<SocketAddr>, ConnectError> {
        let (host, port) = (self.config.host(), self.config.port());
        if let Some(addresses) = self.config.addresses() {
            return Ok(addresses.to_vec());
        }
        resolve(host, port, limit).map_err(|error| ConnectError::unresolved(host, port, error))
    }
}

/// A time that ends, or one that is too long to end.
struct Limit {
    begun: Instant,
    time: Duration,
}

impl Limit {
    fn new(time: Duration) -> Self {
        Self {
            begun: Instant::now(),
            time,
        }
    }

    fn left(&self) -> Duration {
        self.time.saturating_sub(self.begun.elapsed())
    }
}

/// Runs the race. An attempt that lost ends by itself when its time is up, and what it may have
/// connected is closed.
fn race<T: Send + 'static>(
    addresses: &mut AddressRace,
    limit: &Limit,
    attempt: impl Fn(SocketAddr, Duration) -> io::Result<T> + Clone + Send + 'static,
) -> Result<T, Error> {
    let (ended, attempts) = mpsc::channel();
    let mut delay = Limit::new(Duration::ZERO);
    loop {
        match addresses.next_step() {
            RaceStep::GiveUp => return Err(addresses.error()),
            RaceStep::Start(address) => {
                delay = Limit::new(ATTEMPT_DELAY);
                let (ended, attempt, left) = (ended.clone(), attempt.clone(), limit.left());
                let started = thread::Builder::new()
                    .name("postwire-connect".to_owned())
                    .spawn(move || {
                        // Nobody listens any more if another one won.
                        let _ = ended.send((address, attempt(address, left)));
                    });
                if let Err(error) = started {
                    addresses.failed(address, error);
                }
            }
            RaceStep::Wait => {
                let left = limit.left();
                match attempts.recv_timeout(left.min(delay.left())) {
                    Ok((address, Ok(connected))) => {
                        addresses.connected(address);
                        return Ok(connected);
                    }
                    Ok((address, Err(error))) => addresses.failed(address, error),
                    Err(_) if limit.left().is_zero() => return Err(addresses.timed_out()),
                    Err(_) => {
                        delay = Limit::new(Duration::MAX);
                        addresses.delay_is_over();
                    }
                }
            }
        }
    }
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
fn resolve(host: &str, port: u16, limit: &Limit) -> io::Result<Vec<SocketAddr>> {
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
    match answered.recv_timeout(limit.left()) {
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
    use postwire_transport::TransportBuilder;
    use postwire_transport::proto::ErrorKind;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn addresses() -> Vec<SocketAddr> {
        let texts = ["[2001:db8::1]:25", "192.0.2.1:25", "192.0.2.2:25"];
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn race_them(
        limit: Duration,
        attempt: impl Fn(SocketAddr, Duration) -> io::Result<SocketAddr> + Clone + Send + 'static,
    ) -> Result<SocketAddr, Error> {
        let builder = TransportBuilder::<TransportConfig>::builder_dangerous("mail.example");
        let config = builder.build().unwrap();
        let mut addresses = AddressRace::new(&config, addresses());
        race(&mut addresses, &Limit::new(limit), attempt)
    }

    /// An address that swallows packets.
    fn swallows(left: Duration) -> io::Result<SocketAddr> {
        thread::sleep(left);
        Err(io::ErrorKind::TimedOut.into())
    }

    #[test]
    fn an_address_that_swallows_packets_holds_up_nobody() {
        let won = race_them(LONG, |address: SocketAddr, left| {
            if address.is_ipv6() {
                swallows(left)
            } else {
                Ok(address)
            }
        });
        assert_eq!(won.unwrap(), addresses()[1]);
    }

    #[test]
    fn an_address_that_fails_hands_on_at_once() {
        let won = race_them(LONG, |address, _| {
            if address == addresses()[2] {
                Ok(address)
            } else {
                Err(io::ErrorKind::ConnectionRefused.into())
            }
        });
        assert_eq!(won.unwrap(), addresses()[2]);
    }

    #[test]
    fn where_all_fail_each_is_named_with_its_reason() {
        let refuses = |_, _| Err(io::ErrorKind::ConnectionRefused.into());
        let error = race_them(LONG, refuses).unwrap_err();
        for address in addresses() {
            let reason = format!("{address}: connection refused");
            assert!(error.to_string().contains(&reason), "{error}");
        }
    }

    #[test]
    fn where_nobody_answers_the_time_is_up() {
        let error = race_them(2 * ATTEMPT_DELAY, |_, _| swallows(LONG)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TimedOut), "{error}");
    }

    #[test]
    fn a_time_without_end_is_no_fault() {
        assert!(race_them(Duration::MAX, |address, _| Ok(address)).is_ok());
    }
}
