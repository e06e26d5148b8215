//! The built command, as a shell would run it: what it prints, how it ends, and
//! what the server at the other end saw.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod advice;
mod certificates;
mod client_certificates;
mod commands;
mod faults;
mod limits;
#[cfg(unix)]
mod lmtp;
mod login;
mod parameters;
mod run;
mod runtimes;
mod script;
mod sends;
mod starttls;
#[cfg(unix)]
mod unix;
mod usage;
