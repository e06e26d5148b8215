//! Completion I/O: a message over STARTTLS, driven by `compio`, which uses `io_uring` on Linux.
//!
//! An operation owns its memory until it completes, and completes at any time after it was
//! submitted. One read is always in flight, and at most one write. Where the system forbids
//! `io_uring`, the program prints a line that begins with SKIPPED, and succeeds.

use std::error::Error;
use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use compio::BufResult;
use compio::driver::{DriverType, ProactorBuilder};
use compio::io::{AsyncRead, AsyncWrite};
use compio::net::TcpStream;
use compio::runtime::RuntimeBuilder;
use compio::time::sleep;
use futures_lite::future::or;
use postwire_scenarios::certificates::{Authority, Flaw};
use postwire_scenarios::server::{Embedded, config_with_all_extensions};
use postwire_tls::proto::{
    ClientConfig, Clock, Endpoint, Envelope, Event, HelloName, Report, Security,
};
use postwire_tls::{Connection, ServerTls, Tls, TlsParameters};

/// The most octets of a write.
const CHUNK: usize = 64 * 1024;

/// The time for the whole program.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// What the loop waits for.
enum Completion {
    /// A read: its result, and its memory.
    Read(io::Result<usize>, Vec<u8>),
    /// A write: its result, and the octets that were submitted.
    Write(io::Result<usize>, Bytes),
    /// The deadline of the session.
    Deadline,
}

/// An operation in flight.
type Operation<'a> = Pin<Box<dyn Future<Output = Completion> + 'a>>;

fn main() -> Result<(), Box<dyn Error>> {
    let mut driver = ProactorBuilder::new();
    driver.driver_type(DriverType::IoUring);
    let runtime = match RuntimeBuilder::new().with_proactor(driver).build() {
        Ok(runtime) => runtime,
        Err(error) => {
            println!("SKIPPED io_uring: the system does not allow it: {error}");
            return Ok(());
        }
    };
    println!("the driver is {:?}", runtime.driver_type());

    let authority = Authority::new();
    let server = Embedded::start(
        config_with_all_extensions(),
        ServerTls::StartTls(authority.server(Flaw::None)),
    );
    let parameters = TlsParameters::builder("localhost")
        .add_root_certificate(authority.certificate())
        .build()?;
    let config = ClientConfig::new(HelloName::localhost(), Security::Required);
    let mut connection = Connection::new(&Arc::new(config), &Tls::Required(parameters));

    // Large enough to fill the socket's buffers and need many writes.
    let message =
        Bytes::from("Subject: completion\r\n\r\n".to_owned() + &"octets\r\n".repeat(500_000));
    let envelope = Envelope::new(
        Some("alice@example.org".parse()?),
        vec!["bob@example.net".parse()?],
    )?;
    connection.enqueue(envelope, message.clone());
    connection.quit();

    let report = runtime.block_on(async {
        let session = async {
            let stream = TcpStream::connect(("127.0.0.1", server.port())).await?;
            drive(&mut connection, &stream).await
        };
        let time_limit = async {
            sleep(TIME_LIMIT).await;
            Err(io::ErrorKind::TimedOut.into())
        };
        or(session, time_limit).await
    })?;
    let report = report.ok_or("no report")?;
    println!(
        "{report}, over {}",
        connection.tls().map_or("plaintext", |tls| tls.version())
    );
    assert!(report.is_accepted());
    let stored = server.recording().stored;
    assert_eq!(stored.len(), 1);
    assert!(stored[0].content == message, "other octets are stored");
    assert!(stored[0].tls.is_some());
    Ok(())
}

/// Runs a session until it is over. Returns the report of its message.
async fn drive(connection: &mut Connection, stream: &TcpStream) -> io::Result<Option<Report>> {
    let clock = Clock::new();
    let mut report = None;
    let mut reading = read(stream, Vec::with_capacity(CHUNK));
    let mut writing: Option<Operation<'_>> = None;
    let mut is_writable = true;
    loop {
        if writing.is_none() && is_writable {
            // From here on the octets count as handed over.
            let chunk = connection.next_chunk(CHUNK);
            writing = (!chunk.is_empty()).then(|| write(stream, chunk));
        }
        while let Some(event) = connection.poll_event() {
            if let Event::Report(of_message) = event {
                report = Some(of_message);
            }
        }
        if connection.is_closed() && writing.is_none() {
            return Ok(report);
        }
        let deadline = connection.poll_timeout();
        let timer = async {
            match deadline {
                Some(at) => sleep(at.saturating_duration_since(clock.now())).await,
                None => pending().await,
            }
            Completion::Deadline
        };
        let write_or_timer = async {
            match &mut writing {
                Some(writing) => or(writing, timer).await,
                None => timer.await,
            }
        };
        let completion = or(&mut reading, write_or_timer).await;
        let now = clock.now();
        match completion {
            Completion::Read(Ok(0), _) => {
                connection.handle_eof(now);
                reading = Box::pin(pending());
            }
            Completion::Read(Ok(_), octets) => {
                connection.handle_input(now, &octets);
                reading = read(stream, octets);
            }
            Completion::Read(Err(error), _) => {
                connection.handle_transport_error(now, Arc::new(error));
                reading = Box::pin(pending());
            }
            Completion::Write(Ok(written), mut chunk) => {
                connection.handle_written(now, written);
                chunk.advance(written);
                writing = (!chunk.is_empty()).then(|| write(stream, chunk));
            }
            // The read shows why, after the octets that the server sent before it closed.
            Completion::Write(Err(_), _) => {
                writing = None;
                is_writable = false;
            }
            Completion::Deadline => connection.handle_timeout(now),
        }
    }
}

/// Submits a read. The memory of the last one is used again.
fn read(mut stream: &TcpStream, mut memory: Vec<u8>) -> Operation<'_> {
    memory.clear();
    Box::pin(async move {
        let BufResult(result, memory) = stream.read(memory).await;
        Completion::Read(result, memory)
    })
}

/// Submits a write.
fn write(mut stream: &TcpStream, chunk: Bytes) -> Operation<'_> {
    Box::pin(async move {
        let BufResult(result, chunk) = stream.write(chunk).await;
        Completion::Write(result, chunk)
    })
}
