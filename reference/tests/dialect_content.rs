//! The dialects of contents: for each deviation of `DATA`, `BDAT`, the final dot, the line
//! ends and the final replies of LMTP, a test that it really happens.

mod common;

use common::{addressed, ask, ask_codes, greeted, recipients, said};
use postwire_reference::{
    Bdat, DataWithoutRecipients, Dialect, Farewell, LineEnds, LmtpFinals, Offence, Recorder,
};

const ANN: &str = "ann@server.example";
const BEN: &str = "ben@server.example";
const MIXED: &str = "mixed@server.example";

/// Commands that send a message if they are executed.
const SMUGGLED: &str = "MAIL FROM:<evil@client.example>\r\nRCPT TO:<victim@server.example>\r\nDATA\r\nsmuggled\r\n.\r\n";

fn chunk(octets: &str, last: bool) -> String {
    let mark = if last { " LAST" } else { "" };
    format!("BDAT {}{mark}\r\n{octets}", octets.len())
}

#[track_caller]
fn smuggled(server: &Recorder) {
    let taken = server.taken().iter();
    let found = taken.filter(|taken| taken.recipients == ["victim@server.example"]);
    let contents: Vec<&[u8]> = found.map(|taken| &taken.content[..]).collect();
    assert_eq!(contents, [b"smuggled\r\n"], "{}", server.dialogue());
}

#[test]
fn a_refused_chunk_is_read() {
    let mut server = greeted(Dialect::default());
    let chunk = chunk(&format!("RSET\r\n{SMUGGLED}"), true);
    assert_eq!(ask_codes(&mut server, chunk), [503]);
    assert_eq!(ask_codes(&mut server, "NOOP\r\n"), [250]);
    assert_eq!(server.misled_after(), None);
    assert!(server.taken().is_empty());
    let mut server = addressed(
        Dialect {
            bdat: Bdat::Refused,
            bdat_refusal: 451,
            ..Dialect::default()
        },
        &[ANN],
    );
    assert_eq!(ask_codes(&mut server, "BDAT 6 LAST\r\nRSET\r\n"), [451]);
    assert!(server.taken().is_empty());
}

#[test]
fn a_refused_chunk_that_is_not_read_is_executed() {
    let mut server = addressed(
        Dialect {
            bdat: Bdat::Refused,
            unread_chunks: true,
            ..Dialect::default()
        },
        &[ANN],
    );
    let chunk = chunk(&format!("RSET\r\n{SMUGGLED}"), true);
    let answers = ask_codes(&mut server, chunk);
    assert_eq!(answers, [554, 250, 250, 250, 354, 250]);
    smuggled(&server);
    assert_eq!(server.misled_after(), Some(0));
}

#[test]
fn a_chunk_for_nobody_that_is_not_read_is_executed() {
    let mut server = greeted(Dialect {
        unread_chunks: true,
        ..Dialect::default()
    });
    ask(&mut server, chunk(SMUGGLED, true));
    smuggled(&server);
}

#[test]
fn an_unknown_bdat_is_executed_too() {
    let mut server = addressed(
        Dialect {
            bdat: Bdat::Unknown,
            ..Dialect::default()
        },
        &[ANN],
    );
    let answers = ask_codes(&mut server, chunk("Subject: x\r\n", true));
    assert_eq!(answers, [500, 500]);
    let line = "Subject: x".to_owned();
    assert_eq!(server.offences(), [Offence::UnknownCommand(line)]);
    assert_eq!(server.misled_after(), Some(0));
}

#[test]
fn only_later_chunks_are_refused() {
    let dialect = Dialect {
        bdat: Bdat::LaterRefused,
        ..Dialect::default()
    };
    let mut server = addressed(dialect.clone(), &[ANN]);
    let group = chunk("a", false) + &chunk("b", false) + &chunk("c", true);
    assert_eq!(ask_codes(&mut server, group), [250, 554, 503]);
    assert!(server.taken().is_empty());
    let mut server = addressed(dialect, &[ANN]);
    assert_eq!(ask_codes(&mut server, chunk("a", true)), [250]);
    assert_eq!(server.taken().len(), 1);
}

#[test]
fn an_empty_last_chunk_is_refused() {
    let mut server = addressed(
        Dialect {
            bdat: Bdat::ZeroLastRefused,
            ..Dialect::default()
        },
        &[ANN],
    );
    let group = chunk("a", false) + &chunk("", true);
    assert_eq!(ask_codes(&mut server, group), [250, 554]);
    assert!(server.taken().is_empty());
}

#[test]
fn the_last_chunk_is_refused() {
    let mut server = addressed(
        Dialect {
            bdat: Bdat::LastRefused,
            bdat_refusal: 452,
            ..Dialect::lmtp()
        },
        &[ANN, BEN],
    );
    let group = chunk("a", false) + &chunk("b", true);
    assert_eq!(ask_codes(&mut server, group), [250, 452, 452]);
    assert!(server.taken().is_empty());
}

#[test]
fn what_follows_the_dot_is_read_or_forgotten() {
    for forgets_behind_dot in [false, true] {
        let mut server = addressed(
            Dialect {
                forgets_behind_dot,
                ..Dialect::default()
            },
            &[ANN],
        );
        ask(&mut server, "DATA\r\n");
        let answers = ask_codes(
            &mut server,
            "x\r\n.\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n",
        );
        let expected: &[u16] = if forgets_behind_dot {
            &[250]
        } else {
            &[250; 3]
        };
        assert_eq!(answers, expected);
        assert_eq!(server.misled_after().is_some(), forgets_behind_dot);
        // What comes later is read.
        assert_eq!(ask_codes(&mut server, "RSET\r\n"), [250]);
        assert_eq!(server.offences(), []);
    }
}

#[test]
fn early_content_is_content_or_dropped() {
    for drops_early_content in [false, true] {
        let mut server = addressed(
            Dialect {
                drops_early_content,
                ..Dialect::default()
            },
            &[ANN],
        );
        assert_eq!(ask_codes(&mut server, "DATA\r\nearly\r\n"), [354]);
        ask(&mut server, "late\r\n.\r\n");
        let content: &[u8] = if drops_early_content {
            b"late\r\n"
        } else {
            b"early\r\nlate\r\n"
        };
        assert_eq!(server.taken()[0].content, content);
        assert!(matches!(
            server.offences(),
            [Offence::BehindLastOfGroup { .. }]
        ));
    }
}

#[test]
fn input_behind_an_error_is_dropped() {
    let mut server = greeted(Dialect {
        drops_after_error: true,
        ..Dialect::default()
    });
    let group = "MAIL FROM:<a@b>\r\nRCPT TO:<no@d>\r\nRCPT TO:<c@d>\r\nDATA\r\n";
    assert_eq!(ask_codes(&mut server, group), [250, 550]);
    assert_eq!(server.misled_after(), Some(0));
    assert_eq!(ask_codes(&mut server, "RCPT TO:<c@d>\r\n"), [250]);
}

#[test]
fn data_without_recipients() {
    let mut server = addressed(Dialect::default(), &["no@b"]);
    assert_eq!(ask_codes(&mut server, "DATA\r\n"), [503]);
    let mut server = addressed(
        Dialect {
            data_without_recipients: DataWithoutRecipients::Refused(554),
            ..Dialect::default()
        },
        &["no@b"],
    );
    assert_eq!(ask_codes(&mut server, "DATA\r\n"), [554]);
    let mut server = addressed(
        Dialect {
            data_without_recipients: DataWithoutRecipients::Invited,
            ..Dialect::default()
        },
        &["no@b"],
    );
    assert_eq!(ask_codes(&mut server, "DATA\r\n"), [354]);
    assert_eq!(ask_codes(&mut server, ".\r\n"), [554]);
    assert!(server.taken().is_empty());
}

#[test]
fn data_is_refused_although_there_are_recipients() {
    let mut server = addressed(
        Dialect {
            data_refused: Some(451),
            ..Dialect::default()
        },
        &[ANN],
    );
    assert_eq!(ask_codes(&mut server, "DATA\r\n"), [451]);
    assert_eq!(ask_codes(&mut server, "x\r\n"), [500]);
    assert_eq!(server.offences(), [Offence::UnknownCommand("x".to_owned())]);
}

#[test]
fn a_content_asks_to_be_refused() {
    for (line, code) in [
        ("X-Refuse: 5xx", 554),
        ("X-Refuse: 4xx", 451),
        ("X-Refuse: 552", 552),
        ("X-Refuse: 250", 250),
        (" X-Refuse: 5xx", 250),
    ] {
        let mut server = addressed(Dialect::default(), &[ANN]);
        ask(&mut server, "DATA\r\n");
        let answers = ask_codes(&mut server, format!("a\r\n{line}\r\n\r\nb\r\n.\r\n"));
        assert_eq!(answers, [code], "{line}");
        assert_eq!(server.taken().len(), usize::from(code == 250));
        // The transaction has ended.
        assert_eq!(ask_codes(&mut server, "RCPT TO:<c@d>\r\n"), [503]);
    }
    let mut server = addressed(Dialect::lmtp(), &[ANN, BEN]);
    assert_eq!(
        ask_codes(&mut server, chunk("X-Refuse: 4xx", true)),
        [451, 451]
    );
}

#[test]
fn a_failed_content_keeps_its_transaction() {
    let mut server = addressed(
        Dialect {
            failed_content_keeps_transaction: true,
            ..Dialect::default()
        },
        &[ANN],
    );
    ask(&mut server, "DATA\r\n");
    assert_eq!(ask_codes(&mut server, "X-Refuse: 5xx\r\n.\r\n"), [554]);
    assert_eq!(ask_codes(&mut server, "MAIL FROM:<other@b>\r\n"), [503]);
    ask(&mut server, format!("RCPT TO:<{BEN}>\r\n"));
    ask(&mut server, "DATA\r\n");
    assert_eq!(ask_codes(&mut server, "x\r\n.\r\n"), [250]);
    assert_eq!(recipients(server.taken()), [[ANN, BEN]]);
    assert_eq!(server.taken()[0].reverse_path, "a@client.example");
    assert_eq!(server.offences(), []);
}

#[test]
fn sizes_are_declared_and_counted() {
    let mut dialect = Dialect::default();
    dialect.keywords.size = Some(10);
    let mut server = greeted(dialect.clone());
    assert_eq!(ask_codes(&mut server, "MAIL FROM:<a@b> SIZE=11\r\n"), [552]);
    let mut server = addressed(dialect.clone(), &[ANN]);
    ask(&mut server, "DATA\r\n");
    assert_eq!(ask_codes(&mut server, "123456789\r\n.\r\n"), [552]);
    let mut server = addressed(dialect.clone(), &[ANN]);
    ask(&mut server, "DATA\r\n");
    assert_eq!(ask_codes(&mut server, "..2345678\r\n.\r\n"), [250]);
    let mut server = addressed(dialect, &[ANN]);
    let group = chunk("123456", false) + &chunk("12345", true);
    assert_eq!(ask_codes(&mut server, group), [250, 552]);
    assert_eq!(server.offences(), []);
}

#[test]
fn lenient_line_ends_take_a_smuggled_message() {
    for (end, ends) in [
        ("\n.\n", LineEnds::BareLf),
        ("\n.\r\n", LineEnds::BareLf),
        ("\r\n.\n", LineEnds::BareLf),
        ("\r.\r\n", LineEnds::BareLfAndCr),
        ("\r.\r", LineEnds::BareLfAndCr),
        ("\n.\r\n", LineEnds::BareLfAndCr),
    ] {
        let content = format!("x{end}{SMUGGLED}");
        let play = |line_ends| {
            let dialect = Dialect {
                line_ends,
                ..Dialect::default()
            };
            let mut server = addressed(dialect, &[ANN]);
            ask(&mut server, "DATA\r\n");
            let answers = ask_codes(&mut server, &content);
            (server, answers)
        };
        let (server, answers) = play(ends);
        assert_eq!(answers, [250, 250, 250, 354, 250], "{end:?}");
        smuggled(&server);
        let (server, answers) = play(LineEnds::Strict);
        assert_eq!(answers, [250], "{end:?}");
        assert_eq!(server.taken().len(), 1);
        let (server, answers) = play(LineEnds::BareRefused);
        assert_eq!(answers, [550], "{end:?}");
        assert!(server.taken().is_empty());
    }
}

#[test]
fn lenient_line_ends_take_commands_with_bare_ends() {
    for (end, line_ends) in [("\n", LineEnds::BareLf), ("\r", LineEnds::BareLfAndCr)] {
        let mut server = addressed(
            Dialect {
                line_ends,
                ..Dialect::default()
            },
            &[ANN],
        );
        ask(&mut server, "DATA\r\n");
        let content = format!("x\r\n.\r\n{SMUGGLED}").replace("\r\n", end);
        let answers = ask_codes(&mut server, content + "NOOP\r\n");
        assert_eq!(answers, [250, 250, 250, 354, 250, 250]);
        assert_eq!(server.taken().len(), 2);
    }
}

#[test]
fn lmtp_finals() {
    let everyone = [ANN, MIXED, BEN];
    for (lmtp_finals, answers, said_for, unsaid_for) in [
        (
            LmtpFinals::EachRecipient,
            &[250, 554, 250][..],
            &[ANN, BEN][..],
            &[][..],
        ),
        (LmtpFinals::OneMore, &[250, 554, 250, 250], &[ANN, BEN], &[]),
        (LmtpFinals::OneFewer, &[250, 554], &[ANN], &[BEN]),
        (LmtpFinals::One, &[250], &everyone, &[]),
    ] {
        let dialect = Dialect {
            lmtp_finals,
            ..Dialect::lmtp()
        };
        let mut server = addressed(dialect, &everyone);
        assert_eq!(ask_codes(&mut server, chunk("x", true)), answers);
        let taken = |said| {
            let taken = server
                .taken()
                .iter()
                .filter(move |taken| taken.said == said);
            taken
                .flat_map(|taken| &taken.recipients)
                .collect::<Vec<_>>()
        };
        assert_eq!(taken(true), said_for);
        assert_eq!(taken(false), unsaid_for);
    }
}

#[test]
fn a_farewell_in_place_of_the_answer_to_a_content() {
    for (farewell, count) in [(Farewell::Taken, 1), (Farewell::Dropped, 0)] {
        let mut server = addressed(
            Dialect {
                farewell_for_content: Some(farewell),
                ..Dialect::default()
            },
            &[ANN],
        );
        assert_eq!(ask_codes(&mut server, chunk("x", true)), [221]);
        assert!(server.has_hung_up());
        assert_eq!(server.taken().len(), count);
        assert!(server.taken().iter().all(|taken| !taken.said));
    }
}

#[test]
fn the_server_vanishes_after_taking() {
    let mut server = addressed(
        Dialect {
            vanish_after_taking: Some(2),
            ..Dialect::default()
        },
        &[ANN],
    );
    assert_eq!(ask_codes(&mut server, chunk("one", true)), [250]);
    ask(&mut server, "MAIL FROM:<a@b>\r\n");
    ask(&mut server, format!("RCPT TO:<{BEN}>\r\n"));
    assert_eq!(ask(&mut server, chunk("two", true)), "");
    assert!(server.has_hung_up());
    let said: Vec<bool> = server.taken().iter().map(|taken| taken.said).collect();
    assert_eq!(said, [true, false]);
}

#[test]
fn an_incomplete_content_is_not_taken() {
    for content in ["x\r\n.", "x\r\n.\r", "x\r\n"] {
        let mut server = addressed(Dialect::default(), &[ANN]);
        ask(&mut server, "DATA\r\n");
        ask(&mut server, content);
        server.receive_eof();
        assert_eq!(said(&mut server), "");
        assert!(server.has_hung_up());
        assert!(server.taken().is_empty());
    }
    let mut server = addressed(Dialect::default(), &[ANN]);
    ask(&mut server, "BDAT 3 LAST\r\nxx");
    server.receive_eof();
    assert!(server.taken().is_empty());
}

#[test]
fn parameters_are_recorded() {
    let mut server = greeted(Dialect::default());
    ask(&mut server, "MAIL FROM:<a@b> SIZE=1 ret=hdrs\r\n");
    ask(&mut server, "RCPT TO:<c@d> NOTIFY=NEVER\r\n");
    ask(&mut server, chunk("x", true));
    let parameters = ["SIZE=1", "ret=hdrs", "<c@d> NOTIFY=NEVER"];
    assert_eq!(server.taken()[0].parameters, parameters);
}
