//! Each failure, over lettre's own transport and over this one: the error answers alike.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use lettre::Message;

const TIMEOUT: Duration = Duration::from_millis(500);

/// A server that follows a script: the greeting, and the replies to commands that begin with a
/// word. Other commands get a positive reply. `hang up` closes the connection, and `silence`
/// sends nothing.
#[derive(Clone, Copy)]
struct Script {
    greeting: &'static str,
    replies: &'static [(&'static str, &'static str)],
}

fn start(script: Script) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            thread::spawn(move || serve(&stream, script));
        }
    });
    port
}

fn serve(mut stream: &TcpStream, script: Script) -> Option<()> {
    let mut lines = BufReader::new(stream).lines();
    let mut say = |text: &str| match text {
        "hang up" => None,
        "silence" => Some(()),
        text => stream.write_all(format!("{text}\r\n").as_bytes()).ok(),
    };
    say(script.greeting)?;
    loop {
        let command = lines.next()?.ok()?;
        let of = |command: &str| {
            let mut replies = script.replies.iter();
            replies
                .find(|(word, _)| command.starts_with(word))
                .map(|(_, reply)| *reply)
        };
        match of(&command) {
            Some(reply) => say(reply)?,
            None if command == "DATA" => say("354 go on")?,
            None if command == "QUIT" => {
                say("221 bye")?;
                return None;
            }
            None => say("250 fine")?,
        }
        if command == "DATA" && of(&command).is_none() {
            while lines.next()?.ok()? != "." {}
            say(of("content").unwrap_or("250 2.0.0 queued"))?;
        }
    }
}

/// The answers of an error.
#[derive(Debug, PartialEq)]
struct Answers {
    is: Vec<&'static str>,
    status: Option<u16>,
}

macro_rules! answers {
    ($error:expr) => {{
        let error = $error;
        let is = [
            ("response", error.is_response()),
            ("client", error.is_client()),
            ("transient", error.is_transient()),
            ("permanent", error.is_permanent()),
            ("timeout", error.is_timeout()),
            ("shutdown", error.is_transport_shutdown()),
        ];
        Answers {
            is: is
                .into_iter()
                .filter(|(_, is)| *is)
                .map(|(name, _)| name)
                .collect(),
            status: error.status().map(u16::from),
        }
    }};
}

/// The error of a send by the blocking transport of `$lettre`.
macro_rules! blocking {
    ($lettre:ident, $port:expr, $login:expr, $allow:ident) => {{
        use $lettre::transport::smtp::authentication::Credentials;
        use $lettre::{SmtpTransport, Transport};
        let mut builder = SmtpTransport::builder_dangerous("127.0.0.1");
        builder = $allow!(builder.port($port).timeout(Some(TIMEOUT)));
        if $login {
            builder = builder.credentials(Credentials::new("alice".into(), "secret".into()));
        }
        let error = builder.build().send(&message()).unwrap_err();
        assert!(!error.to_string().is_empty());
        answers!(error)
    }};
}

/// The error of a send by the async transport of `$lettre`.
macro_rules! asynchronous {
    ($lettre:ident, $port:expr, $login:expr, $allow:ident) => {{
        use $lettre::transport::smtp::authentication::Credentials;
        use $lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("127.0.0.1");
        builder = $allow!(builder.port($port).timeout(Some(TIMEOUT)));
        if $login {
            builder = builder.credentials(Credentials::new("alice".into(), "secret".into()));
        }
        let error = block_on(async {
            let mailer: AsyncSmtpTransport<Tokio1Executor> = builder.build();
            mailer.send(message()).await.unwrap_err()
        });
        assert!(!error.to_string().is_empty());
        answers!(error)
    }};
}

macro_rules! as_it_is {
    ($builder:expr) => {
        $builder
    };
}

macro_rules! with_passwords_in_plaintext {
    ($builder:expr) => {
        $builder.configure(|builder| builder.client(|client| client.allow_plaintext_auth(true)))
    };
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap().block_on(future)
}

fn message() -> Message {
    Message::builder()
        .from("alice@example.org".parse().unwrap())
        .to("bob@example.net".parse().unwrap())
        .to("carol@example.net".parse().unwrap())
        .body("Hello.\r\n".to_owned())
        .unwrap()
}

fn both(script: Script, login: bool) -> (Answers, Option<u16>) {
    let port = start(script);
    let blocking = blocking!(lettre, port, login, as_it_is);
    assert_eq!(blocking, asynchronous!(lettre, port, login, as_it_is));
    let moved = blocking!(postwire_lettre, port, login, with_passwords_in_plaintext);
    assert_eq!(blocking, moved);
    let moved = asynchronous!(postwire_lettre, port, login, with_passwords_in_plaintext);
    assert_eq!(blocking, moved);
    let status = blocking.status;
    (blocking, status)
}

fn check(replies: &'static [(&'static str, &'static str)], is: &[&str], status: Option<u16>) {
    let script = Script {
        greeting: "220 here",
        replies,
    };
    let (answers, found) = both(script, false);
    assert_eq!((answers.is.as_slice(), found), (is, status), "{replies:?}");
}

#[test]
fn refusals_of_the_message() {
    check(&[("MAIL", "451 4.3.0 not now")], &["transient"], Some(451));
    check(
        &[("RCPT TO:<carol", "550 5.1.1 who?")],
        &["permanent"],
        Some(550),
    );
    check(
        &[("RCPT TO:<carol", "450 4.2.1 later")],
        &["transient"],
        Some(450),
    );
    check(&[("DATA", "452 4.3.1 no room")], &["transient"], Some(452));
    check(
        &[("content", "554 5.6.0 not this")],
        &["permanent"],
        Some(554),
    );
}

#[test]
fn refusals_of_the_session() {
    for (greeting, is, status) in [
        ("421 too busy", "transient", 421),
        ("554 go away", "permanent", 554),
    ] {
        let script = Script {
            greeting,
            replies: &[],
        };
        let (answers, found) = both(script, false);
        assert_eq!((answers.is.as_slice(), found), (&[is][..], Some(status)));
    }
}

#[test]
fn failures_of_the_network() {
    check(&[("MAIL", "hang up")], &["response"], None);
    check(&[("content", "hang up")], &["response"], None);
    check(&[("MAIL", "what?")], &["response"], None);
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let original = blocking!(lettre, closed.port(), false, as_it_is);
    assert_eq!(original.is, Vec::<&str>::new());
    assert_eq!(
        original,
        blocking!(postwire_lettre, closed.port(), false, as_it_is)
    );
    assert_eq!(
        original,
        asynchronous!(postwire_lettre, closed.port(), false, as_it_is)
    );
}

/// A difference on purpose: a deadline that passes is a time-out. On Unix, lettre's blocking transport
/// does not say so, and its async transport waits forever, since it limits connecting only.
#[test]
fn silent_servers() {
    for replies in [&[("MAIL", "silence")], &[("content", "silence")]] {
        let port = start(Script {
            greeting: "220 here",
            replies,
        });
        let blocking = blocking!(postwire_lettre, port, false, as_it_is);
        assert_eq!(
            (blocking.is.as_slice(), blocking.status),
            (&["timeout"][..], None)
        );
        let asynchronous = asynchronous!(postwire_lettre, port, false, as_it_is);
        assert_eq!(blocking, asynchronous);
    }
}

#[test]
fn logins() {
    let script = |replies| Script {
        greeting: "220 here",
        replies,
    };
    let (answers, status) = both(
        script(&[
            ("EHLO", "250-here\r\n250 AUTH PLAIN"),
            ("AUTH", "535 5.7.8 who?"),
        ]),
        true,
    );
    assert_eq!((answers.is, status), (vec!["permanent"], Some(535)));
    let (answers, status) = both(script(&[("EHLO", "250-here\r\n250 AUTH GSSAPI")]), true);
    assert_eq!((answers.is, status), (vec!["client"], None));
    // A difference on purpose: a password is not sent in plaintext.
    let port = start(script(&[("EHLO", "250-here\r\n250 AUTH PLAIN")]));
    let blocking = blocking!(postwire_lettre, port, true, as_it_is);
    assert_eq!((blocking.is, blocking.status), (vec!["client"], None));
}

/// A retry loop over transient errors ends here, as over lettre's own transport.
#[test]
fn after_a_shutdown() {
    let port = start(Script {
        greeting: "220 here",
        replies: &[],
    });
    macro_rules! shut_down {
        ($lettre:ident) => {{
            use $lettre::{SmtpTransport, Transport};
            let builder = SmtpTransport::builder_dangerous("127.0.0.1");
            let mailer = builder.port(port).timeout(Some(TIMEOUT)).build();
            let response = mailer.send(&message()).unwrap();
            let lines: Vec<_> = response.message().map(str::to_owned).collect();
            mailer.shutdown();
            let error = mailer.send(&message()).unwrap_err();
            (u16::from(response.code()), lines, answers!(error))
        }};
    }
    let (original, moved) = (shut_down!(lettre), shut_down!(postwire_lettre));
    assert_eq!(original, moved);
    assert_eq!(moved.1, ["2.0.0 queued"]);
    assert_eq!(moved.2.is, ["shutdown"]);
}
