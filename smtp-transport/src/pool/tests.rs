use std::time::Duration;

use super::*;

fn at(seconds: u64) -> Instant {
    Instant::from_epoch(Duration::from_secs(seconds))
}

fn pool(change: impl FnOnce(&mut PoolConfig)) -> Pool {
    let mut config = PoolConfig::default();
    change(&mut config);
    Pool::new(config, 2)
}

fn actions(pool: &mut Pool) -> Vec<PoolAction> {
    std::iter::from_fn(|| pool.poll_action()).collect()
}

fn opened(pool: &mut Pool, now: Instant) -> PoolConnectionId {
    let ticket = pool.request(now, Request::Connection, false);
    match actions(pool)[..] {
        [PoolAction::Open(to, id)] if to == ticket => {
            pool.opened(now, id);
            id
        }
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn first_come_first_served_within_the_cap() {
    let mut pool = pool(|config| config.max_connections = 1);
    let busy = opened(&mut pool, at(0));
    let (first, second) = (
        pool.request(at(1), Request::Connection, false),
        pool.request(at(1), Request::Connection, false),
    );
    assert_eq!(actions(&mut pool), []);
    pool.released(at(2), busy, 1);
    assert_eq!(actions(&mut pool), [PoolAction::Use(first, busy)]);
    pool.lost(at(3), busy);
    assert!(matches!(actions(&mut pool)[..], [PoolAction::Open(to, _)] if to == second));
    assert_eq!(pool.connections(), 1);
}

#[test]
fn the_connection_used_last_is_used_first() {
    let mut pool = pool(|_| {});
    let (a, b) = (opened(&mut pool, at(0)), opened(&mut pool, at(0)));
    pool.released(at(1), a, 1);
    pool.released(at(2), b, 1);
    let ticket = pool.request(at(3), Request::Connection, false);
    assert_eq!(actions(&mut pool), [PoolAction::Use(ticket, b)]);
    assert_eq!(pool.poll_timeout(), Some(at(61)));
    pool.handle_timeout(at(61));
    assert_eq!(actions(&mut pool), [PoolAction::Close(a)]);
}

#[test]
fn the_old_and_the_worn_are_replaced() {
    let mut pool = pool(|config| {
        config.max_messages = 2;
        config.max_lifetime = Duration::from_secs(100);
        config.idle_timeout = Duration::from_secs(1_000);
    });
    let a = opened(&mut pool, at(0));
    pool.released(at(1), a, 1);
    let ticket = pool.request(at(1), Request::Connection, false);
    assert_eq!(actions(&mut pool), [PoolAction::Use(ticket, a)]);
    pool.released(at(2), a, 1);
    assert_eq!(actions(&mut pool), [PoolAction::Close(a)]);
    let b = opened(&mut pool, at(3));
    pool.released(at(4), b, 1);
    assert_eq!(pool.poll_timeout(), Some(at(103)));
    let ticket = pool.request(at(103), Request::Connection, false);
    let after = actions(&mut pool);
    assert_eq!(after[0], PoolAction::Close(b));
    assert!(matches!(after[1..], [PoolAction::Open(to, _)] if to == ticket));
}

#[test]
fn who_was_given_a_dead_one_is_served_next() {
    let mut pool = pool(|config| config.max_connections = 1);
    let a = opened(&mut pool, at(0));
    let (first, second) = (
        pool.request(at(0), Request::Connection, false),
        pool.request(at(0), Request::Connection, false),
    );
    pool.released(at(1), a, 1);
    assert_eq!(actions(&mut pool), [PoolAction::Use(first, a)]);
    let waiting = Waiting::new(Request::Connection, false, at(0));
    pool.found_dead(at(2), a, first, waiting);
    let after = actions(&mut pool);
    assert!(matches!(after[..], [PoolAction::Open(to, _)] if to == first && to != second));
}

#[test]
fn a_fresh_one_is_opened_for_who_lost_a_message() {
    let mut pool = pool(|config| config.max_connections = 2);
    let (a, b) = (opened(&mut pool, at(0)), opened(&mut pool, at(0)));
    pool.released(at(1), a, 1);
    pool.released(at(2), b, 1);
    let fresh = pool.request(at(3), Request::Connection, true);
    let after = actions(&mut pool);
    assert!(matches!(after[..], [PoolAction::Close(id), PoolAction::KeepTime(..)] if id == a));
    // The other one is opened when this one is closed.
    pool.lost(at(3), a);
    let after = actions(&mut pool);
    assert!(matches!(after[..], [PoolAction::Open(to, id)] if to == fresh && id != b));
    // A waiter that accepts any connection does not wait for one that needs a new connection.
    let (busy, fresh, other) = (
        pool.request(at(4), Request::Connection, false),
        pool.request(at(4), Request::Connection, true),
        pool.request(at(4), Request::Connection, false),
    );
    assert_eq!(actions(&mut pool), [PoolAction::Use(busy, b)]);
    pool.released(at(5), b, 1);
    assert_eq!(actions(&mut pool), [PoolAction::Use(other, b)]);
    pool.released(at(6), b, 1);
    assert_eq!(actions(&mut pool), [PoolAction::Close(b)]);
    pool.lost(at(6), b);
    let after = actions(&mut pool);
    assert!(matches!(after[..], [PoolAction::Open(to, _)] if to == fresh));
}

#[test]
fn a_server_without_room_is_left_alone_ever_longer() {
    let mut pool = pool(|config| config.first_pause = Duration::from_secs(1));
    let mut now = at(0);
    for pause in [1, 2, 4, 8, 16, 30, 30] {
        pool.request(now, Request::Connection, false);
        let [PoolAction::Open(_, id)] = actions(&mut pool)[..] else {
            panic!("nothing opened at {now:?}");
        };
        pool.open_failed(now, id, true);
        let waits = pool.request(now, Request::Connection, false);
        let until = now + Duration::from_secs(pause);
        assert_eq!(actions(&mut pool), [PoolAction::KeepTime(waits, until)]);
        now = until;
        assert_eq!(pool.poll_timeout(), Some(now));
        pool.cancel(now, waits);
    }
}

#[test]
fn connections_and_waiters_are_counted() {
    let mut pool = pool(|config| config.max_connections = 3);
    let idle = opened(&mut pool, at(0));
    let shared = opened_for_a_message(&mut pool, at(0));
    let joined = message(&mut pool, at(1));
    assert_eq!(actions(&mut pool), [PoolAction::Join(joined, shared)]);
    let lost = pool.request(at(1), Request::Connection, false);
    let [PoolAction::Open(to, id)] = actions(&mut pool)[..] else {
        panic!("nothing opened");
    };
    assert_eq!(to, lost);
    pool.open_failed(at(1), id, false);
    let opening = pool.request(at(1), Request::Connection, false);
    assert!(matches!(actions(&mut pool)[..], [PoolAction::Open(to, _)] if to == opening));
    pool.request(at(1), Request::Connection, false);
    pool.request(at(1), Request::Connection, false);
    pool.released(at(2), idle, 1);
    let [PoolAction::Use(..)] = actions(&mut pool)[..] else {
        panic!("given to nobody");
    };
    let counters = pool.counters();
    let expected = Counters {
        opening: 1,
        in_use: 2,
        queued: 2,
        waiting: 1,
        opened: 2,
        failed_to_open: 1,
        ..Counters::default()
    };
    assert_eq!(counters, expected);
}

#[test]
fn a_message_is_patient_for_as_long_as_a_connection_takes_to_open() {
    let mut pool = pool(|config| config.max_connections = 2);
    assert_eq!(pool.patience(), None);
    // Opening takes 100 ms.
    let id = opened_for_a_message(&mut pool, at(0));
    let opening = Duration::from_millis(100);
    assert_eq!(pool.patience(), Some(at(0) + opening + opening));
    let joined = message(&mut pool, at(1));
    assert_eq!(actions(&mut pool), [PoolAction::Join(joined, id)]);
    assert_eq!(pool.patience(), Some(at(1) + opening));
    message(&mut pool, at(1));
    assert!(matches!(actions(&mut pool)[..], [PoolAction::Open(..)]));
    // No other connection may be opened.
    assert_eq!(pool.patience(), None);
}

#[test]
fn a_connection_that_one_send_took_is_not_joined() {
    let mut pool = pool(|config| config.max_connections = 1);
    let id = opened_for_a_message(&mut pool, at(0));
    pool.no_longer_shared(id);
    message(&mut pool, at(1));
    assert_eq!(actions(&mut pool), []);
    assert_eq!(pool.counters().in_use, 1);
}

#[test]
fn what_was_given_to_one_who_left_goes_back() {
    let mut pool = pool(|config| config.max_connections = 1);
    let ticket = pool.request(at(0), Request::Connection, false);
    pool.cancel(at(0), ticket);
    assert_eq!((actions(&mut pool), pool.connections()), (Vec::new(), 0));
    let a = opened(&mut pool, at(0));
    pool.released(at(1), a, 1);
    let ticket = pool.request(at(1), Request::Connection, false);
    pool.cancel(at(1), ticket);
    assert_eq!((actions(&mut pool), pool.idle()), (Vec::new(), 1));
}

#[test]
fn shutting_down_serves_the_queue_and_then_nobody() {
    let mut pool = pool(|config| config.max_connections = 1);
    let a = opened(&mut pool, at(0));
    let queued = pool.request(at(0), Request::Connection, false);
    pool.shut_down(at(1));
    let late = pool.request(at(1), Request::Connection, false);
    assert_eq!(actions(&mut pool), [PoolAction::Refuse(late)]);
    pool.released(at(2), a, 1);
    assert_eq!(actions(&mut pool), [PoolAction::Use(queued, a)]);
    assert!(!pool.is_drained());
    pool.released(at(3), a, 1);
    assert_eq!(actions(&mut pool), [PoolAction::Close(a)]);
    assert!(!pool.is_drained());
    pool.lost(at(3), a);
    assert!(pool.is_drained());
}

#[test]
fn refusals_at_the_same_time_are_one_failure() {
    let mut pool = pool(|config| config.first_pause = Duration::from_secs(1));
    for _ in 0..8 {
        pool.request(at(0), Request::Connection, false);
    }
    let waits = pool.request(at(0), Request::Connection, false);
    let opening: Vec<_> = actions(&mut pool)
        .into_iter()
        .map(|action| match action {
            PoolAction::Open(_, id) => id,
            other => panic!("{other:?}"),
        })
        .collect();
    let (last, burst) = opening.split_last().unwrap();
    for id in burst {
        pool.open_failed(at(1), *id, true);
    }
    assert_eq!(actions(&mut pool), [PoolAction::KeepTime(waits, at(2))]);
    // A connection that was being opened at that time changes nothing, whether it succeeds or not.
    pool.opened(at(1), *last);
    assert_eq!(actions(&mut pool), []);
    pool.handle_timeout(at(2));
    let [PoolAction::Open(_, id)] = actions(&mut pool)[..] else {
        panic!("nothing is opened after the pause");
    };
    pool.open_failed(at(3), id, true);
    let waits = pool.request(at(3), Request::Connection, false);
    assert_eq!(actions(&mut pool), [PoolAction::KeepTime(waits, at(5))]);
}

#[test]
fn durations_without_end_mean_for_ever() {
    let mut pool = pool(|config| {
        config.idle_timeout = Duration::MAX;
        config.max_lifetime = Duration::MAX;
        config.first_pause = Duration::MAX;
        config.longest_pause = Duration::MAX;
    });
    let a = opened(&mut pool, at(1));
    pool.released(at(2), a, 1);
    pool.handle_timeout(at(1 << 40));
    assert_eq!((actions(&mut pool), pool.idle()), (Vec::new(), 1));
    for _ in 0..2 {
        pool.request(at(3), Request::Connection, false);
    }
    let [_, PoolAction::Open(_, id)] = actions(&mut pool)[..] else {
        panic!("nothing is opened");
    };
    pool.open_failed(at(3), id, true);
    pool.request(at(3), Request::Connection, false);
    pool.request(at(4), Request::Connection, false);
    pool.handle_timeout(at(1 << 40));
}

#[test]
fn the_time_for_shutting_down_ends_the_waiting() {
    let mut pool = pool(|config| config.max_connections = 1);
    let a = opened(&mut pool, at(0));
    let queued = pool.request(at(0), Request::Connection, false);
    pool.shut_down(at(1));
    pool.refuse_all(at(2));
    assert_eq!(actions(&mut pool), [PoolAction::Refuse(queued)]);
    // Messages under way are not interrupted.
    assert!(!pool.is_drained());
    pool.released(at(3), a, 1);
    assert_eq!(actions(&mut pool), [PoolAction::Close(a)]);
    assert!(!pool.is_drained());
    pool.lost(at(3), a);
    assert!(pool.is_drained());
}

fn message(pool: &mut Pool, now: Instant) -> PoolTicket {
    pool.request(now, Request::Message { octets: 1_000 }, false)
}

/// Opens a connection for a message.
fn opened_for_a_message(pool: &mut Pool, now: Instant) -> PoolConnectionId {
    let ticket = message(pool, now);
    match actions(pool)[..] {
        [PoolAction::Open(to, id)] if to == ticket => {
            pool.opened(now + Duration::from_millis(100), id);
            id
        }
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn messages_join_a_connection_until_it_is_full() {
    let mut pool = pool(|config| config.max_connections = 1);
    let id = opened_for_a_message(&mut pool, at(0));
    let (second, third) = (message(&mut pool, at(1)), message(&mut pool, at(1)));
    assert_eq!(actions(&mut pool), [PoolAction::Join(second, id)]);
    pool.reported(at(2), id, 1_000, true, true);
    assert_eq!(actions(&mut pool), [PoolAction::Join(third, id)]);
    // A session that ends takes no more messages.
    let fourth = message(&mut pool, at(2));
    pool.reported(at(3), id, 1_000, true, false);
    pool.reported(at(3), id, 1_000, true, false);
    assert_eq!(actions(&mut pool), []);
    pool.lost(at(4), id);
    assert!(matches!(actions(&mut pool)[..], [PoolAction::Open(to, _)] if to == fourth));
}

#[test]
fn a_connection_is_opened_where_waiting_takes_longer() {
    let mut pool = pool(|config| config.max_connections = 8);
    // Opening takes 100 ms, and a message 20 ms.
    let id = opened_for_a_message(&mut pool, at(0));
    let now = at(0) + Duration::from_millis(120);
    pool.reported(now, id, 1_000, true, true);
    let tickets: Vec<_> = (0..5).map(|_| message(&mut pool, now)).collect();
    let joined = [
        PoolAction::Join(tickets[0], id),
        PoolAction::Join(tickets[1], id),
    ];
    let happened = actions(&mut pool);
    assert_eq!(happened[..2], joined);
    // Five messages are expected to take as long as the opening.
    assert!(
        !happened
            .iter()
            .any(|action| matches!(action, PoolAction::Open(..)))
    );
    let sixth = message(&mut pool, now);
    let happened = actions(&mut pool);
    assert!(
        happened
            .iter()
            .any(|action| matches!(action, PoolAction::Open(..))),
        "{sixth:?}"
    );
    // A server that has become slow: who has waited as long as the opening takes opens one.
    pool.handle_timeout(now + Duration::from_millis(100));
    let opened = actions(&mut pool);
    let opened = opened
        .iter()
        .filter(|action| matches!(action, PoolAction::Open(..)));
    assert_eq!(opened.count(), 3);
}

#[test]
fn a_large_message_waits_for_one_connection_and_delays_nobody() {
    const CONNECTIONS: usize = 8;
    let mut pool = pool(|config| {
        config.max_connections = CONNECTIONS;
        config.acquire_timeout = None;
        config.max_messages = u64::MAX;
    });
    let mut busy: Vec<_> = (0..CONNECTIONS)
        .map(|_| message(&mut pool, at(0)))
        .collect::<Vec<_>>()
        .into_iter()
        .zip(actions(&mut pool))
        .map(|(_, action)| match action {
            PoolAction::Open(_, id) => id,
            other => panic!("{other:?}"),
        })
        .collect();
    for id in &busy {
        pool.opened(at(0), *id);
    }
    // 1,000 small messages come before and after a large one.
    let before: Vec<_> = (0..500).map(|_| message(&mut pool, at(1))).collect();
    let large = pool.request(at(1), Request::Connection, false);
    let after: Vec<_> = (0..500).map(|_| message(&mut pool, at(1))).collect();
    let mut joined = Vec::new();
    let mut large_at = None;
    let mut released = None;
    for round in 0..2_000 {
        for action in actions(&mut pool) {
            match action {
                PoolAction::Join(ticket, _) => joined.push(ticket),
                PoolAction::Use(ticket, id) => {
                    assert_eq!((ticket, Some(id)), (large, released));
                    large_at = Some(joined.len());
                    busy.retain(|other| *other != id);
                }
                PoolAction::KeepTime(..) => {}
                other => panic!("{other:?}"),
            }
        }
        let id = busy[round % busy.len()];
        let load = pool
            .find(id)
            .and_then(|connection| connection.load().copied());
        match load {
            Some(load) if load.messages > 0 => pool.reported(at(2), id, 1_000, true, true),
            Some(_) => {
                released = Some(id);
                pool.released(at(2), id, 0);
            }
            None => {}
        }
        if joined.len() == 1_000 {
            break;
        }
    }
    // Small messages are served in their order, and the large one when its turn comes, as soon
    // as a connection has finished what it has.
    let all: Vec<_> = before.into_iter().chain(after).collect();
    assert!(joined == all);
    let large_at = large_at.expect("the large message is never sent");
    assert!(
        (500..500 + 4 * CONNECTIONS).contains(&large_at),
        "{large_at}"
    );
}

#[test]
fn some_idle_connections_are_kept() {
    let mut pool = pool(|config| config.min_idle = 1);
    let (a, b) = (opened(&mut pool, at(0)), opened(&mut pool, at(0)));
    pool.released(at(1), a, 1);
    pool.released(at(2), b, 1);
    assert_eq!(pool.poll_timeout(), Some(at(61)));
    pool.handle_timeout(at(500));
    assert_eq!(actions(&mut pool), [PoolAction::Close(a)]);
    // The lifetime applies to them.
    assert_eq!(pool.poll_timeout(), Some(at(600)));
    pool.handle_timeout(at(600));
    assert_eq!(actions(&mut pool), [PoolAction::Close(b)]);
}

#[test]
fn who_needs_a_new_connection_gets_it_whatever_the_backlog() {
    let mut pool = pool(|config| config.max_connections = 1);
    let mut busy = opened(&mut pool, at(0));
    let fresh: Vec<_> = (0..3)
        .map(|_| pool.request(at(0), Request::Connection, true))
        .collect();
    let mut served = Vec::new();
    for second in 1..=20 {
        pool.request(at(second), Request::Connection, false);
        message(&mut pool, at(second));
        pool.released(at(second), busy, 1);
        while let Some(action) = pool.poll_action() {
            match action {
                PoolAction::Open(to, id) => {
                    served.push(to);
                    pool.opened(at(second), id);
                    busy = id;
                }
                PoolAction::Use(_, id) => pool.found_alive(at(second), id),
                PoolAction::Close(id) => {
                    assert_eq!(id, busy);
                    pool.lost(at(second), id);
                }
                PoolAction::KeepTime(..) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(served, fresh);
}
