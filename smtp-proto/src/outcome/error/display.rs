//! The text of an error in one sentence: the stage, what happened, the server's words, advice.
//!
//! Knows the wording only. Must never decide anything.

use core::fmt;

use super::{Error, ErrorKind, Stage, Violation};
use crate::{Flaw, Mechanism, Reply, SaslError};

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.stage())?;
        match self.kind() {
            ErrorKind::Refused(reply) => self.write_refused(reply, f),
            ErrorKind::EndedByServer(reply) if reply.code().get() == 220 => {
                write!(f, "the server greeted again, as in a new session: {reply}")
            }
            ErrorKind::EndedByServer(reply) => {
                write!(f, "the server ended the session: {reply}")
            }
            ErrorKind::ResetRefused(reply) => write!(
                f,
                "the server refused RSET after an earlier message ({reply}); send this one over \
                 another connection"
            ),
            ErrorKind::OutOfSequence(reply) => write!(
                f,
                "the server does not support pipelined commands ({reply}); send one command at a time"
            ),
            ErrorKind::Violation(violation) => self.write_violation(violation, f),
            ErrorKind::ConnectionClosed => {
                f.write_str("the server closed the connection")?;
                self.write_begun(f)
            }
            ErrorKind::Transport(error) => {
                write!(f, "{error}")?;
                self.write_begun(f)
            }
            ErrorKind::TimedOut => {
                match self.detail() {
                    // The detail names the address that timed out, and says so itself.
                    Some(detail) if detail.contains("timed out") => f.write_str(detail)?,
                    Some(detail) => write!(f, "timed out: {detail}")?,
                    None => f.write_str("timed out")?,
                }
                self.write_begun(f)?;
                self.write_advice(f)
            }
            ErrorKind::StartTlsNotOffered => f.write_str(
                "STARTTLS is required and the server does not offer it; use the port for implicit TLS, \
                 or another server",
            ),
            ErrorKind::Tls(error) => write!(f, "{error}"),
            ErrorKind::NoUsableMechanism {
                offered,
                withheld,
                not_allowed,
            } => write_no_mechanism(offered, *withheld, not_allowed, f),
            ErrorKind::Sasl(error) => self.write_sasl(error, f),
            ErrorKind::Credentials(error) => {
                write!(f, "fetching the credentials failed: {error}")
            }
            ErrorKind::ExtensionNotOffered(keyword) => self.write_not_offered(keyword, f),
            ErrorKind::ParameterNotOffered(parameter) => write!(
                f,
                "{parameter} needs {}, which the server does not offer",
                parameter.extension()
            ),
            ErrorKind::VerifiedTlsRequired => f.write_str(
                "the message requires TLS with a verified certificate, and this session has none",
            ),
            ErrorKind::BeyondLimit {
                limit,
                wanted,
                allowed,
            } => write!(
                f,
                "the message needs {wanted}; the server allows {allowed} ({limit})"
            ),
            ErrorKind::TooLarge { octets, limit } => write!(
                f,
                "the message has {octets} octets; the server accepts at most {limit}"
            ),
            ErrorKind::Unsendable(why) => write!(f, "{why}"),
            ErrorKind::Source(error) => write!(f, "the source of the content failed: {error}"),
            ErrorKind::Aborted => f.write_str("aborted by the program"),
            ErrorKind::SessionOver => match self.detail() {
                Some(why) => write!(
                    f,
                    "the session ended before this message was sent ({why}); use another session"
                ),
                None => f.write_str("the session is over; use another session"),
            },
            ErrorKind::SessionFull => f.write_str(
                "the server's limits (LIMITS) allow no more in this session; use another session",
            ),
            ErrorKind::ShutDown => f.write_str("the transport is shut down"),
        }
    }
}

impl Error {
    fn write_refused(&self, reply: &Reply, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server refused")?;
        if let Some(mechanism) = self.mechanism() {
            write!(f, " {mechanism}")?;
        }
        write!(f, ": {reply}")?;
        if let Some(detail) = self.detail() {
            write!(f, " ({detail})")?;
        }
        self.write_advice(f)?;
        match self.other_mechanisms() {
            // Another mechanism does not help against a wrong password.
            _ if self.flaw() == Some(Flaw::Login) && self.advice().is_some() => Ok(()),
            "" => Ok(()),
            others => write!(f, "; it also offers {others}"),
        }
    }

    fn write_advice(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.advice() {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }

    fn write_violation(&self, violation: &Violation, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server broke the protocol: {violation}")?;
        match self.quote() {
            Some("") => f.write_str(": an empty line")?,
            Some(quote) => write!(f, ": {quote}")?,
            None => {}
        }
        if let Some(detail) = self.detail() {
            write!(f, "; the server then said {detail}")?;
        }
        self.write_advice(f)
    }

    fn write_sasl(&self, error: &SaslError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(mechanism) = self.mechanism() {
            write!(f, "{mechanism}: ")?;
        }
        write!(f, "{error}")?;
        match self.detail() {
            Some(detail) => write!(f, "; the server said {detail}"),
            None => Ok(()),
        }
    }

    fn write_not_offered(&self, keyword: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} needs {keyword}, which the server does not offer",
            if self.stage() == Stage::Command {
                "the command"
            } else {
                "the message"
            }
        )?;
        match keyword {
            "8BITMIME" | "BINARYMIME" => {
                f.write_str("; encode its content as quoted-printable or base64")
            }
            _ => Ok(()),
        }
    }

    fn write_begun(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.quote() {
            Some(quote) => write!(f, "; the incomplete reply is: {quote}"),
            None => Ok(()),
        }
    }
}

fn write_no_mechanism(
    offered: &str,
    withheld: bool,
    not_allowed: &[Mechanism],
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    if offered.is_empty() {
        f.write_str("credentials were given and the server offers no AUTH")?;
    } else {
        write!(
            f,
            "none of the mechanisms that the server offers ({offered}) can be used"
        )?;
    }
    if withheld {
        f.write_str("; a secret is sent in plaintext only if the configuration allows it")?;
    }
    let unknown = offered.split(' ').filter(|name| !name.is_empty());
    for name in unknown.filter(|name| name.parse::<Mechanism>().is_err()) {
        write!(f, "; {name} is not supported")?;
    }
    for mechanism in not_allowed {
        if mechanism.is_default_for_password() {
            write!(f, "; {mechanism} is not in the list of allowed mechanisms")?;
        } else {
            write!(f, "; {mechanism} is used only if explicitly requested")?;
        }
    }
    Ok(())
}
