//! Tables of URLs: the parts of each, the errors, and the secrets that no error repeats.

use std::error::Error as _;

use proptest::prelude::*;

use super::*;

#[test]
fn what_a_url_names() {
    for (url, shown) in [
        // the defaults
        ("smtp://h.example", "smtp://h.example:587?tls=required"),
        ("smtps://h.example", "smtps://h.example:465"),
        ("lmtp://h.example", "lmtp://h.example:24?tls=required"),
        // the modes
        ("smtp://h?tls=none", "smtp://h:25?tls=none"),
        (
            "smtp://h?tls=opportunistic",
            "smtp://h:25?tls=opportunistic",
        ),
        ("smtp://h?tls=required", "smtp://h:587?tls=required"),
        ("smtps://h?tls=wrapper", "smtps://h:465"),
        ("lmtp://h?tls=none", "lmtp://h:24?tls=none"),
        ("lmtp://h?tls=wrapper", "lmtp://h:24?tls=wrapper"),
        ("smtp://h?tls=%6eone", "smtp://h:25?tls=none"),
        ("smtp://h?", "smtp://h:587?tls=required"),
        // the port
        ("smtp://h:", "smtp://h:587?tls=required"),
        ("smtp://h:2525", "smtp://h:2525?tls=required"),
        ("smtp://h:0025?tls=none", "smtp://h:25?tls=none"),
        ("smtp://h:65535", "smtp://h:65535?tls=required"),
        ("smtp://127.0.0.1:1", "smtp://127.0.0.1:1?tls=required"),
        ("smtps://[::1]", "smtps://[::1]:465"),
        ("smtps://[2001:db8::1]:4650", "smtps://[2001:db8::1]:4650"),
        ("SMTPS://mail_relay.", "smtps://mail_relay.:465"),
        // the hello name
        ("smtps://h/", "smtps://h:465"),
        ("smtps://h/client.example", "smtps://h:465/client.example"),
        ("smtps://h/client.example/", "smtps://h:465/client.example"),
        ("smtps://h/%63lient", "smtps://h:465/client"),
        ("smtps://h/[192.0.2.1]", "smtps://h:465/[192.0.2.1]"),
        ("smtps://h/[IPv6:::1]", "smtps://h:465/[IPv6:::1]"),
        ("smtp://h/c?tls=none", "smtp://h:25/c?tls=none"),
        // the credentials
        ("smtps://u:p@h", "smtps://***@h:465"),
        ("smtps://u:p@[::1]:1/c", "smtps://***@[::1]:1/c"),
        // Unix sockets
        ("lmtp+unix:///run/lmtp", "lmtp+unix:///run/lmtp?tls=none"),
        ("SMTP+Unix:///run/s", "smtp+unix:///run/s?tls=none"),
        (
            "lmtp+unix:///run/lmtp?tls=required",
            "lmtp+unix:///run/lmtp?tls=required",
        ),
        (
            "smtp+unix:///run/s?tls=wrapper",
            "smtp+unix:///run/s?tls=wrapper",
        ),
        (
            "lmtp+unix:///my%20run/%40%c3%bc%2flmtp",
            "lmtp+unix:///my%20run/%40%C3%BC/lmtp?tls=none",
        ),
        ("lmtp+unix://u:p@/run/s", "lmtp+unix://***@/run/s?tls=none"),
    ] {
        let parsed = ServerUrl::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        assert_eq!(parsed.to_string(), shown, "{url}");
        assert_eq!(format!("{parsed:?}"), format!("ServerUrl({shown})"));
    }
}

#[test]
fn an_address_comes_without_brackets() {
    let url = ServerUrl::parse("smtps://[::1]").unwrap();
    assert_eq!((url.host(), url.explicit_port()), ("::1", None));
}

#[test]
fn a_unix_socket_is_a_path() {
    let url = ServerUrl::parse("lmtp+unix:///var/run/my%20lmtp").unwrap();
    assert_eq!(url.unix_socket(), Some(Path::new("/var/run/my lmtp")));
    assert_eq!(
        (url.protocol(), url.mode(), url.host(), url.explicit_port()),
        (Protocol::Lmtp, Security::None, "localhost", None)
    );
    let url = ServerUrl::parse("lmtp://h/run").unwrap();
    assert_eq!(url.unix_socket(), None);
}

#[test]
fn credentials_are_percent_decoded() {
    for (url, user, password) in [
        ("smtps://u:p@h", "u", "p"),
        ("smtps://u:p:q@h", "u", "p:q"),
        ("smtps://me@example.org:p@h", "me@example.org", "p"),
        (
            "smtps://me%40example.org:a%2Fb%3fc%23d%25e%20f@h",
            "me@example.org",
            "a/b?c#d%e f",
        ),
        ("smtps://u%3Av:p+q@h", "u:v", "p+q"),
        ("smtps://j%C3%BCrg:größe@h", "jürg", "größe"),
    ] {
        let parsed = ServerUrl::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        let credentials = parsed.credentials().unwrap();
        assert_eq!(credentials.user(), user);
        assert_eq!(credentials.secret().expose(), password.as_bytes());
    }
    assert!(
        ServerUrl::parse("smtps://h")
            .unwrap()
            .credentials()
            .is_none()
    );
}

#[test]
fn what_names_no_server() {
    let mut said: Vec<(String, UrlError)> = Vec::new();
    use UrlPart::{HelloName, Password, Query, SocketPath, User};
    for (url, error) in [
        ("", UrlError::MissingScheme),
        ("mail.example.org:25", UrlError::MissingScheme),
        ("smtp:h", UrlError::MissingScheme),
        ("http://h", UrlError::UnknownScheme),
        ("://h", UrlError::UnknownScheme),
        // hosts
        ("smtp://", UrlError::MissingHost),
        ("smtp:///c", UrlError::MissingHost),
        ("smtp://:25", UrlError::MissingHost),
        ("smtp://u:p@", UrlError::MissingHost),
        ("smtp://u:p@:25", UrlError::MissingHost),
        ("smtp://h_ü", UrlError::InvalidHost),
        ("smtp://h%2e", UrlError::InvalidHost),
        ("smtp://h..example", UrlError::InvalidHost),
        ("smtp://-h", UrlError::InvalidHost),
        ("smtp://1.2.3", UrlError::InvalidHost),
        ("smtp://h\\x", UrlError::InvalidHost),
        ("smtp://::1", UrlError::InvalidIpv6),
        ("smtp://[::1", UrlError::InvalidIpv6),
        ("smtp://[127.0.0.1]", UrlError::InvalidIpv6),
        ("smtp://[fe80::1%25eth0]", UrlError::InvalidIpv6),
        // ports
        ("smtp://h:0", UrlError::InvalidPort),
        ("smtp://h:+25", UrlError::InvalidPort),
        ("smtp://h:65536", UrlError::InvalidPort),
        ("smtp://h:smtp", UrlError::InvalidPort),
        ("smtp://h:1:2", UrlError::InvalidPort),
        ("smtp://[::1]25", UrlError::InvalidPort),
        // user and password
        ("smtp://u:@h", UrlError::EmptyPassword),
        ("smtp://@h", UrlError::MissingUser),
        ("smtp://:p@h", UrlError::MissingUser),
        ("smtp://u%:p@h", UrlError::InvalidPercentEncoding(User)),
        (
            "smtp://u:50%off@h",
            UrlError::InvalidPercentEncoding(Password),
        ),
        ("smtp://u:p%f@h", UrlError::InvalidPercentEncoding(Password)),
        ("smtp://u:%ff@h", UrlError::NotUtf8(Password)),
        ("smtp://u%0a:p@h", UrlError::ControlCharacter(User)),
        ("smtp://u:p%00@h", UrlError::ControlCharacter(Password)),
        ("smtp://u:12/34@h", UrlError::UnencodedDelimiter),
        ("smtp://u:12?34@h", UrlError::UnencodedDelimiter),
        ("smtp://u:12#34@h", UrlError::UnencodedDelimiter),
        // query and fragment
        ("smtp://h#x", UrlError::Fragment),
        ("smtp://h?tls=none#x", UrlError::Fragment),
        ("smtp://h?tls", UrlError::UnknownParameter),
        ("smtp://h?TLS=none", UrlError::UnknownParameter),
        ("smtp://h?tls=none&x=y", UrlError::UnknownParameter),
        ("smtp://h?tls=none&", UrlError::UnknownParameter),
        ("smtp://h?tls=none&tls=none", UrlError::RepeatedParameter),
        ("smtp://h?tls=", UrlError::UnknownTlsMode),
        ("smtp://h?tls=starttls", UrlError::UnknownTlsMode),
        ("smtp://h?tls=%", UrlError::InvalidPercentEncoding(Query)),
        ("smtps://h?tls=starttls", UrlError::TlsModeNotOfSmtps),
        ("lmtp://h?tls=off", UrlError::UnknownTlsModeNorWrapper),
        ("lmtp+unix:///s?tls=off", UrlError::UnknownTlsModeNorWrapper),
        ("smtp+unix:///s?tls=off", UrlError::UnknownTlsModeNorWrapper),
        ("smtp://h?tls=wrapper", UrlError::WrapperIsSmtps),
        ("smtps://h?tls=none", UrlError::TlsModeNotOfSmtps),
        ("smtps://h?tls=required", UrlError::TlsModeNotOfSmtps),
        // Unix sockets
        ("lmtp+unix://", UrlError::MissingSocketPath),
        ("lmtp+unix:///", UrlError::MissingSocketPath),
        ("lmtp+unix:///run/", UrlError::MissingSocketPath),
        ("lmtp+unix:///?tls=none", UrlError::MissingSocketPath),
        ("lmtp+unix:/run/lmtp", UrlError::MissingScheme),
        ("lmtp+unix://run/lmtp", UrlError::HostOfUnixSocket),
        ("lmtp+unix://:24/run/lmtp", UrlError::HostOfUnixSocket),
        ("smtp+unix://u:p@h/run/s", UrlError::HostOfUnixSocket),
        ("unix:///run/lmtp", UrlError::UnknownScheme),
        ("smtps+unix:///run/s", UrlError::UnknownScheme),
        (
            "lmtp+unix:///run/%00",
            UrlError::ControlCharacter(SocketPath),
        ),
        ("lmtp+unix:///run/%ff", UrlError::NotUtf8(SocketPath)),
        (
            "lmtp+unix:///run/100%",
            UrlError::InvalidPercentEncoding(SocketPath),
        ),
        ("lmtp+unix:///run/a@b", UrlError::UnencodedDelimiter),
        // hello names
        ("smtp://h/%0d%0a", UrlError::ControlCharacter(HelloName)),
    ] {
        assert_eq!(ServerUrl::parse(url).as_ref().err(), Some(&error), "{url}");
        // Each error has words of its own, which show nothing of the URL.
        let words = error.to_string();
        let other = said
            .iter()
            .find(|(said, other)| *said == words && *other != error);
        assert!(words.len() > 15 && other.is_none(), "{words}: {other:?}");
        said.push((words, error));
    }
    for url in [
        "smtp://h//",
        "smtp://h/a/b",
        "smtp://h/a%20b",
        "smtp://h/ü",
        "smtp://h/[::1]",
    ] {
        assert!(
            matches!(ServerUrl::parse(url), Err(UrlError::InvalidHelloName(_))),
            "{url}"
        );
    }
}

#[test]
fn blanks_and_control_characters_are_not_skipped() {
    let url = "smtp://u:p@mail.example.org:25/c?tls=none";
    for character in [
        ' ', '\t', '\r', '\n', '\0', '\x7f', '\u{85}', '\u{a0}', '\u{2028}',
    ] {
        for position in 0..=url.len() {
            let mut url = url.to_owned();
            url.insert(position, character);
            assert_eq!(
                ServerUrl::parse(&url).err(),
                Some(UrlError::ForbiddenCharacter { position })
            );
        }
    }
}

proptest! {
    #[test]
    fn no_text_is_too_odd(url in "\\PC*", scheme in "(smtps?|lmtp|(smtp|lmtp)\\+unix)://") {
        let _ = ServerUrl::parse(&url);
        if let Ok(parsed) = ServerUrl::parse(&format!("{scheme}{url}")) {
            prop_assert!(parsed.credentials().is_some()
                || ServerUrl::parse(&parsed.to_string()).is_ok());
        }
    }

    #[test]
    fn near_misses_are_harmless(url in "smtps?://[a:/?#@%\\[\\].=&t0-9]{0,24}") {
        if let Ok(parsed) = ServerUrl::parse(&url) {
            prop_assert!(!parsed.host().is_empty() && parsed.port() != 0);
        }
    }

    #[test]
    fn any_password_survives_encoding_and_is_never_shown(
        user in "[^\\pC]{1,12}",
        password in "[^\\pC]{1,12}",
    ) {
        let encode = |text: &str| utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        let url = format!("smtps://{}:{}@h", encode(&user), encode(&password));
        let parsed = ServerUrl::parse(&url).unwrap();
        let credentials = parsed.credentials().unwrap();
        prop_assert_eq!(credentials.user(), &user);
        prop_assert_eq!(credentials.secret().expose(), password.as_bytes());
        prop_assert_eq!(format!("{parsed} {parsed:?}"),
            "smtps://***@h:465 ServerUrl(smtps://***@h:465)");
    }

    #[test]
    fn no_error_repeats_a_piece_of_the_password(
        before in "[/?#@:%\\[\\]=&. ]{0,3}",
        after in "[/?#@:%\\[\\]=&. ]{0,3}",
        host in "[a-z/?#@:%\\[\\]]{0,5}",
    ) {
        let url = format!("smtp://u:{before}QXJZQ{after}@{host}");
        if let Err(error) = ServerUrl::parse(&url) {
            let shown = format!("{error} {error:?} {:?}", error.source());
            prop_assert!(!shown.contains("QXJZQ"), "{}", shown);
        }
    }
}
