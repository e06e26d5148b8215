//! Delivery within a time limit (DELIVERBY, RFC 2852).
//!
//! Without the extension the message fails before `MAIL`: a message that must arrive in time or
//! not at all must not arrive late (RFC 2852 §4.2), and nobody would report that it is late.

use core::fmt;
use core::str::FromStr;

use super::{MailParameter, Parameter, ParameterError, ParameterRule, digits};

static DELIVERBY: ParameterRule = ParameterRule {
    extension: "DELIVERBY",
    check: None,
};

const MALFORMED: ParameterError = ParameterError::Malformed {
    expected: "at most nine digits of seconds, a semicolon, and R or N (R only for a positive number)",
};

/// `BY=`: the time within which a message must be delivered (RFC 2852 §4).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeliverBy {
    seconds: i32,
    returned: bool,
    traced: bool,
}

impl DeliverBy {
    /// Delivery within `seconds`, otherwise the message is returned as undeliverable. A server
    /// refuses a time shorter than the one that it announces.
    ///
    /// # Errors
    ///
    /// Returns an error if `seconds` is zero or has more than nine digits.
    pub fn or_return(seconds: u32) -> Result<Self, ParameterError> {
        let seconds = i32::try_from(seconds).map_err(|_| MALFORMED)?;
        Self::checked(seconds, true)
    }

    /// Delivery within `seconds`; after that a report says so and the delivery goes on. The
    /// number may be negative, when the time is over already.
    ///
    /// # Errors
    ///
    /// Returns an error if `seconds` has more than nine digits.
    pub fn or_notify(seconds: i32) -> Result<Self, ParameterError> {
        Self::checked(seconds, false)
    }

    fn checked(seconds: i32, returned: bool) -> Result<Self, ParameterError> {
        if seconds.unsigned_abs() > 999_999_999 || (returned && seconds <= 0) {
            return Err(MALFORMED);
        }
        Ok(Self {
            seconds,
            returned,
            traced: false,
        })
    }

    /// Requests that each server on the way reports that it passed the message on.
    #[must_use]
    pub fn traced(self) -> Self {
        Self {
            traced: true,
            ..self
        }
    }

    /// The number of seconds that are left.
    pub fn seconds(self) -> i32 {
        self.seconds
    }

    /// Whether the message is returned when the time is over.
    pub fn is_returned(self) -> bool {
        self.returned
    }
}

impl From<DeliverBy> for MailParameter {
    fn from(value: DeliverBy) -> Self {
        Parameter::known(&DELIVERBY, false, "BY", Some(format_args!("{value}"))).into()
    }
}

impl fmt::Display for DeliverBy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = if self.returned { "R" } else { "N" };
        let trace = if self.traced { "T" } else { "" };
        write!(formatter, "{};{mode}{trace}", self.seconds)
    }
}

impl FromStr for DeliverBy {
    type Err = ParameterError;

    fn from_str(value: &str) -> Result<Self, ParameterError> {
        let (time, mode) = value.split_once(';').ok_or(MALFORMED)?;
        let (sign, number) = match time.strip_prefix('-') {
            Some(number) => (-1, number),
            None => (1, time.strip_prefix('+').unwrap_or(time)),
        };
        let seconds = digits(number).and_then(|number| i32::try_from(number).ok());
        let seconds = sign * seconds.ok_or(MALFORMED)?;
        let (returned, traced) = match mode {
            _ if mode.eq_ignore_ascii_case("R") => (true, false),
            _ if mode.eq_ignore_ascii_case("RT") => (true, true),
            _ if mode.eq_ignore_ascii_case("N") => (false, false),
            _ if mode.eq_ignore_ascii_case("NT") => (false, true),
            _ => return Err(MALFORMED),
        };
        let checked = Self::checked(seconds, returned)?;
        Ok(Self { traced, ..checked })
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn only_a_positive_time_limit_returns_the_message() {
        let returned = DeliverBy::or_return(3_600).expect("in range");
        assert_eq!(returned.to_string(), "3600;R");
        assert!(returned.seconds() == 3_600 && returned.is_returned());
        let late = DeliverBy::or_notify(-5).expect("in range").traced();
        assert_eq!(late.to_string(), "-5;NT");
        assert!(late.seconds() == -5 && !late.is_returned());
        for value in ["3600;R", "-5;NT", "0;N", "999999999;RT"] {
            let parsed: DeliverBy = value.parse().expect(value);
            assert_eq!(parsed.to_string(), value);
        }
        assert_eq!("+7;r".parse(), DeliverBy::or_return(7));
        for wrong in [
            "",
            "5",
            "5;",
            "5;X",
            "0;R",
            "-1;R",
            "1000000000;N",
            "--1;N",
            "5;RTT",
            ";R",
        ] {
            assert!(wrong.parse::<DeliverBy>().is_err(), "{wrong:?}");
        }
        assert!(DeliverBy::or_return(0).is_err());
        assert!(DeliverBy::or_return(u32::MAX).is_err());
        assert!(DeliverBy::or_notify(i32::MIN).is_err());
    }
}
