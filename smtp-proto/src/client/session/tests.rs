use std::format;

use super::PHASES;
use crate::client::opening::STEPS;

/// The tables of phases and opening steps in ARCHITECTURE.md equal those in the code.
#[test]
fn the_architecture_draws_these_states() {
    let page = include_str!("../../../../ARCHITECTURE.md");
    for (from, to) in PHASES.iter().chain(&STEPS) {
        let following = match to {
            [] => "–".into(),
            to => format!("`{}`", to.join("`, `")),
        };
        let row = format!("| `{from}` | {following} |");
        assert!(page.contains(&row), "missing in ARCHITECTURE.md: {row}");
    }
}
