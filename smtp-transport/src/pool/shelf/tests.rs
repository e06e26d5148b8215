use postwire_proto::{Body, Envelope, Error, ErrorKind, Stage, TransactionId};

use super::*;

const NOW: Instant = Instant::EPOCH;

fn take(
    shelf: &mut PoolShelf<&'static str>,
    ticket: PoolTicket,
) -> Option<PoolGrant<&'static str>> {
    shelf.poll_grant(NOW, ticket, Waker::noop()).ok()
}

#[test]
fn connections_go_round() {
    let mut shelf = PoolShelf::new(PoolConfig::default().max_connections(1), 1);
    let ticket = shelf.request(NOW, false, None);
    let Some(PoolGrant::Open(id)) = take(&mut shelf, ticket) else {
        panic!("nothing to open");
    };
    shelf.opened(NOW, id);
    let (first, second) = (
        shelf.request(NOW, false, None),
        shelf.request(NOW, false, None),
    );
    assert!(take(&mut shelf, first).is_none());
    assert!(take(&mut shelf, second).is_none());
    shelf.put_back(NOW, id, "the connection", 1);
    assert_eq!(shelf.effects().woken.len(), 1);
    shelf.cancel(NOW, first);
    assert_eq!(shelf.effects().woken.len(), 1);
    assert!(matches!(
        take(&mut shelf, second),
        Some(PoolGrant::Use(_, "the connection"))
    ));
    shelf.shut_down(NOW);
    assert!(!shelf.is_drained());
    shelf.put_back(NOW, id, "the connection", 1);
    assert_eq!(shelf.effects().departing, [(id, "the connection")]);
    assert!(!shelf.is_drained());
    shelf.lost(NOW, id);
    assert!(shelf.is_drained());
    let late = shelf.request(NOW, false, None);
    assert!(matches!(take(&mut shelf, late), Some(PoolGrant::Refuse)));
}

fn message() -> QueuedMessage {
    QueuedMessage {
        envelope: Envelope::new(None, vec!["bob@example.net".parse().unwrap()]).unwrap(),
        body: Body::from("").into(),
    }
}

#[test]
fn the_next_in_the_queue_drives_a_connection_that_all_others_have_left() {
    let mut shelf = PoolShelf::new(PoolConfig::default().max_connections(1), 2);
    let first = shelf.request_place(NOW, None, 0, message());
    let Some(PoolGrant::Open(id)) = take(&mut shelf, first) else {
        panic!("nothing to open");
    };
    let shared = shelf.share(NOW, id, first, "the connection", false);
    assert!(shelf.next_joining(id).is_some());
    shelf.park(shared, first, Waker::noop());
    let joined = shelf.request_place(NOW, None, 0, message());
    let waiting = shelf.request_place(NOW, None, 0, message());
    assert!(take(&mut shelf, waiting).is_none());
    // The message of the first is under way, and keeps its place.
    shelf.cancel(NOW, first);
    assert!(take(&mut shelf, waiting).is_none());
    shelf.cancel(NOW, joined);
    assert!(shelf.effects().deserted.is_empty());
    assert!(matches!(
        take(&mut shelf, waiting),
        Some(PoolGrant::Drive(_))
    ));
}

#[test]
fn a_deadline_of_the_session_is_observed_though_another_thread_reads() {
    let at = |seconds| Instant::from_epoch(Duration::from_secs(seconds));
    let mut shelf = PoolShelf::new(PoolConfig::default().max_connections(1), 2);
    let reader = shelf.request_place(NOW, None, 0, message());
    let Some(PoolGrant::Open(id)) = take(&mut shelf, reader) else {
        panic!("nothing to open");
    };
    let shared = shelf.share(NOW, id, reader, "the connection", false);
    assert!(shelf.next_joining(id).is_some());
    let parked = shelf.park_to_read(shared, reader, Waker::noop(), Some(at(10)));
    assert!(matches!(parked, Ok(true)));
    let other = shelf.request_place(NOW, None, 0, message());
    let Some(PoolGrant::Drive(shared)) = take(&mut shelf, other) else {
        panic!("nothing to queue a message on");
    };
    assert!(shelf.next_joining(id).is_some());
    assert_eq!(shelf.when_blocked(id, other), WhenBlocked::Write);
    let parked = shelf.park_to_read(shared, other, Waker::noop(), Some(at(5)));
    assert!(matches!(parked, Ok(false)));
    let waits = shelf.poll_grant(at(4), other, Waker::noop());
    assert!(matches!(waits, Err(Some(until)) if until == at(5)));
    let observes = shelf.poll_grant(at(5), other, Waker::noop());
    assert!(matches!(observes, Ok(PoolGrant::Drive(_))));
}

#[test]
fn a_message_that_joined_once_waits_no_longer_than_others() {
    let at = |seconds| Instant::from_epoch(Duration::from_secs(seconds));
    let config = PoolConfig::default()
        .max_connections(1)
        .acquire_timeout(Some(Duration::from_secs(10)));
    let mut shelf = PoolShelf::new(config, 2);
    let first = shelf.request_place(NOW, None, 0, message());
    let Some(PoolGrant::Open(id)) = take(&mut shelf, first) else {
        panic!("nothing to open");
    };
    let shared = shelf.share(NOW, id, first, "the connection", false);
    assert!(shelf.next_joining(id).is_some());
    // The message joins, but the session ends after the first one, which takes long.
    let late = shelf.request_place(NOW, None, 0, message());
    let joining = shelf.next_joining(id).expect("the message joins");
    shelf.turn_away(at(1), id, vec![joining]);
    shelf.park(shared, first, Waker::noop());
    let waits = shelf.poll_grant(at(9), late, Waker::noop());
    assert!(matches!(waits, Err(Some(until)) if until == at(10)));
    let late = shelf.poll_grant(at(10), late, Waker::noop());
    assert!(matches!(late, Ok(PoolGrant::TimedOut)));
}

#[test]
fn a_paused_send_is_not_chosen_to_drive() {
    let under_way = |ticket| UnderWay {
        transaction: TransactionId::default(),
        ticket,
        octets: 0,
        is_reused: false,
        deadline: None,
    };
    let mut shelf = PoolShelf::new(PoolConfig::default().max_connections(1), 2);
    let paused = shelf.request_place(NOW, None, 0, message());
    let Some(PoolGrant::Open(id)) = take(&mut shelf, paused) else {
        panic!("nothing to open");
    };
    let mut shared = shelf.share(NOW, id, paused, "the connection", false);
    assert!(shelf.next_joining(id).is_some());
    shared.queued(under_way(paused));
    shelf.park(shared, paused, Waker::noop());
    let other = shelf.request_place(NOW, None, 0, message());
    assert!(shelf.step_aside(paused));
    let Some(PoolGrant::Drive(shared)) = take(&mut shelf, other) else {
        panic!("nobody drives for the paused send");
    };
    let envelope = shelf.next_joining(id).expect("it joins").message.envelope;
    let report = Report::not_sent(&envelope, Error::new(Stage::Mail, ErrorKind::SessionFull));
    let own = shelf.reported(NOW, (id, true), other, under_way(other), report);
    assert!(own.is_some());
    assert!(shelf.hand_over(shared).is_none());
    // The paused send is the only one. Whoever joins then drives for both.
    let third = shelf.request_place(NOW, None, 0, message());
    assert!(matches!(take(&mut shelf, third), Some(PoolGrant::Drive(_))));
}

/// A shared connection whose stream one thread waits for, while another thread has taken it.
fn taken_while_read() -> (
    PoolShelf<&'static str>,
    [PoolTicket; 2],
    SharedConnection<&'static str>,
) {
    let mut shelf = PoolShelf::new(PoolConfig::default().max_connections(1), 3);
    let reader = shelf.request_place(NOW, None, 0, message());
    let Some(PoolGrant::Open(id)) = take(&mut shelf, reader) else {
        panic!("nothing to open");
    };
    let shared = shelf.share(NOW, id, reader, "the connection", false);
    assert!(shelf.next_joining(id).is_some());
    let parked = shelf.park_to_read(shared, reader, Waker::noop(), None);
    assert!(matches!(parked, Ok(true)));
    let other = shelf.request_place(NOW, None, 0, message());
    let Some(PoolGrant::Drive(shared)) = take(&mut shelf, other) else {
        panic!("nothing to queue a message on");
    };
    assert!(shelf.next_joining(id).is_some());
    (shelf, [reader, other], shared)
}

#[test]
fn another_thread_reads_after_the_one_that_read_has_left() {
    for found_readable in [false, true] {
        let (mut shelf, [reader, other], shared) = taken_while_read();
        if found_readable {
            assert!(take(&mut shelf, reader).is_none());
        }
        shelf.cancel(NOW, reader);
        let parked = shelf.park_to_read(shared, other, Waker::noop(), None);
        assert!(matches!(parked, Ok(true)), "{found_readable}");
    }
}

#[test]
fn the_thread_that_reads_goes_on_to_read_after_a_step_was_dropped() {
    let (mut shelf, [reader, other], shared) = taken_while_read();
    shelf.park(shared, other, Waker::noop());
    assert!(take(&mut shelf, other).is_none());
    let joined = shelf.request_place(NOW, None, 0, message());
    assert!(matches!(
        take(&mut shelf, joined),
        Some(PoolGrant::Drive(_))
    ));
    assert!(take(&mut shelf, reader).is_none());
}

#[test]
fn the_thread_that_can_read_is_woken_when_a_step_is_dropped() {
    let (mut shelf, [reader, other], shared) = taken_while_read();
    assert!(take(&mut shelf, reader).is_none());
    shelf.park(shared, other, Waker::noop());
    assert_eq!(shelf.effects().woken.len(), 1);
    assert!(matches!(
        take(&mut shelf, reader),
        Some(PoolGrant::Drive(_))
    ));
}
