//! `serve` on a Unix socket: delivery, and the files that may be at its path before and after.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::run::{RUNTIMES, postwire, run, send_to, with};

/// `postwire serve` on a Unix socket.
struct Serve {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Serve {
    fn start(path: &Path, options: &[&str]) -> Self {
        let mut child = postwire()
            .arg("serve")
            .arg("--unix")
            .arg(path)
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the server starts");
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut server = Self { child, stdout };
        assert_eq!(server.line(), format!("listening on {}", path.display()));
        server
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("it is a pipe");
        line.trim_end().to_owned()
    }

    fn end_by(mut self, signal: &str) {
        let process = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &process]).status();
        assert!(sent.expect("kill is installed").success());
        self.child.wait().expect("it is a child");
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn both_protocols_with_each_runtime() {
    let folder = tempfile::tempdir().unwrap();
    for (scheme, options) in [("smtp+unix", &[][..]), ("lmtp+unix", &["--lmtp"])] {
        let path = folder.path().join(scheme);
        let mut server = Serve::start(&path, options);
        let url = format!("{scheme}://{}", path.display());
        for runtime in RUNTIMES {
            let sent = run(&with(send_to(&url), &["--runtime", runtime]));
            sent.assert_is(0, "accepted", None);
            assert!(
                server
                    .line()
                    .contains(" to <bob@example.net>, 25 octets, plaintext, discarded")
            );
        }
        server.end_by("-INT");
        assert!(!path.exists());
    }
}

#[test]
fn only_a_stale_socket_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    // A killed server leaves its socket behind.
    Serve::start(&path, &[]).end_by("-KILL");
    assert!(path.exists());
    let server = Serve::start(&path, &[]);
    let refuse = |path: &Path, why: &str| {
        let refused = run(&["serve", "--unix", path.to_str().unwrap()]);
        assert_eq!(
            (refused.status, refused.stdout.as_str()),
            (71, ""),
            "{refused:#?}"
        );
        assert!(refused.stderr.contains(why), "{refused:#?}");
    };
    refuse(&path, "another process listens there");
    // The socket still belongs to the first server.
    let url = format!("smtp+unix://{}", path.display());
    run(&send_to(&url)).assert_is(0, "accepted", None);

    let link = folder.path().join("link");
    symlink(&path, &link).unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "precious").unwrap();
    for path in [&link, &file, folder.path()] {
        refuse(path, "something other than a socket is there");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    assert!(link.exists());

    // A file that another process created at the path meanwhile is not removed.
    fs::remove_file(&path).unwrap();
    let another = UnixListener::bind(&path).unwrap();
    server.end_by("-INT");
    assert!(path.exists());
    drop(another);
}

/// Of many servers that start at once with a stale socket, exactly one gets the path.
#[test]
fn only_one_server_gets_the_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    drop(UnixListener::bind(&path).unwrap());
    let start = |_| {
        let mut command = postwire();
        command.arg("serve").arg("--unix").arg(&path);
        let quiet = command.stdin(Stdio::null()).stderr(Stdio::null());
        quiet.stdout(Stdio::piped()).spawn().unwrap()
    };
    let mut servers: Vec<Child> = (0..8).map(start).collect();
    let listens = |server: &mut Child| {
        let mut line = String::new();
        let stdout = server.stdout.as_mut().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        line.starts_with("listening on ")
    };
    let listening = servers.iter_mut().map(listens).filter(|listens| *listens);
    assert_eq!(listening.count(), 1);
    let url = format!("smtp+unix://{}", path.display());
    run(&send_to(&url)).assert_is(0, "accepted", None);
    for mut server in servers {
        let _ = server.kill();
        let _ = server.wait();
    }
}

#[test]
fn invalid_options_are_refused() {
    for options in [&["--listen", "127.0.0.1:0"][..], &["--tls", "starttls"]] {
        let arguments = [&["serve", "--unix", "/no/such/folder/socket"], options].concat();
        let refused = run(&arguments);
        assert_eq!(
            (refused.status, refused.stdout.as_str()),
            (64, ""),
            "{refused:#?}"
        );
    }
    let refused = run(&["serve", "--unix", "/no/such/folder/socket"]);
    assert_eq!(refused.status, 71, "{refused:#?}");
    assert!(
        refused
            .stderr
            .contains("cannot listen on /no/such/folder/socket: ")
    );
}
