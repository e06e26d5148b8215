//! The race of a server's addresses (RFC 8305), step by step.
//!
//! Decides only. Must never start an attempt or a timer. All adapters run the same race, each with
//! its own sockets.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use postwire_proto::{Error, ErrorKind, Stage};

use super::{ConnectError, connection_order};
use crate::TransportConfig;

/// The race of the addresses of a server: which address is tried next, and when.
///
/// An address fails as well if its server accepts the connection and then refuses the session,
/// closes the connection or sends no greeting. The race then continues with the other addresses
/// (RFC 5321 §5.1).
#[derive(Debug)]
pub(super) struct AddressRace {
    untried: VecDeque<SocketAddr>,
    running: Vec<SocketAddr>,
    /// Whether the next address may start without a delay.
    is_next: bool,
    failed: ConnectError,
    /// The error of the last session that failed.
    refused: Option<Error>,
}

/// The next step of a race.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RaceStep {
    /// Begin to connect to this address, and restart the timer.
    Start(SocketAddr),
    /// Wait until an attempt ends ([`AddressRace::connected`], [`AddressRace::failed`]) or the
    /// timer ends ([`AddressRace::delay_is_over`]).
    Wait,
    /// Stop: all addresses have failed ([`AddressRace::error`]).
    GiveUp,
}

impl AddressRace {
    /// Creates a race of these addresses, in [`connection_order`].
    pub(super) fn new(config: &TransportConfig, addresses: Vec<SocketAddr>) -> Self {
        let local = config.socket_options().local_address;
        Self {
            untried: connection_order(addresses, local).into(),
            running: Vec::new(),
            is_next: true,
            failed: ConnectError::new(config.host(), config.port()),
            refused: None,
        }
    }

    /// The next step.
    pub(super) fn next_step(&mut self) -> RaceStep {
        let next = if self.is_next || self.running.is_empty() {
            self.untried.pop_front()
        } else {
            None
        };
        if let Some(address) = next {
            self.is_next = false;
            self.running.push(address);
            return RaceStep::Start(address);
        }
        if self.running.is_empty() {
            RaceStep::GiveUp
        } else {
            RaceStep::Wait
        }
    }

    /// Whether one attempt is running, and no other can join it.
    pub(super) fn is_only_address(&self) -> bool {
        self.untried.is_empty() && self.running.len() == 1
    }

    /// Allows another address to join, because the delay after the last one is over.
    pub(super) fn delay_is_over(&mut self) {
        self.is_next = true;
    }

    /// Records a failed attempt. The next address may start without a delay.
    pub(super) fn failed(&mut self, address: SocketAddr, error: io::Error) {
        self.running.retain(|running| *running != address);
        self.failed.attempt(address, error);
        self.is_next = true;
    }

    /// Records a successful attempt. The other addresses are tried again if the session with this
    /// address fails early.
    pub(super) fn connected(&mut self, address: SocketAddr) {
        self.running.retain(|running| *running != address);
        for dropped in self.running.drain(..).rev() {
            self.untried.push_front(dropped);
        }
        self.is_next = true;
    }

    /// Records that the session with the winning address failed.
    ///
    /// # Errors
    ///
    /// Returns `error` if no other address is to be tried.
    pub(super) fn session_failed(&mut self, error: Error) -> Result<(), Error> {
        if self.untried.is_empty() || !error.is_worth_another_address() {
            return Err(error);
        }
        self.refused = Some(error);
        Ok(())
    }

    /// The time limit for the opening of the next session: a share of the time that is left, so
    /// that the other addresses have time as well.
    pub(super) fn share(&self, left: Duration) -> Duration {
        let others = u32::try_from(self.untried.len()).unwrap_or(u32::MAX);
        left / others.saturating_add(1)
    }

    /// The error of the race: that of the last session if there was one, otherwise the failures of
    /// all attempts.
    pub(super) fn error(&mut self) -> Error {
        if let Some(refused) = self.refused.take() {
            return refused;
        }
        let (host, port) = (self.failed.host(), self.failed.port());
        let none = ConnectError::new(host, port);
        std::mem::replace(&mut self.failed, none).into_error()
    }

    /// The error of a race that ended at its time limit.
    pub(super) fn timed_out(&mut self) -> Error {
        for address in self.running.drain(..) {
            let error = io::ErrorKind::TimedOut.into();
            self.failed.attempt(address, error);
        }
        if self.refused.is_none() && !self.failed.is_timeout() {
            return Error::new(Stage::Connect, ErrorKind::TimedOut);
        }
        self.error()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use postwire_proto::{Reply, ReplyCode};

    use super::*;
    use crate::TransportBuilder;

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 25))
    }

    fn race(addresses: u8) -> AddressRace {
        let builder = TransportBuilder::<TransportConfig>::builder_dangerous("mail.example");
        let config = builder.build().unwrap();
        AddressRace::new(&config, (1..=addresses).map(address).collect())
    }

    fn refused() -> io::Error {
        io::ErrorKind::ConnectionRefused.into()
    }

    fn greeted_with(code: u16) -> Error {
        let reply = Reply::new(ReplyCode::new(code).unwrap(), None, &["no"]);
        Error::new(Stage::Greeting, ErrorKind::Refused(reply))
    }

    /// The end of the whole time limit: what the last server said explains more than the time-out.
    #[test]
    fn a_race_that_times_out_has_the_best_reason() {
        let mut never_begun = race(1);
        let error = never_begun.timed_out();
        assert_eq!(
            (error.stage(), error.kind()),
            (Stage::Connect, &ErrorKind::TimedOut)
        );
        assert_eq!(error.detail(), None);

        let mut silent = race(1);
        assert_eq!(silent.next_step(), RaceStep::Start(address(1)));
        let error = silent.timed_out();
        assert_eq!(error.kind(), &ErrorKind::TimedOut);
        assert!(error.to_string().contains("192.0.2.1:25"), "{error}");

        let mut refused = race(2);
        assert_eq!(refused.next_step(), RaceStep::Start(address(1)));
        refused.connected(address(1));
        refused.session_failed(greeted_with(554)).unwrap();
        let error = refused.timed_out();
        assert!(error.to_string().contains("554 no"), "{error}");
    }

    #[test]
    fn the_next_joins_when_the_last_failed_or_had_its_time() {
        let mut race = race(3);
        assert_eq!(race.next_step(), RaceStep::Start(address(1)));
        assert_eq!(race.next_step(), RaceStep::Wait);
        race.delay_is_over();
        assert_eq!(race.next_step(), RaceStep::Start(address(2)));
        assert_eq!(race.next_step(), RaceStep::Wait);
        race.failed(address(1), refused());
        assert!(!race.is_only_address());
        assert_eq!(race.next_step(), RaceStep::Start(address(3)));
        race.delay_is_over();
        assert_eq!(race.next_step(), RaceStep::Wait);
        assert!(!race.is_only_address());
        race.failed(address(2), refused());
        assert_eq!(race.next_step(), RaceStep::Wait);
        assert!(race.is_only_address());
        race.failed(address(3), refused());
        assert_eq!(race.next_step(), RaceStep::GiveUp);
        let error = race.error().to_string();
        assert!(
            (1..=3).all(|n| error.contains(&address(n).to_string())),
            "{error}"
        );
        // The failures are told once, the server again.
        let again = race.error().to_string();
        assert!(again.contains("mail.example port 25"), "{again}");
    }

    #[test]
    fn an_address_that_has_no_session_hands_on_to_those_that_lost() {
        let mut race = race(3);
        assert_eq!(race.next_step(), RaceStep::Start(address(1)));
        race.delay_is_over();
        assert_eq!(race.next_step(), RaceStep::Start(address(2)));
        race.connected(address(2));
        assert_eq!(race.share(Duration::from_secs(9)), Duration::from_secs(3));
        assert!(race.session_failed(greeted_with(421)).is_ok());
        assert_eq!(race.next_step(), RaceStep::Start(address(1)));
        race.failed(address(1), refused());
        assert_eq!(race.next_step(), RaceStep::Start(address(3)));
        race.connected(address(3));
        // The error of the last address is reported.
        let last = race.session_failed(greeted_with(554)).unwrap_err();
        assert!(last.to_string().contains("554"), "{last}");
    }

    #[test]
    fn the_servers_words_say_more_than_an_address_without_a_server() {
        let mut race = race(2);
        race.next_step();
        race.connected(address(1));
        assert!(race.session_failed(greeted_with(421)).is_ok());
        race.next_step();
        race.failed(address(2), refused());
        assert_eq!(race.next_step(), RaceStep::GiveUp);
        assert_eq!(race.error().reply().unwrap().code().get(), 421);
    }

    #[test]
    fn what_another_address_would_not_mend_is_reported_at_once() {
        for (stage, kind) in [
            (Stage::Auth, ErrorKind::TimedOut),
            (Stage::StartTls, ErrorKind::StartTlsNotOffered),
            (Stage::Tls, ErrorKind::Tls(Arc::new(refused()))),
        ] {
            let mut race = race(2);
            race.next_step();
            race.connected(address(1));
            assert!(race.session_failed(Error::new(stage, kind)).is_err());
        }
    }
}
