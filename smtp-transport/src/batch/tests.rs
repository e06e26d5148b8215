use super::*;
use postwire_proto::{RecipientReport, RecipientStatus, Reply, ReplyCode, TransactionId};

fn envelope() -> Envelope {
    Envelope::new(None, vec!["a@b".parse().unwrap()]).unwrap()
}

fn batch(messages: usize, per_connection: u64) -> Batch {
    let mut batch = Batch::new(per_connection);
    for number in 0..messages {
        batch.add(envelope(), format!("{number}").into());
    }
    batch.end();
    batch
}

fn reply(code: u16) -> Reply {
    Reply::new(ReplyCode::new(code).unwrap(), None, &["hm"])
}

fn accepted() -> Report {
    let outcome = Outcome::Accepted(reply(250));
    Report::new(TransactionId::default(), outcome, Vec::new())
}

fn lost(kind: ErrorKind) -> Report {
    Report::not_sent(&envelope(), Error::new(Stage::Mail, kind))
}

/// Executes all steps of a batch and returns them as text. Each word of `sessions` describes one
/// session, with a letter for each message: `a`ccepted, `l`ost, in `d`oubt, `4` for 421. The
/// session ends at the end of its word.
fn run(mut batch: Batch, sessions: &[&str]) -> String {
    let mut sessions = sessions.iter();
    let mut told = String::new();
    let mut session = "".chars();
    loop {
        match batch.next_step() {
            BatchStep::Report(report) => {
                told.push_str(match report.outcome() {
                    Outcome::Accepted(_) => "A",
                    Outcome::InDoubt(_) => "D",
                    _ => "N",
                });
            }
            BatchStep::Connect => {
                let fresh = if batch.wants_fresh() { "!" } else { "" };
                match sessions.next() {
                    Some(script) => {
                        told.extend(["<", fresh]);
                        batch.connected(script.starts_with('r'));
                        session = script.trim_start_matches('r').chars();
                    }
                    None => batch.failed(Error::new(Stage::Connect, ErrorKind::TimedOut)),
                }
            }
            BatchStep::Enqueue { body, .. } => {
                told += &String::from_utf8_lossy(body.bytes().unwrap());
            }
            BatchStep::Await => match session.next() {
                Some('a') => batch.reported(accepted()),
                Some('d') => {
                    let error = Error::new(Stage::Body, ErrorKind::ConnectionClosed);
                    let outcome = Outcome::InDoubt(error);
                    batch.reported(Report::new(TransactionId::default(), outcome, Vec::new()));
                }
                Some('4') => batch.reported(lost(ErrorKind::Refused(reply(421)))),
                Some(_) => batch.reported(lost(ErrorKind::ConnectionClosed)),
                None => batch.disconnected(),
            },
            BatchStep::Done => {
                assert!(batch.is_done());
                return told;
            }
        }
    }
}

#[test]
fn all_over_one_connection_in_order() {
    assert_eq!(run(batch(3, 10), &["aaa"]), "<012AAA");
}

#[test]
fn a_connection_gets_no_more_than_it_may() {
    assert_eq!(run(batch(5, 2), &["aa", "aa", "a"]), "<01AA<23AA<4A");
}

#[test]
fn what_a_worn_connection_lost_goes_over_a_fresh_one() {
    // The message in doubt is not sent again.
    assert_eq!(run(batch(4, 9), &["adll", "aa"]), "<0123AD<!23AA");
    assert_eq!(run(batch(3, 9), &["a44", "aa"]), "<012A<!12AA");
    // A connection from the pool that the server had closed.
    assert_eq!(run(batch(2, 9), &["rll", "aa"]), "<01<!01AA");
}

#[test]
fn as_long_as_each_connection_takes_some_there_is_another() {
    assert_eq!(run(batch(3, 9), &["all", "al", "a"]), "<012A<!12A<!2A");
    assert_eq!(run(batch(3, 9), &["all", "ll", "aa"]), "<012A<!12NN");
    // A server that accepts one message for each connection.
    assert_eq!(run(batch(3, 9), &["a44", "a4", "a"]), "<012A<!12A<!2A");
}

#[test]
fn a_new_connection_that_takes_nothing_is_the_last() {
    assert_eq!(run(batch(3, 2), &["ll", "aaa"]), "<01NNN");
    assert_eq!(run(batch(3, 9), &[]), "NNN");
    assert_eq!(run(batch(4, 2), &["aa"]), "<01AANN");
}

/// The report of a session that accepts the first recipient and no others because of a limit.
fn takes_one(envelope: &Envelope) -> Report {
    let mut statuses = vec![RecipientStatus::NotSent; envelope.forward_paths().len()];
    statuses[0] = RecipientStatus::Accepted;
    let recipients = envelope.forward_paths().iter().zip(statuses);
    let recipients = recipients.map(|(to, status)| RecipientReport::new(to.clone(), status, None));
    let outcome = Outcome::Accepted(reply(250));
    Report::new(TransactionId::default(), outcome, recipients.collect())
}

#[test]
fn who_has_no_room_in_one_session_goes_in_others_and_is_reported_with_the_rest() {
    let to = ["a@b", "c@d", "e@f"].map(|address| address.parse().unwrap());
    let envelope = Envelope::new(None, to.to_vec()).unwrap();
    for sessions in 0..=to.len() {
        let mut batch = Batch::new(1);
        batch.add(envelope.clone(), "x".into());
        batch.end();
        let mut asked = Vec::new();
        let report = loop {
            match batch.next_step() {
                BatchStep::Report(report) => break report,
                BatchStep::Connect if asked.len() < sessions => batch.connected(false),
                BatchStep::Connect => {
                    batch.failed(Error::new(Stage::Connect, ErrorKind::TimedOut));
                }
                BatchStep::Enqueue { envelope, .. } => asked.push(envelope),
                BatchStep::Await => batch.reported(takes_one(asked.last().unwrap())),
                BatchStep::Done => panic!("no report"),
            }
        };
        for (session, asked) in asked.iter().enumerate() {
            assert_eq!(asked.forward_paths(), &to[session..]);
        }
        assert_eq!(report.is_accepted(), sessions > 0);
        for (position, recipient) in report.recipients().iter().enumerate() {
            assert_eq!(*recipient.address(), to[position]);
            let status = recipient.status();
            assert_eq!(status == RecipientStatus::Accepted, position < sessions);
            assert_ne!(status, RecipientStatus::InDoubt);
        }
        assert!(matches!(batch.next_step(), BatchStep::Done));
    }
}

#[test]
fn all_or_nobody_is_not_divided_among_sessions() {
    let to = ["a@b", "c@d"].map(|address| address.parse().unwrap());
    let envelope = Envelope::new(None, to.to_vec()).unwrap();
    let mut batch = Batch::new(9);
    batch.add(
        envelope.clone().with_recipients(Recipients::All),
        "x".into(),
    );
    batch.end();
    batch.connected(false);
    assert!(matches!(batch.next_step(), BatchStep::Enqueue { .. }));
    batch.reported(takes_one(&envelope));
    assert!(matches!(batch.next_step(), BatchStep::Report(report) if report.is_partial()));
}

#[test]
fn what_a_session_turned_back_is_not_given_to_it_again() {
    let to = ["a@b", "c@d"].map(|address| address.parse().unwrap());
    let many = Envelope::new(None, to.to_vec()).unwrap();
    let mut batch = Batch::new(9);
    batch.add(many.clone(), "0".into());
    batch.add(envelope(), "1".into());
    batch.end();
    batch.connected(false);
    let given = |step| match step {
        BatchStep::Enqueue { body, .. } => {
            String::from_utf8_lossy(body.bytes().unwrap()).into_owned()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(given(batch.next_step()), "0");
    assert_eq!(given(batch.next_step()), "1");
    batch.reported(takes_one(&many));
    assert!(matches!(batch.next_step(), BatchStep::Await));
    batch.reported(accepted());
    // The session is idle, and its limits do not allow the other message.
    assert!(matches!(batch.next_step(), BatchStep::Connect));
    assert!(batch.wants_fresh());
    batch.connected(false);
    assert_eq!(given(batch.next_step()), "0");
    // The send was dropped: the first message is accepted for one recipient, the other is not sent.
    batch.reported(lost(ErrorKind::ConnectionClosed));
    let left = batch.abandon();
    assert_eq!(left.len(), 2);
    assert!(left[0].is_partial() && left[1].is_accepted());
    assert!(batch.is_done() && batch.abandon().is_empty());
}

#[test]
fn a_message_on_a_session_that_ended_without_a_report_is_in_doubt() {
    assert_eq!(run(batch(1, 10), &[""]), "<0D");
}

#[test]
fn a_batch_holds_so_many_messages_and_octets() {
    let mut batch = Batch::new(10);
    for _ in 0..MESSAGES {
        assert!(batch.wants_more());
        batch.add(envelope(), "x".into());
    }
    assert!(!batch.wants_more());

    let mut batch = Batch::new(10);
    let half = || "x".repeat((OCTETS / 2) as usize);
    batch.add(envelope(), half().into());
    assert!(batch.wants_more());
    batch.add(envelope(), half().into());
    assert!(!batch.wants_more());
    // A message that has its report leaves.
    assert!(matches!(batch.next_step(), BatchStep::Connect));
    batch.connected(false);
    for _ in 0..2 {
        assert!(matches!(batch.next_step(), BatchStep::Enqueue { .. }));
    }
    batch.reported(accepted());
    assert!(matches!(batch.next_step(), BatchStep::Report(_)));
    assert!(batch.wants_more() && !batch.is_empty());
    batch.end();
    assert!(!batch.wants_more());
}

#[test]
fn what_is_sent_again_is_counted_once() {
    let mut batch = batch(2, 10);
    assert!(matches!(batch.next_step(), BatchStep::Connect));
    batch.connected(true);
    for _ in 0..2 {
        assert!(matches!(batch.next_step(), BatchStep::Enqueue { .. }));
    }
    batch.reported(lost(ErrorKind::ConnectionClosed));
    batch.reported(lost(ErrorKind::ConnectionClosed));
    assert_eq!((batch.take_retries(), batch.take_retries()), (2, 0));
}

#[test]
fn a_stream_that_was_touched_is_not_sent_again() {
    for touched in [false, true] {
        let mut batch = Batch::new(10);
        batch.add(envelope(), postwire_proto::StreamFacts::default().into());
        batch.end();
        assert!(matches!(batch.next_step(), BatchStep::Connect));
        batch.connected(true);
        assert!(matches!(batch.next_step(), BatchStep::Enqueue { .. }));
        if touched {
            batch.stream_was_touched();
        }
        batch.reported(lost(ErrorKind::ConnectionClosed));
        batch.disconnected();
        let next = batch.next_step();
        assert_eq!(matches!(next, BatchStep::Report(_)), touched, "{next:?}");
    }
}

#[test]
fn a_report_that_is_known_beforehand_keeps_its_place() {
    let mut batch = Batch::new(10);
    let refused = lost(ErrorKind::SessionOver);
    batch.add_settled(envelope(), "x".into(), refused.clone());
    batch.end();
    assert!(matches!(batch.next_step(), BatchStep::Report(report) if report == refused));
    assert!(matches!(batch.next_step(), BatchStep::Done));
}

/// The server's own words explain more than that no connection could be opened.
#[test]
fn a_message_that_is_given_up_has_the_servers_words() {
    let given_up = |last: ErrorKind| {
        let mut batch = batch(1, 10);
        assert!(matches!(batch.next_step(), BatchStep::Connect));
        batch.connected(true);
        assert!(matches!(batch.next_step(), BatchStep::Enqueue { .. }));
        batch.reported(lost(ErrorKind::Refused(reply(421))));
        batch.disconnected();
        assert!(matches!(batch.next_step(), BatchStep::Connect));
        batch.failed(Error::new(Stage::Greeting, last));
        let BatchStep::Report(report) = batch.next_step() else {
            panic!("no report");
        };
        report.error().and_then(Error::reply).unwrap().code().get()
    };
    assert_eq!(given_up(ErrorKind::TimedOut), 421);
    assert_eq!(given_up(ErrorKind::Refused(reply(554))), 554);
}

#[test]
fn a_session_that_takes_no_more_gets_no_more() {
    let mut batch = batch(3, 10);
    for _ in 0..3 {
        assert!(matches!(batch.next_step(), BatchStep::Connect));
        batch.connected(false);
        assert!(matches!(batch.next_step(), BatchStep::Enqueue { .. }));
        batch.takes_no_more();
        assert!(matches!(batch.next_step(), BatchStep::Await));
        batch.reported(accepted());
        assert!(matches!(batch.next_step(), BatchStep::Report(_)));
    }
    assert!(matches!(batch.next_step(), BatchStep::Done));
    assert_eq!(batch.take_retries(), 0);
}
