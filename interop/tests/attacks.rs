//! Every test that ATTACKS.md names exists.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The texts in backticks in the third cell of each row.
fn tests(page: &str) -> Vec<&str> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| "));
    let cells = rows.filter_map(|row| row.split(" | ").nth(2));
    cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect()
}

/// Why this text does not name an existing test, if it looks like one.
fn flaw(test: &str) -> Option<String> {
    if test.starts_with("tests/transcripts/") {
        let is_there = root().join("smtp-proto").join(test).is_file();
        return (!is_there).then(|| format!("{test}: there is no such transcript"));
    }
    let (path, name) = test.split_once("::")?;
    if !path.contains('/') {
        return None;
    }
    let Ok(source) = fs::read_to_string(root().join(path)) else {
        return Some(format!("{test}: there is no such file"));
    };
    // The tests of the transcripts are made by a macro.
    let is_there = [format!("fn {name}("), format!(" {name} ")]
        .iter()
        .any(|text| source.contains(text));
    (!is_there).then(|| format!("{test}: there is no such test"))
}

#[test]
fn every_named_test_exists() {
    let page = fs::read_to_string(root().join("ATTACKS.md")).unwrap();
    let tests = tests(&page);
    let flaws: Vec<String> = tests.iter().filter_map(|test| flaw(test)).collect();
    assert!(flaws.is_empty(), "{flaws:#?}");
    assert!(tests.len() > 300, "{}", tests.len());
}
