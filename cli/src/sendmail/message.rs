//! The message that `sendmail` sends: its recipients, and the fields that it lacks.

use std::io::Read;

use mail_builder::headers::Header;
use mail_builder::headers::address::Address as Mailbox;
use mail_builder::headers::date::Date;
use mail_builder::headers::message_id::generate_message_id_header;
use mail_parser::{HeaderName, Message, MessageParser};
use postwire_blocking::proto::{Address, escape_non_utf8};

use super::address_list;
use crate::send::bcc::WithoutBcc;

/// The first line of a message in a mailbox file, which is not part of it.
const MAILBOX_LINE: &[u8] = b"From ";

/// A message with all the fields that it needs.
#[derive(Debug)]
pub(crate) struct Outgoing {
    octets: Vec<u8>,
    recipients: Vec<String>,
}

impl Outgoing {
    /// Completes a message: adds From, Date and Message-ID where they are missing, and removes Bcc.
    pub(crate) fn new(
        mut input: Vec<u8>,
        domain: &str,
        sender: Option<&Address>,
        full_name: Option<&str>,
    ) -> Self {
        if input.starts_with(MAILBOX_LINE) {
            let line = input.iter().position(|octet| *octet == b'\n');
            input.drain(..line.map_or(input.len(), |end| end + 1));
        }
        // The parser drops a field whose line has no end.
        if !input.is_empty() && !input.ends_with(b"\n") {
            input.push(b'\n');
        }
        let parsed = MessageParser::new().parse_headers(&input);
        let has = |name: HeaderName<'_>| {
            let message = parsed.as_ref();
            message.is_some_and(|message| message.header(name).is_some())
        };
        let mut fields = Vec::new();
        if !has(HeaderName::From) {
            let address = sender.map_or("MAILER-DAEMON", Address::as_str);
            fields.extend_from_slice(b"From: ");
            write(&mut fields, &Mailbox::new_address(full_name, address));
        }
        if !has(HeaderName::Date) {
            fields.extend_from_slice(b"Date: ");
            write(&mut fields, &Date::now());
        }
        if !has(HeaderName::MessageId) {
            fields.extend_from_slice(b"Message-ID: ");
            generate_message_id_header(&mut fields, domain);
            fields.extend_from_slice(b"\r\n");
        }
        let recipients = parsed.as_ref().map(recipients).unwrap_or_default();
        let is_header = begins_with_a_field(&input);
        if !is_header && !input.is_empty() {
            // The text of the message begins at once.
            fields.extend_from_slice(b"\r\n");
        }
        let mut octets = fields;
        let read = WithoutBcc::new(&*input).read_to_end(&mut octets);
        debug_assert!(read.is_ok(), "reading from memory never fails");
        Self { octets, recipients }
    }

    /// The addresses in To, Cc and Bcc, or in their Resent- forms if there are any (RFC 5322
    /// §3.6.6).
    pub(crate) fn recipients(&self) -> Vec<String> {
        self.recipients.clone()
    }

    pub(crate) fn into_octets(self) -> Vec<u8> {
        self.octets
    }
}

fn write(fields: &mut Vec<u8>, field: &impl Header) {
    let begun = fields.len();
    field.write_header(fields, 0);
    if !fields[begun..].ends_with(b"\r\n") {
        fields.extend_from_slice(b"\r\n");
    }
}

fn recipients(message: &Message<'_>) -> Vec<String> {
    use HeaderName::{Bcc, Cc, ResentBcc, ResentCc, ResentTo, To};
    let resent = [ResentTo, ResentCc, ResentBcc];
    // A message that is sent again does not go to its first recipients, even if the new fields name
    // nobody.
    let is_resent = message
        .headers()
        .iter()
        .any(|header| resent.contains(&header.name));
    addresses_in(message, if is_resent { &resent } else { &[To, Cc, Bcc] })
}

fn addresses_in(message: &Message<'_>, names: &[HeaderName<'_>]) -> Vec<String> {
    let mut found = Vec::new();
    for header in message.headers() {
        if names.contains(&header.name) {
            let value = header.offset_start as usize..header.offset_end as usize;
            let value = message.raw_message.get(value).unwrap_or_default();
            found.extend(address_list::addresses(&escape_non_utf8(value)));
        }
    }
    found
}

/// The addresses in a text like `Bob <bob@example.net>, alice`; the text itself if it has none.
///
/// A text with control characters, which could stand for more than they show, or with the colon of a
/// group, is an address that the caller refuses.
pub(crate) fn addresses(text: &str) -> Vec<String> {
    if text.contains(char::is_control) || has_a_group(text) {
        return vec![text.to_owned()];
    }
    let found = address_list::addresses(text);
    if found.is_empty() {
        return vec![text.to_owned()];
    }
    found
}

/// Whether there is a colon outside quotes and address literals.
fn has_a_group(text: &str) -> bool {
    let (mut is_quoted, mut characters) = (false, text.chars());
    while let Some(character) = characters.next() {
        match character {
            '\\' if is_quoted => drop(characters.next()),
            '"' => is_quoted = !is_quoted,
            '[' if !is_quoted => return false,
            ':' if !is_quoted => return true,
            _ => {}
        }
    }
    false
}

/// Whether the first line is a header field, or the empty line behind a header without fields.
fn begins_with_a_field(input: &[u8]) -> bool {
    let line = input
        .split(|octet| *octet == b'\n')
        .next()
        .unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let Some(colon) = line.iter().position(|octet| *octet == b':') else {
        return line.is_empty();
    };
    let name = line[..colon].trim_ascii_end();
    !name.is_empty() && name.iter().all(u8::is_ascii_graphic)
}

/// The position of the first line with only a dot.
pub(crate) fn dot_line(input: &[u8]) -> Option<usize> {
    let mut begin = 0;
    for line in input.split_inclusive(|octet| *octet == b'\n') {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        if text.strip_suffix(b"\r").unwrap_or(text) == b"." {
            return Some(begin);
        }
        begin += line.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outgoing(input: &str) -> Outgoing {
        let sender = "alice@example.org".parse().unwrap();
        Outgoing::new(input.into(), "example.org", Some(&sender), Some("Alice"))
    }

    fn text(input: &str) -> String {
        String::from_utf8(outgoing(input).into_octets()).unwrap()
    }

    #[test]
    fn missing_fields_are_added_and_others_kept() {
        let all = "From: a@b\nDate: x\nMessage-ID: <1@b>\nTo: c@d\n\nhi\n";
        assert_eq!(text(all), all);
        let completed = text("Subject: x\n\nhi\n");
        for expected in [
            "From: \"Alice\" <alice@example.org>\r\n",
            "Date: ",
            "Message-ID: <",
        ] {
            assert!(completed.contains(expected), "{completed}");
        }
        assert!(
            completed.ends_with("@example.org>\r\nSubject: x\n\nhi\n"),
            "{completed}"
        );
    }

    #[test]
    fn text_without_a_header_becomes_the_body() {
        for body in ["hello\n", " indented: text\n", "a b: c\n"] {
            assert!(
                text(body).ends_with(&format!("\r\n\r\n{body}")),
                "{}",
                text(body)
            );
        }
        assert!(text("\nhello\n").ends_with("@example.org>\r\n\nhello\n"));
        assert!(text("").ends_with("@example.org>\r\n"));
    }

    #[test]
    fn a_mailbox_line_is_dropped_and_bcc_too() {
        let sent = text("From alice Thu Nov 26 2026\nBcc: x@y\nSubject: x\n\nFrom here\n");
        assert!(
            !sent.contains("Bcc") && !sent.contains("Thu Nov 26 2026"),
            "{sent}"
        );
        assert!(sent.ends_with("Subject: x\n\nFrom here\n"), "{sent}");
    }

    #[test]
    fn recipients_are_in_the_header() {
        let header = "To: \"B, ob\" <bob@b.example>, carol@c.example (Carol),\n \
                      friends: dave@d.example, erin@e.example;\nCc: root\nBcc: frank@f.example\n\n";
        let expected = [
            "bob@b.example",
            "carol@c.example",
            "dave@d.example",
            "erin@e.example",
            "root",
            "frank@f.example",
        ];
        assert_eq!(outgoing(header).recipients(), expected);
        let resent = format!("Resent-To: zoe@z.example\n{header}");
        assert_eq!(outgoing(&resent).recipients(), ["zoe@z.example"]);
        let resent = format!("Resent-To: \n{header}");
        assert!(outgoing(&resent).recipients().is_empty());
        assert_eq!(addresses("\"a:b\"@c.example"), ["\"a:b\"@c.example"]);
        let group = "friends: a@b.example;";
        assert_eq!(addresses(group), [group]);
        assert_eq!(
            addresses("Bob <bob@b.example>, root"),
            ["bob@b.example", "root"]
        );
    }

    #[test]
    fn a_local_part_keeps_its_quotes() {
        let header = "To: J <\"john doe\"@b.example>, <\"a@b\"@c.example>,\n \
                      Q <\"q\\\"q\"@d.example>, john doe@e.example\n\n";
        let expected = [
            "\"john doe\"@b.example",
            "\"a@b\"@c.example",
            "\"q\\\"q\"@d.example",
            // An error, and not lost.
            "john doe@e.example",
        ];
        assert_eq!(outgoing(header).recipients(), expected);
    }

    #[test]
    fn a_line_with_only_a_dot_ends_the_message() {
        assert_eq!(dot_line(b"a\n.\nb\n"), Some(2));
        assert_eq!(dot_line(b"a\r\n.\r\n"), Some(3));
        for content in [&b"a\n.."[..], b"a\n. \nb\n", b"a\n.\t\n", b"a\n .\n"] {
            assert_eq!(dot_line(content), None);
        }
        assert_eq!(dot_line(b"a\n."), Some(2));
    }

    #[test]
    fn a_name_adds_no_field() {
        let sender = "alice@example.org".parse().unwrap();
        let name = Some("Al\r\nBcc: eve@e.example");
        let message = b"Subject: x\n\nhi\n".to_vec();
        let sent = Outgoing::new(message, "example.org", Some(&sender), name);
        let sent = String::from_utf8(sent.into_octets()).unwrap();
        assert!(sent.lines().all(|line| !line.starts_with("Bcc")), "{sent}");
    }
}
