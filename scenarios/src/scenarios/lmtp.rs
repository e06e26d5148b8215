//! LMTP (RFC 2033), where each recipient has its own verdict, over TCP and over Unix sockets.
//!
//! Knows the replies of a delivery agent. Must never know which adapter is used.

use std::io::Write as _;

use postwire_tls::proto::{
    Address, ErrorKind, Outcome, Pipelining, Protocol, RecipientReport, RecipientStatus, Report,
    Stage,
};

use super::{Builder, assert_accepted, bob, config_with_all_extensions, envelope, error, message};
use crate::Adapter;
use crate::server::{Embedded, Scripted, exchange};

/// The status of each recipient and the code of its reply.
fn verdicts(report: &Report) -> Vec<(RecipientStatus, Option<u16>)> {
    let verdict = |recipient: &RecipientReport| {
        let code = recipient.reply().map(|reply| reply.code().get());
        (recipient.status(), code)
    };
    report.recipients().iter().map(verdict).collect()
}

pub(super) fn over_tcp(adapter: &dyn Adapter) {
    verdict_for_each(
        adapter,
        || Embedded::start_lmtp(config_with_all_extensions()),
        |server| format!("lmtp://localhost:{}?tls=none", server.port()),
    );
}

#[cfg(unix)]
pub(super) fn over_a_unix_socket(adapter: &dyn Adapter) {
    verdict_for_each(
        adapter,
        || Embedded::on_a_unix_socket(Protocol::Lmtp, config_with_all_extensions()),
        |server| format!("lmtp+unix://{}", server.path().display()),
    );
}

fn verdict_for_each(adapter: &dyn Adapter, start: fn() -> Embedded, url: fn(&Embedded) -> String) {
    use RecipientStatus::{Accepted, Refused};
    let ways = [Pipelining::Off, Pipelining::Careful, Pipelining::Bold];
    for (pipelining, chunking) in ways.into_iter().flat_map(|way| [(way, true), (way, false)]) {
        let server = start();
        let config = Builder::from_url(url(&server))
            .unwrap()
            .client(|client| client.pipelining(pipelining).chunking(chunking))
            .build()
            .unwrap();
        let to = |users: &[&str]| {
            let addresses: Vec<_> = users.iter().map(|u| format!("{u}@here.example")).collect();
            envelope(&addresses.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let messages = [
            to(&["alice", "no", "full", "bob"]),
            to(&["full", "busy"]),
            to(&["busy", "alice"]),
            to(&["no"]),
            to(&["bob"]),
        ];
        let messages = messages.map(|envelope| (envelope, message().into()));
        let reports = adapter.send_all(config, messages.to_vec());

        let (partial, nobody) = (&reports[0], &reports[1]);
        assert!(partial.is_accepted() && partial.is_partial(), "{partial}");
        assert_eq!(
            verdicts(partial),
            [
                (Accepted, Some(250)),
                (Refused, Some(550)),
                (Refused, Some(552)),
                (Accepted, Some(250))
            ]
        );
        assert!(
            matches!(
                nobody.outcome(),
                Outcome::Rejected {
                    stage: Stage::Body,
                    ..
                }
            ),
            "{nobody}"
        );
        assert_eq!(
            verdicts(nobody),
            [(Refused, Some(552)), (Refused, Some(452))]
        );
        assert!(reports[2].is_partial(), "{}", reports[2]);
        assert_eq!(
            verdicts(&reports[2]),
            [(Refused, Some(452)), (Accepted, Some(250))]
        );
        assert!(
            matches!(
                reports[3].outcome(),
                Outcome::Rejected {
                    stage: Stage::Rcpt,
                    ..
                }
            ),
            "{}",
            reports[3]
        );
        assert_accepted(&reports[4]);

        let stored = server.recording().stored;
        let got: Vec<Vec<&str>> = stored
            .iter()
            .map(|stored| stored.recipients.iter().map(Address::user).collect())
            .collect();
        assert_eq!(got, [vec!["alice", "bob"], vec!["alice"], vec!["bob"]]);
        for stored in stored {
            assert_eq!(stored.content, message().as_bytes());
        }
        let wire = server.wire();
        assert!(wire.starts_with(b"LHLO "));
        assert!(
            !wire
                .windows(5)
                .any(|word| word == b"HELO " || word == b"EHLO ")
        );
    }
}

/// Replies that arrived count; the other recipients are in doubt.
pub(super) fn breaks(adapter: &dyn Adapter) {
    use RecipientStatus::{Accepted, InDoubt, Refused};
    for (text, known) in [
        ("", vec![]),
        ("250 2.0.0 ok\r\n", vec![Accepted]),
        (
            "250 2.0.0 ok\r\n552 5.2.2 full\r\n",
            vec![Accepted, Refused],
        ),
        ("552 5.2.2 full\r\n", vec![Refused]),
    ] {
        let server = Scripted::start(move |mut stream| {
            for (words, until) in [
                ("220 hi\r\n", "LHLO"),
                ("250 hi\r\n", "MAIL"),
                ("250 ok\r\n", "RCPT"),
                ("250 ok\r\n", "RCPT"),
                ("250 ok\r\n", "RCPT"),
                ("250 ok\r\n", "DATA"),
                ("354 go\r\n", "\r\n.\r\n"),
            ] {
                exchange(&mut stream, words, until);
            }
            stream.write_all(text.as_bytes()).unwrap();
        });
        let url = format!("lmtp://localhost:{}?tls=none", server.port());
        let config = Builder::from_url(url).unwrap().build().unwrap();
        let to = envelope(&["a@here.example", "b@here.example", "c@here.example"]);
        let report = adapter.send(config, &to, message().into());
        server.finish();
        assert!(
            matches!(report.outcome(), Outcome::InDoubt(_)),
            "{text:?}: {report}"
        );
        let mut expected = known.clone();
        expected.resize(3, InDoubt);
        let found: Vec<_> = report
            .recipients()
            .iter()
            .map(RecipientReport::status)
            .collect();
        assert_eq!(found, expected, "{text:?}: {report}");
    }
}

/// The pool and the rest of a session work the same over a Unix socket.
#[cfg(unix)]
pub(super) fn smtp_over_a_unix_socket(adapter: &dyn Adapter) {
    let server = Embedded::on_a_unix_socket(Protocol::Smtp, config_with_all_extensions());
    let config = || {
        let builder = Builder::unencrypted_localhost().unix_socket(server.path());
        builder.build().unwrap()
    };
    for report in adapter.send_twice(config(), &bob(), message().into(), &|| {}) {
        assert_accepted(&report);
    }
    assert_eq!(server.recording().stored.len(), 2);
    assert!(server.wire().starts_with(b"EHLO "));

    let large = "Subject: large\r\n\r\n.dots\r\n".repeat(200_000);
    assert_accepted(&adapter.send(config(), &bob(), large.clone().into()));
    assert_eq!(server.recording().stored[2].content, large.as_bytes());
}

#[cfg(unix)]
pub(super) fn no_unix_socket(adapter: &dyn Adapter) {
    let folder = tempfile::tempdir().unwrap();
    for path in [
        folder.path().join("socket"),
        folder.path().join("long".repeat(100)),
    ] {
        let builder = Builder::unencrypted_localhost().unix_socket(&path);
        let report = adapter.send(builder.build().unwrap(), &bob(), message().into());
        let (stage, kind) = error(&report);
        assert_eq!(stage, Stage::Connect);
        assert!(matches!(kind, ErrorKind::Transport(_)), "{report}");
        let named = format!("cannot connect to the Unix socket {}: ", path.display());
        assert!(report.to_string().contains(&named), "{report}");
    }
}
