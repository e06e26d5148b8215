//! The way to a session, step by step: resolve, race the addresses, begin a session over the
//! socket that won, and try the other addresses where that session fails.
//!
//! Must never open a socket, start a timer or wait.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use postwire_proto::{Error, ErrorKind, Stage};

use super::ConnectError;
use super::race::{AddressRace, RaceStep};
use crate::TransportConfig;
use crate::session::SessionMachine;

/// How long one address is given before the next joins the race (RFC 8305 §5).
pub const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The way to one server, for one session.
///
/// The adapter carries out one [`DialStep`] after the other, until one of its attempts is
/// connected, all within [`limit`](Self::limit). A name or a path that is dropped without an
/// answer is given again.
#[derive(Debug)]
pub struct Dial<'a> {
    config: &'a TransportConfig,
    /// Once the addresses are known.
    race: Option<AddressRace>,
    failed: Option<Error>,
}

/// What the adapter does next.
#[derive(Debug)]
#[must_use = "the server is reached once each step is carried out"]
pub enum DialStep<'d, 'a> {
    /// Looks up the addresses of a name.
    Resolve(Resolve<'d, 'a>),
    /// Connects to a Unix socket.
    ConnectUnix(ConnectUnix<'d, 'a>),
    /// Begins to connect to this address, beside the attempts that are under way, and starts a
    /// timer of [`ATTEMPT_DELAY`] instead of the one that runs. The end of the attempt is
    /// [`Dial::connected`] or [`Dial::attempt_failed`].
    Start(SocketAddr),
    /// Waits until an attempt ends, or the timer does ([`Dial::delay_is_over`]).
    Wait,
    /// The server cannot be reached.
    Fail(Error),
}

impl<'a> Dial<'a> {
    /// The way to the server of `config`.
    pub fn new(config: &'a TransportConfig) -> Self {
        let known = match (config.addresses(), config.host().parse::<IpAddr>()) {
            _ if config.unix_socket().is_some() => None,
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

    /// How long connecting may take; `left` is how long the caller waits for the session.
    pub fn limit(&self, left: Option<Duration>) -> Duration {
        let limit = self.config.timeouts().connect;
        left.map_or(limit, |left| limit.min(left))
    }

    /// What to do next.
    pub fn next_step(&mut self) -> DialStep<'_, 'a> {
        if let Some(error) = self.failed.take() {
            return DialStep::Fail(error);
        }
        match (&mut self.race, self.config.unix_socket()) {
            (None, Some(path)) => DialStep::ConnectUnix(ConnectUnix { dial: self, path }),
            (None, None) => DialStep::Resolve(Resolve(self)),
            (Some(race), _) => match race.next_step() {
                RaceStep::Start(address) => DialStep::Start(address),
                RaceStep::Wait => DialStep::Wait,
                RaceStep::GiveUp => DialStep::Fail(race.error()),
            },
        }
    }

    /// The attempt to connect to this address succeeded. The other attempts are dropped.
    pub fn connected(&mut self, address: SocketAddr) {
        self.tell_race(|race| race.connected(address));
    }

    /// The attempt to connect to this address failed.
    pub fn attempt_failed(&mut self, address: SocketAddr, error: io::Error) {
        self.tell_race(|race| race.failed(address, error));
    }

    /// The timer ended: another address may join.
    pub fn delay_is_over(&mut self) {
        self.tell_race(AddressRace::delay_is_over);
    }

    fn tell_race(&mut self, tell: impl FnOnce(&mut AddressRace)) {
        if let Some(race) = &mut self.race {
            tell(race);
        }
    }

    /// The time for connecting is up: the error of the session.
    pub fn timed_out(&mut self) -> Error {
        let late = || Error::new(Stage::Connect, ErrorKind::TimedOut);
        self.race.as_mut().map_or_else(late, AddressRace::timed_out)
    }

    /// The session over the stream that is connected, whose own end has this address. It is
    /// driven until it [stands](SessionMachine::stands) or is over.
    pub fn session(&self, local: Option<IpAddr>) -> SessionMachine {
        SessionMachine::opening(self.config, local)
    }

    /// How much of the time that is left the session may take until it stands: its share, so
    /// that the other addresses have theirs.
    pub fn share(&self, left: Option<Duration>) -> Option<Duration> {
        let share = |left| self.race.as_ref().map_or(left, |race| race.share(left));
        left.map(share)
    }

    /// Whether the session stands. Where it does not, the next step goes on with another
    /// address, unless the answer of whoever was told of its events is a break.
    ///
    /// # Errors
    ///
    /// Why the session failed, where no other address is worth trying.
    pub fn is_open(
        &mut self,
        session: &SessionMachine,
        answer: ControlFlow<()>,
    ) -> Result<bool, Error> {
        if session.session().is_ready() {
            return Ok(true);
        }
        match &mut self.race {
            Some(race) if answer.is_continue() => race.session_failed(session.error())?,
            _ => return Err(session.error()),
        }
        Ok(false)
    }
}

/// The name of a server whose addresses are wanted.
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

    /// Takes the addresses, or why there are none.
    pub fn resolved(self, addresses: io::Result<Vec<SocketAddr>>) {
        let config = self.0.config;
        match addresses {
            Ok(addresses) => self.0.race = Some(AddressRace::new(config, addresses)),
            Err(error) => {
                let error = ConnectError::unresolved(config.host(), config.port(), error);
                self.0.failed = Some(error.into_error());
            }
        }
    }
}

/// A Unix socket to connect to.
#[derive(Debug)]
#[must_use]
pub struct ConnectUnix<'d, 'a> {
    dial: &'d mut Dial<'a>,
    path: &'a Path,
}

impl<'a> ConnectUnix<'_, 'a> {
    /// Its path.
    pub fn path(&self) -> &'a Path {
        self.path
    }

    /// Connecting failed.
    pub fn failed(self, error: io::Error) {
        let error = ConnectError::unix_socket(self.path, error);
        self.dial.failed = Some(error.into_error());
    }
}
