//! The async adapters: one implementation for all, generic over the executor.

use std::future::Future;
use std::sync::{Arc, Mutex};

use futures_lite::StreamExt;
use postwire_futures::{Connection, Runtime, Transport};
use postwire_tls::proto::{
    Body, BodySource, Command, Envelope, Event, Report, SendError, StreamFacts,
};
use postwire_transport::{StreamBody, TransportConfig};

use crate::strict::Strict;
use crate::{Adapter, Answer, Pieces, Shutdown};

/// Runs the futures of a runtime.
pub trait Executor {
    /// The sockets and timers of the runtime.
    type Runtime: Runtime + Default;

    /// Runs a future to its end.
    fn block_on<T>(future: impl Future<Output = T>) -> T;

    /// Runs a future concurrently; returns a future that waits for its result.
    fn spawn<T: Send + 'static>(
        task: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T>;
}

/// Makes an adapter of an executor, such as `FuturesAdapter(Smol)`.
#[derive(Clone, Copy, Debug)]
pub struct FuturesAdapter<E>(pub E);

fn report(result: Result<Report, SendError>) -> Report {
    result.unwrap_or_else(SendError::into_report)
}

impl<E: Executor> FuturesAdapter<E> {
    fn with_transport<T>(
        config: TransportConfig,
        work: impl AsyncFnOnce(&Transport<Strict<E::Runtime>>) -> T,
    ) -> T {
        E::block_on(async {
            let transport = Transport::from(config);
            let done = work(&transport).await;
            transport.shutdown().await;
            done
        })
    }
}

impl<E: Executor> Adapter for FuturesAdapter<E> {
    fn send_all(&self, config: TransportConfig, messages: Vec<(Envelope, Body)>) -> Vec<Report> {
        Self::with_transport(config, async |transport| {
            transport.send_all(messages).collect().await
        })
    }

    fn send_twice(
        &self,
        config: TransportConfig,
        envelope: &Envelope,
        body: Body,
        between: &dyn Fn(),
    ) -> [Report; 2] {
        Self::with_transport(config, async |transport| {
            let first = report(transport.send(envelope, body.clone()).await);
            between();
            [first, report(transport.send(envelope, body).await)]
        })
    }

    fn send_stream(
        &self,
        config: TransportConfig,
        envelope: &Envelope,
        facts: &StreamFacts,
        pieces: Pieces,
    ) -> Report {
        Self::with_transport(config, async |transport| {
            let pieces = futures_lite::stream::iter(pieces);
            report(
                transport
                    .send_stream(envelope, StreamBody::new(pieces).facts(facts.clone()))
                    .await,
            )
        })
    }

    fn ask(
        &self,
        config: TransportConfig,
        messages: Vec<(Envelope, BodySource)>,
        commands: Vec<Command>,
    ) -> (Vec<Report>, Vec<Answer>) {
        E::block_on(async {
            let connection = Connection::connect(Strict::<E::Runtime>::default(), &config).await;
            let mut connection = connection.unwrap();
            for (envelope, body) in messages {
                connection.enqueue(envelope, body);
            }
            let mut answers = Vec::new();
            for command in commands {
                answers.push(connection.command(command).await);
            }
            connection.begin_quit();
            let mut reports = Vec::new();
            while let Some(event) = connection.next_event().await {
                if let Event::Report(report) = event {
                    reports.push(report);
                }
            }
            (reports, answers)
        })
    }

    fn send(&self, config: TransportConfig, envelope: &Envelope, body: Body) -> Report {
        Self::with_transport(config, async |transport| {
            report(transport.send(envelope, body).await)
        })
    }

    fn send_concurrently(
        &self,
        config: TransportConfig,
        messages: Vec<(Envelope, Body)>,
        senders: usize,
    ) -> Vec<(usize, Report)> {
        Self::with_transport(config, async |transport| {
            let queue = Arc::new(Mutex::new(messages.into_iter().enumerate()));
            let sender = |_| {
                let (transport, queue) = (transport.clone(), Arc::clone(&queue));
                E::spawn(async move {
                    let next = || queue.lock().unwrap().next();
                    let mut reports = Vec::new();
                    while let Some((number, (envelope, body))) = next() {
                        reports.push((number, report(transport.send(&envelope, body).await)));
                    }
                    reports
                })
            };
            let senders: Vec<_> = (0..senders).map(sender).collect();
            let mut reports = Vec::new();
            for sender in senders {
                reports.extend(sender.await);
            }
            reports
        })
    }

    fn shut_down_midway(
        &self,
        config: TransportConfig,
        messages: Vec<(Envelope, Body)>,
        taken: usize,
    ) -> Shutdown {
        E::block_on(async {
            let transport = Transport::<Strict<E::Runtime>>::from(config);
            let (envelope, body) = messages[0].clone();
            let mut sending = transport.send_all(messages);
            let mut before = Vec::new();
            while before.len() < taken {
                before.extend(sending.next().await);
            }
            transport.shutdown().await;
            let after = report(transport.send(&envelope, body).await);
            drop(sending);
            Shutdown {
                before,
                after,
                left: transport.abandoned(),
            }
        })
    }
}
