//! A minimal parser of DER (X.690) and of certificates (RFC 5280 §4.1), for the fields that
//! this crate needs.
//!
//! Validates nothing. Malformed input gives `None`.

use rustls::pki_types::{SubjectPublicKeyInfoDer, UnixTime};

pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const BOOLEAN: u8 = 0x01;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;

const COMMON_NAME: &[u8] = b"\x55\x04\x03";
const SUBJECT_ALTERNATIVE_NAME: &[u8] = b"\x55\x1d\x11";
const BASIC_CONSTRAINTS: &[u8] = b"\x55\x1d\x13";
const EXTENDED_KEY_USAGE: &[u8] = b"\x55\x1d\x25";
const SERVER_AUTHENTICATION: &[u8] = b"\x2b\x06\x01\x05\x05\x07\x03\x01";

/// The content of a DER element (X.690 §8.1, §10.1) with this tag, and the rest after it.
pub(crate) fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    match any_element(der)? {
        (found, content, rest) if found == tag => Some((content, rest)),
        _ => None,
    }
}

/// The tag and content of the first element, and the rest after it.
fn any_element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = octets
                .iter()
                .fold(0, |length, octet| length << 8 | usize::from(*octet));
            (length, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// The fields of a certificate of any version.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    pub(crate) not_before: UnixTime,
    pub(crate) not_after: UnixTime,
    /// The last common name of the subject.
    pub(crate) common_name: Option<&'a str>,
    pub(crate) public_key: SubjectPublicKeyInfoDer<'a>,
    /// Whether subject and issuer are equal.
    pub(crate) is_self_issued: bool,
    /// Whether a server may use the certificate: its extended key usage says so or is absent.
    pub(crate) allows_server_auth: bool,
    /// Whether its key may sign certificates: it says so, or has no extensions to say anything, as in
    /// version 1.
    pub(crate) is_authority: bool,
    /// Whether it has alternative names, so that the common name is ignored.
    pub(crate) has_alternative_names: bool,
}

impl<'a> Fields<'a> {
    pub(crate) fn of(certificate: &'a [u8]) -> Option<Self> {
        let (certificate, _) = element(SEQUENCE, certificate)?;
        let (fields, _) = element(SEQUENCE, certificate)?;
        let fields = match element(VERSION, fields) {
            Some((_, rest)) => rest,
            None => fields,
        };
        let (_serial, rest) = element(INTEGER, fields)?;
        let (_signature, rest) = element(SEQUENCE, rest)?;
        let (issuer, rest) = element(SEQUENCE, rest)?;
        let (validity, rest) = element(SEQUENCE, rest)?;
        let (subject, rest) = element(SEQUENCE, rest)?;
        let (_, after_key) = element(SEQUENCE, rest)?;
        let public_key = &rest[..rest.len() - after_key.len()];
        let (not_before, validity) = time(validity)?;
        let (not_after, _) = time(validity)?;
        Some(Self {
            not_before,
            not_after,
            common_name: common_name(subject),
            public_key: SubjectPublicKeyInfoDer::from(public_key),
            is_self_issued: issuer == subject,
            allows_server_auth: extension(EXTENDED_KEY_USAGE, after_key)
                .is_none_or(has_server_purpose),
            is_authority: !has_extensions(after_key)
                || extension(BASIC_CONSTRAINTS, after_key).is_some_and(says_authority),
            has_alternative_names: extension(SUBJECT_ALTERNATIVE_NAME, after_key).is_some(),
        })
    }
}

/// The number of bits in the modulus of an RSA key; `None` for other keys.
pub(crate) fn rsa_bits(public_key: &[u8]) -> Option<usize> {
    const RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
    let (key, _) = element(SEQUENCE, public_key)?;
    let (algorithm, key) = element(SEQUENCE, key)?;
    if element(OBJECT_IDENTIFIER, algorithm)?.0 != RSA {
        return None;
    }
    let (bits, _) = element(BIT_STRING, key)?;
    let (numbers, _) = element(SEQUENCE, bits.strip_prefix(b"\0")?)?;
    let (modulus, _) = element(INTEGER, numbers)?;
    let first = modulus.iter().position(|octet| *octet != 0)?;
    let modulus = &modulus[first..];
    Some(modulus.len() * 8 - modulus[0].leading_zeros() as usize)
}

fn common_name(mut subject: &[u8]) -> Option<&str> {
    let mut name = None;
    while let Some((set, rest)) = element(SET, subject) {
        subject = rest;
        let attribute = element(SEQUENCE, set).map(|(attribute, _)| attribute);
        let typed = attribute.and_then(|attribute| element(OBJECT_IDENTIFIER, attribute));
        if let Some((COMMON_NAME, value)) = typed
            && let Some((_, text, _)) = any_element(value)
        {
            name = core::str::from_utf8(text).ok();
        }
    }
    name
}

/// The value of an extension, if the certificate has it.
fn extension<'a>(wanted: &[u8], mut rest: &'a [u8]) -> Option<&'a [u8]> {
    while let Some((tag, content, next)) = any_element(rest) {
        if tag == EXTENSIONS {
            let (mut extensions, _) = element(SEQUENCE, content)?;
            while let Some((extension, next)) = element(SEQUENCE, extensions) {
                extensions = next;
                let Some((identifier, value)) = element(OBJECT_IDENTIFIER, extension) else {
                    continue;
                };
                let value = element(BOOLEAN, value).map_or(value, |(_, rest)| rest);
                if identifier == wanted
                    && let Some((value, _)) = element(OCTET_STRING, value)
                {
                    return Some(value);
                }
            }
        }
        rest = next;
    }
    None
}

fn has_extensions(mut rest: &[u8]) -> bool {
    while let Some((tag, _, next)) = any_element(rest) {
        if tag == EXTENSIONS {
            return true;
        }
        rest = next;
    }
    false
}

/// RFC 5280 §4.2.1.9: `cA` is false unless it is there.
fn says_authority(basic_constraints: &[u8]) -> bool {
    let constraints = element(SEQUENCE, basic_constraints).map(|(content, _)| content);
    let value = constraints.and_then(|content| element(BOOLEAN, content));
    value.is_some_and(|(value, _)| value != [0])
}

fn has_server_purpose(extended_key_usage: &[u8]) -> bool {
    let Some((mut purposes, _)) = element(SEQUENCE, extended_key_usage) else {
        return false;
    };
    while let Some((purpose, rest)) = element(OBJECT_IDENTIFIER, purposes) {
        if purpose == SERVER_AUTHENTICATION {
            return true;
        }
        purposes = rest;
    }
    false
}

/// RFC 5280 §4.1.2.5: always UTC, always with seconds.
fn time(der: &[u8]) -> Option<(UnixTime, &[u8])> {
    let (tag, text, rest) = any_element(der)?;
    let text = text.strip_suffix(b"Z")?;
    let (century, text) = match (tag, text.len()) {
        (UTC_TIME, 12) => (None, text),
        (GENERALIZED_TIME, 14) => (Some(number(&text[..2])?), &text[2..]),
        _ => return None,
    };
    let mut numbers = text.chunks(2).map(number);
    let mut next = || numbers.next().flatten();
    let short_year = next()?;
    let year = match century {
        Some(century) => century * 100 + short_year,
        None if short_year >= 50 => 1900 + short_year,
        None => 2000 + short_year,
    };
    let (month, day) = (next()?, next()?);
    let (hour, minute, second) = (next()?, next()?, next()?);
    let in_range = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24;
    if !in_range || minute >= 60 || second > 60 {
        return None;
    }
    let days = days_since_epoch(year, month, day)?;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    let since_epoch = core::time::Duration::from_secs(seconds);
    Some((UnixTime::since_unix_epoch(since_epoch), rest))
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
        Some(number * 10 + u64::from(digit))
    })
}

/// Days of the Gregorian calendar since 1970-01-01; `None` for earlier dates.
fn days_since_epoch(year: u64, month: u64, day: u64) -> Option<u64> {
    // Years start in March here, so that the leap day is the last day.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year.checked_sub(1)?, month + 9)
    };
    let days = year * 365 + year / 4 - year / 100 + year / 400;
    (days + (month * 153 + 2) / 5 + day - 1).checked_sub(719_468)
}

/// Formats a date as `2026-11-26`.
pub(crate) fn date(time: UnixTime) -> String {
    let days = time.as_secs() / 86_400 + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 {
        (year_of_era + era * 400, month + 3)
    } else {
        (year_of_era + era * 400 + 1, month - 9)
    };
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_both_forms() {
        for (der, seconds, shown) in [
            (&b"\x17\x0d700101000000Z"[..], 0, "1970-01-01"),
            (b"\x17\x0d000229235959Z", 951_868_799, "2000-02-29"),
            (b"\x17\x0d491231235959Z", 2_524_607_999, "2049-12-31"),
            (b"\x18\x0f20500101000000Z", 2_524_608_000, "2050-01-01"),
            (b"\x18\x0f21000301000000Z", 4_107_542_400, "2100-03-01"),
        ] {
            let (read, rest) = time(der).unwrap();
            assert_eq!((read.as_secs(), rest.len()), (seconds, 0), "{shown}");
            assert_eq!(date(read), shown);
        }
        for der in [
            &b"\x17\x0b7001010000Z"[..],
            b"\x17\x0d701301000000Z",
            b"\x17\x0d700101006000Z",
            b"\x17\x0d700101000061Z",
            b"\x17\x0d700101240000Z",
            b"\x17\x01Z",
        ] {
            assert!(time(der).is_none());
        }
        let (leap_second, _) = time(b"\x17\x0d700101000060Z").unwrap();
        assert_eq!(leap_second.as_secs(), 60);
    }

    /// An element of less than 128 octets.
    pub(crate) fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag, u8::try_from(content.len()).unwrap()], content].concat()
    }

    #[test]
    fn the_bits_of_an_rsa_key_are_counted_without_leading_zeros() {
        let rsa = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
        let pss = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a";
        let bits = |algorithm: &[u8], modulus: &[u8]| {
            let numbers = [der(INTEGER, modulus), der(INTEGER, &[3])].concat();
            let numbers = der(SEQUENCE, &numbers);
            let algorithm = der(SEQUENCE, &der(OBJECT_IDENTIFIER, algorithm));
            let key = der(BIT_STRING, &[&[0][..], &numbers].concat());
            rsa_bits(&der(SEQUENCE, &[algorithm, key].concat()))
        };
        assert_eq!(bits(rsa, &[0x80, 0, 1]), Some(24));
        assert_eq!(bits(rsa, &[0, 0x80, 1]), Some(16));
        assert_eq!(bits(rsa, &[0, 1]), Some(1));
        assert_eq!(bits(rsa, &[0]), None);
        assert_eq!(bits(pss, &[0x80, 1]), None);
    }

    #[test]
    fn an_authority_says_so() {
        assert!(says_authority(&der(SEQUENCE, &der(BOOLEAN, &[0xff]))));
        assert!(!says_authority(&der(SEQUENCE, &der(BOOLEAN, &[0]))));
        assert!(!says_authority(&der(SEQUENCE, &[])));
        assert!(!says_authority(b""));
    }

    #[test]
    fn a_purpose_is_found_among_others() {
        let other = der(OBJECT_IDENTIFIER, b"\x2a\x03");
        let server = der(OBJECT_IDENTIFIER, SERVER_AUTHENTICATION);
        assert!(has_server_purpose(&der(
            SEQUENCE,
            &[&other[..], &server].concat()
        )));
        assert!(!has_server_purpose(&der(SEQUENCE, &other)));
        assert!(!has_server_purpose(b""));
    }

    #[test]
    fn a_certificate_without_extensions_has_none() {
        let serial = der(INTEGER, &[1]);
        let extensions = der(EXTENSIONS, &der(SEQUENCE, &[]));
        assert!(has_extensions(&[&serial[..], &extensions].concat()));
        assert!(!has_extensions(&serial));
        assert!(!has_extensions(b""));
    }

    #[test]
    fn fields_are_found_wherever_the_text_is_cut() {
        let made = rcgen::generate_simple_self_signed(["mail.example.org".to_owned()]).unwrap();
        let der = made.cert.der();
        let fields = Fields::of(der).unwrap();
        assert!(fields.has_alternative_names);
        assert!(fields.is_self_issued && fields.allows_server_auth);
        assert_eq!(fields.common_name, Some("rcgen self signed cert"));
        assert!(fields.not_before < fields.not_after);
        for cut in 0..der.len() {
            let _ = Fields::of(&der[..cut]);
        }
    }
}
