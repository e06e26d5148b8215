//! The scenarios of every adapter, over smol.

use postwire_smol::Transport;
use postwire_smol::proto::{Body, Envelope, Report};
use postwire_smol::tls::TransportConfig;
use postwire_testing::{Adapter, scenarios};

struct Smol;

impl Adapter for Smol {
    fn send_all(&self, config: TransportConfig, messages: Vec<(Envelope, Body)>) -> Vec<Report> {
        smol::block_on(async {
            let transport = Transport::from(config);
            let mut sending = transport.send_all(messages);
            let mut reports = Vec::new();
            while let Some(report) = sending.next().await {
                reports.push(report);
            }
            drop(sending);
            transport.shutdown().await;
            reports
        })
    }

    fn send_twice(
        &self,
        config: TransportConfig,
        envelope: &Envelope,
        body: Body,
        between: &dyn Fn(),
    ) -> [Report; 2] {
        smol::block_on(async {
            let transport = Transport::from(config);
            let send = async || match transport.send(envelope, body.clone()).await {
                Ok(report) => report,
                Err(error) => error.into_report(),
            };
            let first = send().await;
            between();
            let second = send().await;
            transport.shutdown().await;
            [first, second]
        })
    }

    fn send(&self, config: TransportConfig, envelope: &Envelope, body: Body) -> Report {
        smol::block_on(async {
            let transport = Transport::from(config);
            let report = match transport.send(envelope, body).await {
                Ok(report) => report,
                Err(error) => error.into_report(),
            };
            transport.shutdown().await;
            report
        })
    }
}

#[test]
fn every_scenario() {
    scenarios::run_all(&Smol);
}
