//! Dialogues with a client, written as text files in `transcripts/`, with one folder per stage.
//! A new case is a new file.
//!
//! ```text
//! # RFC 5321 §3.3: the behaviour, and its reason
//! config: pipelining off, credentials alice "correct horse"
//! message: from a@example.org to b@example.org, c@example.org body "hello\r\n"
//!
//! S: 220 mail.example.org ESMTP     one line from the server, with its CRLF
//! S: 250-in two\                    a line without CRLF: the rest arrives later
//!                                   a blank line ends a segment
//! S: EOF                            the server closes the connection
//! C: MAIL FROM:<a@example.org>      the client's exact output; adjacent lines are one
//! C: DATA                           flight, after which the client writes nothing more
//! @5m timeout                       time passes; the deadline is exactly then
//! @4m59s                            time passes without a time-out
//! no deadline                       the client waits without a deadline
//! ```
//!
//! The caller: `message:` (`from <>`, `to a@b, c@d (all)`, `body stream 8bit utf8 binary size
//! 100`), `command: VRFY alice`, `quit`, `abort`, `chunk 0: "text"`, `end 0`, `fail 0: reason`
//! (each with ` is misuse` where it must be refused), `TLS established` (with `tls-exporter
//! "octets"` for channel binding), `TLS failed: reason`, `log in with password alice "correct
//! horse"` (or `token …`, `external`, `anonymous …`), `credentials failed: reason`, `plaintext
//! instead of TLS: text`, `transport error: reason`.
//!
//! The socket: `stall` (accepts nothing until the next `C:`), `take 100` (accepts this many
//! octets without comparing them, then nothing).
//!
//! Events, all of which must be listed before the next step: `report 0: …`, `reply 0: …`
//! (`reply 0: none: error`), `wanted 0`, `TLS wanted`, `credentials wanted` (`: error` if there
//! was one), `closed: clean`, `closed: error`; `ready` may be omitted. A report lists its
//! recipients after ` ; ` unless all of them had the result of the message. A final `…` stands
//! for any text. Further claims: `idle`, `not idle`, `offered: KEYWORD…`, `offered: nothing`,
//! `greeting: 220 text`, `greeting: none`, `trace: C: line`, `not traced: text` (in any line).
//!
//! Escapes in texts: `\r`, `\n`, `\t`, `\0`, `\"`, `\\`, `\x7f`, and `\{998*text}` for a
//! repetition.
//!
//! Each file is played with the input in one piece and cut at every byte, and with the output
//! taken at once and byte by byte; the results must be the same. At the end every message has
//! exactly one report and every command one answer, nothing that can be shown contains a
//! secret, and under `security required` nothing but EHLO, LHLO, STARTTLS and QUIT was written
//! before TLS.
//!
//! `TRANSCRIPT=rcpt/all` plays only the files whose names contain that text.

#[path = "transcripts/notation.rs"]
mod notation;
#[path = "transcripts/player.rs"]
mod player;
#[path = "transcripts/script.rs"]
mod script;

use std::fs;
use std::path::{Path, PathBuf};

use player::{Cuts, Ending};
use script::Script;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the entry can be read").path())
        .collect();
    paths.sort();
    paths
}

/// Plays every file in the folder of a stage; panics with the list of failures.
fn play_stage(stage: &str) {
    let only = std::env::var("TRANSCRIPT").unwrap_or_default();
    let files = entries(&root().join(stage));
    assert!(!files.is_empty(), "no transcript in {stage}");
    let mut failures = Vec::new();
    for path in files {
        let file = path.strip_prefix(root()).expect("below the root");
        let file = file.display().to_string();
        if !file.contains(&only) {
            continue;
        }
        let text = fs::read_to_string(&path).expect("the transcript can be read");
        if let Err(failure) = play(&text) {
            failures.push(format!("tests/transcripts/{file}:{failure}"));
        }
    }
    assert!(
        failures.is_empty(),
        "{} transcript(s) failed\n\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// Plays one transcript with every way of cutting.
fn play(text: &str) -> Result<(), String> {
    let script = Script::parse(text)?;
    let mut first_log = None;
    for cuts in [Cuts::None, Cuts::Input, Cuts::Output] {
        let log = player::play(&script, cuts)?;
        let first = first_log.get_or_insert_with(|| log.clone());
        if *first != log {
            return Err(format!(
                "1: ({cuts}) gives a different result\n  whole: {first:#?}\n  cut:   {log:#?}"
            ));
        }
    }
    Ok(())
}

macro_rules! stages {
    ($($stage:ident)*) => {
        $(
            #[test]
            fn $stage() {
                play_stage(stringify!($stage));
            }
        )*

        #[test]
        fn every_folder_is_a_stage() {
            let folders: Vec<String> = entries(&root())
                .into_iter()
                .filter(|path| path.is_dir())
                .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
                .collect();
            let mut stages = vec![$(stringify!($stage)),*];
            stages.sort_unstable();
            assert_eq!(folders, stages);
        }
    };
}

stages! {
    careful goodbye greeting ehlo starttls auth mail rcpt data body chunking commands lmtp limits pipelining parameters quit
    timers violations
}

/// The connection may break at any moment of any dialogue.
#[test]
fn every_transcript_may_be_cut_off_anywhere() {
    let mut failures = Vec::new();
    let files = entries(&root()).into_iter().filter(|path| path.is_dir());
    for path in files.flat_map(|stage| entries(&stage)) {
        let text = fs::read_to_string(&path).expect("the transcript can be read");
        // A file that does not parse or play fails in the test of its stage.
        let Ok(script) = Script::parse(&text) else {
            continue;
        };
        for steps in 0..=script.steps.len() {
            for ending in Ending::ALL {
                if let Err(failure) = player::cut_off(&script, steps, ending) {
                    failures.push(format!("{}:{failure}", path.display()));
                }
            }
        }
    }
    let shown = failures.len().min(10);
    assert!(
        failures.is_empty(),
        "{} failed\n\n{}",
        failures.len(),
        failures[..shown].join("\n")
    );
}

/// A runner that accepts every transcript would hide all errors.
#[test]
fn a_wrong_transcript_fails() {
    let right = "S: 220 hello\nC: EHLO [127.0.0.1]\nS: EOF\nclosed: ehlo: the server closed the connection\n";
    assert_eq!(play(right), Ok(()));
    for wrong in [
        "S: 220 hello\nC: HELO [127.0.0.1]\nS: EOF\nclosed: …\n",
        "S: 220 hello\nC: EHLO [127.0.0.1]\nC: QUIT\nS: EOF\nclosed: …\n",
        "S: 220 hello\nC: EHLO [127.0.0.1]\\\nS: EOF\nclosed: …\n",
        "S: 220 hello\nS: EOF\nclosed: …\n",
        "S: 220 hello\nC: EHLO [127.0.0.1]\nS: EOF\n",
        "S: 220 hello\nC: EHLO [127.0.0.1]\nS: EOF\nclosed: clean\n",
        "S: 220 hello\nC: EHLO [127.0.0.1]\nwanted 0\nS: EOF\nclosed: …\n",
        "S: 220 hello\nC: EHLO [127.0.0.1]\n@4m timeout\nclosed: …\n",
        "S: 220 hello\nC: EHLO [127.0.0.1]\n@6m\nclosed: …\n",
        "message: from <> to b@example.org body \"\"\nS: 220 hello\nC: EHLO [127.0.0.1]\n",
        "nonsense\n",
    ] {
        assert!(play(wrong).is_err(), "passed:\n{wrong}");
    }
}
