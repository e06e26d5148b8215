//! `sendmail`: sends one message from standard input, as programs expect of `/usr/sbin/sendmail`.
//!
//! Everything that differs from `send` is here: the configuration is a file, recipients may be in
//! the header, and fields that the message lacks are added. There is no queue.

mod address_list;
mod config;
mod message;

use std::io::{self, Read};

use postwire_blocking::Transport;
use postwire_blocking::proto::{Address, Body, Envelope, Report, SendError};

use self::config::Config;
use self::message::Outgoing;
use crate::arguments::UsageError;
use crate::arguments::sendmail::SendmailArguments;
use crate::arguments::server_options;
use crate::print::exit::Exit;
use crate::print::output::{print_error, print_note, print_result};
use crate::print::text::SafeText;
use crate::print::verbose;
use crate::send::envelope::{self, ParameterArguments};
use crate::signals;

/// The maximum size of a message: several times what most servers accept.
const LARGEST: u64 = 256 * 1024 * 1024;

/// Runs the command.
pub(crate) fn run(arguments: &SendmailArguments) -> Result<Exit, UsageError> {
    verbose::begin(arguments.verbose);
    match arguments.mode.as_deref() {
        None | Some("m") if arguments.queue.is_some() => return Ok(Exit::Accepted),
        None | Some("m") => {}
        Some("p") => {
            print_result("Mail queue is empty");
            return Ok(Exit::Accepted);
        }
        // The list of aliases is read from the configuration each time.
        Some("i") => return Ok(Exit::Accepted),
        Some(_) => {
            let why = "is not supported: there is no server and no queue, only sending";
            return Err(UsageError::new("-b", why));
        }
    }
    let config = match Config::read(arguments.config.as_deref()) {
        Ok(config) => config,
        Err(error) => {
            print_error(SafeText(&error.to_string()));
            return Ok(Exit::Configuration);
        }
    };
    let input = match read_input(arguments.keeps_dots()) {
        Ok(input) => input,
        Err(error) => {
            print_error(format_args!("cannot read standard input: {error}"));
            return Ok(Exit::MessageFile);
        }
    };
    let sender = sender(arguments, &config)?;
    let outgoing = Outgoing::new(
        input,
        &config.domain,
        sender.as_ref(),
        arguments.full_name.as_deref(),
    );
    let envelope = addressed(arguments, &config, &outgoing, sender)?;
    Ok(send(&config, &envelope, outgoing))
}

/// Reads the message, up to a line with only a dot unless those are content.
fn read_input(keeps_dots: bool) -> io::Result<Vec<u8>> {
    let mut input = Vec::new();
    io::stdin()
        .lock()
        .take(LARGEST + 1)
        .read_to_end(&mut input)?;
    if input.len() as u64 > LARGEST {
        return Err(io::Error::other("the message is larger than 256 MiB"));
    }
    if !keeps_dots && let Some(end) = message::dot_line(&input) {
        input.truncate(end);
    }
    Ok(input)
}

/// The reverse-path: of `-f`, of the configuration, or of the user who runs the program.
fn sender(arguments: &SendmailArguments, config: &Config) -> Result<Option<Address>, UsageError> {
    let user = || {
        let name = |variable| std::env::var(variable).ok().filter(|name| !name.is_empty());
        let user = name("LOGNAME").or_else(|| name("USER"));
        user.unwrap_or_else(|| "postmaster".to_owned())
    };
    let given = arguments.sender.clone().or_else(|| config.from.clone());
    let text = given.unwrap_or_else(user);
    if matches!(text.as_str(), "" | "<>") {
        return Ok(None);
    }
    let found = message::addresses(&text);
    let [address] = found.as_slice() else {
        return Err(UsageError::new("-f", "a message has one sender"));
    };
    let completed = config.completed(address);
    let address =
        completed.map_err(|why| UsageError::new("-f", format_args!("{address:?}: {why}")))?;
    Ok(Some(address))
}

/// The envelope, from the arguments and the header.
fn addressed(
    arguments: &SendmailArguments,
    config: &Config,
    outgoing: &Outgoing,
    sender: Option<Address>,
) -> Result<Envelope, UsageError> {
    const WHERE: &str = "recipients";
    let named = arguments
        .recipients
        .iter()
        .flat_map(|text| message::addresses(text));
    let mut recipients: Vec<Address> = Vec::new();
    let header = arguments.from_header.then(|| outgoing.recipients());
    for text in named.chain(header.into_iter().flatten()) {
        for address in config.expanded(&text) {
            let completed = config.completed(&address);
            let address = completed
                .map_err(|why| UsageError::new(WHERE, format_args!("{address:?}: {why}")))?;
            if !recipients.contains(&address) {
                recipients.push(address);
            }
        }
    }
    if recipients.is_empty() {
        let why = if arguments.from_header {
            "there are none in To, Cc and Bcc, and none was named"
        } else {
            "none was named; -t takes those of the header"
        };
        return Err(UsageError::new(WHERE, why));
    }
    let envelope = Envelope::new(sender, recipients);
    let envelope = envelope.map_err(|why| UsageError::new(WHERE, why))?;
    let parameters = ParameterArguments::for_reports(
        arguments.dsn_return.as_deref(),
        arguments.envelope_id.as_deref(),
        arguments.notify.as_deref(),
    );
    envelope::with_parameters(envelope, &parameters)
}

/// From now on Ctrl-C does not end the program without a word. If no handler can be installed, it does.
fn end_on_ctrl_c() {
    let _ = signals::on_end(|| {
        print_error("interrupted: it is not known whether the message was sent");
        std::process::exit(Exit::Temporary.code().into());
    });
}

fn send(config: &Config, envelope: &Envelope, outgoing: Outgoing) -> Exit {
    let built = match server_options::build(config.builder.clone()) {
        Ok(built) => built,
        Err(error) => return error.into(),
    };
    let report = match built {
        Err(error) => Report::not_sent(envelope, error),
        Ok(server) => {
            let transport = Transport::from(server);
            end_on_ctrl_c();
            let sent = transport.send(envelope, Body::from(outgoing.into_octets()));
            transport.shutdown();
            sent.unwrap_or_else(SendError::into_report)
        }
    };
    let exit = Exit::of_report(&report);
    if exit != Exit::Accepted {
        let text = report.to_string();
        print_error(SafeText(&text));
        for refused in report.refused() {
            let address = SafeText(refused.address().as_str());
            match refused.reply() {
                Some(reply) => print_note(format_args!("  {address} was refused: {reply}")),
                None => print_note(format_args!("  {address} was refused")),
            }
        }
    }
    exit
}
