//! Client and server core joined in memory under a virtual clock, with any cut of the bytes and
//! a fault at any octet. The client's reports are compared with the messages that the server
//! stored.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod pair {
    pub(crate) mod wire;
}

use pair::wire::{Fault, Message, Pair, Side, check, config, run};
use postwire_proto::{
    ClientConfig, DeliverBy, EnvelopeId, FutureRelease, Limits, MtPriority, Notify,
    OriginalRecipient, Outcome, Parameter, Pipelining, Protocol, RecipientStatus, Recipients,
    Report, Return, Security, Stage,
};
use postwire_server::{ChunksRead, ServerConfig};
use proptest::prelude::*;

/// Messages that together take every path of a transaction.
fn mixed() -> Vec<Message> {
    vec![
        Message::new(
            &["a@ok.example"],
            b"Subject: one\r\n\r\n.\r\n..\r\nlines\r\n",
        ),
        Message::new(
            &["no@ok.example", "b@ok.example", "later@ok.example"],
            b"no final line end",
        ),
        Message::new(
            &["no@ok.example", "later@ok.example"],
            b"nobody wants this\r\n",
        ),
        Message::new(&["c@ok.example"], b"refuse this content\r\n"),
        Message::new(&["d@ok.example"], b""),
        Message::from("nobody@sender.example", &["e@ok.example"], b"never\r\n"),
        Message::new(
            &["f@ok.example", "no@ok.example"],
            b"lone\nline\nfeeds and\rreturns",
        )
        .all_or_nothing(),
        Message::new(&["g@ok.example"], b"the last\r\n.\r\n"),
        // Each of these contains a message for a server that executes refused content as
        // commands.
        Message::new(
            &["no@ok.example"],
            b"MAIL FROM:<forged@sender.example>\r\nRCPT TO:<x@ok.example>\r\nBDAT 8 LAST\r\nforged\r\nRSET\r\n",
        ),
        Message::new(
            &["no@ok.example"],
            b"RSET\r\nMAIL FROM:<forged@sender.example>\r\nRCPT TO:<x@ok.example>\r\nDATA\r\nforged\r\n.\r\n",
        ),
        Message::new(&["no@ok.example"], b"NOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\n"),
        Message::new(&["h@ok.example"], b"RSET\r\nNOOP\r\n"),
    ]
}

/// Each server, with the name of the case.
fn servers() -> Vec<(&'static str, ServerConfig)> {
    let base = || ServerConfig::new("mail.example".parse().unwrap());
    vec![
        ("everything", base()),
        ("everything, boldly", base()),
        (
            "reads no refused chunk",
            base().chunks_read(ChunksRead::Accepted),
        ),
        ("knows no BDAT", base().chunks_read(ChunksRead::None)),
        (
            "lmtp, reads no refused chunk",
            base()
                .protocol(Protocol::Lmtp)
                .chunks_read(ChunksRead::Accepted),
        ),
        ("no chunking", base().chunking(false)),
        ("no chunking, boldly", base().chunking(false)),
        (
            "354 without recipients",
            base().chunking(false).data_without_recipients(true),
        ),
        ("one at a time", base().chunking(false).pipelining(false)),
        ("chunks, one at a time", base().pipelining(false)),
        ("lmtp", base().protocol(Protocol::Lmtp)),
        ("lmtp, boldly", base().protocol(Protocol::Lmtp)),
        (
            "lmtp, no chunking",
            base().protocol(Protocol::Lmtp).chunking(false),
        ),
    ]
}

/// Whether a refused content ends the session, because the server may not have read the octets
/// that `BDAT` announced.
fn refusal_ends(name: &str) -> bool {
    matches!(
        name,
        "everything" | "chunks, one at a time" | "reads no refused chunk"
    )
}

/// The messages of [`mixed`], without content whose refusal ends the session.
fn mixed_for(name: &str) -> Vec<Message> {
    let mut messages = mixed();
    if refusal_ends(name) {
        messages[3] = Message::new(&["c@ok.example"], b"welcome content\r\n");
    }
    messages
}

fn client_for(name: &str) -> ClientConfig {
    let protocol = if name.starts_with("lmtp") {
        Protocol::Lmtp
    } else {
        Protocol::Smtp
    };
    let pipelining = if name.ends_with("boldly") {
        Pipelining::Bold
    } else {
        Pipelining::Careful
    };
    config(Security::None)
        .protocol(protocol)
        .pipelining(pipelining)
}

#[test]
fn every_message_gets_what_the_server_says() {
    for (name, server) in servers() {
        let pair = run(
            Pair::new(client_for(name), server),
            mixed_for(name),
            &[usize::MAX],
            None,
        );
        check(&pair).unwrap_or_else(|why| panic!("{name}: {why}"));
        let outcomes: Vec<&Outcome> = pair.reports.iter().map(Report::outcome).collect();
        assert!(
            matches!(outcomes[0], Outcome::Accepted(_)),
            "{name}: {outcomes:#?}"
        );
        assert!(pair.reports[1].is_partial(), "{name}");
        for (index, at) in [
            (2, Stage::Rcpt),
            (3, Stage::Body),
            (5, Stage::Mail),
            (6, Stage::Rcpt),
        ] {
            if index == 3 && refusal_ends(name) {
                continue;
            }
            assert!(
                matches!(outcomes[index], Outcome::Rejected { stage, .. } if *stage == at),
                "{name}: message {index}: {:?}",
                outcomes[index]
            );
        }
        assert!(matches!(outcomes[7], Outcome::Accepted(_)), "{name}");
        assert_eq!(pair.closed, Some(Ok(())), "{name}");
    }
}

/// A server that refuses a `BDAT` may not have read the octets that it announced: its further
/// replies are ignored, and the messages after it are not sent. With `DATA` there is no such
/// doubt.
#[test]
fn messages_after_a_refused_content_are_not_sent() {
    for (name, server) in servers() {
        let pair = run(
            Pair::new(client_for(name), server),
            mixed(),
            &[usize::MAX],
            None,
        );
        check(&pair).unwrap_or_else(|why| panic!("{name}: {why}"));
        let refused = pair.reports[3].outcome();
        assert!(
            matches!(
                refused,
                Outcome::Rejected {
                    stage: Stage::Body,
                    ..
                }
            ),
            "{name}"
        );
        let not_sent = |report: &Report| matches!(report.outcome(), Outcome::NotSent(_));
        let over = pair.reports[4..].iter().all(not_sent);
        assert_eq!(over, refusal_ends(name), "{name}");
    }
}

/// The octets in both directions do not depend on how they are cut.
#[test]
fn commands_between_messages_do_not_change_the_reports() {
    for (name, server) in servers() {
        let plain = Pair::new(client_for(name), server.clone());
        let plain = run(plain, mixed_for(name), &[usize::MAX], None);
        let asking = || Pair::new(client_for(name), server.clone()).asking();
        for cuts in [&[usize::MAX][..], &[1], &[7, 1, 100]] {
            let pair = run(asking(), mixed_for(name), cuts, None);
            check(&pair).unwrap_or_else(|why| panic!("{name}: {why}\n{}", pair.dialogue()));
            let reported = |pair: &Pair| -> Vec<String> {
                pair.reports.iter().map(ToString::to_string).collect()
            };
            assert_eq!(reported(&pair), reported(&plain), "{name}");
            let expected: Vec<u16> = [252, 250, 500]
                .into_iter()
                .cycle()
                .take(mixed().len())
                .collect();
            assert_eq!(pair.answers, expected, "{name}");
        }
        let pair = run(asking(), mixed_for(name), &[usize::MAX], None);
        let (forth, back) = (pair.said_by_client.len(), pair.said_by_server.len());
        for (side, octets) in [(Side::Client, forth), (Side::Server, back)] {
            for at in (0..octets).step_by(3) {
                let fault = Fault::Break { side, at };
                let pair = run(asking(), mixed_for(name), &[usize::MAX], Some(fault));
                check(&pair)
                    .unwrap_or_else(|why| panic!("{name}, {fault:?}: {why}\n{}", pair.dialogue()));
            }
        }
    }
}

#[test]
fn cuts_do_not_change_the_octets() {
    for (name, server) in servers() {
        let whole = run(
            Pair::new(client_for(name), server.clone()),
            mixed_for(name),
            &[usize::MAX],
            None,
        );
        for cuts in [&[1][..], &[2, 3, 5, 7, 11], &[1, 1_000]] {
            let cut = run(
                Pair::new(client_for(name), server.clone()),
                mixed_for(name),
                cuts,
                None,
            );
            check(&cut).unwrap();
            assert_eq!(
                text(&whole.said_by_client),
                text(&cut.said_by_client),
                "{name}"
            );
            assert_eq!(
                text(&whole.said_by_server),
                text(&cut.said_by_server),
                "{name}"
            );
            let shown = |pair: &Pair| format!("{:#?}", pair.reports);
            assert_eq!(shown(&whole), shown(&cut), "{name}");
        }
    }
}

/// The connection breaks at every octet of either direction in turn: each report must be true
/// of the server's store.
#[test]
fn a_break_at_any_octet_is_reported_truly() {
    for (name, server) in servers() {
        let whole = run(
            Pair::new(client_for(name), server.clone()),
            mixed_for(name),
            &[usize::MAX],
            None,
        );
        for (side, length) in [
            (Side::Client, whole.said_by_client.len()),
            (Side::Server, whole.said_by_server.len()),
        ] {
            for at in 0..=length {
                let fault = Some(Fault::Break { side, at });
                let broken = run(
                    Pair::new(client_for(name), server.clone()),
                    mixed_for(name),
                    &[7],
                    fault,
                );
                check(&broken).unwrap_or_else(|why| panic!("{name}: {side:?} at {at}: {why}"));
            }
        }
    }
}

/// The peer falls silent at every octet in turn: the session must end by its own deadlines,
/// with true reports.
#[test]
fn silence_at_any_octet_ends_the_session() {
    for (name, server) in servers().into_iter().take(8) {
        let whole = run(
            Pair::new(client_for(name), server.clone()),
            mixed_for(name),
            &[usize::MAX],
            None,
        );
        for at in 0..whole.said_by_server.len() {
            let fault = Some(Fault::Silence { after: at });
            let silent = run(
                Pair::new(client_for(name), server.clone()),
                mixed_for(name),
                &[9],
                fault,
            );
            check(&silent).unwrap_or_else(|why| panic!("{name}: silence after {at}: {why}"));
        }
    }
}

/// The parameters that the client requests reach the recipient of the message, through both
/// syntaxes.
#[test]
fn parameters_arrive_unchanged() {
    let server = ServerConfig::new("mail.example".parse().unwrap())
        .deliver_by(Some(60))
        .future_release(Some(3_600))
        .mt_priority(true)
        .extension("XFOO");
    let mut message = Message::new(&["a@ok.example", "b@ok.example"], b"hello\r\n");
    message.envelope = message
        .envelope
        .with_parameter(Return::Full)
        .with_parameter(EnvelopeId::new("a+b c").unwrap())
        .with_parameter(DeliverBy::or_return(60).unwrap().traced())
        .with_parameter(FutureRelease::hold_for(3_600).unwrap())
        .with_parameter(MtPriority::new(-9).unwrap())
        .with_parameter("XFOO=bar".parse::<Parameter>().unwrap())
        .with_parameter_for_all(Notify::SUCCESS | Notify::DELAY)
        .with_recipient_parameter(
            1,
            OriginalRecipient::mailbox(&"b+c@ok.example".parse().unwrap()).unwrap(),
        )
        .unwrap();
    let pair = run(
        Pair::new(config(Security::None), server),
        vec![message],
        &[usize::MAX],
        None,
    );
    check(&pair).unwrap();
    let parameters = &pair.stored[0].parameters;
    assert_eq!(
        parameters.mail[1..],
        [
            "RET=FULL",
            "ENVID=a+2Bb+20c",
            "BY=60;RT",
            "HOLDFOR=3600",
            "MT-PRIORITY=-9",
            "XFOO=bar"
        ]
    );
    assert_eq!(
        parameters.recipients,
        [
            vec!["NOTIFY=SUCCESS,DELAY"],
            vec!["ORCPT=rfc822;b+2Bc@ok.example", "NOTIFY=SUCCESS,DELAY"]
        ]
    );
}

/// RFC 5321 §4.5.3.1.10: the rest goes in further transactions of the same message.
#[test]
fn more_recipients_than_the_server_accepts_at_once() {
    let addresses: Vec<String> = (0..1_000).map(|n| format!("r{n}@ok.example")).collect();
    let many: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let messages = || {
        vec![
            Message::new(&["first@ok.example"], b"one\r\n"),
            Message::new(&many, b"to very many\r\n"),
            Message::new(&["last@ok.example"], b"three\r\n"),
        ]
    };
    for (name, server) in servers() {
        for declared in [false, true] {
            let mut server = server.clone().max_recipients(100);
            if declared {
                server = server.capability("LIMITS RCPTMAX=100");
            }
            let pair = run(
                Pair::new(client_for(name), server),
                messages(),
                &[usize::MAX],
                None,
            );
            check(&pair).unwrap_or_else(|why| panic!("{name}: {why}"));
            assert_eq!(pair.reports.len(), 3, "{name}");
            for report in &pair.reports {
                let accepted = RecipientStatus::Accepted;
                assert!(report.is_accepted(), "{name}: {report}");
                assert!(report.recipients().iter().all(|r| r.status() == accepted));
            }
            let parts: Vec<usize> = pair.stored.iter().map(|s| s.recipients.len()).collect();
            assert_eq!(
                parts.iter().filter(|part| **part == 100).count(),
                10,
                "{name}"
            );
            assert_eq!(parts.len(), 12, "{name}");
            let too_many = text(&pair.said_by_server).matches("452 4.5.3").count();
            assert_eq!(too_many > 0, !declared, "{name}: {too_many}");
        }
    }
}

/// The connection breaks at some point in a message of several transactions.
#[test]
fn a_break_in_a_divided_message_is_reported_truly() {
    let recipients = ["a", "b", "no", "c", "d", "e", "f"].map(|user| format!("{user}@ok.example"));
    let recipients = recipients.each_ref().map(String::as_str);
    let messages = || {
        vec![
            Message::new(&recipients, b"divided\r\n"),
            Message::new(&["g@ok.example"], b"in between\r\n"),
        ]
    };
    for (name, server) in servers() {
        let server = server.max_recipients(2);
        // With at most 100 recipients QUIT does not wait for the RCPT replies; a lower limit
        // makes it wait.
        let mut limits = Limits::default();
        limits.speculation = 0;
        let client = client_for(name).limits(limits);
        let pair = || Pair::new(client.clone(), server.clone());
        let whole = run(pair(), messages(), &[usize::MAX], None);
        check(&whole).unwrap_or_else(|why| panic!("{name}: {why}"));
        // The server accepts two recipients and refuses a third, so each further part has two:
        // "no" and c, d and e, f.
        assert_eq!(whole.stored.len(), 5, "{name}");
        for (side, length) in [
            (Side::Client, whole.said_by_client.len()),
            (Side::Server, whole.said_by_server.len()),
        ] {
            for at in 0..=length {
                let fault = Some(Fault::Break { side, at });
                let broken = run(pair(), messages(), &[7], fault);
                check(&broken).unwrap_or_else(|why| panic!("{name}: {side:?} at {at}: {why}"));
            }
        }
    }
}

#[test]
fn a_break_leaves_at_most_the_pipelined_in_doubt() {
    let server = ServerConfig::new("mail.example".parse().unwrap()).chunking(false);
    let whole = run(
        Pair::new(config(Security::None), server.clone()),
        mixed(),
        &[usize::MAX],
        None,
    );
    for at in 0..whole.said_by_server.len() {
        let fault = Some(Fault::Break {
            side: Side::Server,
            at,
        });
        let pair = run(
            Pair::new(config(Security::None), server.clone()),
            mixed(),
            &[7],
            fault,
        );
        let in_doubt = pair
            .reports
            .iter()
            .filter(|r| matches!(r.outcome(), Outcome::InDoubt(_)));
        assert!(in_doubt.count() <= 1, "at {at}");
    }
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"\r\n".to_vec()),
        Just(b".".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"refuse".to_vec()),
        Just("ü".as_bytes().to_vec()),
        Just(vec![b'x'; 700]),
        "[ -~]{0,12}".prop_map(String::into_bytes),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn message() -> impl Strategy<Value = Message> {
    let recipient = prop_oneof![
        4 => "[a-m][a-z]{0,5}".prop_map(|local| format!("{local}@ok.example")),
        1 => Just("no@ok.example".to_owned()),
        1 => Just("later@ok.example".to_owned()),
    ];
    let recipients = prop::collection::vec(recipient, 1..6);
    (recipients, content(), any::<bool>()).prop_map(|(recipients, content, all)| {
        let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
        let message = Message::new(&recipients, &content);
        if all {
            message.all_or_nothing()
        } else {
            message
        }
    })
}

prop_compose! {
    fn client_config()(
        pipelining in prop_oneof![
            Just(Pipelining::Off),
            Just(Pipelining::Careful),
            Just(Pipelining::Bold),
        ],
        chunking: bool,
        speculation in prop_oneof![Just(0), Just(100), Just(1 << 20)],
        outstanding in prop_oneof![Just(1_usize), Just(3), Just(1_000)],
        lmtp: bool,
    ) -> ClientConfig {
        let mut limits = Limits::default();
        limits.outstanding_replies = outstanding;
        limits.speculation = speculation;
        config(Security::None)
            .protocol(if lmtp { Protocol::Lmtp } else { Protocol::Smtp })
            .pipelining(pipelining)
            .chunking(chunking)
            .limits(limits)
    }
}

prop_compose! {
    fn server_config()(
        pipelining: bool,
        chunking: bool,
        eight_bit: bool,
        binary: bool,
        enhanced: bool,
        eager: bool,
        size in prop_oneof![Just(None), Just(Some(500)), Just(Some(100_000))],
        max_recipients in 1_usize..5,
    ) -> ServerConfig {
        ServerConfig::new("mail.example".parse().unwrap())
            .pipelining(pipelining)
            .chunking(chunking)
            .eight_bit_mime(eight_bit)
            .binary_mime(binary)
            .enhanced_status_codes(enhanced)
            .data_without_recipients(eager)
            .size(size)
            .max_recipients(max_recipients)
    }
}

fn fault() -> impl Strategy<Value = Option<Fault>> {
    let side = prop_oneof![Just(Side::Client), Just(Side::Server)];
    prop_oneof![
        Just(None),
        (side, 0_usize..3_000).prop_map(|(side, at)| Some(Fault::Break { side, at })),
        (0_usize..1_000).prop_map(|after| Some(Fault::Silence { after })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn reports_match_the_stored_messages(
        client in client_config(),
        server in server_config(),
        messages in prop::collection::vec(message(), 1..6),
        cuts in prop::collection::vec(1_usize..200, 1..6),
        fault in fault(),
    ) {
        let lmtp = format!("{client:?}").contains("protocol: Lmtp");
        let server = server.protocol(if lmtp { Protocol::Lmtp } else { Protocol::Smtp });
        let pair = run(Pair::new(client, server), messages, &cuts, fault);
        if let Err(why) = check(&pair) {
            return Err(TestCaseError::fail(format!("{why}\n{}", pair.dialogue())));
        }
    }
}

#[test]
fn all_or_nothing_is_kept() {
    let envelope = Message::new(&["a@ok.example"], b"")
        .all_or_nothing()
        .envelope;
    assert_eq!(envelope.recipients(), Recipients::All);
}
