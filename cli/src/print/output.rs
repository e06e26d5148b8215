//! Standard output and standard error.
//!
//! A reader that closes the pipe does not end the program: mail in progress is still sent, and
//! the exit status still shows the result.

use std::fmt::Display;
use std::io::{self, Write};

use crate::print::json;

/// Prints a line of the result.
pub(crate) fn say(line: impl Display) {
    print(&line.to_string());
}

/// Prints a JSON object of the result.
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

/// Prints an error in one sentence.
pub(crate) fn complain(sentence: impl Display) {
    note(format_args!("postwire: {sentence}"));
}

/// Prints a line of additional information.
pub(crate) fn note(line: impl Display) {
    // An error that cannot be written cannot be reported.
    let _ = writeln!(io::stderr().lock(), "{line}");
}
