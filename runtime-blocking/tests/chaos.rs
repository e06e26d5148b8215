//! A server that kills connections at random: every message gets one true verdict.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::Mutex;
use std::thread;

use postwire_blocking::Transport;
use postwire_blocking::proto::{Body, Envelope, Report};
use postwire_blocking::tls::TransportConfig;
use postwire_testing::chaos::{self, ConcurrentAdapter};

struct Blocking;

impl ConcurrentAdapter for Blocking {
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
                        let report = match transport.send(&envelope, body) {
                            Ok(report) => report,
                            Err(error) => error.into_report(),
                        };
                        reports.lock().unwrap().push((number, report));
                    }
                });
            }
        });
        transport.shutdown();
        reports.into_inner().unwrap()
    }
}

#[test]
fn every_message_has_one_true_verdict() {
    chaos::run(&Blocking, chaos::messages(), 42);
}
