//! The blocking adapter, for the scenarios.

use std::sync::Mutex;
use std::thread;

use postwire_blocking::{Connection, Transport};
use postwire_tls::proto::{
    Body, BodySource, Command, Envelope, Event, Report, SendError, StreamFacts,
};
use postwire_transport::{StreamBody, TransportConfig};

use crate::{Adapter, Answer, Pieces, Shutdown};

/// The blocking adapter.
#[derive(Clone, Copy, Debug)]
pub struct Blocking;

fn report(result: Result<Report, SendError>) -> Report {
    result.unwrap_or_else(SendError::into_report)
}

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
        let first = report(transport.send(envelope, body.clone()));
        between();
        [first, report(transport.send(envelope, body))]
    }

    fn send_stream(
        &self,
        config: TransportConfig,
        envelope: &Envelope,
        facts: &StreamFacts,
        pieces: Pieces,
    ) -> Report {
        report(
            Transport::from(config)
                .send_stream(envelope, StreamBody::new(pieces).facts(facts.clone())),
        )
    }

    fn ask(
        &self,
        config: TransportConfig,
        messages: Vec<(Envelope, BodySource)>,
        commands: Vec<Command>,
    ) -> (Vec<Report>, Vec<Answer>) {
        let mut connection = Connection::connect(&config).unwrap();
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
        report(Transport::from(config).send(envelope, body))
    }

    fn send_concurrently(
        &self,
        config: TransportConfig,
        messages: Vec<(Envelope, Body)>,
        senders: usize,
    ) -> Vec<(usize, Report)> {
        let transport = Transport::from(config);
        let queue = Mutex::new(messages.into_iter().enumerate());
        let reports = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..senders {
                scope.spawn(|| {
                    loop {
                        let next = queue.lock().unwrap().next();
                        let Some((number, (envelope, body))) = next else {
                            return;
                        };
                        let report = report(transport.send(&envelope, body));
                        reports.lock().unwrap().push((number, report));
                    }
                });
            }
        });
        transport.shutdown();
        reports.into_inner().unwrap()
    }

    fn shut_down_midway(
        &self,
        config: TransportConfig,
        messages: Vec<(Envelope, Body)>,
        taken: usize,
    ) -> Shutdown {
        let transport = Transport::from(config);
        let (envelope, body) = messages[0].clone();
        let mut sending = transport.send_all(messages);
        let before = sending.by_ref().take(taken).collect();
        transport.shutdown();
        let after = report(transport.send(&envelope, body));
        drop(sending);
        Shutdown {
            before,
            after,
            left: transport.abandoned(),
        }
    }
}
