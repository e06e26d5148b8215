//! Client and server core joined in memory under a virtual clock: any cut of the
//! bytes, a fault at any octet. What the client reports is compared with what
//! the server really stored.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod pair {
    pub(crate) mod wire;
}

use pair::wire::{Fault, Message, Pair, Side, check, config, run};
use postwire_proto::{
    ClientConfig, Outcome, Protocol, Recipients, Report, Security, ServerConfig, Stage,
};
use proptest::prelude::*;

/// Messages that between them take every path of a transaction.
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
    ]
}

fn servers() -> Vec<(&'static str, ServerConfig)> {
    let base = || ServerConfig::new("mail.example".parse().unwrap());
    vec![
        ("everything", base()),
        ("no chunking", base().chunking(false)),
        (
            "354 without recipients",
            base().chunking(false).data_without_recipients(true),
        ),
        ("one at a time", base().chunking(false).pipelining(false)),
        ("chunks, one at a time", base().pipelining(false)),
        ("lmtp", base().protocol(Protocol::Lmtp)),
        (
            "lmtp, no chunking",
            base().protocol(Protocol::Lmtp).chunking(false),
        ),
    ]
}

fn client_for(name: &str) -> ClientConfig {
    let protocol = if name.starts_with("lmtp") {
        Protocol::Lmtp
    } else {
        Protocol::Smtp
    };
    config(Security::None).protocol(protocol)
}

#[test]
fn every_message_gets_what_the_server_says() {
    for (name, server) in servers() {
        let pair = run(
            Pair::new(client_for(name), server),
            mixed(),
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

/// The octets of both directions do not depend on how they are cut.
#[test]
fn cuts_change_nothing() {
    for (name, server) in servers() {
        let whole = run(
            Pair::new(client_for(name), server.clone()),
            mixed(),
            &[usize::MAX],
            None,
        );
        for cuts in [&[1][..], &[2, 3, 5, 7, 11], &[1, 1_000]] {
            let cut = run(
                Pair::new(client_for(name), server.clone()),
                mixed(),
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

/// The connection breaks at every octet of either direction in turn: whatever
/// the client says is true of the server's store.
#[test]
fn a_break_at_any_octet_is_judged_rightly() {
    for (name, server) in servers() {
        let whole = run(
            Pair::new(client_for(name), server.clone()),
            mixed(),
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
                    mixed(),
                    &[7],
                    fault,
                );
                check(&broken).unwrap_or_else(|why| panic!("{name}: {side:?} at {at}: {why}"));
            }
        }
    }
}

/// The peer falls silent at every octet in turn: the session ends by its own
/// deadlines, and what it says is true.
#[test]
fn a_silence_at_any_octet_ends() {
    for (name, server) in servers().into_iter().take(3) {
        let whole = run(
            Pair::new(client_for(name), server.clone()),
            mixed(),
            &[usize::MAX],
            None,
        );
        for at in 0..whole.said_by_server.len() {
            let fault = Some(Fault::Silence { after: at });
            let silent = run(
                Pair::new(client_for(name), server.clone()),
                mixed(),
                &[9],
                fault,
            );
            check(&silent).unwrap_or_else(|why| panic!("{name}: silence after {at}: {why}"));
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
        pipelining: bool,
        chunking: bool,
        speculation in prop_oneof![Just(0), Just(100), Just(1 << 20)],
        early: bool,
        outstanding in prop_oneof![Just(1_usize), Just(3), Just(1_000)],
        lmtp: bool,
    ) -> ClientConfig {
        let mut limits = postwire_proto::Limits::default();
        limits.outstanding_replies = outstanding;
        config(Security::None)
            .protocol(if lmtp { Protocol::Lmtp } else { Protocol::Smtp })
            .pipelining(pipelining)
            .chunking(chunking)
            .speculation(speculation)
            .early_content(early)
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
    fn what_was_reported_is_what_was_stored(
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
