//! The loop of a test over many schedules.
//!
//! `SCHEDULES=100000` runs that many with each scheduler, `SCHEDULE=` with the text of a failure that one
//! alone. shuttle's own `SHUTTLE_RANDOM_SEED` repeats a whole run.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Scheduler};
use shuttle::{Config, Runner};

use crate::accounts::Outcomes;

/// The stack of a thread: a send needs more than shuttle's default.
const STACK: usize = 512 * 1024;

/// How many threads are preempted, at most, in a schedule of the scheduler that prefers one thread.
const DEPTH: usize = 4;

/// Runs this many schedules of a world with each of two schedulers, or those that the environment asks
/// for: one chooses any thread at each step, one lets a thread run on and preempts it a few times (PCT).
///
/// # Panics
///
/// If a schedule fails.
pub fn run_schedules(schedules: usize, world: fn() -> Outcomes) {
    if let Ok(schedule) = std::env::var("SCHEDULE") {
        let scheduler = ReplayScheduler::new_from_encoded(&schedule);
        run("replay", scheduler, world);
        return;
    }
    let asked = std::env::var("SCHEDULES").ok();
    let asked = asked.and_then(|asked| asked.parse().ok());
    let schedules = asked.unwrap_or(schedules);
    for taken in [
        run("random", RandomScheduler::new(schedules), world),
        run("pct", PctScheduler::new(DEPTH, schedules), world),
    ] {
        assert!(taken > 0, "no server took anything");
    }
}

/// Returns how many contents the servers took.
fn run(name: &str, scheduler: impl Scheduler + 'static, world: fn() -> Outcomes) -> usize {
    let mut config = Config::new();
    config.stack_size = STACK;
    config.silence_warnings = true;
    let began = Instant::now();
    let number = Arc::new(AtomicUsize::new(0));
    let unfinished = Unfinished(&number);
    let total = Arc::new(Mutex::new(Outcomes::default()));
    let (counted, of_each) = (Arc::clone(&number), Arc::clone(&total));
    let schedules = Runner::new(scheduler, config).run(move || {
        counted.fetch_add(1, Relaxed);
        let outcomes = world();
        if let Ok(mut total) = of_each.lock() {
            total.messages += outcomes.messages;
            total.taken += outcomes.taken;
            total.connections += outcomes.connections;
            total.upset += outcomes.upset;
        }
    });
    std::mem::forget(unfinished);
    let total = total.lock().map(|total| *total).unwrap_or_default();
    println!(
        "{name}: {schedules} schedules in {:?}, {total:?}",
        began.elapsed()
    );
    total.taken
}

/// Says which schedule failed.
struct Unfinished<'a>(&'a AtomicUsize);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        let number = self.0.load(Relaxed);
        println!("schedule {number} of this scheduler failed");
    }
}
