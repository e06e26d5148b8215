//! Connecting to a server, step by step: resolve the name, race the addresses, begin a session over
//! the socket that wins, and try the other addresses if that session fails.
//!
//! Must never open a socket, start a timer or wait.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use postwire_proto::Error;

use super::ConnectError;
use super::race::{AddressRace, RaceStep};
use crate::TransportConfig;
use crate::observe;
use crate::session::SessionMachine;

/// The delay before the next address joins the race (RFC 8305 §5).
pub const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The process of connecting to one server for one session.
///
/// The adapter carries out one [`DialStep`] after the other, until one of its attempts is
/// connected, all within [`limit`](Self::limit). A name or a path that is dropped without an
/// answer is given again.
#[derive(Debug)]
pub struct Dial<'a> {
    config: &'a TransportConfig,
    /// The race, once the addresses are known.
    race: Option<AddressRace>,
    failed: Option<Error>,
}

/// The next step of an adapter that connects.
#[derive(Debug)]
#[must_use = "the server is reached once each step is carried out"]
pub enum DialStep<'d, 'a> {
    /// Resolve the addresses of a name.
    Resolve(Resolve<'d, 'a>),
    /// Connect to a Unix socket, or by a function of the program, which has no path.
    ConnectUnix(ConnectUnix<'d, 'a>),
    /// Begin to connect to this address, concurrently with the running attempts, and restart the
    /// timer with [`ATTEMPT_DELAY`]. When the attempt ends, call [`Dial::connected`] or
    /// [`Dial::attempt_failed`].
    Start(SocketAddr),
    /// Wait until an attempt ends, or until the timer ends ([`Dial::delay_is_over`]).
    Wait,
    /// Stop: the server cannot be reached.
    Fail(Error),
}

impl<'a> Dial<'a> {
    /// Begins to connect to the server of `config`.
    pub fn new(config: &'a TransportConfig) -> Self {
        let known = match (config.addresses(), config.host().parse::<IpAddr>()) {
            _ if config.by_connector || config.unix_socket().is_some() => None,
            (Some(addresses), _) => Some(addresses.to_vec()),
            (None, Ok(address)) => Some(vec![SocketAddr::new(address, config.port())]),
            (None, Err(_)) => None,
        };
        Self {
            config,
            race: known.map(|addresses| AddressRace::new(config, addresses)),
            failed: None,
        }
    }

    /// The time limit for connecting. `left` is the time that the caller waits for the session.
    pub fn limit(&self, left: Option<Duration>) -> Duration {
        let limit = self.config.timeouts().connect;
        left.map_or(limit, |left| limit.min(left))
    }

    /// The next step.
    pub fn next_step(&mut self) -> DialStep<'_, 'a> {
        if let Some(error) = self.failed.take() {
            return DialStep::Fail(error);
        }
        let path = self.path();
        match (&mut self.race, path) {
            (None, Some(path)) => DialStep::ConnectUnix(ConnectUnix { dial: self, path }),
            (None, None) => DialStep::Resolve(Resolve(self)),
            (Some(race), _) => match race.next_step() {
                RaceStep::Start(address) => DialStep::Start(address),
                RaceStep::Wait => DialStep::Wait,
                RaceStep::GiveUp => DialStep::Fail(race.error()),
            },
        }
    }

    /// Whether one attempt is running and no other address can join it.
    pub fn is_only_address(&self) -> bool {
        self.race.as_ref().is_some_and(AddressRace::is_only_address)
    }

    /// Records that the attempt to connect to this address succeeded. The adapter drops the other
    /// attempts.
    pub fn connected(&mut self, address: SocketAddr) {
        observe::connected(address);
        self.with_race(|race| race.connected(address));
    }

    /// Records that the attempt to connect to this address failed.
    pub fn attempt_failed(&mut self, address: SocketAddr, error: io::Error) {
        observe::attempt_failed(address, &error);
        self.with_race(|race| race.failed(address, error));
    }

    /// Records that the timer ended, so that another address may join.
    pub fn delay_is_over(&mut self) {
        self.with_race(AddressRace::delay_is_over);
    }

    fn with_race(&mut self, tell: impl FnOnce(&mut AddressRace)) {
        if let Some(race) = &mut self.race {
            tell(race);
        }
    }

    /// Ends connecting after its time limit, and returns the error of the session.
    pub fn timed_out(&mut self) -> Error {
        let late = || io::ErrorKind::TimedOut.into();
        let path = self.path();
        match (&mut self.race, path) {
            (Some(race), _) => race.timed_out(),
            (None, Some(path)) => self.path_error(path, late()).into_error(),
            (None, None) => self.unresolved(late()).into_error(),
        }
    }

    /// The path of the Unix socket; empty for a function of the program.
    fn path(&self) -> Option<&'a Path> {
        if self.config.by_connector {
            Some(Path::new(""))
        } else {
            self.config.unix_socket()
        }
    }

    fn path_error(&self, path: &Path, error: io::Error) -> ConnectError {
        if self.config.by_connector {
            ConnectError::connector(self.config.host(), self.config.port(), error)
        } else {
            ConnectError::unix_socket(path, error)
        }
    }

    fn unresolved(&self, error: io::Error) -> ConnectError {
        ConnectError::unresolved(self.config.host(), self.config.port(), error)
    }

    /// Creates the session over the connected stream with this local address. The adapter drives
    /// the session until it [is ready](SessionMachine::stands) or is over.
    pub fn session(&self, local: Option<IpAddr>) -> SessionMachine {
        SessionMachine::opening(self.config, local)
    }

    /// The time limit for the opening of the session: a share of the time that is left, so that
    /// the other addresses have time as well.
    pub fn share(&self, left: Option<Duration>) -> Option<Duration> {
        let share = |left| self.race.as_ref().map_or(left, |race| race.share(left));
        left.map(share)
    }

    /// Whether the session is ready. If it is not, the next step tries another address, unless
    /// the callback for its events returned a break.
    ///
    /// # Errors
    ///
    /// The error of the session, if no other address is to be tried.
    pub fn is_open(
        &mut self,
        session: &SessionMachine,
        answer: ControlFlow<()>,
    ) -> Result<bool, Error> {
        if session.session().is_ready() {
            return Ok(true);
        }
        match &mut self.race {
            Some(race) if answer.is_continue() => {
                race.session_failed(session.error())?;
                observe::next_address(&session.error());
            }
            _ => return Err(session.error()),
        }
        Ok(false)
    }
}

/// The step of resolving the name of a server.
#[derive(Debug)]
#[must_use]
pub struct Resolve<'d, 'a>(&'d mut Dial<'a>);

impl<'a> Resolve<'_, 'a> {
    /// The name.
    pub fn host(&self) -> &'a str {
        self.0.config.host()
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.0.config.port()
    }

    /// Takes the addresses, or the error of the resolver.
    pub fn resolved(self, addresses: io::Result<Vec<SocketAddr>>) {
        let config = self.0.config;
        match addresses {
            Ok(addresses) => self.0.race = Some(AddressRace::new(config, addresses)),
            Err(error) => self.0.failed = Some(self.0.unresolved(error).into_error()),
        }
    }
}

/// The step of connecting to a Unix socket, or by a function of the program.
#[derive(Debug)]
#[must_use]
pub struct ConnectUnix<'d, 'a> {
    dial: &'d mut Dial<'a>,
    path: &'a Path,
}

impl<'a> ConnectUnix<'_, 'a> {
    /// The path of the socket; empty for a function of the program.
    pub fn path(&self) -> &'a Path {
        self.path
    }

    /// Records that connecting failed.
    pub fn failed(self, error: io::Error) {
        let error = self.dial.path_error(self.path, error);
        self.dial.failed = Some(error.into_error());
    }
}
