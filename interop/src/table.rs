//! The table of cases and its totals.

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

/// One case, after it ran.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) runtime: &'static str,
    pub(crate) mode: &'static str,
    pub(crate) port: &'static str,
    pub(crate) case: String,
    pub(crate) expected: String,
    pub(crate) outcome: String,
    pub(crate) octets: Octets,
    /// The duration, if it matters.
    pub(crate) took: Option<Duration>,
}

/// How the stored octets compare with those that were sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Octets {
    /// This many messages are equal, octet for octet.
    Equal(usize),
    /// Nothing should arrive, and nothing did.
    Nothing,
    /// A description of the difference.
    Differ(String),
}

impl fmt::Display for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equal(1) => f.write_str("equal"),
            Self::Equal(count) => write!(f, "equal ({count})"),
            Self::Nothing => f.write_str("-"),
            Self::Differ(what) => write!(f, "DIFFER: {what}"),
        }
    }
}

/// Prints rows as they are added, and counts them.
#[derive(Debug)]
pub(crate) struct Table {
    passed: usize,
    failed: usize,
}

impl Table {
    pub(crate) fn new() -> Self {
        print_line("runtime", "mode", "port", "case", "outcome", "octets");
        Self {
            passed: 0,
            failed: 0,
        }
    }

    pub(crate) fn add(&mut self, row: &Row) {
        let as_expected = row.outcome == row.expected;
        let mut octets = row.octets.to_string();
        if let Some(took) = row.took {
            octets = format!("{octets}, {:.3} s", took.as_secs_f64());
        }
        print_line(
            row.runtime,
            row.mode,
            row.port,
            &row.case,
            &row.outcome,
            &octets,
        );
        if !as_expected {
            println!("    expected: {}", row.expected);
        }
        if as_expected && !matches!(row.octets, Octets::Differ(_)) {
            self.passed += 1;
        } else {
            println!("    FAILED");
            self.failed += 1;
        }
    }

    /// Prints the totals.
    pub(crate) fn close(self) -> ExitCode {
        println!("{} passed, {} failed", self.passed, self.failed);
        if self.failed == 0 && self.passed > 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

fn print_line(runtime: &str, mode: &str, port: &str, case: &str, outcome: &str, octets: &str) {
    println!("{runtime:<9} {mode:<13} {port:<10} {case:<62} {outcome:<46} {octets}");
}
