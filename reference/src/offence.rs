//! The offences: what no correct client does, towards any server. Each offence
//! names the rule that it breaks. What a server only dislikes is not among them.

use std::fmt;

/// One thing that a client must not do, by the RFCs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offence {
    /// A command line holds a bare CR, a bare LF or NUL (RFC 5321 §2.3.8).
    StrayOctet(String),
    /// A command line ends with a bare LF or a bare CR (RFC 5321 §2.3.8). Only a
    /// server that is lenient with line ends sees this.
    BareLineEnd(String),
    /// A content holds a bare CR or a bare LF (RFC 5321 §2.3.8). Content that is
    /// declared as `BODY=BINARYMIME` may hold them.
    BareLineEndInContent,
    /// A content holds octets above 127, and none of `BODY=8BITMIME`,
    /// `BODY=BINARYMIME` and `SMTPUTF8` was stated (RFC 6152 §3).
    EightBitContentUndeclared,
    /// A line or a path is longer than the limits of RFC 5321 §4.5.3.1, raised by
    /// the extensions that are offered.
    TooLong(String),
    /// A line holds octets above 127 without the parameter `SMTPUTF8` (RFC 6531 §3.3).
    EightBitWithoutSmtpUtf8(String),
    /// A command does not follow the syntax of RFC 5321 §4.1.2 or of its extension.
    Malformed(String),
    /// A parameter belongs to no extension that the server offers.
    ParameterNotOffered(String),
    /// A command belongs to no extension that the server offers: `BDAT`, `AUTH` or
    /// `STARTTLS`.
    CommandNotOffered(String),
    /// The server knows no such command. Content that is executed as commands shows
    /// up here.
    UnknownCommand(String),
    /// The server demands TLS, and this was said in plaintext.
    SensitiveBeforeTls(String),
    /// Octets came behind `STARTTLS`, before the handshake (RFC 3207 §4.2).
    BehindStartTls(Vec<u8>),
    /// A command, or its beginning, came while an answer was owed, and
    /// `PIPELINING` was not offered (RFC 2920 §3.1). The greeting is owed too. `QUIT`
    /// counts as any other command, so a client that gives up in the middle of a wait
    /// and says `QUIT` shows up here.
    Pipelined(String),
    /// Octets came behind a command that must be the last of its group, before its
    /// answer (RFC 2920 §3.1). `QUIT` counts here too.
    BehindLastOfGroup {
        /// The command that must be the last one.
        last: String,
        /// The start of what came behind it.
        behind: String,
    },
    /// A `RCPT` came when `RCPTMAX` recipients were accepted (RFC 9422).
    OverRcptMax(String),
    /// A `RCPT` came for a new domain when recipients of `RCPTDOMAINMAX` domains were
    /// accepted in the session (RFC 9422).
    OverRcptDomainMax(String),
    /// A `MAIL` came when `MAILMAX` others were accepted (RFC 9422).
    OverMailMax(String),
    /// A `MAIL` came before any accepted `EHLO`, `HELO` or `LHLO` (RFC 5321 §4.1.4).
    NoHello(String),
    /// A `MAIL` came while a transaction was open (RFC 5321 §4.1.4).
    MailInTransaction(String),
    /// One transaction uses both `DATA` and `BDAT`, or `DATA` with `BODY=BINARYMIME`
    /// (RFC 3030 §2 and §3).
    MixedContentCommands(String),
}

impl fmt::Display for Offence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StrayOctet(line) => write!(formatter, "stray octet in a command: {line}"),
            Self::BareLineEnd(line) => write!(formatter, "command with a bare line end: {line}"),
            Self::BareLineEndInContent => formatter.write_str("bare line end in content"),
            Self::EightBitContentUndeclared => formatter.write_str("undeclared 8-bit content"),
            Self::TooLong(line) => write!(formatter, "too long: {line}"),
            Self::EightBitWithoutSmtpUtf8(line) => {
                write!(formatter, "8-bit command without SMTPUTF8: {line}")
            }
            Self::Malformed(line) => write!(formatter, "malformed command: {line}"),
            Self::ParameterNotOffered(line) => write!(formatter, "parameter not offered: {line}"),
            Self::CommandNotOffered(line) => write!(formatter, "command not offered: {line}"),
            Self::UnknownCommand(line) => write!(formatter, "unknown command: {line}"),
            Self::SensitiveBeforeTls(line) => write!(formatter, "said before TLS: {line}"),
            Self::BehindStartTls(octets) => {
                write!(formatter, "behind STARTTLS: {}", octets.escape_ascii())
            }
            Self::Pipelined(line) => write!(formatter, "pipelined without PIPELINING: {line}"),
            Self::BehindLastOfGroup { last, behind } => {
                write!(formatter, "behind {last}, before its answer: {behind}")
            }
            Self::OverRcptMax(line) => write!(formatter, "over RCPTMAX: {line}"),
            Self::OverRcptDomainMax(line) => write!(formatter, "over RCPTDOMAINMAX: {line}"),
            Self::OverMailMax(line) => write!(formatter, "over MAILMAX: {line}"),
            Self::NoHello(line) => write!(formatter, "before EHLO: {line}"),
            Self::MailInTransaction(line) => write!(formatter, "in an open transaction: {line}"),
            Self::MixedContentCommands(line) => {
                write!(formatter, "DATA and BDAT in one transaction: {line}")
            }
        }
    }
}
