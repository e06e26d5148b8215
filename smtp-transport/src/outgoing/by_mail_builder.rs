//! Messages of `mail-builder`.

use mail_builder::MessageBuilder;
use mail_builder::headers::HeaderType;
use mail_builder::headers::address::Address as Addresses;
use postwire_proto::{Address, Envelope};

use super::{Outgoing, OutgoingError, address, is_bcc};

/// Reads the addresses of the fields Sender, From, To, Cc and Bcc, and writes the message without
/// Bcc. Groups are read too.
impl TryFrom<MessageBuilder<'_>> for Outgoing {
    type Error = OutgoingError;

    fn try_from(mut message: MessageBuilder<'_>) -> Result<Self, OutgoingError> {
        let mut from = addresses_of(&message, &["Sender"])?;
        if from.is_empty() {
            from = addresses_of(&message, &["From"])?;
        }
        if from.len() > 1 {
            return Err(OutgoingError::SeveralSenders);
        }
        let to = addresses_of(&message, &["To", "Cc", "Bcc"])?;
        let envelope = Envelope::new(from.pop(), to).map_err(OutgoingError::Envelope)?;
        message.headers.retain(|(name, _)| !is_bcc(name));
        let content = message.write_to_vec();
        let content = content.map_err(|error| OutgoingError::Write(error.to_string()))?;
        Ok(Self {
            envelope,
            body: content.into(),
        })
    }
}

fn addresses_of(
    message: &MessageBuilder<'_>,
    names: &[&str],
) -> Result<Vec<Address>, OutgoingError> {
    let mut found = Vec::new();
    for (name, value) in &message.headers {
        if !names.iter().any(|one| one.eq_ignore_ascii_case(name)) {
            continue;
        }
        let HeaderType::Address(addresses) = value else {
            return Err(OutgoingError::NotAddresses(name.to_string()));
        };
        collect(addresses, &mut found)?;
    }
    Ok(found)
}

fn collect(addresses: &Addresses<'_>, found: &mut Vec<Address>) -> Result<(), OutgoingError> {
    let more = match addresses {
        Addresses::Address(one) => {
            found.push(address(&one.email)?);
            return Ok(());
        }
        Addresses::Group(group) => &group.addresses,
        Addresses::List(list) => list,
    };
    more.iter().try_for_each(|one| collect(one, found))
}

#[cfg(test)]
mod tests {
    use mail_builder::headers::raw::Raw;
    use postwire_proto::EnvelopeError;

    use super::*;

    fn builder() -> MessageBuilder<'static> {
        MessageBuilder::new()
            .from(("Alice", "alice@example.org"))
            .subject("hello")
            .text_body("Bcc: stays\r\n")
    }

    fn group(name: &'static str, email: &'static str) -> Addresses<'static> {
        Addresses::new_group(Some(name), vec![Addresses::from(email)])
    }

    #[test]
    fn the_envelope_has_bcc_and_the_content_has_not() {
        let message = builder()
            .to(vec!["bob@example.net", "erin@example.net"])
            .cc(group("friends", "carol@example.com"))
            .header("bCC", Addresses::from(("Dave", "dave@example.edu")));
        let outgoing = Outgoing::try_from(message).unwrap();
        let from = outgoing.envelope.reverse_path().unwrap();
        assert_eq!(from.as_str(), "alice@example.org");
        let to = outgoing.envelope.forward_paths().iter();
        assert_eq!(
            to.map(Address::as_str).collect::<Vec<_>>(),
            [
                "bob@example.net",
                "erin@example.net",
                "carol@example.com",
                "dave@example.edu"
            ]
        );
        let text = str::from_utf8(outgoing.body.bytes()).unwrap();
        assert!(!text.contains("dave") && !text.contains("bCC"), "{text}");
        assert!(text.contains("\r\nBcc: stays"), "{text}");
        assert!(text.contains("carol@example.com"), "{text}");
    }

    #[test]
    fn the_sender_is_one_address() {
        let two = || {
            let from = vec!["alice@example.org", "bob@example.org"];
            MessageBuilder::new().from(from).to("carol@example.com")
        };
        assert_eq!(
            Outgoing::try_from(two()).unwrap_err(),
            OutgoingError::SeveralSenders
        );
        let outgoing = Outgoing::try_from(two().sender("bob@example.org")).unwrap();
        let from = outgoing.envelope.reverse_path().unwrap();
        assert_eq!(from.as_str(), "bob@example.org");
    }

    #[test]
    fn each_error_says_what_is_wrong() {
        assert_eq!(
            Outgoing::try_from(builder()).unwrap_err(),
            OutgoingError::Envelope(EnvelopeError::NoRecipients)
        );
        let raw = builder().header("To", Raw::new("bob@example.net"));
        let error = Outgoing::try_from(raw).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the field To does not consist of addresses"
        );
        let error = Outgoing::try_from(builder().to("bob")).unwrap_err();
        assert!(matches!(error, OutgoingError::Address(..)));
        assert!(
            error.to_string().starts_with("the address \"bob\": "),
            "{error}"
        );
    }
}
