//! lettre: the blocking client (unmodified, and with a server that acknowledges at once, since
//! its stream is not accessible), and the tokio client over a separate stream with
//! `TCP_NODELAY`. For a pool: its own transports.

use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use lettre::address::Envelope;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, Certificate, CertificateStore, SmtpConnection, Tls, TlsParameters,
};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::{AsyncSmtpTransport, PoolConfig, SmtpTransport};
use lettre::{AsyncTransport, Tokio1Executor, Transport};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, LocalSet};

use super::{
    Client, Contender, Crowd, Failure, HalfTime, Mail, Senders, Session, Stage, Target,
    current_thread, multi_thread,
};
use crate::job::{HOST, Mode, PASSWORD, SENDER, USER};

pub(crate) const BLOCKING_NO_STALL: &str = "lettre blocking, no stall";
pub(crate) const TOKIO: &str = "lettre tokio";
pub(crate) const TOKIO_NO_STALL: &str = "lettre tokio, no stall";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Variant {
    AsItComes,
    QuickAck,
    Tokio,
    TokioQuickAck,
}

pub(super) fn all() -> Vec<Box<dyn Contender>> {
    vec![
        Box::new(Lettre(Variant::AsItComes)),
        Box::new(Lettre(Variant::QuickAck)),
        Box::new(Lettre(Variant::TokioQuickAck)),
    ]
}

/// The variants with a pool, for concurrent senders.
pub(super) fn with_pool() -> Vec<Box<dyn Contender>> {
    let mut all = all();
    all.push(Box::new(Lettre(Variant::Tokio)));
    all
}

struct Lettre(Variant);

impl Contender for Lettre {
    fn name(&self) -> &'static str {
        match self.0 {
            Variant::AsItComes => "lettre blocking",
            Variant::QuickAck => BLOCKING_NO_STALL,
            Variant::Tokio => TOKIO,
            Variant::TokioQuickAck => TOKIO_NO_STALL,
        }
    }

    fn stalls(&self) -> bool {
        matches!(self.0, Variant::AsItComes | Variant::Tokio)
    }

    fn wants_quick_ack(&self) -> bool {
        matches!(self.0, Variant::QuickAck | Variant::TokioQuickAck)
    }

    fn prepare(&self, target: &Target) -> Result<Box<dyn Client>, Failure> {
        let tls = match target.mode {
            Mode::Plain => None,
            Mode::StartTls | Mode::Wrapper => {
                let root = Certificate::from_pem(target.root.as_bytes())?;
                let builder = TlsParameters::builder(HOST.to_owned());
                let builder = builder.certificate_store(CertificateStore::None);
                Some(builder.add_root_certificate(root).build_rustls()?)
            }
        };
        Ok(Box::new(Prepared {
            target: target.clone(),
            tls,
            variant: self.0,
        }))
    }
}

#[derive(Clone)]
struct Prepared {
    target: Target,
    tls: Option<TlsParameters>,
    variant: Variant,
}

#[derive(Clone, Default)]
struct Letters {
    envelope: Option<Arc<Envelope>>,
    body: Bytes,
    count: usize,
}

impl Letters {
    fn load(mail: &Mail, messages: usize) -> Result<Self, Failure> {
        let to: Result<Vec<_>, _> = mail.recipients.iter().map(|to| to.parse()).collect();
        let envelope = Envelope::new(Some(SENDER.parse()?), to?)?;
        Ok(Self {
            envelope: Some(Arc::new(envelope)),
            body: mail.body.clone(),
            count: messages,
        })
    }

    fn envelope(&self) -> Result<&Envelope, Failure> {
        Ok(self.envelope.as_deref().ok_or("nothing was loaded")?)
    }
}

impl Prepared {
    fn is_async(&self) -> bool {
        matches!(self.variant, Variant::Tokio | Variant::TokioQuickAck)
    }

    fn credentials() -> Credentials {
        Credentials::new(USER.to_owned(), PASSWORD.to_owned())
    }

    fn connect(&self) -> Result<SmtpConnection, Failure> {
        let hello = ClientId::default();
        let wrapper = self.tls.as_ref();
        let wrapper = wrapper.filter(|_| self.target.mode == Mode::Wrapper);
        let timeout = Some(Duration::from_secs(60));
        let server = (HOST, self.target.port);
        let mut connection = SmtpConnection::connect(server, timeout, &hello, wrapper, None)?;
        if let (Mode::StartTls, Some(tls)) = (self.target.mode, &self.tls) {
            connection.starttls(tls, &hello)?;
        }
        if self.target.auth {
            connection.auth(&[Mechanism::Plain], &Self::credentials())?;
        }
        Ok(connection)
    }

    // lettre documents that this stream should not be public, but it is the only way to set
    // another stream.
    #[allow(deprecated)]
    async fn connect_tokio(&self) -> Result<AsyncSmtpConnection, Failure> {
        let hello = ClientId::default();
        let mut connection = if self.target.mode == Mode::Wrapper {
            // A TLS stream cannot be set: this uses lettre's own, without the option.
            let server = (HOST, self.target.port);
            let timeout = Some(Duration::from_secs(60));
            let tls = self.tls.clone();
            AsyncSmtpConnection::connect_tokio1(server, timeout, &hello, tls, None).await?
        } else {
            let stream = TcpStream::connect((HOST, self.target.port)).await?;
            stream.set_nodelay(true)?;
            AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello).await?
        };
        if let (Mode::StartTls, Some(tls)) = (self.target.mode, &self.tls) {
            connection.starttls(tls.clone(), &hello).await?;
        }
        if self.target.auth {
            let mechanisms = [Mechanism::Plain];
            connection.auth(&mechanisms, &Self::credentials()).await?;
        }
        Ok(connection)
    }

    fn tls(&self) -> Tls {
        match (self.target.mode, &self.tls) {
            (Mode::Wrapper, Some(tls)) => Tls::Wrapper(tls.clone()),
            (Mode::StartTls, Some(tls)) => Tls::Required(tls.clone()),
            _ => Tls::None,
        }
    }
}

impl Client for Prepared {
    fn open(&self) -> Result<Box<dyn Session>, Failure> {
        let letters = Letters::default();
        if self.is_async() {
            let runtime = current_thread()?;
            let connection = runtime.block_on(self.connect_tokio())?;
            return Ok(Box::new(OnTokio {
                runtime,
                connection,
                letters,
            }));
        }
        let connection = self.connect()?;
        Ok(Box::new(Blocking {
            connection,
            letters,
        }))
    }

    fn pool(&self, mail: &Mail, messages: usize, connections: usize) -> Result<bool, Failure> {
        self.concurrent(
            mail,
            Senders {
                count: connections,
                messages: messages / connections,
                connections,
            },
        )
    }

    fn crowd(
        &self,
        mail: &Mail,
        crowd: Crowd,
        reached: &mut dyn FnMut(Stage),
    ) -> Result<bool, Failure> {
        if !self.is_async() {
            return Ok(false);
        }
        let letters = Letters::load(mail, 1)?;
        let runtime = current_thread()?;
        reached(Stage::Begun);
        let mut sessions = Sessions {
            client: self,
            letters: &letters,
            open: Vec::with_capacity(crowd.sessions()),
        };
        let local = LocalSet::new();
        local.block_on(&runtime, sessions.open(crowd))?;
        reached(Stage::Idle);
        local.block_on(&runtime, sessions.send(crowd, reached))?;
        reached(Stage::Sent);
        // The sessions need the runtime until they are closed.
        local.block_on(&runtime, async { drop(sessions) });
        Ok(true)
    }

    fn concurrent(&self, mail: &Mail, senders: Senders) -> Result<bool, Failure> {
        let letters = Letters::load(mail, senders.messages)?;
        let pool = PoolConfig::new().max_size(senders.connections as u32);
        if self.is_async() {
            let runtime = multi_thread()?;
            let _inside = runtime.enter();
            let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(HOST)
                .port(self.target.port)
                .tls(self.tls())
                .pool_config(pool)
                .build();
            // The pool opens any number of connections, and limits only those that it keeps.
            let limit = Arc::new(Semaphore::new(senders.connections));
            return runtime.block_on(async {
                let mut tasks = Vec::new();
                for _ in 0..senders.count {
                    let (letters, transport) = (letters.clone(), transport.clone());
                    let limit = Arc::clone(&limit);
                    tasks.push(tokio::spawn(async move {
                        for _ in 0..letters.count {
                            let envelope = letters.envelope()?;
                            let _permit = limit.acquire().await?;
                            transport.send_raw(envelope, &letters.body).await?;
                        }
                        Ok::<(), Failure>(())
                    }));
                }
                for task in tasks {
                    task.await??;
                }
                Ok(true)
            });
        }
        if senders.connections != senders.count {
            return Ok(false);
        }
        let transport = SmtpTransport::builder_dangerous(HOST)
            .port(self.target.port)
            .tls(self.tls())
            .pool_config(pool)
            .build();
        let worker = || {
            (0..letters.count).try_for_each(|_| {
                transport.send_raw(letters.envelope()?, &letters.body)?;
                Ok::<(), Failure>(())
            })
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..senders.count).map(|_| scope.spawn(worker)).collect();
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().map_err(|_| "a thread panicked")?)
        })?;
        Ok(true)
    }
}

/// Many sessions on one thread.
struct Sessions<'a> {
    client: &'a Prepared,
    letters: &'a Letters,
    open: Vec<AsyncSmtpConnection>,
}

impl Sessions<'_> {
    /// Opens sessions, a number of them at the same time, with one message over each.
    async fn open(&mut self, crowd: Crowd) -> Result<(), Failure> {
        while self.open.len() < crowd.sessions() {
            let mut opening = JoinSet::new();
            for _ in 0..Crowd::TOGETHER.min(crowd.sessions() - self.open.len()) {
                let (client, letters) = (self.client.clone(), self.letters.clone());
                opening.spawn_local(async move {
                    let mut session = client.connect_tokio().await?;
                    session.send(letters.envelope()?, &letters.body).await?;
                    Ok::<_, Failure>(session)
                });
            }
            while let Some(session) = opening.join_next().await {
                self.open.push(session??);
            }
        }
        Ok(())
    }

    async fn send(&mut self, crowd: Crowd, reached: &mut dyn FnMut(Stage)) -> Result<(), Failure> {
        let half = Rc::new(HalfTime::new(crowd));
        let mut busy = JoinSet::new();
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        for mut session in self.open.drain(..crowd.busy) {
            let (letters, half, tell) = (self.letters.clone(), Rc::clone(&half), tell.clone());
            busy.spawn_local(async move {
                for _ in 0..crowd.messages {
                    session.send(letters.envelope()?, &letters.body).await?;
                    if half.is_reached() {
                        tell.send(())?;
                    }
                }
                Ok::<_, Failure>(session)
            });
        }
        if told.recv().await.is_some() {
            reached(Stage::Busy);
        }
        while let Some(session) = busy.join_next().await {
            self.open.push(session??);
        }
        Ok(())
    }
}

struct Blocking {
    connection: SmtpConnection,
    letters: Letters,
}

impl Session for Blocking {
    fn load(&mut self, mail: &Mail, messages: usize) -> Result<(), Failure> {
        self.letters = Letters::load(mail, messages)?;
        Ok(())
    }

    fn send(&mut self) -> Result<(), Failure> {
        for _ in 0..self.letters.count {
            let envelope = self.letters.envelope()?;
            self.connection.send(envelope, &self.letters.body)?;
        }
        Ok(())
    }
}

struct OnTokio {
    runtime: Runtime,
    connection: AsyncSmtpConnection,
    letters: Letters,
}

impl Session for OnTokio {
    fn load(&mut self, mail: &Mail, messages: usize) -> Result<(), Failure> {
        self.letters = Letters::load(mail, messages)?;
        Ok(())
    }

    fn send(&mut self) -> Result<(), Failure> {
        let Self {
            runtime,
            connection,
            letters,
        } = self;
        runtime.block_on(async {
            for _ in 0..letters.count {
                connection.send(letters.envelope()?, &letters.body).await?;
            }
            Ok(())
        })
    }
}
