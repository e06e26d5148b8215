//! Transcripts, played in one piece and cut into pieces.
//!
//! ```text
//! C: a line from the client, CRLF is added
//! c: octets from the client, with \r \n \0 \xff
//! S: a line from the server
//! Q: an event, as `describe` puts it
//! A: yes, or a reply: the application's answer
//! @301s: the time goes on
//! ```
//!
//! Before each line other than `S:` and `Q:`, and at the end, no output or event may be left
//! over.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Buf;
use postwire_proto::{Address, EnhancedCode, Mechanism, Protocol, ReplyCode};

use super::*;

mod authentication;
mod content;
mod cuts;
mod ends;
mod mail;
mod session;

pub(super) fn config() -> ServerConfig {
    ServerConfig::new("mx.example".parse().expect("a name")).greeting("ready")
}

/// The start of every session.
pub(super) const HELLO: &str = "
    S: 220 mx.example ESMTP ready
    C: HELO me
    S: 250 mx.example greets me
";

/// The start of a session with extensions; all but SIZE are on by default.
pub(super) const EHLO: &str = "
    S: 220 mx.example ESMTP ready
    C: EHLO me
    S: 250-mx.example greets me
    S: 250-PIPELINING
    S: 250-CHUNKING
    S: 250-8BITMIME
    S: 250-BINARYMIME
    S: 250-SMTPUTF8
    S: 250-DSN
    S: 250-ENHANCEDSTATUSCODES
    S: 250 SIZE 52428800
";

pub(super) const LHLO: &str = "
    S: 220 mx.example LMTP ready
    C: LHLO me
    S: 250-mx.example greets me
    S: 250-PIPELINING
    S: 250-CHUNKING
    S: 250-8BITMIME
    S: 250-BINARYMIME
    S: 250-SMTPUTF8
    S: 250-DSN
    S: 250-ENHANCEDSTATUSCODES
    S: 250 SIZE 52428800
";

/// A transaction up to one accepted recipient.
pub(super) const ENVELOPE: &str = "
    C: MAIL FROM:<a@b.example>
    Q: mail <a@b.example>
    A: yes
    S: 250 2.1.0 sender ok
    C: RCPT TO:<c@d.example>
    Q: rcpt <c@d.example>
    A: yes
    S: 250 2.1.5 recipient ok
";

pub(super) fn play(config: ServerConfig, parts: &[&str]) {
    let config = Arc::new(config);
    play_on(|| Server::new(Arc::clone(&config)), parts);
}

pub(super) fn play_on(server: impl Fn() -> Server, parts: &[&str]) {
    for piece in [usize::MAX, 1, 2, 7] {
        Player::new(server(), piece).play(parts);
    }
}

struct Player {
    server: Server,
    now: Instant,
    piece: usize,
    output: String,
}

impl Player {
    fn new(server: Server, piece: usize) -> Self {
        Self {
            server,
            now: Instant::EPOCH,
            piece,
            output: String::new(),
        }
    }

    fn play(&mut self, parts: &[&str]) {
        for line in parts.iter().flat_map(|part| part.lines()) {
            let Some((kind, text)) = line.trim_start().split_once(':') else {
                assert!(line.trim().is_empty(), "not understood: {line}");
                continue;
            };
            let text = text.strip_prefix(' ').unwrap_or(text);
            self.take_output();
            if !matches!(kind, "S" | "Q") {
                self.assert_quiet(line);
            }
            match kind {
                "C" => self.input(format!("{text}\r\n").as_bytes()),
                "c" => self.input(&unescape(text)),
                "S" => {
                    let (line, rest) = self.output.split_once("\r\n").unwrap_or_default();
                    assert_eq!(line, text);
                    self.output = rest.to_string();
                }
                "Q" => {
                    let event = self.server.poll_event();
                    assert_eq!(event.map(describe).as_deref(), Some(text));
                }
                "A" if text == "yes" => self.server.accept().expect("a question"),
                "A" if text.starts_with("password ") => {
                    let password = text["password ".len()..].into();
                    self.server.password(&password).expect("a question");
                }
                "A" => self.server.respond(reply(text)).expect("a question"),
                time => self.pass(time),
            }
        }
        self.take_output();
        self.assert_quiet("the end");
    }

    fn input(&mut self, input: &[u8]) {
        for piece in input.chunks(self.piece) {
            self.server.handle_input(self.now, piece);
        }
    }

    fn pass(&mut self, time: &str) {
        let seconds = time.strip_prefix('@').and_then(|t| t.strip_suffix('s'));
        let seconds = seconds.and_then(|seconds| seconds.parse().ok());
        self.now = self.now + Duration::from_secs(seconds.expect("a time"));
        self.server.handle_timeout(self.now);
    }

    fn take_output(&mut self) {
        let mut output = self.server.output();
        let octets = output.copy_to_bytes(output.remaining());
        self.output.push_str(&String::from_utf8_lossy(&octets));
    }

    fn assert_quiet(&mut self, before: &str) {
        assert_eq!(self.output, "", "before {before}");
        let event = self.server.poll_event().map(describe);
        assert_eq!(event, None, "before {before}");
    }
}

pub(super) fn reply(text: &str) -> Reply {
    let (code, text) = text.split_once(' ').expect("a code and a text");
    let code = ReplyCode::new(code.parse().expect("a number")).expect("a code");
    let (enhanced, text) = match EnhancedCode::parse(text.as_bytes()) {
        Some((enhanced, length)) => (Some(enhanced), text[length..].trim_start()),
        None => (None, text),
    };
    Reply::new(code, enhanced, &[text])
}

fn describe(event: ServerEvent) -> String {
    let path =
        |path: Option<Address>| format!("<{}>", path.map_or(String::new(), |p| p.to_string()));
    match event {
        ServerEvent::StartTls => "starttls".into(),
        ServerEvent::Greeting => "greeting".into(),
        ServerEvent::Hello { name } => format!("hello {name}"),
        ServerEvent::Authenticate {
            mechanism,
            user,
            secret,
        } => {
            let secret = String::from_utf8_lossy(secret.expose());
            format!("auth {mechanism} {user} {secret}")
        }
        ServerEvent::PasswordWanted { mechanism, user } => format!("password {mechanism} {user}"),
        ServerEvent::MailFrom {
            reverse_path,
            parameters,
        } => {
            let words = [
                alloc::vec![format!("mail {}", path(reverse_path))],
                parameters,
            ];
            words.concat().join(" ")
        }
        ServerEvent::RcptTo {
            forward_path,
            parameters,
        } => {
            let words = [
                alloc::vec![format!("rcpt {}", path(Some(forward_path)))],
                parameters,
            ];
            words.concat().join(" ")
        }
        ServerEvent::Data => "data".into(),
        ServerEvent::Message(received) => {
            let recipients: Vec<_> = received
                .recipients
                .into_iter()
                .map(Some)
                .map(path)
                .collect();
            let content = received.content.escape_ascii();
            let by = received
                .authenticated
                .map_or(String::new(), |user| format!(" by {user}"));
            let tls = received
                .tls
                .map_or(String::new(), |tls| format!(" in {}", tls.version()));
            let reverse_path = path(received.reverse_path);
            let recipients = recipients.join(",");
            format!("message {reverse_path} {recipients} {content}{by}{tls}")
        }
        ServerEvent::Command(line) => format!("command {}", line.escape_ascii()),
        ServerEvent::Reply(reply) => format!("reply {}", reply.escape_ascii()),
        ServerEvent::Closed(None) => "closed".into(),
        ServerEvent::Closed(Some(violation)) => format!("closed: {violation}"),
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'\\' => match rest.next() {
                Some(b'r') => b'\r',
                Some(b'n') => b'\n',
                Some(b'0') => 0,
                Some(b'x') => {
                    let digits = [rest.next(), rest.next()].map(|digit| digit.expect("a digit"));
                    let digits = core::str::from_utf8(&digits).expect("digits");
                    u8::from_str_radix(digits, 16).expect("digits")
                }
                other => panic!("unknown escape {other:?}"),
            },
            octet => octet,
        });
    }
    octets
}
