//! Each error has its line in the guide, with words that its text really has.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::Path;

/// The source of an enumeration, and the sources of its texts.
struct Kind {
    heading: &'static str,
    declared: (&'static str, &'static str),
    texts: &'static [&'static str],
}

const KINDS: [Kind; 4] = [
    Kind {
        heading: "# Errors of a session or a message",
        declared: (
            "pub enum ErrorKind {",
            "smtp-proto/src/outcome/error/kind.rs",
        ),
        texts: &[
            "smtp-proto/src/outcome/error/display.rs",
            "smtp-proto/src/sasl/error.rs",
            "smtp-transport/src/reach.rs",
        ],
    },
    Kind {
        heading: "# Messages that no server can take",
        declared: (
            "pub enum Unsendable {",
            "smtp-proto/src/outcome/error/unsendable.rs",
        ),
        texts: &["smtp-proto/src/outcome/error/unsendable.rs"],
    },
    Kind {
        heading: "# Violations",
        declared: (
            "pub enum Violation {",
            "smtp-proto/src/outcome/error/violation.rs",
        ),
        texts: &[
            "smtp-proto/src/outcome/error/violation.rs",
            "smtp-proto/src/reply/reader.rs",
            "smtp-proto/src/capabilities.rs",
        ],
    },
    Kind {
        heading: "# TLS failures",
        declared: ("pub enum TlsFailureKind {", "smtp-tls/src/failure.rs"),
        texts: &["smtp-tls/src/failure.rs"],
    },
];

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let path = root.join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The variants of an enumeration, in the order of its source.
fn variants((enumeration, path): (&str, &str)) -> Vec<String> {
    let source = read(path);
    let body = source.split_once(enumeration).unwrap().1;
    let body = body.split_once("\n}").unwrap().0;
    let lines = body.lines().filter_map(|line| line.strip_prefix("    "));
    let names = lines.filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()));
    let name = |line: &str| {
        let end = line.find(|c: char| !c.is_ascii_alphanumeric());
        line[..end.unwrap_or(line.len())].to_owned()
    };
    names.map(name).collect()
}

#[test]
fn every_error_has_a_line_with_its_words() {
    let guide = read("guide/src/troubleshooting.md");
    for kind in KINDS {
        let section = guide.split_once(kind.heading).unwrap().1;
        let section = section.split("\n# ").next().unwrap();
        let rows: Vec<Vec<&str>> = section
            .lines()
            .filter(|line| line.starts_with("| `"))
            .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
            .collect();
        let listed: Vec<_> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
        assert_eq!(listed, variants(kind.declared), "{}", kind.heading);
        // A text may go on in the next line of the source.
        let texts: String = kind.texts.iter().map(|path| read(path)).collect();
        let mut words: Vec<&str> = texts.split_whitespace().collect();
        words.retain(|word| *word != "\\");
        let texts = words.join(" ");
        for row in &rows {
            assert_eq!(row.len(), 4, "{row:?}");
            let said = row[1]
                .strip_prefix('`')
                .and_then(|text| text.strip_suffix('`'));
            if let Some(said) = said {
                assert!(texts.contains(said), "no error says {said:?}: {row:?}");
            }
        }
    }
}
