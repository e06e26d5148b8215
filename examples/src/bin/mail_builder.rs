//! Sends messages from `mail-builder` and from `lettre`: `mail_builder URL`, or to an embedded
//! server.

use mail_builder::MessageBuilder;
use postwire_blocking::{Transport, proto::Envelope};
use postwire_examples::by_lettre;
use postwire_scenarios::server::{Embedded, config_with_all_extensions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Embedded::start(
        config_with_all_extensions(),
        postwire_scenarios::plaintext(),
    );
    let here = format!("smtp://127.0.0.1:{}?tls=none", server.port());
    let url = std::env::args().nth(1).unwrap_or(here);
    let transport: Transport = Transport::from_url(url)?.build()?;

    let message = MessageBuilder::new()
        .from(("Alice", "alice@example.org"))
        .to("bob@example.net")
        .subject("from mail-builder")
        .text_body("Hello, Bob.")
        .attachment("application/octet-stream", "numbers.bin", vec![7_u8; 1_000])
        .write_to_vec()?;
    let envelope = Envelope::new(
        Some("alice@example.org".parse()?),
        vec!["bob@example.net".parse()?],
    )?;
    println!("{}", transport.send(&envelope, message)?);

    let message = lettre::Message::builder()
        .from("Alice <alice@example.org>".parse()?)
        .to("Bob <bob@example.net>".parse()?)
        .subject("from lettre")
        .body("Hello, Bob.".to_owned())?;
    let report = lettre::Transport::send(&by_lettre::Blocking(transport), &message)?;
    println!("{report}");
    Ok(())
}
