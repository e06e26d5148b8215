//! The server and the judge against a small client, in thousands of random dialects. If
//! the judge condemns the client, one of them is wrong.

#![allow(clippy::unwrap_used)]

mod client;
#[path = "../common/mod.rs"]
mod common;

use client::{Client, Habits};
use postwire_reference::{
    Dialect, Misleading, Protocol, Recorder, ReplyFlow, Reported, Sent, Status, Verdict, judge,
};

/// A message whose recipients and content give a server something to refuse.
fn message(id: usize, variant: usize) -> Sent {
    let people = ["ann", "no.one", "mixed", "ben", "later", "full"];
    let line = ["", "X-Refuse: 550\n", "\n"][(variant + id) % 3];
    Sent {
        id,
        reverse_path: "a@client.example".to_owned(),
        recipients: people[id..id + 3]
            .iter()
            .map(|name| format!("{name}@server.example"))
            .collect(),
        content: format!("Subject: {id}\n{line}\n.\r..\r\n").into_bytes(),
        all_or_nothing: false,
    }
}

fn report(message: &Sent, statuses: Vec<Status>) -> Reported {
    let verdict = if statuses.contains(&Status::Accepted) {
        Verdict::Accepted
    } else if statuses.contains(&Status::InDoubt) {
        Verdict::InDoubt
    } else {
        Verdict::Rejected
    };
    Reported {
        id: message.id,
        verdict,
        recipients: message.recipients.iter().cloned().zip(statuses).collect(),
    }
}

/// Whether the client is safe from what the dialect does.
fn is_safe(dialect: &Dialect, habits: Habits) -> bool {
    dialect.misleading().iter().all(|way| match way {
        Misleading::MissingReply | Misleading::ContentForNobody => true,
        Misleading::OpenTransaction | Misleading::DroppedInput => !habits.groups,
        Misleading::UnreadChunk => habits.chunks.is_none(),
        Misleading::SurplusReply | Misleading::FarewellForContent => false,
    })
}

/// Runs three messages through one connection; says how many recipients were accepted.
/// The client must commit no offence, and satisfy the judge if it can.
fn run(seed: u64, dialect: Dialect, habits: Habits) -> usize {
    let is_judged = is_safe(&dialect, habits);
    let messages: Vec<Sent> = (0..3).map(|id| message(id, seed as usize)).collect();
    let is_lmtp = dialect.protocol == Protocol::Lmtp;
    let mut client = Client::connect(Recorder::new(dialect), is_lmtp, habits);
    let reports: Vec<Reported> = messages
        .iter()
        .map(|message| report(message, client.send(message)))
        .collect();
    client.quit();
    let server = &client.server;
    let taken: Vec<_> = server.taken().iter().collect();
    let context = format!(
        "seed {seed}, {habits:?}\n{reports:#?}\n{}",
        server.dialogue()
    );
    if is_judged {
        judge(&messages, &reports, &taken).unwrap_or_else(|error| panic!("{error}\n{context}"));
    }
    let own = server.misled_after().unwrap_or(server.offences().len());
    assert_eq!(server.offences()[..own], [], "{context}");
    let statuses = reports.iter().flat_map(|report| &report.recipients);
    statuses
        .filter(|(_, status)| *status == Status::Accepted)
        .count()
}

fn habits(seed: u64) -> Habits {
    Habits {
        groups: seed % 2 == 1,
        chunks: [None, Some(1), Some(3)][seed as usize / 2 % 3],
        secures: seed / 6 % 2 == 1,
        piece: [1, 7, 40, 10_000][seed as usize / 12 % 4],
    }
}

#[test]
fn a_careful_client_passes_in_every_dialect() {
    let (mut judged, mut accepted) = (0, 0);
    for seed in 0..8_000 {
        let dialect = Dialect::random(seed);
        judged += usize::from(is_safe(&dialect, habits(seed)));
        accepted += run(seed, dialect, habits(seed));
    }
    assert!(judged > 5_000, "{judged}");
    assert!(accepted > 8_000, "{accepted}");
}

#[test]
fn a_textbook_server_takes_what_it_should() {
    for seed in 0..48 {
        // Two contents of three pass, each for two recipients; LMTP refuses `mixed`.
        let slow = Dialect {
            reply_flow: ReplyFlow::AllWithheld,
            ..Dialect::default()
        };
        let dialects = [(Dialect::default(), 4), (slow, 4), (Dialect::lmtp(), 2)];
        for (dialect, expected) in dialects {
            assert_eq!(run(seed, dialect, habits(seed)), expected, "{seed}");
        }
    }
}

/// Sends `content` as it is, by `DATA`, to a server that is lenient with line ends.
fn send_carelessly(content: &str) -> Recorder {
    let mut server = common::addressed(
        Dialect {
            line_ends: postwire_reference::LineEnds::BareLf,
            ..Dialect::default()
        },
        &["ann@server.example"],
    );
    common::ask(&mut server, "DATA\r\n");
    common::ask(&mut server, format!("{content}\r\n.\r\n"));
    server
}

#[test]
fn a_careless_client_is_condemned() {
    let evil = "x\n.\nMAIL FROM:<a@b>\nRCPT TO:<victim@b>\nDATA\nsmuggled";
    for (content, is_right) in [("x\r\ny", true), (evil, false)] {
        let server = send_carelessly(content);
        let sent = Sent {
            id: 1,
            reverse_path: "a@client.example".to_owned(),
            recipients: vec!["ann@server.example".to_owned()],
            content: content.as_bytes().to_vec(),
            all_or_nothing: false,
        };
        let report = Reported {
            id: 1,
            verdict: Verdict::Accepted,
            recipients: vec![("ann@server.example".to_owned(), Status::Accepted)],
        };
        let taken: Vec<_> = server.taken().iter().collect();
        let judgement = judge(&[sent], &[report], &taken);
        assert_eq!(judgement.is_ok(), is_right, "{judgement:?}");
        assert_eq!(server.offences().is_empty(), is_right);
        assert_eq!(taken.len(), if is_right { 1 } else { 2 });
    }
}
