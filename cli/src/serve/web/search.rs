//! The search: words that all must occur, and filters, as Mailpit has them.
//!
//! Knows the language of the query. Must never know requests.

use crate::serve::inbox::StoredMessage;
use crate::serve::web::message::{Person, Summary, plain_text, summary};

/// A query that was understood.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Query(Vec<Term>);

/// A condition, or its opposite.
#[derive(Debug, PartialEq, Eq)]
struct Term {
    excludes: bool,
    condition: Condition,
}

#[derive(Debug, PartialEq, Eq)]
enum Condition {
    /// In one of these fields, in small letters.
    In(Field, String),
    IsRead(bool),
    HasAttachment,
    HasInline,
    /// There are no tags, so that nothing has one.
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    From,
    To,
    Cc,
    Bcc,
    ReplyTo,
    Addressed,
    Subject,
    MessageId,
    /// Any of these, the text, and the names of attachments.
    Anywhere,
}

const FIELDS: [(&str, Field); 8] = [
    ("from:", Field::From),
    ("to:", Field::To),
    ("cc:", Field::Cc),
    ("bcc:", Field::Bcc),
    ("reply-to:", Field::ReplyTo),
    ("addressed:", Field::Addressed),
    ("subject:", Field::Subject),
    ("message-id:", Field::MessageId),
];

/// Filters of Mailpit, and of the search of well-known mail programs, that are not supported. As
/// words they would silently find nothing.
const FILTERS_ELSEWHERE: [&str; 11] = [
    "before:",
    "after:",
    "larger:",
    "smaller:",
    "older:",
    "newer:",
    "older_than:",
    "newer_than:",
    "size:",
    "is:",
    "has:",
];

impl Query {
    /// Reads a query. An error says which filter is not supported.
    pub(crate) fn parse(query: &str) -> Result<Self, String> {
        let words = words(&query.to_lowercase());
        let terms = words.into_iter().map(|word| {
            let rest = word
                .strip_prefix(['-', '!'])
                .filter(|rest| !rest.is_empty());
            Ok(Term {
                excludes: rest.is_some(),
                condition: parse_condition(rest.unwrap_or(&word))?,
            })
        });
        terms.collect::<Result<_, _>>().map(Self)
    }

    /// Whether the message meets every condition.
    pub(crate) fn matches(&self, message: &StoredMessage) -> bool {
        let summary = summary(message);
        self.0
            .iter()
            .all(|term| term.excludes != term.condition.holds(message, summary))
    }
}

fn parse_condition(word: &str) -> Result<Condition, String> {
    for (prefix, field) in FIELDS {
        if let Some(text) = word.strip_prefix(prefix) {
            return Ok(Condition::In(field, text.to_owned()));
        }
    }
    Ok(match word {
        "is:read" => Condition::IsRead(true),
        "is:unread" => Condition::IsRead(false),
        "has:attachment" | "has:attachments" => Condition::HasAttachment,
        "has:inline" | "has:inlines" => Condition::HasInline,
        "is:tagged" => Condition::Never,
        _ if word.starts_with("tag:") => Condition::Never,
        _ => {
            if let Some(filter) = FILTERS_ELSEWHERE.iter().find(|it| word.starts_with(**it)) {
                return Err(format!("the filter {filter} is not supported"));
            }
            Condition::In(Field::Anywhere, word.to_owned())
        }
    })
}

/// Splits at blanks outside quotes, and removes the quotes.
fn words(query: &str) -> Vec<String> {
    let (mut words, mut word, mut is_quoted) = (Vec::new(), String::new(), false);
    for character in query.chars() {
        match character {
            '"' => is_quoted = !is_quoted,
            _ if character.is_whitespace() && !is_quoted => {
                words.push(std::mem::take(&mut word));
            }
            _ => word.push(character),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

impl Condition {
    fn holds(&self, message: &StoredMessage, summary: &Summary) -> bool {
        match self {
            Self::In(field, text) => field.contains(message, summary, text),
            Self::IsRead(is_read) => message.is_read() == *is_read,
            Self::HasAttachment => summary.attachments > 0,
            Self::HasInline => summary.inline > 0,
            Self::Never => false,
        }
    }
}

impl Field {
    fn contains(self, message: &StoredMessage, summary: &Summary, text: &str) -> bool {
        let is_in = |field: &str| field.to_lowercase().contains(text);
        let names = |people: &[Person]| {
            let mut people = people.iter();
            people.any(|person| is_in(&person.name) || is_in(&person.address))
        };
        let from = || names(std::slice::from_ref(&summary.from));
        match self {
            Self::From => from(),
            Self::To => names(&summary.to),
            Self::Cc => names(&summary.cc),
            Self::Bcc => names(&summary.bcc),
            Self::ReplyTo => names(&summary.reply_to),
            Self::Addressed => {
                from()
                    || [&summary.to, &summary.cc, &summary.bcc, &summary.reply_to]
                        .iter()
                        .any(|people| names(people))
            }
            Self::Subject => is_in(&summary.subject),
            Self::MessageId => is_in(&summary.message_id),
            Self::Anywhere => {
                let fields = [Self::Addressed, Self::Subject, Self::MessageId];
                let envelope = &message.received;
                let mut mailboxes = envelope.reverse_path.iter().chain(&envelope.recipients);
                fields.iter().any(|it| it.contains(message, summary, text))
                    || mailboxes.any(|mailbox| is_in(mailbox.as_str()))
                    || is_in(&plain_text(message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_join_words() {
        assert_eq!(
            words(r#" a "b c"  subject:"d  e" "#),
            ["a", "b c", "subject:d  e"]
        );
        assert!(words(" \t").is_empty());
        assert_eq!(words("\"open end"), ["open end"]);
    }

    #[test]
    fn filters_are_read() {
        let query = Query::parse("To:Bob -is:read !x -").unwrap();
        let term = |excludes, condition| Term {
            excludes,
            condition,
        };
        let expected = [
            term(false, Condition::In(Field::To, "bob".to_owned())),
            term(true, Condition::IsRead(true)),
            term(true, Condition::In(Field::Anywhere, "x".to_owned())),
            term(false, Condition::In(Field::Anywhere, "-".to_owned())),
        ];
        assert_eq!(query.0, expected);
        let refused = Query::parse("after:2026-01-01").unwrap_err();
        assert_eq!(refused, "the filter after: is not supported");
    }
}
