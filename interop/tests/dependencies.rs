//! DEPENDENCIES.md has a row for each dependency that a manifest names, and none for any other.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The folders in a folder, without those that builds and tools write.
fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap();
    let paths = paths.map(|entry| entry.unwrap().path());
    let is_source = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        path.is_dir() && name != "target" && !name.starts_with('.')
    };
    paths.filter(is_source).collect()
}

/// The manifests of all workspaces, some of which are two folders deep.
fn manifests() -> Vec<String> {
    let mut folders = folders_in(&root());
    let inner = folders.iter().flat_map(|folder| folders_in(folder));
    let inner: Vec<PathBuf> = inner.collect();
    folders.extend(inner);
    folders.push(root());
    let read = |folder: &PathBuf| fs::read_to_string(folder.join("Cargo.toml")).ok();
    folders.iter().filter_map(read).collect()
}

/// The names of the dependencies in a manifest, other than this project's own packages.
fn dependencies(manifest: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    let mut is_section = false;
    for line in manifest.lines() {
        if let Some(section) = line.strip_prefix('[') {
            is_section = section.trim_end().ends_with("dependencies]");
        } else if is_section && let Some((name, _)) = line.split_once([' ', '.', '=']) {
            let is_in_name =
                |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
            if !name.is_empty() && name.chars().all(is_in_name) && !name.starts_with("postwire") {
                found.insert(name);
            }
        }
    }
    found
}

/// The names in backticks in the first cell of each row; a dependency that is renamed has two.
fn rows(page: &str) -> Vec<BTreeSet<&str>> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = rows.filter_map(|row| row.split(" | ").next());
    let names = cells.map(|cell| cell.split('`').step_by(2));
    names
        .map(|names| names.filter(|name| !name.is_empty()).collect())
        .collect()
}

#[test]
fn every_dependency_has_a_row() {
    let manifests = manifests();
    let page = fs::read_to_string(root().join("DEPENDENCIES.md")).unwrap();
    let rows = rows(&page);
    let dependencies: BTreeSet<&str> = manifests
        .iter()
        .flat_map(|manifest| dependencies(manifest))
        .collect();
    assert!(dependencies.len() > 50, "{dependencies:?}");

    let named: BTreeSet<&str> = rows.iter().flatten().copied().collect();
    let missing: Vec<_> = dependencies.difference(&named).collect();
    assert!(missing.is_empty(), "without a row: {missing:?}");

    let stale = rows.iter().filter(|row| row.is_disjoint(&dependencies));
    let stale: Vec<_> = stale.collect();
    assert!(stale.is_empty(), "no manifest names these: {stale:?}");
}

#[test]
fn dependencies_are_found_in_each_form() {
    let manifest = "\
[package]
name = \"postwire-example\"
[dependencies]
# A comment = with a sign.
bytes.workspace = true
postwire-proto.workspace = true
smol = \"2.0\"
[target.'cfg(unix)'.dev-dependencies]
md-5 = { version = \"0.11\", features = [\"zeroize\"] }
[lints]
workspace = true
";
    let found: Vec<&str> = dependencies(manifest).into_iter().collect();
    assert_eq!(found, ["bytes", "md-5", "smol"]);
}
