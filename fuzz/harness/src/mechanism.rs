//! The client's side of each authentication mechanism, and of SCRAM-SHA-256 also with a server that
//! computes the keys by itself (RFC 5802 §3), so that the messages behind the first proof are
//! reached.
//!
//! ```text
//! input   = the mechanism, flags, and messages of the server, each behind a line end
//! message = its octets; in SCRAM-SHA-256, `N` at its beginning stands for the client's nonce, and `V`
//!           for the signature that proves the server
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use memchr::memmem;
use postwire_proto::{
    ChannelBinding, Credentials, Exchange, Mechanism, SaslContext, SaslError, is_safe_to_show,
};
use sha2::{Digest as _, Sha256};

use crate::input::Input;
use crate::plaintext::{SECRET, USER};

const NONCE: [u8; 18] = *b"a nonce of 18 octs";
const MAX_ITERATIONS: u32 = 64;

/// An authentication, whatever the server sends.
pub fn mechanism(octets: &[u8]) {
    let mut input = Input::new(octets);
    let all = Mechanism::all();
    let mechanism = all[usize::from(input.octet()) % all.len()];
    let [with_token, binds, acts_for_another, plus_is_offered] = input.flags();
    let mut credentials = if with_token {
        Credentials::token(USER, SECRET)
    } else {
        Credentials::new(USER, SECRET)
    };
    if acts_for_another {
        credentials = credentials.with_authorization_identity("carol,=");
    }
    let binding = ChannelBinding::TlsExporter(vec![7; 32]);
    let offered: &[&str] = if plus_is_offered {
        &["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]
    } else {
        &["SCRAM-SHA-256"]
    };
    let mut context = SaslContext::default()
        .nonce(&NONCE)
        .host("mail.example")
        .offered(offered)
        .max_iterations(MAX_ITERATIONS)
        .min_iterations(1);
    if binds {
        context = context.channel_binding(&binding);
    }
    match mechanism.start(&credentials, &context) {
        Err(error) => check_error(&error),
        Ok(exchange) => Run::new(mechanism, exchange).play(input.rest()),
    }
}

fn check_error(error: &SaslError) {
    let shown = format!("{error} {error:?}");
    assert!(shown.chars().all(is_safe_to_show), "{shown:?}");
    assert!(!shown.contains(SECRET), "{shown}");
}

struct Run {
    mechanism: Mechanism,
    exchange: Box<dyn Exchange>,
    /// The client's first message of SCRAM.
    client_first_bare: String,
    header: String,
    /// The signature that proves the server.
    signature: Option<String>,
    /// Whether the server sent it.
    is_proved: bool,
}

impl Run {
    fn new(mechanism: Mechanism, exchange: Box<dyn Exchange>) -> Self {
        Self {
            mechanism,
            exchange,
            client_first_bare: String::new(),
            header: String::new(),
            signature: None,
            is_proved: false,
        }
    }

    fn is_modelled(&self) -> bool {
        matches!(
            self.mechanism.name(),
            "SCRAM-SHA-256" | "SCRAM-SHA-256-PLUS"
        )
    }

    fn play(mut self, script: &[u8]) {
        match self.exchange.initial_response() {
            Err(error) => return check_error(&error),
            Ok(Some(first)) => self.client_says(first.expose(), None),
            Ok(None) => {}
        }
        let mut messages = script.split(|octet| *octet == b'\n').take(8).peekable();
        while let Some(message) = messages.next() {
            let message = self.completed(message);
            self.note_proof(&message);
            // The last message comes with the reply of success.
            if messages.peek().is_none() {
                return self.finish(Some(&message));
            }
            match self.exchange.respond(&message) {
                Err(error) => return check_error(&error),
                Ok(response) => self.client_says(response.expose(), Some(&message)),
            }
        }
        self.finish(None);
    }

    fn finish(&mut self, message: Option<&[u8]>) {
        match self.exchange.finish(message) {
            Err(error) => check_error(&error),
            Ok(()) if self.mechanism.name().starts_with("SCRAM") => {
                assert!(
                    self.is_proved || !self.is_modelled(),
                    "the server is trusted"
                );
            }
            Ok(()) => {}
        }
        // Text of the server, which a program escapes.
        let _ = self.exchange.failure_detail();
    }

    /// The message with the words that only the server's side can know.
    fn completed(&self, message: &[u8]) -> Vec<u8> {
        let nonce = self.client_first_bare.split_once(",r=");
        match (message.split_first(), nonce, &self.signature) {
            (Some((b'N', rest)), Some((_, nonce)), _) => [b"r=", nonce.as_bytes(), rest].concat(),
            (Some((b'V', rest)), _, Some(signature)) => {
                [b"v=", signature.as_bytes(), rest].concat()
            }
            _ => message.to_vec(),
        }
    }

    fn note_proof(&mut self, message: &[u8]) {
        let Some(signature) = &self.signature else {
            return;
        };
        let proof = message
            .split(|octet| *octet == b',')
            .next()
            .unwrap_or_default();
        self.is_proved |= proof.strip_prefix(b"v=").is_some_and(|proof| {
            // The encoding need not be the only one: padding bits may differ.
            STANDARD.decode(proof).ok() == STANDARD.decode(signature).ok()
        });
    }

    fn client_says(&mut self, octets: &[u8], challenge: Option<&[u8]>) {
        // The client repeats what the server sends in some places.
        let is_echo =
            challenge.is_some_and(|challenge| memmem::find(challenge, SECRET.as_bytes()).is_some());
        if !self.mechanism.reveals_secret() && !is_echo {
            assert_eq!(memmem::find(octets, SECRET.as_bytes()), None);
        }
        if !self.is_modelled() {
            return;
        }
        let text = core::str::from_utf8(octets).expect("the messages of SCRAM are text");
        let Some(challenge) = challenge else {
            let bare = text.find(",n=").expect("a user") + 1;
            (self.header, self.client_first_bare) =
                (text[..bare].to_owned(), text[bare..].to_owned());
            return;
        };
        if self.signature.is_none() && !text.is_empty() {
            let challenge = core::str::from_utf8(challenge).expect("it was accepted");
            self.check_proof(challenge, text);
        }
    }

    /// Computes what RFC 5802 §3 says, and compares.
    fn check_proof(&mut self, server_first: &str, client_final: &str) {
        let mut parts = server_first.split(',');
        let mut value = |name| {
            let part = parts.next().expect("three attributes");
            part.strip_prefix(name).expect("in this order")
        };
        let (nonce, salt, iterations) = (value("r="), value("s="), value("i="));
        let (_, own_nonce) = self.client_first_bare.split_once(",r=").expect("a nonce");
        assert!(nonce.len() > own_nonce.len() && nonce.starts_with(own_nonce));
        let iterations: u32 = iterations.parse().expect("a number");
        assert!((1..=MAX_ITERATIONS).contains(&iterations));
        let salt = STANDARD.decode(salt).expect("base64");

        let (without_proof, proof) = client_final.rsplit_once(",p=").expect("a proof");
        let channel = without_proof
            .split(',')
            .next()
            .and_then(|c| c.strip_prefix("c="));
        let channel = STANDARD
            .decode(channel.expect("the channel"))
            .expect("base64");
        assert!(channel.starts_with(self.header.as_bytes()));
        assert!(without_proof.contains(&format!(",r={nonce}")));

        let mut salted = [0; 32];
        pbkdf2::pbkdf2::<Hmac<Sha256>>(SECRET.as_bytes(), &salt, iterations, &mut salted)
            .expect("any length of a key is valid");
        let authenticated = format!("{},{server_first},{without_proof}", self.client_first_bare);
        let client_key = mac(&salted, b"Client Key");
        let client_signature = mac(&Sha256::digest(&client_key), authenticated.as_bytes());
        let expected: Vec<u8> = client_key
            .iter()
            .zip(&client_signature)
            .map(|(one, other)| one ^ other)
            .collect();
        assert_eq!(STANDARD.decode(proof), Ok(expected), "the proof is wrong");
        let server_key = mac(&salted, b"Server Key");
        let signature = mac(&server_key, authenticated.as_bytes());
        self.signature = Some(STANDARD.encode(signature));
    }
}

fn mac(key: &[u8], octets: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length of a key is valid");
    mac.update(octets);
    mac.finalize().into_bytes().to_vec()
}
