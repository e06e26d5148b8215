//! The test of the web program: what its answers say, and that stopping it loses no message.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::net::SocketAddr;
use std::time::Duration;

use postwire_examples::web::serve;
use postwire_testing::{TestServer, Trigger::*};
use postwire_tokio::Transport;
use postwire_tokio::proto::Report;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The program in a task of this runtime.
struct Program {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<Vec<Report>>>,
}

impl Program {
    async fn start(server: &TestServer) -> Self {
        let transport: Transport = server.transport().build().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let sender = "site@example.org".parse().unwrap();
        let task = tokio::spawn(serve(listener, transport, sender, async {
            let _ = stopped.await;
        }));
        Self {
            address,
            stop,
            task,
        }
    }
}

/// Makes a request, and returns the status and the body.
async fn request(address: SocketAddr, what: &str, body: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{what} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    (status, body.to_owned())
}

fn message(to: &str) -> String {
    format!(r#"{{"to": "{to}", "text": "Hello."}}"#)
}

fn run(test: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().unwrap();
    runtime.block_on(async {
        let limit = Duration::from_secs(20);
        tokio::time::timeout(limit, test).await.unwrap();
    });
}

#[test]
fn the_answers_are_about_the_message() {
    run(async {
        let server = TestServer::builder().starttls().start();
        server
            .on(Rcpt("nobody@example.net"))
            .reply("550 5.1.1 no such user");
        server
            .on(Rcpt("carol@example.net"))
            .reply("450 4.2.1 come back later");
        let program = Program::start(&server).await;
        let post = "POST /messages";
        for (to, expected, outcome) in [
            ("bob@example.net", 200, "accepted"),
            ("nobody@example.net", 422, "rejected"),
            ("carol@example.net", 503, "rejected"),
        ] {
            let (status, body) = request(program.address, post, &message(to)).await;
            assert_eq!(status, expected, "{body}");
            let said = format!(r#""outcome":"{outcome}""#);
            assert!(body.contains(&said), "{body}");
        }
        // An address that could end a command never becomes one.
        let hostile = message("bob@example.net>\\r\\nRCPT TO:<eve@example.net");
        let (status, body) = request(program.address, post, &hostile).await;
        assert_eq!(status, 422, "{body}");
        let received = server.wait_for(1);
        assert_eq!(received.len(), 1);
        assert_eq!(received[0].recipients[0].to_string(), "bob@example.net");

        let (status, body) = request(program.address, "GET /health", "").await;
        assert_eq!(status, 200);
        assert!(body.contains("Counters"), "{body}");
        program.stop.send(()).unwrap();
        assert!(program.task.await.unwrap().unwrap().is_empty());
    });
}

#[test]
fn a_request_that_is_under_way_is_finished() {
    run(async {
        let server = TestServer::builder().starttls().start();
        server.on(Content).delay(Duration::from_millis(500));
        let program = Program::start(&server).await;
        let address = program.address;
        let asked = tokio::spawn(async move {
            request(address, "POST /messages", &message("bob@example.net")).await
        });
        // The message is on its way, and not answered.
        while server.connections() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(server.messages().is_empty());

        program.stop.send(()).unwrap();
        let reports = program.task.await.unwrap().unwrap();
        assert!(reports.is_empty());
        let (status, body) = asked.await.unwrap();
        assert_eq!(status, 200, "{body}");
        assert_eq!(server.messages().len(), 1);
        // Nobody listens any more.
        assert!(TcpStream::connect(address).await.is_err());
    });
}
