//! Faults on demand: at which stage of a session the server refuses, hangs up or waits.
//!
//! Knows stages and what was ordered for them. Must never know how a reply is sent.

use std::time::Duration;

use postwire_blocking::proto::{EnhancedCode, Reply, ReplyCode};

use crate::arguments::UsageError;

/// The moment at which the server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Greeting,
    Hello,
    Auth,
    Mail,
    Rcpt,
    /// The command `DATA`. After `BDAT` it is the end of the content.
    Data,
    Content,
}

impl Stage {
    const NAMES: [(&'static str, Self); 7] = [
        ("greeting", Self::Greeting),
        ("hello", Self::Hello),
        ("auth", Self::Auth),
        ("mail", Self::Mail),
        ("rcpt", Self::Rcpt),
        ("data", Self::Data),
        ("content", Self::Content),
    ];

    fn parse(option: &str, name: &str) -> Result<Self, UsageError> {
        let known = Self::NAMES.iter().find(|(known, _)| *known == name);
        known.map(|(_, stage)| *stage).ok_or_else(|| {
            let names = Self::NAMES.map(|(name, _)| name).join(", ");
            UsageError::new(option, format_args!("the stage must be one of {names}"))
        })
    }

    /// Whether the server session only asks about this stage if it is told to.
    fn is_opening(self) -> bool {
        matches!(self, Self::Greeting | Self::Hello)
    }
}

/// What the server does instead of its usual answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Reply(Reply),
    HangUp,
}

/// The orders of the user.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    faults: Vec<(Stage, Fault)>,
    /// Without a stage a delay is for every stage.
    delays: Vec<(Option<Stage>, Duration)>,
}

impl Faults {
    /// Reads `STAGE:REPLY` and `STAGE:close`, and `STAGE:SECONDS` and `SECONDS`.
    pub(crate) fn parse(faults: &[String], delays: &[String]) -> Result<Self, UsageError> {
        Ok(Self {
            faults: faults
                .iter()
                .map(|fault| parse_fault(fault))
                .collect::<Result<_, _>>()?,
            delays: delays
                .iter()
                .map(|delay| parse_delay(delay))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Whether an order is about the greeting or `EHLO`.
    pub(crate) fn concern_opening(&self) -> bool {
        let at_opening = |stage: &Option<Stage>| stage.is_none_or(Stage::is_opening);
        self.faults.iter().any(|(stage, _)| stage.is_opening())
            || self.delays.iter().any(|(stage, _)| at_opening(stage))
    }

    /// The fault of an answer that is for all these stages; of several the last one.
    pub(crate) fn at(&self, stages: &[Stage]) -> Option<&Fault> {
        let mut faults = self.faults.iter().rev();
        faults.find_map(|(at, fault)| stages.contains(at).then_some(fault))
    }

    /// The time to wait before an answer that is for all these stages.
    pub(crate) fn delay(&self, stages: &[Stage]) -> Duration {
        let delays = self.delays.iter();
        delays
            .filter(|(at, _)| at.is_none_or(|at| stages.contains(&at)))
            .fold(Duration::ZERO, |sum, (_, delay)| sum.saturating_add(*delay))
    }
}

fn parse_fault(given: &str) -> Result<(Stage, Fault), UsageError> {
    const OPTION: &str = "--fault";
    let (stage, fault) = given
        .split_once(':')
        .ok_or_else(|| UsageError::new(OPTION, "must be a stage, a colon, and a reply or close"))?;
    let stage = Stage::parse(OPTION, stage)?;
    if fault == "close" {
        return Ok((stage, Fault::HangUp));
    }
    let reply = parse_refusal(fault, (3, 0), "refused on demand").ok_or_else(|| {
        let why = "the reply must begin with a code from 400 to 599, or be close";
        UsageError::new(OPTION, why)
    })?;
    Ok((stage, Fault::Reply(reply)))
}

fn parse_delay(given: &str) -> Result<(Option<Stage>, Duration), UsageError> {
    const OPTION: &str = "--delay";
    let (stage, seconds) = match given.split_once(':') {
        Some((stage, seconds)) => (Some(Stage::parse(OPTION, stage)?), seconds),
        None => (None, given),
    };
    Ok((stage, parse_seconds(OPTION, seconds)?))
}

/// Reads a number of seconds above 0, of at most a day.
pub(crate) fn parse_seconds(option: &str, seconds: &str) -> Result<Duration, UsageError> {
    const MOST: Duration = Duration::from_secs(24 * 60 * 60);
    match seconds.parse().map(Duration::try_from_secs_f64) {
        Ok(Ok(time)) if !time.is_zero() && time <= MOST => Ok(time),
        _ => Err(UsageError::new(
            option,
            "must be a number of seconds above 0, at most 86400",
        )),
    }
}

/// Reads `550` or `550 5.1.1 no such user`; what is missing is `enhanced`, after its class, and
/// `default`.
pub(crate) fn parse_refusal(text: &str, enhanced: (u16, u16), default: &str) -> Option<Reply> {
    let (code, text) = text.split_once(' ').unwrap_or((text, ""));
    let code = ReplyCode::new(code.parse().ok()?).filter(|code| code.is_negative())?;
    let class = if code.is_permanent() { 5 } else { 4 };
    let (enhanced, text) = match EnhancedCode::parse(text.as_bytes()) {
        Some((enhanced, octets)) => (Some(enhanced), text.get(octets..)?.trim_start()),
        None => (EnhancedCode::new(class, enhanced.0, enhanced.1), text),
    };
    let text = if text.is_empty() { default } else { text };
    Some(Reply::new(code, enhanced, &[text]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_a_code_and_an_optional_text() {
        for (given, reply) in [
            ("550", Some("550 5.3.0 refused")),
            ("450", Some("450 4.3.0 refused")),
            ("550 gone fishing", Some("550 5.3.0 gone fishing")),
            ("452 4.2.2 mailbox full", Some("452 4.2.2 mailbox full")),
            ("421 4.3.2", Some("421 4.3.2 refused")),
            ("250", None),
            ("600", None),
            ("", None),
        ] {
            let parsed = parse_refusal(given, (3, 0), "refused").map(|reply| reply.to_string());
            assert_eq!(parsed.as_deref(), reply, "{given}");
        }
    }

    #[test]
    fn orders_are_for_one_stage_or_all() {
        let faults = ["data:452", "data:451 4.3.1 full", "rcpt:close"].map(str::to_owned);
        let delays = ["rcpt:2", "0.5"].map(str::to_owned);
        let faults = Faults::parse(&faults, &delays).unwrap();
        let Some(Fault::Reply(reply)) = faults.at(&[Stage::Content, Stage::Data]) else {
            panic!("a reply");
        };
        assert_eq!(reply.to_string(), "451 4.3.1 full");
        assert_eq!(faults.at(&[Stage::Rcpt]), Some(&Fault::HangUp));
        assert_eq!(faults.at(&[Stage::Mail]), None);
        assert_eq!(faults.delay(&[Stage::Rcpt]), Duration::from_millis(2_500));
        assert_eq!(faults.delay(&[Stage::Mail]), Duration::from_millis(500));
        assert!(faults.concern_opening());
        assert!(!Faults::default().concern_opening());
    }

    #[test]
    fn other_orders_are_refused() {
        for fault in ["data", "data:", "data:250", "quit:550", ":550"] {
            assert!(Faults::parse(&[fault.to_owned()], &[]).is_err(), "{fault}");
        }
        for delay in ["", "0", "-1", "soon", "quit:1", "mail:", "1e30", "NaN"] {
            assert!(Faults::parse(&[], &[delay.to_owned()]).is_err(), "{delay}");
        }
    }
}
