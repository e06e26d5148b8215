//! The connection between the sink's process and the measuring process: one JSON object per
//! line over standard input and output.
//!
//! Knows how a sink is started, queried and ended. Must never know the measurement.

use std::io::{self, BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::NoServerSessionStorage;
use serde::{Deserialize, Serialize};

use super::{Behaviour, Counters, Counts, open};
use crate::Failure;

#[derive(Serialize, Deserialize)]
enum Question {
    Open(Behaviour),
    Take(usize),
}

#[derive(Serialize, Deserialize)]
struct Opened {
    id: usize,
    port: u16,
}

/// The first message of the sink process.
#[derive(Serialize, Deserialize)]
struct Hello {
    /// The sink's certificate, which is its own root.
    root: String,
}

/// Runs the sink's process until its standard input ends.
pub(crate) fn serve() -> Result<(), Failure> {
    let identity = TlsIdentity::new()?;
    say(&Hello {
        root: identity.root.clone(),
    })?;
    let mut ports: Vec<Arc<Counters>> = Vec::new();
    for line in io::stdin().lock().lines() {
        match serde_json::from_str(&line?)? {
            Question::Open(behaviour) => {
                let (port, counters) = open(behaviour, identity.config(behaviour)?)?;
                let id = ports.len();
                ports.push(counters);
                say(&Opened { id, port })?;
            }
            Question::Take(id) => say(&ports[id].take())?,
        }
    }
    Ok(())
}

fn say(answer: &impl Serialize) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(answer)?)?;
    Ok(out.flush()?)
}

/// The certificate of the sink and its key.
struct TlsIdentity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    root: String,
}

impl TlsIdentity {
    fn new() -> Result<Self, Failure> {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let generated = rcgen::generate_simple_self_signed(names)?;
        let key = PrivatePkcs8KeyDer::from(generated.signing_key.serialize_der());
        Ok(Self {
            certificate: generated.cert.der().clone(),
            key: PrivateKeyDer::Pkcs8(key),
            root: generated.cert.pem(),
        })
    }

    fn config(&self, behaviour: Behaviour) -> Result<Arc<ServerConfig>, Failure> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let versions: &[_] = if behaviour.tls12 {
            &[&rustls::version::TLS12]
        } else {
            rustls::ALL_VERSIONS
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], self.key.clone_key())?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        if behaviour.resumes {
            config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
        } else {
            // Every handshake is complete, whichever client comes second.
            config.send_tls13_tickets = 0;
        }
        Ok(Arc::new(config))
    }
}

/// A configuration of TLS with a certificate of its own, and the certificate to trust: for a peer in
/// this process.
pub(crate) fn server_config() -> Result<(Arc<ServerConfig>, String), Failure> {
    let identity = TlsIdentity::new()?;
    Ok((identity.config(Behaviour::default())?, identity.root))
}

/// A port of the sink, for the measuring process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Port {
    id: usize,
    pub(crate) number: u16,
    pub(crate) behaviour: Behaviour,
}

/// A sink in a child process, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Sink {
    child: Child,
    questions: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
    /// The certificate to trust.
    pub(crate) root: String,
    ports: Vec<Port>,
}

impl Sink {
    pub(crate) fn start() -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("sink")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let questions = child.stdin.take();
        let stdout = child.stdout.take().ok_or("the sink has no output")?;
        let mut sink = Self {
            child,
            questions,
            answers: BufReader::new(stdout).lines(),
            root: String::new(),
            ports: Vec::new(),
        };
        let hello: Hello = sink.answer()?;
        sink.root = hello.root;
        Ok(sink)
    }

    fn answer<T: for<'de> Deserialize<'de>>(&mut self) -> Result<T, Failure> {
        let line = self.answers.next().ok_or("the sink has ended")??;
        Ok(serde_json::from_str(&line)?)
    }

    fn ask<T: for<'de> Deserialize<'de>>(&mut self, question: &Question) -> Result<T, Failure> {
        let questions = self.questions.as_mut().ok_or("the sink has ended")?;
        writeln!(questions, "{}", serde_json::to_string(question)?)?;
        self.answer()
    }

    /// Opens a port with this behaviour.
    pub(crate) fn port(&mut self, behaviour: Behaviour) -> Result<Port, Failure> {
        if let Some(port) = self.ports.iter().find(|port| port.behaviour == behaviour) {
            return Ok(*port);
        }
        let opened: Opened = self.ask(&Question::Open(behaviour))?;
        let port = Port {
            id: opened.id,
            number: opened.port,
            behaviour,
        };
        self.ports.push(port);
        Ok(port)
    }

    /// The counts of `port` since the last call.
    pub(crate) fn take(&mut self, port: Port) -> Result<Counts, Failure> {
        self.ask(&Question::Take(port.id))
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // The end of its input ends the sink.
        self.questions = None;
        let _ = self.child.wait();
    }
}
