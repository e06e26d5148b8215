//! The capabilities that a server announces.

use std::collections::HashSet;

use postwire_proto::{Capabilities, CapabilitiesError, ReplyLimits, ReplyReader, SizeLimit};

/// A whole `EHLO` reply: if it is valid, its capabilities are consistent.
pub fn capabilities(octets: &[u8]) {
    let mut reader = ReplyReader::new(ReplyLimits::default());
    let mut rest = octets;
    while let Ok(Some(reply)) = reader.read(&mut rest) {
        let lines = reply.raw_lines().count() - 1;
        match Capabilities::parse(reply, lines) {
            Ok(capabilities) => check(&capabilities, lines),
            Err(error) => panic!("{lines} lines are not too many: {error}"),
        }
        if let Some(limit) = lines.checked_sub(1) {
            let refused = Capabilities::parse(reply, limit);
            assert_eq!(refused.err(), Some(CapabilitiesError::TooMany { limit }));
        }
    }
}

fn check(capabilities: &Capabilities, lines: usize) {
    assert_eq!(
        capabilities.iter().count() + capabilities.malformed(),
        lines
    );
    for capability in capabilities.iter() {
        let keyword = capability.keyword();
        assert!(!keyword.is_empty() && keyword.is_ascii());
        for case in [keyword.to_ascii_lowercase(), keyword.to_ascii_uppercase()] {
            let first = capabilities.get(&case).expect("found by its own name");
            assert!(first.keyword().eq_ignore_ascii_case(keyword));
            assert!(capabilities.has(&case));
        }
        for parameter in capability.parameters() {
            assert!(!parameter.is_empty() && !parameter.contains([' ', '\r', '\n']));
        }
    }
    for (getter, keyword) in [
        (capabilities.pipelining(), "PIPELINING"),
        (capabilities.chunking(), "CHUNKING"),
        (capabilities.eight_bit_mime(), "8BITMIME"),
        (capabilities.binary_mime(), "BINARYMIME"),
        (capabilities.smtp_utf8(), "SMTPUTF8"),
        (capabilities.dsn(), "DSN"),
        (capabilities.starttls(), "STARTTLS"),
        (capabilities.enhanced_status_codes(), "ENHANCEDSTATUSCODES"),
        (capabilities.size().is_some(), "SIZE"),
    ] {
        assert_eq!(getter, capabilities.has(keyword), "{keyword}");
    }
    assert_ne!(capabilities.size(), Some(SizeLimit::Octets(0)));
    let mechanisms: Vec<String> = capabilities.auth().map(str::to_ascii_uppercase).collect();
    let distinct: HashSet<&String> = mechanisms.iter().collect();
    assert_eq!(distinct.len(), mechanisms.len());
    assert!(mechanisms.is_empty() || capabilities.has("AUTH"));
    assert!(mechanisms.len() <= 64 && mechanisms.iter().all(|name| name.len() <= 20));
    let shown = format!("{capabilities:?} {:?}", capabilities.limits());
    assert!(!shown.contains(|character: char| character.is_control()));
}
