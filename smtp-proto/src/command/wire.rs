//! The bytes of each command (RFC 5321 §4.1), written into a reused buffer.
//!
//! Every argument is a type that cannot contain CR, LF or NUL, so no command can be split in
//! two. Must never know when a command may be sent.

use alloc::string::String;
use alloc::vec::Vec;

use crate::{Address, Capabilities, Envelope, HelloName};

/// The parameters of `MAIL`, as derived from the message and the capabilities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MailParameters {
    /// `SIZE=` (RFC 1870).
    pub(crate) size: Option<u64>,
    /// `BODY=` (RFC 6152, RFC 3030).
    pub(crate) body: Option<BodyType>,
    /// `SMTPUTF8` (RFC 6531).
    pub(crate) smtp_utf8: bool,
}

/// The values of `BODY=` that differ from its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyType {
    EightBitMime,
    BinaryMime,
}

pub(crate) fn ehlo(out: &mut Vec<u8>, verb: &str, name: &HelloName) {
    out.extend_from_slice(verb.as_bytes());
    out.push(b' ');
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Writes `MAIL` with the parameters derived from the message and those that the caller added
/// to the envelope.
pub(crate) fn mail(
    out: &mut Vec<u8>,
    envelope: &Envelope,
    parameters: &MailParameters,
    capabilities: &Capabilities,
) {
    out.extend_from_slice(b"MAIL FROM:<");
    let reverse_path = envelope.reverse_path();
    out.extend_from_slice(reverse_path.map_or("", Address::as_str).as_bytes());
    out.push(b'>');
    if let Some(octets) = parameters.size {
        out.extend_from_slice(b" SIZE=");
        decimal(out, octets);
    }
    match parameters.body {
        Some(BodyType::EightBitMime) => out.extend_from_slice(b" BODY=8BITMIME"),
        Some(BodyType::BinaryMime) => out.extend_from_slice(b" BODY=BINARYMIME"),
        None => {}
    }
    if parameters.smtp_utf8 {
        out.extend_from_slice(b" SMTPUTF8");
    }
    if let Some(parameters) = envelope.added_parameters() {
        parameters.write_mail(out, capabilities);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes `RCPT` for the recipient at this position.
pub(crate) fn rcpt(
    out: &mut Vec<u8>,
    envelope: &Envelope,
    recipient: usize,
    capabilities: &Capabilities,
) {
    let forward_path = envelope.forward_paths().get(recipient);
    out.extend_from_slice(b"RCPT TO:<");
    out.extend_from_slice(forward_path.map_or("", Address::as_str).as_bytes());
    out.push(b'>');
    if let Some(parameters) = envelope.added_parameters() {
        parameters.write_rcpt(recipient, out, capabilities);
    }
    out.extend_from_slice(b"\r\n");
}

pub(crate) fn bdat(out: &mut Vec<u8>, octets: u64, last: bool) {
    out.extend_from_slice(b"BDAT ");
    decimal(out, octets);
    if last {
        out.extend_from_slice(b" LAST");
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a number without an allocation.
fn decimal(out: &mut Vec<u8>, mut number: u64) {
    let start = out.len();
    loop {
        out.push(b'0' + (number % 10) as u8);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out[start..].reverse();
}

/// Shows the bytes of a command as a line of the trace.
pub(crate) fn line(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.strip_suffix(b"\r\n").unwrap_or(bytes)).into_owned()
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn mail_carries_its_parameters() {
        let sender = "a@b.example".parse().unwrap();
        let recipient: Address = "c@b.example".parse().unwrap();
        let envelope = Envelope::new(Some(sender), vec![recipient.clone()]).unwrap();
        let capabilities = Capabilities::default();
        let parameters = MailParameters {
            size: Some(1_024),
            body: Some(BodyType::EightBitMime),
            smtp_utf8: true,
        };
        assert_eq!(
            written(|out| mail(out, &envelope, &parameters, &capabilities)),
            "MAIL FROM:<a@b.example> SIZE=1024 BODY=8BITMIME SMTPUTF8\r\n"
        );
        let envelope = Envelope::new(None, vec![recipient]).unwrap();
        let parameters = MailParameters::default();
        assert_eq!(
            written(|out| mail(out, &envelope, &parameters, &capabilities)),
            "MAIL FROM:<>\r\n"
        );
    }

    #[test]
    fn bdat_counts_octets() {
        assert_eq!(written(|out| bdat(out, 0, true)), "BDAT 0 LAST\r\n");
        assert_eq!(
            written(|out| bdat(out, u64::MAX, false)),
            "BDAT 18446744073709551615\r\n"
        );
    }
}
