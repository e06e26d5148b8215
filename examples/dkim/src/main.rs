//! Signs a message with DKIM (RFC 6376) and sends it: `dkim URL`, or to an embedded server, whose
//! copy is then verified.
//!
//! lettre signs: its feature `dkim` is maintained with it, and is lighter than a crate that also
//! verifies and thus resolves names. The key is for Ed25519 (RFC 8463). For receivers that only know
//! RSA, sign with `DkimSigningAlgorithm::Rsa` too.
//!
//! postwire sends the signed octets as they are. A program that signs a body should end it with CRLF:
//! lettre does not add the line end that the canonical form has (RFC 6376 §3.4.3).

mod verify;

use lettre::Message;
use lettre::message::dkim::{
    DkimCanonicalization, DkimCanonicalizationType, DkimConfig, DkimSigningAlgorithm,
    DkimSigningKey,
};
use lettre::message::header::HeaderName;
use postwire_blocking::Transport;
use postwire_blocking::transport::Outgoing;
use postwire_testing::TestServer;

/// The private key of RFC 8463 appendix A.2. The DNS record `news._domainkey.example.org` has the
/// public one: `v=DKIM1; k=ed25519; p=…`.
const PRIVATE_KEY: &str = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
/// The public key of the same appendix.
const PUBLIC_KEY: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

/// A message with a signature over its body and these fields.
fn signed() -> Result<Message, Box<dyn std::error::Error>> {
    let mut message = Message::builder()
        .from("Alice <alice@example.org>".parse()?)
        .to("Bob <bob@example.net>".parse()?)
        .bcc("archive@example.org".parse()?)
        .subject("signed: a subject that is folded, since it is longer than a line may be at most")
        .body("Hello, Bob.  \r\n.dots, \t blanks\r\nand empty lines\r\n\r\n\r\n".to_owned())?;
    let relaxed = DkimCanonicalizationType::Relaxed;
    let fields = ["From", "To", "Subject", "Date"];
    let config = DkimConfig::new(
        "news".to_owned(),
        "example.org".to_owned(),
        DkimSigningKey::new(PRIVATE_KEY, DkimSigningAlgorithm::Ed25519)?,
        fields.map(HeaderName::new_from_ascii_str).to_vec(),
        DkimCanonicalization {
            header: relaxed,
            body: relaxed,
        },
    );
    message.sign(&config);
    Ok(message)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = TestServer::start();
    let url = std::env::args().nth(1).unwrap_or(server.url());
    let transport: Transport = Transport::from_url(url)?.build()?;
    let message = Outgoing::try_from(&signed()?)?;
    println!("{}", transport.send(&message.envelope, message.body)?);
    for received in server.messages() {
        verify::verify(&received.content, PUBLIC_KEY)?;
        println!("the signature of what arrived is valid");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

    use super::*;

    #[test]
    fn what_arrives_has_a_valid_signature() {
        let server = TestServer::start();
        let transport: Transport = server.transport().build().unwrap();
        let message = Outgoing::try_from(&signed().unwrap()).unwrap();
        assert_eq!(message.envelope.forward_paths().len(), 2);
        let sent = transport.send(&message.envelope, message.body);
        assert!(sent.unwrap().is_accepted());
        let content = server.wait_for(1)[0].content.to_vec();
        verify::verify(&content, PUBLIC_KEY).unwrap();

        let text = String::from_utf8(content).unwrap();
        for (signed, altered) in [
            ("Hello", "Hallo"),
            ("Subject: signed", "Subject: forged"),
            ("bob@example.net", "eve@example.net"),
        ] {
            assert!(text.contains(signed), "{text}");
            let altered = text.replacen(signed, altered, 1);
            assert!(verify::verify(altered.as_bytes(), PUBLIC_KEY).is_err());
        }
    }
}
