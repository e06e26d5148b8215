//! Servers that send more than a client can store.

use crate::run::{LOGIN, RUNTIMES, Run, run, send_to, with};
use crate::script::Scripted;

/// 64 MiB, in KiB.
const MEMORY: u64 = 64 * 1024;

#[track_caller]
fn assert_bounded(run: &Run, stage: &str) {
    run.assert_is(76, "not_sent", Some(stage));
    assert!(run.memory < MEMORY, "{run:#?}");
    assert!(run.took.as_secs_f32() < 3.0, "{run:#?}");
}

#[test]
fn an_endless_line() {
    for runtime in RUNTIMES {
        let server = Scripted::play(|peer| {
            peer.send("220 ");
            peer.say_for_ever("aaaaaaaa");
        });
        let arguments = with(send_to(&server.url()), &["--runtime", runtime]);
        assert_bounded(&run(&arguments), "greeting");
    }
}

#[test]
fn endless_lines() {
    for runtime in RUNTIMES {
        let send = |server: &Scripted| {
            let arguments = with(send_to(&server.url()), &["--runtime", runtime]);
            run(&arguments)
        };
        let server = Scripted::play(|peer| peer.say_for_ever("220-mx\r\n"));
        assert_bounded(&send(&server), "greeting");

        let server = Scripted::play(|peer| {
            peer.send("220 mx\r\n");
            peer.receive();
            peer.say_for_ever("250-SIZE\r\n");
        });
        assert_bounded(&send(&server), "ehlo");
    }
}

#[test]
fn endless_replies() {
    for runtime in RUNTIMES {
        let server = Scripted::play(|peer| {
            peer.send("220 mx\r\n");
            peer.receive();
            peer.say_for_ever("250 mx\r\n");
        });
        let run = run(&with(send_to(&server.url()), &["--runtime", runtime]));
        assert_eq!(run.status, 76, "{run:#?}");
    }
}

#[test]
fn endless_challenges() {
    let server = Scripted::play(|peer| {
        peer.send("220 mx\r\n");
        peer.receive();
        peer.send("250-mx\r\n250 AUTH LOGIN\r\n");
        while !peer.receive().is_empty() {
            peer.send("334 VXNlcm5hbWU6\r\n");
        }
    });
    let arguments = with(send_to(&server.url()), &LOGIN);
    let run = run(&with(arguments, &["--allow-plaintext-auth"]));
    assert_bounded(&run, "auth");
    let received = server.received();
    assert_eq!(received[1], "AUTH LOGIN");
    assert_eq!(received[4], "*");
    assert!(received.len() <= 5, "{received:?}");
}

#[test]
fn a_slow_server_cannot_extend_the_deadline() {
    let server = Scripted::play(|peer| {
        for _ in 0..60 {
            peer.send("220-a\r\n");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    });
    let mut arguments = send_to(&server.url());
    let seconds = arguments.iter().position(|a| a == "5").unwrap();
    arguments[seconds] = "0.5".to_owned();
    let run = run(&arguments);
    run.assert_is(75, "not_sent", Some("greeting"));
    assert!(run.took.as_secs_f32() < 2.5, "{run:#?}");
}
