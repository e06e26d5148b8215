//! `postwire`: send mail (also as `sendmail`), run a test server, inspect a server, demonstrate all of it.
//!
//! Each command is a module that uses only the library's public interface. The code that
//! *prints* (`print`: text, JSON, hints, the exit status) is separate from the code that acts.

mod arguments;
mod demo;
mod manual;
mod print;
mod probe;
mod send;
mod sendmail;
mod serve;
mod signals;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use crate::arguments::sendmail::SendmailArguments;
use crate::arguments::{Arguments, Command};
use crate::print::exit::Exit;

fn main() -> ExitCode {
    if is_called_sendmail() {
        let exit = match SendmailArguments::try_parse() {
            Err(error) => arguments::print_parse_error(&error),
            Ok(arguments) => sendmail::run(&arguments).unwrap_or_else(Exit::from),
        };
        return ExitCode::from(exit.code());
    }
    let exit = match Arguments::try_parse() {
        Err(error) => arguments::print_parse_error(&error),
        Ok(arguments) => match arguments.command {
            Command::Send(arguments) => send::run(&arguments).unwrap_or_else(Exit::from),
            Command::Sendmail(arguments) => sendmail::run(&arguments).unwrap_or_else(Exit::from),
            Command::Serve(arguments) => serve::run(&arguments).unwrap_or_else(Exit::from),
            Command::Demo(arguments) => demo::run(&arguments),
            Command::Probe(arguments) => probe::run(&arguments).unwrap_or_else(Exit::from),
            Command::Completions(arguments) => manual::print_completions(&arguments),
            Command::Man(arguments) => manual::make_pages(&arguments),
        },
    };
    ExitCode::from(exit.code())
}

/// Whether the program was started by the name `sendmail`: as a link to it, or a copy.
fn is_called_sendmail() -> bool {
    let name = std::env::args_os().next();
    let name = name.as_deref().map(Path::new).and_then(Path::file_stem);
    name.is_some_and(|name| name == "sendmail")
}
