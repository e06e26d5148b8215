//! The adapters against reference servers on real sockets: blocking and tokio, `send` and
//! `send_all` concurrently, over plaintext and TLS.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use postwire_reference::{Reported, Sent};
use postwire_transport::TransportConfig;
use postwire_worlds::choices::Choices;
use postwire_worlds::meeting::Meeting;
use postwire_worlds::messages::{Message, message, paired, report};
use postwire_worlds::runs::run_side_by_side;
use postwire_worlds::sockets::Servers;

/// The sends of each adapter: some of one message, some of many.
const SENDERS: usize = 6;

struct World {
    meeting: Meeting,
    choices: Choices,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut choices = Choices::from_seed(seed);
        Self {
            meeting: Meeting::new(&mut choices),
            choices,
        }
    }

    fn run(mut self) -> Result<(usize, usize), String> {
        let servers = Servers::start(self.meeting.habits.clone(), self.choices.clone()).unwrap();
        let config = self
            .meeting
            .config(servers.address().port(), Duration::from_millis(600));
        let mut sends = Vec::new();
        let mut count = 0;
        for sender in 0..2 * SENDERS {
            let many = if sender % 3 == 0 { 5 } else { 1 };
            let ids = count..count + many;
            count += many;
            sends.push(ids.map(|id| message(id, &mut self.choices)).collect());
        }
        let sent: Vec<Sent> = sends
            .iter()
            .flatten()
            .map(|message: &Message| message.sent.clone())
            .collect();
        let for_tokio = sends.split_off(SENDERS);
        let reports = thread::scope(|scope| {
            let tokio_config = config.clone();
            let with_tokio = scope.spawn(|| send_with_tokio(tokio_config, for_tokio));
            let mut reports = send_blocking(config, sends);
            reports.extend(with_tokio.join().unwrap());
            reports
        });
        let taken = self.meeting.judge(&sent, &reports, &servers.stop())?;
        Ok((taken, sent.len()))
    }
}

fn send_blocking(config: TransportConfig, sends: Vec<Vec<Message>>) -> Vec<Reported> {
    let transport = postwire_blocking::Transport::from(config);
    let all = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for messages in sends {
            scope.spawn(|| {
                let messages = messages;
                let reports = match &messages[..] {
                    [one] => vec![report(transport.send(&one.envelope, one.body()))],
                    _ => transport
                        .send_all(messages.iter().map(Message::parts))
                        .collect(),
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
                    reports.push(report(transport.send(&one.envelope, one.body()).await));
                } else {
                    let all: Vec<_> = messages.iter().map(Message::parts).collect();
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
    let failures = run_side_by_side(worlds, |world| {
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
