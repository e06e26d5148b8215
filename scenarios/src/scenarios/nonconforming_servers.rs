//! Servers that do not support what the standards allow, like some deployed servers.
//!
//! The results are checked by what the server stored and received. Must never know which
//! adapter is used.

use std::net::TcpListener;
use std::thread;

use postwire_server::ChunksRead;
use postwire_tls::ServerTls;
use postwire_tls::proto::{Body, ErrorKind, Outcome, Pipelining, Stage};

use super::{assert_accepted, bob, config_with_all_extensions, envelope, message, url};
use crate::Adapter;
use crate::server::{Embedded, Scripted, exchange};

/// Executed as commands, each of these delivers a message or replies for one.
const INJECTED_COMMANDS: [&str; 3] = [
    "MAIL FROM:<forged@sender.example>\r\nRCPT TO:<x@r.example>\r\nBDAT 8 LAST\r\nforged\r\n",
    "RSET\r\nMAIL FROM:<forged@sender.example>\r\nRCPT TO:<x@r.example>\r\nDATA\r\nforged\r\n.\r\n",
    "NOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\n",
];

/// A server that refuses `BDAT` without reading the octets after it, or does not support it.
pub(super) fn unread_chunks(adapter: &dyn Adapter) {
    for read in [ChunksRead::Accepted, ChunksRead::None] {
        for pipelining in [Pipelining::Careful, Pipelining::Off] {
            let server = Embedded::start(
                config_with_all_extensions().chunks_read(read),
                ServerTls::None,
            );
            let client = url("none", server.port()).client(|client| client.pipelining(pipelining));
            let mut messages: Vec<(_, Body)> = Vec::new();
            for forged in INJECTED_COMMANDS {
                messages.push((envelope(&["no@r.example"]), forged.into()));
                messages.push((bob(), message().into()));
            }
            messages.push((bob(), INJECTED_COMMANDS[0].into()));
            let reports = adapter.send_all(client.build().unwrap(), messages);
            for (number, report) in reports.iter().enumerate() {
                let refused = number % 2 == 0 && number < 6;
                assert_eq!(report.is_accepted(), !refused, "{number}: {report}");
                if refused {
                    assert_eq!(report.stage(), Some(Stage::Rcpt), "{report}");
                }
            }
            let stored = server.recording().stored;
            let stored: Vec<_> = stored.iter().map(|stored| stored.content.clone()).collect();
            let sent = [&message()[..], &message(), &message(), INJECTED_COMMANDS[0]];
            assert!(stored == sent, "{read:?}, {pipelining}: {stored:?}");
        }
    }
}

/// Neither a goodbye nor a greeting means that the content was accepted.
pub(super) fn goodbye_to_the_content(adapter: &dyn Adapter) {
    for goodbye in ["221 mx bye\r\n", "220 mx\r\n"] {
        let server = Scripted::start(move |mut stream| {
            exchange(&mut stream, "220 mx\r\n", "EHLO");
            exchange(&mut stream, "250 mx\r\n", "MAIL");
            exchange(&mut stream, "250 ok\r\n", "RCPT");
            exchange(&mut stream, "250 ok\r\n", "DATA");
            exchange(&mut stream, "354 go on\r\n", "\r\n.\r\n");
            exchange(&mut stream, goodbye, "never")
        });
        let client = url("none", server.port()).build().unwrap();
        let report = adapter.send(client, &bob(), message().into());
        let Outcome::InDoubt(why) = report.outcome() else {
            panic!("{report}");
        };
        assert!(matches!(why.kind(), ErrorKind::EndedByServer(_)), "{why}");
        server.finish();
    }
}

/// Some servers lose commands that follow the end of `DATA`'s content: nothing may follow it,
/// and the client must not wait long for the reply to the `QUIT` of a single message.
pub(super) fn nothing_behind_the_dot(adapter: &dyn Adapter) {
    let server = Scripted::start(|mut stream| {
        let mut wire = exchange(&mut stream, "220 mx\r\n", "EHLO");
        wire += &exchange(&mut stream, "250-mx\r\n250 PIPELINING\r\n", "DATA\r\n");
        for number in 0..3 {
            let received = exchange(
                &mut stream,
                "250 ok\r\n250 ok\r\n354 go on\r\n",
                "\r\n.\r\n",
            );
            assert!(received.ends_with("\r\n.\r\n"), "{number}: {received}");
            let next = if number < 2 { "DATA\r\n" } else { "QUIT\r\n" };
            wire += &exchange(&mut stream, "250 queued\r\n", next);
        }
        exchange(&mut stream, "221 bye\r\n", "never");
        wire
    });
    let client = url("none", server.port()).build().unwrap();
    let messages = (0..3).map(|_| (bob(), message().into())).collect();
    for report in adapter.send_all(client, messages) {
        assert_accepted(&report);
    }
    assert!(server.finish().ends_with("QUIT\r\n"));
}

/// A server that cannot reset a transaction does not affect the next message, which is sent
/// over another connection.
pub(super) fn reset_refused(adapter: &dyn Adapter) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = url("none", listener.local_addr().unwrap().port());
    let server = thread::spawn(move || {
        let greeted = || {
            let (mut stream, _) = listener.accept().unwrap();
            exchange(&mut stream, "220 mx\r\n", "EHLO");
            exchange(&mut stream, "250-mx\r\n250 PIPELINING\r\n", "DATA\r\n");
            stream
        };
        let mut first = greeted();
        let refused = "250 ok\r\n550 5.1.1 no such user\r\n503 nobody\r\n";
        exchange(&mut first, refused, "RSET");
        exchange(&mut first, "502 5.5.1 not implemented\r\n", "never");
        let mut second = greeted();
        exchange(
            &mut second,
            "250 ok\r\n250 ok\r\n354 go on\r\n",
            "\r\n.\r\n",
        );
        exchange(&mut second, "250 queued\r\n", "QUIT");
        exchange(&mut second, "221 bye\r\n", "never");
    });
    let messages = (0..2).map(|_| (bob(), message().into())).collect();
    let reports = adapter.send_all(client.build().unwrap(), messages);
    assert_eq!(reports[0].stage(), Some(Stage::Rcpt), "{}", reports[0]);
    assert_accepted(&reports[1]);
    server.join().unwrap();
}
