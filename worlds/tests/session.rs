//! Sessions of the core with the reference server.
//!
//! `WORLD=17` runs that world alone, `WORLDS=1000000` that many.

use postwire_worlds::choices::Choices;
use postwire_worlds::session::World;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn reports_match_what_the_reference_server_took() {
    let worlds = match setting("WORLD") {
        Some(world) => world..world + 1,
        None => 0..setting("WORLDS").unwrap_or(20_000),
    };
    let (mut judged, mut taken, mut messages) = (0, 0, 0);
    let mut failures = 0;
    for world in worlds.clone() {
        match World::new(&mut Choices::from_seed(world)).run() {
            Ok(outcomes) => {
                judged += usize::from(outcomes.is_judged);
                taken += outcomes.taken;
                messages += outcomes.messages;
            }
            Err(why) => {
                failures += 1;
                println!("==== world {world}: {why}");
                assert!(failures < 5, "enough failures");
            }
        }
    }
    println!("{judged} of {worlds:?} judged: {taken} contents of {messages} messages taken");
    assert_eq!(failures, 0);
}
