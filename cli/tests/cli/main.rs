//! Tests of the built command: its output, its exit status, and the data that the server
//! received.

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
mod manual;
mod parameters;
mod probe;
mod run;
mod runtimes;
mod script;
#[cfg(unix)]
mod sendmail;
mod sends;
#[cfg(unix)]
mod serve;
mod sessions;
mod starttls;
#[cfg(unix)]
mod unix;
mod usage;
#[cfg(unix)]
mod web;
