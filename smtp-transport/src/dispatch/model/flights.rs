//! How many flights concurrent sends need over one connection.

use std::time::Duration;

use postwire_proto::{Body, Instant, Pipelining};

use super::wire::Habits;
use super::{Kind, Sender, World, envelope};
use crate::pool::model::Random;
use crate::{TransportBuilder, TransportConfig};

/// The flights of `senders` that send one message each at the same time, over one connection to a
/// server that answers each flight at once. Opening the connection is one of them.
fn flights(pipelining: Pipelining, chunking: bool, senders: usize) -> u64 {
    let habits = Habits {
        refuses: u64::MAX,
        fails: u64::MAX,
        hangs_up: u64::MAX,
        says_no: u64::MAX,
        blocks: u64::MAX,
        pipelining: true,
        chunking,
        // All senders are there before the connection is open.
        opening: 1_000,
        answering: 1,
        lifetime: u64::MAX / 1_000_000,
    };
    let config: TransportConfig = TransportBuilder::builder_dangerous("mail.example")
        .client(|client| client.pipelining(pipelining))
        .pool(|pool| pool.max_connections(1))
        .build()
        .unwrap();
    let mut world = World::without_senders(Random::new(1), habits, config);
    for number in 0..senders {
        let sending = world
            .dispatch
            .send_one(&envelope(number), Body::from("x\r\n"));
        world.senders.push(Sender {
            shares: true,
            given: vec![number],
            ..Sender::new(number, Kind::Async, sending)
        });
        world.messages += 1;
    }
    world.run();
    assert_eq!(world.check_reports(), [senders, 0, 0]);
    let counters = world.dispatch.counters();
    assert_eq!(counters.accepted, senders as u64);
    assert_eq!((counters.opened, counters.retries), (1, 0));
    assert_eq!(counters.flights, world.common.flights.get());
    // The idle connection is not dropped without a goodbye.
    assert_eq!(world.common.departed.get(), 0);
    world
        .dispatch
        .close_idle(Instant::from_epoch(Duration::from_secs(86_400)));
    assert_eq!(world.common.departed.get(), 1);
    counters.flights
}

#[test]
fn concurrent_sends_share_flights() {
    for senders in [2, 10, 50] {
        let each = senders as u64;
        // The envelope of each message travels with the content of the one before it.
        let careful = flights(Pipelining::Careful, true, senders);
        assert!(careful <= each + 5, "{senders}: {careful}");
        // Behind the content of DATA nothing follows before its reply.
        let data = flights(Pipelining::Careful, false, senders);
        assert!(data <= 2 * each + 3, "{senders}: {data}");
        let bold = flights(Pipelining::Bold, true, senders);
        assert!(bold <= 4, "{senders}: {bold}");
    }
}
