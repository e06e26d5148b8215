//! One session with the server, configured for a case, and its outcome in words.

use std::error::Error;
use std::io;
use std::time::Duration;

use postwire_async_std::AsyncStd;
use postwire_blocking::proto::{
    Body, BodySource, Capabilities, Command, Credentials, Envelope, ErrorKind, Event, Mechanism,
    Outcome, Pipelining, Reply, Report, TlsInfo,
};
use postwire_blocking::tls::{Certificate, CertificateStore, Tls, TlsParameters};
use postwire_blocking::transport::{TransportBuilder, TransportConfig};
use postwire_smol::Smol;
use postwire_tokio::Tokio;

use crate::server::{Port, Server};

/// The configuration of the session.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) mode: Mode,
    pub(crate) port: Port,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) mechanisms: Vec<Mechanism>,
    pub(crate) allow_plaintext_auth: bool,
    pub(crate) pipelining: Pipelining,
    pub(crate) chunking: bool,
    /// The CA to trust instead of the server's own.
    pub(crate) other_ca: Option<Certificate>,
    /// The expected name of the certificate instead of the host's.
    pub(crate) other_name: Option<&'static str>,
    pub(crate) timeout: Duration,
}

/// The runtime that moves the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runtime {
    Blocking,
    Smol,
    AsyncStd,
    Tokio,
}

impl Runtime {
    pub(crate) const ALL: [Self; 4] = [Self::Blocking, Self::Smol, Self::AsyncStd, Self::Tokio];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Blocking => "blocking",
            Self::Smol => "smol",
            Self::AsyncStd => "async-std",
            Self::Tokio => "tokio",
        }
    }
}

/// The four modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    None,
    Opportunistic,
    Required,
    Wrapper,
}

impl Mode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Opportunistic => "opportunistic",
            Self::Required => "required",
            Self::Wrapper => "wrapper",
        }
    }

    fn with(self, parameters: TlsParameters) -> Tls {
        match self {
            Self::None => Tls::None,
            Self::Opportunistic => Tls::Opportunistic(parameters),
            Self::Required => Tls::Required(parameters),
            Self::Wrapper => Tls::Wrapper(parameters),
        }
    }

    fn url(self, port: u16) -> String {
        match self {
            Self::Wrapper => format!("smtps://localhost:{port}/interop.postwire.test"),
            mode => {
                let tls = mode.name();
                format!("smtp://localhost:{port}/interop.postwire.test?tls={tls}")
            }
        }
    }
}

impl Setup {
    pub(crate) fn new(mode: Mode, port: Port) -> Self {
        Self {
            mode,
            port,
            credentials: None,
            mechanisms: Mechanism::default_preference(),
            allow_plaintext_auth: false,
            pipelining: Pipelining::default(),
            chunking: true,
            other_ca: None,
            other_name: None,
            timeout: Duration::from_secs(60),
        }
    }

    pub(crate) fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    pub(crate) fn mechanism(mut self, mechanism: Mechanism) -> Self {
        self.mechanisms = vec![mechanism];
        self
    }

    fn config(&self, server: &Server) -> Result<TransportConfig, Box<dyn Error>> {
        let ca = self.other_ca.as_ref().unwrap_or(&server.ca).clone();
        let mut builder =
            TransportBuilder::<TransportConfig>::from_url(self.mode.url(server.port(self.port)))?
                .authentication(self.mechanisms.clone())
                .client(|client| {
                    client
                        .allow_plaintext_auth(self.allow_plaintext_auth)
                        .pipelining(self.pipelining)
                        .chunking(self.chunking)
                })
                .timeout(Some(self.timeout));
        if let Some(credentials) = &self.credentials {
            builder = builder.credentials(credentials.clone());
        }
        if let Some(name) = self.other_name {
            let parameters = TlsParameters::builder(name)
                .certificate_store(CertificateStore::None)
                .add_root_certificate(ca)
                .build()?;
            return Ok(builder.tls(self.mode.with(parameters)).build()?);
        }
        Ok(builder
            .tls_parameters(|tls| {
                tls.certificate_store(CertificateStore::None)
                    .add_root_certificate(ca)
            })
            .build()?)
    }

    /// Sends a message and then the commands over one connection; returns the code of each
    /// answer.
    pub(crate) fn ask(
        &self,
        server: &Server,
        runtime: Runtime,
        message: (Envelope, impl Into<BodySource>),
        commands: Vec<Command>,
    ) -> Result<(Vec<u16>, Sent), Box<dyn Error>> {
        let config = self.config(server)?;
        match runtime {
            Runtime::Blocking => ask_blocking(&config, message, commands),
            Runtime::Smol => smol::block_on(ask_async(Smol, &config, message, commands)),
            Runtime::AsyncStd => {
                let asked = ask_async(AsyncStd, &config, message, commands);
                async_std::task::block_on(asked)
            }
            Runtime::Tokio => in_tokio().block_on(ask_async(Tokio, &config, message, commands)),
        }
    }

    /// Sends the messages over one connection, all queued at once.
    pub(crate) fn send(
        &self,
        server: &Server,
        runtime: Runtime,
        messages: Vec<(Envelope, impl Into<BodySource>)>,
    ) -> Result<Sent, Box<dyn Error>> {
        send(&self.config(server)?, runtime, messages)
    }
}

fn in_tokio() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().expect("the system has room for its threads")
}

/// Sends the messages over one connection, all queued at once.
pub(crate) fn send(
    config: &TransportConfig,
    runtime: Runtime,
    messages: Vec<(Envelope, impl Into<BodySource>)>,
) -> Result<Sent, Box<dyn Error>> {
    match runtime {
        Runtime::Blocking => send_blocking(config, messages),
        Runtime::Smol => smol::block_on(send_async(Smol, config, messages)),
        Runtime::AsyncStd => async_std::task::block_on(send_async(AsyncStd, config, messages)),
        Runtime::Tokio => in_tokio().block_on(send_async(Tokio, config, messages)),
    }
}

/// Sends the messages with a new transport, which is then shut down.
pub(crate) fn send_all(
    config: &TransportConfig,
    runtime: Runtime,
    messages: Vec<(Envelope, Body)>,
) -> Vec<Report> {
    let config = config.clone();
    match runtime {
        Runtime::Blocking => {
            let transport = postwire_blocking::Transport::from(config);
            let mut reports: Vec<Report> = transport.send_all(messages).collect();
            reports.extend(transport.shutdown());
            reports
        }
        Runtime::Smol => smol::block_on(send_all_async(Smol, config, messages)),
        Runtime::AsyncStd => async_std::task::block_on(send_all_async(AsyncStd, config, messages)),
        Runtime::Tokio => in_tokio().block_on(send_all_async(Tokio, config, messages)),
    }
}

async fn send_all_async<R: postwire_futures::Runtime>(
    runtime: R,
    config: TransportConfig,
    messages: Vec<(Envelope, Body)>,
) -> Vec<Report> {
    let transport = postwire_futures::Transport::new(runtime, config);
    let mut sending = transport.send_all(messages);
    let mut reports = Vec::new();
    while let Some(report) = sending.next().await {
        reports.push(report);
    }
    drop(sending);
    reports.extend(transport.shutdown().await);
    reports
}

fn send_blocking(
    config: &TransportConfig,
    messages: Vec<(Envelope, impl Into<BodySource>)>,
) -> Result<Sent, Box<dyn Error>> {
    let mut connection = postwire_blocking::Connection::connect(config)?;
    for (envelope, body) in messages {
        connection.enqueue(envelope, body);
    }
    connection.begin_quit();
    let mut sent = Sent::default();
    while let Some(event) = connection.next_event() {
        if let Event::BodyWanted(id) = event {
            connection.body_next(id, Some(Err(no_content())));
            continue;
        }
        sent.record(event, connection.tls(), connection.capabilities());
    }
    Ok(sent)
}

async fn send_async<R: postwire_futures::Runtime>(
    runtime: R,
    config: &TransportConfig,
    messages: Vec<(Envelope, impl Into<BodySource>)>,
) -> Result<Sent, Box<dyn Error>> {
    let mut connection = postwire_futures::Connection::connect(runtime, config).await?;
    for (envelope, body) in messages {
        connection.enqueue(envelope, body);
    }
    connection.begin_quit();
    let mut sent = Sent::default();
    while let Some(event) = connection.next_event().await {
        if let Event::BodyWanted(id) = event {
            connection.body_next(id, Some(Err(no_content())));
            continue;
        }
        sent.record(event, connection.tls(), connection.capabilities());
    }
    Ok(sent)
}

fn ask_blocking(
    config: &TransportConfig,
    (envelope, body): (Envelope, impl Into<BodySource>),
    commands: Vec<Command>,
) -> Result<(Vec<u16>, Sent), Box<dyn Error>> {
    let mut connection = postwire_blocking::Connection::connect(config)?;
    connection.enqueue(envelope, body);
    let mut codes = Vec::new();
    for command in commands {
        codes.push(connection.command(command)?.code().get());
    }
    connection.begin_quit();
    let mut sent = Sent::default();
    while let Some(event) = connection.next_event() {
        sent.record(event, connection.tls(), connection.capabilities());
    }
    Ok((codes, sent))
}

async fn ask_async<R: postwire_futures::Runtime>(
    runtime: R,
    config: &TransportConfig,
    (envelope, body): (Envelope, impl Into<BodySource>),
    commands: Vec<Command>,
) -> Result<(Vec<u16>, Sent), Box<dyn Error>> {
    let mut connection = postwire_futures::Connection::connect(runtime, config).await?;
    connection.enqueue(envelope, body);
    let mut codes = Vec::new();
    for command in commands {
        codes.push(connection.command(command).await?.code().get());
    }
    connection.begin_quit();
    let mut sent = Sent::default();
    while let Some(event) = connection.next_event().await {
        sent.record(event, connection.tls(), connection.capabilities());
    }
    Ok((codes, sent))
}

/// The source of a stream whose message is refused before its content.
fn no_content() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

/// The result of a session.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    pub(crate) reports: Vec<Report>,
    pub(crate) tls: Option<String>,
    capabilities: Option<Capabilities>,
}

impl Sent {
    fn record(&mut self, event: Event, tls: Option<&TlsInfo>, capabilities: Option<&Capabilities>) {
        match event {
            Event::Report(report) => self.reports.push(report),
            Event::Ready => {
                self.tls = tls.map(|tls| tls.version().to_owned());
                self.capabilities = capabilities.cloned();
            }
            _ => {}
        }
    }

    /// Whether the server offered this extension.
    pub(crate) fn is_offered(&self, keyword: &str) -> bool {
        let capabilities = self.capabilities.as_ref();
        capabilities.is_some_and(|capabilities| capabilities.has(keyword))
    }

    /// The outcomes of all messages in words; a common outcome only once.
    pub(crate) fn summary(&self) -> String {
        let mut outcomes: Vec<String> = self.reports.iter().map(|r| self.outcome(r)).collect();
        outcomes.dedup();
        outcomes.join("; ")
    }

    fn outcome(&self, report: &Report) -> String {
        match report.outcome() {
            Outcome::Accepted(_) if report.is_partial() => {
                let recipients = report.recipients().iter().map(|recipient| {
                    let user = recipient.address().user();
                    let reply = recipient.reply().map_or("?".to_owned(), code);
                    format!("{user} {reply}")
                });
                format!("partial: {}", recipients.collect::<Vec<_>>().join(", "))
            }
            Outcome::Accepted(_) => match &self.tls {
                Some(version) => format!("accepted, {version}"),
                None => "accepted, plaintext".to_owned(),
            },
            Outcome::Rejected { stage, reply } => format!("rejected at {stage}: {}", code(reply)),
            Outcome::NotSent(error) => {
                format!("not sent at {}: {}", error.stage(), reason(error.kind()))
            }
            Outcome::InDoubt(error) => {
                format!("in doubt at {}: {}", error.stage(), reason(error.kind()))
            }
        }
    }
}

fn code(reply: &Reply) -> String {
    match reply.enhanced() {
        Some(enhanced) => format!("{} {enhanced}", reply.code()),
        None => reply.code().to_string(),
    }
}

fn reason(kind: &ErrorKind) -> String {
    match kind {
        ErrorKind::Refused(reply) => code(reply),
        ErrorKind::StartTlsNotOffered => "STARTTLS not offered".to_owned(),
        ErrorKind::Tls(_) => "TLS failed".to_owned(),
        ErrorKind::NoUsableMechanism { withheld: true, .. } => "secret withheld".to_owned(),
        ErrorKind::NoUsableMechanism { .. } => "no mechanism".to_owned(),
        ErrorKind::ExtensionNotOffered(keyword) => format!("{keyword} not offered"),
        ErrorKind::ParameterNotOffered(parameter) => format!("{parameter} not offered"),
        ErrorKind::TooLarge { .. } => "too large".to_owned(),
        ErrorKind::TimedOut => "timed out".to_owned(),
        other => format!("{other:?}"),
    }
}
