//! The parameters of `MAIL` and `RCPT` (RFC 5321 §4.1.2) and their extensions.
//!
//! The parameter of a new extension is a line in [`mail`] or [`rcpt`]; its type defines the
//! syntax of its value. Must never know the transaction that the parameters belong to.

use alloc::string::String;
use alloc::vec::Vec;
use core::str::FromStr;

use postwire_proto::{
    DeliverBy, EnvelopeId, FutureRelease, MtPriority, Notify, OriginalRecipient, Parameter, Return,
};

use crate::config::ServerConfig;
use crate::default_reply::{self, DefaultReply};

/// The client's declaration of the content, given with `BODY=`.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum BodyDeclaration {
    /// Lines of ASCII text, or no declaration.
    #[default]
    SevenBit,
    /// Text with octets above 127: `8BITMIME` (RFC 6152).
    EightBitMime,
    /// Any octets: `BINARYMIME` (RFC 3030 §3).
    BinaryMime,
}

/// The declarations of `MAIL`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct MailParameters {
    /// `SIZE=` (RFC 1870).
    pub(crate) size: Option<u64>,
    /// `BODY=`.
    pub(crate) body: BodyDeclaration,
    /// `SMTPUTF8` (RFC 6531).
    pub(crate) smtp_utf8: bool,
}

/// Reads the parameters of `MAIL`. After `HELO` none are offered.
pub(crate) fn mail(
    text: &str,
    offered: Option<&ServerConfig>,
    tls: bool,
) -> Result<MailParameters, DefaultReply> {
    let mut declared = MailParameters::default();
    let mut held = false;
    each(text, offered, |config, keyword, value| {
        match keyword {
            "SIZE" if config.size.is_some() => declared.size = Some(octets(value)?),
            "BODY" if config.eight_bit_mime || config.offers_binary_mime() => {
                declared.body = body(value, config)?;
            }
            "SMTPUTF8" if config.smtp_utf8 => {
                require(value.is_none())?;
                declared.smtp_utf8 = true;
            }
            // RFC 4954 §5: accepted as an unverified claim.
            "AUTH" if !config.mechanisms.is_empty() => require(value.is_some())?,
            "RET" if config.dsn => drop(parsed::<Return>(value)?),
            "ENVID" if config.dsn => drop(parsed::<EnvelopeId>(value)?),
            "BY" if config.deliver_by.is_some() => deliver_by(value, config.deliver_by)?,
            "HOLDFOR" | "HOLDUNTIL" if config.future_release.is_some() => {
                // RFC 4865 §5: only one of the two is allowed.
                require(!core::mem::replace(&mut held, true))?;
                future_release(keyword, value, config.future_release)?;
            }
            "MT-PRIORITY" if config.mt_priority => drop(parsed::<MtPriority>(value)?),
            "REQUIRETLS" if config.requiretls && tls => require(value.is_none())?,
            _ if config.is_extension(keyword) => {}
            _ => return Err(default_reply::PARAMETER_NOT_OFFERED),
        }
        Ok(())
    })?;
    Ok(declared)
}

/// Checks the parameters of `RCPT`. After `HELO` none are offered.
pub(crate) fn rcpt(text: &str, offered: Option<&ServerConfig>) -> Result<(), DefaultReply> {
    each(text, offered, |config, keyword, value| match keyword {
        "NOTIFY" if config.dsn => parsed::<Notify>(value).map(drop),
        "ORCPT" if config.dsn => parsed::<OriginalRecipient>(value).map(drop),
        _ if config.is_extension(keyword) => Ok(()),
        _ => Err(default_reply::PARAMETER_NOT_OFFERED),
    })
}

/// The parameters as given, one by one.
pub(crate) fn list(text: &str) -> Vec<String> {
    words(text).map(String::from).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ').filter(|word| !word.is_empty())
}

/// Calls `read` with each parameter's keyword, in capitals, and its value.
fn each(
    text: &str,
    offered: Option<&ServerConfig>,
    mut read: impl FnMut(&ServerConfig, &str, Option<&str>) -> Result<(), DefaultReply>,
) -> Result<(), DefaultReply> {
    let mut seen: Vec<String> = Vec::new();
    for word in words(text) {
        let (keyword, value) = match word.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (word, None),
        };
        require(Parameter::is_keyword(keyword) && value.is_none_or(is_value))?;
        let config = offered.ok_or(default_reply::PARAMETER_NOT_OFFERED)?;
        let keyword = keyword.to_ascii_uppercase();
        read(config, &keyword, value)?;
        // RFC 5321 does not define which of two parameters with the same keyword counts.
        require(!seen.contains(&keyword))?;
        seen.push(keyword);
    }
    Ok(())
}

fn require(valid: bool) -> Result<(), DefaultReply> {
    if valid {
        Ok(())
    } else {
        Err(default_reply::INVALID_PARAMETER)
    }
}

/// `esmtp-value`, with the UTF-8 of RFC 6531 §3.3.
fn is_value(text: &str) -> bool {
    !text.is_empty() && !text.contains(['=', ' '])
}

/// RFC 1870 §4: up to 20 digits, so a number larger than `u64` is well-formed.
fn octets(value: Option<&str>) -> Result<u64, DefaultReply> {
    let digits = value.filter(|value| value.bytes().all(|octet| octet.is_ascii_digit()));
    let digits = digits.filter(|digits| digits.len() <= 20);
    let digits = digits.ok_or(default_reply::INVALID_PARAMETER)?;
    Ok(digits.parse().unwrap_or(u64::MAX))
}

fn body(value: Option<&str>, config: &ServerConfig) -> Result<BodyDeclaration, DefaultReply> {
    let (body, offered) = if is_one_of(value, &["7BIT"]) {
        (BodyDeclaration::SevenBit, true)
    } else if is_one_of(value, &["8BITMIME"]) {
        (BodyDeclaration::EightBitMime, config.eight_bit_mime)
    } else if is_one_of(value, &["BINARYMIME"]) {
        (BodyDeclaration::BinaryMime, config.offers_binary_mime())
    } else {
        return Err(default_reply::INVALID_PARAMETER);
    };
    offered
        .then_some(body)
        .ok_or(default_reply::PARAMETER_NOT_OFFERED)
}

fn is_one_of(value: Option<&str>, choices: &[&str]) -> bool {
    value.is_some_and(|value| {
        choices
            .iter()
            .any(|choice| value.eq_ignore_ascii_case(choice))
    })
}

/// Parses a value with the syntax of its type.
fn parsed<T: FromStr>(value: Option<&str>) -> Result<T, DefaultReply> {
    value
        .and_then(|value| value.parse().ok())
        .ok_or(default_reply::INVALID_PARAMETER)
}

fn deliver_by(value: Option<&str>, shortest: Option<u32>) -> Result<(), DefaultReply> {
    let wanted: DeliverBy = parsed(value)?;
    // RFC 2852 §3: the shortest time applies to messages that are returned.
    let shortest = i64::from(shortest.unwrap_or_default());
    if wanted.is_returned() && i64::from(wanted.seconds()) < shortest {
        return Err(default_reply::DELIVERY_TIME_TOO_SHORT);
    }
    Ok(())
}

fn future_release(
    keyword: &str,
    value: Option<&str>,
    longest: Option<u32>,
) -> Result<(), DefaultReply> {
    let parameter = alloc::format!("{keyword}={}", value.unwrap_or_default());
    let wanted: FutureRelease = parsed(Some(&parameter))?;
    match (wanted.seconds(), longest) {
        (Some(wanted), Some(longest)) if wanted > longest => Err(default_reply::HOLD_TOO_LONG),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postwire_proto::{HelloName, Mechanism};

    fn config() -> ServerConfig {
        ServerConfig::new(HelloName::localhost()).auth([Mechanism::PLAIN])
    }

    #[test]
    fn mail_declares() {
        let declared = mail(
            "size=17  BODY=8bitmime SMTPUTF8 AUTH=<> RET=hdrs ENVID=x",
            Some(&config()),
            false,
        );
        let expected = MailParameters {
            size: Some(17),
            body: BodyDeclaration::EightBitMime,
            smtp_utf8: true,
        };
        assert_eq!(declared, Ok(expected));
        let declared = mail("SIZE=99999999999999999999", Some(&config()), false);
        assert_eq!(declared.map(|declared| declared.size), Ok(Some(u64::MAX)));
        let declared = mail("BODY=BINARYMIME", Some(&config()), false);
        assert_eq!(
            declared.map(|declared| declared.body),
            Ok(BodyDeclaration::BinaryMime)
        );
        assert_eq!(mail("", None, false), Ok(MailParameters::default()));
    }

    #[test]
    fn malformed_parameters_are_invalid() {
        for text in [
            "SIZE",
            "SIZE=",
            "SIZE=x",
            "SIZE=+1",
            "SIZE=1 SIZE=1",
            "SIZE=1=2",
            "BODY=9BIT",
            "BODY",
            "SMTPUTF8=yes",
            "RET=ALL",
            "-X",
            "=",
        ] {
            let declared = mail(text, Some(&config()), false);
            assert_eq!(declared, Err(default_reply::INVALID_PARAMETER), "{text}");
        }
        for text in [
            "BY",
            "BY=1",
            "BY=0;R",
            "BY=59;R",
            "HOLDFOR=0",
            "HOLDUNTIL=tomorrow",
            "HOLDFOR=1 HOLDUNTIL=2030-01-31T12:00:00Z",
            "MT-PRIORITY=10",
            "REQUIRETLS=yes",
            "ENVID=+",
        ] {
            let declared = mail(text, Some(&all()), true);
            assert!(
                matches!(declared, Err(reply) if reply.code == 501),
                "{text}: {declared:?}"
            );
        }
        for text in [
            "NOTIFY",
            "NOTIFY=NEVER,DELAY",
            "NOTIFY=,",
            "ORCPT=x",
            "ORCPT=a;+",
        ] {
            let checked = rcpt(text, Some(&config()));
            assert_eq!(checked, Err(default_reply::INVALID_PARAMETER), "{text}");
        }
    }

    fn all() -> ServerConfig {
        config()
            .deliver_by(Some(60))
            .future_release(Some(3_600))
            .mt_priority(true)
            .requiretls(true)
            .extension("XFOO")
    }

    #[test]
    fn promises_are_only_accepted_if_offered() {
        for text in [
            "BY=60;R",
            "by=-1;nt",
            "HOLDFOR=3600",
            "HOLDUNTIL=2030-01-31T12:00:00Z",
            "MT-PRIORITY=-9",
            "REQUIRETLS",
            "XFOO=bar",
            "xfoo",
        ] {
            assert!(mail(text, Some(&all()), true).is_ok(), "{text}");
            let declared = mail(text, Some(&config()), true);
            assert_eq!(
                declared,
                Err(default_reply::PARAMETER_NOT_OFFERED),
                "{text}"
            );
        }
        assert_eq!(
            mail("HOLDFOR=3601", Some(&all()), true),
            Err(default_reply::HOLD_TOO_LONG)
        );
        assert_eq!(
            mail("REQUIRETLS", Some(&all()), false),
            Err(default_reply::PARAMETER_NOT_OFFERED)
        );
        assert_eq!(rcpt("XFOO=1", Some(&all())), Ok(()));
    }

    #[test]
    fn parameters_that_are_not_offered_are_refused() {
        let bare = config()
            .size(None)
            .eight_bit_mime(false)
            .chunking(false)
            .smtp_utf8(false)
            .dsn(false)
            .auth([]);
        for text in [
            "SIZE=1",
            "BODY=8BITMIME",
            "SMTPUTF8",
            "AUTH=<>",
            "RET=FULL",
            "ENVID=x",
        ] {
            assert!(mail(text, Some(&config()), false).is_ok(), "{text}");
            for offered in [None, Some(&bare)] {
                let declared = mail(text, offered, false);
                assert_eq!(
                    declared,
                    Err(default_reply::PARAMETER_NOT_OFFERED),
                    "{text}"
                );
            }
        }
        let text_only = config().binary_mime(false);
        assert_eq!(
            mail("BODY=BINARYMIME", Some(&text_only), false),
            Err(default_reply::PARAMETER_NOT_OFFERED)
        );
        for text in ["NOTIFY=SUCCESS,delay", "ORCPT=rfc822;a@b"] {
            assert_eq!(rcpt(text, Some(&config())), Ok(()));
            assert_eq!(
                rcpt(text, Some(&bare)),
                Err(default_reply::PARAMETER_NOT_OFFERED)
            );
        }
        assert_eq!(
            rcpt("SIZE=1", Some(&config())),
            Err(default_reply::PARAMETER_NOT_OFFERED)
        );
    }
}
