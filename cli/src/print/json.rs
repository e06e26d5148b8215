//! The JSON objects that `--json` prints: one for each message, for programs to read.
//!
//! The field names are a stable interface. Text stays as the server sent it, except for octets
//! that are not text; characters that a terminal interprets are printed as JSON escapes.

use std::io;

use postwire_blocking::proto::{
    Address, Mechanism, Outcome, RecipientReport, RecipientStatus, Reply, Report, Stage, TlsInfo,
    escape_non_utf8, is_safe_to_show,
};
use serde::Serialize;
use serde_json::ser::Formatter;

/// The result of one message.
#[derive(Serialize)]
pub(crate) struct Message<'a> {
    #[serde(rename = "message")]
    position: usize,
    outcome: &'static str,
    stage: Option<&'static str>,
    reply: Option<ReplyObject>,
    error: Option<String>,
    recipients: Vec<Recipient<'a>>,
    tls: Option<Tls<'a>>,
    /// The mechanism with which the session logged in.
    auth: Option<&'static str>,
}

#[derive(Serialize)]
struct Recipient<'a> {
    address: &'a str,
    /// `None` if nobody knows.
    accepted: Option<bool>,
    status: &'static str,
    reply: Option<ReplyObject>,
}

/// A reply of the server.
#[derive(Serialize)]
pub(crate) struct ReplyObject {
    code: u16,
    enhanced: Option<String>,
    text: Vec<String>,
}

/// A TLS session.
#[derive(Serialize)]
pub(crate) struct Tls<'a> {
    version: &'a str,
    cipher: &'a str,
}

impl<'a> Message<'a> {
    /// The report on the message at this position, with data of its session.
    pub(crate) fn new(
        position: usize,
        report: &'a Report,
        tls: Option<&'a TlsInfo>,
        login: Option<Mechanism>,
    ) -> Self {
        let outcome = match report.outcome() {
            Outcome::Accepted(_) if report.is_partial() => "partial",
            Outcome::Accepted(_) => "accepted",
            Outcome::Rejected { .. } => "rejected",
            Outcome::NotSent(_) => "not_sent",
            Outcome::InDoubt(_) => "in_doubt",
        };
        Self {
            position,
            outcome,
            stage: report.stage().map(Stage::as_str),
            reply: report.reply().map(ReplyObject::new),
            error: report.error().map(ToString::to_string),
            recipients: report.recipients().iter().map(Recipient::of).collect(),
            tls: tls.map(Tls::new),
            auth: login.as_ref().map(Mechanism::name),
        }
    }

    /// The result of a message that was never sent, since the files could not be read.
    pub(crate) fn unread(position: usize, error: String, recipients: &'a [Address]) -> Self {
        let not_sent = |address| Recipient::new(address, RecipientStatus::NotSent, None);
        Self {
            position,
            outcome: "not_sent",
            stage: None,
            reply: None,
            error: Some(error),
            recipients: recipients.iter().map(not_sent).collect(),
            tls: None,
            auth: None,
        }
    }
}

impl<'a> Recipient<'a> {
    fn of(report: &'a RecipientReport) -> Self {
        Self::new(report.address(), report.status(), report.reply())
    }

    fn new(address: &'a Address, status: RecipientStatus, reply: Option<&Reply>) -> Self {
        let (accepted, status) = match status {
            RecipientStatus::Accepted => (Some(true), "accepted"),
            RecipientStatus::Refused => (Some(false), "refused"),
            RecipientStatus::NotSent => (Some(false), "not_sent"),
            _ => (None, "in_doubt"),
        };
        Self {
            address: address.as_str(),
            accepted,
            status,
            reply: reply.map(ReplyObject::new),
        }
    }
}

impl ReplyObject {
    pub(crate) fn new(reply: &Reply) -> Self {
        let reply = reply.as_ref();
        Self {
            code: reply.code().get(),
            enhanced: reply.enhanced().map(|code| code.to_string()),
            text: reply.text_lines().map(escape_non_utf8).collect(),
        }
    }
}

impl<'a> Tls<'a> {
    pub(crate) fn new(tls: &'a TlsInfo) -> Self {
        Self {
            version: tls.version(),
            cipher: tls.cipher(),
        }
    }
}

/// The object as one line of JSON.
pub(crate) fn line(object: &impl Serialize) -> String {
    let mut octets = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut octets, EscapingFormatter);
    // Neither these objects nor a vector can cause an error.
    let _ = object.serialize(&mut serializer);
    String::from_utf8(octets).unwrap_or_default()
}

/// A compact format with escapes for characters that a terminal interprets.
struct EscapingFormatter;

impl Formatter for EscapingFormatter {
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        for character in fragment.chars() {
            let mut buffer = [0; 4];
            if is_safe_to_show(character) {
                writer.write_all(character.encode_utf8(&mut buffer).as_bytes())?;
            } else {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use postwire_blocking::proto::{EnhancedCode, Envelope, Error, ErrorKind, ReplyCode};

    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn a_message_that_was_not_sent() {
        let reply = Reply::new(
            ReplyCode::new(535).unwrap(),
            EnhancedCode::new(5, 7, 8),
            &["no", "\u{9b}really"],
        );
        let envelope = Envelope::new(None, vec![address("a@b")]).unwrap();
        let error = Error::new(Stage::Auth, ErrorKind::Refused(reply));
        let report = Report::not_sent(&envelope, error);
        let tls = TlsInfo::new("TLSv1.3", "X");
        assert_eq!(
            line(&Message::new(3, &report, Some(&tls), Some(Mechanism::PLAIN))),
            r#"{"message":3,"outcome":"not_sent","stage":"auth","reply":{"code":535,"enhanced":"5.7.8","text":["no","\u009breally"]},"error":"auth: the server refused: 535 5.7.8 no / \\x9breally","recipients":[{"address":"a@b","accepted":false,"status":"not_sent","reply":null}],"tls":{"version":"TLSv1.3","cipher":"X"},"auth":"PLAIN"}"#
                .replace("\\\\x9b", "\\\\xc2\\\\x9b")
        );
    }

    #[test]
    fn a_message_that_was_not_read() {
        let recipients = [address("a@b"), address("a@b")];
        assert_eq!(
            line(&Message::unread(0, "no".to_owned(), &recipients)),
            r#"{"message":0,"outcome":"not_sent","stage":null,"reply":null,"error":"no","recipients":[{"address":"a@b","accepted":false,"status":"not_sent","reply":null},{"address":"a@b","accepted":false,"status":"not_sent","reply":null}],"tls":null,"auth":null}"#
        );
    }
}
