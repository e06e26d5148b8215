//! `serve` as a test server: what it says about failures, what it refuses, how it ends.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::run::{LOGIN, PASSWORD, Serve, USER, run, send_to, with};

/// A client that says what it is told.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let timeout = Some(Duration::from_secs(10));
        stream.set_read_timeout(timeout).unwrap();
        Self(BufReader::new(stream))
    }

    fn say(&mut self, octets: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(octets.as_ref()).unwrap();
    }

    /// The next reply, of which only the last line matters.
    fn reply(&mut self) -> String {
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).expect("a reply");
            if line.as_bytes().get(3) != Some(&b'-') {
                return line.trim_end().to_owned();
            }
        }
    }

    /// Says each line and returns the last reply.
    fn dialogue(&mut self, lines: &[&str]) -> String {
        self.reply();
        let mut reply = String::new();
        for line in lines {
            self.say(format!("{line}\r\n"));
            reply = self.reply();
        }
        reply
    }

    fn is_at_end(&mut self) -> bool {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).is_ok() && rest.is_empty()
    }
}

#[test]
fn each_failure_leaves_a_line() {
    let server = Serve::start(&[
        "--auth",
        "alice:POSTWIRE_TEST_PASSWORD",
        "--plaintext-auth",
        "--optional-auth",
        "--size",
        "1000",
        "--reject",
        "bob@example.net=550",
        "--max-connections",
        "2",
    ]);
    let envelope = ["EHLO me", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA"];
    let connect = || Client::connect(server.port);

    let reply = connect().dialogue(&["EHLO me", "AUTH PLAIN AGFsaWNlAHdyb25n"]);
    assert_eq!(reply, "535 5.7.8 authentication failed");
    server.expect_on_stderr(": login of alice by PLAIN: 535 5.7.8 authentication failed\n");
    server.expect_on_stderr(": the client closed the connection without QUIT\n");

    // A client that does not wait for the reply to AUTH gives its password to nobody.
    let mut client = connect();
    let login = format!(
        "{}\r\n{}\r\n",
        STANDARD.encode(USER),
        STANDARD.encode(PASSWORD)
    );
    assert!(
        client
            .dialogue(&["EHLO me", "AUTH NTLM"])
            .starts_with("504 ")
    );
    client.say(login);
    assert!(client.reply().starts_with("500 "));
    server.expect_on_stderr(": AUTH <redacted>: 500 5.5.1 unknown command\n");
    drop(client);

    connect().dialogue(&["EHLO me", "MAIL FROM:<a@b>", "RCPT TO:<bob@example.net>"]);
    server.expect_on_stderr(": RCPT TO:<bob@example.net>: 550 5.1.1 recipient refused\n");

    let mut client = connect();
    client.dialogue(&envelope);
    client.say(format!("{}\r\n.\r\n", "x".repeat(2_000)));
    assert_eq!(client.reply(), "552 5.3.4 message too large");
    server.expect_on_stderr(": DATA: 552 5.3.4 message too large\n");
    drop(client);

    for (content, named) in [("a\nb", "line feed"), ("a\rb", "carriage return")] {
        let mut client = connect();
        client.dialogue(&envelope);
        client.say(format!("{content}\r\n.\r\n"));
        let said = format!("550 5.6.11 bare {named} refused");
        assert_eq!(client.reply(), said);
        server.expect_on_stderr(&format!(": DATA: {said}\n"));
    }

    for (octets, said) in [
        (&b"NOOP\nNOOP\r\n"[..], "a bare line feed in a command"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n", "an HTTP request"),
        (b"\x16\x03\x01\x02\0\x01\0", "a TLS handshake where"),
    ] {
        let mut client = connect();
        client.reply();
        client.say(octets);
        server.expect_on_stderr(said);
    }

    let _both = [connect(), connect()];
    assert!(connect().reply().starts_with("421 4.3.2 too many"));
    server.expect_on_stderr(" refused: 421 4.3.2 too many connections, try later\n");
    // A busy machine must not make the other clients idle.
    let impatient = Serve::start(&["--idle-timeout", "0.5"]);
    let _idle = Client::connect(impatient.port);
    impatient.expect_on_stderr("the client was idle for too long");
    for line in [server.stderr(), impatient.stderr()].concat().lines() {
        assert!(line.starts_with("postwire: connection "), "{line}");
        assert!(line.contains(" from 127.0.0.1:"), "{line}");
    }
}

#[test]
fn a_failed_handshake_leaves_a_line() {
    let server = Serve::start(&["--tls", "starttls"]);
    let url = format!("smtp://localhost:{}", server.port);
    // The client does not trust the authority.
    assert_eq!(run(&send_to(&url)).status, 77);
    server.expect_on_stderr(
        ": the connection failed: the client ended the handshake: it does not know the authority \
         of the server's certificate",
    );
    let server = Serve::start(&["--tls", "wrapper"]);
    let mut client = Client::connect(server.port);
    // What follows the command may be a password.
    client.say("AUTH PLAIN AGJvYgBzZWNyZXQ=\r\n");
    server.expect_on_stderr("the client speaks plaintext on this port: AUTH\n");
}

#[test]
fn a_successful_session_leaves_no_line_of_failure() {
    let login = "alice:POSTWIRE_TEST_PASSWORD";
    let mut server = Serve::start(&["--tls", "starttls", "--auth", login]);
    let url = format!("smtp://localhost:{}", server.port);
    let authority = server.authority();
    let trust = ["--ca", authority.to_str().unwrap()];
    let arguments = with(with(send_to(&url), &LOGIN), &trust);
    run(&arguments).assert_is(0, "accepted", None);
    assert!(server.line().starts_with("message 1: "));
    assert_eq!(server.stderr(), "");
}

#[test]
fn the_dialogue_can_be_shown() {
    let login = "alice:POSTWIRE_TEST_PASSWORD";
    let server = Serve::start(&["--auth", login, "--plaintext-auth", "--trace"]);
    let url = format!("smtp://127.0.0.1:{}?tls=none", server.port);
    for mechanism in ["PLAIN", "LOGIN", "SCRAM-SHA-256"] {
        let login = with(with(send_to(&url), &LOGIN), &["--auth", mechanism]);
        let login = with(login, &["--allow-plaintext-auth"]);
        run(&login).assert_is(0, "accepted", None);
    }
    for said in [
        "1 S: 220 localhost ESMTP postwire\n1 C: EHLO [127.0.0.1]\n1 S: 250-localhost greets",
        "1 C: AUTH PLAIN <redacted>\n1 S: 235 2.7.0",
        "2 C: AUTH LOGIN <redacted>\n2 S: 334 <redacted>\n2 C: <redacted>\n2 S: 334 <redacted>",
        "3 C: AUTH SCRAM-SHA-256 <redacted>\n3 S: 334 <redacted>\n3 C: <redacted>\n3 S: 334",
        " octets of content)\n3 S: 250 2.0.0 message accepted\n3 C: QUIT\n3 S: 221 2.0.0",
    ] {
        server.expect_on_stderr(said);
    }
}

#[test]
fn recipients_are_compared_by_mailbox() {
    let server = Serve::start(&["--reject", "info@b\u{fc}cher.EXAMPLE=550"]);
    for (recipient, code) in [
        ("info@xn--bcher-kva.example", "550"),
        ("info@XN--BCHER-KVA.example", "550"),
        ("\"info\"@xn--bcher-kva.example", "550"),
        ("Info@xn--bcher-kva.example", "250"),
        ("info@bucher.example", "250"),
    ] {
        let rcpt = format!("RCPT TO:<{recipient}>");
        let lines = ["EHLO me", "MAIL FROM:<>", &rcpt];
        let reply = Client::connect(server.port).dialogue(&lines);
        assert!(reply.starts_with(code), "{recipient}: {reply}");
    }
}

#[test]
fn a_domain_can_be_missing() {
    for (options, hello) in [
        (&["--lmtp"][..], "LHLO me"),
        (&["--bare-local-parts"], "EHLO me"),
    ] {
        let options = [options, &["--reject", "eve=550", "--hostname", "mx"]].concat();
        let mut server = Serve::start(&options);
        let mut client = Client::connect(server.port);
        let lines = [hello, "MAIL FROM:<root>", "RCPT TO:<eve>"];
        assert!(client.dialogue(&lines).starts_with("550 "));
        for line in ["RCPT TO:<bob>\r\n", "DATA\r\n", "Hello\r\n.\r\n"] {
            client.say(line);
            client.reply();
        }
        let line = server.line();
        let said = "message 1: from <root@mx> to <bob@mx>, 7 octets";
        assert!(line.starts_with(said), "{line}");
    }
    let server = Serve::start(&[]);
    let lines = ["EHLO me", "MAIL FROM:<>", "RCPT TO:<bob>"];
    let reply = Client::connect(server.port).dialogue(&lines);
    assert_eq!(reply, "501 5.1.3 invalid forward-path");
}

#[test]
fn the_mechanisms_can_be_chosen() {
    let login = "alice:POSTWIRE_TEST_PASSWORD";
    let offered = |options: &[&str]| {
        let server = Serve::start(&[&["--auth", login][..], options].concat());
        Client::connect(server.port).dialogue(&["EHLO me"])
    };
    let some = ["--mechanism", "LOGIN", "--mechanism", "plain"];
    assert_eq!(
        offered(&[&["--plaintext-auth"], &some[..]].concat()),
        "250 AUTH LOGIN PLAIN"
    );
    // A mechanism that reveals no secret is offered before TLS, unless TLS is required.
    let scram = ["--tls", "starttls", "--mechanism", "SCRAM-SHA-256"];
    assert_eq!(offered(&scram), "250 AUTH SCRAM-SHA-256");
    let required = [&scram[..], &["--require-tls"]].concat();
    assert_eq!(offered(&required), "250 SIZE 52428800");
    let server = Serve::start(&["--mechanism", "ANONYMOUS"]);
    let anonymous = ["EHLO me", "AUTH ANONYMOUS c29tZW9uZQ=="];
    let reply = Client::connect(server.port).dialogue(&anonymous);
    assert_eq!(reply, "235 2.7.0 authentication successful");
}

#[test]
fn options_without_effect_are_refused() {
    let login = "alice:POSTWIRE_TEST_PASSWORD";
    for (arguments, said) in [
        (&["--ca-out", "/tmp/no"][..], "--ca-out: needs --tls"),
        (&["--cert", "a", "--key", "b"], "--cert: needs --tls"),
        (
            &["--tls", "wrapper", "--require-tls"],
            "--require-tls: has no effect with --tls wrapper",
        ),
        (
            &["--tls", "wrapper", "--auth", login, "--plaintext-auth"],
            "--plaintext-auth: has no effect",
        ),
        (
            &["--auth", login, "--plaintext-auth", "--password-env", "X"],
            "--password-env: has no effect",
        ),
        (&["--offer", "requiretls"], "--offer: REQUIRETLS is offered"),
        (
            &["--mechanism", "PLAIN"],
            "--mechanism: this mechanism needs --auth",
        ),
        (&["--mechanism", "EXTERNAL"], "--mechanism: EXTERNAL needs"),
        (&["--lmtp", "--bare-local-parts"], "--bare-local-parts"),
        (
            &["--listen", "no.such.invalid:1"],
            "--listen: cannot resolve no.such.invalid: ",
        ),
        (
            &["--fault", "quit:550"],
            "--fault: the stage must be one of greeting, ",
        ),
        (&["--fault", "data:250"], "--fault: the reply must begin"),
        (&["--delay", "soon"], "--delay: must be a number"),
        (&["--idle-timeout", "0"], "--idle-timeout: must be a number"),
    ] {
        let served = run(&[&["serve"], arguments].concat());
        assert_eq!(served.status, 64, "{arguments:?} {served:#?}");
        assert!(served.stderr.contains(said), "{arguments:?} {served:#?}");
    }
}

#[test]
fn faults_come_on_demand() {
    let server = Serve::start(&["--fault", "data:452", "--delay", "mail:0.3"]);
    let url = format!("smtp://127.0.0.1:{}?tls=none", server.port);
    for chunking in ["on", "off"] {
        let refused = run(&with(send_to(&url), &["--chunking", chunking]));
        let object = refused.object();
        assert_eq!(object["outcome"], "rejected", "{refused:#?}");
        assert_eq!(object["reply"]["code"], 452);
        assert!(refused.took >= Duration::from_millis(300), "{refused:#?}");
    }
    for (fault, lines, said) in [
        (
            "greeting:554 5.3.2 no service",
            &[][..],
            "554 5.3.2 no service",
        ),
        ("hello:550", &["EHLO me"], "550 5.3.0 refused on demand"),
        (
            "mail:421",
            &["EHLO me", "MAIL FROM:<>"],
            "421 4.3.0 refused on demand",
        ),
        (
            "rcpt:450 4.2.1 busy",
            &["EHLO me", "MAIL FROM:<>", "RCPT TO:<a@b>"],
            "450 4.2.1 busy",
        ),
    ] {
        let server = Serve::start(&["--fault", fault]);
        let mut client = Client::connect(server.port);
        let reply = match lines {
            [] => client.reply(),
            lines => client.dialogue(lines),
        };
        assert_eq!(reply, said, "{fault}");
    }
    let server = Serve::start(&["--fault", "content:close"]);
    let url = format!("smtp://127.0.0.1:{}?tls=none", server.port);
    assert_eq!(run(&send_to(&url)).object()["outcome"], "in_doubt");
    server.expect_on_stderr(": the server hung up on demand\n");
    assert!(server.messages().is_empty());
}

#[test]
fn the_end_is_said_to_open_sessions() {
    for signal in ["-INT", "-TERM"] {
        let server = Serve::start(&["--delay", "rcpt:30", "--trace"]);
        let mut idle = Client::connect(server.port);
        idle.dialogue(&["EHLO me"]);
        let mut sending = Client::connect(server.port);
        sending.dialogue(&["EHLO me", "MAIL FROM:<>"]);
        // The end does not wait for the delay.
        sending.say("RCPT TO:<a@b>\r\n");
        server.expect_on_stderr("RCPT TO:<a@b>\n");
        let begun = Instant::now();
        let process = server.process().to_string();
        let sent = Command::new("kill").args([signal, &process]).status();
        assert!(sent.unwrap().success());
        let said = "421 4.3.2 shutting down, try later";
        assert_eq!(idle.reply(), said);
        assert!(idle.is_at_end());
        assert_eq!(sending.reply(), "250 2.1.5 recipient ok");
        assert_eq!(sending.reply(), said);
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_signal_that_is_ignored_stays_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let mut server = Command::new("sh")
        .args(["-c", "trap '' HUP; exec \"$0\" serve --unix \"$1\""])
        .arg(env!("CARGO_BIN_EXE_postwire"))
        .arg(&socket)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut stdout = BufReader::new(server.stdout.take().unwrap());
    stdout.read_line(&mut said).unwrap();
    let kill = |signal: &str| {
        let process = server.id().to_string();
        let sent = Command::new("kill").args([signal, &process]).status();
        assert!(sent.unwrap().success());
    };
    kill("-HUP");
    let url = format!("smtp+unix://{}", socket.display());
    run(&send_to(&url)).assert_is(0, "accepted", None);
    kill("-TERM");
    assert_eq!(server.wait().unwrap().code(), Some(0));
}

#[test]
fn the_end_is_said_under_tls() {
    for tls in ["starttls", "wrapper"] {
        let server = Serve::start(&["--tls", tls, "--trace", "--delay", "mail:4"]);
        let scheme = if tls == "wrapper" { "smtps" } else { "smtp" };
        let url = format!("{scheme}://localhost:{}", server.port);
        let authority = server.authority();
        let trust = ["--ca", authority.to_str().unwrap()];
        let arguments = with(send_to(&url), &trust);
        let sending = thread::spawn(move || run(&arguments));
        server.expect_on_stderr(" C: MAIL FROM:");
        assert_eq!(server.interrupt().0, Some(0));
        let sent = sending.join().unwrap();
        // Whether it is the reply to a command depends on what the client has sent by then.
        assert_eq!(sent.status, 75, "{sent:#?}");
        assert!(sent.stdout.contains("421"), "{sent:#?}");
        assert!(
            sent.stdout.contains("shutting down, try later"),
            "{sent:#?}"
        );
    }
}

#[test]
fn a_burst_of_connections_waits_for_nothing() {
    let server = Serve::start(&["--max-connections", "1000"]);
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], server.port));
    // All at once: no client waits until another one is connected.
    let connect = |_| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.unwrap();
        socket.set_nonblocking(true).unwrap();
        let _ = socket.connect(&address.into());
        socket
    };
    let begun = Instant::now();
    let sockets: Vec<_> = (0..500).map(connect).collect();
    for socket in sockets {
        socket.set_nonblocking(false).unwrap();
        let timeout = Some(Duration::from_secs(10));
        socket.set_read_timeout(timeout).unwrap();
        let mut stream = TcpStream::from(socket);
        // The connection may still be under way.
        while stream.peer_addr().is_err() {
            assert!(begun.elapsed() < Duration::from_secs(10));
            thread::sleep(Duration::from_millis(1));
        }
        let mut greeting = [0; 4];
        stream.read_exact(&mut greeting).unwrap();
        assert_eq!(&greeting, b"220 ");
    }
    // A connection that finds no place in the backlog waits for seconds.
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn a_lack_of_descriptors_is_said() {
    let script = "ulimit -n 24; exec \"$0\" serve --listen 127.0.0.1:0 --max-connections 1000";
    let binary = env!("CARGO_BIN_EXE_postwire");
    let mut server = Command::new("sh")
        .args(["-c", script, binary])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(server.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    let port = line.trim_end().rsplit(':').next().unwrap();
    let port = port.parse().unwrap();
    let mut clients: Vec<_> = (0..30).map(|_| Client::connect(port)).collect();
    let replies: Vec<_> = clients.iter_mut().map(Client::reply).collect();
    // Everybody gets an answer: those for whom there is no descriptor too.
    assert!(replies[0].starts_with("220 "), "{replies:?}");
    assert!(
        replies.iter().any(|reply| reply.starts_with("421 4.3.2 ")),
        "{replies:?}"
    );
    drop(clients);
    // Then there is room again.
    let begun = Instant::now();
    while !Client::connect(port).reply().starts_with("220 ") {
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
    server.kill().unwrap();
    let stderr = server.wait_with_output().unwrap().stderr;
    let stderr = String::from_utf8(stderr).unwrap();
    let said = "postwire: cannot accept a connection: Too many open files";
    assert!(stderr.contains(said), "{stderr}");
}

#[test]
fn a_start_that_fails_leaves_the_files_of_another() {
    let server = Serve::start(&["--tls", "starttls"]);
    let before = fs::read(server.authority()).unwrap();
    let address = format!("127.0.0.1:{}", server.port);
    let authority = server.authority();
    let ports = authority.with_file_name("ports.json");
    let mut arguments = vec!["serve", "--listen", &address, "--tls", "starttls"];
    arguments.extend(["--ca-out", authority.to_str().unwrap()]);
    arguments.extend(["--port-file", ports.to_str().unwrap()]);
    let second = run(&arguments);
    assert_eq!(second.status, 71, "{second:#?}");
    assert_eq!(fs::read(server.authority()).unwrap(), before);
    assert!(!ports.exists());
}

#[test]
fn the_addresses_are_in_a_private_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ports.json");
    let server = Serve::start(&["--port-file", file.to_str().unwrap()]);
    let written: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let expected = serde_json::json!({
        "smtp": { "address": "127.0.0.1", "port": server.port },
        "process": server.process(),
    });
    assert_eq!(written, expected);
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(server.interrupt().0, Some(0));
    assert!(!file.exists());
    // What is not a file stays as it is.
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("/dev/null", &link).unwrap();
    for path in ["/no/such/folder/file", link.to_str().unwrap()] {
        let refused = run(&["serve", "--listen", "127.0.0.1:0", "--port-file", path]);
        assert_eq!(refused.status, 71, "{refused:#?}");
    }
    assert!(link.is_symlink());
}
