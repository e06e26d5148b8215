//! `probe` as a report: whatever fails, what was learnt until then is shown.

use std::io::Read;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use postwire_tls::rustls::pki_types::pem::PemObject;
use postwire_tls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use postwire_tls::rustls::{ServerConfig, ServerConnection, Stream, version};
use rcgen::date_time_ymd;
use serde_json::{Value, json};

use crate::certificates::Files;
use crate::run::{Run, Serve, run};
use crate::script::{Peer, Scripted};

fn probe(url: &str, more: &[&str]) -> (Run, Value) {
    let probed = run(&[&["probe", url, "--json"], more].concat());
    let object = probed.object();
    (probed, object)
}

/// The mode's object.
fn mode<'a>(object: &'a Value, name: &str) -> &'a Value {
    let modes = object["modes"].as_array().unwrap();
    let found = modes.iter().find(|mode| mode["mode"] == name);
    found.unwrap_or_else(|| panic!("{object:#}"))
}

/// Whether each mode works, in the order of the modes.
fn works(object: &Value) -> [bool; 4] {
    ["none", "opportunistic", "required", "wrapper"]
        .map(|name| mode(object, name)["works"].as_bool().unwrap())
}

fn has_advice(object: &Value, words: &str) -> bool {
    let advice = object["advice"].as_array().unwrap();
    advice
        .iter()
        .any(|sentence| sentence.as_str().unwrap().contains(words))
}

/// Probes a server with these certificates in both ways to begin TLS.
#[track_caller]
fn assert_shown(files: &Files, trust: bool, why: &str, subject: &Value) {
    for (tls, scheme) in [("starttls", "smtp"), ("wrapper", "smtps")] {
        let server = files.serve(tls);
        let url = format!("{scheme}://localhost:{}", server.port);
        let authority = files.path("ca");
        let trusted = ["--ca", authority.to_str().unwrap()];
        let more = if trust { &trusted[..] } else { &[] };
        let (probed, object) = probe(&url, more);
        assert_eq!(probed.status, 77, "{probed:#?}");
        assert_eq!(object["reached"], false);
        assert_eq!(object["stage"], "tls");
        // The chain is what the server presents, the certificate what the session accepted.
        assert_eq!(object["certificate"], Value::Null);
        assert_eq!(object["chain"][0]["names"], *subject);
        assert_eq!(object["chain"][0]["issuer"], "CN=rcgen self signed cert");
        let said = object["certificate_error"].as_str().unwrap();
        assert!(said.contains(why), "{said}");
        for version in object["tls_versions"].as_array().unwrap() {
            assert_eq!(version["accepted"], true, "{version}");
            assert_ne!(version["cipher"], Value::Null);
        }
        assert!(has_advice(&object, "Clients that verify certificates"));
        if tls == "starttls" {
            assert_eq!(works(&object), [true, false, false, false]);
            assert_eq!(object["greeting"]["code"], 220);
            assert_eq!(object["before_tls"]["starttls"], true);
        } else {
            assert_eq!(works(&object), [false; 4]);
        }

        let shown = run(&[&["probe", &url], more].concat());
        assert_eq!(shown.status, 77);
        for text in [
            "certificate   CN=rcgen self signed cert\n".to_owned(),
            format!("valid for     {}\n", subject[0].as_str().unwrap()),
            format!("not accepted  {said}\n"),
            "TLSv1.3       TLS13_".to_owned(),
        ] {
            assert!(shown.stdout.contains(&text), "{text} {shown:#?}");
        }
        assert_eq!(server.messages().len(), 0);
    }
}

#[test]
fn an_expired_certificate_is_shown() {
    let expired = Files::make("localhost", |certificate| {
        certificate.not_before = date_time_ymd(2020, 1, 1);
        certificate.not_after = date_time_ymd(2021, 1, 1);
    });
    assert_shown(
        &expired,
        true,
        "expired on 2021-01-01",
        &json!(["localhost"]),
    );
}

#[test]
fn a_certificate_for_another_name_is_shown() {
    let other = Files::make("other.example", |_| {});
    assert_shown(&other, true, "not for localhost", &json!(["other.example"]));
}

#[test]
fn a_certificate_of_an_unknown_authority_is_shown() {
    let unknown = Files::make("localhost", |_| {});
    assert_shown(
        &unknown,
        false,
        "not signed by a trusted authority",
        &json!(["localhost"]),
    );
}

/// A TLS server that keeps the plaintext that it receives.
struct Listening {
    port: u16,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Listening {
    fn start(files: &Files, only_tls_1_2: bool) -> Self {
        let chain = CertificateDer::from_pem_file(files.path("cert")).unwrap();
        let key = PrivateKeyDer::from_pem_file(files.path("key")).unwrap();
        let versions = if only_tls_1_2 {
            &[&version::TLS12][..]
        } else {
            &[&version::TLS12, &version::TLS13]
        };
        let provider = postwire_tls::rustls::crypto::aws_lc_rs::default_provider();
        let config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![chain], key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&heard);
        thread::spawn(move || {
            for socket in listener.incoming() {
                let mut socket = socket.unwrap();
                let limit = Some(Duration::from_secs(15));
                socket.set_read_timeout(limit).unwrap();
                let (config, hears) = (Arc::clone(&config), Arc::clone(&hears));
                thread::spawn(move || {
                    let mut session = ServerConnection::new(config).unwrap();
                    let mut received = Vec::new();
                    // The handshake may fail, which shows in the client's report.
                    let _ = Stream::new(&mut session, &mut socket).read_to_end(&mut received);
                    hears.lock().unwrap().extend(received);
                });
            }
        });
        Self { port, heard }
    }
}

#[test]
fn nothing_is_sent_over_a_session_whose_certificate_is_not_accepted() {
    let files = Files::make("localhost", |_| {});
    let server = Listening::start(&files, true);
    let url = format!("smtps://user:secret@localhost:{}", server.port);
    let (probed, object) = probe(&url, &["--timeout", "3", "--refused-bdat"]);
    assert_eq!(probed.status, 77, "{probed:#?}");
    let versions = &object["tls_versions"];
    assert_eq!(versions[0]["version"], "TLSv1.3");
    assert_eq!(versions[0]["accepted"], false, "{versions}");
    assert_eq!(versions[1]["version"], "TLSv1.2");
    assert_eq!(versions[1]["accepted"], true, "{versions}");
    assert!(has_advice(&object, "does not take TLS 1.3"));
    assert_eq!(object["refused_bdat"]["works"], Value::Null);
    assert!(object["chain"][0]["days_left"].as_i64().unwrap() > 0);
    // The threads of the server may still be reading the ends of the sessions.
    thread::sleep(Duration::from_millis(100));
    assert_eq!(*server.heard.lock().unwrap(), b"");
}

/// The way from a refused certificate to one that is trusted.
#[test]
fn a_presented_chain_is_written_and_then_trusted() {
    let files = Files::make("localhost", |_| {});
    files.sign_itself("localhost");
    let server = files.serve("starttls");
    let url = format!("smtp://localhost:{}", server.port);
    let out = files.path("chain");
    let out = out.to_str().unwrap();
    let (probed, object) = probe(&url, &["--chain-out", out]);
    assert_eq!(probed.status, 77, "{probed:#?}");
    assert_eq!(object["chain"][0]["key"], "EC 256");
    let written = std::fs::read_to_string(out).unwrap();
    let presented = std::fs::read_to_string(files.path("cert")).unwrap();
    assert_eq!(written, presented.replace("\r\n", "\n"));
    let (probed, object) = probe(&url, &["--ca", out]);
    assert_eq!(probed.status, 0, "{probed:#?}");
    assert_eq!(object["certificate_error"], Value::Null);

    let plain = Serve::start(&[]);
    let url = format!("127.0.0.1:{}", plain.port);
    let nowhere = files.path("nothing");
    let (probed, object) = probe(&url, &["--chain-out", nowhere.to_str().unwrap()]);
    assert_eq!(probed.status, 71, "{probed:#?}");
    assert_eq!(object["reached"], true);
    assert!(!nowhere.exists());
}

#[test]
fn a_server_in_plaintext() {
    let server = Serve::start(&["--auth", "alice:POSTWIRE_TEST_PASSWORD", "--plaintext-auth"]);
    // A host alone is inspected as by a server that has mail for it.
    let (probed, object) = probe(&format!("127.0.0.1:{}", server.port), &[]);
    assert_eq!(probed.status, 0, "{probed:#?}");
    assert_eq!(works(&object), [true, true, false, false]);
    let required = mode(&object, "required");
    assert_eq!(required["stage"], "starttls");
    assert!(
        mode(&object, "wrapper")["error"]
            .as_str()
            .unwrap()
            .contains("speaks plaintext"),
        "{object:#}"
    );
    assert_eq!(object["tls_versions"], json!([]));
    assert_eq!(object["chain"], json!([]));
    assert_eq!(object["resumes"], Value::Null);
    // A password would only be used without being revealed.
    assert_eq!(object["mechanisms"]["with_password"], "SCRAM-SHA-512");
    assert_eq!(object["mechanisms"]["with_token"], Value::Null);
    let address = &object["addresses"][0];
    assert_eq!(
        address["address"],
        format!("127.0.0.1:{}", server.port).as_str()
    );
    assert_eq!(address["greeting"]["code"], 220);
    assert!(address["connect_ms"].as_f64().unwrap() > 0.0);
    let steps: Vec<_> = object["round_trips"].as_array().unwrap().iter().collect();
    let steps: Vec<_> = steps.iter().map(|step| &step["of"]).collect();
    assert_eq!(steps, ["resolve and connect", "greeting", "EHLO"]);
    assert!(has_advice(&object, "offers no TLS on this port"));
}

#[test]
fn a_server_with_tls_from_the_first_octet() {
    let server = Serve::start(&["--tls", "wrapper"]);
    let authority = server.authority();
    let url = format!("smtps://localhost:{}", server.port);
    let trust = ["--ca", authority.to_str().unwrap()];
    let (probed, object) = probe(&url, &trust);
    assert_eq!(probed.status, 0, "{probed:#?}");
    assert_eq!(works(&object), [false, false, false, true]);
    assert_eq!(object["tls"]["resumed"], false);
    assert_eq!(object["tls"]["verified"], true);
    assert_eq!(object["resumes"], true);
    assert_eq!(object["certificate_error"], Value::Null);
    assert_eq!(object["before_tls"], Value::Null);
    assert!(has_advice(&object, "Use smtps://"));
    // The wrong scheme for this port: what a client meets there is shown all the same.
    let url = format!("smtp://localhost:{}", server.port);
    let (probed, object) = probe(&url, &[&trust[..], &["--timeout", "2"]].concat());
    assert_eq!(probed.status, 75, "{probed:#?}");
    assert_eq!(works(&object), [false, false, false, true]);
    assert_ne!(object["chain"], json!([]));
}

#[test]
fn starttls_and_a_login() {
    let server = Serve::start(&[
        "--tls",
        "starttls",
        "--auth",
        "alice:POSTWIRE_TEST_PASSWORD",
    ]);
    let authority = server.authority();
    let url = format!("smtp://localhost:{}", server.port);
    let (probed, object) = probe(&url, &["--ca", authority.to_str().unwrap()]);
    assert_eq!(probed.status, 0, "{probed:#?}");
    assert_eq!(works(&object), [true, true, true, false]);
    assert_eq!(mode(&object, "opportunistic")["tls"]["version"], "TLSv1.3");
    assert_eq!(mode(&object, "none")["tls"], Value::Null);
    assert_eq!(object["mechanisms"]["with_password"], "SCRAM-SHA-512-PLUS");
    assert_eq!(object["mechanisms"]["with_token"], "OAUTHBEARER");
    assert_eq!(object["before_tls"]["starttls"], true);
    assert_eq!(object["capabilities"]["starttls"], false);
    assert_eq!(object["resumes"], true);
}

#[test]
fn a_server_that_refuses_every_session() {
    let plays = (0..3).map(|_| |peer: &mut Peer| peer.play("S: 554 5.7.1 not you"));
    let server = Scripted::play_each(plays);
    let (probed, object) = probe(&server.url(), &[]);
    assert_eq!(probed.status, 69, "{probed:#?}");
    assert_eq!(object["stage"], "greeting");
    assert_eq!(object["reply"]["enhanced"], "5.7.1");
    let address = &object["addresses"][0];
    assert!(
        address["error"].as_str().unwrap().contains("not you"),
        "{object:#}"
    );
    assert_eq!(works(&object), [false; 4]);
    assert_eq!(object["advice"], json!([]));
}

/// A server for seven connections that offers STARTTLS, and does this where TLS should begin.
fn server_until_tls(at_tls: impl Fn(&mut Peer) + Copy + Send + 'static) -> Scripted {
    Scripted::play_each((0..7).map(move |_| {
        move |peer: &mut Peer| {
            peer.send("220 mx\r\n");
            loop {
                match peer.receive().split(' ').next() {
                    Some("EHLO") => peer.send("250-mx\r\n250 STARTTLS\r\n"),
                    Some("STARTTLS") => {
                        peer.send("220 go\r\n");
                        return at_tls(peer);
                    }
                    Some("QUIT") => peer.send("221 bye\r\n"),
                    _ => return,
                }
            }
        }
    }))
}

#[test]
fn a_handshake_that_drips_ends_in_time() {
    let server = server_until_tls(|peer| peer.drip("\u{16}\u{3}\u{3}\u{40}\u{0}\u{2}"));
    let url = format!("127.0.0.1:{}", server.port);
    let (probed, _) = probe(&url, &["--timeout", "0.3"]);
    // Six sessions, each with a limit of 0.3 s; 10 s for each handshake that is waited for.
    assert!(probed.took < Duration::from_secs(9), "{probed:#?}");
}

#[test]
fn a_silent_server() {
    let plays = (0..3).map(|_| |peer: &mut Peer| peer.be_silent());
    let server = Scripted::play_each(plays);
    let (probed, object) = probe(&server.url(), &["--timeout", "0.3", "--behind-data"]);
    assert_eq!(probed.status, 75, "{probed:#?}");
    assert!(probed.took < Duration::from_secs(5), "{probed:#?}");
    assert_eq!(object["stage"], "greeting");
    assert_eq!(works(&object), [false; 4]);
    assert!(object["addresses"][0]["connect_ms"].as_f64().is_some());
    assert_eq!(object["behind_data"]["works"], Value::Null);
}

#[test]
fn a_name_without_an_address() {
    let (probed, object) = probe("nobody.invalid", &["--refused-bdat"]);
    assert_eq!(probed.status, 75, "{probed:#?}");
    assert_eq!(object["stage"], "connect");
    assert_eq!(object["addresses"], json!([]));
    assert_eq!(object["modes"], json!([]));
    assert_eq!(object["refused_bdat"]["works"], Value::Null);
}

#[test]
fn a_server_whose_tls_is_broken() {
    let server = server_until_tls(Peer::close);
    let (probed, object) = probe(&format!("127.0.0.1:{}", server.port), &[]);
    // The next attempt may find another state.
    assert_eq!(probed.status, 75, "{probed:#?}");
    assert_eq!(object["stage"], "tls");
    assert_eq!(object["before_tls"]["offered"], json!(["STARTTLS"]));
    assert_eq!(works(&object), [true, false, false, false]);
    for version in object["tls_versions"].as_array().unwrap() {
        assert_eq!(version["accepted"], false);
        assert_ne!(version["error"], Value::Null);
    }
    assert_eq!(object["chain"], json!([]));
    assert_eq!(object["certificate_error"], Value::Null);
    assert!(has_advice(&object, "a handshake fails with every version"));
}

#[derive(Clone, Copy)]
struct Habits {
    recipient: &'static str,
    data: &'static str,
    reads_chunks: bool,
    answers_behind_data: bool,
}

const GOOD: Habits = Habits {
    recipient: "550 5.1.1 nobody",
    data: "354 go",
    reads_chunks: true,
    answers_behind_data: true,
};

/// Serves one connection with these habits.
fn serve(peer: &mut Peer, habits: Habits) {
    peer.send("220 mx\r\n");
    loop {
        let line = peer.receive();
        let reply = match line.split(' ').next() {
            None | Some("") => return,
            Some("EHLO") => "250-mx\r\n250-8BITMIME\r\n250-PIPELINING\r\n250 CHUNKING",
            Some("RCPT") => habits.recipient,
            Some("DATA") => {
                peer.send(&format!("{}\r\n", habits.data));
                if !habits.data.starts_with('3') {
                    continue;
                }
                peer.hear_content();
                peer.send("554 5.5.1 no valid recipients\r\n");
                if !habits.answers_behind_data {
                    peer.be_silent();
                }
                continue;
            }
            Some("BDAT") if habits.reads_chunks => {
                peer.receive();
                "503 5.5.1 no recipient"
            }
            Some("BDAT") => "503 5.5.1 no recipient",
            Some("QUIT") => "221 bye",
            Some("MAIL" | "NOOP" | "RSET") => "250 ok",
            Some(_) => "500 what?",
        };
        peer.send(&format!("{reply}\r\n"));
    }
}

/// The two findings, and what the server received.
fn findings(habits: Habits) -> ([Value; 2], Vec<String>) {
    let plays = (0..7).map(move |_| move |peer: &mut Peer| serve(peer, habits));
    let server = Scripted::play_each(plays);
    let options = ["--timeout", "2", "--behind-data", "--refused-bdat"];
    let (probed, object) = probe(&server.url(), &options);
    assert_eq!(probed.status, 0, "{probed:#?}");
    let findings = ["behind_data", "refused_bdat"].map(|name| object[name]["works"].clone());
    let breaks = findings.contains(&json!(false));
    assert_eq!(has_advice(&object, "--pipelining bold"), breaks);
    (findings, server.received())
}

#[test]
fn experiments_with_commands_behind_content() {
    let (good, received) = findings(GOOD);
    assert_eq!(good, [true, true]);
    let transaction = ["MAIL FROM:<>", "RCPT TO:<postwire-probe@nobody.invalid>"];
    for line in transaction {
        assert!(received.contains(&line.to_owned()), "{received:#?}");
    }
    let loses = Habits {
        answers_behind_data: false,
        ..GOOD
    };
    assert_eq!(findings(loses).0, [false, true]);
    let executes = Habits {
        reads_chunks: false,
        ..GOOD
    };
    assert_eq!(findings(executes).0, [true, false]);
}

#[test]
fn experiments_never_send_a_message() {
    let strict = Habits {
        data: "554 5.5.1 no valid recipients",
        ..GOOD
    };
    assert_eq!(findings(strict).0, [Value::Null, true.into()]);
    let accepts = Habits {
        recipient: "250 anybody",
        ..GOOD
    };
    let (found, received) = findings(accepts);
    assert_eq!(found, [Value::Null, true.into()]);
    assert!(!received.contains(&"DATA".to_owned()), "{received:#?}");
    assert!(received.contains(&"RSET".to_owned()), "{received:#?}");
}
