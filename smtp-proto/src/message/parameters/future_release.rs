//! Mail that the server holds for a while (FUTURERELEASE, RFC 4865).
//!
//! Without the extension, or if the server does not hold messages for so long, the message
//! fails before `MAIL`: a message that is to be held must not be sent on now.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use super::{
    MailParameter, Parameter, ParameterError, ParameterRule, ServerProperties, digits, split,
};
use crate::ErrorKind;

static HOLDFOR: ParameterRule = ParameterRule {
    extension: "FUTURERELEASE",
    check: Some(is_within_interval),
};

static HOLDUNTIL: ParameterRule = ParameterRule {
    extension: "FUTURERELEASE",
    // The server, which has a clock, checks whether a date is too far in the future.
    check: None,
};

/// `HOLDFOR=` or `HOLDUNTIL=`: when the server releases the message (RFC 4865 §5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FutureRelease(Hold);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Hold {
    For(u32),
    Until(String),
}

impl FutureRelease {
    /// Releases the message after `seconds`.
    ///
    /// # Errors
    ///
    /// Returns an error if `seconds` is zero or has more than nine digits.
    pub fn hold_for(seconds: u32) -> Result<Self, ParameterError> {
        if (1..=999_999_999).contains(&seconds) {
            Ok(Self(Hold::For(seconds)))
        } else {
            Err(ParameterError::Malformed {
                expected: "a number of seconds from 1 to 999999999",
            })
        }
    }

    /// Releases the message at a date and time such as `2030-01-31T12:00:00Z` (RFC 3339).
    ///
    /// # Errors
    ///
    /// Returns an error if the text has another format.
    pub fn hold_until(date_time: &str) -> Result<Self, ParameterError> {
        if is_date_time(date_time) {
            Ok(Self(Hold::Until(String::from(date_time))))
        } else {
            Err(ParameterError::Malformed {
                expected: "a date and time such as 2030-01-31T12:00:00Z",
            })
        }
    }

    /// The number of seconds until the release; `None` for a date.
    pub fn seconds(&self) -> Option<u32> {
        match self.0 {
            Hold::For(seconds) => Some(seconds),
            Hold::Until(_) => None,
        }
    }

    /// The keyword and the value of the parameter.
    fn parts(&self) -> (&'static ParameterRule, &'static str, &dyn fmt::Display) {
        match &self.0 {
            Hold::For(seconds) => (&HOLDFOR, "HOLDFOR", seconds),
            Hold::Until(date_time) => (&HOLDUNTIL, "HOLDUNTIL", date_time),
        }
    }
}

impl From<FutureRelease> for MailParameter {
    fn from(value: FutureRelease) -> Self {
        let (rule, keyword, value) = value.parts();
        Parameter::known(rule, false, keyword, Some(format_args!("{value}"))).into()
    }
}

/// Shows the whole parameter, since it has two keywords.
impl fmt::Display for FutureRelease {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, keyword, value) = self.parts();
        write!(formatter, "{keyword}={value}")
    }
}

/// Reads the whole parameter, since it has two keywords.
impl FromStr for FutureRelease {
    type Err = ParameterError;

    fn from_str(parameter: &str) -> Result<Self, ParameterError> {
        let (keyword, value) = split(parameter);
        let value = value.unwrap_or_default();
        if keyword.eq_ignore_ascii_case("HOLDFOR") {
            Self::hold_for(digits(value).unwrap_or_default())
        } else {
            Self::hold_until(value)
        }
    }
}

/// RFC 4865 §4: the first word after the keyword is the longest interval.
fn is_within_interval(value: &str, server: ServerProperties<'_>) -> Result<(), ErrorKind> {
    let offer = server.capabilities.get(HOLDFOR.extension);
    let longest = offer.and_then(|offer| digits(offer.parameters().next()?));
    match (digits(value), longest) {
        (Some(wanted), Some(allowed)) if wanted > allowed => Err(ErrorKind::BeyondLimit {
            limit: "FUTURERELEASE",
            wanted: wanted.into(),
            allowed: allowed.into(),
        }),
        _ => Ok(()),
    }
}

/// RFC 3339 §5.6 `date-time`, checked as far as possible without a calendar.
fn is_date_time(text: &str) -> bool {
    let Some((date, time)) = text.split_once(['T', 't']) else {
        return false;
    };
    let Some(at) = time.find(['Z', 'z', '+', '-']) else {
        return false;
    };
    let (clock, zone) = time.split_at(at);
    let (clock, fraction) = match clock.split_once('.') {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (clock, None),
    };
    let is_zone = matches!(zone, "Z" | "z")
        || fields(
            zone.get(1..).unwrap_or_default(),
            ':',
            &[(2, 0, 23), (2, 0, 59)],
        );
    let is_fraction = fraction.is_none_or(|digits| {
        !digits.is_empty() && digits.len() <= 9 && digits.bytes().all(|b| b.is_ascii_digit())
    });
    fields(date, '-', &[(4, 0, 9_999), (2, 1, 12), (2, 1, 31)])
        && fields(clock, ':', &[(2, 0, 23), (2, 0, 59), (2, 0, 60)])
        && is_zone
        && is_fraction
}

/// Whether the text consists of numbers with these counts of digits, each within its bounds.
fn fields(text: &str, separator: char, bounds: &[(usize, u32, u32)]) -> bool {
    text.split(separator).count() == bounds.len()
        && text
            .split(separator)
            .zip(bounds)
            .all(|(field, &(length, least, most))| {
                field.len() == length && digits(field).is_some_and(|n| (least..=most).contains(&n))
            })
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_release_is_an_interval_or_a_date() {
        for parameter in [
            "HOLDFOR=86400",
            "HOLDUNTIL=2030-01-31T12:00:00Z",
            "HOLDUNTIL=2030-01-31t23:59:60.25+05:30",
        ] {
            let parsed: FutureRelease = parameter.parse().expect(parameter);
            assert_eq!(parsed.to_string(), parameter);
        }
        let interval: FutureRelease = "HOLDFOR=86400".parse().expect("valid");
        assert_eq!(interval.seconds(), Some(86_400));
        let date: FutureRelease = "HOLDUNTIL=2030-01-31T12:00:00Z".parse().expect("valid");
        assert_eq!(date.seconds(), None);
        for wrong in [
            "HOLDFOR",
            "HOLDFOR=0",
            "HOLDFOR=-1",
            "HOLDFOR=1000000000",
            "HOLDUNTIL=",
            "HOLDUNTIL=2030-01-31",
            "HOLDUNTIL=2030-01-31T12:00:00",
            "HOLDUNTIL=2030-13-31T12:00:00Z",
            "HOLDUNTIL=2030-01-31T24:00:00Z",
            "HOLDUNTIL=2030-01-31T12:00:00.Z",
            "HOLDUNTIL=2030-01-31T12:00:00+5:30",
            "HOLDUNTIL=2030-01-31T12:00:00+",
            "HOLDUNTIL=2030-01-31T12:00:00Zx",
            "HOLDUNTIL=30-1-1T1:0:0Z",
        ] {
            assert!(wrong.parse::<FutureRelease>().is_err(), "{wrong}");
        }
    }
}
