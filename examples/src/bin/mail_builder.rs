//! Sends messages from `mail-builder` and from `lettre`: `mail_builder URL`, or to an embedded
//! server.

use mail_builder::MessageBuilder;
use postwire_blocking::{Transport, transport::Outgoing};
use postwire_lettre as lettre;
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
        .attachment("application/octet-stream", "numbers.bin", vec![7_u8; 1_000]);
    let message = Outgoing::try_from(message)?;
    println!("{}", transport.send(&message.envelope, message.body)?);

    let message = lettre::Message::builder()
        .from("Alice <alice@example.org>".parse()?)
        .to("Bob <bob@example.net>".parse()?)
        .subject("from lettre")
        .body("Hello, Bob.".to_owned())?;
    let mailer = lettre::SmtpTransport::from(transport);
    let response = lettre::Transport::send(&mailer, &message)?;
    println!("accepted: {}", response.code());
    Ok(())
}
