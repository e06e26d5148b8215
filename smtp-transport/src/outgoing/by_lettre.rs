//! Messages and envelopes of `lettre`.

use postwire_proto::{Body, Envelope};

use super::{Outgoing, OutgoingError, address, is_bcc};

impl Outgoing {
    /// Converts an envelope of `lettre`, for content that is at hand. The content is sent as it
    /// is, with whatever fields it has.
    ///
    /// # Errors
    ///
    /// [`OutgoingError::Address`] if an address that `lettre` accepts cannot be sent.
    pub fn from_lettre_envelope(
        envelope: &lettre::address::Envelope,
        content: impl Into<Body>,
    ) -> Result<Self, OutgoingError> {
        let from = envelope.from().map(|from| address(from.as_ref()));
        let to = envelope.to().iter().map(|to| address(to.as_ref()));
        let envelope = Envelope::new(from.transpose()?, to.collect::<Result<_, _>>()?);
        Ok(Self {
            envelope: envelope.map_err(OutgoingError::Envelope)?,
            body: content.into(),
        })
    }
}

/// Takes the envelope that `lettre` made of the fields of the message, or that the program gave.
///
/// A Bcc field that the program keeps (`keep_bcc`) is not sent either.
impl TryFrom<&lettre::Message> for Outgoing {
    type Error = OutgoingError;

    fn try_from(message: &lettre::Message) -> Result<Self, OutgoingError> {
        let mut content = message.formatted();
        if message.headers().get_raw("Bcc").is_some() {
            remove_bcc(&mut content);
        }
        Self::from_lettre_envelope(message.envelope(), content)
    }
}

/// Removes the Bcc fields of a header whose lines end in CRLF, as `lettre` writes it. Changing the
/// headers of the message instead would lose its signature.
fn remove_bcc(content: &mut Vec<u8>) {
    let (mut at, mut within) = (0, false);
    while let Some(length) = content[at..].windows(2).position(|two| two == b"\r\n") {
        let line = &content[at..at + length];
        if line.is_empty() {
            return;
        }
        if !line.starts_with(b" ") && !line.starts_with(b"\t") {
            let name = line.split(|octet| *octet == b':').next();
            within = name.is_some_and(|name| str::from_utf8(name).is_ok_and(is_bcc));
        }
        if within {
            content.drain(at..at + length + 2);
        } else {
            at += length + 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> lettre::message::MessageBuilder {
        lettre::Message::builder()
            .from("Alice <alice@example.org>".parse().unwrap())
            .to("Bob <bob@example.net>".parse().unwrap())
            .cc("carol@example.com".parse().unwrap())
            .bcc("Dave <dave@example.edu>".parse().unwrap())
            .subject("hello")
    }

    #[test]
    fn the_envelope_has_bcc_and_the_content_has_not() {
        let message = builder().body("Bcc: stays\r\n".to_owned()).unwrap();
        let outgoing = Outgoing::try_from(&message).unwrap();
        assert_eq!(
            outgoing.envelope.reverse_path().unwrap().as_str(),
            "alice@example.org"
        );
        let to: Vec<_> = outgoing.envelope.forward_paths().iter().collect();
        assert_eq!(
            to.iter().map(|to| to.as_str()).collect::<Vec<_>>(),
            ["bob@example.net", "carol@example.com", "dave@example.edu"]
        );
        assert_eq!(outgoing.body.bytes(), &message.formatted());
        let text = str::from_utf8(outgoing.body.bytes()).unwrap();
        assert!(!text.contains("dave"), "{text}");
        assert!(text.contains("\r\nBcc: stays"), "{text}");
    }

    #[test]
    fn a_bcc_field_that_is_kept_is_not_sent() {
        let kept = builder().keep_bcc();
        let mut kept = kept.body("Bcc: stays\r\n".to_owned()).unwrap();
        let many = "someone with a long name <someone@example.org>, ".repeat(10);
        kept.headers_mut().insert_raw(header_value("Bcc", &many));
        let before = String::from_utf8(kept.formatted()).unwrap();
        assert!(before.contains("\r\nBcc: ") && before.contains("someone@example.org"));
        let outgoing = Outgoing::try_from(&kept).unwrap();
        let text = str::from_utf8(outgoing.body.bytes()).unwrap();
        assert!(!text.contains("someone"), "{text}");
        assert!(text.ends_with("\r\n\r\nBcc: stays\r\n"), "{text}");
        assert_eq!(outgoing.envelope.forward_paths().len(), 3);
        kept.headers_mut().remove_raw("Bcc");
        assert_eq!(text.as_bytes(), kept.formatted());
    }

    fn header_value(name: &'static str, text: &str) -> lettre::message::header::HeaderValue {
        let name = lettre::message::header::HeaderName::new_from_ascii_str(name);
        lettre::message::header::HeaderValue::new(name, text.to_owned())
    }

    #[test]
    fn an_envelope_of_the_program_has_priority() {
        let envelope =
            lettre::address::Envelope::new(None, vec!["postmaster@example.net".parse().unwrap()]);
        let message = builder().envelope(envelope.unwrap());
        let message = message.body(String::new()).unwrap();
        let outgoing = Outgoing::try_from(&message).unwrap();
        assert_eq!(outgoing.envelope.reverse_path(), None);
        assert_eq!(outgoing.envelope.forward_paths().len(), 1);
    }
}
