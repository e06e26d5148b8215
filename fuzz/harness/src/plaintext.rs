//! The octets that may be on the wire before TLS, and those that must never be shown.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;
use postwire_proto::{Credentials, Security};

/// A user and a secret that are easy to find in any output.
pub(crate) const USER: &str = "alice";
pub(crate) const SECRET: &str = "x9-secret-9x";

pub(crate) fn credentials() -> Credentials {
    Credentials::new(USER, SECRET)
}

/// The encodings in which the secret is sent (RFC 4616, LOGIN, XOAUTH2).
fn forms() -> [String; 4] {
    [
        SECRET.to_owned(),
        STANDARD.encode(SECRET),
        STANDARD.encode(format!("\0{USER}\0{SECRET}")),
        STANDARD.encode(format!("user={USER}\x01auth=Bearer {SECRET}\x01\x01")),
    ]
}

pub(crate) fn has_secret(octets: &[u8]) -> bool {
    secret_in(octets).is_some()
}

/// The encoding and the position of the secret.
fn secret_in(octets: &[u8]) -> Option<(String, usize)> {
    let mut forms = forms().into_iter();
    forms.find_map(|form| {
        let at = memmem::find(octets, form.as_bytes())?;
        Some((form, at))
    })
}

pub(crate) fn assert_no_secret(octets: &[u8]) {
    assert_eq!(secret_in(octets), None, "a secret shows");
}

/// The client's output, split where TLS began.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Written {
    pub(crate) before_tls: Vec<u8>,
    pub(crate) under_tls: Option<Vec<u8>>,
}

impl Written {
    pub(crate) fn add(&mut self, octets: &[u8]) {
        let part = self.under_tls.as_mut().unwrap_or(&mut self.before_tls);
        part.extend_from_slice(octets);
    }

    pub(crate) fn tls_begins(&mut self) {
        assert_eq!(self.under_tls, None, "TLS began twice");
        self.under_tls = Some(Vec::new());
    }

    /// The guarantees of the four modes.
    pub(crate) fn check(&self, security: Security, plaintext_auth: bool) {
        if !plaintext_auth {
            assert_no_secret(&self.before_tls);
        }
        match security {
            Security::None => assert_eq!(self.under_tls, None),
            Security::Opportunistic => {}
            Security::Required => {
                for line in self.before_tls.split_inclusive(|octet| *octet == b'\n') {
                    assert!(
                        ["EHLO ", "LHLO ", "STARTTLS\r\n", "QUIT\r\n"]
                            .iter()
                            .any(|harmless| is_prefix_of_either(line, harmless.as_bytes())),
                        "in plaintext: {:?}",
                        String::from_utf8_lossy(line)
                    );
                }
            }
            Security::Wrapper => assert_eq!(self.before_tls, b""),
        }
    }
}

/// The last line may be cut off.
fn is_prefix_of_either(line: &[u8], harmless: &[u8]) -> bool {
    line.starts_with(harmless) || (!line.ends_with(b"\n") && harmless.starts_with(line))
}
