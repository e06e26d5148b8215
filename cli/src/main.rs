//! `postwire`: send mail, run a test server, inspect a server, demonstrate all of it.
//!
//! Each command is a file that uses only the library's public interface. The code that
//! *decides* (`exit`, `json`) is separate from the code that acts.

mod arguments;
mod authority;
mod bcc;
mod certificate;
mod demo;
mod envelope;
mod exit;
mod hints;
mod interrupt;
mod json;
mod listener;
mod maildir;
mod messages;
mod meter;
mod output;
mod probe;
mod secrets;
mod send;
mod serve;
mod serve_options;
mod server;
mod server_options;
mod session;
mod text;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, Command};
use crate::exit::Exit;

fn main() -> ExitCode {
    let exit = match Arguments::try_parse() {
        Err(error) => arguments::refuse(&error),
        Ok(arguments) => match arguments.command {
            Command::Send(arguments) => send::run(&arguments).unwrap_or_else(Exit::from),
            Command::Serve(arguments) => serve::run(&arguments).unwrap_or_else(Exit::from),
            Command::Demo(arguments) => demo::run(&arguments),
            Command::Probe(arguments) => probe::run(&arguments).unwrap_or_else(Exit::from),
        },
    };
    ExitCode::from(exit.code())
}
