//! Content: its facts, and what of it arrives, compared with models that read one octet after the
//! other.
//!
//! ```text
//! input = the keywords of the server, the size of a piece, and the content
//! ```

use std::sync::Arc;

use bytes::Bytes;
use postwire_proto::{
    Address, Body, BodyFacts, BodyScanner, Client, ClientConfig, Endpoint as _, Envelope, Event,
    HelloName, Instant, LineEnds, Report, Security,
};
use postwire_reference::{Dialect, Keywords, Recorder, canonical};

use crate::input::Input;

/// The facts about content, and its way to the reference server.
pub fn body(octets: &[u8]) {
    let mut input = Input::new(octets);
    let [chunking, binary_mime, eight_bit_mime, refuse] = input.flags();
    let piece = usize::from(input.octet()).max(1);
    let content = input.rest();

    let facts = BodyFacts::of(content);
    assert_eq!(facts, model(content));
    let mut scanner = BodyScanner::default();
    for piece in content.chunks(piece) {
        scanner.feed(piece);
    }
    let found = scanner.finish();
    assert_eq!(
        found.measured.as_ref(),
        Some(&facts),
        "the cuts made a difference"
    );
    assert_eq!(found.longest_line, Some(longest_line(content)));

    let keywords = Keywords {
        chunking,
        binary_mime: chunking && binary_mime,
        eight_bit_mime,
        ..Keywords::default()
    };
    let dialect = Dialect {
        keywords,
        ..Dialect::default()
    };
    let mut recorder = Recorder::new(dialect);
    let report = deliver(content, refuse, piece, &mut recorder);
    let is_possible = (!facts.eight_bit || eight_bit_mime || (chunking && binary_mime))
        && (!facts.nul || (chunking && binary_mime))
        && (!refuse || facts.is_canonical());
    assert_eq!(recorder.offences(), [], "{}", recorder.dialogue());
    match recorder.taken() {
        [] => assert!(report.error().is_some(), "{report}"),
        [taken] => {
            assert!(report.is_accepted(), "{report}");
            assert!(is_possible);
            let sent = canonical(content);
            assert_eq!(canonical(&taken.content), sent, "{}", recorder.dialogue());
        }
        more => panic!("taken {} times", more.len()),
    }
}

/// Sends the content over one session, written in pieces.
fn deliver(content: &[u8], refuse: bool, piece: usize, recorder: &mut Recorder) -> Report {
    let mut config = ClientConfig::new(HelloName::localhost(), Security::None);
    if refuse {
        config = config.line_ends(LineEnds::Refuse);
    }
    let mut client = Client::new(Arc::new(config));
    let address = |text: &str| text.parse::<Address>().expect("it is valid");
    let envelope = Envelope::new(
        Some(address("a@example.org")),
        vec![address("b@example.org")],
    );
    let envelope = envelope.expect("there is a recipient");
    client.enqueue(envelope, Body::from(Bytes::copy_from_slice(content)));
    client.quit();
    let now = Instant::EPOCH;
    let mut reports = Vec::new();
    while !client.is_closed() {
        let mut moved = false;
        loop {
            let chunk = client.output_chunk();
            let octets = chunk[..chunk.len().min(piece)].to_vec();
            if octets.is_empty() {
                break;
            }
            client.advance_output(octets.len());
            recorder.receive(&octets);
            moved = true;
        }
        let said = recorder.say();
        moved |= !said.is_empty();
        client.handle_input(now, &said);
        if recorder.has_hung_up() {
            client.handle_eof(now);
            moved = true;
        }
        while let Some(event) = client.poll_event() {
            if let Event::Report(report) = event {
                reports.push(report);
            }
        }
        assert!(moved, "nothing moves: {}", recorder.dialogue());
    }
    let report = reports.pop().expect("there is a report");
    assert!(reports.is_empty());
    report
}

/// The facts, by their definitions.
fn model(content: &[u8]) -> BodyFacts {
    let mut facts = BodyFacts::of(b"");
    facts.octets = content.len() as u64;
    let mut at = 0;
    let mut begins_line = true;
    while at < content.len() {
        let rest = &content[at..];
        let octet = rest[0];
        facts.eight_bit |= octet > 127;
        facts.nul |= octet == 0;
        facts.leading_dot |= begins_line && octet == b'.';
        let (length, ends_line) = line_end(rest);
        match &rest[..length] {
            b"\r" => facts.lone_cr += 1,
            b"\n" => facts.lone_lf += 1,
            end => facts.surplus_cr += (end.len() as u64).saturating_sub(2),
        }
        begins_line = ends_line;
        at += length.max(1);
    }
    facts.ends_with_crlf = begins_line;
    let header = header(content);
    facts.utf8_header = !header.is_ascii() && core::str::from_utf8(header).is_ok();
    facts
}

/// The length of the line end that begins here, and whether there is one. Several CRs before a LF
/// are one line end.
fn line_end(rest: &[u8]) -> (usize, bool) {
    let returns = rest.iter().take_while(|octet| **octet == b'\r').count();
    match (returns, rest.get(returns)) {
        (_, Some(b'\n')) => (returns + 1, true),
        (0, _) => (0, false),
        _ => (1, true),
    }
}

/// The octets before the first empty line.
fn header(content: &[u8]) -> &[u8] {
    let mut at = 0;
    let mut begins_line = true;
    while at < content.len() {
        let (length, ends_line) = line_end(&content[at..]);
        if ends_line && begins_line {
            return &content[..at];
        }
        begins_line = ends_line;
        at += length.max(1);
    }
    content
}

fn longest_line(content: &[u8]) -> u64 {
    let lines = content.split(|octet| matches!(octet, b'\r' | b'\n'));
    lines.map(<[u8]>::len).max().unwrap_or_default() as u64
}
