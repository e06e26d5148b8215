//! A dialogue by hand, for what a client that sends mail never does.
//!
//! Knows lines and replies. Must never know credentials, nor send content with an accepted
//! recipient.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use postwire_blocking::proto::{
    Capabilities, Error, ErrorKind, HelloName, Protocol, Reply, ReplyLimits, ReplyReader, ReplyRef,
    Security, Stage, Violation,
};
use postwire_blocking::tls::rustls::{ClientConnection, StreamOwned};
use postwire_blocking::tls::{TlsFailure, rustls};
use postwire_blocking::transport::TransportConfig;

use super::handshake::{TimedSocket, socket_error, until_tls};

/// The most capabilities that are kept.
const MAX_CAPABILITIES: usize = 100;

/// The stream of a dialogue, whose steps have a time limit.
trait Timed: Read + Write {
    fn socket(&mut self) -> &mut TimedSocket;
}

impl Timed for TimedSocket {
    fn socket(&mut self) -> &mut TimedSocket {
        self
    }
}

impl Timed for StreamOwned<ClientConnection, TimedSocket> {
    fn socket(&mut self) -> &mut TimedSocket {
        &mut self.sock
    }
}

/// A dialogue with a server whose certificate, if there is TLS, was verified.
pub(super) struct Dialogue {
    stream: Box<dyn Timed>,
    /// The time limit of each command and its reply.
    limit: Duration,
    reader: ReplyReader,
    /// What was received and is not read.
    input: Vec<u8>,
    stage: Stage,
}

impl Dialogue {
    /// Opens a session as the configuration says, up to the reply to `EHLO` or `LHLO`.
    pub(super) fn open(
        config: &TransportConfig,
        address: SocketAddr,
        limit: Duration,
    ) -> Result<(Self, Capabilities), Error> {
        let mode = config.tls().security();
        let socket = until_tls(config, address, limit)?;
        let name = hello_name(config, &socket);
        let stream: Box<dyn Timed> = match config.tls().parameters() {
            None => Box::new(socket),
            Some(parameters) => {
                let session = ClientConnection::new(
                    Arc::clone(parameters.rustls_config()),
                    parameters.server_name(),
                );
                Box::new(StreamOwned::new(session.map_err(tls_error)?, socket))
            }
        };
        let mut dialogue = Self {
            stream,
            limit,
            reader: ReplyReader::new(ReplyLimits::default()),
            input: Vec::new(),
            stage: Stage::Greeting,
        };
        if matches!(mode, Security::None | Security::Wrapper) {
            dialogue.accepted()?;
        }
        dialogue.stage = Stage::Ehlo;
        let verb = match config.client_config().protocol {
            Protocol::Lmtp => "LHLO",
            Protocol::Smtp => "EHLO",
        };
        dialogue.say(&format!("{verb} {name}\r\n"))?;
        let reply = dialogue.accepted()?;
        let capabilities = Capabilities::parse(reply.as_ref(), MAX_CAPABILITIES)
            .map_err(|_| Error::new(Stage::Ehlo, ErrorKind::Refused(reply)))?;
        dialogue.stage = Stage::Data;
        Ok((dialogue, capabilities))
    }

    /// Writes these octets at once.
    pub(super) fn say(&mut self, octets: &str) -> Result<(), Error> {
        self.stream.socket().begin(self.limit);
        let written = self.stream.write_all(octets.as_bytes());
        written
            .and_then(|()| self.stream.flush())
            .map_err(|error| socket_error(self.stage, error))
    }

    /// Writes a command and reads the reply.
    pub(super) fn ask(&mut self, command: &str) -> Result<Reply, Error> {
        self.say(&format!("{command}\r\n"))?;
        self.reply()
    }

    /// Reads the next reply.
    pub(super) fn reply(&mut self) -> Result<Reply, Error> {
        self.stream.socket().begin(self.limit);
        loop {
            let mut input = &self.input[..];
            let read = self.reader.read(&mut input);
            let reply = match read {
                Ok(reply) => reply.map(ReplyRef::to_owned),
                Err(error) => {
                    let violation = ErrorKind::Violation(Violation::Reply(error));
                    return Err(Error::new(self.stage, violation));
                }
            };
            let rest = input.len();
            self.input.drain(..self.input.len() - rest);
            if let Some(reply) = reply {
                return Ok(reply);
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(Error::new(self.stage, ErrorKind::ConnectionClosed)),
                Ok(octets) => self.input.extend_from_slice(&chunk[..octets]),
                Err(error) => return Err(socket_error(self.stage, error)),
            }
        }
    }

    fn accepted(&mut self) -> Result<Reply, Error> {
        let reply = self.reply()?;
        if reply.code().is_positive() {
            Ok(reply)
        } else {
            Err(Error::new(self.stage, ErrorKind::Refused(reply)))
        }
    }
}

fn hello_name(config: &TransportConfig, socket: &TimedSocket) -> HelloName {
    let own = config.client_config().hello_name.clone();
    let local = || socket.local_address().map(HelloName::from);
    own.or_else(local).unwrap_or_else(HelloName::localhost)
}

fn tls_error(error: rustls::Error) -> Error {
    let failure = TlsFailure::from(error);
    Error::new(Stage::Tls, ErrorKind::Tls(Arc::new(failure)))
}
