//! `postwire`: send mail, run a test server, inspect a server, demonstrate all of it.
//!
//! Each command is a module that uses only the library's public interface. The code that
//! *prints* (`print`: text, JSON, hints, the exit status) is separate from the code that acts.

mod arguments;
mod demo;
mod print;
mod probe;
mod send;
mod serve;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, Command};
use crate::print::exit::Exit;

fn main() -> ExitCode {
    let exit = match Arguments::try_parse() {
        Err(error) => arguments::print_parse_error(&error),
        Ok(arguments) => match arguments.command {
            Command::Send(arguments) => send::run(&arguments).unwrap_or_else(Exit::from),
            Command::Serve(arguments) => serve::run(&arguments).unwrap_or_else(Exit::from),
            Command::Demo(arguments) => demo::run(&arguments),
            Command::Probe(arguments) => probe::run(&arguments).unwrap_or_else(Exit::from),
        },
    };
    ExitCode::from(exit.code())
}
