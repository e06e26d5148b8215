//! Builds the library's envelope from the options that describe it.
//!
//! Knows how people write the parameters of RFC 5321 §4.1.2. Must never know what a server does
//! with them: the library decides what happens if the server lacks the extension.
#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "what stands beside an option is its help text, not a link"
)]

use std::net::Ipv6Addr;
use std::str::FromStr;

use clap::Args;
use postwire_blocking::proto::{
    Address, AddressError, DeliverBy, Envelope, EnvelopeId, FutureRelease, MtPriority, Notify,
    OriginalRecipient, Parameter, ParameterError, RequireTls, Return,
};

use crate::arguments::{SendArguments, UsageError};

const ORCPT: &str = "--orcpt";

/// The options for parameters of `MAIL` and `RCPT`.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Parameters of the envelope")]
pub(crate) struct ParameterArguments {
    /// How much of the message a failure report returns (DSN, RFC 3461); left out if the server
    /// does not offer DSN
    #[arg(long, value_name = "full|hdrs")]
    dsn_ret: Option<String>,

    /// The identifier of the message in reports (DSN); left out if the server does not offer
    /// DSN
    #[arg(long, value_name = "ID")]
    dsn_envid: Option<String>,

    /// The reports that the sender wants about each recipient (DSN): never, or a
    /// comma-separated list of success, failure and delay. The message is not sent where DSN is
    /// not offered
    #[arg(long, value_name = "LIST")]
    notify: Option<String>,

    /// The original address of a recipient, which is named in reports (DSN): an address, or
    /// TYPE;TEXT. As in bob@example.net=robert@example.org; may be given again for another
    /// recipient. Left out if the server does not offer DSN
    #[arg(long, value_name = "ADDR=[TYPE;]TEXT")]
    orcpt: Vec<String>,

    /// Deliver within this many seconds (DELIVERBY, RFC 2852), otherwise return the message;
    /// with :notify, otherwise report it and continue, also with a negative number. With :trace
    /// each server reports that it passed the message on. The message is not sent where
    /// DELIVERBY is not offered
    #[arg(
        long,
        value_name = "SECONDS[:notify][:trace]",
        allow_hyphen_values = true
    )]
    deliver_by: Option<String>,

    /// Hold the message for this many seconds (FUTURERELEASE, RFC 4865). The message is not
    /// sent where FUTURERELEASE is not offered
    #[arg(long, value_name = "SECONDS", conflicts_with = "hold_until")]
    hold_for: Option<String>,

    /// Hold the message until this time, as in 2030-01-31T12:00:00Z (FUTURERELEASE). The
    /// message is not sent where FUTURERELEASE is not offered
    #[arg(long, value_name = "DATE-TIME")]
    hold_until: Option<String>,

    /// The priority of the message, up to 9 (MT-PRIORITY, RFC 6710); left out if the server
    /// does not offer MT-PRIORITY
    #[arg(long, value_name = "-9..9", allow_hyphen_values = true)]
    priority: Option<String>,

    /// Forbid every server to pass the message on without verified TLS (REQUIRETLS, RFC 8689).
    /// The message is not sent where REQUIRETLS is not offered, or where this session has no
    /// verified TLS
    #[arg(long)]
    require_tls: bool,

    /// Any other parameter of MAIL; may be given several times. The message is not sent where
    /// its extension is not offered: the one with the parameter's keyword, or the one named
    /// before it
    #[arg(long, value_name = "[EXTENSION:]KEYWORD[=VALUE]")]
    mail_param: Vec<String>,

    /// Any other parameter of RCPT, for every recipient; otherwise as --mail-param
    #[arg(long, value_name = "[EXTENSION:]KEYWORD[=VALUE]")]
    rcpt_param: Vec<String>,
}

/// Builds the envelope of every message.
pub(crate) fn parse(arguments: &SendArguments) -> Result<Envelope, UsageError> {
    with_parameters(parse_paths(arguments)?, &arguments.parameters)
}

/// Adds the parameters to an envelope.
pub(crate) fn with_parameters(
    envelope: Envelope,
    asked: &ParameterArguments,
) -> Result<Envelope, UsageError> {
    for_rcpt(for_mail(envelope, asked)?, asked)
}

impl ParameterArguments {
    /// The parameters of DSN, and no others.
    pub(crate) fn for_reports(
        amount: Option<&str>,
        identifier: Option<&str>,
        notify: Option<&str>,
    ) -> Self {
        Self {
            dsn_ret: amount.map(str::to_owned),
            dsn_envid: identifier.map(str::to_owned),
            notify: notify.map(str::to_owned),
            ..Self::default()
        }
    }
}

fn parse_paths(arguments: &SendArguments) -> Result<Envelope, UsageError> {
    let reverse_path = Envelope::parse_reverse_path(&arguments.from)
        .map_err(|why| UsageError::new("--from", explained(("--from", &arguments.from), &why)))?;
    let forward_paths = arguments.to.iter().map(|text| {
        let address = text.parse();
        address.map_err(|why| UsageError::new("--to", explained(("--to", text), &why)))
    });
    let forward_paths = forward_paths.collect::<Result<Vec<Address>, _>>()?;
    Envelope::new(reverse_path, forward_paths).map_err(|why| UsageError::new("--to", why))
}

/// Describes an invalid address, with the correct form where it is recognisable.
fn explained((option, text): (&str, &str), why: &AddressError) -> String {
    let mut several = text.split(',').map(str::trim);
    if text.contains(',') && several.all(|part| part.parse::<Address>().is_ok()) {
        return match option {
            "--to" => "takes one address; give --to again for another recipient".to_owned(),
            _ => "takes one address".to_owned(),
        };
    }
    if let Some(literal) = ipv6_literal(text) {
        return format!("{why}; write {literal}");
    }
    match text.split_once('<').map(|(_, rest)| rest.trim_end()) {
        Some(rest) if !rest.is_empty() => {
            let address = rest.trim_end_matches('>');
            match address.parse::<Address>() {
                Ok(address) => format!("{why}; give the address without a name: {address}"),
                Err(_) => why.to_string(),
            }
        }
        _ => why.to_string(),
    }
}

/// The address literal (RFC 5321 §4.1.3) for a text that is, or ends in, an IPv6 address in
/// brackets.
pub(crate) fn ipv6_literal(text: &str) -> Option<String> {
    let (_, literal) = text.trim_end_matches('>').rsplit_once('[')?;
    let address: Ipv6Addr = literal.strip_suffix(']')?.parse().ok()?;
    Some(format!("[IPv6:{address}]"))
}

fn for_mail(mut envelope: Envelope, asked: &ParameterArguments) -> Result<Envelope, UsageError> {
    if let Some(amount) = &asked.dsn_ret {
        envelope = envelope.with_parameter(read::<Return>("--dsn-ret", amount)?);
    }
    if let Some(identifier) = &asked.dsn_envid {
        let identifier = EnvelopeId::new(identifier).map_err(|why| wrong("--dsn-envid", why))?;
        envelope = envelope.with_parameter(identifier);
    }
    if let Some(time) = &asked.deliver_by {
        envelope = envelope.with_parameter(deliver_by(time)?);
    }
    if let Some(seconds) = &asked.hold_for {
        let parameter = format!("HOLDFOR={seconds}");
        envelope = envelope.with_parameter(read::<FutureRelease>("--hold-for", &parameter)?);
    }
    if let Some(time) = &asked.hold_until {
        let until = FutureRelease::hold_until(time).map_err(|why| wrong("--hold-until", why))?;
        envelope = envelope.with_parameter(until);
    }
    if let Some(priority) = &asked.priority {
        envelope = envelope.with_parameter(read::<MtPriority>("--priority", priority)?);
    }
    if asked.require_tls {
        envelope = envelope.with_parameter(RequireTls);
    }
    for given in &asked.mail_param {
        let parameter = raw("--mail-param", given, envelope.parameters())?;
        envelope = envelope.with_parameter(parameter);
    }
    Ok(envelope)
}

fn for_rcpt(mut envelope: Envelope, asked: &ParameterArguments) -> Result<Envelope, UsageError> {
    if let Some(reasons) = &asked.notify {
        envelope = envelope.with_parameter_for_all(read::<Notify>("--notify", reasons)?);
    }
    for given in &asked.orcpt {
        envelope = original_recipient(envelope, given)?;
    }
    for given in &asked.rcpt_param {
        let recipients = 0..envelope.forward_paths().len();
        let before = recipients.flat_map(|recipient| envelope.recipient_parameters(recipient));
        let parameter = raw("--rcpt-param", given, before)?;
        envelope = envelope.with_parameter_for_all(parameter);
    }
    Ok(envelope)
}

/// Reads `SECONDS` with its modifiers.
fn deliver_by(given: &str) -> Result<DeliverBy, UsageError> {
    let usage_error = || {
        let why = "must be a number of seconds with at most nine digits, with optional :notify \
                   and :trace; without :notify it must be positive";
        UsageError::new("--deliver-by", why)
    };
    let mut words = given.split(':');
    let seconds = words.next().unwrap_or_default();
    let (mut mode, mut trace) = ("R", "");
    for word in words {
        match word {
            "notify" => mode = "N",
            "trace" => trace = "T",
            _ => return Err(usage_error()),
        }
    }
    let value = format!("{seconds};{mode}{trace}");
    value.parse().map_err(|_| usage_error())
}

/// Reads `RECIPIENT=ADDRESS` or `RECIPIENT=TYPE;TEXT`, for every recipient with that address.
fn original_recipient(envelope: Envelope, given: &str) -> Result<Envelope, UsageError> {
    // An address may contain `=`, so the text is compared with the addresses of --to.
    let original = |recipient: &Address| given.strip_prefix(recipient.as_str())?.strip_prefix('=');
    let recipients = envelope.forward_paths().iter().enumerate();
    let named: Vec<(usize, &str)> = recipients
        .filter_map(|(position, recipient)| Some((position, original(recipient)?)))
        .collect();
    let Some(&(_, original)) = named.first() else {
        let why = "must be a recipient as given to --to, =, and the original address";
        return Err(UsageError::new(ORCPT, why));
    };
    let original = parse_original_recipient(original)?;
    named
        .into_iter()
        .try_fold(envelope, |envelope, (recipient, _)| {
            let is_original = |parameter: &Parameter| parameter.keyword() == "ORCPT";
            if envelope.recipient_parameters(recipient).any(is_original) {
                return Err(UsageError::new(
                    ORCPT,
                    "is given twice for the same recipient",
                ));
            }
            envelope
                .with_recipient_parameter(recipient, original.clone())
                .map_err(|why| UsageError::new(ORCPT, why))
        })
}

fn parse_original_recipient(given: &str) -> Result<OriginalRecipient, UsageError> {
    let typed = match given.split_once(';') {
        Some((kind, text)) if !is_mailbox(kind) => OriginalRecipient::new(kind, text),
        typed => {
            let mailbox = typed.map_or(given, |(_, mailbox)| mailbox);
            let mailbox = mailbox.parse().map_err(|why| UsageError::new(ORCPT, why))?;
            OriginalRecipient::mailbox(&mailbox)
        }
    };
    typed.map_err(|why| wrong(ORCPT, why))
}

/// Whether an address of this type is a mailbox.
fn is_mailbox(kind: &str) -> bool {
    kind.eq_ignore_ascii_case("rfc822") || kind.eq_ignore_ascii_case("utf-8")
}

/// Reads `[EXTENSION:]KEYWORD[=VALUE]` with a keyword that was not given before.
fn raw<'a>(
    name: &str,
    given: &str,
    mut before: impl Iterator<Item = &'a Parameter>,
) -> Result<Parameter, UsageError> {
    let keyword = given.split('=').next().unwrap_or_default();
    // A colon in the value has no meaning.
    let (extension, parameter) = match keyword.find(':') {
        Some(colon) => (Some(&given[..colon]), &given[colon + 1..]),
        None => (None, given),
    };
    let parameter = read::<Parameter>(name, parameter)?;
    let is_same = |other: &Parameter| other.keyword().eq_ignore_ascii_case(parameter.keyword());
    if before.any(is_same) {
        return Err(UsageError::new(name, "a keyword is given twice"));
    }
    match extension {
        Some(extension) => parameter
            .with_extension(extension)
            .map_err(|why| wrong(name, why)),
        None => Ok(parameter),
    }
}

fn read<T: FromStr<Err = ParameterError>>(name: &str, value: &str) -> Result<T, UsageError> {
    value.parse().map_err(|why| wrong(name, why))
}

fn wrong(name: &str, why: ParameterError) -> UsageError {
    match why {
        ParameterError::Malformed { expected } => {
            UsageError::new(name, format_args!("must be {expected}"))
        }
        why => UsageError::new(name, why),
    }
}
