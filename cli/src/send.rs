//! `send`: sends messages, over one connection where that takes them all, and prints the result
//! of each.
//!
//! First the command line is checked, then the messages are read, then the server is connected,
//! so that an error in an earlier step never causes a connection.

pub(crate) mod bcc;
mod delivery;
pub(crate) mod envelope;
pub(crate) mod interrupt;
mod messages;
pub(crate) mod meter;
pub(crate) mod session;

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use postwire_blocking::proto::{
    Envelope, Error, LineEnds, RecipientReport, RecipientStatus, Report,
};
use postwire_blocking::transport::TransportConfig;

use self::messages::{Message, Name};
use crate::arguments::server_options::{self, Builder};
use crate::arguments::{
    LineEndsChoice, PipeliningChoice, Runtime, SendArguments, Switch, UsageError,
};
use crate::print::exit::Exit;
use crate::print::facts::SessionFacts;
use crate::print::hints::{self, RequestedOptions};
use crate::print::json;
use crate::print::output::{print_error, print_json, print_note, print_result};
use crate::print::text::SafeText;
use crate::print::verbose;

/// A body larger than this gets a progress bar.
const PROGRESS_BAR_MIN_OCTETS: u64 = 1024 * 1024;

/// Runs the command.
pub(crate) fn run(arguments: &SendArguments) -> Result<Exit, UsageError> {
    let envelope = envelope::parse(arguments)?;
    verbose::begin(arguments.server_options.verbose);
    let builder = parse_server(arguments)?;
    let asked = server_options::requested_options(&arguments.server, &arguments.server_options)?;
    let asked = RequestedOptions {
        pipelining: arguments.pipelining != PipeliningChoice::Off,
        ..asked
    };
    if let Some(hint) = hints::beforehand(&asked) {
        print_note(format_args!("hint: {hint}"));
    }
    let names = messages::names(&arguments.message)?;
    let config = server_options::build(builder)?;
    if names.contains(&Name::StandardInput) && std::io::stdin().is_terminal() {
        print_note(
            "reading a message from standard input; end it with Ctrl-D on a line of its own",
        );
    }

    let messages = match messages::read(&names, arguments.strip_bcc) {
        Ok(messages) => messages,
        Err(error) => {
            print_error(&error);
            if arguments.server_options.json {
                for position in 0..names.len() {
                    let error = format!("no message was sent: {error}");
                    let paths = envelope.forward_paths();
                    print_json(&json::Message::unread(position, error, paths));
                }
            }
            return Ok(Exit::MessageFile);
        }
    };
    for message in &messages {
        match message.oddity() {
            None => {}
            Some(oddity) if messages.len() > 1 => {
                print_note(format_args!("note: {}: {oddity}", message.name));
            }
            Some(oddity) => print_note(format_args!("note: {oddity}")),
        }
    }
    let printer = Printer {
        json: arguments.server_options.json,
        several: messages.len() > 1,
        asked,
        bar: progress_bar(&messages, arguments.server_options.trace),
        exit: Exit::Accepted,
    };
    Ok(send(
        arguments.runtime,
        config,
        &envelope,
        &messages,
        printer,
    ))
}

fn parse_server(arguments: &SendArguments) -> Result<Builder, UsageError> {
    let max_line = match &arguments.max_line {
        None => None,
        Some(octets) => match octets.parse() {
            Ok(octets) if octets > 0 => Some(octets),
            _ => return Err(UsageError::new("--max-line", "must be a number above 0")),
        },
    };
    let builder =
        server_options::parse(("--server", &arguments.server), &arguments.server_options)?;
    Ok(builder.client(|client| {
        client
            .pipelining(arguments.pipelining.into())
            .chunking(arguments.chunking == Switch::On)
            .line_ends(match arguments.line_ends {
                LineEndsChoice::Normalize => LineEnds::Normalize,
                LineEndsChoice::Refuse => LineEnds::Refuse,
            })
            .allow_8bit_without_8bitmime(arguments.allow_8bit)
            .max_line_length(max_line)
    }))
}

/// A progress bar on a terminal for large messages; hidden otherwise.
fn progress_bar(messages: &[Message], trace: bool) -> ProgressBar {
    let sizes = || messages.iter().map(Message::octets);
    let is_worth_it = sizes().any(|octets| octets > PROGRESS_BAR_MIN_OCTETS);
    if !is_worth_it || trace || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let target = ProgressDrawTarget::stderr();
    let bar = ProgressBar::with_draw_target(Some(sizes().sum()), target);
    let template = "{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Sends everything.
fn send(
    runtime: Runtime,
    config: Result<TransportConfig, Error>,
    envelope: &Envelope,
    messages: &[Message],
    mut printer: Printer,
) -> Exit {
    let config = match config {
        Ok(config) => config,
        Err(error) => {
            for (position, message) in messages.iter().enumerate() {
                let report = Report::not_sent(envelope, error.clone());
                printer.print(position, message, &report, &SessionFacts::default());
            }
            return printer.finish();
        }
    };
    delivery::deliver(runtime, &config, envelope, messages, printer).finish()
}

/// Prints the result of each message, and keeps the worst exit status.
#[derive(Clone)]
struct Printer {
    json: bool,
    several: bool,
    asked: RequestedOptions,
    bar: ProgressBar,
    exit: Exit,
}

impl Printer {
    fn print(&mut self, position: usize, message: &Message, report: &Report, facts: &SessionFacts) {
        self.exit = self.exit.or_worse(Exit::of_report(report));
        self.bar.suspend(|| {
            if self.json {
                let tls = facts.tls.as_ref();
                print_json(&json::Message::new(position, report, tls, facts.login));
            } else {
                self.print_for_people(message, report, facts);
            }
        });
    }

    fn print_for_people(&self, message: &Message, report: &Report, facts: &SessionFacts) {
        let report_line = report.to_string();
        if self.several {
            print_result(format_args!("{}: {}", message.name, SafeText(&report_line)));
        } else {
            print_result(SafeText(&report_line));
        }
        let mut statuses = report.recipients().iter().map(RecipientReport::status);
        let first = statuses.next();
        let differ = statuses.any(|status| Some(status) != first);
        for recipient in report.recipients() {
            let address = SafeText(recipient.address().as_str());
            match (recipient.status(), recipient.reply()) {
                (RecipientStatus::Refused, Some(reply)) => {
                    print_result(format_args!("  {address} was refused: {reply}"));
                }
                (RecipientStatus::Refused, None) => {
                    print_result(format_args!("  {address} was refused"));
                }
                (RecipientStatus::Accepted, _) if differ && !report.is_accepted() => {
                    print_result(format_args!("  {address}: accepted"));
                }
                (RecipientStatus::InDoubt, _) if differ => {
                    print_result(format_args!("  {address}: in doubt"));
                }
                (RecipientStatus::NotSent, _) if differ => {
                    print_result(format_args!("  {address}: not sent"));
                }
                _ => {}
            }
        }
        if let Some(hint) = hints::of_report(report, &self.asked, facts) {
            print_note(format_args!("hint: {hint}"));
        }
    }

    fn finish(self) -> Exit {
        self.bar.finish_and_clear();
        self.exit
    }
}
