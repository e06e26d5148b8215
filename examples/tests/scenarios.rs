//! The scenarios of every adapter, over the tokio example; lettre's traits.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use postwire_examples::by_lettre;
use postwire_examples::by_tokio::Tokio;
use postwire_futures::Transport;
use postwire_futures::proto::{Body, Envelope, Report};
use postwire_futures::tls::TransportConfig;
use postwire_testing::server::{Embedded, everything};
use postwire_testing::{Adapter, scenarios};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(future)
}

impl Adapter for TokioAdapter {
    fn send_all(&self, config: TransportConfig, messages: Vec<(Envelope, Body)>) -> Vec<Report> {
        block_on(async {
            let transport = Transport::<Tokio>::from(config);
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

    fn send(&self, config: TransportConfig, envelope: &Envelope, body: Body) -> Report {
        block_on(async {
            let transport = Transport::<Tokio>::from(config);
            let report = match transport.send(envelope, body).await {
                Ok(report) => report,
                Err(error) => error.into_report(),
            };
            transport.shutdown().await;
            report
        })
    }
}

struct TokioAdapter;

#[test]
fn every_scenario() {
    scenarios::run_all(&TokioAdapter);
}

#[test]
fn a_lettre_program_moves_in_one_line() {
    let server = Embedded::start(everything(), postwire_testing::plaintext());
    let url = format!("smtp://127.0.0.1:{}?tls=none", server.port());
    let message = lettre::Message::builder()
        .from("Alice <alice@example.org>".parse().unwrap())
        .to("Bob <bob@example.net>".parse().unwrap())
        .subject("moved")
        .body("Hello, Bob.".to_owned())
        .unwrap();

    let transport = postwire_blocking::Transport::from_url(&url)
        .unwrap()
        .build()
        .unwrap();
    let report = lettre::Transport::send(&by_lettre::Blocking(transport), &message).unwrap();
    assert!(report.is_accepted());

    block_on(async {
        let transport = postwire_futures::tls::TransportBuilder::from_url(&url).unwrap();
        let transport: Transport<Tokio> = transport.build().unwrap();
        let moved = by_lettre::Async(transport);
        let report = lettre::AsyncTransport::send(&moved, message.clone())
            .await
            .unwrap();
        assert!(report.is_accepted());
    });
    let stored = server.seen().stored;
    assert_eq!(stored.len(), 2);
    assert!(stored.iter().all(|s| s.content == message.formatted()));
}
