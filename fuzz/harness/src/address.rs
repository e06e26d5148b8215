//! Text that may become part of a command, and its A-labels.

use postwire_proto::{Address, Envelope, HelloName};

/// Addresses, reverse-paths and hello names: text that parses cannot end its line or path
/// early.
pub fn address(octets: &[u8]) {
    let Ok(text) = core::str::from_utf8(octets) else {
        return;
    };
    if let Ok(address) = text.parse::<Address>() {
        check_address(text, &address);
        let reverse_path = Envelope::parse_reverse_path(text);
        assert_eq!(reverse_path, Ok(Some(address)));
    }
    if let Some((user, domain)) = text.rsplit_once('@') {
        let joined = Address::new(user, domain);
        assert_eq!(
            joined.ok(),
            text.parse()
                .ok()
                .filter(|whole: &Address| whole.user() == user)
        );
    }
    if let Ok(name) = text.parse::<HelloName>() {
        assert_eq!((name.as_str(), name.to_string().as_str()), (text, text));
        assert!(name.as_str().bytes().all(|octet| octet.is_ascii_graphic()));
        assert!(!text.is_empty() && text.len() <= 255 && !text.contains(['<', '>']));
    }
    if let Ok(None) = Envelope::parse_reverse_path(text) {
        assert!(matches!(text, "" | "<>"));
    }
}

fn check_address(text: &str, address: &Address) {
    assert_eq!(
        (address.as_str(), address.to_string().as_str()),
        (text, text)
    );
    let (user, domain) = (address.user(), address.domain());
    assert_eq!(format!("{user}@{domain}"), text);
    assert_eq!(Address::new(user, domain).as_ref(), Ok(address));
    assert!(text.len() <= 254 && user.len() <= 64 && domain.len() <= 255);
    assert!(!user.is_empty() && !domain.is_empty());
    assert!(!text.contains(|character: char| character.is_control()));
    let quoted = user.starts_with('"') && user.ends_with('"') && user.len() >= 2;
    let outside = if quoted { domain } else { text };
    assert!(!outside.contains([' ', '<', '>']), "{text:?}");
    assert_eq!(address.is_ascii(), text.is_ascii());
    check_a_labels(address);
    // The path as a server finds its end: at the first `>` outside quotes.
    let path = format!("<{text}>");
    assert_eq!(end_of_path(&path), Some(path.len()), "{path:?}");
}

/// The address with A-labels (RFC 5890 §2.3.2.1) is another name of the same mailbox.
fn check_a_labels(address: &Address) {
    let Some(with_a_labels) = address.with_a_labels() else {
        return;
    };
    assert_eq!(with_a_labels.user(), address.user());
    assert!(with_a_labels.domain().is_ascii());
    assert_eq!(with_a_labels.as_str().parse().as_ref(), Ok(&with_a_labels));
    let again = with_a_labels.with_a_labels();
    assert!(
        again.is_none_or(|again| again == with_a_labels),
        "{address}"
    );
    if address.domain().is_ascii() {
        assert!(
            address
                .domain()
                .eq_ignore_ascii_case(with_a_labels.domain())
        );
    }
}

/// Only a local part may be quoted, and only as a whole.
fn end_of_path(path: &str) -> Option<usize> {
    let mut quoted = path.starts_with("<\"");
    let mut octets = path.bytes().enumerate().skip(if quoted { 2 } else { 1 });
    while let Some((position, octet)) = octets.next() {
        match octet {
            b'\\' if quoted => {
                octets.next();
            }
            b'"' if quoted => quoted = false,
            b'>' if !quoted => return Some(position + 1),
            _ => {}
        }
    }
    None
}
