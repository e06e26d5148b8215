//! From a name to a connected socket: resolve, then race the addresses
//! (RFC 8305, "happy eyeballs"), all within one deadline. A path is a Unix
//! socket, and no name.
//!
//! Which address is tried when is [`AddressRace`]'s decision.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use postwire_transport::proto::{Error, ErrorKind, Stage};
use postwire_transport::{ATTEMPT_DELAY, AddressRace, ConnectError, RaceStep, TransportConfig};

use crate::Runtime;
use crate::runtime::sleep;

type Attempt<'a, S> = Pin<Box<dyn Future<Output = (SocketAddr, io::Result<S>)> + Send + 'a>>;

/// The way to a server: its addresses, and which of them have failed.
pub(crate) struct Dialer<'a, R> {
    runtime: &'a R,
    config: &'a TransportConfig,
    /// Once they are known.
    race: Option<AddressRace>,
}

impl<'a, R: Runtime> Dialer<'a, R> {
    pub(crate) fn new(runtime: &'a R, config: &'a TransportConfig) -> Self {
        Self {
            runtime,
            config,
            race: None,
        }
    }

    /// Connects to the first address that has not failed, as the race has it.
    pub(crate) async fn connect(&mut self, left: Option<Duration>) -> Result<R::Stream, Error> {
        let limit = self.config.timeouts().connect;
        let limit = left.map_or(limit, |left| limit.min(left));
        let mut limit = sleep(self.runtime, limit);
        let connected = {
            let mut connecting = pin!(self.resolve_and_race());
            poll_fn(|cx| {
                if let Poll::Ready(connected) = connecting.as_mut().poll(cx) {
                    return Poll::Ready(Some(connected));
                }
                Pin::new(&mut limit).poll(cx).map(|()| None)
            })
            .await
        };
        match (connected, &mut self.race) {
            (Some(connected), _) => connected,
            (None, Some(race)) => Err(race.timed_out()),
            (None, None) => Err(Error::new(Stage::Connect, ErrorKind::TimedOut)),
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

    async fn resolve_and_race(&mut self) -> Result<R::Stream, Error> {
        if let Some(path) = self.config.unix_socket() {
            let connected = self.runtime.connect_unix(path).await;
            return connected.map_err(|error| ConnectError::unix_socket(path, error).into_error());
        }
        if self.race.is_none() {
            let addresses = self.resolve().await.map_err(ConnectError::into_error)?;
            self.race = Some(AddressRace::new(self.config, addresses));
        }
        let Some(race) = &mut self.race else {
            return Err(Error::new(Stage::Connect, ErrorKind::TimedOut));
        };
        let mut running = Running {
            runtime: self.runtime,
            config: self.config,
            attempts: Vec::new(),
            delay: None,
        };
        poll_fn(|cx| running.poll(race, cx)).await
    }

    async fn resolve(&self) -> Result<Vec<SocketAddr>, ConnectError> {
        let (host, port) = (self.config.host(), self.config.port());
        if let Some(addresses) = self.config.addresses() {
            return Ok(addresses.to_vec());
        }
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let resolved = self.runtime.resolve(host, port).await;
        resolved.map_err(|error| ConnectError::unresolved(host, port, error))
    }
}

/// The attempts that are under way.
struct Running<'a, R: Runtime> {
    runtime: &'a R,
    config: &'a TransportConfig,
    attempts: Vec<Attempt<'a, R::Stream>>,
    /// Gone once it has ended: no timer is polled again after that.
    delay: Option<R::Sleep>,
}

impl<R: Runtime> Running<'_, R> {
    fn poll(
        &mut self,
        race: &mut AddressRace,
        cx: &mut Context<'_>,
    ) -> Poll<Result<R::Stream, Error>> {
        loop {
            if let Some((address, result)) = self.poll_attempts(cx) {
                match result {
                    Ok(stream) => {
                        race.connected(address);
                        return Poll::Ready(Ok(stream));
                    }
                    Err(error) => race.failed(address, error),
                }
                continue;
            }
            if let Some(delay) = &mut self.delay
                && Pin::new(delay).poll(cx).is_ready()
            {
                self.delay = None;
                race.delay_is_over();
            }
            match race.next_step() {
                RaceStep::Start(address) => {
                    let (runtime, options) = (self.runtime, self.config.socket_options());
                    self.attempts.push(Box::pin(async move {
                        (address, runtime.connect(address, options).await)
                    }));
                    self.delay = Some(runtime.sleep(ATTEMPT_DELAY));
                }
                RaceStep::Wait => return Poll::Pending,
                RaceStep::GiveUp => return Poll::Ready(Err(race.error())),
            }
        }
    }

    /// The first attempt that has ended.
    fn poll_attempts(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Option<(SocketAddr, io::Result<R::Stream>)> {
        for (position, attempt) in self.attempts.iter_mut().enumerate() {
            if let Poll::Ready(ended) = attempt.as_mut().poll(cx) {
                drop(self.attempts.swap_remove(position));
                return Some(ended);
            }
        }
        None
    }
}
