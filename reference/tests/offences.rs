//! The offences: for each one a client that commits it, and one that only comes near.

mod common;

use common::{addressed, ask, ask_codes, greeted, said};
use postwire_reference::{
    Dialect, Keywords, LineEnds, Mechanism, Offence, Recorder, ReplyFlow, Rset,
};

const ANN: &str = "ann@server.example";

fn bare() -> Dialect {
    Dialect {
        keywords: Keywords::default(),
        ..Dialect::default()
    }
}

#[track_caller]
fn only(server: &Recorder, expected: &Offence) {
    assert_eq!(
        server.offences(),
        std::slice::from_ref(expected),
        "{}",
        server.dialogue()
    );
}

#[test]
fn stray_octets_in_commands() {
    for line in ["NOOP\nRSET\r\n", "NOOP\rRSET\r\n", "NOOP\0\r\n"] {
        let mut server = greeted(Dialect::default());
        assert_eq!(ask_codes(&mut server, line), [500]);
        assert!(matches!(server.offences(), [Offence::StrayOctet(_)]));
    }
    let mut server = greeted(Dialect {
        line_ends: LineEnds::BareLf,
        ..Dialect::default()
    });
    assert_eq!(ask_codes(&mut server, "NOOP\n"), [250]);
    only(&server, &Offence::BareLineEnd("NOOP".to_owned()));
}

#[test]
fn bare_line_ends_in_content() {
    for content in ["a\nb\r\n", "a\rb\r\n", "a\r\r\n"] {
        let mut server = addressed(Dialect::default(), &[ANN]);
        ask(&mut server, "DATA\r\n");
        ask(&mut server, format!("{content}.\r\n"));
        only(&server, &Offence::BareLineEndInContent);
        let mut server = addressed(Dialect::default(), &[ANN]);
        ask(
            &mut server,
            format!("BDAT {} LAST\r\n{content}", content.len()),
        );
        only(&server, &Offence::BareLineEndInContent);
    }
}

#[test]
fn eight_bit_content_is_declared() {
    for (parameter, is_right) in [("", false), (" BODY=8BITMIME", true), (" BODY=7BIT", false)] {
        let mut server = greeted(Dialect::default());
        ask(&mut server, format!("MAIL FROM:<a@b>{parameter}\r\n"));
        ask(&mut server, "RCPT TO:<c@d>\r\n");
        ask(&mut server, "DATA\r\n");
        assert_eq!(ask_codes(&mut server, "ä\r\n.\r\n"), [250]);
        assert_eq!(server.offences().is_empty(), is_right, "{parameter}");
    }
}

#[test]
fn parameters_that_were_not_offered() {
    for line in [
        "MAIL FROM:<a@b> SIZE=1",
        "MAIL FROM:<a@b> BODY=8BITMIME",
        "MAIL FROM:<a@b> SMTPUTF8",
        "MAIL FROM:<a@b> RET=FULL",
        "MAIL FROM:<a@b> AUTH=<>",
        "MAIL FROM:<a@b> X=1",
    ] {
        let mut server = greeted(bare());
        assert_eq!(ask_codes(&mut server, format!("{line}\r\n")), [555]);
        only(&server, &Offence::ParameterNotOffered(line.to_owned()));
    }
    let mut server = addressed(bare(), &[]);
    let line = "RCPT TO:<c@d> NOTIFY=NEVER";
    assert_eq!(ask_codes(&mut server, format!("{line}\r\n")), [555]);
    only(&server, &Offence::ParameterNotOffered(line.to_owned()));
}

#[test]
fn a_helo_offers_nothing() {
    let mut server = greeted(Dialect::default());
    ask(&mut server, "HELO client.example\r\n");
    assert_eq!(ask_codes(&mut server, "MAIL FROM:<a@b> SIZE=1\r\n"), [555]);
    assert_eq!(server.offences().len(), 1);
}

#[test]
fn commands_that_were_not_offered() {
    for line in ["BDAT 0 LAST", "AUTH PLAIN AHVzZXIAcGFzc3dvcmQ=", "STARTTLS"] {
        let mut server = greeted(bare());
        ask(&mut server, format!("{line}\r\n"));
        only(&server, &Offence::CommandNotOffered(line.to_owned()));
    }
    let mut dialect = bare();
    dialect.keywords.auth = vec![Mechanism::Login];
    let mut server = greeted(dialect);
    assert_eq!(ask_codes(&mut server, "AUTH PLAIN\r\n"), [504]);
    only(
        &server,
        &Offence::ParameterNotOffered("AUTH PLAIN".to_owned()),
    );
}

#[test]
fn unknown_and_malformed_commands() {
    let mut server = greeted(Dialect::default());
    assert_eq!(ask_codes(&mut server, "Subject: hello\r\n"), [500]);
    only(
        &server,
        &Offence::UnknownCommand("Subject: hello".to_owned()),
    );
    for line in [
        "MAIL FROM: <a@b>",
        "MAIL FROM:<a@b> ",
        "MAIL a@b",
        "EHLO",
        "EHLO two words",
        "RSET now",
        "BDAT x",
        "QUIT now",
    ] {
        let mut server = greeted(Dialect::default());
        ask(&mut server, format!("{line}\r\n"));
        only(&server, &Offence::Malformed(line.to_owned()));
    }
}

#[test]
fn sensitive_lines_before_tls() {
    let mut dialect = Dialect::default();
    dialect.keywords.starttls = true;
    dialect.keywords.auth = vec![Mechanism::Plain];
    dialect.tls_demanded = true;
    let mut server = greeted(dialect.clone());
    ask(&mut server, "NOOP\r\n");
    ask(&mut server, "RSET\r\n");
    for line in ["MAIL FROM:<a@b>", "AUTH PLAIN AHVzZXIAcGFzc3dvcmQ="] {
        assert_eq!(ask_codes(&mut server, format!("{line}\r\n")), [530]);
    }
    assert_eq!(server.offences().len(), 2);
    ask(&mut server, "STARTTLS\r\n");
    server.tls_established();
    ask(&mut server, "EHLO client.example\r\n");
    assert_eq!(ask_codes(&mut server, "MAIL FROM:<a@b>\r\n"), [250]);
    assert_eq!(server.offences().len(), 2);
}

#[test]
fn octets_behind_starttls() {
    let mut dialect = Dialect::default();
    dialect.keywords.starttls = true;
    let mut server = greeted(dialect);
    server.receive(b"STARTTLS\r\nRSET\r\n");
    only(&server, &Offence::BehindStartTls(b"RSET\r\n".to_vec()));
    said(&mut server);
    server.tls_established();
    assert_eq!(said(&mut server), "");
}

#[test]
fn pipelining_without_pipelining() {
    // Nothing may come before the greeting is said.
    let mut server = Recorder::new(Dialect::default());
    server.receive(b"EHLO client.example\r\n");
    only(
        &server,
        &Offence::Pipelined("EHLO client.example".to_owned()),
    );

    let mut server = greeted(bare());
    assert_eq!(
        ask_codes(&mut server, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"),
        [250, 250]
    );
    only(&server, &Offence::Pipelined("RCPT TO:<c@d>".to_owned()));

    // The start of a command is enough, and so is a second call.
    let mut server = greeted(bare());
    server.receive(b"MAIL FROM:<a@b>\r\nR");
    only(&server, &Offence::Pipelined("R".to_owned()));
    let mut server = greeted(bare());
    server.receive(b"MAIL FROM:<a@b>\r\n");
    server.receive(b"RCPT");
    said(&mut server);
    assert_eq!(ask_codes(&mut server, " TO:<c@d>\r\n"), [250]);
    only(&server, &Offence::Pipelined("RCPT".to_owned()));

    // A withheld answer is owed until it is said.
    let mut server = greeted(Dialect {
        reply_flow: ReplyFlow::WithheldAt(3),
        ..bare()
    });
    assert_eq!(ask(&mut server, "MAIL FROM:<a@b>\r\n"), "");
    assert_eq!(ask_codes(&mut server, "RCPT TO:<c@d>\r\n"), [250, 250]);
    only(&server, &Offence::Pipelined("RCPT TO:<c@d>".to_owned()));
}

#[test]
fn lock_step_and_pieces_are_no_offence() {
    let mut server = Recorder::new(bare());
    said(&mut server);
    for line in [
        "EHLO c.example\r\n",
        "MAIL FROM:<a@b>\r\n",
        "RCPT TO:<c@d>\r\n",
        "DATA\r\n",
    ] {
        for octet in line.bytes() {
            server.receive(&[octet]);
        }
        assert!(!said(&mut server).is_empty());
    }
    for octet in b"..x\r\n.\r\n" {
        server.receive(&[*octet]);
    }
    assert_eq!(said(&mut server), "250 taken\r\n");
    assert_eq!(server.offences(), []);
}

#[test]
fn commands_behind_the_last_of_a_group() {
    for line in ["EHLO c.example", "NOOP", "VRFY x", "EXPN x", "DATA", "QUIT"] {
        let verb = line.split(' ').next().unwrap().to_owned();
        let mut server = addressed(Dialect::default(), &[ANN]);
        server.receive(format!("{line}\r\nRSET\r\n").as_bytes());
        only(
            &server,
            &Offence::BehindLastOfGroup {
                last: verb,
                behind: "RSET".to_owned(),
            },
        );
    }
    // A group may have one of them at its end, and BDAT anywhere.
    let mut server = greeted(Dialect::default());
    let group = "RSET\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 2\r\nhiBDAT 0 LAST\r\nNOOP\r\n";
    assert_eq!(ask_codes(&mut server, group), [250; 6]);
    assert_eq!(server.offences(), []);
}

#[test]
fn more_than_the_limits_allow() {
    let mut dialect = Dialect::default();
    dialect.keywords.rcpt_max = Some(2);
    dialect.keywords.mail_max = Some(1);
    let hello = {
        let mut server = Recorder::new(dialect.clone());
        said(&mut server);
        ask(&mut server, "EHLO c.example\r\n")
    };
    assert!(
        hello.ends_with("250 LIMITS RCPTMAX=2 MAILMAX=1\r\n"),
        "{hello}"
    );
    let mut server = addressed(dialect, &[ANN, "no@b", "ben@b"]);
    assert_eq!(server.offences(), []);
    assert_eq!(ask_codes(&mut server, "RCPT TO:<c@d>\r\n"), [452]);
    only(&server, &Offence::OverRcptMax("RCPT TO:<c@d>".to_owned()));
    ask(&mut server, "RSET\r\n");
    assert_eq!(ask_codes(&mut server, "MAIL FROM:<a@b>\r\n"), [452]);
    assert_eq!(
        server.offences()[1..],
        [Offence::OverMailMax("MAIL FROM:<a@b>".to_owned())]
    );

    let mut dialect = Dialect::default();
    dialect.keywords.rcpt_domain_max = Some(1);
    let mut server = addressed(dialect, &[ANN, "ben@SERVER.example"]);
    assert_eq!(server.offences(), []);
    assert_eq!(ask_codes(&mut server, "RCPT TO:<c@d>\r\n"), [452]);
    only(
        &server,
        &Offence::OverRcptDomainMax("RCPT TO:<c@d>".to_owned()),
    );
}

#[test]
fn eight_bit_addresses_need_the_parameter() {
    let mut server = greeted(Dialect::default());
    assert_eq!(ask_codes(&mut server, "MAIL FROM:<ä@b>\r\n"), [501]);
    only(
        &server,
        &Offence::EightBitWithoutSmtpUtf8("MAIL FROM:<ä@b>".to_owned()),
    );
    assert_eq!(
        ask_codes(&mut server, "MAIL FROM:<ä@b> SMTPUTF8\r\n"),
        [250]
    );
    assert_eq!(ask_codes(&mut server, "RCPT TO:<ö@ü>\r\n"), [250]);
    assert_eq!(server.offences().len(), 1);
    ask(&mut server, "RSET\r\n");
    ask(&mut server, "MAIL FROM:<a@b>\r\n");
    assert_eq!(ask_codes(&mut server, "RCPT TO:<ö@ü>\r\n"), [501]);
    assert_eq!(server.offences().len(), 2);
}

#[test]
fn too_long_lines_and_paths() {
    let mut server = greeted(bare());
    let longest = format!("NOOP {}\r\n", "x".repeat(505));
    assert_eq!(longest.len(), 512);
    assert_eq!(ask_codes(&mut server, &longest), [250]);
    assert_eq!(server.offences(), []);
    let longer = format!("NOOP {}\r\n", "x".repeat(506));
    assert_eq!(ask_codes(&mut server, &longer), [500]);
    assert!(matches!(server.offences(), [Offence::TooLong(_)]));
    let path = format!("MAIL FROM:<{}@b>\r\n", "a".repeat(65));
    assert_eq!(ask_codes(&mut server, path), [501]);
    assert!(matches!(server.offences()[1..], [Offence::TooLong(_)]));
}

#[test]
fn the_order_of_commands() {
    let mut server = Recorder::new(Dialect::default());
    said(&mut server);
    assert_eq!(ask_codes(&mut server, "MAIL FROM:<a@b>\r\n"), [503]);
    only(&server, &Offence::NoHello("MAIL FROM:<a@b>".to_owned()));

    let mut server = addressed(Dialect::default(), &[ANN]);
    assert_eq!(ask_codes(&mut server, "MAIL FROM:<a@b>\r\n"), [503]);
    only(
        &server,
        &Offence::MailInTransaction("MAIL FROM:<a@b>".to_owned()),
    );

    let mut server = addressed(Dialect::default(), &[ANN]);
    ask(&mut server, "BDAT 1\r\nx");
    assert_eq!(ask_codes(&mut server, "DATA\r\n"), [503]);
    only(&server, &Offence::MixedContentCommands("DATA".to_owned()));

    // No server may refuse RSET, so what is pipelined behind it is of the next transaction.
    let refuses = Dialect {
        rset: Rset::Refused(502),
        ..Dialect::default()
    };
    let mut server = addressed(refuses, &[ANN]);
    ask(&mut server, "BDAT 1\r\nx");
    let group = "RSET\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";
    assert_eq!(ask_codes(&mut server, group), [502, 503, 250, 503]);
    assert_eq!(server.offences(), []);
    let refuses = Dialect {
        rset: Rset::Refused(502),
        ..Dialect::default()
    };
    let mut server = addressed(refuses, &[ANN]);
    let group = "RSET\r\nMAIL FROM:<a@b> BODY=8BITMIME\r\nRCPT TO:<c@d>\r\nBDAT 2 LAST\r\n\u{fc}";
    assert_eq!(ask_codes(&mut server, group), [502, 503, 250, 250]);
    assert_eq!(server.offences(), []);
    let mut limited = Dialect {
        rset: Rset::Refused(502),
        ..Dialect::default()
    };
    limited.keywords.rcpt_max = Some(1);
    let mut server = addressed(limited, &[ANN]);
    let group = "RSET\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n";
    assert_eq!(ask_codes(&mut server, group), [502, 503, 452]);
    assert_eq!(server.offences(), []);
}
