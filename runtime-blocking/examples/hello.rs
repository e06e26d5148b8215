//! Sends a greeting: `cargo run --example hello -- smtps://user:pass@host from@host to@host`

use postwire_blocking::{Transport, proto::Envelope};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("usage: hello URL FROM TO [CA.pem]");
    let (url, from, to) = (next()?, next()?, next()?);

    let mut builder = Transport::from_url(url)?;
    if let Ok(file) = next() {
        for root in postwire_blocking::tls::Certificate::from_pem_bundle(&std::fs::read(file)?)? {
            builder = builder.tls_parameters(|tls| tls.add_root_certificate(root));
        }
    }
    let envelope = Envelope::new(Some(from.parse()?), vec![to.parse()?])?;
    let message = format!("From: {from}\nTo: {to}\nSubject: hello\n\nHello.\n");
    let report = builder.build()?.send(&envelope, message)?;
    println!("{report}");
    Ok(())
}
