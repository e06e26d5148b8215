//! The sink for thousands of connections: all of them on one thread.
//!
//! Knows how to wait for many sockets at once. The dialogue is in `session`.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection};
use smol::{Async, LocalExecutor, io::AsyncWriteExt};

use super::{After, Behaviour, Counters, Session};

/// The number of octets that are read at once, on the stack of the thread.
const READ: usize = 16 * 1024;

/// Serves the connections of `listener` until the process ends.
pub(super) fn serve(
    listener: TcpListener,
    behaviour: Behaviour,
    tls: &Arc<ServerConfig>,
    counters: &Arc<Counters>,
) -> io::Result<()> {
    let listener = Async::<TcpListener>::try_from(listener)?;
    let executor = LocalExecutor::new();
    smol::block_on(executor.run(async {
        loop {
            let (stream, _) = listener.accept().await?;
            let (tls, counters) = (Arc::clone(tls), Arc::clone(counters));
            // A client that closes early is not an error of the sink.
            let serving = async move {
                let _ = serve_one(&stream, behaviour, tls, &counters).await;
            };
            executor.spawn(serving).detach();
        }
    }))
}

async fn serve_one(
    mut stream: &Async<TcpStream>,
    behaviour: Behaviour,
    tls: Arc<ServerConfig>,
    counters: &Counters,
) -> io::Result<()> {
    stream.get_ref().set_nodelay(true)?;
    Counters::add(&counters.connections, 1);
    let mut session = Session::new(behaviour, counters);
    let mut tls = if behaviour.wrapper {
        Some(ServerConnection::new(tls).map_err(io::Error::other)?)
    } else {
        None
    };
    loop {
        let output = output(&mut session, tls.as_mut())?;
        stream.write_all(&output).await?;
        drop(output);
        if behaviour.quick_ack {
            socket2::SockRef::from(stream.get_ref()).set_tcp_quickack(true)?;
        }
        stream.readable().await?;
        match read(stream.get_ref(), &mut session, tls.as_mut()) {
            Ok(Some(After::Quit)) => {
                let output = self::output(&mut session, tls.as_mut())?;
                return stream.write_all(&output).await;
            }
            Ok(Some(_)) => {}
            Ok(None) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// The octets to write.
fn output(session: &mut Session<'_>, tls: Option<&mut ServerConnection>) -> io::Result<Vec<u8>> {
    let mut output = Vec::new();
    match tls {
        None => output.extend_from_slice(session.replies()),
        Some(tls) => {
            tls.writer().write_all(session.replies())?;
            while tls.wants_write() {
                tls.write_tls(&mut output)?;
            }
        }
    }
    session.clear();
    Ok(output)
}

/// Reads once. Returns `None` at the end of the stream.
fn read(
    mut stream: &TcpStream,
    session: &mut Session<'_>,
    tls: Option<&mut ServerConnection>,
) -> io::Result<Option<After>> {
    let mut input = [0; READ];
    let octets = stream.read(&mut input)?;
    if octets == 0 {
        return Ok(None);
    }
    let mut input = &input[..octets];
    let Some(tls) = tls else {
        return Ok(Some(session.take(input)));
    };
    let mut after = After::Go;
    let mut text = [0; READ];
    while !input.is_empty() {
        tls.read_tls(&mut input)?;
        let state = tls.process_new_packets().map_err(io::Error::other)?;
        let mut left = state.plaintext_bytes_to_read();
        while left > 0 {
            let octets = tls.reader().read(&mut text)?;
            after = session.take(&text[..octets]);
            left -= octets.min(left);
        }
        if state.peer_has_closed() {
            return Ok(None);
        }
    }
    Ok(Some(after))
}
