//! `demo`, `serve` and `probe`.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::run::{LOGIN, RUNTIMES, Serve, postwire, run, send_to, with};
use crate::script::Scripted;

#[test]
fn demo_shows_all_modes_and_runtimes() {
    let shown = run(&["demo"]);
    assert_eq!(shown.status, 0, "{shown:#?}");
    assert_eq!(shown.stderr, "");
    let mut rows = shown
        .stdout
        .lines()
        .filter(|line| line.contains(" accepted: "));
    for (mode, tls) in [
        ("none", "none"),
        ("opportunistic", "TLSv1.3"),
        ("required", "TLSv1.3"),
        ("wrapper", "TLSv1.3"),
    ] {
        for runtime in RUNTIMES {
            let row = rows.next().unwrap();
            let words: Vec<&str> = row.split_whitespace().collect();
            assert_eq!(words[..3], [mode, runtime, tls], "{shown:#?}");
            assert!(row.ends_with(" accepted: 250 2.0.0 message accepted"));
        }
    }
    assert_eq!(rows.next(), None);
    let all = 4 * RUNTIMES.len();
    let last = format!(
        "\n{all} of {all} delivered messages are identical, octet for octet, to the one sent\n"
    );
    assert!(shown.stdout.ends_with(&last), "{shown:#?}");
}

#[test]
fn demo_counts_flights() {
    // One entry per mode; the TLS handshake takes two flights and its close one.
    for (options, most) in [
        (&["--pipelining", "bold"][..], [2, 7, 7, 6]),
        (&["--chunking", "on"], [3, 8, 8, 7]),
        (&["--chunking", "off"], [4, 9, 9, 8]),
        (
            &["--pipelining", "off", "--chunking", "off"],
            [7, 12, 12, 11],
        ),
    ] {
        let shown = run(&[&["demo", "--json"][..], options].concat());
        assert_eq!(shown.status, 0, "{shown:#?}");
        let findings = shown.object();
        assert_eq!(findings["identical"], 4 * RUNTIMES.len());
        let deliveries = findings["deliveries"].as_array().unwrap();
        assert_eq!(deliveries.len(), 4 * RUNTIMES.len());
        for (at, delivery) in deliveries.iter().enumerate() {
            let (mode, runtime) = (at / RUNTIMES.len(), at % RUNTIMES.len());
            assert_eq!(delivery["runtime"], RUNTIMES[runtime]);
            let flights = delivery["flights"].as_u64().unwrap();
            assert!(flights <= most[mode], "{delivery:#}");
            assert_eq!(delivery["tls"].is_null(), mode == 0);
            assert!(delivery["written"].as_u64() > findings["octets"].as_u64());
            assert_eq!(
                delivery["commands"],
                deliveries[mode * RUNTIMES.len()]["commands"]
            );
        }
    }
}

#[test]
fn demo_output_may_be_read_in_part() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = postwire();
    command
        .arg("demo")
        .stdout(writer)
        .stderr(std::process::Stdio::piped());
    let shown = crate::run::finish(command, b"");
    assert_eq!((shown.status, shown.stderr.as_str()), (0, ""));
}

#[test]
fn serve_ends_on_ctrl_c() {
    let idle = Serve::start(&[]);
    let (status, took) = idle.interrupt();
    assert_eq!(status, Some(0));
    assert!(took.as_secs_f32() < 1.0, "{took:?}");

    // A client in the middle of a message does not delay the end.
    let busy = Serve::start(&[]);
    let mut client = TcpStream::connect(("127.0.0.1", busy.port)).unwrap();
    client
        .write_all(b"HELO me\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n")
        .unwrap();
    let mut replies = BufReader::new(client.try_clone().unwrap()).lines();
    assert!(replies.any(|line| line.unwrap().starts_with("354")));
    client.write_all(b"half a mess").unwrap();
    let (status, took) = busy.interrupt();
    assert_eq!(status, Some(0));
    assert!(took.as_secs_f32() < 1.0, "{took:?}");
}

#[test]
fn serve_limits_its_connections() {
    let server = Serve::start(&["--max-connections", "1"]);
    let connect = || BufReader::new(TcpStream::connect(("127.0.0.1", server.port)).unwrap());
    let line = |reader: &mut BufReader<TcpStream>| {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        line
    };
    let mut first = connect();
    assert!(line(&mut first).starts_with("220 "));
    assert!(line(&mut connect()).starts_with("421 4.3.2 "));
    first.get_mut().write_all(b"QUIT\r\n").unwrap();
    assert!(line(&mut first).starts_with("221 "));
    assert_eq!(line(&mut first), "");
    // The place becomes free a moment later.
    let free = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        line(&mut connect()).starts_with("220 ")
    });
    assert!(free);
}

#[test]
fn serve_refuses_invalid_options() {
    for arguments in [
        &["--listen", "nowhere"][..],
        &["--hostname", "a b"],
        &["--auth", "alice:POSTWIRE_TEST_PASSWORD"],
        &["--tls", "starttls", "--auth", "alice"],
        &["--tls", "starttls", "--auth", "alice:POSTWIRE_TEST_UNSET"],
        &[
            "--tls",
            "wrapper",
            "--cert",
            "/no/such/file",
            "--key",
            "/no/such/file",
        ],
        &["--tls", "wrapper", "--cert", "/no/such/file"],
        &["--reject", "bob=550"],
        &["--reject", "bob@example.net=250"],
        &["--require-tls"],
        &["--size", "many"],
        &["--offer", "X FOO"],
        &["--offer", "DELIVERBY=soon"],
        &["--offer", "MT-PRIORITY=3"],
        &["--offer", "dsn"],
        &["--client-ca", "/dev/null"],
        &["--tls", "wrapper", "--client-ca", "/dev/null"],
    ] {
        let served = run(&[&["serve"], arguments].concat());
        assert_eq!(
            (served.status, served.stdout.as_str()),
            (64, ""),
            "{arguments:?} {served:#?}"
        );
    }
    let server = Serve::start(&[]);
    let address = format!("127.0.0.1:{}", server.port);
    let served = run(&["serve", "--listen", &address]);
    assert_eq!(served.status, 71, "{served:#?}");
    assert!(
        served.stderr.starts_with("postwire: cannot listen on "),
        "{served:#?}"
    );
}

#[test]
fn serve_requires_tls_and_a_login() {
    let server = Serve::start(&["--tls", "starttls", "--require-tls"]);
    let url = format!("smtp://localhost:{}?tls=none", server.port);
    let refused = run(&send_to(&url)).assert_is(69, "rejected", Some("mail"));
    assert_eq!(refused["reply"]["code"], 530);

    let users = [
        "--auth",
        "alice",
        "--password-env",
        "POSTWIRE_TEST_PASSWORD",
    ];
    let options = [&users[..], &["--plaintext-auth", "--optional-auth"]].concat();
    let server = Serve::start(&options);
    let url = format!("smtp://localhost:{}?tls=none", server.port);
    run(&send_to(&url)).assert_is(0, "accepted", None);
    let arguments = with(with(send_to(&url), &LOGIN), &["--allow-plaintext-auth"]);
    run(&arguments).assert_is(0, "accepted", None);
}

#[test]
fn probe_shows_the_properties_of_a_server() {
    let server = Serve::start(&[
        "--tls",
        "starttls",
        "--auth",
        "alice:POSTWIRE_TEST_PASSWORD",
        "--size",
        "12345",
    ]);
    let url = format!("smtp://localhost:{}", server.port);
    let authority = server.authority();
    let trust = ["--ca", authority.to_str().unwrap()];
    let probed = run(&[&["probe", &url, "--json"], &trust[..]].concat());
    assert_eq!(probed.status, 0, "{probed:#?}");
    let found = probed.object();
    assert_eq!(found["reached"], true);
    assert_eq!(found["greeting"]["code"], 220);
    assert_eq!(found["tls"]["version"], "TLSv1.3");
    let names = ["localhost", "127.0.0.1", "::1"];
    assert_eq!(found["certificate"]["names"], serde_json::json!(names));
    assert_eq!(
        found["certificate"]["issuer"],
        "CN=postwire authority of this run"
    );
    assert_eq!(found["capabilities"]["size"]["octets"], 12_345);
    let mechanisms = serde_json::json!([
        "SCRAM-SHA-512-PLUS",
        "SCRAM-SHA-256-PLUS",
        "SCRAM-SHA-1-PLUS",
        "SCRAM-SHA-512",
        "SCRAM-SHA-256",
        "SCRAM-SHA-1",
        "CRAM-MD5",
        "PLAIN",
        "LOGIN",
        "OAUTHBEARER",
        "XOAUTH2"
    ]);
    assert_eq!(found["capabilities"]["auth"], mechanisms);

    let login = [&["probe", &url][..], &LOGIN, &trust].concat();
    let probed = run(&login);
    assert_eq!(
        (probed.status, probed.stderr.as_str()),
        (0, ""),
        "{probed:#?}"
    );
    for line in [
        "greeting      220 localhost ESMTP postwire\n",
        "auth          SCRAM-SHA-512-PLUS SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS SCRAM-SHA-512 \
         SCRAM-SHA-256 SCRAM-SHA-1 CRAM-MD5 PLAIN LOGIN OAUTHBEARER XOAUTH2\n",
        "largest       12345 octets\n",
    ] {
        assert!(probed.stdout.contains(line), "{probed:#?}");
    }

    let probed = run(&["probe", &url, "--json"]);
    assert_eq!(probed.status, 77, "{probed:#?}");
    let found = probed.object();
    assert_eq!(found["stage"], "tls");
    assert_eq!(found["certificate"], Value::Null);
    assert_eq!(found["greeting"]["code"], 220);
}

#[test]
fn probe_uses_the_exit_statuses_of_send() {
    let server = Scripted::script("S: 554 5.7.1 not\u{1b}[2J you");
    let probed = run(&["probe", &server.url()]);
    assert_eq!(probed.status, 69, "{probed:#?}");
    assert_eq!(
        probed.stderr,
        "postwire: greeting: the server refused: 554 5.7.1 not\\x1b[2J you\n"
    );
    let server = Scripted::script(
        "S: 220 mx\nC: EHLO\nS: 250-mx\nS: 250-LIMITS RCPTMAX=10\nS: 250 X-\u{9b}",
    );
    let probed = run(&["probe", &server.url(), "--trace"]);
    assert_eq!(probed.status, 0, "{probed:#?}");
    assert!(
        probed
            .stdout
            .contains("at most       10 recipients per message\n"),
        "{probed:#?}"
    );
    assert!(!probed.stdout.contains('\u{9b}') && !probed.stderr.contains('\u{9b}'));
    assert!(
        probed
            .stderr
            .starts_with("S: 220 mx\nC: EHLO [127.0.0.1]\n"),
        "{probed:#?}"
    );
    let server = Scripted::script("S: 220 mx\nC: EHLO\nS: 250 mx");
    let url = format!("smtp://127.0.0.1:{}", server.port);
    assert_eq!(run(&["probe", &url]).status, 77);
    assert_eq!(run(&["probe", "smtp://127.0.0.1:1?tls=none"]).status, 75);
    assert_eq!(run(&["probe", "ftp://127.0.0.1"]).status, 64);
}
