//! Sends through a real Postfix, in every mode and over every runtime, and
//! compares, octet for octet, what it stored with what was sent.
//!
//! ```text
//! tests/servers/postfix start DIR
//! cargo run -p postwire-interop -- DIR/env
//! tests/servers/postfix stop DIR
//! ```
//!
//! Prints a row for each case and `N passed, N failed` at the end; exits with 1
//! if a case failed, with 2 if it could not begin.

mod bodies;
mod cases;
mod maildir;
mod server;
mod session;
mod table;

use std::process::ExitCode;

use server::Server;
use table::Table;

fn main() -> ExitCode {
    let Some(environment) = std::env::args_os().nth(1) else {
        eprintln!("usage: postwire-interop ENV-FILE (of `tests/servers/postfix start`)");
        return ExitCode::from(2);
    };
    let server = match Server::from_file(environment.as_ref()) {
        Ok(server) => server,
        Err(error) => {
            eprintln!("{}: {error}", environment.display());
            return ExitCode::from(2);
        }
    };
    let mut table = Table::new();
    if let Err(error) = cases::run_all(&server, &mut table) {
        eprintln!("cannot go on: {error}");
        return ExitCode::from(2);
    }
    table.close()
}
