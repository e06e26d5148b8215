//! Standard output and standard error.
//!
//! A reader that closes the pipe does not end the program: mail in progress is still sent, and
//! the exit status still shows the result.

use std::fmt::Display;
use std::io::{self, Write};

use crate::print::json;

/// Prints a line of the result.
pub(crate) fn print_result(line: impl Display) {
    print(&line.to_string());
}

/// Prints a JSON object of the result.
pub(crate) fn print_json(object: &impl serde::Serialize) {
    print(&json::line(object));
}

fn print(line: &str) {
    let mut stdout = io::stdout().lock();
    is_written(writeln!(stdout, "{line}").and_then(|()| stdout.flush()));
}

/// Whether standard output took what was written, or its reader needs no more; prints the error
/// otherwise.
pub(crate) fn is_written(written: io::Result<()>) -> bool {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            print_error(format_args!("cannot write to standard output: {error}"));
            false
        }
        _ => true,
    }
}

/// Prints an error in one sentence.
pub(crate) fn print_error(sentence: impl Display) {
    print_note(format_args!("postwire: {sentence}"));
}

/// Prints a line of additional information.
pub(crate) fn print_note(line: impl Display) {
    // An error that cannot be written cannot be reported.
    let _ = writeln!(io::stderr().lock(), "{line}");
}
