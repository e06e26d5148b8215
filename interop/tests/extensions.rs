//! EXTENSIONS.md is correct: everything that it names exists, and no mechanism is missing.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A row of a table: its first cell, and the texts in backticks of the other cells.
struct Row {
    of: String,
    proofs: Vec<String>,
}

fn rows(page: &str) -> Vec<Row> {
    let lines = page.lines().filter_map(|line| line.strip_prefix("| "));
    lines
        .map(|line| {
            let (of, cells) = line.split_once(" | ").unwrap();
            Row {
                of: of.to_owned(),
                proofs: quoted(cells, '`').map(str::to_owned).collect(),
            }
        })
        .collect()
}

fn quoted(text: &str, mark: char) -> impl Iterator<Item = &str> {
    text.split(mark).skip(1).step_by(2)
}

/// Why this text does not name an existing proof.
fn flaw(of: &str, proof: &str) -> Option<String> {
    let missing =
        |is_there: bool, what: &str| (!is_there).then(|| format!("{of}: {proof}: {what}"));
    if Path::new(proof)
        .extension()
        .is_some_and(|kind| kind == "txt")
    {
        let file = root().join("smtp-proto/tests/transcripts").join(proof);
        return missing(file.is_file(), "there is no such transcript");
    }
    let Some((place, name)) = proof.split_once(": ") else {
        return missing(false, "is no proof");
    };
    match place {
        "scenario" => {
            let scenarios = read("scenarios/src/scenarios.rs");
            let all = scenarios.split("pub const ALL").nth(1).unwrap();
            let all = all.split("];").next().unwrap();
            let is_mechanism = of
                .split(' ')
                .next()
                .is_some_and(|of| constants().contains(&constant(of)));
            // The scenario logs in with every mechanism.
            let is_tried = !is_mechanism
                || name != "authentication"
                || scenarios.contains("for &mechanism in Mechanism::all()");
            missing(
                quoted(all, '"').any(|known| known == name) && is_tried,
                "there is no such scenario",
            )
        }
        "Postfix" | "Dovecot" => {
            let files = if place == "Postfix" {
                &["cases", "commands", "extensions", "bodies"][..]
            } else {
                &["lmtp", "bodies"]
            };
            let is_case = |file: &&str| {
                let text = read(&format!("interop/src/{file}.rs"));
                let by_mechanism = name.strip_prefix("AUTH ").is_some_and(|mechanism| {
                    let tried = text.split("const MECHANISMS").nth(1);
                    tried.is_some_and(|tried| lists(tried, mechanism))
                });
                let ends = ["\"", "; ", " {"];
                by_mechanism
                    || ends
                        .iter()
                        .any(|end| text.contains(&format!("\"{name}{end}")))
            };
            missing(files.iter().any(is_case), "there is no such case")
        }
        path => {
            let mechanism = format!("\"{}\"", of.split(' ').next().unwrap());
            let is_tried =
                name != "every_tls_mode_and_mechanism" || read(path).contains(&mechanism);
            missing(is_tried && has_test(path, name), "there is no such test")
        }
    }
}

/// Whether the list of mechanisms at the start of a text contains this one.
fn lists(text: &str, mechanism: &str) -> bool {
    let list = text.split("];").next().unwrap();
    let name = constant(mechanism.split(' ').next().unwrap());
    list.split([',', '\n', ' '])
        .any(|word| word == format!("Mechanism::{name}"))
}

fn constant(mechanism: &str) -> String {
    mechanism.replace('-', "_")
}

/// Every mechanism of the library.
fn constants() -> Vec<String> {
    let source = read("smtp-proto/src/sasl.rs");
    let all = source.split("\nmechanisms! {").nth(1).unwrap();
    let all = all.split("\n}").next().unwrap();
    let lines = all.lines().filter(|line| line.ends_with(';'));
    let names = lines.filter_map(|line| line.split_once(" = "));
    names.map(|(name, _)| name.trim().to_owned()).collect()
}

/// Whether the file has a function with this name under `#[test]`.
fn has_test(path: &str, name: &str) -> bool {
    let text = read(path);
    let Some(at) = text.find(&format!("fn {name}(")) else {
        return false;
    };
    let attributes = text[..at]
        .lines()
        .rev()
        .skip(usize::from(!text[..at].ends_with('\n')));
    attributes
        .take_while(|line| line.trim().starts_with('#'))
        .any(|line| line.trim() == "#[test]")
}

#[test]
fn everything_that_the_page_names_exists() {
    let page = read("EXTENSIONS.md");
    let tables = rows(&page);
    assert!(tables.len() > 30, "{} rows", tables.len());
    let flaws: Vec<String> = tables
        .iter()
        .flat_map(|row| row.proofs.iter().filter_map(|proof| flaw(&row.of, proof)))
        .collect();
    assert!(flaws.is_empty(), "{flaws:#?}");
    // Outside the tables: the adapters' tests, and a transcript.
    let beside: Vec<&str> = page
        .lines()
        .filter(|line| !line.starts_with('|'))
        .flat_map(|line| quoted(line, '`'))
        .filter(|word| word.contains("tests/scenarios.rs: ") || word.contains("/nothing-"))
        .collect();
    assert_eq!(beside.len(), 5, "{beside:?}");
    for proof in beside {
        assert_eq!(flaw("beside the tables", proof), None);
    }
}

#[test]
fn every_mechanism_has_a_row_and_a_proof() {
    let page = read("EXTENSIONS.md");
    let known = constants();
    assert!(known.len() > 10, "{known:?}");
    let rows = rows(&page);
    for mechanism in known {
        let row = rows
            .iter()
            .find(|row| constant(row.of.split(' ').next().unwrap()) == mechanism);
        let row = row.unwrap_or_else(|| panic!("{mechanism} has no row"));
        assert!(!row.proofs.is_empty(), "{mechanism} has no proof");
    }
}

/// Names that the page must not contain.
#[test]
fn a_wrong_name_is_found() {
    for (of, proof) in [
        ("SIZE", "mail/no-such-dialogue.txt"),
        ("SIZE", "scenario: no such scenario"),
        ("SIZE", "Postfix: no such case"),
        ("SIZE", "smtp-server/tests/pair.rs: no_such_test"),
        // A function that is not a test.
        ("SIZE", "smtp-server/tests/pair.rs: mixed"),
        ("SIZE", "something"),
        ("NTLM", "Postfix: AUTH NTLM"),
        ("XOAUTH2", "Postfix: AUTH XOAUTH2"),
        (
            "ANONYMOUS",
            "cli/tests/cli/sends.rs: every_tls_mode_and_mechanism",
        ),
    ] {
        assert!(flaw(of, proof).is_some(), "{proof}");
    }
}
