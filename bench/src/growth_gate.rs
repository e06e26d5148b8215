//! The gate on growth: twice as many items must cost about twice as many instructions.
//!
//! Knows the bound, and how instructions are counted. What each work does is in `works`.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, process, thread};

use crate::count::callgrind;
use crate::{Failure, table};

pub(crate) mod works;

use works::Work;

/// The ratio that fails. Twice the items cost twice as much, or a little more where something is
/// sorted or a buffer is full for the first time; what is compared with all others costs four times
/// as much.
const BOUND: f64 = 2.3;

/// A work whose count hardly depends on the number of items proves nothing.
const LEAST: f64 = 1.5;

/// The processes that run side by side. Counts do not depend on the load of the machine.
const SIDE_BY_SIDE: usize = 2;

/// The works that one process does, because valgrind takes longer to start than most works.
const TOGETHER: usize = 8;

/// The instructions of one work: with the fewest items, with N and with 2N.
#[derive(Clone, Copy, Debug)]
struct Counted([u64; 3]);

impl Counted {
    /// How many times as much 2N items cost as N, apart from what is needed in any case.
    fn ratio(self) -> f64 {
        let [base, once, twice] = self.0.map(|count| count as f64);
        (twice - base) / (once - base)
    }

    /// What is wrong with the ratio, if anything is.
    fn fault(self) -> Option<&'static str> {
        match self.ratio() {
            ratio if ratio >= BOUND => Some("GROWS"),
            ratio if ratio >= LEAST => None,
            // Too little, or not a number.
            _ => Some("PROVES NOTHING"),
        }
    }
}

/// Counts all works, and prints a table. Returns whether each ratio is below the bound.
pub(crate) fn run() -> Result<bool, Failure> {
    let works = works::all();
    let next = AtomicUsize::new(0);
    let count_some = || {
        let mut counted = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(works) = works.chunks(TOGETHER).nth(number) else {
                return Ok(counted);
            };
            counted.push((number, count(number, works)?));
        }
    };
    let counted = thread::scope(|scope| {
        let threads = [(); SIDE_BY_SIDE].map(|()| scope.spawn(count_some));
        let ended = threads.map(|thread| thread.join().unwrap_or(Err("a thread panicked".into())));
        ended.into_iter().collect::<Result<Vec<_>, Failure>>()
    })?;
    let mut counted: Vec<_> = counted.into_iter().flatten().collect();
    counted.sort_by_key(|(number, _)| *number);
    let counted: Option<Vec<_>> = counted.into_iter().map(|(_, counts)| counts).collect();
    let Some(counted) = counted else {
        println!("SKIPPED growth: valgrind is not installed");
        return Ok(true);
    };
    println!(
        "{:<58}{:>8}{:>15}{:>15}{:>8}",
        "# work", "N", "instructions", "at 2N", "ratio"
    );
    let mut faults = Vec::new();
    for (work, counts) in works.iter().zip(counted.into_iter().flatten()) {
        let ([_, once, twice], ratio) = (counts.0, table::figure(counts.ratio()));
        let (name, size) = (work.name, work.size);
        println!("{name:<58}{size:>8}{once:>15}{twice:>15}{ratio:>8}");
        faults.extend(
            counts
                .fault()
                .map(|fault| format!("{fault} {name}: {ratio}")),
        );
    }
    for fault in &faults {
        println!("{fault}");
    }
    Ok(faults.is_empty())
}

/// The instructions of some works, done by one process; `None` without valgrind.
fn count(number: usize, works: &[&Work]) -> Result<Option<Vec<Counted>>, Failure> {
    let folder = Folder::new(number)?;
    let file = folder.0.join("counts");
    // Each call writes a file with what it cost, and nothing else is counted.
    let function = works::COUNTED;
    let options = [
        format!("--callgrind-out-file={}", file.display()),
        format!("--toggle-collect={function}"),
        format!("--dump-after={function}"),
    ];
    let options = options.each_ref().map(String::as_str);
    let mut arguments = vec!["growth-work"];
    arguments.extend(works.iter().map(|work| work.name));
    if callgrind(&options, &arguments)?.is_none() {
        return Ok(None);
    }
    let mut files = 1..;
    let mut next = || {
        let file = file.with_extension(files.next().unwrap_or_default().to_string());
        let page = fs::read_to_string(&file);
        let page = page.map_err(|error| format!("{}: {error}", file.display()))?;
        let none = || format!("{}: no total", file.display());
        Ok::<u64, Failure>(total(&page).ok_or_else(none)?)
    };
    let counts = works
        .iter()
        .map(|_| Ok(Counted([next()?, next()?, next()?])));
    counts.collect::<Result<_, _>>().map(Some)
}

/// The instructions in a file of callgrind.
fn total(page: &str) -> Option<u64> {
    let total = page.lines().find_map(|line| line.strip_prefix("totals:"))?;
    total.trim().parse().ok()
}

/// A folder for the files of one process, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(number: usize) -> Result<Self, Failure> {
        let name = format!("postwire-growth-{}-{number}", process::id());
        let folder = Self(env::temp_dir().join(name));
        fs::create_dir_all(&folder.0)?;
        Ok(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_faster_than_the_items_is_a_fault() {
        // 500 for the start, 100 an item, 1,000 and 2,000 items.
        assert_eq!(Counted([600, 100_500, 200_500]).fault(), None);
        // The same with one instruction for each pair of items.
        let squares = Counted([601, 600_500, 2_200_500]);
        assert_eq!(squares.fault(), Some("GROWS"));
        assert_eq!(Counted([600, 600, 600]).fault(), Some("PROVES NOTHING"));
        assert_eq!(Counted([600, 1_600, 1_700]).fault(), Some("PROVES NOTHING"));
    }

    #[test]
    fn the_total_of_a_file_is_found() {
        let page = "version: 1\nevents: Ir\nsummary: 12\n\nfn=(1) a\n1 345\n\ntotals: 345\n";
        assert_eq!(total(page), Some(345));
        assert_eq!(total("events: Ir\n"), None);
    }

    #[test]
    fn each_work_does_what_it_says_and_has_a_name_of_its_own() -> Result<(), Failure> {
        let works = works::all();
        for (place, work) in works.iter().enumerate() {
            let earlier = &works[..place];
            assert!(earlier.iter().all(|other| other.name != work.name));
            works::run(work, &[1, 2, 3, 10])?;
        }
        Ok(())
    }
}
