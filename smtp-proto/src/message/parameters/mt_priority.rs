//! The priority of a message (MT-PRIORITY, RFC 6710).
//!
//! Without the extension the parameter is left out: a server without priorities processes the
//! message in its turn (RFC 6710 §4.4).

use core::fmt;
use core::str::FromStr;

use super::{MailParameter, Parameter, ParameterError, ParameterRule};

static MT_PRIORITY: ParameterRule = ParameterRule {
    extension: "MT-PRIORITY",
    check: None,
};

const MALFORMED: ParameterError = ParameterError::Malformed {
    expected: "a priority from -9 to 9",
};

/// `MT-PRIORITY=`: from -9, the lowest, to 9; 0 is the priority of a message without the
/// parameter.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MtPriority(i8);

impl MtPriority {
    /// Creates a priority.
    ///
    /// # Errors
    ///
    /// Returns an error if `priority` is not within -9 and 9.
    pub fn new(priority: i8) -> Result<Self, ParameterError> {
        if (-9..=9).contains(&priority) {
            Ok(Self(priority))
        } else {
            Err(MALFORMED)
        }
    }

    /// The priority as a number.
    pub fn get(self) -> i8 {
        self.0
    }
}

impl From<MtPriority> for MailParameter {
    fn from(value: MtPriority) -> Self {
        let value = Some(format_args!("{value}"));
        Parameter::known(&MT_PRIORITY, true, "MT-PRIORITY", value).into()
    }
}

impl fmt::Display for MtPriority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Reads `priority-value`: a digit, with a hyphen before it unless it is 0.
impl FromStr for MtPriority {
    type Err = ParameterError;

    fn from_str(value: &str) -> Result<Self, ParameterError> {
        match value.as_bytes() {
            [digit @ b'0'..=b'9'] => Ok(Self((digit - b'0').cast_signed())),
            [b'-', digit @ b'1'..=b'9'] => Ok(Self(-(digit - b'0').cast_signed())),
            _ => Err(MALFORMED),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_priority_has_one_digit() {
        for number in -9..=9 {
            let priority = MtPriority::new(number).expect("in range");
            assert_eq!(priority.get(), number);
            assert_eq!(priority.to_string().parse(), Ok(priority));
        }
        for wrong in ["", "-", "10", "-0", "+1", "x", "--1"] {
            assert!(wrong.parse::<MtPriority>().is_err(), "{wrong:?}");
        }
        assert!(MtPriority::new(10).is_err() && MtPriority::new(-10).is_err());
    }
}
