//! Experiments with a server's reading of commands, which the user must ask for: the server logs
//! errors for them. None of them sends a message.
//!
//! Each begins with a recipient in `.invalid` (RFC 2606 §2), which no server can deliver to. Where
//! the server accepts even that recipient, `RSET` follows, and no content does.

use std::net::SocketAddr;
use std::time::Duration;

use postwire_blocking::proto::{Capabilities, Error, Protocol, Reply};
use postwire_blocking::transport::TransportConfig;
use serde::Serialize;

use super::dialogue::Dialogue;

/// The recipient, whom no server can deliver to.
const NOBODY: &str = "postwire-probe@nobody.invalid";

/// The result of an experiment.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    /// Whether the server reads as it should; `None` if that cannot be seen without a message.
    pub(super) works: Option<bool>,
    /// The observation, in one sentence.
    pub(super) text: String,
}

impl Finding {
    fn works(text: impl Into<String>) -> Self {
        Self::new(Some(true), text)
    }

    fn breaks(text: impl Into<String>) -> Self {
        Self::new(Some(false), text)
    }

    pub(super) fn unknown(text: impl Into<String>) -> Self {
        Self::new(None, text)
    }

    fn new(works: Option<bool>, text: impl Into<String>) -> Self {
        Self {
            works,
            text: text.into(),
        }
    }
}

type Experiment = fn(&mut Dialogue, &Capabilities) -> Result<Finding, Error>;

/// Whether the server answers a command that arrives together with the end of `DATA`.
///
/// Many servers lose such a command. The end of `DATA` can be had without a message if the server
/// lets `DATA` begin although every recipient was refused (RFC 2920 §3.1).
pub(super) fn behind_data(
    config: &TransportConfig,
    address: SocketAddr,
    limit: Duration,
) -> Finding {
    run(config, address, limit, |dialogue, _| {
        if let Some(refusal) = refused_recipient(dialogue)? {
            return match refusal {
                Transaction::Refused(reply) => Ok(Finding::unknown(format!(
                    "not tested: the server refuses MAIL: {reply}"
                ))),
                Transaction::Accepted => Ok(Finding::unknown(
                    "not tested: the server accepts a recipient in .invalid, so the content would \
                     be a message",
                )),
            };
        }
        let reply = dialogue.ask("DATA")?;
        if !reply.code().is_intermediate() {
            return Ok(Finding::unknown(format!(
                "cannot be seen without a message: the server refuses DATA without a recipient: \
                 {reply}"
            )));
        }
        dialogue.say(".\r\nNOOP\r\n")?;
        dialogue.reply()?;
        Ok(match dialogue.reply() {
            Ok(_) => Finding::works("the server answers commands sent behind the end of DATA"),
            Err(error) => Finding::breaks(format!(
                "the server loses commands sent behind the end of DATA: {error}"
            )),
        })
    })
}

/// Whether the server reads the octets of a `BDAT` that it refuses (RFC 3030 §2), instead of
/// executing them as commands.
pub(super) fn refused_bdat(
    config: &TransportConfig,
    address: SocketAddr,
    limit: Duration,
) -> Finding {
    if config.client_config().protocol == Protocol::Lmtp {
        return Finding::unknown("not tested: over LMTP, postwire sends no BDAT");
    }
    run(config, address, limit, |dialogue, capabilities| {
        if !capabilities.chunking() {
            return Ok(Finding::unknown(
                "not tested: the server does not offer CHUNKING",
            ));
        }
        // Without a recipient the chunk must be refused, with or without a transaction.
        refused_recipient(dialogue)?;
        dialogue.say("BDAT 6\r\nNOOP\r\n")?;
        let refusal = dialogue.reply()?;
        if refusal.code().is_positive() {
            return Ok(Finding::unknown(format!(
                "cannot be seen: the server accepts BDAT without a recipient: {refusal}"
            )));
        }
        let next = match dialogue.ask("QUIT") {
            Ok(next) => next,
            Err(error) => {
                return Ok(Finding::breaks(format!(
                    "the server refuses BDAT ({refusal}), and then ends the session: {error}"
                )));
            }
        };
        Ok(if next.code().get() == 221 {
            Finding::works(format!(
                "the server reads the octets of a BDAT that it refuses ({refusal})"
            ))
        } else {
            Finding::breaks(format!(
                "the server executes the octets of a BDAT that it refuses ({refusal}) as commands: \
                 {next}"
            ))
        })
    })
}

fn run(
    config: &TransportConfig,
    address: SocketAddr,
    limit: Duration,
    experiment: Experiment,
) -> Finding {
    let result = Dialogue::open(config, address, limit).and_then(|(mut dialogue, capabilities)| {
        let finding = experiment(&mut dialogue, &capabilities);
        // The session may be over already.
        let _ = dialogue.ask("QUIT");
        finding
    });
    result.unwrap_or_else(|error| Finding::unknown(format!("not tested: {error}")))
}

/// Why there is no transaction whose only recipient was refused.
enum Transaction {
    /// The server refuses `MAIL`.
    Refused(Reply),
    /// The server accepts the recipient; the transaction is reset.
    Accepted,
}

/// Begins a transaction whose only recipient is refused; `None` if that succeeds.
fn refused_recipient(dialogue: &mut Dialogue) -> Result<Option<Transaction>, Error> {
    let reply = dialogue.ask("MAIL FROM:<>")?;
    if !reply.code().is_positive() {
        return Ok(Some(Transaction::Refused(reply)));
    }
    let reply = dialogue.ask(&format!("RCPT TO:<{NOBODY}>"))?;
    if !reply.code().is_positive() {
        return Ok(None);
    }
    dialogue.ask("RSET")?;
    Ok(Some(Transaction::Accepted))
}
