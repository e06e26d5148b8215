//! The parameters of `MAIL` and `RCPT`: which extension each belongs to, and which
//! values it allows.

use crate::{keywords::Keywords, syntax::is_xtext};

/// What is wrong with a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParameterError {
    NotOffered,
    Malformed,
}

fn split(parameter: &str) -> (String, Option<&str>) {
    match parameter.split_once('=') {
        Some((name, value)) => (name.to_ascii_uppercase(), Some(value)),
        None => (parameter.to_ascii_uppercase(), None),
    }
}

/// Checks a parameter of `MAIL`.
pub(crate) fn check_mail(parameter: &str, offered: &Keywords) -> Result<(), ParameterError> {
    let (name, value) = split(parameter);
    let upper = value.map(str::to_ascii_uppercase);
    let (is_offered, is_right) = match (name.as_str(), upper.as_deref()) {
        ("SIZE", value) => (
            offered.size.is_some(),
            value.is_some_and(|value| {
                value.len() <= 20 && value.bytes().all(|octet| octet.is_ascii_digit())
            }),
        ),
        ("BODY", Some("BINARYMIME")) => (offered.binary_mime, true),
        ("BODY", value) => (
            offered.eight_bit_mime,
            matches!(value, Some("7BIT" | "8BITMIME")),
        ),
        ("SMTPUTF8", value) => (offered.smtp_utf8, value.is_none()),
        ("RET", value) => (offered.dsn, matches!(value, Some("FULL" | "HDRS"))),
        ("ENVID", _) => (
            offered.dsn,
            value.is_some_and(|value| value.len() <= 100 && is_xtext(value)),
        ),
        ("AUTH", _) => (!offered.auth.is_empty(), value.is_some_and(is_xtext)),
        _ => (false, true),
    };
    verdict(is_offered, is_right)
}

/// Checks a parameter of `RCPT`.
pub(crate) fn check_rcpt(parameter: &str, offered: &Keywords) -> Result<(), ParameterError> {
    let (name, value) = split(parameter);
    let is_right = match (name.as_str(), value) {
        ("NOTIFY", Some(value)) => {
            let value = value.to_ascii_uppercase();
            value == "NEVER"
                || value
                    .split(',')
                    .all(|event| ["SUCCESS", "FAILURE", "DELAY"].contains(&event))
        }
        ("ORCPT", Some(value)) => {
            // With SMTPUTF8 the address may have other encodings (RFC 6533 §3).
            value.len() <= 500
                && value.split_once(';').is_some_and(|(kind, address)| {
                    !kind.is_empty() && (kind.eq_ignore_ascii_case("utf-8") || is_xtext(address))
                })
        }
        ("NOTIFY" | "ORCPT", None) => false,
        _ => return Err(ParameterError::NotOffered),
    };
    verdict(offered.dsn, is_right)
}

fn verdict(is_offered: bool, is_right: bool) -> Result<(), ParameterError> {
    match (is_offered, is_right) {
        (false, _) => Err(ParameterError::NotOffered),
        (true, false) => Err(ParameterError::Malformed),
        (true, true) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dialect, Mechanism};

    #[test]
    fn each_parameter_belongs_to_its_extension() {
        let none = Keywords::default();
        let all = Keywords {
            binary_mime: true,
            auth: vec![Mechanism::Plain],
            ..Dialect::default().keywords
        };
        for right in [
            "SIZE=12",
            "BODY=7BIT",
            "body=8bitmime",
            "BODY=BINARYMIME",
            "SMTPUTF8",
            "RET=HDRS",
            "ENVID=a+2Bb",
            "AUTH=<>",
        ] {
            assert_eq!(check_mail(right, &all), Ok(()), "{right}");
            let refused = Err(ParameterError::NotOffered);
            assert_eq!(check_mail(right, &none), refused, "{right}");
        }
        for wrong in [
            "SIZE=x",
            "SIZE",
            "BODY=9BIT",
            "SMTPUTF8=1",
            "RET=ALL",
            "ENVID=+2b",
        ] {
            let refused = Err(ParameterError::Malformed);
            assert_eq!(check_mail(wrong, &all), refused, "{wrong}");
        }
        for right in ["NOTIFY=NEVER", "NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;a@b"] {
            assert_eq!(check_rcpt(right, &all), Ok(()), "{right}");
            assert!(check_rcpt(right, &none).is_err(), "{right}");
        }
        for wrong in [
            "NOTIFY=NEVER,DELAY",
            "NOTIFY",
            "ORCPT=a@b",
            "ORCPT=rfc822;a+b",
        ] {
            let refused = Err(ParameterError::Malformed);
            assert_eq!(check_rcpt(wrong, &all), refused, "{wrong}");
        }
        assert!(check_rcpt("SIZE=1", &all).is_err());
        assert!(check_mail("SIZE=+1", &all).is_err());
    }
}
