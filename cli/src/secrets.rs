//! Keeps the secret out of foreign text that is printed.
//!
//! The library redacts what the server says in replies; this is for the rest: a
//! certificate's names, a list of mechanisms, what the server said in place of TLS. The
//! command's own words are never redacted: a password that is a common word would be seen
//! by what is missing.

use std::sync::OnceLock;

use postwire_blocking::proto::Credentials;

static KEPT: OnceLock<Credentials> = OnceLock::new();

/// From now on no foreign text that is printed shows this secret.
pub(crate) fn keep(credentials: &Credentials) {
    // A program logs in as one user only: the first stays.
    let _ = KEPT.set(credentials.clone());
}

/// Foreign text without the secret that is kept.
pub(crate) fn hide(text: &str) -> String {
    match KEPT.get() {
        Some(credentials) => credentials.redact(text),
        None => text.to_owned(),
    }
}
