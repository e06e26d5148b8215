//! The lower bound: prepared octets of many messages in each write, in plaintext or through a
//! raw rustls session.
//!
//! Knows one fixed dialogue. Checks nothing but the number of replies, which no real client can
//! do.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use bytes::Bytes;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use super::{Client, Contender, Failure, Mail, Session, Target};
use crate::job::{HOST, Mode, SENDER};

pub(crate) const RAW: &str = "raw loop (floor)";

/// The number of octets in one write.
const BATCH: usize = 256 * 1024;

pub(super) struct Raw;

impl Contender for Raw {
    fn name(&self) -> &'static str {
        RAW
    }

    fn round_trips(&self) -> usize {
        0
    }

    fn prepare(&self, target: &Target) -> Result<Box<dyn Client>, Failure> {
        let tls = match target.mode {
            Mode::Plain => None,
            _ => Some(target.rustls()?),
        };
        let port = target.port;
        Ok(Box::new(Prepared { port, tls }))
    }
}

struct Prepared {
    port: u16,
    tls: Option<Arc<rustls::ClientConfig>>,
}

impl Client for Prepared {
    fn open(&self) -> Result<Box<dyn Session>, Failure> {
        let stream = TcpStream::connect((HOST, self.port))?;
        stream.set_nodelay(true)?;
        Ok(match &self.tls {
            None => Box::new(Floor::greeted(stream)?),
            Some(config) => {
                let name = ServerName::try_from(HOST)?;
                let mut session = ClientConnection::new(Arc::clone(config), name)?;
                // A whole batch is encrypted before it is written.
                session.set_buffer_limit(Some(2 * BATCH));
                Box::new(Floor::greeted(StreamOwned::new(session, stream))?)
            }
        })
    }
}

struct Floor<S> {
    stream: S,
    /// Each batch with the number of messages that end in it.
    batches: Vec<(Bytes, usize)>,
    /// The number of replies per message.
    replies: usize,
    /// The number of outstanding replies; those to the last batch may come early.
    outstanding: usize,
    input: Vec<u8>,
}

impl<S: Read + Write> Floor<S> {
    fn greeted(stream: S) -> Result<Self, Failure> {
        let mut floor = Self {
            stream,
            batches: Vec::new(),
            replies: 0,
            outstanding: 1,
            input: vec![0; 64 * 1024],
        };
        floor.hear(0)?;
        floor.stream.write_all(b"EHLO floor.example\r\n")?;
        loop {
            let octets = floor.stream.read(&mut floor.input)?;
            // The last line of the reply begins with this text, at any position.
            if octets == 0 || memchr::memmem::find(&floor.input[..octets], b"250 ").is_some() {
                break;
            }
        }
        Ok(floor)
    }

    /// Reads until at most `left` replies are outstanding.
    fn hear(&mut self, left: usize) -> Result<(), Failure> {
        while self.outstanding > left {
            let octets = self.stream.read(&mut self.input)?;
            if octets == 0 {
                return Err("the sink hung up".into());
            }
            let lines = memchr::memchr_iter(b'\n', &self.input[..octets]).count();
            self.outstanding = self.outstanding.saturating_sub(lines);
        }
        Ok(())
    }
}

impl<S: Read + Write> Session for Floor<S> {
    fn load(&mut self, mail: &Mail, messages: usize) -> Result<(), Failure> {
        self.replies = mail.recipients.len() + 2;
        self.batches.clear();
        let mut message = format!("MAIL FROM:<{SENDER}>\r\n").into_bytes();
        for recipient in &mail.recipients {
            write!(message, "RCPT TO:<{recipient}>\r\n")?;
        }
        write!(message, "BDAT {} LAST\r\n", mail.body.len())?;
        if mail.body.len() > BATCH {
            // A body of this size is written without a copy.
            for _ in 0..messages {
                self.batches.push((Bytes::from(message.clone()), 0));
                let mut rest = mail.body.clone();
                while rest.len() > BATCH {
                    self.batches.push((rest.split_to(BATCH), 0));
                }
                self.batches.push((rest, 1));
            }
            return Ok(());
        }
        message.extend_from_slice(&mail.body);
        let each = (BATCH / message.len()).max(1);
        let full = Bytes::from(message.repeat(each));
        let mut left = messages;
        while left > 0 {
            let here = left.min(each);
            self.batches
                .push((full.slice(..here * message.len()), here));
            left -= here;
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), Failure> {
        let batches = std::mem::take(&mut self.batches);
        for (batch, messages) in &batches {
            self.stream.write_all(batch)?;
            // The replies to a batch are read while the next one is sent.
            let replies = messages * self.replies;
            self.outstanding += replies;
            self.hear(replies)?;
        }
        self.hear(0)
    }
}
