//! `probe`: inspects a server, as far as the server allows it.

mod inspection;
mod result;

use std::ops::ControlFlow;

use postwire_blocking::Connection;
use postwire_blocking::proto::{Event, Redaction};

use self::inspection::Inspection;
use crate::arguments::server_options;
use crate::arguments::{ProbeArguments, UsageError};
use crate::print::exit::Exit;
use crate::print::hints;
use crate::print::output::print_note;
use crate::print::verbose;

/// Inspects the server that the arguments name.
pub(crate) fn run(arguments: &ProbeArguments) -> Result<Exit, UsageError> {
    let options = &arguments.server_options;
    verbose::begin(options.verbose);
    let builder = server_options::parse(("URL", &arguments.server), options)?;
    // The greeting is discarded after STARTTLS; the trace event shows when to read it.
    let config = server_options::build(builder.client(|client| client.trace(true)))?;
    let redaction = match &config {
        Ok(config) => config.client_config().redaction(),
        Err(_) => Redaction::default(),
    };
    let mut inspection = Inspection::new(redaction);
    let opened = config.and_then(|config| {
        let happened = |session: &Connection, event| {
            inspection.update(session, event, options.trace);
            ControlFlow::Continue(())
        };
        Connection::open_with(&config, |socket| socket, happened)
    });
    let failure = match opened {
        Ok(mut connection) => {
            while let Some(event) = connection.next_event() {
                let is_ready = matches!(event, Event::Ready);
                inspection.update(&connection, event, options.trace);
                if is_ready {
                    break;
                }
            }
            // Everything is known, so an error of QUIT does not matter.
            let _ = connection.quit();
            None
        }
        Err(failure) => Some(failure),
    };
    inspection.print(failure.as_ref(), options.json);
    let asked = server_options::requested_options(&arguments.server, options)?;
    let facts = &inspection.facts;
    if failure.is_none()
        && let Some(news) = hints::of_session(&asked, facts)
    {
        print_note(format_args!("note: {news}"));
    }
    let hint = failure
        .as_ref()
        .and_then(|failure| hints::of_error(failure, &asked, facts));
    if let Some(hint) = hint.filter(|_| !options.json) {
        print_note(format_args!("hint: {hint}"));
    }
    Ok(failure.map_or(Exit::Accepted, |error| Exit::of_error(&error)))
}
