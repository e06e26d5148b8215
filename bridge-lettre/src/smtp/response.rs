//! The reply of the server to a message that it accepted.

use std::fmt;

use postwire_blocking::proto::{Reply, ReplyCode, Report};

/// The reply of the server, with its code and its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    code: Code,
    message: Vec<String>,
}

impl Response {
    /// Creates a response, for example for a test.
    pub fn new(code: Code, message: Vec<String>) -> Self {
        Self { code, message }
    }

    /// The response of a message that was accepted.
    pub(super) fn of(report: &Report) -> Self {
        if let Some(reply) = report.reply() {
            return Self::from(reply);
        }
        debug_assert!(false, "an accepted message has a reply");
        Self::new(Code::from_number(250), Vec::new())
    }

    /// Whether the code is 2yz or 3yz.
    pub fn is_positive(&self) -> bool {
        self.code.is_positive()
    }

    /// Whether the code is this number.
    pub fn has_code(&self, code: u16) -> bool {
        u16::from(self.code) == code
    }

    /// The first word of the first line.
    pub fn first_word(&self) -> Option<&str> {
        self.first_line()?.split_whitespace().next()
    }

    /// The first line.
    pub fn first_line(&self) -> Option<&str> {
        self.message.first().map(String::as_str)
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The lines, without the code.
    pub fn message(&self) -> impl Iterator<Item = &str> {
        self.message.iter().map(String::as_str)
    }
}

/// Octets that are not UTF-8 are replaced.
impl From<&Reply> for Response {
    fn from(reply: &Reply) -> Self {
        let lines = reply.raw_lines();
        Self {
            code: reply.code().into(),
            message: lines
                .map(|line| String::from_utf8_lossy(line).into_owned())
                .collect(),
        }
    }
}

/// A code of three digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// The first digit.
    pub severity: Severity,
    /// The second digit.
    pub category: Category,
    /// The third digit.
    pub detail: Detail,
}

impl Code {
    /// Creates a code from its digits.
    pub fn new(severity: Severity, category: Category, detail: Detail) -> Self {
        Self {
            severity,
            category,
            detail,
        }
    }

    /// Whether the code is 2yz or 3yz.
    pub fn is_positive(self) -> bool {
        matches!(
            self.severity,
            Severity::PositiveCompletion | Severity::PositiveIntermediate
        )
    }

    /// The code with this number, from 200 to 599.
    fn from_number(code: u16) -> Self {
        let severity = match code / 100 {
            0..=2 => Severity::PositiveCompletion,
            3 => Severity::PositiveIntermediate,
            4 => Severity::TransientNegativeCompletion,
            _ => Severity::PermanentNegativeCompletion,
        };
        Self::new(
            severity,
            CATEGORIES[usize::from(code / 10 % 10)],
            DETAILS[usize::from(code % 10)],
        )
    }
}

impl From<ReplyCode> for Code {
    fn from(code: ReplyCode) -> Self {
        Self::from_number(code.get())
    }
}

impl From<Code> for u16 {
    fn from(code: Code) -> Self {
        100 * code.severity as Self + 10 * code.category as Self + code.detail as Self
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        u16::from(*self).fmt(f)
    }
}

/// The first digit of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// 2yz
    PositiveCompletion = 2,
    /// 3yz
    PositiveIntermediate = 3,
    /// 4yz
    TransientNegativeCompletion = 4,
    /// 5yz
    PermanentNegativeCompletion = 5,
}

/// The second digit of a code. Servers send digits from 6 as well, which lettre rejects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Second digit 0: syntax.
    Syntax = 0,
    /// Second digit 1: information.
    Information = 1,
    /// Second digit 2: connections.
    Connections = 2,
    /// Second digit 3: not specified.
    Unspecified3 = 3,
    /// Second digit 4: not specified.
    Unspecified4 = 4,
    /// Second digit 5: the mail system.
    MailSystem = 5,
    /// x6z
    Unspecified6 = 6,
    /// x7z
    Unspecified7 = 7,
    /// x8z
    Unspecified8 = 8,
    /// x9z
    Unspecified9 = 9,
}

const CATEGORIES: [Category; 10] = [
    Category::Syntax,
    Category::Information,
    Category::Connections,
    Category::Unspecified3,
    Category::Unspecified4,
    Category::MailSystem,
    Category::Unspecified6,
    Category::Unspecified7,
    Category::Unspecified8,
    Category::Unspecified9,
];

/// The third digit of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each name says its digit")]
pub enum Detail {
    Zero = 0,
    One = 1,
    Two = 2,
    Three = 3,
    Four = 4,
    Five = 5,
    Six = 6,
    Seven = 7,
    Eight = 8,
    Nine = 9,
}

const DETAILS: [Detail; 10] = [
    Detail::Zero,
    Detail::One,
    Detail::Two,
    Detail::Three,
    Detail::Four,
    Detail::Five,
    Detail::Six,
    Detail::Seven,
    Detail::Eight,
    Detail::Nine,
];

macro_rules! display_digit {
    ($($digit:ty),*) => {$(
        impl fmt::Display for $digit {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (*self as u8).fmt(f)
            }
        }
    )*};
}

display_digit!(Severity, Category, Detail);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_keeps_its_number() {
        for number in 200..=599 {
            let code = Code::from(ReplyCode::new(number).unwrap());
            assert_eq!(u16::from(code), number);
            assert_eq!(code.to_string(), number.to_string());
            let Code {
                severity,
                category,
                detail,
            } = code;
            assert_eq!(format!("{severity}{category}{detail}"), code.to_string());
            assert_eq!(code.is_positive(), number < 400);
        }
    }

    #[test]
    fn the_lines_of_a_reply_keep_their_enhanced_codes() {
        let code = ReplyCode::new(250).unwrap();
        let enhanced = postwire_blocking::proto::EnhancedCode::new(2, 0, 0);
        let reply = Reply::new(code, enhanced, &["queued", "as 7"]);
        let response = Response::from(&reply);
        assert!(response.is_positive() && response.has_code(250));
        assert_eq!(response.first_word(), Some("2.0.0"));
        assert_eq!(response.first_line(), Some("2.0.0 queued"));
        assert_eq!(response.message().count(), 2);
    }
}
