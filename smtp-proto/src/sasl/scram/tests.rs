use alloc::string::{String, ToString};
use alloc::vec;

use super::*;
use crate::sasl::decode;
use crate::{Mechanism, SaslContext};

/// The test vector of RFC 5802 §5, and similar ones for the other hash functions.
struct Vector {
    mechanism: Mechanism,
    nonce: &'static str,
    client_first: &'static str,
    server_first: &'static str,
    client_final: &'static str,
    server_final: &'static str,
}

const RFC_5802: Vector = Vector {
    mechanism: Mechanism::SCRAM_SHA_1,
    nonce: "fyko+d2lbbFgONRv9qkxdawL",
    client_first: "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
    server_first: "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
    client_final: "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,\
                   p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
    server_final: "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
};

const RFC_7677: Vector = Vector {
    mechanism: Mechanism::SCRAM_SHA_256,
    nonce: "rOprNGfwEbeRWgbNEkqO",
    client_first: "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
    server_first: "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                   s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
    client_final: "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                   p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    server_final: "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
};

struct Setup<'a> {
    credentials: Credentials,
    binding: Option<ChannelBinding>,
    offered: &'a [&'a str],
    iterations: [u32; 2],
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Self {
            credentials: Credentials::new("user", "pencil"),
            binding: None,
            offered: &[],
            iterations: [1, 10_000],
        }
    }
}

impl Setup<'_> {
    fn start(&self, mechanism: Mechanism, nonce: &str) -> Result<Box<dyn Exchange>, SaslError> {
        let nonce = decode(nonce.as_bytes()).expect("base64");
        let context = SaslContext::default()
            .channel_binding(self.binding.as_ref())
            .nonce(&nonce)
            .offered(self.offered)
            .min_iterations(self.iterations[0])
            .max_iterations(self.iterations[1]);
        mechanism.start(&self.credentials, &context)
    }

    fn client_first(&self, mechanism: Mechanism) -> String {
        let mut exchange = self.start(mechanism, RFC_7677.nonce).expect("a start");
        let message = exchange.initial_response().expect("a message");
        text(&message.expect("the client speaks first"))
    }
}

fn text(message: &Secret) -> String {
    core::str::from_utf8(message.expose())
        .expect("text")
        .to_string()
}

/// An exchange that has answered the first message of the vector.
fn half_done(vector: &Vector) -> Box<dyn Exchange> {
    let mut exchange = Setup::default()
        .start(vector.mechanism, vector.nonce)
        .expect("a start");
    let first = exchange.initial_response().expect("a message");
    assert_eq!(text(&first.expect("a message")), vector.client_first);
    let answer = exchange.respond(vector.server_first.as_bytes());
    assert_eq!(text(&answer.expect("an answer")), vector.client_final);
    exchange
}

/// The result for a first message from the server.
fn answer_to(server_first: &[u8]) -> Result<Secret, SaslError> {
    let mut exchange = Setup::default()
        .start(RFC_7677.mechanism, RFC_7677.nonce)
        .expect("a start");
    exchange.initial_response().expect("a message");
    exchange.respond(server_first)
}

#[test]
fn the_vectors_of_the_rfcs() {
    for vector in [RFC_5802, RFC_7677] {
        let mut exchange = half_done(&vector);
        let last = exchange.respond(vector.server_final.as_bytes());
        assert_eq!(last, Ok(Secret::default()));
        assert_eq!(exchange.finish(None), Ok(()));

        let mut exchange = half_done(&vector);
        let success = exchange.finish(Some(vector.server_final.as_bytes()));
        assert_eq!(success, Ok(()), "the signature rides on the 235");
    }
}

/// The vector of RFC 5802 for SHA-512, computed by another implementation of PBKDF2 and HMAC.
#[test]
fn sha_512() {
    let mut exchange = Setup::default()
        .start(Mechanism::SCRAM_SHA_512, RFC_7677.nonce)
        .expect("a start");
    exchange.initial_response().expect("a message");
    let answer = exchange.respond(RFC_7677.server_first.as_bytes());
    assert_eq!(text(&answer.expect("an answer")), SHA_512_CLIENT_FINAL);
    let last = exchange.respond(SHA_512_SERVER_FINAL.as_bytes());
    assert_eq!(last, Ok(Secret::default()));
    assert_eq!(exchange.finish(None), Ok(()));
}

const SHA_512_CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
    p=gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ==";
const SHA_512_SERVER_FINAL: &str =
    "v=ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw==";

#[test]
fn success_without_a_signature_is_rejected() {
    let not_proved = Err(SaslError::ServerNotAuthenticated);
    for vector in [RFC_5802, RFC_7677] {
        let wrong = vector.server_final.replace("v=", "v=AAAA");
        for claim in [
            None,
            Some(""),
            Some("welcome"),
            Some("v="),
            Some("v=!"),
            Some("v=AAAA"),
            Some(wrong.as_str()),
            Some("e=other-error"),
        ] {
            let claimed = half_done(&vector).finish(claim.map(str::as_bytes));
            assert_eq!(claimed, not_proved, "{claim:?}");
        }
        let cut = &vector.server_final[..vector.server_final.len() - 4];
        for claim in ["", "v=AAAA", cut, &wrong] {
            let mut exchange = half_done(&vector);
            let answer = exchange.respond(claim.as_bytes());
            assert_eq!(answer, Err(SaslError::ServerNotAuthenticated), "{claim}");
            assert_eq!(
                exchange.finish(Some(vector.server_final.as_bytes())),
                not_proved
            );
        }
    }
    let mut fresh = Setup::default()
        .start(RFC_5802.mechanism, RFC_5802.nonce)
        .expect("a start");
    fresh.initial_response().expect("a message");
    let early = fresh.finish(Some(RFC_5802.server_final.as_bytes()));
    assert_eq!(early, not_proved, "before any challenge");
}

#[test]
fn the_servers_nonce_continues_the_clients() {
    for nonce in [
        "rOprNGfwEbeRWgbNEkq",
        "rOprNGfwEbeRWgbNEkqO",
        "ROprNGfwEbeRWgbNEkqOx",
        "x",
    ] {
        let first = alloc::format!("r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        let answer = answer_to(first.as_bytes());
        assert_eq!(answer, Err(SaslError::WrongNonce), "{nonce}");
    }
}

#[test]
fn iterations_are_bounded() {
    for (asked, read) in [
        ("10001", 10_001),
        ("4294967295", u32::MAX),
        ("99999999999999999999", u32::MAX),
    ] {
        let first = alloc::format!("r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i={asked}");
        let refused = SaslError::TooManyIterations {
            asked: read,
            limit: 10_000,
        };
        assert_eq!(answer_to(first.as_bytes()), Err(refused));
    }
    assert!(answer_to(b"r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=10000").is_ok());
    let defaults = SaslContext::default();
    assert!(defaults.min_iterations == 4_096 && defaults.max_iterations > 4_096);
}

#[test]
fn iterations_have_a_minimum() {
    let setup = Setup {
        iterations: [4_096, 10_000],
        ..Setup::default()
    };
    for (asked, is_accepted) in [(1, false), (4_095, false), (4_096, true)] {
        let mut exchange = setup
            .start(RFC_7677.mechanism, RFC_7677.nonce)
            .expect("a start");
        exchange.initial_response().expect("a message");
        let first = alloc::format!("r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i={asked}");
        let answer = exchange.respond(first.as_bytes());
        let refused = SaslError::TooFewIterations {
            asked,
            least: 4_096,
        };
        assert_eq!(answer.is_ok(), is_accepted);
        assert!(is_accepted || answer == Err(refused));
    }
}

#[test]
fn malformed_messages_are_refused() {
    let whole = "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=1";
    assert!(answer_to(whole.as_bytes()).is_ok());
    for cut in 0..whole.len() {
        // A cut within the nonce makes it the wrong one; any other cut makes the message
        // malformed.
        assert!(answer_to(&whole.as_bytes()[..cut]).is_err(), "{cut}");
    }
    for first in [
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=",
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=0",
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=-1",
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=+1",
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=01",
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=1,",
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=1,x",
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=1,x=",
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=1,xyz",
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=1,1=x",
        "r=rOprNGfwEbeRWgbNEkqOx,s=,i=1",
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22,i=1",
        "r=rOprNGfwEbeRWgbNEkqOx,i=1,s=W22Z",
        "r=rOprNGfwEbeRWgbNEkqO x,s=W22Z,i=1",
        "r=rOprNGfwEbeRWgbNEkqO\u{e4},s=W22Z,i=1",
        "s=W22Z,i=1",
    ] {
        let answer = answer_to(first.as_bytes());
        assert_eq!(answer, Err(SaslError::InvalidChallenge), "{first}");
    }
    assert_eq!(answer_to(b"r=\xff"), Err(SaslError::InvalidChallenge));
    let demanding = answer_to(b"m=x,r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=1");
    assert_eq!(demanding, Err(SaslError::UnknownExtension));
    assert!(answer_to(b"r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=1,x=some,y==").is_ok());
}

#[test]
fn a_refusal_is_acknowledged_and_kept() {
    let mut exchange = half_done(&RFC_7677);
    let answer = exchange.respond(b"e=invalid-proof");
    assert_eq!(answer, Ok(Secret::default()));
    assert_eq!(exchange.failure_detail(), Some(&b"invalid-proof"[..]));
    assert_eq!(exchange.respond(b""), Err(SaslError::UnexpectedChallenge));
    assert_eq!(
        exchange.finish(None),
        Err(SaslError::ServerNotAuthenticated)
    );
}

/// RFC 5802 §6.
#[test]
fn the_channel_is_bound_or_declared_absent() {
    let exporter = || Some(ChannelBinding::TlsExporter(vec![7; 32]));
    let end_point = || Some(ChannelBinding::TlsServerEndPoint(vec![8; 32]));
    for (binding, mechanism, offered, flag) in [
        (
            None,
            Mechanism::SCRAM_SHA_256,
            &["SCRAM-SHA-256"][..],
            "n,,",
        ),
        (
            exporter(),
            Mechanism::SCRAM_SHA_256,
            &["SCRAM-SHA-256"],
            "y,,",
        ),
        (
            exporter(),
            Mechanism::SCRAM_SHA_256,
            &["SCRAM-SHA-256", "scram-sha-1-plus"],
            "n,,",
        ),
        (
            exporter(),
            Mechanism::SCRAM_SHA_256_PLUS,
            &["SCRAM-SHA-256-PLUS"],
            "p=tls-exporter,,",
        ),
        (
            end_point(),
            Mechanism::SCRAM_SHA_1_PLUS,
            &["SCRAM-SHA-1-PLUS"],
            "p=tls-server-end-point,,",
        ),
    ] {
        let setup = Setup {
            binding,
            offered,
            ..Setup::default()
        };
        let message = setup.client_first(mechanism);
        assert!(message.starts_with(flag), "{message}");
    }
    let unbound = Setup::default().start(Mechanism::SCRAM_SHA_256_PLUS, RFC_7677.nonce);
    assert_eq!(
        unbound.err(),
        Some(SaslError::MissingContext("channel binding"))
    );
}

#[test]
fn the_channel_is_repeated_under_the_proof() {
    let setup = Setup {
        binding: Some(ChannelBinding::TlsExporter(b"\x01\x02\x03".to_vec())),
        offered: &["SCRAM-SHA-256-PLUS"],
        ..Setup::default()
    };
    let mut exchange = setup
        .start(Mechanism::SCRAM_SHA_256_PLUS, RFC_7677.nonce)
        .expect("a start");
    exchange.initial_response().expect("a message");
    let answer = exchange.respond(b"r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=1");
    let answer = text(&answer.expect("an answer"));
    let channel = encode(b"p=tls-exporter,,\x01\x02\x03");
    let channel = core::str::from_utf8(channel.expose())
        .expect("text")
        .to_string();
    assert!(
        answer.starts_with(&alloc::format!("c={channel},r=")),
        "{answer}"
    );
}

#[test]
fn names_are_prepared_and_escaped() {
    let setup = |user: &str, password: &str| Setup {
        credentials: Credentials::new(user, password).with_authorization_identity("a,b=c"),
        ..Setup::default()
    };
    let message = setup("u,s=r", "pencil").client_first(Mechanism::SCRAM_SHA_256);
    assert!(
        message.starts_with("n,a=a=2Cb=3Dc,n=u=2Cs=3Dr,r="),
        "{message}"
    );
    for (user, password) in [("", "x"), ("x", "a\u{7}b"), ("a\rb", "x")] {
        let started = setup(user, password).start(Mechanism::SCRAM_SHA_1, RFC_7677.nonce);
        assert_eq!(started.err(), Some(SaslError::ProhibitedCharacters));
    }
    let started = setup("x", "").start(Mechanism::SCRAM_SHA_1, RFC_7677.nonce);
    assert_eq!(started.err(), Some(SaslError::EmptySecret));
}

/// RFC 4013 §3.
#[cfg(feature = "saslprep")]
#[test]
fn saslprep_is_applied() {
    let prepared = |text| prepare::saslprep(text).map(|prepared| prepared.to_string());
    for (text, expected) in [
        ("I\u{ad}X", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u{aa}", "a"),
        ("\u{2168}", "IX"),
        ("a\u{a0}b", "a b"),
    ] {
        assert_eq!(prepared(text).as_deref(), Ok(expected));
    }
    for text in ["\u{7}", "\u{627}1", "\u{ad}"] {
        assert_eq!(prepared(text), Err(SaslError::ProhibitedCharacters));
    }
}

#[cfg(not(feature = "saslprep"))]
#[test]
fn without_saslprep_only_ascii_is_taken() {
    let prepared = prepare::saslprep("J\u{fc}rgen");
    assert_eq!(prepared.err(), Some(SaslError::ProhibitedCharacters));
}
