//! Sends a newsletter, one message for each reader: `newsletter HOST PORT READER...`.
//!
//! The same program twice: `original.rs` uses lettre, and `moved.rs` this crate. They differ in one
//! line.

use std::time::{Duration, SystemTime};

use ::lettre;

use lettre::message::header::ContentType;
use lettre::message::{Attachment, MultiPart, MultiPartKind, SinglePart};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::{Error, PoolConfig};
use lettre::{Message, SmtpTransport, Transport};

/// The transport, which lives as long as the program.
pub fn mailer(host: &str, port: u16) -> SmtpTransport {
    SmtpTransport::builder_dangerous(host)
        .port(port)
        .hello_name(ClientId::Domain("news.example.org".to_owned()))
        .timeout(Some(Duration::from_secs(20)))
        .pool_config(PoolConfig::new().max_size(2))
        .build()
}

/// This week's issue for one reader, with a blind copy for the archive.
pub fn newsletter(reader: &str) -> Result<Message, Box<dyn std::error::Error>> {
    let picture = Attachment::new("week.bin".to_owned());
    let parts = MultiPart::builder()
        .kind(MultiPartKind::Mixed)
        .boundary("between-the-parts")
        .singlepart(SinglePart::plain(
            "Grüße,\r\n.a line that begins with a dot\r\n".to_owned(),
        ))
        .singlepart(picture.body(vec![7_u8; 500], ContentType::parse("image/x-week")?));
    Ok(Message::builder()
        .from("The news <news@example.org>".parse()?)
        .to(reader.parse()?)
        .bcc("archive@example.org".parse()?)
        .date(SystemTime::UNIX_EPOCH)
        .subject("This week: Grüße")
        .multipart(parts)?)
}

/// What to do about a reader whose issue did not arrive.
pub fn advice(error: &Error) -> String {
    let code = error.status().map(u16::from);
    match code {
        Some(code) if error.is_permanent() => format!("unsubscribe ({code})"),
        Some(code) if error.is_transient() => format!("again tomorrow ({code})"),
        _ if error.is_timeout() => "again tomorrow (too slow)".to_owned(),
        _ if error.is_client() => "ask the administrator".to_owned(),
        _ => "again tomorrow".to_owned(),
    }
}

/// Sends the issue to each reader, and says what became of it.
pub fn send_all(mailer: &SmtpTransport, readers: &[&str]) -> Vec<String> {
    let mut said = Vec::new();
    for reader in readers {
        let result = match newsletter(reader) {
            Ok(issue) => match mailer.send(&issue) {
                Ok(response) => format!("sent, {}", response.code()),
                Err(error) => advice(&error),
            },
            Err(error) => format!("not an address: {error}"),
        };
        said.push(format!("{reader}: {result}"));
    }
    said
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [host, port, readers @ ..] = arguments.as_slice() else {
        panic!("usage: newsletter HOST PORT READER...");
    };
    let mailer = mailer(host, port.parse().expect("a port"));
    match mailer.test_connection() {
        Ok(true) => {}
        Ok(false) => println!("the server does not answer"),
        Err(error) => println!("the server cannot be reached: {error}"),
    }
    for line in send_all(&mailer, readers) {
        println!("{line}");
    }
    mailer.shutdown();
}
