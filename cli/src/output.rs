//! The two streams that a program talks on.
//!
//! A reader that has gone away ends nothing here: mail that is under way is
//! still sent, and the exit status still says what became of it.

use std::fmt;
use std::io::{self, Write};

/// A line for whoever uses the result.
pub(crate) fn say(line: impl fmt::Display) {
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        complain(format_args!("cannot write to standard output: {error}"));
    }
}

/// What is wrong, in one sentence, for whoever started the program.
pub(crate) fn complain(sentence: impl fmt::Display) {
    note(format_args!("postwire: {sentence}"));
}

/// A line beside the result.
pub(crate) fn note(line: impl fmt::Display) {
    // There is nobody left to tell.
    let _ = writeln!(io::stderr().lock(), "{line}");
}
