//! Errors that are found before a connection is made.

use std::fs;
use std::net::TcpListener;

use crate::run::{LOGIN, PASSWORD, Run, Serve, run, run_with, send_to, with};

/// A server that must not be connected.
struct Uncalled {
    listener: TcpListener,
    url: String,
}

impl Uncalled {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = format!("smtp://127.0.0.1:{port}?tls=none");
        Self { listener, url }
    }

    /// Runs `send` to this server, with these options replacing the valid ones.
    fn send(&self, options: &[(&str, &str)]) -> Run {
        let mut arguments = vec!["send".to_owned()];
        for (name, right) in [
            ("--server", self.url.as_str()),
            ("--from", "alice@example.org"),
            ("--to", "bob@example.net"),
        ] {
            if !options.iter().any(|(given, _)| *given == name) {
                arguments.push(format!("{name}={right}"));
            }
        }
        for (name, value) in options {
            arguments.push(match *value {
                "" if !name.contains("from") => (*name).to_owned(),
                value => format!("{name}={value}"),
            });
        }
        arguments.push("--json".to_owned());
        run(&arguments)
    }

    #[track_caller]
    fn assert_uncalled(&self) {
        assert!(self.listener.accept().is_err(), "it was called");
    }

    #[track_caller]
    fn refuses(&self, options: &[(&str, &str)], said: &str) -> Run {
        let run = self.send(options);
        assert_eq!(run.status, 64, "{options:?} {run:#?}");
        assert_eq!(run.stdout, "", "{run:#?}");
        assert!(run.stderr.starts_with("postwire: "), "{run:#?}");
        assert!(run.stderr.contains(said), "{options:?} {run:#?}");
        assert_eq!(run.stderr.lines().count(), 1, "{run:#?}");
        self.assert_uncalled();
        run
    }
}

#[test]
fn no_argument_ends_its_line_early() {
    let server = Uncalled::new();
    for bad in [
        "\r",
        "\n",
        "\r\n",
        "\r\nQUIT\r\n",
        " ",
        "\t",
        "\u{0b}",
        "\u{85}",
    ] {
        let from = format!("alice{bad}@example.org");
        server.refuses(&[("--from", &from)], "--from: ");
        let from = format!("alice@example.org{bad}");
        server.refuses(&[("--from", &from)], "--from: ");
        let to = format!("bob@example{bad}.net");
        server.refuses(&[("--to", "carol@example.net"), ("--to", &to)], "--to: ");
        let hello = format!("client{bad}.example.org");
        server.refuses(&[("--hello", &hello)], "--hello: ");
        let url = format!("{}{bad}", server.url);
        server.refuses(&[("--server", &url)], "--server: ");
        let auth = format!("PLAIN{bad}");
        let login = [
            ("--user", "alice"),
            ("--password-env", "POSTWIRE_TEST_PASSWORD"),
        ];
        server.refuses(&[login[0], login[1], ("--auth", &auth)], "--auth: ");
        let timeout = format!("1{bad}");
        server.refuses(&[("--timeout", &timeout)], "--timeout: ");
        let number = format!("998{bad}");
        server.refuses(&[("--max-line", &number)], "--max-line: ");
        let switch = format!("on{bad}");
        server.refuses(&[("--pipelining", &switch)], "--pipelining");
        server.refuses(&[("--chunking", &switch)], "--chunking");
        let runtime = format!("blocking{bad}");
        server.refuses(&[("--runtime", &runtime)], "--runtime");
    }
    for bad in ["\r", "\n", "\r\nQUIT"] {
        let user = format!("alice{bad}");
        server.refuses(
            &[
                ("--user", &user),
                ("--password-env", "POSTWIRE_TEST_PASSWORD"),
            ],
            "--user: ",
        );
        // Percent-encoding in the URL makes no difference.
        let encoded = bad.replace('\r', "%0d").replace('\n', "%0A");
        let rest = server.url.strip_prefix("smtp://").unwrap();
        let url = format!("smtp://alice{encoded}:secret@{rest}");
        server.refuses(&[("--server", &url)], "--server: ");
    }
}

#[test]
fn invalid_addresses_urls_and_names_are_refused() {
    let server = Uncalled::new();
    for bad in [
        "bob",
        "@example.net",
        "bob@",
        "<bob@example.net>",
        "bob@example..net",
        "a@b@c",
    ] {
        server.refuses(&[("--to", bad)], "--to: ");
        server.refuses(&[("--from", bad)], "--from: ");
    }
    for bad in [
        "127.0.0.1:25",
        "http://127.0.0.1",
        "smtp://",
        "smtp://127.0.0.1:0",
        "smtp://127.0.0.1:65536",
        "smtp://127.0.0.1?tls=maybe",
        "smtp://127.0.0.1?tls=none&x=y",
        "smtps://127.0.0.1?tls=none",
        "smtp://alice@127.0.0.1",
        "smtp://::1",
    ] {
        server.refuses(&[("--server", bad)], "--server: ");
    }
    server.refuses(&[("--hello", "-a")], "--hello: ");
}

#[test]
fn invalid_numbers_and_choices_are_refused() {
    let server = Uncalled::new();
    for bad in ["0", "-1", "nan", "inf", "1e400", "soon", "0.0"] {
        server.refuses(&[("--timeout", bad)], "--timeout: ");
    }
    server.refuses(&[("--max-line", "0")], "--max-line: ");
    server.refuses(
        &[("--pipelining", "maybe")],
        "must be one of off, careful, bold",
    );
    server.refuses(
        &[("--runtime", "monoio")],
        "must be one of blocking, async-std, smol, tokio",
    );
    server.refuses(
        &[("--line-ends", "mend")],
        "must be one of normalize, refuse",
    );
    server.refuses(
        &[("--no-such-option", "1")],
        "--no-such-option: there is no such option",
    );
    server.refuses(&[("--message", "-"), ("--message", "-")], "--message: ");
    server.refuses(
        &[("--timeout", "1"), ("--timeout", "1")],
        "cannot be given twice",
    );
    server.refuses(&[("--ca", "/no/such/file")], "--ca: ");
    server.refuses(&[("--ca", "/dev/null")], "--ca: ");
}

#[test]
fn invalid_envelope_parameters_are_refused() {
    let server = Uncalled::new();
    for (name, bad) in [
        ("--dsn-ret", "all"),
        ("--dsn-ret", "FULL\r\nQUIT"),
        ("--dsn-envid", "\u{e9}"),
        ("--dsn-envid", "a\r\nb"),
        ("--notify", "always"),
        ("--notify", "never,delay"),
        ("--orcpt", "bob@example.net"),
        ("--orcpt", "eve@example.net=bob@example.net"),
        ("--orcpt", "bob@example.net=nobody"),
        ("--orcpt", "bob@example.net=rfc822;nobody"),
        ("--orcpt", "bob@example.net=;x"),
        ("--orcpt", "bob@example.net=x400;"),
        ("--orcpt", "bob@example.net=x400;a\r\nQUIT"),
        ("--deliver-by", "soon"),
        ("--deliver-by", "0"),
        ("--deliver-by", "-5"),
        ("--deliver-by", "60:later"),
        ("--deliver-by", "60;R"),
        ("--deliver-by", "1000000000:notify"),
        ("--hold-for", "0"),
        ("--hold-for", "-1"),
        ("--hold-for", "1 QUIT"),
        ("--hold-until", "tomorrow"),
        ("--hold-until", "2030-01-31T12:00:00"),
        ("--priority", "10"),
        ("--priority", "+1"),
        ("--mail-param", "X FOO"),
        ("--mail-param", "XFOO="),
        ("--mail-param", "XFOO=a b"),
        ("--mail-param", "XFOO=a\r\nQUIT"),
        ("--mail-param", "SIZE=1"),
        ("--mail-param", "X Y:FOO=1"),
        ("--mail-param", "X:Y:FOO=1"),
        ("--rcpt-param", "=1"),
        ("--rcpt-param", "BODY=8BITMIME"),
    ] {
        server.refuses(&[(name, bad)], &format!("{name}: "));
    }
    for (twice, said) in [
        (
            [("--mail-param", "XFOO=1"), ("--mail-param", "xfoo")],
            "--mail-param: a keyword is given twice",
        ),
        (
            [("--dsn-ret", "full"), ("--mail-param", "RET=HDRS")],
            "--mail-param: a keyword is given twice",
        ),
        (
            [("--notify", "never"), ("--rcpt-param", "NOTIFY=DELAY")],
            "--rcpt-param: a keyword is given twice",
        ),
        (
            [
                ("--orcpt", "bob@example.net=a@b.example"),
                ("--orcpt", "bob@example.net=c@b.example"),
            ],
            "--orcpt: is given twice",
        ),
        (
            [
                ("--hold-for", "1"),
                ("--hold-until", "2030-01-31T12:00:00Z"),
            ],
            "cannot be given with",
        ),
    ] {
        server.refuses(&twice, said);
    }
}

#[test]
fn the_authorization_identity_needs_a_suitable_login() {
    let server = Uncalled::new();
    let login = [("--user", "alice"), LOGIN_VARIABLE];
    let named = |name| [login[0], login[1], ("--acting-for", name)];
    server.refuses(&named("a\r\nb"), "--acting-for: ");
    server.refuses(&[("--acting-for", "bob")], "needs a login");
    for mechanism in ["LOGIN", "CRAM-MD5", "XOAUTH2"] {
        let named = [
            login[0],
            login[1],
            ("--acting-for", "bob"),
            ("--auth", mechanism),
        ];
        server.refuses(&named, "--acting-for: is not supported by");
    }
    let external = ("--auth", "EXTERNAL");
    let twice = [external, ("--user", "alice"), ("--acting-for", "bob")];
    server.refuses(&twice, "--acting-for: ");
}

#[test]
fn an_incomplete_login_is_refused() {
    let server = Uncalled::new();
    server.refuses(&[("--user", "alice")], "needs a password too");
    server.refuses(
        &[("--password-env", "POSTWIRE_TEST_PASSWORD")],
        "needs a user too",
    );
    server.refuses(&[("--auth", "PLAIN")], "--auth: ");
    let bound = ("--channel-binding", "required");
    server.refuses(&[bound], "--channel-binding: needs a login");
    let probed = run(&["probe", &server.url, "--channel-binding", "required"]);
    assert_eq!(probed.status, 64, "{probed:#?}");
    server.assert_uncalled();
    let unset = ("--password-env", "POSTWIRE_TEST_UNSET");
    server.refuses(&[("--user", "alice"), unset], "is not set");
    server.refuses(
        &[("--user", "alice"), LOGIN_VARIABLE, ("--auth", "NTLM")],
        "--auth: ",
    );
}

const LOGIN_VARIABLE: (&str, &str) = (LOGIN[2], LOGIN[3]);

#[test]
fn a_password_given_in_the_wrong_place_is_not_repeated() {
    // Every run is checked for the password in its output.
    let server = Uncalled::new();
    server.refuses(&[("--password", PASSWORD)], "there is no such option");
    server.refuses(
        &[("--user", "alice"), ("--password-env", PASSWORD)],
        "is not set",
    );
    server.refuses(&[("--timeout", PASSWORD)], "--timeout: ");
    server.refuses(&[("--pipelining", PASSWORD)], "must be one of");
    server.refuses(
        &[("--server", &format!("smtp://alice:{PASSWORD}@"))],
        "--server: ",
    );
    server.refuses(
        &[("--server", &format!("smpt://a:{PASSWORD}@host"))],
        "--server: ",
    );
    server.refuses(
        &[("--server", &format!("smtp://a:{PASSWORD}/x@host"))],
        "--server: ",
    );
    server.refuses(&[("--to", &format!("{PASSWORD} @host"))], "--to: ");
    let url = format!("smtp://alice:{PASSWORD}@host");
    for arguments in [
        vec!["send", url.as_str()],
        vec![url.as_str()],
        vec!["send", "--json", PASSWORD],
    ] {
        let run = run(&arguments);
        assert_eq!((run.status, run.stdout.as_str()), (64, ""), "{run:#?}");
    }
}

#[test]
fn missing_arguments_are_named() {
    for arguments in [
        vec![],
        vec!["send"],
        vec![
            "send",
            "--server",
            "smtp://localhost",
            "--from",
            "a@b.example",
        ],
        vec![
            "send",
            "--server",
            "smtp://localhost",
            "--to",
            "a@b.example",
        ],
        vec!["send", "--from", "a@b.example", "--to", "a@b.example"],
        vec!["send", "--server"],
        vec!["probe"],
        vec!["deliver"],
    ] {
        let run = run::<&str>(&arguments);
        assert_eq!(run.status, 64, "{arguments:?} {run:#?}");
        assert_eq!(run.stdout, "");
        assert_ne!(run.stderr, "");
    }
}

#[test]
fn help_and_version_are_not_errors() {
    for arguments in [
        vec!["--help"],
        vec!["--version"],
        vec!["send", "--help"],
        vec!["serve", "--help"],
        vec!["probe", "--help"],
        vec!["demo", "--help"],
        vec!["help"],
    ] {
        let run = run(&arguments);
        assert_eq!(run.status, 0, "{run:#?}");
        assert_ne!(run.stdout, "");
        assert_eq!(run.stderr, "");
    }
}

#[test]
fn an_unreadable_file_is_named() {
    let server = Uncalled::new();
    let arguments = |json: bool| {
        let mut arguments = vec![
            "send",
            "--server",
            server.url.as_str(),
            "--from",
            "",
            "--to",
        ];
        arguments.extend(["a@b.example", "--to", "c@b.example"]);
        arguments.extend([
            "--message",
            "-",
            "--message",
            "/no/such/file",
            "--message",
            "/",
        ]);
        arguments.extend(json.then_some("--json"));
        arguments.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let sent = run(&arguments(true));
    assert_eq!(sent.status, 66, "{sent:#?}");
    let objects = sent.objects();
    assert_eq!(objects.len(), 3);
    for (position, object) in objects.iter().enumerate() {
        assert_eq!(object["message"], position);
        assert_eq!(object["outcome"], "not_sent");
        assert_eq!(object["stage"], serde_json::Value::Null);
        assert_eq!(object["recipients"][1]["address"], "c@b.example");
        assert_eq!(object["recipients"][1]["status"], "not_sent");
        assert!(object["error"].as_str().unwrap().contains("/no/such/file"));
    }
    let sent = run(&arguments(false));
    assert_eq!((sent.status, sent.stdout.as_str()), (66, ""));
    assert!(
        sent.stderr
            .starts_with("postwire: cannot read /no/such/file: "),
        "{sent:#?}"
    );
    server.assert_uncalled();

    // Options are checked before files.
    server.refuses(
        &[("--message", "/no/such/file"), ("--to", "nobody")],
        "--to: ",
    );
}

#[test]
fn messages_that_no_server_can_accept() {
    let server = Uncalled::new();
    let arguments = [
        "send",
        "--server",
        &server.url,
        "--from",
        "",
        "--to",
        "a@b.example",
        "--json",
    ];
    let arguments = arguments.map(str::to_owned).to_vec();
    let refuse = with(arguments.clone(), &["--line-ends", "refuse"]);
    let sent = run_with(&refuse, b"Subject: a\n\nb\rc\n");
    let object = sent.assert_is(65, "not_sent", Some("mail"));
    assert!(object["error"].as_str().unwrap().contains("lone"));
    let short = with(arguments, &["--max-line", "10"]);
    run_with(&short, b"Subject: a\r\n\r\n01234567890\r\n").assert_is(65, "not_sent", Some("mail"));
    server.assert_uncalled();
}

#[test]
fn errors_show_the_correct_form() {
    let server = Uncalled::new();
    for (option, given, said) in [
        ("--to", "b@x,c@x", "takes one address; give --to again"),
        ("--from", "b@x, c@x", "one address"),
        ("--to", "b@[2001:db8::1]", "write [IPv6:2001:db8::1]"),
        ("--hello", "[2001:db8::1]", "write [IPv6:2001:db8::1]"),
        (
            "--server",
            "localhost:2525",
            "for a test server on this machine use smtp://localhost:2525?tls=none",
        ),
        ("--server", "alice:2525", "does not begin with"),
        ("--server", "localhost", "use smtp://localhost:25?tls=none"),
        ("--server", "[::1]", "use smtp://[::1]:25?tls=none"),
    ] {
        let refused = server.refuses(&[(option, given)], said);
        let meant = refused.stderr.contains("test server");
        let local = ["localhost:2525", "localhost", "[::1]"].contains(&given);
        assert_eq!(meant, local, "{refused:#?}");
    }
    for (url, said) in [
        (
            "smtp://h?tls=off",
            "not one of `none`, `opportunistic` and `required`",
        ),
        ("smtp://h?tls=wrapper", "is written `smtps://`"),
        ("smtps://h?tls=off", "leave `tls=` out"),
        ("lmtp://h?tls=off", "`required` and `wrapper`"),
    ] {
        let refused = server.refuses(&[("--server", url)], said);
        let named = refused.stderr.matches("wrapper").count();
        assert_eq!(
            named > 0,
            url.starts_with("lmtp") || url.ends_with("wrapper")
        );
    }
    let unset = ("--password-env", "POSTWIRE_TEST_UNSET");
    let said = "the environment variable POSTWIRE_TEST_UNSET is not set";
    server.refuses(&[("--user", "alice"), unset], said);
    for (given, missing) in [("--key", "--cert"), ("--cert", "--key")] {
        let refused = run(&["serve", "--tls", "starttls", given, "x"]);
        assert_eq!(refused.status, 64, "{refused:#?}");
        let said = format!("postwire: {given}: needs {missing}\n");
        assert_eq!(refused.stderr, said);
    }
}

#[test]
fn help_shows_the_defaults() {
    let help = run(&["send", "--help"]).stdout;
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for said in [
        "[default: standard input]",
        "each stage, not the whole run [default: 30 seconds to connect, and 1 to 10 minutes",
        "[default: careful]",
        "[default: on]",
        "[default: normalize]",
        "[default: no limit]",
        "465 for smtps://, 24 for lmtp://, and 587 for smtp://, or 25 with",
        "The message is not sent where DSN is not offered",
    ] {
        assert!(help.contains(said), "{said}: {help}");
    }
    assert!(!help.contains("Not sent"), "{help}");
}

#[test]
fn the_front_page_names_each_field_of_the_object() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let server = Serve::start(&[]);
    let url = format!("smtp://127.0.0.1:{}?tls=none", server.port);
    let object = run(&send_to(&url)).assert_is(0, "accepted", None);
    for field in object.as_object().unwrap().keys() {
        assert!(page.contains(&format!("\n| `{field}` | ")), "{field}");
    }
}
