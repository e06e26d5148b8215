//! mail-send: unmodified, with `TCP_NODELAY` set on its stream, and with the commands of a
//! message pipelined through its public methods.

use std::sync::Arc;
use std::time::Duration;

use mail_send::smtp::message::Message;
use mail_send::{Credentials, SmtpClient, SmtpClientBuilder};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Client, Contender, Failure, Mail, Session, Target, current_thread, multi_thread};
use crate::job::{HOST, Mode, PASSWORD, SENDER, USER};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Variant {
    AsItComes,
    NoDelay,
    Pipelined,
}

pub(super) fn all() -> Vec<Box<dyn Contender>> {
    vec![
        Box::new(MailSend(Variant::AsItComes)),
        Box::new(MailSend(Variant::NoDelay)),
        Box::new(MailSend(Variant::Pipelined)),
    ]
}

struct MailSend(Variant);

impl Contender for MailSend {
    fn name(&self) -> &'static str {
        match self.0 {
            Variant::AsItComes => "mail-send",
            Variant::NoDelay => "mail-send, no stall",
            Variant::Pipelined => "mail-send, no stall, pipelined by hand",
        }
    }

    fn stalls(&self) -> bool {
        self.0 == Variant::AsItComes
    }

    fn round_trips(&self) -> usize {
        if self.0 == Variant::Pipelined { 2 } else { 4 }
    }

    fn prepare(&self, target: &Target) -> Result<Box<dyn Client>, Failure> {
        let connector = TlsConnector::from(target.rustls()?);
        let mut builder =
            SmtpClientBuilder::new_with_tls_connector(HOST.to_owned(), target.port, connector)
                .implicit_tls(target.mode == Mode::Wrapper)
                .timeout(Duration::from_secs(60));
        if target.auth {
            builder = builder.credentials(Credentials::Plain {
                username: USER.to_owned(),
                secret: PASSWORD.to_owned(),
            });
        }
        Ok(Box::new(Prepared {
            builder: Arc::new(builder),
            mode: target.mode,
            variant: self.0,
        }))
    }
}

#[derive(Clone)]
struct Prepared {
    builder: Arc<SmtpClientBuilder<String>>,
    mode: Mode,
    variant: Variant,
}

enum Either {
    Plain(SmtpClient<TcpStream>),
    Secured(Box<SmtpClient<TlsStream<TcpStream>>>),
}

#[derive(Clone)]
struct Letters {
    message: Message<'static>,
    /// The messages as commands, for the pipelined variant.
    commands: Vec<String>,
    count: usize,
}

impl Letters {
    fn new(mail: &Mail, messages: usize) -> Self {
        let to = mail.recipients.iter().cloned();
        let mut commands = vec![format!("MAIL FROM:<{SENDER}>\r\n")];
        let rcpt = |to: &String| format!("RCPT TO:<{to}>\r\n");
        commands.extend(mail.recipients.iter().map(rcpt));
        commands.push("DATA\r\n".to_owned());
        Self {
            message: Message::new(SENDER.to_owned(), to, mail.body.to_vec()),
            commands,
            count: messages,
        }
    }

    async fn send<S>(&self, client: &mut SmtpClient<S>, variant: Variant) -> Result<(), Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        for _ in 0..self.count {
            if variant != Variant::Pipelined {
                // The API requires cloned addresses; the body is borrowed.
                let message = Message {
                    mail_from: self.message.mail_from.clone(),
                    rcpt_to: self.message.rcpt_to.clone(),
                    body: (&*self.message.body).into(),
                };
                client.send(message).await?;
                continue;
            }
            let replies = client.cmds(&self.commands).await?;
            if replies.iter().any(|reply| reply.code() >= 400) {
                return Err("a command was refused".into());
            }
            client.write_message(&self.message.body).await?;
            if client.read().await?.code() != 250 {
                return Err("the message was refused".into());
            }
        }
        Ok(())
    }
}

impl Prepared {
    async fn connect(&self) -> Result<Either, Failure> {
        let builder = &*self.builder;
        if self.variant != Variant::AsItComes {
            return self.connect_without_delay().await;
        }
        Ok(match self.mode {
            Mode::Plain => Either::Plain(builder.connect_plain().await?),
            _ => Either::Secured(Box::new(builder.connect().await?)),
        })
    }

    /// The steps of the builder, over a stream that has the option from the start.
    async fn connect_without_delay(&self) -> Result<Either, Failure> {
        let builder = &*self.builder;
        let stream = TcpStream::connect(&builder.addr).await?;
        stream.set_nodelay(true)?;
        let timeout = builder.timeout;
        let mut client = SmtpClient { stream, timeout };
        let tls = &builder.tls_connector;
        Ok(match self.mode {
            Mode::Plain => {
                client.read().await?;
                Either::Plain(self.log_in(client).await?)
            }
            Mode::Wrapper => {
                let mut client = client.into_tls(tls, HOST).await?;
                client.read().await?;
                Either::Secured(Box::new(self.log_in(client).await?))
            }
            Mode::StartTls => {
                client.read().await?;
                client.ehlo(&builder.local_host).await?;
                let client = client.start_tls(tls, HOST).await?;
                Either::Secured(Box::new(self.log_in(client).await?))
            }
        })
    }

    async fn log_in<S>(&self, mut client: SmtpClient<S>) -> Result<SmtpClient<S>, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let host = &self.builder.local_host;
        let capabilities = client.capabilities(host, false).await?;
        if let Some(credentials) = &self.builder.credentials {
            client.authenticate(credentials, &capabilities).await?;
        }
        Ok(client)
    }

    async fn send(&self, client: &mut Either, letters: &Letters) -> Result<(), Failure> {
        match client {
            Either::Plain(client) => letters.send(client, self.variant).await,
            Either::Secured(client) => letters.send(&mut **client, self.variant).await,
        }
    }
}

impl Client for Prepared {
    fn open(&self) -> Result<Box<dyn Session>, Failure> {
        let runtime = current_thread()?;
        let client = runtime.block_on(self.connect())?;
        Ok(Box::new(Open {
            runtime,
            client,
            prepared: self.clone(),
            letters: None,
        }))
    }

    fn pool(&self, mail: &Mail, messages: usize, connections: usize) -> Result<bool, Failure> {
        let runtime = multi_thread()?;
        runtime.block_on(async {
            let mut tasks = Vec::new();
            for _ in 0..connections {
                let letters = Letters::new(mail, messages / connections);
                let prepared = self.clone();
                tasks.push(tokio::spawn(async move {
                    let mut client = prepared.connect().await?;
                    prepared.send(&mut client, &letters).await
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
    client: Either,
    prepared: Prepared,
    letters: Option<Letters>,
}

impl Session for Open {
    fn load(&mut self, mail: &Mail, messages: usize) -> Result<(), Failure> {
        self.letters = Some(Letters::new(mail, messages));
        Ok(())
    }

    fn send(&mut self) -> Result<(), Failure> {
        let letters = self.letters.take().ok_or("nothing was loaded")?;
        let sending = self.prepared.send(&mut self.client, &letters);
        self.runtime.block_on(sending)
    }
}
