//! `probe`: inspects a server, as far as the server allows it.
//!
//! The first session does what `send` would do. Further ones, which do not log in, show the
//! rest: each address, each TLS mode and version, the certificates.

mod advice;
mod chain_file;
mod dialogue;
mod experiments;
mod handshake;
mod inspection;
mod result;
mod survey;
mod table;
mod target;

use std::io::{self, IsTerminal as _};

use postwire_blocking::proto::{Credentials, Error, Mechanism, Redaction, Security};
use postwire_blocking::transport::TransportConfig;

use self::experiments::Finding;
use self::inspection::Inspection;
use self::result::{Learnt, ProbeResult};
use self::survey::Survey;
use self::target::Target;
use crate::arguments::server_options;
use crate::arguments::{ProbeArguments, ServerArguments, UsageError};
use crate::print::exit::Exit;
use crate::print::hints;
use crate::print::output::{print_error, print_json, print_note};
use crate::print::verbose;

/// The time limit of each stage of the first session, in seconds, if none is given.
const TIME_LIMIT: &str = "30";

/// Inspects the server that the arguments name.
pub(crate) fn run(arguments: &ProbeArguments) -> Result<Exit, UsageError> {
    let options = &with_time_limit(&arguments.server_options);
    verbose::begin(options.verbose);
    let url = target::url(&arguments.server);
    let builder = server_options::parse(("URL", &url), options)?;
    let asked = server_options::requested_options(&url, options)?;
    if io::stderr().is_terminal() {
        print_note(
            "asking the server; one that does not answer is waited for several times (--timeout)",
        );
    }
    // The dialogue shows when there is a greeting to read, and how long a flight takes.
    let config = server_options::build(builder.clone().client(|client| client.trace(true)))?;
    let learnt = match config {
        Ok(config) => {
            let first = Inspection::of(&config, options.trace);
            learn(arguments, &Target::new(builder, &config), &config, first)
        }
        Err(failure) => nothing(failure),
    };
    let is_written = match &arguments.chain_out {
        Some(file) => chain_file::write(file, &learnt.survey.ders),
        None => Ok(()),
    };
    let result = ProbeResult::new(&learnt);
    let (failure, facts) = (learnt.first.failure.as_ref(), &learnt.first.facts);
    if options.json {
        print_json(&redacted(&result, &learnt.first.redaction));
    } else {
        table::print(&result, &learnt);
        if let Some(error) = failure {
            print_error(error);
        }
    }
    if failure.is_none()
        && let Some(news) = hints::of_session(&asked, facts)
    {
        print_note(format_args!("note: {news}"));
    }
    let hint = failure.and_then(|failure| hints::of_error(failure, &asked, facts));
    if let Some(hint) = hint.filter(|_| !options.json) {
        print_note(format_args!("hint: {hint}"));
    }
    if let Err(error) = is_written {
        print_error(format_args!("--chain-out: {error}"));
        return Ok(Exit::System);
    }
    Ok(failure.map_or(Exit::Accepted, Exit::of_error))
}

/// The result without secrets: a server that knows the password may repeat it anywhere, also in a later
/// session.
fn redacted(result: &ProbeResult<'_>, redaction: &Redaction) -> serde_json::Value {
    fn clean(value: &mut serde_json::Value, redaction: &Redaction) {
        match value {
            serde_json::Value::String(text) => *text = redaction.text(text),
            serde_json::Value::Array(values) => {
                for value in values {
                    clean(value, redaction);
                }
            }
            serde_json::Value::Object(fields) => {
                for (_, value) in fields {
                    clean(value, redaction);
                }
            }
            _ => {}
        }
    }
    // Names of fields are strings, and no number is beyond the range of JSON.
    let mut value = serde_json::to_value(result).unwrap_or_default();
    clean(&mut value, redaction);
    value
}

/// The options with a time limit. Without one, a port that expects TLS is silent for the minutes that
/// RFC 5321 gives a greeting.
fn with_time_limit(options: &ServerArguments) -> ServerArguments {
    let mut options = options.clone();
    options.timeout.get_or_insert_with(|| TIME_LIMIT.to_owned());
    options
}

/// Makes the further sessions.
fn learn(
    arguments: &ProbeArguments,
    target: &Target,
    config: &TransportConfig,
    first: Inspection,
) -> Learnt {
    let survey = Survey::make(target, config, &first.redaction);
    let experiment = |run: Experiment| {
        let Some(address) = survey.address else {
            return Finding::unknown("not tested: there is no address to connect to");
        };
        match target.config(experiment_mode(config, &first), address) {
            Ok(config) => run(&config, address, target.limit),
            Err(error) => Finding::unknown(format!("not tested: {error}")),
        }
    };
    Learnt {
        mechanisms: mechanisms(config, &first),
        behind_data: arguments
            .behind_data
            .then(|| experiment(experiments::behind_data)),
        refused_bdat: arguments
            .refused_bdat
            .then(|| experiment(experiments::refused_bdat)),
        first,
        survey,
    }
}

type Experiment = fn(&TransportConfig, std::net::SocketAddr, std::time::Duration) -> Finding;

/// The mode of the configuration, or what became of it.
fn experiment_mode(config: &TransportConfig, first: &Inspection) -> Security {
    match config.tls().security() {
        Security::Opportunistic if first.facts.tls.is_some() => Security::Required,
        Security::Opportunistic => Security::None,
        mode => mode,
    }
}

/// Only the reason why there is no configuration.
fn nothing(failure: Error) -> Learnt {
    Learnt {
        first: Inspection::failed(failure),
        survey: Survey::default(),
        mechanisms: [None, None],
        behind_data: None,
        refused_bdat: None,
    }
}

/// The mechanisms that a login would try first with a password, and with a token.
fn mechanisms(config: &TransportConfig, first: &Inspection) -> [Option<Mechanism>; 2] {
    let Some(capabilities) = &first.facts.capabilities else {
        return [None, None];
    };
    [
        Credentials::new("user", "secret"),
        Credentials::token("user", "secret"),
    ]
    .map(|credentials| {
        let config = (*config.client_config()).clone().credentials(credentials);
        config.first_mechanism(capabilities, first.facts.tls.as_ref())
    })
}
