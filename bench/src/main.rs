//! Measures postwire against its peers and against the lower bounds of the machine, and writes
//! a table and a picture into `results/`.
//!
//! Knows the commands. Each case runs in a separate process with a time limit, so that a case
//! that hangs or dies does not affect the others.

use std::alloc::System;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

mod cases;
mod claims;
mod clients;
mod count;
mod gate;
mod growth_gate;
mod in_memory;
mod job;
mod lab;
mod plot;
mod proxy;
mod report;
mod rounds;
mod sink;
mod suite;
mod table;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The kept counts of the standard jobs.
const COUNTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/counts.txt");

/// Why a measurement failed.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Measure postwire against its peers.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Run a small size of everything, in under a minute, to check that it works.
    #[arg(long, global = true)]
    quick: bool,
    /// Run only this case.
    #[arg(long, value_name = "NAME")]
    case: Option<String>,
    /// Instead of measuring, count the standard jobs, and fail if a count rose by more than 2 %.
    #[arg(long, conflicts_with_all = ["quick", "case", "results"])]
    gate: bool,
    /// Instead of measuring, count what each operation costs with twice as many items, and fail if
    /// that is much more than twice as much.
    #[arg(long, conflicts_with_all = ["quick", "case", "results", "gate"])]
    growth: bool,
    /// Keep the counts of the standard jobs.
    #[arg(long, requires = "gate")]
    renew: bool,
    /// The folder for the results.
    #[arg(long, value_name = "FOLDER", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/results"))]
    results: PathBuf,
    #[command(subcommand)]
    role: Option<Role>,
}

/// The role of a child process.
#[derive(Debug, Subcommand)]
enum Role {
    /// Runs the server.
    #[command(hide = true)]
    Sink,
    /// Measures one case.
    #[command(hide = true)]
    Case { name: String },
    /// Sends over one connection and reports its peak memory.
    #[command(hide = true)]
    Send(suite::SendArguments),
    /// Does one job of the gate.
    #[command(hide = true)]
    GateJob { name: String, units: usize },
    /// Does works of the gate on growth.
    #[command(hide = true)]
    GrowthWork { names: Vec<String> },
    /// Holds many sessions and reports their memory.
    #[command(hide = true)]
    Hold(suite::HoldArguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.role {
        Some(Role::Sink) => sink::serve().map(|()| true),
        Some(Role::Case { name }) => suite::measure(name, arguments.quick),
        Some(Role::Send(send)) => suite::send(send).map(|()| true),
        Some(Role::GateJob { name, units }) => gate::jobs::run_named(name, *units).map(|()| true),
        Some(Role::GrowthWork { names }) => growth_gate::works::run_named(names).map(|()| true),
        None if arguments.growth => growth_gate::run(),
        None if arguments.gate => gate::run(Path::new(COUNTS), arguments.renew),
        Some(Role::Hold(hold)) => suite::hold(hold).map(|()| true),
        None => suite::run(
            arguments.quick,
            arguments.case.as_deref(),
            &arguments.results,
        ),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("postwire-bench: {failure}");
            ExitCode::FAILURE
        }
    }
}
