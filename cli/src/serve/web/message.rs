//! A message for the web page and the API: its fields, texts and parts, with the names that
//! Mailpit's API has.
//!
//! Knows the format of messages (RFC 5322, MIME). Must never know requests.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;

use mail_parser::{Address, DateTime, HeaderName, Message, MessageParser, MessagePart, PartType};
use postwire_blocking::proto::{Address as Mailbox, TlsInfo};
use serde::Serialize;

use crate::serve::inbox::StoredMessage;
use crate::serve::web::parts::{Attachment, attachment, attachments};

/// The number of characters of a snippet.
const SNIPPET: usize = 250;

/// The number of parts with a type, beyond which a message is not taken apart: messages within
/// messages need stack.
const MAX_TYPES: usize = 1_000;

/// A name and an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) address: String,
}

/// What the list shows of a message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) message_id: String,
    pub(crate) from: Person,
    pub(crate) to: Vec<Person>,
    pub(crate) cc: Vec<Person>,
    pub(crate) bcc: Vec<Person>,
    pub(crate) reply_to: Vec<Person>,
    pub(crate) subject: String,
    pub(crate) attachments: usize,
    pub(crate) inline: usize,
    pub(crate) snippet: String,
}

/// An entry of the list.
#[derive(Debug, Serialize)]
pub(crate) struct ListEntry<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    #[serde(rename = "MessageID")]
    message_id: &'a str,
    #[serde(rename = "Read")]
    read: bool,
    #[serde(rename = "From")]
    from: &'a Person,
    #[serde(rename = "To")]
    to: &'a [Person],
    #[serde(rename = "Cc")]
    cc: &'a [Person],
    #[serde(rename = "Bcc")]
    bcc: &'a [Person],
    #[serde(rename = "ReplyTo")]
    reply_to: &'a [Person],
    #[serde(rename = "Subject")]
    subject: &'a str,
    #[serde(rename = "Created")]
    created: String,
    #[serde(rename = "Username")]
    username: &'a str,
    #[serde(rename = "Tags")]
    tags: [(); 0],
    #[serde(rename = "Size")]
    size: usize,
    #[serde(rename = "Attachments")]
    attachments: usize,
    #[serde(rename = "Snippet")]
    snippet: &'a str,
}

/// A whole message without the content of its attachments.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Detail<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    #[serde(rename = "MessageID")]
    message_id: &'a str,
    from: &'a Person,
    to: &'a [Person],
    cc: &'a [Person],
    bcc: &'a [Person],
    reply_to: &'a [Person],
    return_path: &'a str,
    subject: &'a str,
    list_unsubscribe: ListUnsubscribe,
    date: String,
    tags: [(); 0],
    username: &'a str,
    text: String,
    #[serde(rename = "HTML")]
    html: String,
    size: usize,
    inline: Vec<Attachment>,
    attachments: Vec<Attachment>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListUnsubscribe {
    header: String,
    links: Vec<String>,
    errors: String,
    header_post: String,
}

/// The session in which a message arrived.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SessionDetail<'a> {
    connection: u64,
    peer: &'a str,
    hello: &'a str,
    reverse_path: &'a str,
    parameters: &'a [String],
    recipients: Vec<Recipient<'a>>,
    username: Option<&'a str>,
    #[serde(rename = "TLSVersion")]
    tls_version: Option<&'a str>,
    #[serde(rename = "TLSCipher")]
    tls_cipher: Option<&'a str>,
    certificate: Option<&'a str>,
    dialogue: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Recipient<'a> {
    address: &'a str,
    parameters: &'a [String],
}

/// Parses a message, which may be anything.
pub(crate) fn parse(message: &StoredMessage) -> Message<'_> {
    parse_octets(&message.received.content)
}

/// Parses a message; only its header if there may be too many parts.
fn parse_octets(content: &[u8]) -> Message<'_> {
    let parser = MessageParser::default();
    let parsed = if count_types(content) > MAX_TYPES {
        parser.parse_headers(content)
    } else {
        parser.parse(content)
    };
    // Octets in which not even a header is found are a message without fields. The parser's own
    // default has no root part, without which its methods panic.
    parsed.unwrap_or_else(|| Message {
        parts: vec![MessagePart::default()],
        ..Message::default()
    })
}

/// Takes a message apart in such a way that a fault of the parser concerns this message only, and
/// not the list or the search in which it is one of many.
fn alone<T: Default>(take_apart: impl FnOnce() -> T) -> T {
    // Nothing is changed that could be left half changed.
    std::panic::catch_unwind(AssertUnwindSafe(take_apart)).unwrap_or_default()
}

/// The number of fields that may give the type of a part, and so the depth of the parts at most.
fn count_types(content: &[u8]) -> usize {
    const NAME: &[u8] = b"content-type";
    let hyphens = memchr::memchr_iter(b'-', content);
    let is_name = |hyphen: &usize| {
        let start = hyphen.checked_sub(b"content".len());
        let found = start.and_then(|start| content.get(start..start + NAME.len()));
        found.is_some_and(|found| found.eq_ignore_ascii_case(NAME))
    };
    hyphens.filter(is_name).count()
}

/// The summary, parsed once.
pub(crate) fn summary(message: &StoredMessage) -> &Summary {
    let summary = &message.summary;
    summary.get_or_init(|| alone(|| summarize(message)))
}

fn summarize(message: &StoredMessage) -> Summary {
    let parsed = parse(message);
    let to = persons(parsed.to());
    let cc = persons(parsed.cc());
    let mut bcc = persons(parsed.bcc());
    // A recipient whom no field names is a blind copy.
    for recipient in &message.received.recipients {
        let is_this = |person: &Person| {
            let address = person.address.parse::<Mailbox>();
            address.is_ok_and(|address| address.is_same_mailbox(recipient))
        };
        if ![&to, &cc, &bcc].iter().any(|list| list.iter().any(is_this)) {
            bcc.push(Person {
                name: String::new(),
                address: recipient.to_string(),
            });
        }
    }
    let (inline, attachments) = attachments(&parsed);
    Summary {
        message_id: parsed.message_id().unwrap_or_default().to_owned(),
        from: sender(&parsed),
        to,
        cc,
        bcc,
        reply_to: persons(parsed.reply_to()),
        subject: parsed.subject().unwrap_or_default().to_owned(),
        attachments: attachments.len(),
        inline: inline.len(),
        snippet: snippet(&text(&parsed)),
    }
}

fn persons(addresses: Option<&Address<'_>>) -> Vec<Person> {
    let person = |person: &mail_parser::Addr<'_>| Person {
        name: person.name().unwrap_or_default().to_owned(),
        address: person.address().unwrap_or_default().to_owned(),
    };
    let addresses = addresses.into_iter().flat_map(Address::iter);
    addresses.map(person).collect()
}

/// The first author; an unreadable field is a name, and a missing one is empty.
fn sender(parsed: &Message<'_>) -> Person {
    let mut people = persons(parsed.from()).into_iter();
    people.next().unwrap_or_else(|| Person {
        name: field(parsed, "From"),
        address: String::new(),
    })
}

/// The first words of a text, on one line.
fn snippet(text: &str) -> String {
    // Not more of it than can matter.
    let words = text.split_whitespace().take(SNIPPET);
    let mut snippet = String::new();
    for word in words {
        if !snippet.is_empty() {
            snippet.push(' ');
        }
        snippet.push_str(word);
        if let Some((end, _)) = snippet.char_indices().nth(SNIPPET) {
            snippet.truncate(end);
            snippet.push('\u{2026}');
            break;
        }
    }
    snippet
}

/// All texts of the body, in their order. HTML counts if there is nothing else.
fn text(parsed: &Message<'_>) -> String {
    let count = parsed.text_body_count();
    let texts = (0..count).filter_map(|position| parsed.body_text(position));
    texts.map(Cow::into_owned).collect()
}

/// The HTML of the body; empty if there is only text.
pub(crate) fn html(message: &StoredMessage) -> String {
    html_of(&parse(message))
}

fn html_of(parsed: &Message<'_>) -> String {
    let parts = parsed.html_bodies().filter_map(|part| match &part.body {
        PartType::Html(html) => Some(html.as_ref()),
        _ => None,
    });
    parts.collect()
}

/// The text of the body.
pub(crate) fn plain_text(message: &StoredMessage) -> String {
    alone(|| text(&parse(message)))
}

/// The header fields by name, each with all its values, unfolded.
pub(crate) fn headers(message: &StoredMessage) -> BTreeMap<String, Vec<String>> {
    let parsed = parse(message);
    let mut headers = BTreeMap::<_, Vec<String>>::new();
    for (name, value) in parsed.headers_raw() {
        let lines = value.trim().lines().map(str::trim);
        let value = lines.collect::<Vec<_>>().join(" ");
        headers.entry(canonical(name)).or_default().push(value);
    }
    headers
}

/// The name with a capital at the start of each word.
fn canonical(name: &str) -> String {
    let mut starts = true;
    let capitalize = |character: char| {
        let capital = std::mem::replace(&mut starts, character == '-');
        if capital {
            character.to_ascii_uppercase()
        } else {
            character.to_ascii_lowercase()
        }
    };
    name.chars().map(capitalize).collect()
}

/// The value of a field, unfolded.
fn field(parsed: &Message<'_>, name: &'static str) -> String {
    let value = parsed
        .header_raw(HeaderName::from(name))
        .unwrap_or_default();
    let lines = value.trim().lines().map(str::trim);
    lines.collect::<Vec<_>>().join(" ")
}

fn list_unsubscribe(parsed: &Message<'_>) -> ListUnsubscribe {
    let header = field(parsed, "List-Unsubscribe");
    let links = header.split('<').skip(1);
    let links = links.filter_map(|link| Some(link.split_once('>')?.0.to_owned()));
    ListUnsubscribe {
        links: links.collect(),
        header_post: field(parsed, "List-Unsubscribe-Post"),
        errors: String::new(),
        header,
    }
}

/// The time in the format of RFC 3339, with milliseconds.
fn time(milliseconds: u64) -> String {
    let seconds = i64::try_from(milliseconds / 1_000).unwrap_or(i64::MAX);
    let whole = DateTime::from_timestamp(seconds).to_rfc3339();
    let rest = milliseconds % 1_000;
    format!("{}.{rest:03}Z", whole.trim_end_matches('Z'))
}

impl StoredMessage {
    fn username(&self) -> &str {
        self.received.authenticated.as_deref().unwrap_or_default()
    }

    fn reverse_path(&self) -> &str {
        let reverse_path = self.received.reverse_path.as_ref();
        reverse_path.map(Mailbox::as_str).unwrap_or_default()
    }

    /// The entry of the list.
    pub(crate) fn entry(&self) -> ListEntry<'_> {
        let summary = summary(self);
        ListEntry {
            id: &self.id,
            message_id: &summary.message_id,
            read: self.is_read(),
            from: &summary.from,
            to: &summary.to,
            cc: &summary.cc,
            bcc: &summary.bcc,
            reply_to: &summary.reply_to,
            subject: &summary.subject,
            created: time(self.arrived),
            username: self.username(),
            tags: [],
            size: self.received.content.len(),
            attachments: summary.attachments,
            snippet: &summary.snippet,
        }
    }

    /// The message without its attachments.
    pub(crate) fn detail(&self) -> Detail<'_> {
        let parsed = parse(self);
        let summary = summary(self);
        let (inline, attached) = attachments(&parsed);
        let list = |positions: Vec<u32>| {
            let positions = positions.into_iter();
            positions
                .filter_map(|position| attachment(&parsed, position))
                .collect()
        };
        let date = parsed.date().filter(|date| date.is_valid());
        Detail {
            id: &self.id,
            message_id: &summary.message_id,
            from: &summary.from,
            to: &summary.to,
            cc: &summary.cc,
            bcc: &summary.bcc,
            reply_to: &summary.reply_to,
            return_path: self.reverse_path(),
            subject: &summary.subject,
            list_unsubscribe: list_unsubscribe(&parsed),
            date: date.map_or_else(|| time(self.arrived), DateTime::to_rfc3339),
            tags: [],
            username: self.username(),
            text: text(&parsed),
            html: html_of(&parsed),
            size: self.received.content.len(),
            inline: list(inline),
            attachments: list(attached),
        }
    }

    /// The envelope, and the session.
    pub(crate) fn session(&self) -> SessionDetail<'_> {
        let received = &self.received;
        let parameters = received.parameters.recipients.iter();
        let parameters = parameters
            .map(Vec::as_slice)
            .chain(std::iter::repeat(&[][..]));
        let recipients = received.recipients.iter().zip(parameters);
        let recipients = recipients.map(|(address, parameters)| Recipient {
            address: address.as_str(),
            parameters,
        });
        let tls = received.tls.as_ref();
        SessionDetail {
            connection: self.connection,
            peer: &self.peer,
            hello: &received.hello,
            reverse_path: self.reverse_path(),
            parameters: &received.parameters.mail,
            recipients: recipients.collect(),
            username: received.authenticated.as_deref(),
            tls_version: tls.map(TlsInfo::version),
            tls_cipher: tls.map(TlsInfo::cipher),
            certificate: self.certificate.as_deref(),
            dialogue: &self.dialogue,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snippet_is_one_short_line() {
        assert_eq!(snippet(" a\r\n\tb \n"), "a b");
        let long = snippet(&"\u{fc}".repeat(1_000));
        assert_eq!(long.chars().count(), SNIPPET + 1);
        assert_eq!(snippet(&"a ".repeat(500)).chars().count(), SNIPPET + 1);
    }

    #[test]
    fn names_of_fields_have_one_form() {
        assert_eq!(canonical("MIME-version"), "Mime-Version");
        assert_eq!(canonical("x--\u{fc}"), "X--\u{fc}");
    }

    #[test]
    fn octets_that_are_no_message_have_no_fields() {
        for content in ["", "\r\n", "\n\n", "no header", ":", "\0", "--\r\n--\r\n"] {
            let parsed = parse_octets(content.as_bytes());
            assert!(parsed.to().is_none() && parsed.subject().is_none());
            assert_eq!(sender(&parsed), Person::default());
            assert_eq!(attachments(&parsed), (Vec::new(), Vec::new()));
            assert_eq!(html_of(&parsed), "");
            let _ = text(&parsed);
        }
    }

    #[test]
    fn messages_within_messages_are_limited() {
        let nested = |levels: usize| {
            let start = "From: a@b.example\r\n";
            let level = "CONTENT-Type: message/rfc822\r\n\r\n";
            format!("{start}{}Hello\r\n", level.repeat(levels))
        };
        let few = nested(MAX_TYPES);
        assert_eq!(count_types(few.as_bytes()), MAX_TYPES);
        assert!(!parse_octets(few.as_bytes()).attachments.is_empty());
        let many = nested(200_000);
        let parsed = parse_octets(many.as_bytes());
        assert!(parsed.attachments.is_empty());
        assert_eq!(sender(&parsed).address, "a@b.example");
    }

    #[test]
    fn times_have_milliseconds() {
        assert_eq!(time(1_767_268_800_007), "2026-01-01T12:00:00.007Z");
    }
}
