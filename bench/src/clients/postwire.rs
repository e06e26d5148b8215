//! postwire in its variants.
//!
//! Knows only its public API.

use std::cell::RefCell;
use std::thread;

use bytes::Bytes;
use postwire_blocking::{Connection, Transport};
use postwire_futures::Runtime;
use postwire_proto::{Body, Credentials, Envelope, Event, Pipelining, Report};
use postwire_tls::{Certificate, CertificateStore};
use postwire_transport::{PoolConfig, StreamBody, TransportBuilder, TransportConfig};

use super::{
    Client, Contender, Crowd, Failure, HalfTime, Mail, Senders, Session, Stage, Target,
    current_thread, multi_thread,
};
use crate::job::{Mode, PASSWORD, SENDER, USER};

pub(crate) const DEFAULT: &str = "postwire, defaults (CHUNKING)";
pub(crate) const DATA: &str = "postwire, PIPELINING only";
pub(crate) const BOLD: &str = "postwire, bold (CHUNKING)";
pub(crate) const BOLD_DATA: &str = "postwire, bold, PIPELINING only";
pub(crate) const CONNECTION: &str = "postwire, defaults, a bare Connection";
pub(crate) const SEND: &str = "postwire, send() one by one";
pub(crate) const SEND_DATA: &str = "postwire, send() one by one, PIPELINING only";
pub(crate) const SEND_BOLD: &str = "postwire, send() one by one, bold";
pub(crate) const SEND_SMOL: &str = "postwire-smol, send() one by one";
pub(crate) const SEND_CAREFUL: &str = "postwire, send(), careful";
pub(crate) const SEND_CAREFUL_SMOL: &str = "postwire-smol, send(), careful";
pub(crate) const STREAM: &str = "postwire, streamed body";
pub(crate) const SMOL: &str = "postwire-smol, defaults";
pub(crate) const SEND_TOKIO: &str = "postwire-tokio, send() one by one";
pub(crate) const TOKIO: &str = "postwire-tokio, defaults";

/// The size of a piece of a streamed body.
const PIECE: usize = 64 * 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    All,
    /// Without the transport and its pool.
    Connection,
    OneByOne,
    Stream,
    Smol,
    SmolOneByOne,
    Tokio,
    TokioOneByOne,
}

struct Postwire {
    name: &'static str,
    chunking: bool,
    pipelining: Pipelining,
    way: Way,
}

fn contender(
    name: &'static str,
    chunking: bool,
    pipelining: Pipelining,
    way: Way,
) -> Box<dyn Contender> {
    Box::new(Postwire {
        name,
        chunking,
        pipelining,
        way,
    })
}

pub(super) fn all() -> Vec<Box<dyn Contender>> {
    use Pipelining::{Bold, Careful};
    vec![
        contender(DEFAULT, true, Careful, Way::All),
        contender(DATA, false, Careful, Way::All),
        contender(BOLD, true, Bold, Way::All),
        contender(BOLD_DATA, false, Bold, Way::All),
        contender(CONNECTION, true, Careful, Way::Connection),
        contender(SEND, true, Careful, Way::OneByOne),
        contender(STREAM, true, Careful, Way::Stream),
        contender(SMOL, true, Careful, Way::Smol),
        contender(TOKIO, true, Careful, Way::Tokio),
    ]
}

/// The variants that send one by one, for concurrent senders.
pub(super) fn one_by_one() -> Vec<Box<dyn Contender>> {
    use Pipelining::{Bold, Careful};
    vec![
        contender(SEND, true, Careful, Way::OneByOne),
        contender(SEND_SMOL, true, Careful, Way::SmolOneByOne),
        contender(SEND_TOKIO, true, Careful, Way::TokioOneByOne),
        contender(SEND_DATA, false, Careful, Way::SmolOneByOne),
        contender(SEND_BOLD, true, Bold, Way::SmolOneByOne),
    ]
}

/// Every mode of pipelining, one by one over threads and over smol; and `send_all`.
pub(super) fn in_all_modes() -> Vec<Box<dyn Contender>> {
    use Pipelining::{Bold, Careful, Off};
    vec![
        contender("postwire, send(), off", true, Off, Way::OneByOne),
        contender(SEND_CAREFUL, true, Careful, Way::OneByOne),
        contender("postwire, send(), bold", true, Bold, Way::OneByOne),
        contender("postwire-smol, send(), off", true, Off, Way::SmolOneByOne),
        contender(SEND_CAREFUL_SMOL, true, Careful, Way::SmolOneByOne),
        contender("postwire-smol, send(), bold", true, Bold, Way::SmolOneByOne),
        contender("postwire, send_all(), careful", true, Careful, Way::All),
        contender("postwire, send_all(), bold", true, Bold, Way::All),
    ]
}

impl Contender for Postwire {
    fn name(&self) -> &'static str {
        self.name
    }

    fn round_trips(&self) -> usize {
        match self.way {
            Way::OneByOne | Way::Stream => 2,
            _ => usize::from(!self.chunking) + usize::from(self.pipelining == Pipelining::Careful),
        }
    }

    fn prepare(&self, target: &Target) -> Result<Box<dyn Client>, Failure> {
        let tls = match target.mode {
            Mode::Plain => "smtp://127.0.0.1?tls=none",
            Mode::StartTls => "smtp://127.0.0.1?tls=required",
            Mode::Wrapper => "smtps://127.0.0.1",
        };
        let mut builder = TransportBuilder::<TransportConfig>::from_url(tls)?
            .port(target.port)
            .client(|client| {
                client
                    .chunking(self.chunking)
                    .pipelining(self.pipelining)
                    .allow_plaintext_auth(true)
            })
            .pool_config(PoolConfig::default().max_messages(u64::MAX));
        if target.mode != Mode::Plain {
            let root = Certificate::from_pem(target.root.as_bytes())?;
            builder = builder.tls_parameters(|tls| {
                tls.certificate_store(CertificateStore::None)
                    .add_root_certificate(root)
            });
        }
        if target.auth {
            builder = builder.credentials(Credentials::new(USER, PASSWORD));
        }
        Ok(Box::new(Prepared {
            config: builder.clone().build()?,
            builder,
            way: self.way,
        }))
    }
}

struct Prepared {
    builder: TransportBuilder<TransportConfig>,
    config: TransportConfig,
    way: Way,
}

impl Client for Prepared {
    fn open(&self) -> Result<Box<dyn Session>, Failure> {
        let letters = Letters::default();
        let config = self.config.clone();
        Ok(match self.way {
            Way::All | Way::OneByOne => Box::new(Blocking {
                transport: Transport::from(config),
                letters,
                one_by_one: self.way == Way::OneByOne,
            }),
            Way::Connection => Box::new(Bare {
                connection: Connection::connect(&config)?,
                letters,
            }),
            Way::Stream => Box::new(Streaming {
                connection: Connection::connect(&config)?,
                letters,
                repeated: 1,
            }),
            Way::Smol | Way::SmolOneByOne => Box::new(OnSmol {
                transport: config.into(),
                letters,
            }),
            Way::Tokio | Way::TokioOneByOne => Box::new(OnTokio {
                transport: config.into(),
                letters,
                runtime: current_thread()?,
            }),
        })
    }

    fn pool(&self, mail: &Mail, messages: usize, connections: usize) -> Result<bool, Failure> {
        let mut letters = Letters::default();
        letters.load(mail, messages / connections)?;
        match self.way {
            Way::Stream | Way::Connection => return Ok(false),
            Way::All | Way::OneByOne => {
                let transport = Transport::from(self.config.clone());
                let one_by_one = self.way == Way::OneByOne;
                thread::scope(|scope| {
                    let threads: Vec<_> = (0..connections)
                        .map(|_| scope.spawn(|| letters.send(&transport, one_by_one)))
                        .collect();
                    threads
                        .into_iter()
                        .try_for_each(|thread| thread.join().map_err(|_| "a thread panicked")?)
                })?;
            }
            Way::Smol | Way::SmolOneByOne => {
                let transport: postwire_smol::Transport = self.config.clone().into();
                let executor = smol::Executor::new();
                let tasks: Vec<_> = (0..connections)
                    .map(|_| executor.spawn(letters.send_async(&transport)))
                    .collect();
                smol::block_on(executor.run(async {
                    for task in tasks {
                        task.await?;
                    }
                    Ok::<(), Failure>(())
                }))?;
            }
            Way::Tokio | Way::TokioOneByOne => {
                let transport: postwire_tokio::Transport = self.config.clone().into();
                on_tokio(connections, || {
                    let (letters, transport) = (letters.clone(), transport.clone());
                    async move { letters.send_async(&transport).await }
                })?;
            }
        }
        Ok(true)
    }

    fn concurrent(&self, mail: &Mail, senders: Senders) -> Result<bool, Failure> {
        let mut letters = Letters::default();
        letters.load(mail, senders.messages)?;
        let limit = senders.connections;
        let builder = self.builder.clone();
        let builder = builder.pool(|pool| pool.max_connections(limit).max_idle(limit));
        let config = builder.build()?;
        match self.way {
            Way::OneByOne => {
                let transport = Transport::from(config);
                thread::scope(|scope| {
                    let threads: Vec<_> = (0..senders.count)
                        .map(|_| scope.spawn(|| letters.send(&transport, true)))
                        .collect();
                    threads
                        .into_iter()
                        .try_for_each(|thread| thread.join().map_err(|_| "a thread panicked")?)
                })?;
            }
            Way::SmolOneByOne => {
                let transport: postwire_smol::Transport = config.into();
                let executor = smol::Executor::new();
                let tasks: Vec<_> = (0..senders.count)
                    .map(|_| executor.spawn(letters.send_one_by_one(&transport)))
                    .collect();
                smol::block_on(executor.run(async {
                    for task in tasks {
                        task.await?;
                    }
                    Ok::<(), Failure>(())
                }))?;
            }
            Way::TokioOneByOne => {
                let transport: postwire_tokio::Transport = config.into();
                on_tokio(senders.count, || {
                    let (letters, transport) = (letters.clone(), transport.clone());
                    async move { letters.send_one_by_one(&transport).await }
                })?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn crowd(
        &self,
        mail: &Mail,
        crowd: Crowd,
        reached: &mut dyn FnMut(Stage),
    ) -> Result<bool, Failure> {
        if self.way != Way::Smol {
            return Ok(false);
        }
        let mut letters = Letters::default();
        letters.load(mail, 1)?;
        let (letters, config) = (&letters, &self.config);
        let (half, reached) = (HalfTime::new(crowd), RefCell::new(reached));
        let (half, reached) = (&half, &reached);
        let executor = smol::LocalExecutor::new();
        reached.borrow_mut()(Stage::Begun);
        let mut sessions = Vec::with_capacity(crowd.sessions());
        smol::block_on(executor.run(async {
            while sessions.len() < crowd.sessions() {
                let open = || async {
                    let mut session =
                        postwire_smol::Connection::connect(postwire_smol::Smol, config).await?;
                    letters.send_over(&mut session).await?;
                    Ok::<_, Failure>(session)
                };
                let count = Crowd::TOGETHER.min(crowd.sessions() - sessions.len());
                let opening: Vec<_> = (0..count).map(|_| executor.spawn(open())).collect();
                for session in opening {
                    sessions.push(session.await?);
                }
            }
            reached.borrow_mut()(Stage::Idle);
            let busy: Vec<_> = sessions
                .drain(..crowd.busy)
                .map(|mut session| {
                    executor.spawn(async move {
                        for _ in 0..crowd.messages {
                            letters.send_over(&mut session).await?;
                            if half.is_reached() {
                                reached.borrow_mut()(Stage::Busy);
                            }
                        }
                        Ok::<_, Failure>(session)
                    })
                })
                .collect();
            for sending in busy {
                sessions.push(sending.await?);
            }
            reached.borrow_mut()(Stage::Sent);
            Ok(true)
        }))
    }
}

/// Runs this many tasks at once, on as many threads as lettre's are given.
fn on_tokio<T: Future<Output = Result<(), Failure>> + Send + 'static>(
    count: usize,
    task: impl Fn() -> T,
) -> Result<(), Failure> {
    multi_thread()?.block_on(async {
        let tasks: Vec<_> = (0..count).map(|_| tokio::spawn(task())).collect();
        for task in tasks {
            task.await??;
        }
        Ok(())
    })
}

/// The messages. The body is not a `Body` yet: scanning it is part of the work, as for every
/// client.
#[derive(Clone, Default)]
struct Letters {
    envelope: Option<Envelope>,
    body: Bytes,
    count: usize,
}

impl Letters {
    fn load(&mut self, mail: &Mail, messages: usize) -> Result<(), Failure> {
        let recipients: Result<Vec<_>, _> = mail.recipients.iter().map(|to| to.parse()).collect();
        self.envelope = Some(Envelope::new(Some(SENDER.parse()?), recipients?)?);
        self.body = mail.body.clone();
        self.count = messages;
        Ok(())
    }

    fn envelope(&self) -> Result<&Envelope, Failure> {
        Ok(self.envelope.as_ref().ok_or("nothing was loaded")?)
    }

    fn all(&self) -> Result<impl Iterator<Item = (Envelope, Body)> + use<>, Failure> {
        let (envelope, body) = (self.envelope()?.clone(), self.body.clone());
        let letter = move |_| (envelope.clone(), Body::from(body.clone()));
        Ok((0..self.count).map(letter))
    }

    fn send(&self, transport: &Transport, one_by_one: bool) -> Result<(), Failure> {
        if one_by_one {
            for (envelope, body) in self.all()? {
                transport.send(&envelope, body).map(drop)?;
            }
            return Ok(());
        }
        transport.send_all(self.all()?).try_for_each(accepted)
    }

    async fn send_over(&self, session: &mut postwire_smol::Connection) -> Result<(), Failure> {
        for (envelope, body) in self.all()? {
            session.send(&envelope, body).await.map(drop)?;
        }
        Ok(())
    }

    async fn send_one_by_one<R: Runtime>(
        &self,
        transport: &postwire_futures::Transport<R>,
    ) -> Result<(), Failure> {
        for (envelope, body) in self.all()? {
            transport.send(&envelope, body).await.map(drop)?;
        }
        Ok(())
    }

    async fn send_async<R: Runtime>(
        &self,
        transport: &postwire_futures::Transport<R>,
    ) -> Result<(), Failure> {
        let mut reports = transport.send_all(self.all()?);
        while let Some(report) = reports.next().await {
            accepted(report)?;
        }
        Ok(())
    }
}

fn accepted(report: Report) -> Result<(), Failure> {
    Ok(report.into_result().map(drop)?)
}

struct Blocking {
    transport: Transport,
    letters: Letters,
    one_by_one: bool,
}

impl Session for Blocking {
    fn load(&mut self, mail: &Mail, messages: usize) -> Result<(), Failure> {
        self.letters.load(mail, messages)
    }

    fn send(&mut self) -> Result<(), Failure> {
        self.letters.send(&self.transport, self.one_by_one)
    }
}

/// Messages are queued this many ahead of their reports.
const AHEAD: usize = 64;

struct Bare {
    connection: Connection,
    letters: Letters,
}

impl Session for Bare {
    fn load(&mut self, mail: &Mail, messages: usize) -> Result<(), Failure> {
        self.letters.load(mail, messages)
    }

    fn send(&mut self) -> Result<(), Failure> {
        let mut letters = self.letters.all()?;
        let mut under_way = 0;
        loop {
            for (envelope, body) in letters.by_ref().take(AHEAD - under_way) {
                self.connection.enqueue(envelope, body);
                under_way += 1;
            }
            if under_way == 0 {
                return Ok(());
            }
            match self.connection.next_event() {
                Some(Event::Report(report)) => accepted(report)?,
                Some(_) => continue,
                None => return Err("the session ended".into()),
            }
            under_way -= 1;
        }
    }
}

struct OnSmol {
    transport: postwire_smol::Transport,
    letters: Letters,
}

impl Session for OnSmol {
    fn load(&mut self, mail: &Mail, messages: usize) -> Result<(), Failure> {
        self.letters.load(mail, messages)
    }

    fn send(&mut self) -> Result<(), Failure> {
        smol::block_on(self.letters.send_async(&self.transport))
    }
}

struct OnTokio {
    transport: postwire_tokio::Transport,
    letters: Letters,
    runtime: tokio::runtime::Runtime,
}

impl Session for OnTokio {
    fn load(&mut self, mail: &Mail, messages: usize) -> Result<(), Failure> {
        self.letters.load(mail, messages)
    }

    fn send(&mut self) -> Result<(), Failure> {
        self.runtime
            .block_on(self.letters.send_async(&self.transport))
    }
}

/// A body that is read piece by piece while it is sent.
struct Streaming {
    connection: Connection,
    letters: Letters,
    /// How many times the body is repeated in one message.
    repeated: usize,
}

impl Session for Streaming {
    fn load(&mut self, mail: &Mail, messages: usize) -> Result<(), Failure> {
        self.repeated = mail.repeated;
        self.letters.load(mail, messages)
    }

    fn send(&mut self) -> Result<(), Failure> {
        let body = &self.letters.body;
        let octets = body.len() * self.repeated;
        for _ in 0..self.letters.count {
            // Each piece is copied, as when it is read from a file.
            let pages = (0..self.repeated).flat_map(|_| body.chunks(PIECE));
            let pieces = pages.map(|piece| Ok(Bytes::copy_from_slice(piece)));
            let envelope = self.letters.envelope()?;
            let body = StreamBody::new(pieces).size_hint(octets as u64);
            accepted(self.connection.send_stream(envelope, body)?)?;
        }
        Ok(())
    }
}
