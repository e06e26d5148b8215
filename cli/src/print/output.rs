//! The two streams that a program talks on.
//!
//! A reader that has gone away ends nothing here: mail that is under way is
//! still sent, and the exit status still says what became of it.

use std::fmt::Display;
use std::io::{self, Write};

use crate::print::json;

/// A line for whoever uses the result.
pub(crate) fn say(line: impl Display) {
    print(&line.to_string());
}

/// An object for the program that uses the result.
pub(crate) fn say_object(object: &impl serde::Serialize) {
    print(&json::line(object));
}

fn print(line: &str) {
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        complain(format_args!("cannot write to standard output: {error}"));
    }
}

/// What is wrong, in one sentence, for whoever started the program.
pub(crate) fn complain(sentence: impl Display) {
    note(format_args!("postwire: {sentence}"));
}

/// A line beside the result.
pub(crate) fn note(line: impl Display) {
    // Where it cannot be written, there is nobody left to tell.
    let _ = writeln!(io::stderr().lock(), "{line}");
}
