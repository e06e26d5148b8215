//! The memory of an idle session.

use std::io::Write;
use std::sync::Arc;

use bytes::Buf;
use postwire_proto::{Client, ClientConfig, Endpoint, HelloName, Instant, Security};
use postwire_tls::{Certificate, CertificateStore, TlsParametersBuilder};
use postwire_transport::{TransportBuilder, TransportConfig};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConfig, ServerConnection};

use crate::Failure;
use crate::clients::{self, CONNECTION, DEFAULT};
use crate::count::{allocations, held};
use crate::job::{HOST, Mail, Mode, Target};
use crate::lab::{Lab, Task};
use crate::report::{Row, Section};
use crate::sink::server_config;

const GREETING: &[u8] = b"220 mx.example.net ESMTP\r\n";
const OFFER: &[u8] = b"250-mx.example.net\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-CHUNKING\r\n\
    250-SIZE 1073741824\r\n250-ENHANCEDSTATUSCODES\r\n250 AUTH PLAIN LOGIN\r\n";

pub(super) fn measure(lab: &mut Lab) -> Result<Section, Failure> {
    let mut section = Section::new(
        "idle",
        "Memory of an idle session",
        "KiB a session",
        "Octets of the allocator that are held for each of 1,000 sessions (300 over sockets) \
         which greeted and are idle; the kernel's buffers and the server are not in it.",
    );
    let count = lab.size(1000, 50);
    section.rows.push(core(count));
    let (server, root) = server()?;
    section.rows.push(raw_tls(count, &server, &root)?);
    section.rows.push(postwire_tls(count, &server, &root)?);
    let count = lab.size(300, 20);
    for mode in [Mode::Plain, Mode::Wrapper] {
        let task = Task {
            group: &format!("over sockets, {}", mode.name()),
            mode,
            round_trip: 0,
            mail: Mail::of(200),
            rounds: 1,
        };
        let mut contenders = clients::named(&[DEFAULT, CONNECTION]);
        let mut peers = clients::peers();
        peers.retain(|peer| !peer.stalls() && !peer.name().contains("by hand"));
        contenders.extend(peers);
        let rows = lab.group(&task, contenders, |lab, entrant| {
            let contender = &*entrant.contender;
            let (_, target) = lab.target(contender, mode, 0)?;
            let client = contender.prepare(&target)?;
            let mut sessions = Vec::with_capacity(count);
            let region = allocations();
            // One after the other, so that the backlog does not overflow.
            for _ in 0..count {
                let mut session = client.open()?;
                session.load(&task.mail, 1)?;
                session.send()?;
                sessions.push(session);
            }
            let kib = held(&region.change()) / 1024.0 / count as f64;
            entrant.row.samples.push(kib);
            Ok(())
        });
        section.rows.extend(rows);
    }
    Ok(section)
}

fn row(group: &str, who: &str, octets: f64, count: usize) -> Row {
    let mut row = Row::new(group, who);
    row.samples.push(octets / 1024.0 / count as f64);
    row
}

/// Takes the output of an endpoint.
fn output(machine: &mut impl Endpoint) -> Vec<u8> {
    let mut output = machine.output();
    let mut octets = vec![0; output.remaining()];
    output.copy_to_slice(&mut octets);
    octets
}

fn greet(machine: &mut impl Endpoint) {
    for reply in [GREETING, OFFER] {
        machine.handle_input(Instant::EPOCH, reply);
        output(machine);
    }
    while machine.poll_event().is_some() {}
}

fn core(count: usize) -> Row {
    let config = ClientConfig::new(HelloName::localhost(), Security::None);
    let config = Arc::new(config);
    let mut sessions = Vec::with_capacity(count);
    let region = allocations();
    for _ in 0..count {
        let mut client = Client::new(Arc::clone(&config));
        greet(&mut client);
        sessions.push(client);
    }
    // The vector contains the machine itself.
    let octets = held(&region.change()) + (count * size_of::<Client>()) as f64;
    row(
        "in memory",
        "postwire-proto Client, plaintext",
        octets,
        count,
    )
}

type Server = (Arc<ServerConfig>, Target);

fn server() -> Result<Server, Failure> {
    let (config, root) = server_config()?;
    Ok((config, Target::plain(0, &root)))
}

/// The client's end of a TLS session.
trait End {
    fn says(&mut self) -> Result<Vec<u8>, Failure>;
    fn hears(&mut self, octets: &[u8]) -> Result<(), Failure>;
}

impl End for ClientConnection {
    fn says(&mut self) -> Result<Vec<u8>, Failure> {
        let mut octets = Vec::new();
        while self.wants_write() {
            self.write_tls(&mut octets)?;
        }
        Ok(octets)
    }

    fn hears(&mut self, mut octets: &[u8]) -> Result<(), Failure> {
        while !octets.is_empty() {
            self.read_tls(&mut octets)?;
            self.process_new_packets()?;
        }
        Ok(())
    }
}

impl End for postwire_tls::Connection {
    fn says(&mut self) -> Result<Vec<u8>, Failure> {
        Ok(output(self))
    }

    fn hears(&mut self, octets: &[u8]) -> Result<(), Failure> {
        self.handle_input(Instant::EPOCH, octets);
        Ok(())
    }
}

/// Moves octets between the two ends until neither has output.
fn join(server: &mut ServerConnection, client: &mut impl End) -> Result<(), Failure> {
    loop {
        let flight = client.says()?;
        let mut input = &flight[..];
        while !input.is_empty() {
            server.read_tls(&mut input)?;
            server.process_new_packets()?;
        }
        let mut back = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut back)?;
        }
        if flight.is_empty() && back.is_empty() {
            return Ok(());
        }
        client.hears(&back)?;
    }
}

/// The lower bound: rustls alone.
fn raw_tls(count: usize, server: &Arc<ServerConfig>, root: &Target) -> Result<Row, Failure> {
    let config = root.rustls()?;
    let mut sessions = Vec::with_capacity(count);
    let region = allocations();
    for _ in 0..count {
        let name = ServerName::try_from(HOST)?;
        let mut client = ClientConnection::new(Arc::clone(&config), name)?;
        join(&mut ServerConnection::new(Arc::clone(server))?, &mut client)?;
        sessions.push(client);
    }
    let octets = held(&region.change()) + (count * size_of::<ClientConnection>()) as f64;
    Ok(row(
        "in memory",
        "rustls ClientConnection (floor of TLS)",
        octets,
        count,
    ))
}

fn postwire_tls(count: usize, server: &Arc<ServerConfig>, root: &Target) -> Result<Row, Failure> {
    let root = Certificate::from_pem(root.root.as_bytes())?;
    let trusting = |tls: TlsParametersBuilder| {
        tls.certificate_store(CertificateStore::None)
            .add_root_certificate(root)
    };
    let config: TransportConfig = TransportBuilder::from_url("smtps://127.0.0.1")?
        .tls_parameters(trusting)
        .build()?;
    let mut sessions = Vec::with_capacity(count);
    let region = allocations();
    for _ in 0..count {
        let mut client = postwire_tls::Connection::new(&config.client_config(), config.tls());
        let mut server = ServerConnection::new(Arc::clone(server))?;
        join(&mut server, &mut client)?;
        for reply in [GREETING, OFFER] {
            server.writer().write_all(reply)?;
            join(&mut server, &mut client)?;
        }
        while client.poll_event().is_some() {}
        if !client.is_ready() {
            return Err("a session does not stand".into());
        }
        sessions.push(client);
    }
    let size = size_of::<postwire_tls::Connection>();
    let octets = held(&region.change()) + (count * size) as f64;
    Ok(row("in memory", "postwire-tls Connection", octets, count))
}
