//! A program that was written for lettre, over lettre's own transport and over this one: the same
//! octets arrive, but for an empty line at the end that lettre adds, and the program says the same.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use postwire_scenarios::server::{Embedded, config_with_all_extensions};

#[path = "../examples/moved.rs"]
#[allow(dead_code, unreachable_pub, reason = "a program")]
mod moved;
#[path = "../examples/original.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    clippy::single_component_path_imports,
    reason = "a program"
)]
mod original;

const READERS: [&str; 5] = [
    "Bob <bob@example.net>",
    "no@example.net",
    "Later <later@example.net>",
    "nobody",
    "Erin <erin@example.net>",
];

fn server() -> Embedded {
    Embedded::start(
        config_with_all_extensions(),
        postwire_scenarios::plaintext(),
    )
}

#[test]
fn the_programs_differ_in_one_line() {
    let original = include_str!("../examples/original.rs").lines();
    let moved = include_str!("../examples/moved.rs").lines();
    assert_eq!(original.clone().count(), moved.clone().count());
    let differences: Vec<_> = original
        .zip(moved)
        .filter(|(one, other)| one != other)
        .collect();
    assert_eq!(
        differences,
        [("use ::lettre;", "use postwire_lettre as lettre;")]
    );
}

#[test]
fn the_same_octets_arrive() {
    let (for_original, for_moved) = (server(), server());

    let mailer = original::mailer("127.0.0.1", for_original.port());
    assert!(mailer.test_connection().unwrap());
    let before = original::send_all(&mailer, &READERS);
    lettre::Transport::shutdown(&mailer);

    let mailer = moved::mailer("127.0.0.1", for_moved.port());
    assert!(mailer.test_connection().unwrap());
    let after = moved::send_all(&mailer, &READERS);
    lettre::Transport::shutdown(&mailer);

    assert_eq!(before, after);
    assert_eq!(after[0], "Bob <bob@example.net>: sent, 250");
    assert_eq!(after[1], "no@example.net: unsubscribe (550)");
    assert_eq!(after[2], "Later <later@example.net>: again tomorrow (450)");

    let issue = moved::newsletter(READERS[0]).unwrap().formatted();
    assert_eq!(for_moved.recording().stored[0].content, issue);
    let (before, after) = (for_original.recording(), for_moved.recording());
    assert_eq!(before.stored.len(), 2);
    assert_eq!(after.stored.len(), 2);
    for (before, after) in before.stored.iter().zip(&after.stored) {
        assert_eq!(before.reverse_path, after.reverse_path);
        assert_eq!(before.recipients, after.recipients);
        assert_eq!(after.recipients.len(), 2, "the reader, and the blind copy");
        // lettre ends content that ends in CRLF with an empty line.
        assert_eq!(before.content, [&after.content[..], b"\r\n"].concat());
        let content = String::from_utf8_lossy(&after.content);
        assert!(!content.contains("archive"), "{content}");
    }
    // Both name themselves alike.
    for recording in [before, after] {
        assert!(recording.wire[0].starts_with(b"EHLO news.example.org\r\n"));
    }
}
