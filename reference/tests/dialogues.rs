//! The example dialogues of the RFCs, played against the textbook server. The server
//! refuses by local parts, so the refused users have other names here.

mod common;

use common::{play, recipients};
use postwire_reference::{DataWithoutRecipients, Dialect, Keywords, Mechanism};

#[test]
fn rfc_5321_appendix_d_1_a_typical_transaction() {
    let server = play(
        Dialect {
            keywords: Keywords {
                eight_bit_mime: true,
                size: Some(0),
                dsn: true,
                ..Keywords::default()
            },
            ..Dialect::default()
        },
        "S: 220 server.example
         C: EHLO bar.com
         S: 250-server.example greets you
         S: 250-8BITMIME
         S: 250-DSN
         S: 250 SIZE
         C: MAIL FROM:<Smith@bar.com>
         S: 250 sender ok
         C: RCPT TO:<Jones@foo.com>
         S: 250 recipient ok
         C: RCPT TO:<nogreen@foo.com>
         S: 550 no such user
         C: RCPT TO:<Brown@foo.com>
         S: 250 recipient ok
         C: DATA
         S: 354 end with <CRLF>.<CRLF>
         C: Blah blah blah...
         C: ....etc. etc. etc.
         C: .
         S: 250 taken
         C: QUIT
         S: 221 bye",
    );
    assert!(server.has_hung_up());
    assert_eq!(server.offences(), []);
    let [taken] = server.taken() else {
        panic!("one content is taken");
    };
    assert_eq!(taken.reverse_path, "Smith@bar.com");
    assert_eq!(taken.recipients, ["Jones@foo.com", "Brown@foo.com"]);
    assert_eq!(taken.content, b"Blah blah blah...\r\n...etc. etc. etc.\r\n");
    assert!(taken.said && !taken.by_bdat && !taken.under_tls);
}

#[test]
fn rfc_5321_appendix_d_2_an_aborted_transaction() {
    let server = play(
        Dialect::default(),
        "S: 220
         C: HELO bar.com
         S: 250 server.example greets you
         C: MAIL FROM:<Smith@bar.com>
         S: 250
         C: RCPT TO:<Jones@foo.com>
         S: 250
         C: RCPT TO:<nogreen@foo.com>
         S: 550
         C: RSET
         S: 250
         C: QUIT
         S: 221",
    );
    assert_eq!(server.offences(), []);
    assert!(server.taken().is_empty());
}

#[test]
fn rfc_5321_appendix_d_4_verifying_and_sending() {
    let server = play(
        Dialect::default(),
        "S: 220
         C: HELO bar.com
         S: 250
         C: VRFY Crispin
         S: 252
         C: MAIL FROM:<EAK@bar.com>
         S: 250
         C: RCPT TO:<Admin.MRC@foo.com>
         S: 250
         C: DATA
         S: 354
         C: Blah blah blah...
         C: .
         S: 250
         C: QUIT
         S: 221",
    );
    assert_eq!(server.offences(), []);
    assert_eq!(recipients(server.taken()), [["Admin.MRC@foo.com"]]);
}

const RFC_2920_START: &str = "S: 220
         C: EHLO dbc.mtview.ca.us
         S: 250-server.example greets you
         S: 250 PIPELINING";

fn pipelining() -> Dialect {
    Dialect {
        keywords: Keywords {
            pipelining: true,
            ..Keywords::default()
        },
        ..Dialect::default()
    }
}

#[test]
fn rfc_2920_section_4_all_recipients_accepted() {
    let dialogue = format!(
        "{RFC_2920_START}
         C: MAIL FROM:<mrose@dbc.mtview.ca.us>
         C: RCPT TO:<ned@innosoft.com>
         C: RCPT TO:<dan@innosoft.com>
         C: RCPT TO:<kvc@innosoft.com>
         C: DATA
         S: 250 sender ok
         S: 250 recipient ok
         S: 250 recipient ok
         S: 250 recipient ok
         S: 354
         C: Blah
         C: .
         C: QUIT
         S: 250 taken
         S: 221"
    );
    let server = play(pipelining(), &dialogue);
    assert_eq!(server.offences(), []);
    assert_eq!(server.taken()[0].recipients.len(), 3);
}

#[test]
fn rfc_2920_section_4_no_recipient_accepted() {
    let start = format!(
        "{RFC_2920_START}
         C: MAIL FROM:<mrose@dbc.mtview.ca.us>
         C: RCPT TO:<nsb@thumper.bellcore.com>
         C: RCPT TO:<nobody@bellcore.com>
         C: DATA
         S: 250"
    );
    let refused = start.replace("nsb", "nonsb")
        + "
         S: 550
         S: 550
         S: 554 no valid recipients
         C: QUIT
         S: 221";
    let dialect = Dialect {
        data_without_recipients: DataWithoutRecipients::Refused(554),
        ..pipelining()
    };
    let server = play(dialect, &refused);
    assert_eq!(server.offences(), []);
    let invited = start.replace("nsb", "nonsb")
        + "
         S: 550
         S: 550
         S: 354
         C: .
         C: QUIT
         S: 554
         S: 221";
    let dialect = Dialect {
        data_without_recipients: DataWithoutRecipients::Invited,
        ..pipelining()
    };
    let server = play(dialect, &invited);
    assert_eq!(server.offences(), []);
    assert!(server.taken().is_empty());
}

#[test]
fn rfc_3030_section_4_1_one_chunk() {
    let content = "From: Sam@random.com\r\nTo: Susan@random.com\r\nSubject: x\r\n\r\n.\r\nBodyBodyBodyBody\r\n..";
    let length = content.len() + 2;
    let sent: Vec<String> = content.lines().map(|line| format!("C: {line}")).collect();
    let server = play(
        Dialect::default(),
        &format!(
            "S: 220
             C: EHLO ymir.claremont.edu
             S: 250-server.example greets you
             S: 250-PIPELINING
             S: 250-CHUNKING
             S: 250-8BITMIME
             S: 250-SMTPUTF8
             S: 250-DSN
             S: 250-ENHANCEDSTATUSCODES
             S: 250 SIZE
             C: MAIL FROM:<Sam@random.com>
             S: 250 2.1.0 sender ok
             C: RCPT TO:<Susan@random.com>
             S: 250 2.1.5 recipient ok
             C: BDAT {length} LAST
             {}
             S: 250 2.0.0 taken
             C: QUIT
             S: 221 2.0.0 bye",
            sent.join("\n")
        ),
    );
    assert_eq!(server.offences(), []);
    assert_eq!(
        server.taken()[0].content,
        format!("{content}\r\n").as_bytes()
    );
    assert!(server.taken()[0].by_bdat);
}

#[test]
fn rfc_3030_section_4_2_pipelined_chunks_of_binary() {
    let mut dialect = Dialect::default();
    dialect.keywords.binary_mime = true;
    let mut server = common::greeted(dialect);
    let mut group = b"MAIL FROM:<ned@ymir.claremont.edu> BODY=BINARYMIME\r\n\
        RCPT TO:<gvaudre@cnri.reston.va.us>\r\nRCPT TO:<jstewart@cnri.reston.va.us>\r\n\
        BDAT 100000\r\n"
        .to_vec();
    group.extend(std::iter::repeat_n(0xff, 100_000));
    group.extend(b"BDAT 4\r\n\n\0\rxBDAT 0 LAST\r\n");
    let mut answers = Vec::new();
    for piece in group.chunks(777) {
        answers.extend(common::ask_codes(&mut server, piece));
    }
    assert_eq!(answers, [250; 6]);
    assert_eq!(server.offences(), []);
    let [taken] = server.taken() else {
        panic!("one content is taken");
    };
    assert!(taken.content.ends_with(b"\xff\n\0\rx"));
    assert_eq!(taken.parameters, ["BODY=BINARYMIME"]);
}

#[test]
fn rfc_2033_section_4_2_one_final_reply_for_each_recipient() {
    let server = play(
        Dialect {
            keywords: Keywords {
                pipelining: true,
                size: Some(0),
                ..Keywords::default()
            },
            ..Dialect::lmtp()
        },
        "S: 220
         C: LHLO foo.edu
         S: 250-server.example greets you
         S: 250-PIPELINING
         S: 250 SIZE
         C: MAIL FROM:<chris@bar.com>
         S: 250
         C: RCPT TO:<pat@foo.edu>
         S: 250
         C: RCPT TO:<nojones@foo.edu>
         S: 550
         C: RCPT TO:<mixedgreen@foo.edu>
         S: 250
         C: DATA
         S: 354
         C: Blah blah blah...
         C: ....etc. etc. etc.
         C: .
         S: 250
         S: 554
         C: QUIT
         S: 221",
    );
    assert_eq!(server.offences(), []);
    assert_eq!(recipients(server.taken()), [["pat@foo.edu"]]);
}

#[test]
fn rfc_2033_no_recipient_means_no_content() {
    play(
        Dialect::lmtp(),
        "S: 220
         C: EHLO foo.edu
         S: 500
         C: LHLO foo.edu
         S: 250-
         S: 250-
         S: 250-
         S: 250-
         S: 250-
         S: 250-
         S: 250-
         S: 250 SIZE
         C: MAIL FROM:<chris@bar.com>
         C: RCPT TO:<nojones@foo.edu>
         C: DATA
         S: 250
         S: 550
         S: 503",
    );
}

#[test]
fn rfc_4954_section_4_authentication() {
    let dialect = Dialect {
        keywords: Keywords {
            auth: vec![Mechanism::Plain, Mechanism::Login],
            ..Keywords::default()
        },
        auth_demanded: true,
        ..Dialect::default()
    };
    let server = play(
        dialect,
        "S: 220
         C: EHLO client.example
         S: 250-server.example greets you
         S: 250 AUTH PLAIN LOGIN
         C: MAIL FROM:<a@client.example>
         S: 530
         C: AUTH PLAIN AHVzZXIAd3Jvbmc=
         S: 535
         C: AUTH PLAIN
         S: 334 
         C: *
         S: 501
         C: AUTH LOGIN
         S: 334 VXNlcm5hbWU6
         C: dXNlcg==
         S: 334 UGFzc3dvcmQ6
         C: cGFzc3dvcmQ=
         S: 235
         C: AUTH PLAIN AHVzZXIAcGFzc3dvcmQ=
         S: 503
         C: MAIL FROM:<a@client.example> AUTH=<>
         S: 250",
    );
    assert_eq!(server.offences(), []);
}

#[test]
fn rfc_3207_section_4_2_everything_is_forgotten() {
    let mut dialect = Dialect::default();
    dialect.keywords.starttls = true;
    dialect.tls_demanded = true;
    dialect.keywords_after_tls = Some(Keywords {
        auth: vec![Mechanism::Plain],
        ..Keywords::default()
    });
    let mut server = common::greeted(dialect);
    assert_eq!(common::ask_codes(&mut server, "STARTTLS\r\n"), [220]);
    assert!(server.tls_wanted());
    server.tls_established();
    assert!(!server.tls_wanted());
    assert_eq!(common::ask_codes(&mut server, "MAIL FROM:<a@b>\r\n"), [503]);
    assert_eq!(server.offences().len(), 1);
    let hello = common::ask(&mut server, "EHLO client.example\r\n");
    assert_eq!(hello, "250-server.example greets you\r\n250 AUTH PLAIN\r\n");
    common::ask(&mut server, "MAIL FROM:<a@b>\r\n");
    common::ask(&mut server, "RCPT TO:<c@d>\r\n");
    common::ask(&mut server, "DATA\r\n");
    assert_eq!(common::ask_codes(&mut server, "x\r\n.\r\n"), [250]);
    assert!(server.taken()[0].under_tls);
    assert_eq!(server.offences().len(), 1);
}

#[test]
fn rfc_8314_tls_comes_before_the_greeting() {
    let mut dialect = Dialect::default();
    dialect.keywords.starttls = true;
    dialect.tls_demanded = true;
    let mut server = postwire_reference::Recorder::new(dialect);
    server.tls_established();
    assert_eq!(common::codes(&common::said(&mut server)), [220]);
    let hello = common::ask(&mut server, "EHLO client.example\r\n");
    assert!(!hello.contains("STARTTLS"), "{hello}");
    assert_eq!(common::ask_codes(&mut server, "MAIL FROM:<a@b>\r\n"), [250]);
    assert_eq!(server.offences(), []);
}
