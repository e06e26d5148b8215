//! A server that kills connections at random: every message gets one true verdict.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::{Arc, Mutex};

use postwire_async_std::Transport;
use postwire_async_std::proto::{Body, Envelope, Report};
use postwire_async_std::tls::TransportConfig;
use postwire_testing::chaos::{self, ConcurrentAdapter};

struct AsyncStd;

impl ConcurrentAdapter for AsyncStd {
    fn send_concurrently(
        &self,
        config: TransportConfig,
        messages: Vec<(Envelope, Body)>,
        senders: usize,
    ) -> Vec<(usize, Report)> {
        async_std::task::block_on(async {
            let transport = Transport::from(config);
            let queue = Arc::new(Mutex::new(messages.into_iter().enumerate()));
            let senders: Vec<_> = (0..senders)
                .map(|_| {
                    let (transport, queue) = (transport.clone(), Arc::clone(&queue));
                    async_std::task::spawn(async move {
                        let mut reports = Vec::new();
                        loop {
                            let next = queue.lock().unwrap().next();
                            let Some((number, (envelope, body))) = next else {
                                return reports;
                            };
                            let report = match transport.send(&envelope, body).await {
                                Ok(report) => report,
                                Err(error) => error.into_report(),
                            };
                            reports.push((number, report));
                        }
                    })
                })
                .collect();
            let mut reports = Vec::new();
            for sender in senders {
                reports.extend(sender.await);
            }
            transport.shutdown().await;
            reports
        })
    }
}

#[test]
fn every_message_has_one_true_verdict() {
    chaos::run(&AsyncStd, chaos::messages(), 42);
}
