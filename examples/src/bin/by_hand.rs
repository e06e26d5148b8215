//! The core without any input or output; every byte is asserted.

use std::sync::Arc;

use bytes::Buf;
use postwire_tls::proto::{
    Client, ClientConfig, Endpoint, Envelope, Event, HelloName, Instant, Security,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = ClientConfig::new(HelloName::localhost(), Security::None);
    let mut client = Client::new(Arc::new(config));
    for recipient in ["bob@example.net", "nobody@example.net"] {
        let sender = Some("alice@example.org".parse()?);
        let envelope = Envelope::new(sender, vec![recipient.parse()?])?;
        client.enqueue(envelope, format!("To: {recipient}\n\n.\n"));
    }
    client.quit();

    let mut exchange = |server: &str, client_says: &str| {
        client.handle_input(Instant::EPOCH, server.as_bytes());
        let mut output = client.output();
        let flight = output.copy_to_bytes(output.remaining());
        assert_eq!(flight, client_says);
    };
    exchange("220 example.net\r\n", "EHLO [127.0.0.1]\r\n");
    exchange(
        "250-example.net\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES\r\n",
        "MAIL FROM:<alice@example.org>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n",
    );
    // Nothing follows the end of the content before its reply: many servers lose such commands.
    exchange(
        "250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go ahead\r\n",
        "To: bob@example.net\r\n\r\n..\r\n.\r\n",
    );
    exchange(
        "250 2.0.0 queued\r\n",
        "MAIL FROM:<alice@example.org>\r\nRCPT TO:<nobody@example.net>\r\nDATA\r\n",
    );
    // No recipient is accepted and the server still asks for content: the client sends a lone
    // dot.
    exchange(
        "250 2.1.0 ok\r\n550 5.1.1 no such user\r\n354 go ahead\r\n",
        ".\r\n",
    );
    exchange("554 5.5.1 no valid recipients\r\n", "QUIT\r\n");
    exchange("221 2.0.0 bye\r\n", "");

    let mut verdicts = Vec::new();
    while let Some(event) = client.poll_event() {
        if let Event::Report(report) = event {
            verdicts.push(report.to_string());
        }
    }
    assert_eq!(
        verdicts,
        [
            "accepted: 250 2.0.0 queued",
            "rejected at rcpt: 550 5.1.1 no such user"
        ]
    );
    println!("{}", verdicts.join("\n"));
    Ok(())
}
