//! `sendmail`, as programs call it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::run::{PASSWORD, Run, Serve, USER, finish, interrupt, postwire};
use crate::script::{Peer, Scripted};

/// A folder with a link to the command, named `sendmail`, and a configuration.
struct Installed {
    folder: TempDir,
}

impl Installed {
    fn new(server: &Serve, more: &str) -> Self {
        Self::at(&format!("smtp://localhost:{}?tls=none", server.port), more)
    }

    fn at(url: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = env!("CARGO_BIN_EXE_postwire");
        std::os::unix::fs::symlink(program, folder.path().join("sendmail")).unwrap();
        let config = folder.path().join("home/.config/postwire");
        fs::create_dir_all(&config).unwrap();
        let text = format!("server = \"{url}\"\ndomain = \"a.example\"\n{more}");
        fs::write(config.join("sendmail.toml"), text).unwrap();
        Self { folder }
    }

    fn program(&self) -> std::path::PathBuf {
        self.folder.path().join("sendmail")
    }

    /// The path of the configuration.
    fn config(&self) -> String {
        let path = self
            .folder
            .path()
            .join("home/.config/postwire/sendmail.toml");
        path.into_os_string().into_string().unwrap()
    }

    fn run(&self, arguments: &[&str], input: &[u8]) -> Run {
        let mut command = Command::new(self.program());
        command.args(arguments);
        self.finish(command, input)
    }

    fn finish(&self, mut command: Command, input: &[u8]) -> Run {
        command
            .env("HOME", self.folder.path().join("home"))
            .env("LOGNAME", "carol")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        finish(command, input)
    }
}

fn assert_silent(run: &Run) {
    assert_eq!(
        (run.status, &*run.stdout, &*run.stderr),
        (0, "", ""),
        "{run:#?}"
    );
}

fn only_message(server: &Serve) -> String {
    let mut messages = server.messages();
    assert_eq!(messages.len(), 1);
    String::from_utf8(messages.remove(0)).unwrap()
}

#[test]
fn cron_sends_its_report() {
    let server = Serve::start(&[]);
    let installed = Installed::new(&server, "[aliases]\nroot = \"admin@b.example\"\n");
    let report = "From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@host> true\n\n\
                  .\nit worked\n";
    assert_silent(&installed.run(
        &["-FCronDaemon", "-i", "-odi", "-oem", "-oi", "-t"],
        report.as_bytes(),
    ));
    let sent = only_message(&server);
    assert!(sent.contains("\r\n\r\n.\r\nit worked\r\n"), "{sent}");
    assert!(
        sent.contains("Date: ") && sent.contains("@a.example>\r\n"),
        "{sent}"
    );
    assert!(
        sent.contains("To: root\r\n") && !sent.contains("From: \"CronDaemon\""),
        "{sent}"
    );
}

#[test]
fn a_program_that_gives_a_sender_and_recipients() {
    let mut server = Serve::start(&[]);
    let installed = Installed::new(&server, "");
    let text = "To: x@x.example\nBcc: hidden@b.example\nSubject: x\n\nhi\n.\nnot sent\n";
    let arguments = [
        "-f",
        "bounces@a.example",
        "-Fname",
        "bob@b.example,dave",
        "Erin <erin@e.example>",
    ];
    assert_silent(&installed.run(&arguments, text.as_bytes()));
    let sent = only_message(&server);
    assert!(sent.ends_with("Subject: x\r\n\r\nhi\r\n"), "{sent}");
    assert!(
        sent.contains("From: \"name\" <bounces@a.example>\r\n"),
        "{sent}"
    );
    assert!(!sent.contains("hidden"), "{sent}");
    let line = server.line();
    for address in [
        "bounces@a.example",
        "bob@b.example",
        "dave@a.example",
        "erin@e.example",
    ] {
        assert!(line.contains(address), "{address}: {line}");
    }
    assert!(!line.contains("x@x.example"), "{line}");
}

#[test]
fn the_exit_status_says_what_went_wrong() {
    let server = Serve::start(&["--reject", "no@b.example=550"]);
    let installed = Installed::new(&server, "");
    for (arguments, status, words) in [
        (&["no@b.example"][..], 69, "no@b.example was refused: 550"),
        (
            &[],
            64,
            "recipients: none was named; -t takes those of the header",
        ),
        (&["-t"], 64, "there are none in To, Cc and Bcc"),
        (&["-bs"], 64, "-b: is not supported"),
        (&["-f", "a b@c", "bob@b.example"], 64, "-f: "),
        (
            &["-C", "/does/not/exist", "bob@b.example"],
            78,
            "cannot read /does/not/exist",
        ),
    ] {
        let run = installed.run(arguments, b"Subject: x\n\nhi\n");
        assert_eq!(run.status, status, "{run:#?}");
        assert!(run.stderr.contains(words), "{run:#?}");
    }
    for arguments in [&["-bp"][..], &["-bi"], &["-q"]] {
        assert_eq!(installed.run(arguments, b"").status, 0);
    }
    assert_eq!(installed.run(&["--help"], b"").status, 0);
}

#[test]
fn a_login_is_configured_by_a_file_and_never_shown() {
    let login = format!("{USER}:POSTWIRE_TEST_PASSWORD");
    let server = Serve::start(&["--tls", "starttls", "--auth", &login]);
    let secret = tempfile::NamedTempFile::new().unwrap();
    let more = format!(
        "user = \"{USER}\"\npassword-file = {:?}\nca = {:?}\n",
        secret.path(),
        server.authority()
    );
    let installed = Installed::at(&format!("smtp://localhost:{}", server.port), &more);
    for (password, status) in [(PASSWORD, 0), ("hunter2", 77), ("", 78)] {
        fs::write(secret.path(), format!("{password}\n")).unwrap();
        let run = installed.run(&["bob@b.example"], b"Subject: x\n\nhi\n");
        assert_eq!(run.status, status, "{run:#?}");
        assert!(!run.stderr.contains("hunter2"), "{run:#?}");
    }
    let wrong = Installed::new(&server, "pasword = \"hunter2\"\n");
    let run = wrong.run(&["bob@b.example"], b"");
    assert_eq!(run.status, 78, "{run:#?}");
    assert!(
        run.stderr.contains("line 3: unknown field `pasword`"),
        "{run:#?}"
    );
    assert!(!run.stderr.contains("hunter2"), "{run:#?}");
}

#[test]
fn it_is_a_command_of_its_own_too() {
    let server = Serve::start(&[]);
    let installed = Installed::new(&server, "");
    let mut command = postwire();
    command.args(["sendmail", "-i", "bob@b.example"]);
    assert_silent(&installed.finish(command, b"Subject: x\n\nhi\n"));
    assert!(only_message(&server).contains("From: <carol@a.example>\r\n"));
}

#[test]
fn git_sends_patches() {
    let works = |arguments: &[&str], folder: &Path| {
        let mut git = Command::new("git");
        git.args(arguments)
            .current_dir(folder)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("HOME", folder)
            .stdin(Stdio::null());
        git.output().is_ok_and(|output| {
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success() || text.contains("is not a git command"),
                "{text}"
            );
            output.status.success()
        })
    };
    let server = Serve::start(&[]);
    let installed = Installed::new(&server, "");
    let home = installed.folder.path().join("home");
    let user = ["-c", "user.name=Carol", "-c", "user.email=carol@a.example"];
    let all = |more: &[&'static str]| [&user[..], more].concat();
    if !works(&["init", "-q", "."], &home) {
        eprintln!("SKIPPED git send-email: git is not installed");
        return;
    }
    fs::write(home.join("file"), "text\n").unwrap();
    works(&["add", "file"], &home);
    works(&all(&["commit", "-q", "-m", "A change"]), &home);
    let program = format!("--sendmail-cmd={}", installed.program().display());
    let options = [
        "send-email",
        "--quiet",
        "--suppress-cc=all",
        "--confirm=never",
        "--to=bob@b.example",
        &program,
        "--root",
        "HEAD",
    ];
    if !works(&[&user[..], &options].concat(), &home) {
        eprintln!("SKIPPED git send-email: it is not installed");
        return;
    }
    let sent = only_message(&server);
    assert!(sent.contains("Subject: [PATCH] A change\r\n"), "{sent}");
    assert!(sent.contains("\r\n+text\r\n"), "{sent}");
}

#[test]
fn the_last_field_counts_without_a_line_end() {
    let mut server = Serve::start(&[]);
    let installed = Installed::new(&server, "");
    assert_silent(&installed.run(&["-t", "-i"], b"To: bob@b.example\nBcc: eve@e.example"));
    let line = server.line();
    assert!(
        line.contains("<bob@b.example>") && line.contains("<eve@e.example>"),
        "{line}"
    );
    assert!(!only_message(&server).contains("eve"));
}

#[test]
fn an_argument_that_could_mean_something_else_is_refused() {
    let server = Serve::start(&[]);
    let installed = Installed::new(&server, "");
    for arguments in [
        [
            "-f",
            "a@a.example\r\nRCPT TO:<eve@e.example>",
            "bob@b.example",
        ],
        ["-f", "a@a.example,c@a.example", "bob@b.example"],
        ["-f", "a@a.example", "bob@b.example X: eve"],
        ["-f", "a@a.example", "bob@b.example\nX: eve"],
        ["-f", "a@a.example", ""],
    ] {
        let run = installed.run(&arguments, b"Subject: x\n\nx\n");
        assert_eq!((run.status, &*run.stdout), (64, ""), "{run:#?}");
    }
    assert!(server.messages().is_empty());
}

/// Nothing is said for certain, and the caller tries again.
#[test]
fn ctrl_c_while_the_server_is_silent() {
    let server = Scripted::play(Peer::be_silent);
    let installed = Installed::at(&server.url(), "");
    let config = installed.config();
    let arguments = ["sendmail", "-C", &config, "bob@b.example"];
    let run = interrupt(&arguments, Duration::from_millis(700));
    assert_eq!(run.status, 75, "{run:#?}");
    assert!(run.stderr.contains("interrupted"), "{run:#?}");
}
