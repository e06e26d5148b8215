//! What the tests share: dialogues as they are written in the RFCs, and short cuts to
//! the middle of a session.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use postwire_reference::{Dialect, Recorder, Taken};

/// All that the server says now.
pub fn said(server: &mut Recorder) -> String {
    let mut all = Vec::new();
    loop {
        let some = server.say();
        if some.is_empty() {
            return String::from_utf8(all).unwrap();
        }
        all.extend(some);
    }
}

/// What the server answers to `octets`.
pub fn ask(server: &mut Recorder, octets: impl AsRef<[u8]>) -> String {
    server.receive(octets.as_ref());
    said(server)
}

/// The codes of the last line of each reply in `text`.
pub fn codes(text: &str) -> Vec<u16> {
    text.lines()
        .filter(|line| line.as_bytes().get(3) != Some(&b'-'))
        .map(|line| line[..3].parse().unwrap())
        .collect()
}

/// The codes with which the server answers `octets`.
pub fn ask_codes(server: &mut Recorder, octets: impl AsRef<[u8]>) -> Vec<u16> {
    codes(&ask(server, octets))
}

/// A server that has accepted `EHLO` or `LHLO`.
pub fn greeted(dialect: Dialect) -> Recorder {
    let verb = match dialect.protocol {
        postwire_reference::Protocol::Smtp => "EHLO",
        postwire_reference::Protocol::Lmtp => "LHLO",
    };
    let mut server = Recorder::new(dialect);
    said(&mut server);
    ask(&mut server, format!("{verb} client.example\r\n"));
    server
}

/// A server that has accepted a sender and these recipients.
pub fn addressed(dialect: Dialect, recipients: &[&str]) -> Recorder {
    let mut server = greeted(dialect);
    ask(&mut server, "MAIL FROM:<a@client.example>\r\n");
    for recipient in recipients {
        ask(&mut server, format!("RCPT TO:<{recipient}>\r\n"));
    }
    server
}

/// The recipients of each taken content.
pub fn recipients(taken: &[Taken]) -> Vec<Vec<&str>> {
    taken
        .iter()
        .map(|taken| taken.recipients.iter().map(String::as_str).collect())
        .collect()
}

/// Plays a dialogue. `C:` lines that follow each other are sent together. A line of
/// the server must start with what stands behind `S:`.
pub fn play(dialect: Dialect, dialogue: &str) -> Recorder {
    let mut server = Recorder::new(dialect);
    let mut sending = String::new();
    let mut pending = String::new();
    for line in dialogue
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        if let Some(text) = line.strip_prefix("C:") {
            assert_eq!(pending, "", "unasked, before {line}");
            sending.push_str(text.strip_prefix(' ').unwrap_or(text));
            sending.push_str("\r\n");
            continue;
        }
        if !sending.is_empty() {
            server.receive(std::mem::take(&mut sending).as_bytes());
        }
        pending.push_str(&said(&mut server));
        let expected = line.strip_prefix("S: ").unwrap();
        let dialogue = server.dialogue();
        let (actual, rest) = pending
            .split_once("\r\n")
            .unwrap_or_else(|| panic!("no answer for {line} in\n{dialogue}"));
        assert!(
            actual.starts_with(expected),
            "{actual} is not {expected} in\n{dialogue}"
        );
        pending = rest.to_owned();
    }
    assert_eq!(pending, "", "unasked, at the end");
    assert_eq!(sending, "", "unanswered, at the end");
    server
}
