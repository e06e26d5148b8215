//! `completions` and `man`.

use std::fs;

use crate::run::run;

const SUBCOMMANDS: [&str; 7] = [
    "send",
    "sendmail",
    "serve",
    "probe",
    "demo",
    "completions",
    "man",
];

#[test]
fn completions_for_each_shell() {
    for (shell, begins) in [
        ("bash", "_postwire()"),
        ("zsh", "#compdef postwire"),
        ("fish", "# Print an optspec"),
        ("powershell", "\nusing namespace"),
        ("elvish", "\nuse builtin;"),
    ] {
        let printed = run(&["completions", shell]);
        assert_eq!(
            (printed.status, printed.stderr.as_str()),
            (0, ""),
            "{printed:#?}"
        );
        assert!(printed.stdout.starts_with(begins), "{printed:#?}");
        for word in ["refused-bdat", "sendmail", "password-env"] {
            assert!(printed.stdout.contains(word), "{shell} {word}");
        }
    }
    let printed = run(&["completions", "csh"]);
    assert_eq!(printed.status, 64, "{printed:#?}");
}

/// The shell itself reads them and completes.
#[test]
#[cfg(target_os = "linux")]
fn bash_completes_a_subcommand() {
    let script = run(&["completions", "bash"]).stdout;
    let ask = "COMP_WORDS=(postwire pro); COMP_CWORD=1; _postwire postwire pro postwire; \
               echo \"${COMPREPLY[@]}\"";
    let asked = std::process::Command::new("bash")
        .args(["-c", &format!("{script}\n{ask}")])
        .output();
    // A machine may have no bash.
    if let Ok(asked) = asked {
        assert_eq!(String::from_utf8_lossy(&asked.stdout), "probe\n");
    }
}

#[test]
fn a_manual_page_for_each_subcommand() {
    let printed = run(&["man"]);
    assert_eq!(printed.status, 0, "{printed:#?}");
    assert!(printed.stdout.contains(".TH postwire 1"), "{printed:#?}");

    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    let written = run(&["man", pages.to_str().unwrap()]);
    assert_eq!(written.status, 0, "{written:#?}");
    assert_eq!(written.stdout.lines().count(), SUBCOMMANDS.len() + 1);
    for subcommand in SUBCOMMANDS {
        let page = fs::read_to_string(pages.join(format!("postwire-{subcommand}.1"))).unwrap();
        assert!(
            page.contains(&format!(".TH postwire-{subcommand} 1")),
            "{page}"
        );
        assert!(page.contains("SYNOPSIS"), "{page}");
    }
    let page = fs::read_to_string(pages.join("postwire-send.1")).unwrap();
    assert!(page.contains("The exit status is 0 if everything was accepted"));
    assert!(page.contains("postwire send"), "{page}");
    let page = fs::read_to_string(pages.join("postwire.1")).unwrap();
    assert!(page.contains("postwire\\-probe(1)"), "{page}");

    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert_eq!(run(&["man", file.to_str().unwrap()]).status, 71);
}
