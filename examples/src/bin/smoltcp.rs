//! A message over smoltcp, the TCP/IP stack of embedded boards, with socket buffers of one
//! kilobyte and the limits of a session to match. Client and server meet on smoltcp's loopback
//! device, on a clock that the program turns itself.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use postwire_server::{Server, ServerConfig, ServerEvent};
use postwire_tls::proto::{
    Client, ClientConfig, Endpoint, Envelope, Event, HelloName, Instant, Limits, Outcome,
    ReplyLimits, Security,
};
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::{Loopback, Medium};
use smoltcp::socket::tcp;
use smoltcp::time::Instant as NetInstant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

/// The memory of a TCP socket, in octets, in each direction.
const SOCKET_BUFFER: usize = 1024;

/// One turn of the clock.
const TICK: Duration = Duration::from_millis(1);

/// The message lies in flash, and is never copied into memory of the session.
static MESSAGE: &[u8] = include_bytes!("smoltcp.rs");

fn main() -> Result<(), Box<dyn Error>> {
    let mut device = Loopback::new(Medium::Ip);
    let mut interface = Interface::new(
        Config::new(HardwareAddress::Ip),
        &mut device,
        NetInstant::ZERO,
    );
    let here = IpAddress::v4(127, 0, 0, 1);
    interface.update_ip_addrs(|addresses| {
        // One address fits.
        let _ = addresses.push(IpCidr::new(here, 8));
    });
    let mut sockets = SocketSet::new(Vec::new());
    let server_socket = sockets.add(socket());
    let client_socket = sockets.add(socket());
    sockets
        .get_mut::<tcp::Socket<'_>>(server_socket)
        .listen(25)?;
    let context = interface.context();
    let socket = sockets.get_mut::<tcp::Socket<'_>>(client_socket);
    socket.connect(context, (here, 25), 49_152)?;

    let mut client = client()?;
    let mut server = Server::new(Arc::new(ServerConfig::new("board.example".parse()?)));
    let mut stored = Vec::new();
    let mut report = None;
    let mut now = Instant::EPOCH;
    while !client.is_closed() {
        now = now + TICK;
        let millis = i64::try_from(now.since_epoch().as_millis())?;
        interface.poll(NetInstant::from_millis(millis), &mut device, &mut sockets);
        exchange(now, &mut client, sockets.get_mut(client_socket))?;
        exchange(now, &mut server, sockets.get_mut(server_socket))?;
        while let Some(event) = server.poll_event() {
            match event {
                ServerEvent::MailFrom { .. } | ServerEvent::RcptTo { .. } | ServerEvent::Data => {
                    server.accept()?;
                }
                ServerEvent::Message(message) => {
                    stored.push(message);
                    server.accept()?;
                }
                _ => {}
            }
        }
        while let Some(event) = client.poll_event() {
            if let Event::Report(of_message) = event {
                report = Some(of_message);
            }
        }
    }
    let report = report.ok_or("no report")?;
    println!(
        "{report}, after {:?} on the board's clock",
        now.since_epoch()
    );
    assert!(matches!(report.outcome(), Outcome::Accepted(_)));
    assert_eq!(stored.len(), 1);
    Ok(())
}

fn socket() -> tcp::Socket<'static> {
    let buffer = || tcp::SocketBuffer::new(vec![0; SOCKET_BUFFER]);
    tcp::Socket::new(buffer(), buffer())
}

fn client() -> Result<Client, Box<dyn Error>> {
    let reply = ReplyLimits::default().line(512).lines(32).bytes(2048);
    let limits = Limits::default()
        .reply(reply)
        .capabilities(32)
        .outstanding_replies(16)
        .trace_lines(0)
        .output_window(SOCKET_BUFFER);
    let config = ClientConfig::new(HelloName::localhost(), Security::None).limits(limits);
    let mut client = Client::new(Arc::new(config));
    let envelope = Envelope::new(
        Some("sensor@board.example".parse()?),
        vec!["desk@example.org".parse()?],
    )?;
    client.send(envelope, Bytes::from_static(MESSAGE));
    client.quit();
    Ok(client)
}

/// Moves what can be moved between a session and its socket.
fn exchange(
    now: Instant,
    session: &mut impl Endpoint,
    socket: &mut tcp::Socket<'_>,
) -> Result<(), Box<dyn Error>> {
    while socket.can_recv() {
        socket.recv(|octets| {
            session.handle_input(now, octets);
            (octets.len(), ())
        })?;
    }
    while socket.can_send() && !session.output_chunk().is_empty() {
        let sent = socket.send_slice(session.output_chunk())?;
        session.advance_output(sent);
    }
    if session
        .poll_timeout()
        .is_some_and(|deadline| deadline <= now)
    {
        session.handle_timeout(now);
    }
    Ok(())
}
