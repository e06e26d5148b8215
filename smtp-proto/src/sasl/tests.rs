use alloc::format;
use alloc::string::ToString;

use super::*;

fn start(mechanism: Mechanism, user: &str, secret: &str) -> Box<dyn Exchange> {
    let credentials = Credentials::new(user, secret);
    mechanism
        .start(&credentials, &SaslContext::default())
        .expect("fit for the mechanism")
}

fn initial(exchange: &mut dyn Exchange) -> Vec<u8> {
    let response = exchange.initial_response().expect("a response");
    response.expect("the client speaks first").expose().to_vec()
}

#[test]
fn plain_is_one_message() {
    let mut exchange = start(Mechanism::PLAIN, "jane", "p w");
    assert_eq!(initial(&mut *exchange), b"\0jane\0p w");
    assert_eq!(exchange.respond(b""), Err(SaslError::UnexpectedChallenge));
    assert_eq!(exchange.finish(None), Ok(()));
}

#[test]
fn login_answers_by_order() {
    let mut exchange = start(Mechanism::LOGIN, "jane", "pw");
    assert_eq!(exchange.initial_response(), Ok(None));
    assert_eq!(exchange.respond(b"Password:"), Ok("jane".into()));
    assert_eq!(exchange.respond(b""), Ok("pw".into()));
    assert_eq!(
        exchange.respond(b"Again:"),
        Err(SaslError::UnexpectedChallenge)
    );
}

#[test]
fn xoauth2_keeps_the_servers_reason() {
    let mut exchange = start(Mechanism::XOAUTH2, "jane@example.org", "token");
    assert_eq!(
        initial(&mut *exchange),
        b"user=jane@example.org\x01auth=Bearer token\x01\x01"
    );
    assert_eq!(exchange.failure_detail(), None);
    assert_eq!(
        exchange.respond(b"{\"status\":\"401\"}"),
        Ok(Secret::default())
    );
    assert_eq!(
        exchange.failure_detail(),
        Some(&b"{\"status\":\"401\"}"[..])
    );
    assert_eq!(exchange.respond(b""), Err(SaslError::UnexpectedChallenge));
}

#[test]
fn plain_carries_the_authorization_identity() {
    let credentials = Credentials::new("jane", "pw").with_authorization_identity("office");
    let context = SaslContext::default();
    let mut exchange = Mechanism::PLAIN.start(&credentials, &context).expect("fit");
    assert_eq!(initial(&mut *exchange), b"office\0jane\0pw");
    for mechanism in [Mechanism::LOGIN, Mechanism::XOAUTH2] {
        let started = mechanism.start(&credentials, &context);
        assert_eq!(started.err(), Some(SaslError::WrongCredentialKind));
    }
}

/// RFC 7628 §4.1 and §4.3.
#[test]
fn oauthbearer_is_one_message_and_acknowledges_a_failure() {
    let token = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==";
    let context = SaslContext::default().host("server.example.com").port(143);
    let credentials = Credentials::token("user@example.com", token);
    let mut exchange = Mechanism::OAUTHBEARER
        .start(&credentials, &context)
        .expect("fit");
    assert_eq!(
        encode(&initial(&mut *exchange)).expose(),
        b"bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVy\
          IHZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB"
    );
    let reason = br#"{"status":"invalid_token","scope":"example_scope"}"#;
    let answer = exchange.respond(reason).expect("an answer");
    assert_eq!(encode(answer.expose()).expose(), b"AQ==");
    assert_eq!(exchange.failure_detail(), Some(&reason[..]));
    assert_eq!(exchange.respond(b""), Err(SaslError::UnexpectedChallenge));

    let nobody = Credentials::token("", "t");
    let mut exchange = Mechanism::OAUTHBEARER
        .start(&nobody, &SaslContext::default())
        .expect("fit");
    assert_eq!(initial(&mut *exchange), b"n,,\x01auth=Bearer t\x01\x01");
    let named = Credentials::token("a,b", "t");
    let mut exchange = Mechanism::OAUTHBEARER
        .start(&named, &SaslContext::default())
        .expect("fit");
    assert!(initial(&mut *exchange).starts_with(b"n,a=a=2Cb,\x01"));
}

#[test]
fn external_and_anonymous_send_no_proof() {
    let context = SaslContext::default();
    for (mechanism, credentials, message) in [
        (Mechanism::EXTERNAL, Credentials::external(), ""),
        (
            Mechanism::EXTERNAL,
            Credentials::external().with_authorization_identity("relay@example.org"),
            "relay@example.org",
        ),
        (Mechanism::ANONYMOUS, Credentials::anonymous(""), ""),
        (
            Mechanism::ANONYMOUS,
            Credentials::anonymous("sirhc"),
            "sirhc",
        ),
    ] {
        let mut exchange = mechanism.start(&credentials, &context).expect("fit");
        assert_eq!(initial(&mut *exchange), message.as_bytes());
        assert_eq!(exchange.respond(b""), Err(SaslError::UnexpectedChallenge));
    }
    let longest = Credentials::anonymous("\u{e9}".repeat(255));
    assert!(Mechanism::ANONYMOUS.start(&longest, &context).is_ok());
    let endless = Credentials::anonymous("x".repeat(256));
    let started = Mechanism::ANONYMOUS.start(&endless, &context);
    assert_eq!(started.err(), Some(SaslError::WrongCredentialKind));
}

/// RFC 2195 §2.
#[cfg(feature = "cram-md5")]
#[test]
fn cram_md5_keys_the_challenge() {
    let mut exchange = start(Mechanism::CRAM_MD5, "tim", "tanstaaftanstaaf");
    assert_eq!(exchange.initial_response(), Ok(None));
    let answer = exchange.respond(b"<1896.697170952@postoffice.reston.mci.net>");
    assert_eq!(answer, Ok("tim b913a602c7eda7a495b4e6e7334d3890".into()));
    assert_eq!(
        exchange.respond(b"<x>"),
        Err(SaslError::UnexpectedChallenge)
    );
    let mut exchange = start(Mechanism::CRAM_MD5, "tim", "tanstaaftanstaaf");
    assert_eq!(exchange.respond(b""), Err(SaslError::InvalidChallenge));
}

#[test]
fn credentials_cannot_forge_the_message() {
    let context = SaslContext {
        nonce: &[1; 16],
        channel_binding: Some(&ChannelBinding::TlsExporter(vec![1; 32])),
        ..SaslContext::default()
    };
    for credentials in [
        Credentials::new("a\0b", "c"),
        Credentials::new("a", "b\0c"),
        Credentials::token("a", "b\0c"),
        Credentials::new("a", "b").with_authorization_identity("x\0y"),
        Credentials::external().with_authorization_identity("a\0b"),
        Credentials::anonymous("a\0b"),
    ] {
        let fit = MECHANISMS
            .iter()
            .filter(|mechanism| mechanism.0.accepts(&credentials));
        let mut tried = 0;
        for mechanism in fit {
            let started = mechanism.start(&credentials, &context);
            assert_eq!(started.err(), Some(SaslError::NulInCredentials));
            tried += 1;
        }
        assert_ne!(tried, 0);
    }
    for credentials in [
        Credentials::token("a\x01auth=Bearer x", "t"),
        Credentials::token("a", "t\x01host=evil"),
    ] {
        for mechanism in [Mechanism::XOAUTH2, Mechanism::OAUTHBEARER] {
            let started = mechanism.start(&credentials, &context);
            assert_eq!(started.err(), Some(SaslError::SeparatorInCredentials));
        }
    }
    let identity = Credentials::token("a", "t").with_authorization_identity("x\x01y");
    let started = Mechanism::OAUTHBEARER.start(&identity, &context);
    assert_eq!(started.err(), Some(SaslError::SeparatorInCredentials));
    let context = context.host("mail.example\x01auth=Bearer x");
    let started = Mechanism::OAUTHBEARER.start(&Credentials::token("a", "t"), &context);
    assert_eq!(started.err(), Some(SaslError::SeparatorInCredentials));
}

#[test]
fn mechanisms_are_found_by_name() {
    for mechanism in MECHANISMS {
        assert_eq!(
            mechanism.name().to_ascii_lowercase().parse(),
            Ok(*mechanism)
        );
    }
    assert_eq!("NTLM".parse::<Mechanism>(), Err(UnknownMechanism));
    let hash = |mechanism: &Mechanism| {
        use core::hash::BuildHasher as _;
        std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default().hash_one(mechanism)
    };
    let hashes: std::collections::BTreeSet<_> = MECHANISMS.iter().map(hash).collect();
    assert_eq!(hashes.len(), MECHANISMS.len());
}

#[test]
fn the_strongest_is_preferred() {
    let preferred = Mechanism::default_preference();
    let revealing = preferred.iter().position(Mechanism::reveals_secret);
    let revealing = revealing.expect("for servers that know no better");
    assert_eq!(preferred[revealing..], [Mechanism::PLAIN, Mechanism::LOGIN]);
    #[cfg(feature = "scram")]
    {
        let names: Vec<&str> = preferred[..revealing].iter().map(Mechanism::name).collect();
        let expected = [
            "SCRAM-SHA-512-PLUS",
            "SCRAM-SHA-256-PLUS",
            "SCRAM-SHA-1-PLUS",
            "SCRAM-SHA-512",
            "SCRAM-SHA-256",
            "SCRAM-SHA-1",
        ];
        assert_eq!(names, expected);
    }
    let password = Credentials::new("jane", "pw");
    assert_eq!(Mechanism::preference_for(&password), preferred);
    for (credentials, expected) in [
        (
            Credentials::token("jane", "t"),
            &[Mechanism::OAUTHBEARER, Mechanism::XOAUTH2][..],
        ),
        (Credentials::external(), &[Mechanism::EXTERNAL]),
        (Credentials::anonymous(""), &[Mechanism::ANONYMOUS]),
    ] {
        assert_eq!(Mechanism::preference_for(&credentials), expected);
        let started = Mechanism::PLAIN.start(&credentials, &SaslContext::default());
        assert_eq!(started.err(), Some(SaslError::WrongCredentialKind));
    }
}

#[test]
fn debug_never_shows_a_secret() {
    let credentials = Credentials::new("jane", "hunter2");
    let binding = ChannelBinding::TlsExporter(b"hunter2".to_vec());
    let context = SaslContext {
        channel_binding: Some(&binding),
        nonce: b"hunter2",
        ..SaslContext::default()
    };
    let exchange = start(Mechanism::LOGIN, "jane", "hunter2");
    let shown = format!(
        "{credentials:?} {:?} {context:?} {exchange:?}",
        credentials.secret()
    );
    // The octets of "hunter2", shown as a list, would contain the first one.
    assert!(
        !["jane", "hunter2", "104"]
            .iter()
            .any(|word| shown.contains(word)),
        "{shown}"
    );
    assert_eq!(Mechanism::PLAIN.to_string(), "PLAIN");
}

#[test]
fn base64_is_strict() {
    for (octets, encoded) in [
        ("", ""),
        ("f", "Zg=="),
        ("foobar", "Zm9vYmFy"),
        ("fo", "Zm8="),
    ] {
        assert_eq!(encode(octets.as_bytes()).expose(), encoded.as_bytes());
        assert_eq!(
            decode(encoded.as_bytes()).expect(encoded).as_slice(),
            octets.as_bytes()
        );
    }
    for encoded in ["Zg", "Zg=", "Zg==\r", "Zh==", " ", "=", "Z", "_w=="] {
        assert_eq!(
            decode(encoded.as_bytes()),
            Err(SaslError::InvalidChallenge),
            "{encoded}"
        );
    }
}

#[test]
fn secrets_are_equal_octet_by_octet() {
    let secret = Secret::from("correct horse");
    assert_eq!(
        secret,
        Secret::from(alloc::vec::Vec::from(*b"correct horse"))
    );
    for other in [
        "",
        "correct hors",
        "correct horsf",
        "Correct horse",
        "correct horse ",
    ] {
        assert_ne!(secret, Secret::from(other), "{other:?}");
    }
    assert_eq!(Secret::default(), Secret::from(""));
}
