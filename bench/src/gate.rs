//! The gate: counts of standard jobs that do not depend on the load of a machine, compared with
//! those that the repository keeps.
//!
//! Knows the kept file, and how much a count may rise. What each job does is in `jobs`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::{Failure, count};

pub(crate) mod jobs;
mod wire;

use jobs::{Counted, JOBS, Job};

/// What is counted, in the order of the columns.
const COLUMNS: [&str; 4] = ["flights", "system calls", "allocations", "instructions"];

/// How much a count may rise, and the smallest rise that counts: a count for each unit is a ratio.
const RISE: f64 = 1.02;
const LEAST: f64 = 0.02;

/// How often a job is counted before a rise is believed: with the load of the machine, its threads wait for
/// each other in other places.
const TRIES: usize = 3;

/// Counts every job, and compares with the file, or writes it. Returns whether nothing rose.
pub(crate) fn run(kept: &Path, renew: bool) -> Result<bool, Failure> {
    let compiler = compiler();
    let mut page = format!(
        "# Counts for one unit of each job, by `--gate --renew`. {compiler}\n{:<44}",
        "# job"
    );
    for column in COLUMNS {
        let _ = write!(page, "{column:>14}");
    }
    page.push('\n');
    let before = fs::read_to_string(kept).unwrap_or_default();
    let compares_instructions = before.contains(&compiler);
    for job in JOBS {
        let mut row = row(job)?;
        for _ in 1..TRIES {
            if renew || rises(&before, &row, compares_instructions)?.is_empty() {
                break;
            }
            row = self::row(job)?;
        }
        page += &row;
    }
    print!("{page}");
    if renew {
        fs::write(kept, page)?;
        return Ok(true);
    }
    if !compares_instructions {
        println!("instructions: NOT COMPARED, the kept ones are of another compiler");
    }
    let rises = rises(&before, &page, compares_instructions)?;
    for rise in &rises {
        println!("RISEN {rise}");
    }
    Ok(rises.is_empty())
}

/// The line of a job.
fn row(job: &Job) -> Result<String, Failure> {
    let mut row = format!("{:<44}", job.name);
    for count in counts(job)? {
        match count {
            Some(count) => write!(row, "{count:>14.2}")?,
            None => write!(row, "{:>14}", "-")?,
        }
    }
    row.push('\n');
    Ok(row)
}

/// The counts of `after` that are higher than those of `before`.
fn rises(before: &str, after: &str, with_instructions: bool) -> Result<Vec<String>, Failure> {
    let mut rises = Vec::new();
    for line in rows(after) {
        let (name, now) = split(line);
        let Some(line) = rows(before).find(|line| split(line).0 == name) else {
            return Err(format!("no counts are kept for {name}: renew them").into());
        };
        let (_, was) = split(line);
        for ((column, was), now) in COLUMNS.iter().zip(was).zip(now) {
            let (Ok(was), Ok(now)) = (was.parse::<f64>(), now.parse::<f64>()) else {
                continue;
            };
            if *column == "instructions" && !with_instructions {
                continue;
            }
            if now > was * RISE && now > was + LEAST {
                rises.push(format!("{name}: {column} {was} -> {now}"));
            }
        }
    }
    Ok(rises)
}

fn rows(page: &str) -> impl Iterator<Item = &str> {
    page.lines().filter(|line| !line.starts_with('#'))
}

/// The name of a job, which may contain blanks, and its counts.
fn split(line: &str) -> (String, Vec<&str>) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (name, counts) = words.split_at(words.len().saturating_sub(COLUMNS.len()));
    (name.join(" "), counts.to_vec())
}

/// The counts of a unit: the difference between twice as many and as many.
fn counts(job: &Job) -> Result<[Option<f64>; 4], Failure> {
    // Two jobs in this process, after one that fills what lives as long as the process.
    jobs::run(job, 1)?;
    let (few, many) = (jobs::run(job, job.units)?, jobs::run(job, 2 * job.units)?);
    let each = |of: fn(&Counted) -> u64| {
        let (few, many) = (of(&few) as f64, of(&many) as f64);
        Some((many - few) / job.units as f64)
    };
    let instructions = match (
        instructions(job, job.units)?,
        instructions(job, 2 * job.units)?,
    ) {
        (Some(few), Some(many)) => Some((many - few) / job.units as f64),
        _ => None,
    };
    Ok([
        each(|counted| counted.flights),
        each(|counted| counted.calls),
        each(|counted| counted.allocations),
        instructions,
    ])
}

/// The instructions of a process that does a job, as valgrind counts them; `None` without valgrind.
fn instructions(job: &Job, units: usize) -> Result<Option<f64>, Failure> {
    let arguments = ["gate-job", job.name, &units.to_string()];
    let said = count::callgrind(&["--callgrind-out-file=/dev/null"], &arguments)?;
    Ok(said.and_then(|text| {
        let collected = text.lines().find_map(|line| line.split_once("Collected :"));
        collected.and_then(|(_, count)| count.trim().parse().ok())
    }))
}

/// The compiler that the instructions depend on.
fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output();
    let version = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    version.unwrap_or_else(|_| "rustc unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str =
        "# job\na small message  2.00  4.00  2.06  10000.00\nan idle one  0  0  0  -\n";

    #[test]
    fn only_a_rise_of_more_than_two_hundredths_counts() {
        let same = rises(BEFORE, BEFORE, true).unwrap_or_default();
        assert!(same.is_empty());
        let page = BEFORE.replace("2.06", "2.08").replace("10000", "10100");
        assert!(rises(&page, BEFORE, true).unwrap_or_default().is_empty());
        assert!(rises(BEFORE, &page, true).unwrap_or_default().is_empty());
        let page = BEFORE.replace("2.06", "3.06").replace("10000", "10300");
        let risen = rises(BEFORE, &page, true).unwrap_or_default();
        assert_eq!(
            risen,
            [
                "a small message: allocations 2.06 -> 3.06",
                "a small message: instructions 10000 -> 10300"
            ]
        );
        assert_eq!(rises(BEFORE, &page, false).unwrap_or_default().len(), 1);
    }

    #[test]
    fn a_job_without_kept_counts_is_an_error() {
        let page = format!("{BEFORE}a new one  1  1  1  1\n");
        assert!(rises(BEFORE, &page, true).is_err());
    }
}
