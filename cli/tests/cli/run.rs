//! Runs the command, and the command as a server.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

pub(crate) const USER: &str = "alice";
pub(crate) const PASSWORD: &str = "tr0ub4dor&3";

/// The time limit of a command that should end much sooner.
const FAR_TOO_LONG: Duration = Duration::from_secs(20);

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
    /// The largest memory that was measured, in KiB.
    pub(crate) memory: u64,
}

impl Run {
    /// The objects on standard output.
    pub(crate) fn objects(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{self:#?}"));
        self.stdout.lines().map(parse).collect()
    }

    /// The one object on standard output.
    pub(crate) fn object(&self) -> Value {
        let mut objects = self.objects();
        assert_eq!(objects.len(), 1, "{self:#?}");
        objects.remove(0)
    }

    /// Asserts the exit status, the outcome and the stage of the only message.
    #[track_caller]
    pub(crate) fn assert_is(&self, status: i32, outcome: &str, stage: Option<&str>) -> Value {
        let object = self.object();
        let found = (
            self.status,
            object["outcome"].as_str().unwrap(),
            object["stage"].as_str(),
        );
        assert_eq!(found, (status, outcome, stage), "{self:#?}");
        object
    }
}

pub(crate) fn postwire() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postwire"));
    command.env("POSTWIRE_TEST_PASSWORD", PASSWORD);
    command
}

/// Runs the command to its end with this standard input.
pub(crate) fn run_with<S: AsRef<OsStr>>(arguments: &[S], input: &[u8]) -> Run {
    let mut command = postwire();
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    finish(command, input)
}

/// Runs the command with a short message on standard input.
pub(crate) fn run<S: AsRef<OsStr>>(arguments: &[S]) -> Run {
    run_with(arguments, b"Subject: test\r\n\r\nHello.\r\n")
}

pub(crate) fn finish(command: Command, input: &[u8]) -> Run {
    finish_or_interrupt(command, input, None)
}

/// Runs the command and sends Ctrl-C twice after a while.
pub(crate) fn interrupt<S: AsRef<OsStr>>(arguments: &[S], after: Duration) -> Run {
    let mut command = postwire();
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let message = b"Subject: test\r\n\r\nHello.\r\n";
    finish_or_interrupt(command, message, Some(after))
}

fn finish_or_interrupt(mut command: Command, input: &[u8], mut after: Option<Duration>) -> Run {
    let begun = Instant::now();
    let mut child = command.spawn().expect("the command starts");
    let input = input.to_vec();
    let stdin = child.stdin.take();
    let feeder = thread::spawn(move || {
        if let Some(mut stdin) = stdin {
            // The command may have ended already.
            let _ = stdin.write_all(&input);
        }
    });
    let stdout = child.stdout.take().map(collect);
    let stderr = child.stderr.take().map(collect);
    let mut memory = 0;
    let status = loop {
        memory = memory.max(peak_memory(child.id()));
        if let Some(status) = child.try_wait().expect("it is a child") {
            break status;
        }
        if after.is_some_and(|after| begun.elapsed() > after) {
            after = None;
            let process = child.id().to_string();
            // `timeout` signals a process and its group, so that it gets the signal twice. The second
            // one may be too late.
            let mut kill = Command::new("kill");
            kill.args(["-INT", &process, &process]);
            kill.stderr(Stdio::null());
            kill.status().expect("kill is installed");
        }
        if begun.elapsed() > FAR_TOO_LONG {
            child.kill().expect("it runs");
        }
        thread::sleep(Duration::from_millis(2));
    };
    feeder.join().unwrap();
    let collected = |reader: Option<thread::JoinHandle<Vec<u8>>>| {
        let octets = reader.map_or_else(Vec::new, |reader| reader.join().unwrap());
        String::from_utf8(octets).expect("output is UTF-8")
    };
    let run = Run {
        status: status.code().unwrap_or(-1),
        stdout: collected(stdout),
        stderr: collected(stderr),
        took: begun.elapsed(),
        memory,
    };
    assert!(!run.stderr.contains("panicked"), "{run:#?}");
    assert_no_secret(&run.stdout);
    assert_no_secret(&run.stderr);
    run
}

fn collect(mut stream: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut octets = Vec::new();
        stream.read_to_end(&mut octets).expect("it is a pipe");
        octets
    })
}

fn peak_memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.and_then(|line| line.split_whitespace().next());
    kilobytes
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

/// Asserts that the output contains neither the password nor a base64 form of it.
#[track_caller]
pub(crate) fn assert_no_secret(output: &str) {
    let plain = STANDARD.encode(format!("\0{USER}\0{PASSWORD}"));
    for secret in [PASSWORD, &STANDARD.encode(PASSWORD), &plain] {
        assert!(!output.contains(secret), "{output}");
    }
}

/// The arguments of a `send` with JSON output.
pub(crate) fn send_to(server: &str) -> Vec<String> {
    let arguments = [
        "send",
        "--server",
        server,
        "--from",
        "alice@example.org",
        "--to",
        "bob@example.net",
        "--timeout",
        "5",
        "--json",
    ];
    arguments.map(str::to_owned).to_vec()
}

pub(crate) fn with(mut arguments: Vec<String>, more: &[&str]) -> Vec<String> {
    arguments.extend(more.iter().map(|&argument| argument.to_owned()));
    arguments
}

/// The options that log in.
pub(crate) const LOGIN: [&str; 4] = ["--user", USER, "--password-env", "POSTWIRE_TEST_PASSWORD"];

/// The values of `--runtime`.
pub(crate) const RUNTIMES: [&str; 4] = ["blocking", "async-std", "smol", "tokio"];

/// `postwire serve` on its own port, with a Maildir.
pub(crate) struct Serve {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub(crate) port: u16,
    folder: tempfile::TempDir,
}

impl Serve {
    pub(crate) fn start(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let makes_certificate = options.contains(&"--tls") && !options.contains(&"--cert");
        let authority = folder.path().join("ca.pem").into_os_string();
        let mut child = postwire()
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(
                makes_certificate
                    .then_some(["--ca-out".into(), authority])
                    .into_iter()
                    .flatten(),
            )
            .arg("--maildir")
            .arg(folder.path().join("mail"))
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(folder.path().join("stderr")).unwrap())
            .spawn()
            .expect("the server starts");
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).expect("it is a pipe");
        let address = line.trim_end().strip_prefix("listening on 127.0.0.1:");
        let port = address.expect("it says where it listens").parse().unwrap();
        Self {
            child,
            stdout,
            port,
            folder,
        }
    }

    /// The certificate of its generated authority.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// What it printed on standard error.
    pub(crate) fn stderr(&self) -> String {
        let stderr = fs::read_to_string(self.folder.path().join("stderr"));
        let stderr = stderr.expect("it is UTF-8");
        assert_no_secret(&stderr);
        stderr
    }

    /// Waits until it prints this on standard error.
    #[track_caller]
    pub(crate) fn expect_on_stderr(&self, said: &str) {
        let begun = Instant::now();
        while !self.stderr().contains(said) {
            assert!(begun.elapsed() < FAR_TOO_LONG, "{said}: {}", self.stderr());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// The next line of its output.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("it is a pipe");
        line.trim_end().to_owned()
    }

    /// The messages in its Maildir, in the order of delivery.
    pub(crate) fn messages(&self) -> Vec<Vec<u8>> {
        let mut files = files(&self.folder.path().join("mail/new"));
        let number = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let number = name.split('Q').nth(1).unwrap().split('.').next().unwrap();
            number.parse::<u64>().unwrap()
        };
        files.sort_by_key(number);
        assert_eq!(files_count(&self.folder.path().join("mail/tmp")), 0);
        files.iter().map(|file| fs::read(file).unwrap()).collect()
    }

    /// Sends Ctrl-C; returns the exit status and the time until the end.
    pub(crate) fn interrupt(mut self) -> (Option<i32>, Duration) {
        let begun = Instant::now();
        let process = self.child.id().to_string();
        let sent = Command::new("kill").args(["-INT", &process]).status();
        assert!(sent.expect("kill is installed").success());
        let status = self.child.wait().expect("it is a child");
        (status.code(), begun.elapsed())
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        if thread::panicking() {
            let stderr = fs::read_to_string(self.folder.path().join("stderr"));
            eprintln!("{}", stderr.unwrap_or_default());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn files_count(folder: &Path) -> usize {
    files(folder).len()
}
