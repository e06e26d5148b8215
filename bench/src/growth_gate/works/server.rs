//! Works of a server session: commands, recipients, messages, content.

use std::sync::Arc;

use postwire_proto::{Endpoint, HelloName, Instant, Protocol};
use postwire_server::{Server, ServerConfig, ServerEvent};

use super::{Prepared, Work, prepared, work};
use crate::Failure;
use crate::in_memory::drain;

pub(super) const WORKS: &[Work] = &[
    work("server: commands, in one read", 2_000, |n| {
        commands(n, config(n), usize::MAX)
    }),
    work("server: commands, one octet at a time", 1_000, |n| {
        commands(n, config(n), 1)
    }),
    work("server: commands, trace", 2_000, |n| {
        commands(n, config(n).trace(true).trace_replies(true), usize::MAX)
    }),
    work("server: commands, replies not read", 2_000, |n| {
        let mut server = greeted(config(n));
        let input = b"VRFY a\r\n".repeat(n);
        prepared(move || {
            server.handle_input(Instant::EPOCH, &input);
            Ok(lines(&mut server))
        })
    }),
    work("server: recipients, in one read", 2_000, |n| {
        recipients(n, config(n), usize::MAX)
    }),
    work("server: recipients, one line at a time", 2_000, |n| {
        recipients(n, config(n), 24)
    }),
    work("server: recipients, beyond the limit", 2_000, |n| {
        recipients(n, config(1), usize::MAX)
    }),
    work("server: recipients with a parameter", 2_000, |n| {
        let mut input = b"MAIL FROM:<>\r\n".to_vec();
        input.extend_from_slice(&b"RCPT TO:<bob@b.example> NOTIFY=NEVER\r\n".repeat(n));
        let mut server = greeted(config(n).dsn(true));
        prepared(move || {
            let count = serve(&mut server, &input, |event| {
                usize::from(matches!(event, ServerEvent::RcptTo { .. }))
            })?;
            Ok(count)
        })
    }),
    work("server: recipients, LMTP", 2_000, |n| {
        let config = config(n).protocol(Protocol::Lmtp);
        recipients(n, config, usize::MAX)
    }),
    work("server: messages, DATA", 1_000, |n| {
        let one = b"MAIL FROM:<>\r\nRCPT TO:<bob@b.example>\r\nDATA\r\nx\r\n.\r\n";
        messages(n, one, usize::MAX)
    }),
    work("server: messages, DATA, 10 octets at a time", 1_000, |n| {
        let one = b"MAIL FROM:<>\r\nRCPT TO:<bob@b.example>\r\nDATA\r\nx\r\n.\r\n";
        messages(n, one, 10)
    }),
    work("server: messages, BDAT", 1_000, |n| {
        let one = b"MAIL FROM:<>\r\nRCPT TO:<bob@b.example>\r\nBDAT 3 LAST\r\nx\r\n";
        messages(n, one, usize::MAX)
    }),
    work("server: octets of content, DATA", 100_000, |n| {
        content(n, b"x\r\n", usize::MAX)
    }),
    work(
        "server: octets of content, one at a time, DATA",
        10_000,
        |n| content(n, b"x\r\n", 1),
    ),
    work(
        "server: octets of content, lines of a dot, DATA",
        40_000,
        |n| content(n, b"..\r\n", usize::MAX),
    ),
    work("server: chunks of one octet", 2_000, |n| {
        let mut input = b"MAIL FROM:<>\r\nRCPT TO:<bob@b.example>\r\n".to_vec();
        input.extend_from_slice(&b"BDAT 1\r\nx".repeat(n));
        input.extend_from_slice(b"BDAT 0 LAST\r\n");
        let mut server = greeted(config(n));
        prepared(move || {
            serve(&mut server, &input, |event| match event {
                ServerEvent::Message(message) => message.content.len(),
                _ => 0,
            })
        })
    }),
    work("server: octets of a line without an end", 20_000, |n| {
        let mut server = greeted(config(n));
        prepared(move || {
            for _ in 0..n {
                server.handle_input(Instant::EPOCH, b"x");
            }
            Ok(if server.is_closed() { 0 } else { n })
        })
    }),
];

fn config(recipients: usize) -> ServerConfig {
    let config = ServerConfig::new(HelloName::localhost());
    config.max_recipients(recipients).max_waiting_input(1 << 30)
}

/// A session after `EHLO`, or `LHLO`.
fn greeted(config: ServerConfig) -> Server {
    let mut server = Server::new(Arc::new(config));
    server.handle_input(Instant::EPOCH, b"EHLO me\r\nLHLO me\r\n");
    while server.poll_event().is_some() {}
    drain(&mut server, |_| {});
    server
}

/// Lets a server read input, accepts all that it asks, and adds up what `count` returns.
fn serve(
    server: &mut Server,
    input: &[u8],
    mut count: impl FnMut(&ServerEvent) -> usize,
) -> Result<usize, Failure> {
    server.handle_input(Instant::EPOCH, input);
    let mut counted = 0;
    while let Some(event) = server.poll_event() {
        counted += count(&event);
        if server.is_awaiting_answer() {
            server.accept()?;
        }
        drain(server, |_| {});
    }
    drain(server, |_| {});
    Ok(counted)
}

/// The lines of the replies that are not read.
fn lines(server: &mut Server) -> usize {
    let mut lines = 0;
    drain(server, |chunk| {
        lines += chunk.split(|octet| *octet == b'\n').count() - 1;
    });
    lines
}

fn commands(count: usize, config: ServerConfig, cut: usize) -> Result<Prepared, Failure> {
    let mut server = greeted(config);
    let input = b"VRFY a\r\n".repeat(count);
    prepared(move || {
        let mut replies = 0;
        for piece in input.chunks(cut) {
            server.handle_input(Instant::EPOCH, piece);
            while server.poll_event().is_some() {}
            replies += lines(&mut server);
        }
        Ok(replies)
    })
}

fn recipients(count: usize, config: ServerConfig, cut: usize) -> Result<Prepared, Failure> {
    let mut server = greeted(config);
    let input = b"RCPT TO:<bob@b.example>\r\n".repeat(count);
    prepared(move || {
        serve(&mut server, b"MAIL FROM:<>\r\n", |_| 0)?;
        let mut replies = 0;
        for piece in input.chunks(cut) {
            server.handle_input(Instant::EPOCH, piece);
            while server.poll_event().is_some() {
                if server.is_awaiting_answer() {
                    server.accept()?;
                }
            }
            replies += lines(&mut server);
        }
        Ok(replies)
    })
}

fn messages(count: usize, one: &[u8], cut: usize) -> Result<Prepared, Failure> {
    let mut server = greeted(config(1));
    let input = one.repeat(count);
    prepared(move || {
        let mut messages = 0;
        for piece in input.chunks(cut) {
            messages += serve(&mut server, piece, |event| {
                usize::from(matches!(event, ServerEvent::Message(_)))
            })?;
        }
        Ok(messages)
    })
}

fn content(count: usize, line: &[u8], cut: usize) -> Result<Prepared, Failure> {
    let mut server = greeted(config(1).size(Some(1 << 30)));
    let mut input = line.repeat(count.div_ceil(line.len()));
    input.extend_from_slice(b".\r\n");
    prepared(move || {
        let envelope = b"MAIL FROM:<>\r\nRCPT TO:<bob@b.example>\r\nDATA\r\n";
        serve(&mut server, envelope, |_| 0)?;
        let mut messages = 0;
        for piece in input.chunks(cut) {
            messages += serve(&mut server, piece, |event| {
                usize::from(matches!(event, ServerEvent::Message(_)))
            })?;
        }
        Ok(messages * count)
    })
}
