//! Client authentication with a certificate.

use std::fs;
use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};

use crate::run::{RUNTIMES, Serve, run, send_to, with};

/// A client's certificate with its key in one file, and the authority that signed it.
struct Client {
    folder: tempfile::TempDir,
}

impl Client {
    fn make() -> Self {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate().unwrap();
        let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
        let issuer = Issuer::new(authority, authority_key);
        let mut client = CertificateParams::default();
        client
            .distinguished_name
            .push(DnType::CommonName, "relay.example.org");
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = client.signed_by(&key, &issuer).unwrap().pem();
        let client = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let both = format!("{}{certificate}", key.serialize_pem());
        for (name, text) in [
            ("authority", authority_pem),
            ("certificate", certificate),
            ("key", key.serialize_pem()),
            ("both", both),
        ] {
            fs::write(client.path(name), text).unwrap();
        }
        client
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str) -> String {
        self.path(name).into_os_string().into_string().unwrap()
    }
}

#[test]
fn a_client_certificate_is_presented_and_logs_in() {
    let (client, other) = (Client::make(), Client::make());
    let stranger = other.file("both");
    let (certificate, key, both) = (
        client.file("certificate"),
        client.file("key"),
        client.file("both"),
    );
    for (tls, scheme) in [("starttls", "smtp"), ("wrapper", "smtps")] {
        let mut server = Serve::start(&["--tls", tls, "--client-ca", &client.file("authority")]);
        let authority = server.authority();
        let url = format!("{scheme}://localhost:{}", server.port);
        let trusting = with(send_to(&url), &["--ca", authority.to_str().unwrap()]);
        let in_two_files = ["--client-cert", &certificate, "--client-key", &key];
        for runtime in RUNTIMES {
            let identified = with(
                with(trusting.clone(), &in_two_files),
                &["--runtime", runtime],
            );
            for (login, reported) in [
                (&[][..], ", stored as "),
                (&["--auth", "EXTERNAL"], ", by it, stored as "),
                (
                    &["--auth", "EXTERNAL", "--acting-for", "bob"],
                    ", by bob, stored as ",
                ),
            ] {
                run(&with(identified.clone(), login)).assert_is(0, "accepted", None);
                let line = server.line();
                let reported =
                    format!(", TLSv1.3 with a certificate of CN=relay.example.org{reported}");
                assert!(line.contains(&reported), "{line}");
            }
            // Without the certificate, or with one from another authority, the handshake fails.

            for shown in [&[][..], &["--client-cert", &stranger]] {
                let refused = with(trusting.clone(), &["--runtime", runtime]);
                let refused = run(&with(refused, shown));
                let object = refused.object();
                assert_eq!(
                    (refused.status, &object["outcome"]),
                    (77, &"not_sent".into()),
                    "{refused:#?}"
                );
            }
        }
        let in_one_file = ["--client-cert", &both];
        run(&with(trusting, &in_one_file)).assert_is(0, "accepted", None);
        assert_eq!(server.messages().len(), 3 * RUNTIMES.len() + 1);
    }
}

/// Errors that are found before a connection is made.
#[test]
fn invalid_client_certificates_are_refused() {
    let (client, other) = (Client::make(), Client::make());
    let (certificate, key) = (client.file("certificate"), client.file("key"));
    let authority = client.file("authority");
    let (other_key, nothing) = (other.file("key"), "/no/such/file".to_owned());
    for (url, given, said) in [
        (
            "smtps://localhost:1",
            vec!["--client-cert", &nothing],
            "--client-cert: cannot read",
        ),
        (
            "smtps://localhost:1",
            vec!["--client-cert", &key],
            "--client-cert: ",
        ),
        (
            "smtps://localhost:1",
            vec!["--client-cert", &certificate],
            "--client-cert: the PEM text contains no private key",
        ),
        (
            "smtps://localhost:1",
            vec!["--client-cert", &certificate, "--client-key", &certificate],
            "--client-key: ",
        ),
        (
            "smtps://localhost:1",
            vec!["--client-cert", &certificate, "--client-key", &other_key],
            "--client-cert: ",
        ),
        (
            "smtps://localhost:1",
            vec!["--client-key", &key],
            "missing arguments",
        ),
        (
            "smtp://localhost:1?tls=none",
            vec!["--client-cert", &certificate, "--client-key", &key],
            "--client-cert: needs TLS",
        ),
        (
            "lmtp+unix:///no/such/socket",
            vec!["--client-cert", &certificate, "--client-key", &key],
            "--client-cert: needs TLS",
        ),
    ] {
        let more = [&["--ca", authority.as_str()][..], &given[..]].concat();
        let refused = run(&with(send_to(url), &more));
        assert_eq!(
            (refused.status, refused.stdout.as_str()),
            (64, ""),
            "{given:?} {refused:#?}"
        );
        assert!(refused.stderr.contains(said), "{said}: {refused:#?}");
    }
}
