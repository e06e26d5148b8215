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
    assert_eq!(after[0], PoolAction::Close(a));
    assert!(matches!(after[1..], [PoolAction::Open(to, id)] if to == fresh && id != b));
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
    let after = actions(&mut pool);
    assert!(
        matches!(after[..], [PoolAction::Close(id), PoolAction::Open(to, _)] if id == b && to == fresh)
    );
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
    assert!(pool.is_drained());
}
