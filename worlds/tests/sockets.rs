//! The adapters against reference servers on real sockets: blocking and tokio, `send` and
//! `send_all` concurrently, over plaintext and TLS.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use postwire_proto::{Body, Envelope, Pipelining, Report, SendError, Timeouts};
use postwire_reference::{Dialect, Protocol, Recorder, Reported, Taken, judge_unordered};
use postwire_tls::CertificateStore;
use postwire_transport::{TransportBuilder, TransportConfig};
use postwire_worlds::choices::Choices;
use postwire_worlds::messages::{Message, message, reported};
use postwire_worlds::oracle::{
    check_offences, describe_dialect, describe_reports, describe_server, is_safe, sent_by,
};
use postwire_worlds::peer::{Peer, ServerTls, certificate};
use postwire_worlds::runs::run_eight_at_a_time;
use postwire_worlds::scene::protocol;
use postwire_worlds::sockets::{Habits, Servers};

/// How the clients and servers of a world meet.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Plaintext,
    StartTls,
    Wrapper,
}

/// The sends of each adapter: some of one message, some of many.
const SENDERS: usize = 6;

struct World {
    habits: Habits,
    protocol: Protocol,
    pipelining: Pipelining,
    mode: Mode,
    choices: Choices,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut choices = Choices::from_seed(seed);
        let mode = [Mode::Plaintext, Mode::StartTls, Mode::Wrapper][choices.below(3)];
        let protocol = choices.pick(&[Protocol::Smtp, Protocol::Smtp, Protocol::Lmtp]);
        let pipelining = choices.pick(&[Pipelining::Careful, Pipelining::Off, Pipelining::Bold]);
        let mut draw = || loop {
            let mut dialect = Dialect {
                protocol,
                tls_demanded: mode == Mode::StartTls,
                ..Dialect::from_numbers(&mut || choices.number())
            };
            dialect.keywords.starttls |= mode == Mode::StartTls;
            if is_safe(&dialect, pipelining) {
                return dialect;
            }
        };
        let dialects = (0..4).map(|_| draw()).collect();
        let habits = Habits {
            dialects,
            tls: ServerTls {
                wrapper: mode == Mode::Wrapper,
                old: choices.once_in(4),
                truncates: choices.once_in(4),
            },
            breaks: choices.pick(&[0, 3]),
        };
        Self {
            habits,
            protocol,
            pipelining,
            mode,
            choices,
        }
    }

    fn config(&self, port: u16) -> TransportConfig {
        let url = match self.mode {
            Mode::Plaintext => format!("smtp://localhost:{port}?tls=none"),
            Mode::StartTls => format!("smtp://localhost:{port}"),
            Mode::Wrapper => format!("smtps://localhost:{port}"),
        };
        TransportBuilder::<TransportConfig>::from_url(url)
            .unwrap()
            .protocol(protocol(self.protocol))
            .addresses([([127, 0, 0, 1], port).into()])
            .tls_parameters(|tls| {
                tls.certificate_store(CertificateStore::None)
                    .add_root_certificate(certificate())
            })
            .timeouts(Timeouts::default().capped(Duration::from_millis(600)))
            .client(|client| client.pipelining(self.pipelining))
            .pool(|pool| pool.max_connections(4).max_messages(10))
            .build()
            .unwrap()
    }

    fn run(mut self) -> Result<(usize, usize), String> {
        let servers = Servers::start(self.habits.clone(), self.choices.clone()).unwrap();
        let config = self.config(servers.address().port());
        let mut sends = Vec::new();
        let mut count = 0;
        for sender in 0..2 * SENDERS {
            let many = if sender % 3 == 0 { 5 } else { 1 };
            let ids = count..count + many;
            count += many;
            sends.push(ids.map(|id| message(id, &mut self.choices)).collect());
        }
        let all: Vec<Message> = sends.iter().flatten().cloned().collect();
        let for_tokio = sends.split_off(SENDERS);
        let reports = thread::scope(|scope| {
            let tokio_config = config.clone();
            let with_tokio = scope.spawn(|| send_with_tokio(tokio_config, for_tokio));
            let mut reports = send_blocking(config, sends);
            reports.extend(with_tokio.join().unwrap());
            reports
        });
        let peers = servers.stop();
        let sent = sent_by(all.iter().map(|message| &message.sent), self.protocol);
        let verdict = self.verdict(&sent, &reports, &peers);
        verdict.map_err(|why| {
            let mut text = format!("{why}\n{:?}, {:?}\n", self.mode, self.pipelining);
            text += &describe_reports(&reports);
            for peer in &peers {
                text += &describe_server(peer.recorder());
            }
            for dialect in &self.habits.dialects {
                text += &describe_dialect(dialect);
            }
            text
        })
    }

    fn verdict(
        &self,
        sent: &[postwire_reference::Sent],
        reports: &[Reported],
        peers: &[Peer],
    ) -> Result<(usize, usize), String> {
        let recorders = peers.iter().map(Peer::recorder);
        let taken: Vec<&Taken> = recorders.clone().flat_map(Recorder::taken).collect();
        judge_unordered(sent, reports, &taken)?;
        if self.mode != Mode::Plaintext && taken.iter().any(|taken| !taken.under_tls) {
            return Err("a message was sent in plaintext".to_owned());
        }
        for server in recorders {
            check_offences(server)?;
        }
        Ok((taken.len(), sent.len()))
    }
}

fn report(result: Result<Report, SendError>) -> Report {
    result.unwrap_or_else(SendError::into_report)
}

fn parts(message: &Message) -> (Envelope, Body) {
    (
        message.envelope.clone(),
        Body::from(message.content.clone()),
    )
}

/// Pairs the reports of one send, in order, with its messages.
fn paired(messages: &[Message], reports: &[Report]) -> Vec<Reported> {
    let numbered = reports.iter().enumerate().map(|(at, report)| {
        let id = messages
            .get(at)
            .map_or(usize::MAX, |message| message.sent.id);
        reported(id, report)
    });
    numbered.collect()
}

fn send_blocking(config: TransportConfig, sends: Vec<Vec<Message>>) -> Vec<Reported> {
    let transport = postwire_blocking::Transport::from(config);
    let all = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for messages in sends {
            scope.spawn(|| {
                let messages = messages;
                let reports = match &messages[..] {
                    [one] => vec![report(transport.send(&one.envelope, parts(one).1))],
                    _ => transport.send_all(messages.iter().map(parts)).collect(),
                };
                all.lock().unwrap().extend(paired(&messages, &reports));
            });
        }
    });
    transport.shutdown();
    all.into_inner().unwrap()
}

fn send_with_tokio(config: TransportConfig, sends: Vec<Vec<Message>>) -> Vec<Reported> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let transport = postwire_tokio::Transport::from(config);
        let mut tasks = Vec::new();
        for messages in sends {
            let transport = transport.clone();
            tasks.push(tokio::spawn(async move {
                let mut reports = Vec::new();
                if let [one] = &messages[..] {
                    reports.push(report(transport.send(&one.envelope, parts(one).1).await));
                } else {
                    let all: Vec<_> = messages.iter().map(parts).collect();
                    let mut sending = transport.send_all(all);
                    while let Some(report) = sending.next().await {
                        reports.push(report);
                    }
                }
                paired(&messages, &reports)
            }));
        }
        let mut all = Vec::new();
        for task in tasks {
            all.extend(task.await.unwrap());
        }
        transport.shutdown().await;
        all
    })
}

#[test]
fn reports_of_both_adapters_match_what_the_servers_took() {
    let worlds = std::env::var("WORLDS").ok();
    let worlds: u64 = worlds.map_or(100, |worlds| worlds.parse().unwrap());
    let world = std::env::var("WORLD").ok();
    let worlds = world.map_or(0..worlds, |world| {
        let world: u64 = world.parse().unwrap();
        world..world + 1
    });
    let totals = Mutex::new((0, 0));
    let failures = run_eight_at_a_time(worlds, |world| {
        let (taken, sent) = World::new(world)
            .run()
            .map_err(|why| format!("world {world}: {why}"))?;
        let mut totals = totals.lock().unwrap();
        *totals = (totals.0 + taken, totals.1 + sent);
        Ok(())
    });
    let (taken, sent) = totals.into_inner().unwrap();
    println!("{taken} contents of {sent} messages taken");
    assert_eq!(failures, 0);
}
