use std::format;
use std::string::String;
use std::vec::Vec;

use super::*;

/// A server that follows RFC 5321 §4.1.4 and RFC 3030 §2: which transaction is open.
#[derive(Clone, Default)]
struct Server(Option<Serial>);

/// The course of one message at a server: the changes in the order in which the session sees them.
const LIVES: &[&[Change]] = &[
    &[Change::MailRefused],
    // No recipient was accepted, or DATA was refused.
    &[Change::MailAccepted, Change::Abandoned],
    &[Change::MailAccepted, Change::ContentAnswered],
    &[
        Change::MailAccepted,
        Change::LastBdatWritten,
        Change::LastBdatAccepted,
    ],
    // The last BDAT was refused.
    &[Change::MailAccepted, Change::LastBdatWritten],
    // The whole message was sent ahead, and MAIL was refused.
    &[Change::LastBdatWritten],
    &[Change::LastBdatWritten, Change::ContentAnswered],
];

impl Server {
    fn carry_out(&mut self, change: Change, transaction: Serial) {
        match change {
            Change::MailAccepted => self.0 = Some(transaction),
            Change::ContentAnswered | Change::LastBdatAccepted | Change::ResetAccepted => {
                self.0 = None;
            }
            _ => {}
        }
    }
}

/// Every sequence of three messages, with a server that accepts RSET and one that refuses it:
/// `MAIL` never goes into an open transaction, and a refused RSET is never treated as harmless.
#[test]
fn the_table_never_calls_an_open_transaction_closed() {
    for lives in sequences(3) {
        for accepts_reset in [true, false] {
            let mut open = OpenAtServer::default();
            let mut server = Server::default();
            for life in &lives {
                if open.needs_reset() {
                    open.reset_written();
                    if accepts_reset {
                        open.reset_accepted();
                        server.0 = None;
                    } else if !open.may_be_open() {
                        assert_eq!(server.0, None, "{lives:?}");
                    } else {
                        // The session ends.
                        break;
                    }
                }
                assert_eq!(server.0, None, "MAIL within a transaction: {lives:?}");
                let serial = open.begin();
                for change in *life {
                    open.change(*change, serial);
                    server.carry_out(*change, serial);
                    assert!(server.0.is_none() || open.may_be_open(), "{lives:?}");
                }
                assert!(server.0.is_none() || open.needs_reset(), "{lives:?}");
            }
        }
    }
}

/// RSET costs a command, and some servers count it against the client.
#[test]
fn no_reset_where_none_is_needed() {
    for life in [LIVES[0], LIVES[2], LIVES[3]] {
        let mut open = OpenAtServer::default();
        let serial = open.begin();
        for change in life {
            open.change(*change, serial);
        }
        assert!(!open.needs_reset(), "{life:?}");
    }
}

/// The end of one transaction does not affect the next one, whose MAIL is written already.
#[test]
fn another_transactions_end_closes_nothing() {
    let mut open = OpenAtServer::default();
    let first = open.begin();
    let second = open.begin();
    open.change(Change::Abandoned, second);
    open.change(Change::LastBdatAccepted, first);
    assert!(open.needs_reset());
}

#[test]
fn each_change_has_one_row() {
    for (at, (change, ..)) in TRANSITIONS.iter().enumerate() {
        let first = TRANSITIONS.iter().position(|(of, ..)| of == change);
        assert_eq!(first, Some(at));
    }
}

/// The table in ARCHITECTURE.md equals the one in the code.
#[test]
fn the_architecture_shows_this_table() {
    let page = include_str!("../../../../ARCHITECTURE.md");
    for row in rows() {
        assert!(page.contains(&row), "missing in ARCHITECTURE.md: {row}");
    }
}

fn rows() -> impl Iterator<Item = String> {
    let rows = TRANSITIONS.iter();
    rows.map(|(change, written, answered)| {
        format!(
            "| `{change:?}` | {} | {} |",
            shown(*written),
            shown(*answered)
        )
    })
}

fn shown(effect: Effect) -> &'static str {
    match effect {
        Effect::Keep => "–",
        Effect::Open => "open",
        Effect::MaybeOpen => "may be open",
        Effect::Close => "closed, if it is this one",
        Effect::CloseAny => "closed",
    }
}

fn sequences(length: usize) -> Vec<Vec<&'static [Change]>> {
    let mut all = std::vec![Vec::new()];
    for _ in 0..length {
        all = all
            .into_iter()
            .flat_map(|begun: Vec<&'static [Change]>| {
                LIVES.iter().map(move |life| {
                    let mut lives = begun.clone();
                    lives.push(*life);
                    lives
                })
            })
            .collect();
    }
    all
}
