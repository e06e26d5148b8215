//! Your own event loop, with TLS and a login: one message over `mio`.
//!
//! `PASSWORD=… mio_tls ADDRESS:PORT NAME USER [CA-FILE]` sends a greeting over TLS from the first octet.
//! `NAME` is the name that the server's certificate must have.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Buf;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use postwire_tls::proto::{
    ClientConfig, Clock, Credentials, Endpoint, Envelope, Event, Instant, Report, Security,
};
use postwire_tls::{Certificate, Connection, Tls, TlsParameters};

struct Session {
    connection: Connection,
    socket: TcpStream,
    is_connected: bool,
    clock: Clock,
}

impl Session {
    /// Moves everything that can be moved without waiting.
    fn advance(&mut self) {
        if !self.is_connected && !self.connect() {
            return;
        }
        let mut input = [0; 16 * 1024];
        while !self.connection.is_closed() {
            self.write();
            match self.socket.read(&mut input) {
                Ok(0) => self.connection.handle_eof(self.clock.now()),
                Ok(octets) => {
                    let now = self.clock.now();
                    self.connection.handle_input(now, &input[..octets]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.fail(error),
            }
        }
    }

    /// Finds out whether the socket is connected, or has failed.
    fn connect(&mut self) -> bool {
        match (self.socket.take_error(), self.socket.peer_addr()) {
            (Ok(None), Ok(_)) => {}
            (Ok(None), Err(error)) if error.kind() == io::ErrorKind::NotConnected => return false,
            (Ok(Some(error)) | Err(error), _) | (Ok(None), Err(error)) => {
                self.fail(error);
                return false;
            }
        }
        self.is_connected = true;
        if let Ok(address) = self.socket.local_addr() {
            self.connection.set_local_address(address.ip());
        }
        true
    }

    fn fail(&mut self, error: io::Error) {
        let now = self.clock.now();
        self.connection.handle_transport_error(now, Arc::new(error));
    }

    fn write(&mut self) {
        loop {
            let mut output = self.connection.output();
            if !output.has_remaining() {
                return;
            }
            match self.socket.write(output.chunk()) {
                Ok(taken) => output.advance(taken),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The socket is full or broken: the read shows which, after the octets that the
                // server sent before.
                Err(_) => return,
            }
        }
    }

    /// Handles the time; returns the next deadline.
    fn handle_time(&mut self) -> Option<Instant> {
        self.connection.handle_timeout(self.clock.now());
        self.connection.poll_timeout()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(name), Some(user)) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err("wanted: ADDRESS:PORT NAME USER [CA-FILE]".into());
    };
    let address: SocketAddr = address.parse()?;
    let mut parameters = TlsParameters::builder(&name);
    if let Some(file) = arguments.next() {
        parameters = parameters.add_root_certificate(Certificate::from_pem(&std::fs::read(file)?)?);
    }
    let config = ClientConfig::without_hello_name(Security::Wrapper)
        .credentials(Credentials::new(user, std::env::var("PASSWORD")?));
    let tls = Tls::Wrapper(parameters.build()?);
    let mut connection = Connection::new(&Arc::new(config), &tls);
    let envelope = Envelope::new(
        Some("alice@example.org".parse()?),
        vec!["bob@example.net".parse()?],
    )?;
    connection.enqueue(envelope, "Subject: hello\r\n\r\nHello from mio.\r\n");
    connection.quit();

    let mut poll = Poll::new()?;
    let mut socket = TcpStream::connect(address)?;
    let interest = Interest::READABLE | Interest::WRITABLE;
    poll.registry().register(&mut socket, Token(0), interest)?;
    let mut session = Session {
        connection,
        socket,
        is_connected: false,
        clock: Clock::new(),
    };
    let mut events = Events::with_capacity(8);
    let mut reports: Vec<Report> = Vec::new();
    loop {
        session.advance();
        let deadline = session.handle_time();
        // The time may have ended the session, or may have given it something to write.
        session.advance();
        while let Some(event) = session.connection.poll_event() {
            if let Event::Report(report) = event {
                reports.push(report);
            }
        }
        if session.connection.is_closed() {
            break;
        }
        let wait = deadline.map(|at| at.saturating_duration_since(session.clock.now()));
        match poll.poll(&mut events, wait) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
    }
    for report in &reports {
        println!("{report}");
    }
    if reports.iter().all(Report::is_accepted) {
        Ok(())
    } else {
        Err("not accepted".into())
    }
}
