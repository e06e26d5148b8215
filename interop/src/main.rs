//! Sends through a real Postfix in every mode, and to a real Dovecot over LMTP, with every
//! runtime. Compares the stored messages, octet for octet, with those that were sent, and
//! the commands in Postfix's log with the expected ones. Sends three messages with the
//! defaults to each of the other servers in `tests/servers`.
//!
//! ```text
//! tests/servers/postfix start DIR
//! tests/servers/haraka start OTHER-DIR
//! cargo build --workspace --bins
//! target/debug/postwire-interop DIR/env OTHER-DIR/env
//! tests/servers/postfix stop DIR
//! tests/servers/haraka stop OTHER-DIR
//! ```
//!
//! Prints a row for each case and `N passed, N failed` at the end; exits with 1 if a case
//! failed, and with 2 if the program could not begin.

mod access_paths;
mod bodies;
mod cases;
mod commands;
mod defaults;
mod extensions;
mod lmtp;
mod log;
mod mailboxes;
mod maildir;
mod server;
mod session;
mod table;

use std::error::Error;
use std::process::ExitCode;

use server::{Environment, Server};
use table::Table;

fn main() -> ExitCode {
    let environments: Vec<_> = std::env::args_os().skip(1).collect();
    if environments.is_empty() {
        eprintln!("usage: postwire-interop ENV-FILE... (of `tests/servers/NAME start`)");
        return ExitCode::from(2);
    }
    let mut table = Table::new();
    for environment in environments {
        let tried = Environment::read(environment.as_ref())
            .and_then(|environment| run_all(&environment, &mut table));
        if let Err(error) = tried {
            eprintln!("{}: cannot go on: {error}", environment.display());
            return ExitCode::from(2);
        }
    }
    table.close()
}

/// The services of the server decide the cases.
fn run_all(environment: &Environment, table: &mut Table) -> Result<(), Box<dyn Error>> {
    if environment.has("SERVER") {
        defaults::run_all(environment, table)
    } else if environment.has("LMTP_PORT") {
        lmtp::run_all(&lmtp::Server::new(environment)?, table)
    } else {
        cases::run_all(&Server::new(environment)?, table)
    }
}
