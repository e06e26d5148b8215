//! The program `mio_tls`, against a server with a certificate authority of its own.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::process::{Command, Output};

use postwire_testing::TestServer;

fn send(server: &TestServer, password: &str, authority: bool) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, server.root_pem()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mio_tls"));
    let address = server.address().to_string();
    command.args([&*address, "localhost", "alice"]);
    if authority {
        command.arg(file);
    }
    command.env("PASSWORD", password).output().unwrap()
}

#[test]
fn it_sends_over_tls_with_a_login_or_says_why_not() {
    let server = TestServer::builder()
        .wrapper()
        .user("alice", "secret")
        .start();
    for (password, authority, said) in [
        ("secret", true, "accepted"),
        (
            "wrong",
            true,
            "the user name or the password is probably wrong",
        ),
        ("secret", false, "add its certificate as a root"),
    ] {
        let output = send(&server, password, authority);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains(said), "{output:?}");
        assert_eq!(output.status.success(), said == "accepted", "{output:?}");
    }
    let messages = server.messages();
    assert_eq!(messages.len(), 1);
    assert_eq!(
        messages[0].text(),
        "Subject: hello\r\n\r\nHello from mio.\r\n"
    );
}
