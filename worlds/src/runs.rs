//! The loop of a test over many worlds.
//!
//! `WORLD=17` runs that world alone, `WORLDS=1000000` that many.

use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use crate::choices::Choices;
use crate::oracle::Outcomes;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs `worlds` worlds, or those that the environment asks for.
///
/// # Panics
///
/// If a world fails, after up to five of them are printed, or if a hundred worlds or more reach
/// too little.
pub fn run_worlds(worlds: u64, run: impl Fn(&mut Choices) -> Result<Outcomes, String>) {
    let began = Instant::now();
    let worlds = match setting("WORLD") {
        Some(world) => world..world + 1,
        None => 0..setting("WORLDS").unwrap_or(worlds),
    };
    let (mut judged, mut taken, mut messages) = (0, 0, 0);
    let mut failures = 0;
    for world in worlds.clone() {
        match run(&mut Choices::from_seed(world)) {
            Ok(outcomes) => {
                judged += usize::from(outcomes.is_judged);
                taken += outcomes.taken;
                messages += outcomes.messages;
            }
            Err(why) => {
                failures += 1;
                println!("==== world {world}, after {:?}: {why}", began.elapsed());
                assert!(failures < 5, "enough failures");
            }
        }
    }
    println!(
        "{judged} of {worlds:?} judged in {:?}: {taken} contents of {messages} messages taken",
        began.elapsed()
    );
    assert_eq!(failures, 0);
    // A client that sends nothing breaks no rule, nor does an oracle that looks at nothing.
    let count = worlds.end - worlds.start;
    if count >= 100 {
        assert!(judged as u64 * 2 > count, "too few worlds are judged");
        assert!(taken * 10 > messages, "too little is sent");
    }
}

/// Runs each of these, eight at a time, or as many as `AT_A_TIME` says: most of them wait most of the time.
/// Returns how many failed, after the reasons of up to five are printed.
///
/// # Panics
///
/// If one panics.
pub fn run_side_by_side<T: Send>(
    cases: impl Iterator<Item = T> + Send,
    run: impl Fn(T) -> Result<(), String> + Sync,
) -> usize {
    let (cases, failures) = (Mutex::new(cases), Mutex::new(0));
    let next = || cases.lock().ok()?.next();
    let count = || failures.lock().map_or(0, |failures| *failures);
    thread::scope(|scope| {
        for _ in 0..setting("AT_A_TIME").unwrap_or(8) {
            scope.spawn(|| {
                while count() < 5
                    && let Some(case) = next()
                {
                    if let Err(why) = run(case) {
                        println!("==== {why}");
                        if let Ok(mut failures) = failures.lock() {
                            *failures += 1;
                        }
                    }
                }
            });
        }
    });
    count()
}
