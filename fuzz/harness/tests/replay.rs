//! Replays every input of the corpora in an ordinary test run.

use std::fs;
use std::path::Path;

fn replay(name: &str) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../corpus")
        .join(name);
    let (_, target) = postwire_fuzz_harness::TARGETS
        .into_iter()
        .find(|(known, _)| *known == name)
        .expect("a target of this name");
    let mut inputs = 0;
    for entry in fs::read_dir(&corpus).expect("the corpus is there") {
        let path = entry.expect("it can be listed").path();
        println!("{}", path.display());
        target(&fs::read(&path).expect("it can be read"));
        inputs += 1;
    }
    assert!(inputs >= 10, "only {inputs} inputs in {}", corpus.display());
}

#[test]
fn reply() {
    replay("reply");
}

#[test]
fn capabilities() {
    replay("capabilities");
}

#[test]
fn address() {
    replay("address");
}

#[test]
fn client_session() {
    replay("client_session");
}

#[test]
fn server_session() {
    replay("server_session");
}

#[test]
fn pair() {
    replay("pair");
}

#[test]
fn session() {
    replay("session");
}

#[test]
fn secured() {
    replay("secured");
}

#[test]
fn dispatch() {
    replay("dispatch");
}

#[test]
fn body() {
    replay("body");
}

#[test]
fn mechanism() {
    replay("mechanism");
}

#[test]
fn certificate() {
    replay("certificate");
}

#[test]
fn url() {
    replay("url");
}

#[test]
fn every_target_is_replayed() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    let mut names: Vec<String> = fs::read_dir(corpora)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let mut targets = postwire_fuzz_harness::TARGETS.map(|(name, _)| name);
    targets.sort_unstable();
    assert_eq!(names, targets);
}
