//! The URL of a server.

use postwire_proto::{Security, is_safe_to_show};
use postwire_transport::ServerUrl;

use crate::plaintext::SECRET;

/// A URL that is parsed, or refused.
pub fn url(octets: &[u8]) {
    let Ok(text) = core::str::from_utf8(octets) else {
        return;
    };
    let has_secret = has_secret_as_password(text);
    match ServerUrl::parse(text) {
        Err(error) => {
            let shown = format!("{error} {error:?}");
            assert!(shown.chars().all(is_safe_to_show), "{shown:?}");
            assert!(!(has_secret && shown.contains(SECRET)), "{shown}");
        }
        Ok(url) => check(text, &url, has_secret),
    }
}

/// Whether the secret is where a password belongs, and nowhere else.
fn has_secret_as_password(text: &str) -> bool {
    text.matches(SECRET).count() == 1 && text.contains(&format!(":{SECRET}@"))
}

fn check(text: &str, url: &ServerUrl, has_secret: bool) {
    let host = url.host();
    assert!(!host.is_empty() && host.is_ascii());
    assert!(!host.contains(|c: char| c.is_control() || c.is_whitespace() || "/@?#<>".contains(c)));
    assert_ne!(url.port(), 0);
    if let Some(port) = url.explicit_port() {
        assert_eq!(port, url.port());
    }

    let lower = text.to_ascii_lowercase();
    let is_local = url.unix_socket().is_some();
    match url.mode() {
        Security::None => assert!(is_local || lower.contains("tls=none"), "{text}"),
        Security::Opportunistic => assert!(lower.contains("tls=opportunistic"), "{text}"),
        Security::Required => {}
        Security::Wrapper => {
            assert!(
                lower.starts_with("smtps:") || lower.contains("tls=wrapper"),
                "{text}"
            );
        }
    }
    if lower.starts_with("smtps:") {
        assert_eq!(url.mode(), Security::Wrapper);
    }

    let shown = url.to_string();
    assert_eq!(format!("{url:?}"), format!("ServerUrl({shown})"));
    assert!(!(has_secret && shown.contains(SECRET)), "{shown}");
    assert!(shown.chars().all(is_safe_to_show), "{shown:?}");
    // The shown URL is the same server, but for the credentials.
    let without_user = shown.replacen("***@", "", 1);
    let again = ServerUrl::parse(&without_user).expect("what is shown can be parsed");
    assert_eq!(
        (again.host(), again.port(), again.mode(), again.protocol()),
        (url.host(), url.port(), url.mode(), url.protocol()),
    );
    assert_eq!(again.hello_name(), url.hello_name());
    assert_eq!(again.unix_socket(), url.unix_socket());
    assert_eq!((again.user(), again.credentials()), (None, None));
}
