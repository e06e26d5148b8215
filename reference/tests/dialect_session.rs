//! The dialects of sessions and replies: for each deviation of the opening, the
//! envelope, the form and flow of replies, and the end of a session, a test that it
//! really happens.

mod common;

use common::{addressed, ask, ask_codes, codes, greeted, said};
use postwire_reference::{
    AfterClosing, Closing, Dialect, Keywords, Mechanism, Offence, Protocol, Recorder, ReplyFlow,
    ReplyForm, Rset, SecondGreeting,
};

const ANN: &str = "ann@server.example";
const BEN: &str = "ben@server.example";

#[test]
fn greetings() {
    let mut server = Recorder::new(Dialect {
        greeting: vec!["one".to_owned(), "two".to_owned()],
        second_greeting: Some(SecondGreeting::AtOnce),
        ..Dialect::default()
    });
    let greeting = "220-one\r\n220 two\r\n";
    assert_eq!(said(&mut server), greeting.repeat(2));
    let mut server = Recorder::new(Dialect {
        greeting_refused: Some(554),
        ..Dialect::default()
    });
    assert!(!server.has_hung_up(), "it must speak first");
    assert_eq!(codes(&said(&mut server)), [554]);
    assert!(server.has_hung_up());
    let mut dialect = Dialect::default();
    dialect.keywords.starttls = true;
    dialect.second_greeting = Some(SecondGreeting::AfterTls);
    let mut server = greeted(dialect);
    ask(&mut server, "STARTTLS\r\n");
    server.tls_established();
    assert_eq!(codes(&said(&mut server)), [220]);
}

#[test]
fn ehlo_is_refused_and_helo_is_not() {
    let mut server = greeted(Dialect {
        ehlo_refused: Some(502),
        ..Dialect::default()
    });
    assert_eq!(ask_codes(&mut server, "EHLO client.example\r\n"), [502]);
    let hello = ask(&mut server, "HELO client.example\r\n");
    assert_eq!(hello, "250 server.example greets you\r\n");
    assert_eq!(ask_codes(&mut server, "MAIL FROM:<a@b>\r\n"), [250]);
}

#[test]
fn every_keyword_is_offered() {
    let mut server = Recorder::new(Dialect {
        keywords: Keywords {
            pipelining: true,
            chunking: true,
            binary_mime: true,
            eight_bit_mime: true,
            size: Some(1000),
            smtp_utf8: true,
            dsn: true,
            enhanced_status_codes: true,
            starttls: true,
            auth: vec![Mechanism::Login, Mechanism::Plain],
            rcpt_max: Some(1),
            mail_max: Some(2),
            rcpt_domain_max: Some(3),
        },
        ..Dialect::default()
    });
    said(&mut server);
    let hello = ask(&mut server, "EHLO client.example\r\n");
    let keywords: Vec<&str> = hello.lines().skip(1).map(|line| &line[4..]).collect();
    let expected = [
        "PIPELINING",
        "CHUNKING",
        "BINARYMIME",
        "8BITMIME",
        "SMTPUTF8",
        "DSN",
        "ENHANCEDSTATUSCODES",
        "STARTTLS",
        "SIZE 1000",
        "AUTH LOGIN PLAIN",
        "LIMITS RCPTMAX=1 MAILMAX=2 RCPTDOMAINMAX=3",
    ];
    assert_eq!(keywords, expected);
    assert_eq!(ask(&mut server, "NOOP\r\n"), "250 2.0.0 ok\r\n");
}

#[test]
fn starttls_is_refused() {
    let mut dialect = Dialect::default();
    dialect.keywords.starttls = true;
    dialect.starttls_refused = Some(454);
    let mut server = greeted(dialect);
    assert_eq!(ask_codes(&mut server, "STARTTLS\r\n"), [454]);
    assert!(!server.tls_wanted());
    assert_eq!(ask_codes(&mut server, "NOOP\r\n"), [250]);
}

#[test]
fn authentication_is_demanded() {
    let mut dialect = Dialect::default();
    dialect.keywords.auth = vec![Mechanism::Plain];
    dialect.auth_demanded = true;
    let mut server = greeted(dialect);
    assert_eq!(ask_codes(&mut server, "MAIL FROM:<a@b>\r\n"), [530]);
    assert_eq!(
        ask_codes(&mut server, "AUTH PLAIN AHVzZXIAcGFzc3dvcmQ=\r\n"),
        [235]
    );
    assert_eq!(ask_codes(&mut server, "MAIL FROM:<a@b>\r\n"), [250]);
    assert_eq!(server.offences(), []);
}

#[test]
fn addresses_decide() {
    let mut server = greeted(Dialect::default());
    assert_eq!(
        ask_codes(&mut server, "MAIL FROM:<nobody.here@b>\r\n"),
        [550]
    );
    ask(&mut server, "MAIL FROM:<>\r\n");
    for (name, code) in [
        ("ann", 250),
        ("no", 550),
        ("later", 450),
        ("full", 452),
        ("mixed", 250),
    ] {
        let line = format!("RCPT TO:<{name}@server.example>\r\n");
        assert_eq!(ask_codes(&mut server, line), [code], "{name}");
    }
}

#[test]
fn too_many_recipients() {
    let dialect = Dialect {
        too_many_at: Some(2),
        ..Dialect::default()
    };
    let mut server = addressed(dialect, &["no@b", ANN]);
    let line = format!("RCPT TO:<{BEN}>\r\n");
    assert_eq!(ask_codes(&mut server, &line), [452]);
    assert_eq!(ask_codes(&mut server, "RCPT TO:<cat@b>\r\n"), [452]);
    assert_eq!(server.offences(), []);
}

#[test]
fn resets_are_refused_or_forgotten() {
    for code in [500, 502, 421] {
        let mut server = addressed(
            Dialect {
                rset: Rset::Refused(code),
                ..Dialect::default()
            },
            &[ANN],
        );
        assert_eq!(ask_codes(&mut server, "RSET\r\n"), [code]);
        assert_eq!(server.has_hung_up(), code == 421);
        if code != 421 {
            assert_eq!(ask_codes(&mut server, "MAIL FROM:<a@b>\r\n"), [503]);
        }
    }
    let mut server = addressed(
        Dialect {
            rset: Rset::Forgotten,
            ..Dialect::default()
        },
        &[ANN],
    );
    assert_eq!(ask_codes(&mut server, "RSET\r\n"), [250]);
    assert_eq!(ask_codes(&mut server, "BDAT 1 LAST\r\nx"), [250]);
    assert_eq!(server.taken()[0].recipients, [ANN]);
}

#[test]
fn a_nested_mail_is_refused_or_replaces() {
    for (nested_mail_replaces, code) in [(false, 503), (true, 250)] {
        let mut server = addressed(
            Dialect {
                nested_mail_replaces,
                ..Dialect::default()
            },
            &[ANN],
        );
        assert_eq!(ask_codes(&mut server, "MAIL FROM:<c@d>\r\n"), [code]);
        assert_eq!(server.offences().len(), 1);
        let is_replaced = ask_codes(&mut server, "DATA\r\n") == [503];
        assert_eq!(is_replaced, nested_mail_replaces);
    }
}

#[test]
fn forms_of_replies() {
    let noop = |reply_form| {
        let mut server = greeted(Dialect {
            keywords: Keywords::default(),
            reply_form,
            ..Dialect::default()
        });
        ask(&mut server, "NOOP\r\n")
    };
    assert_eq!(noop(ReplyForm::Plain), "250 ok\r\n");
    assert_eq!(noop(ReplyForm::CodeOnly), "250\r\n");
    assert_eq!(noop(ReplyForm::LfOnly), "250 ok\n");
    let many = noop(ReplyForm::ManyLines(2));
    assert_eq!(
        many,
        "250-line 0 of many\r\n250-line 1 of many\r\n250 ok\r\n"
    );
    let long = noop(ReplyForm::LongText(3000));
    assert!(long.starts_with("250 okxx") && long.len() == 3006);
}

#[test]
fn the_codes_of_a_reply_disagree() {
    let mut server = Recorder::new(Dialect {
        disagreeing_reply: Some(3),
        ..Dialect::default()
    });
    said(&mut server);
    ask(&mut server, "HELO client.example\r\n");
    let answer = ask(&mut server, "MAIL FROM:<a@b>\r\n");
    assert_eq!(answer, "550-of two minds\r\n250 sender ok\r\n");
    assert_eq!(ask_codes(&mut server, "RCPT TO:<c@d>\r\n"), [250]);
}

#[test]
fn a_surplus_reply() {
    let mut server = greeted(Dialect {
        surplus_after: Some(3),
        ..Dialect::default()
    });
    assert_eq!(
        ask_codes(&mut server, "MAIL FROM:<nobody@b>\r\n"),
        [550, 250]
    );
    assert_eq!(ask_codes(&mut server, "NOOP\r\n"), [250]);
    assert_eq!(server.offences(), []);
}

#[test]
fn replies_are_joined_split_or_withheld() {
    let group = b"RSET\r\nRSET\r\nNOOP\r\n";
    let flow = |reply_flow| {
        greeted(Dialect {
            reply_flow,
            ..Dialect::default()
        })
    };
    let mut server = flow(ReplyFlow::Prompt);
    server.receive(group);
    assert_eq!(server.say().len(), 3 * "250 2.0.0 ok\r\n".len());

    let mut server = flow(ReplyFlow::OneAtATime);
    server.receive(group);
    for _ in 0..3 {
        assert_eq!(server.say(), b"250 2.0.0 ok\r\n");
    }
    assert_eq!(server.say(), b"");

    let mut server = flow(ReplyFlow::WithheldAt(4));
    server.receive(group);
    assert_eq!(codes(&said(&mut server)), [250]);
    server.nudge();
    assert_eq!(codes(&said(&mut server)), [250, 250]);
    assert_eq!(ask_codes(&mut server, "NOOP\r\n"), [250]);

    let mut server = Recorder::new(Dialect {
        reply_flow: ReplyFlow::AllWithheld,
        ..Dialect::default()
    });
    assert_eq!(said(&mut server), "");
    server.nudge();
    assert_eq!(codes(&said(&mut server)), [220]);
    assert_eq!(ask(&mut server, "EHLO client.example\r\n"), "");
    assert_eq!(codes(&ask(&mut server, "QUIT\r\n")), [250]);
    assert!(!server.has_hung_up());
    server.nudge();
    assert_eq!(codes(&said(&mut server)), [221]);
    assert!(server.has_hung_up());
}

fn closing(reply: usize, then: AfterClosing, protocol: Protocol) -> Dialect {
    Dialect {
        protocol,
        closing: Some(Closing { reply, then }),
        ..Dialect::default()
    }
}

#[test]
fn a_421_hangs_up_continues_or_falls_silent() {
    let group = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nBDAT 1 LAST\r\nx";
    let mut server = greeted(closing(4, AfterClosing::HangUp, Protocol::Smtp));
    assert_eq!(ask_codes(&mut server, group), [250, 421]);
    assert!(server.has_hung_up());

    let mut server = greeted(closing(4, AfterClosing::Continue, Protocol::Smtp));
    assert_eq!(ask_codes(&mut server, group), [250, 421, 250, 250]);
    assert_eq!(server.taken()[0].recipients, ["e@f"]);

    let mut server = greeted(closing(4, AfterClosing::Silence, Protocol::Smtp));
    assert_eq!(ask_codes(&mut server, group), [250, 421]);
    assert!(!server.has_hung_up());
    assert_eq!(ask(&mut server, "QUIT\r\n"), "");
    assert!(server.taken().is_empty());
}

#[test]
fn a_421_in_place_of_a_final_reply() {
    let group = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nBDAT 1 LAST\r\nx";
    let mut server = greeted(closing(6, AfterClosing::HangUp, Protocol::Smtp));
    assert_eq!(ask_codes(&mut server, group), [250, 250, 250, 421]);
    assert!(server.taken().is_empty());

    let mut server = greeted(closing(7, AfterClosing::HangUp, Protocol::Lmtp));
    assert_eq!(ask_codes(&mut server, group), [250, 250, 250, 250, 421]);
    assert_eq!(server.taken().len(), 1);
    assert_eq!(server.taken()[0].recipients, ["c@d"]);

    let mut server = greeted(closing(6, AfterClosing::Continue, Protocol::Lmtp));
    assert_eq!(ask_codes(&mut server, group), [250, 250, 250, 421, 250]);
    assert_eq!(server.taken()[0].recipients, ["e@f"]);
}

#[test]
fn the_server_vanishes() {
    let mut server = Recorder::new(Dialect {
        vanish_at: Some(1),
        ..Dialect::default()
    });
    assert_eq!(said(&mut server), "");
    assert!(server.has_hung_up());
    let mut server = greeted(Dialect {
        vanish_at: Some(4),
        ..Dialect::default()
    });
    let group = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 1 LAST\r\nx";
    server.receive(group.as_bytes());
    assert!(!server.has_hung_up());
    assert_eq!(codes(&said(&mut server)), [250]);
    assert!(server.has_hung_up());
    assert!(server.taken().is_empty());
}

#[test]
fn the_server_stops_writing_but_executes() {
    let mut server = greeted(Dialect {
        half_close_at: Some(4),
        ..Dialect::default()
    });
    let group = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 1 LAST\r\nx";
    server.receive(group.as_bytes());
    assert!(!server.has_stopped_writing());
    assert_eq!(codes(&said(&mut server)), [250]);
    assert!(server.has_stopped_writing());
    assert!(!server.has_hung_up());
    assert_eq!(server.taken().len(), 1);
    assert!(!server.taken()[0].said);
}

#[test]
fn input_behind_quit_is_an_offence() {
    let mut server = greeted(Dialect::default());
    assert_eq!(ask_codes(&mut server, "QUIT\r\nNOOP\r\n"), [221]);
    assert!(matches!(
        server.offences(),
        [Offence::BehindLastOfGroup { .. }]
    ));
}

#[test]
fn any_cut_gives_the_same_dialogue() {
    let input = "EHLO c.example\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<no@d>\r\nBDAT 3\r\n\
        a\r\nBDAT 0 LAST\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n..x\r\n.\r\nQUIT\r\n";
    let whole = {
        let mut server = Recorder::new(Dialect::default());
        said(&mut server);
        (ask(&mut server, input), server.taken().to_vec())
    };
    assert_eq!(whole.1.len(), 2);
    for size in 1..20 {
        let mut server = Recorder::new(Dialect::default());
        said(&mut server);
        let pieces = input.as_bytes().chunks(size);
        let answers: String = pieces.map(|piece| ask(&mut server, piece)).collect();
        assert_eq!((answers, server.taken().to_vec()), whole);
    }
}
