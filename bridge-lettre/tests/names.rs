//! The guide has every public name of the SMTP side of lettre.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

const NAMES: &str = include_str!("names_of_lettre.txt");
const GUIDE: &str = include_str!("../MOVING.md");

/// A name is in the first cell of a row: the type, and what belongs to it.
fn has(name: &str) -> bool {
    let parts: Vec<String> = match name.strip_prefix("lettre::") {
        Some(_) => vec![format!("`{name}`")],
        None => name.split("::").map(|part| format!("`{part}`")).collect(),
    };
    GUIDE.lines().any(|line| {
        let cell = line
            .strip_prefix("| ")
            .and_then(|row| row.split(" | ").next());
        cell.is_some_and(|cell| parts.iter().all(|part| cell.contains(part)))
    })
}

#[test]
fn every_name_of_lettre_is_in_the_guide() {
    let names = NAMES.lines().filter(|line| !line.starts_with('#'));
    let missing: Vec<_> = names.filter(|name| !has(name)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn the_guide_is_about_the_version_that_is_used() {
    let lock = include_str!("../../Cargo.lock");
    let (_, package) = lock.split_once("name = \"lettre\"\nversion = \"").unwrap();
    let (version, _) = package.split_once('"').unwrap();
    let about = format!("lettre {version}");
    assert!(GUIDE.contains(&about) && NAMES.contains(&about), "{about}");
}
