//! Futures that are dropped at any point: no connection out of step, none
//! leaked, nobody left waiting, and no message without a trace that was stored.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use postwire_futures::{Runtime, Transport};
use postwire_tls::proto::{Envelope, Outcome, PoolConfig, Report};
use postwire_tls::{ServerTls, TransportBuilder};

use crate::server::{Embedded, everything};

/// Polls a future a number of times, then drops it.
async fn poll_at_most<T>(times: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut polled = 0;
    poll_fn(|cx| {
        if polled == times {
            return Poll::Ready(None);
        }
        polled += 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if polled == times => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Drops `futures` sends, each after another number of polls.
pub async fn run<R: Runtime + Default>(futures: usize) {
    let server = Embedded::start(everything(), ServerTls::None);
    let url = format!("smtp://127.0.0.1:{}?tls=none", server.port());
    let transport: Transport<R> = TransportBuilder::from_url(url)
        .unwrap()
        .pool_config(PoolConfig::default().max_connections(2))
        .build()
        .unwrap();
    let envelope = Envelope::new(
        Some("sender@sender.example".parse().unwrap()),
        vec!["recipient@recipient.example".parse().unwrap()],
    )
    .unwrap();
    let content = |number: usize| format!("Subject: {number}\r\n\r\nmessage {number}\r\n");
    let mut told: HashMap<usize, Report> = HashMap::new();
    let mut dropped = 0;
    for number in 0..futures {
        let sending = transport.send(&envelope, content(number));
        let report = match poll_at_most(number % 4 + 1, sending).await {
            Some(Ok(report)) => Some(report),
            Some(Err(error)) => panic!("{number}: {error}"),
            None => {
                dropped += 1;
                let mut abandoned = transport.abandoned();
                assert!(abandoned.len() <= 1);
                abandoned.pop()
            }
        };
        told.extend(report.map(|report| (number, report)));
        if number % 100 == 0 {
            // Who is not dropped is served as if nothing had been.
            let report = transport.send(&envelope, "Subject: whole\r\n\r\n").await;
            assert!(report.is_ok_and(|report| report.is_accepted()));
        }
    }
    transport.shutdown().await;
    assert!(dropped > futures / 10, "{dropped} dropped");

    let stored: Vec<String> = server
        .seen()
        .stored
        .iter()
        .map(|s| String::from_utf8_lossy(&s.content).into_owned())
        .collect();
    let mut by_outcome = [0; 3];
    for number in 0..futures {
        let times = stored.iter().filter(|s| **s == content(number)).count();
        match told.get(&number).map(Report::outcome) {
            Some(Outcome::Accepted(_)) => {
                by_outcome[0] += 1;
                assert_eq!(times, 1, "{number}");
            }
            Some(Outcome::InDoubt(_)) => {
                by_outcome[1] += 1;
                assert!(times <= 1, "{number}");
            }
            None | Some(_) => {
                by_outcome[2] += 1;
                assert_eq!(times, 0, "{number}");
            }
        }
    }
    let [accepted, in_doubt, not_sent] = by_outcome;
    println!(
        "{futures} futures, {dropped} dropped: {accepted} accepted, {in_doubt} in doubt, \
         {not_sent} not sent"
    );
}

/// How many futures a test drops: 10,000 where `POSTWIRE_CHAOS_MESSAGES` says
/// so, fewer by default.
pub fn futures() -> usize {
    crate::chaos::messages()
}
