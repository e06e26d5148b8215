//! async-smtp on tokio, over a buffered stream with `TCP_NODELAY`, with its own pipelining: the
//! fastest way that its API allows.

use std::sync::Arc;

use async_smtp::authentication::{Credentials, Mechanism};
use async_smtp::{Envelope, SendableEmail, SmtpClient, SmtpTransport};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, BufStream};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;

use super::{Client, Contender, Failure, Mail, Session, Target, current_thread, multi_thread};
use crate::job::{HOST, Mode, PASSWORD, SENDER, USER};

pub(super) fn all() -> Vec<Box<dyn Contender>> {
    vec![Box::new(AsyncSmtp)]
}

struct AsyncSmtp;

impl Contender for AsyncSmtp {
    fn name(&self) -> &'static str {
        "async-smtp"
    }

    fn round_trips(&self) -> usize {
        2
    }

    fn prepare(&self, target: &Target) -> Result<Box<dyn Client>, Failure> {
        Ok(Box::new(Prepared {
            target: target.clone(),
            connector: TlsConnector::from(target.rustls()?),
        }))
    }
}

#[derive(Clone)]
struct Prepared {
    target: Target,
    connector: TlsConnector,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

type Transport = SmtpTransport<BufStream<Box<dyn Stream>>>;

impl Prepared {
    async fn connect(&self) -> Result<Transport, Failure> {
        let stream = TcpStream::connect((HOST, self.target.port)).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(HOST)?;
        let (client, stream): (_, Box<dyn Stream>) = match self.target.mode {
            Mode::Plain => (SmtpClient::new(), Box::new(stream)),
            Mode::Wrapper => {
                let stream = self.connector.connect(name, stream).await?;
                (SmtpClient::new(), Box::new(stream))
            }
            Mode::StartTls => {
                let transport = SmtpTransport::new(SmtpClient::new(), BufStream::new(stream));
                let stream = transport.await?.starttls().await?.into_inner();
                let stream = self.connector.connect(name, stream).await?;
                (SmtpClient::new().without_greeting(), Box::new(stream))
            }
        };
        let mut transport = SmtpTransport::new(client, BufStream::new(stream)).await?;
        if self.target.auth {
            let credentials = Credentials::new(USER.into(), PASSWORD.into());
            transport
                .try_login(&credentials, &[Mechanism::Plain])
                .await?;
        }
        Ok(transport)
    }
}

fn letters(mail: &Mail, messages: usize) -> Result<Vec<SendableEmail>, Failure> {
    let to: Result<Vec<_>, _> = mail.recipients.iter().map(|to| to.parse()).collect();
    let envelope = Envelope::new(Some(SENDER.parse()?), to?)?;
    let letter = |_| SendableEmail::new(envelope.clone(), mail.body.to_vec());
    Ok((0..messages).map(letter).collect())
}

async fn send(transport: &mut Transport, letters: Vec<SendableEmail>) -> Result<(), Failure> {
    for letter in letters {
        transport.send(letter).await?;
    }
    Ok(())
}

impl Client for Prepared {
    fn open(&self) -> Result<Box<dyn Session>, Failure> {
        let runtime = current_thread()?;
        let transport = runtime.block_on(self.connect())?;
        Ok(Box::new(Open {
            runtime,
            transport,
            letters: Vec::new(),
        }))
    }

    fn pool(&self, mail: &Mail, messages: usize, connections: usize) -> Result<bool, Failure> {
        let shared = Arc::new(self.clone());
        let runtime = multi_thread()?;
        runtime.block_on(async {
            let mut tasks = Vec::new();
            for _ in 0..connections {
                let letters = letters(mail, messages / connections)?;
                let client = Arc::clone(&shared);
                tasks.push(tokio::spawn(async move {
                    let mut transport = client.connect().await?;
                    send(&mut transport, letters).await
                }));
            }
            for task in tasks {
                task.await??;
            }
            Ok(true)
        })
    }
}

struct Open {
    runtime: Runtime,
    transport: Transport,
    letters: Vec<SendableEmail>,
}

impl Session for Open {
    fn load(&mut self, mail: &Mail, messages: usize) -> Result<(), Failure> {
        self.letters = letters(mail, messages)?;
        Ok(())
    }

    fn send(&mut self) -> Result<(), Failure> {
        let letters = std::mem::take(&mut self.letters);
        self.runtime.block_on(send(&mut self.transport, letters))
    }
}
