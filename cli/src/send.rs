//! `send`: sends messages over one connection, and prints the result of each.
//!
//! First the command line is checked, then the messages are read, then the server is connected,
//! so that an error in an earlier step never causes a connection.

mod bcc;
pub(crate) mod envelope;
pub(crate) mod interrupt;
mod messages;
pub(crate) mod meter;
pub(crate) mod session;

use std::fs::File;
use std::io::IsTerminal;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use postwire_blocking::Chunks;
use postwire_blocking::proto::{
    Envelope, Error, ErrorKind, Event, LineEnds, RecipientReport, RecipientStatus, Report, Stage,
    TraceLine, TransactionId,
};
use postwire_blocking::transport::TransportConfig;

use self::interrupt::Interrupt;
use self::messages::Message;
use self::meter::Meter;
use self::session::{Failed, Known, Session};
use crate::arguments::server_options::{self, Builder};
use crate::arguments::{Ahead, LineEndsChoice, Runtime, SendArguments, Switch, UsageError};
use crate::print::exit::Exit;
use crate::print::hints::{self, Asked, Seen};
use crate::print::json;
use crate::print::output::{complain, note, say, say_object};
use crate::print::text::Plain;

/// A body larger than this gets a progress bar.
const WORTH_A_BAR: u64 = 1024 * 1024;

/// Runs the command.
pub(crate) fn run(arguments: &SendArguments) -> Result<Exit, UsageError> {
    let envelope = envelope::parse(arguments)?;
    let builder = parse_server(arguments)?;
    let asked = server_options::asked(&arguments.server, &arguments.server_options)?;
    let asked = Asked {
        pipelining: arguments.pipelining != Ahead::Off,
        ..asked
    };
    if let Some(hint) = hints::beforehand(&asked) {
        note(format_args!("hint: {hint}"));
    }
    let names = messages::names(&arguments.message)?;
    let config = server_options::build(builder)?;

    let messages = match messages::read(&names, arguments.strip_bcc) {
        Ok(messages) => messages,
        Err(error) => {
            complain(&error);
            if arguments.server_options.json {
                for position in 0..names.len() {
                    let error = format!("no message was sent: {error}");
                    let paths = envelope.forward_paths();
                    say_object(&json::Message::unread(position, error, paths));
                }
            }
            return Ok(Exit::MessageFile);
        }
    };
    for message in &messages {
        match message.oddity() {
            None => {}
            Some(oddity) if messages.len() > 1 => {
                note(format_args!("note: {}: {oddity}", message.name));
            }
            Some(oddity) => note(format_args!("note: {oddity}")),
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
            .eight_bit_anyway(arguments.allow_8bit)
            .max_line_length(max_line)
    }))
}

/// A progress bar on a terminal for large messages; hidden otherwise.
fn progress_bar(messages: &[Message], trace: bool) -> ProgressBar {
    let sizes = || messages.iter().map(Message::octets);
    let is_worth_it = sizes().any(|octets| octets > WORTH_A_BAR);
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

/// Sends everything over one connection.
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
                printer.print(position, message, &report, &Known::default());
            }
            return printer.finish();
        }
    };
    let unsendable = |message: &Message| config.client_config().refuse(envelope, &message.body);
    if messages.iter().all(|message| unsendable(message).is_some()) {
        // There is no message to connect for.
        for (position, message) in messages.iter().enumerate() {
            let report = unsendable(message);
            let report = report.unwrap_or_else(|| Report::not_sent(envelope, session_over()));
            printer.print(position, message, &report, &Known::default());
        }
        return printer.finish();
    }
    let meter = Meter::new(printer.bar.clone());
    let interrupt = Interrupt::listen(nothing_was_sent(envelope, messages, &printer));
    let mut traced = |line: &TraceLine| note(Plain(&line.to_string()));
    match session::open(runtime, &config, &meter, &interrupt, &mut traced) {
        Ok(mut session) => converse(session.as_mut(), envelope, messages, &mut printer),
        Err(Failed { error, known }) => {
            for (position, message) in messages.iter().enumerate() {
                let report = unsendable(message)
                    .unwrap_or_else(|| Report::not_sent(envelope, error.clone()));
                printer.print(position, message, &report, &known);
            }
        }
    }
    if interrupt.was_heard() {
        complain("interrupted");
    }
    printer.finish()
}

/// Gives all messages to the session, and prints each result when it arrives.
fn converse(
    session: &mut dyn Session,
    envelope: &Envelope,
    messages: &[Message],
    printer: &mut Printer,
) {
    if let Some(news) = hints::of_session(&printer.asked, seen(&session.known())) {
        printer.bar.suspend(|| note(format_args!("note: {news}")));
    }
    for message in messages {
        session.enqueue(envelope.clone(), message.body.clone());
    }
    session.begin_quit();
    let mut pieces = None;
    let mut waiting = messages.iter().enumerate();
    while let Some(event) = session.next_event() {
        match event {
            Event::Report(report) => {
                if let Some((position, message)) = waiting.next() {
                    printer.print(position, message, &report, &session.known());
                }
            }
            Event::BodyWanted(id) => {
                // Only one message's content is requested at a time.
                let (of, pieces) = pieces.get_or_insert_with(|| (id, pieces_of(id, messages)));
                if *of != id {
                    (*of, *pieces) = (id, pieces_of(id, messages));
                }
                let next = pieces.as_mut().and_then(Iterator::next);
                session.body_next(id, next);
            }
            Event::Trace(line) => note(Plain(&line.to_string())),
            _ => {}
        }
    }
    // The session owes a report for each message, and so does this program in any case.
    for (position, message) in waiting {
        let report = Report::not_sent(envelope, session_over());
        printer.print(position, message, &report, &session.known());
    }
}

/// The facts about the session that hints depend on.
fn seen(known: &Known) -> Seen<'_> {
    Seen {
        tls: known.tls.is_some(),
        greeting: known.greeting.as_ref(),
        capabilities: known.capabilities.as_ref(),
    }
}

/// The content of the message to which the session gave this identifier.
fn pieces_of(id: TransactionId, messages: &[Message]) -> Option<Chunks<Arc<File>>> {
    let position = usize::try_from(id.index()).ok()?;
    messages.get(position)?.pieces()
}

/// The action of Ctrl-C before there is a connection: prints a result for every message, and
/// ends the program.
fn nothing_was_sent(
    envelope: &Envelope,
    messages: &[Message],
    printer: &Printer,
) -> impl FnOnce() + Send + 'static {
    let (envelope, messages) = (envelope.clone(), messages.to_vec());
    let mut printer = printer.clone();
    move || {
        for (position, message) in messages.iter().enumerate() {
            let error = Error::new(Stage::Connect, ErrorKind::Aborted);
            let report = Report::not_sent(&envelope, error);
            printer.print(position, message, &report, &Known::default());
        }
        complain("interrupted");
        std::process::exit(printer.finish().code().into());
    }
}

fn session_over() -> Error {
    Error::new(Stage::Mail, ErrorKind::SessionOver)
}

/// Prints the result of each message, and keeps the worst exit status.
#[derive(Clone)]
struct Printer {
    json: bool,
    several: bool,
    asked: Asked,
    bar: ProgressBar,
    exit: Exit,
}

impl Printer {
    fn print(&mut self, position: usize, message: &Message, report: &Report, known: &Known) {
        self.exit = self.exit.or_worse(Exit::of_report(report));
        self.bar.suspend(|| {
            if self.json {
                let tls = known.tls.as_ref();
                say_object(&json::Message::new(position, report, tls, known.login));
            } else {
                self.print_for_people(message, report, known);
            }
        });
    }

    fn print_for_people(&self, message: &Message, report: &Report, known: &Known) {
        let report_line = report.to_string();
        if self.several {
            say(format_args!("{}: {}", message.name, Plain(&report_line)));
        } else {
            say(Plain(&report_line));
        }
        let mut statuses = report.recipients().iter().map(RecipientReport::status);
        let first = statuses.next();
        let differ = statuses.any(|status| Some(status) != first);
        for recipient in report.recipients() {
            let address = Plain(recipient.address().as_str());
            match (recipient.status(), recipient.reply()) {
                (RecipientStatus::Refused, Some(reply)) => {
                    say(format_args!("  {address} was refused: {reply}"));
                }
                (RecipientStatus::Refused, None) => say(format_args!("  {address} was refused")),
                (RecipientStatus::Accepted, _) if differ && !report.is_accepted() => {
                    say(format_args!("  {address}: accepted"));
                }
                (RecipientStatus::InDoubt, _) if differ => {
                    say(format_args!("  {address}: in doubt"));
                }
                (RecipientStatus::NotSent, _) if differ => {
                    say(format_args!("  {address}: not sent"));
                }
                _ => {}
            }
        }
        if let Some(hint) = hints::of_report(report, &self.asked, seen(known)) {
            note(format_args!("hint: {hint}"));
        }
    }

    fn finish(self) -> Exit {
        self.bar.finish_and_clear();
        self.exit
    }
}
