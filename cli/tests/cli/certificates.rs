//! Certificates that must not be trusted.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};

use crate::run::{Serve, finish, postwire, run, send_to, with};

/// A server's certificate and the authority that signed it, as files.
pub(crate) struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    pub(crate) fn make(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate().unwrap();
        let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
        let mut server = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut server);
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::new(authority, authority_key);
        let certificate = server.signed_by(&key, &issuer).unwrap().pem();
        let files = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        fs::write(files.path("ca"), authority_pem).unwrap();
        fs::write(files.path("cert"), certificate).unwrap();
        fs::write(files.path("key"), key.serialize_pem()).unwrap();
        files
    }

    /// Replaces the server's certificate by one that no authority signed.
    pub(crate) fn sign_itself(&self, name: &str) {
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new([name.to_owned()]).unwrap();
        let own = own.self_signed(&key).unwrap().pem();
        fs::write(self.path("cert"), own).unwrap();
        fs::write(self.path("key"), key.serialize_pem()).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn serve(&self, tls: &str) -> Serve {
        let (cert, key) = (self.path("cert"), self.path("key"));
        let files = [
            "--cert",
            cert.to_str().unwrap(),
            "--key",
            key.to_str().unwrap(),
        ];
        Serve::start(&[&["--tls", tls][..], &files[..]].concat())
    }
}

/// Sends in each mode that has TLS; nothing of the message may reach the server.
#[track_caller]
fn assert_refused(files: &Files, trust: bool) {
    for (tls, scheme, mode) in [
        ("starttls", "smtp", "?tls=required"),
        ("starttls", "smtp", "?tls=opportunistic"),
        ("wrapper", "smtps", ""),
    ] {
        let server = files.serve(tls);
        let url = format!("{scheme}://localhost:{}{mode}", server.port);
        let authority = files.path("ca");
        let trusted = ["--ca", authority.to_str().unwrap()];
        let more = if trust { &trusted[..] } else { &[] };
        let sent = run(&with(send_to(&url), more));
        let object = sent.assert_is(77, "not_sent", Some("tls"));
        assert!(
            object["error"].as_str().unwrap().contains("certificate"),
            "{sent:#?}"
        );
        assert_eq!(object["tls"], serde_json::Value::Null);
        assert_eq!(server.messages().len(), 0);
    }
}

#[test]
fn a_certificate_of_an_unknown_authority_is_refused() {
    assert_refused(&Files::make("localhost", |_| {}), false);
}

#[test]
fn an_expired_certificate_is_refused() {
    let expired = Files::make("localhost", |certificate| {
        certificate.not_before = date_time_ymd(2020, 1, 1);
        certificate.not_after = date_time_ymd(2021, 1, 1);
    });
    assert_refused(&expired, true);
}

#[test]
fn a_certificate_for_another_host_is_refused() {
    assert_refused(&Files::make("other.example", |_| {}), true);
}

/// The commonest self-signed certificate, as `openssl req -x509` makes it.
#[test]
fn a_self_signed_certificate_has_a_hint_until_it_is_trusted() {
    let key = KeyPair::generate().unwrap();
    let mut shown = CertificateParams::new(["localhost".to_owned()]).unwrap();
    shown.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let shown = shown.self_signed(&key).unwrap().pem();
    let files = Files::make("localhost", |_| {});
    fs::write(files.path("cert"), shown).unwrap();
    fs::write(files.path("key"), key.serialize_pem()).unwrap();
    for (tls, scheme) in [("starttls", "smtp"), ("wrapper", "smtps")] {
        let server = files.serve(tls);
        let url = format!("{scheme}://localhost:{}", server.port);
        for trusted in [None, Some("ca")] {
            let trusted = trusted.map(|name| files.path(name));
            let more = trusted
                .iter()
                .flat_map(|file| ["--ca", file.to_str().unwrap()]);
            let mut arguments = with(send_to(&url), &more.collect::<Vec<_>>());
            arguments.retain(|argument| argument != "--json");
            let sent = run(&arguments);
            assert_eq!(sent.status, 77, "{sent:#?}");
            let said = "the server's certificate is not trusted: it is self-signed";
            assert!(sent.stdout.contains(said), "{sent:#?}");
            assert!(sent.stderr.starts_with("hint: "), "{sent:#?}");
            assert!(sent.stderr.contains("--ca FILE"), "{sent:#?}");
        }
        let own = files.path("cert");
        let sent = run(&with(send_to(&url), &["--ca", own.to_str().unwrap()]));
        sent.assert_is(0, "accepted", None);
    }
}

/// Without trusted authorities on the system, no server is connected.
#[test]
#[cfg(target_os = "linux")]
fn without_trusted_authorities_nothing_is_connected() {
    let mut command = postwire();
    command
        .args(send_to("smtps://localhost:1"))
        .env("SSL_CERT_FILE", "/dev/null")
        .env("SSL_CERT_DIR", "/no/such/folder")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    finish(command, b"").assert_is(77, "not_sent", Some("tls"));
}

#[test]
fn a_valid_certificate_is_accepted() {
    let files = Files::make("localhost", |_| {});
    let server = files.serve("wrapper");
    let url = format!("smtps://localhost:{}", server.port);
    let authority = files.path("ca");
    let sent = run(&with(send_to(&url), &["--ca", authority.to_str().unwrap()]));
    sent.assert_is(0, "accepted", None);
    assert_eq!(server.messages().len(), 1);
}
