//! The scenarios of every adapter, over `std::net`.

use postwire_blocking::proto::{Body, Command, Envelope, Event, Report, StreamFacts};
use postwire_blocking::tls::TransportConfig;
use postwire_blocking::{Connection, Transport};
use postwire_testing::{Adapter, Answer, Pieces, scenarios};

struct Blocking;

impl Adapter for Blocking {
    fn send_all(&self, config: TransportConfig, messages: Vec<(Envelope, Body)>) -> Vec<Report> {
        Transport::from(config).send_all(messages).collect()
    }

    fn send_twice(
        &self,
        config: TransportConfig,
        envelope: &Envelope,
        body: Body,
        between: &dyn Fn(),
    ) -> [Report; 2] {
        let transport = Transport::from(config);
        let send = || match transport.send(envelope, body.clone()) {
            Ok(report) => report,
            Err(error) => error.into_report(),
        };
        let first = send();
        between();
        [first, send()]
    }

    fn send_stream(
        &self,
        config: TransportConfig,
        envelope: &Envelope,
        facts: &StreamFacts,
        pieces: Pieces,
    ) -> Report {
        match Transport::from(config).send_stream(envelope, facts, pieces) {
            Ok(report) => report,
            Err(error) => error.into_report(),
        }
    }

    fn ask(
        &self,
        config: TransportConfig,
        messages: Vec<(Envelope, Body)>,
        commands: Vec<Command>,
    ) -> (Vec<Report>, Vec<Answer>) {
        let mut connection = match Connection::connect(&config) {
            Ok(connection) => connection,
            Err(error) => panic!("{error}"),
        };
        for (envelope, body) in messages {
            connection.enqueue(envelope, body);
        }
        let ask = |command| connection.command(command);
        let answers = commands.into_iter().map(ask).collect();
        connection.begin_quit();
        let mut reports = Vec::new();
        while let Some(event) = connection.next_event() {
            if let Event::Report(report) = event {
                reports.push(report);
            }
        }
        (reports, answers)
    }

    fn send(&self, config: TransportConfig, envelope: &Envelope, body: Body) -> Report {
        match Transport::from(config).send(envelope, body) {
            Ok(report) => report,
            Err(error) => error.into_report(),
        }
    }
}

#[test]
fn every_scenario() {
    scenarios::run_all(&Blocking);
}
