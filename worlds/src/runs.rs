//! The loop of a test over many worlds.
//!
//! `WORLD=17` runs that world alone, `WORLDS=1000000` that many.

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
/// If a world fails, after up to five of them are printed.
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
}
