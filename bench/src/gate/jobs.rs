//! The standard jobs of the gate: what a program commonly does, over a stream in memory.
//!
//! Each one is deterministic, and its size is a number of units, so that the cost of a unit is the
//! difference between two sizes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use postwire_blocking::{Connection, Transport};
use postwire_proto::Pipelining::{Bold, Careful};
use postwire_proto::{Body, Credentials, Envelope, Pipelining};
use postwire_tls::{Certificate, CertificateStore};
use postwire_transport::{PoolConfig, StreamBody, TransportBuilder, TransportConfig};

use super::wire::{Tally, Wire};
use crate::Failure;
use crate::count::{allocations, requests};
use crate::job::{Mail, PASSWORD, SENDER, USER, text};
use crate::sink::{Behaviour, Counters, server_config};

/// A job.
pub(crate) struct Job {
    pub(crate) name: &'static str,
    /// The number of units that are compared with twice as many.
    pub(crate) units: usize,
    does: Does,
    chunking: bool,
    tls: bool,
}

/// What a job does for each unit.
#[derive(Clone, Copy)]
enum Does {
    /// One message of so many octets to so many recipients, over one connection.
    Send(usize, usize),
    /// One message whose lines end in a lone LF and begin with a dot.
    Rewrite(usize),
    /// One message whose content is given in pieces.
    Stream(usize),
    /// One message by a transport, one after the other.
    Pooled(usize),
    /// One message of a batch.
    Batch(usize, Pipelining),
    /// A whole session: opening, login, one message, the end.
    Session(usize),
}

const KIB: usize = 1024;

/// All jobs.
pub(crate) const JOBS: &[Job] = &[
    job("a message of 200 octets, DATA", 400, Does::Send(200, 1)),
    job("a message of 4 KiB, BDAT", 400, Does::Send(4 * KIB, 1)).by_bdat(),
    job("a message of 4 KiB, BDAT, TLS", 400, Does::Send(4 * KIB, 1))
        .by_bdat()
        .under_tls(),
    job(
        "a message to 100 recipients, DATA",
        40,
        Does::Send(KIB, 100),
    ),
    job(
        "a message of 256 KiB to rewrite, DATA",
        16,
        Does::Rewrite(256 * KIB),
    ),
    job(
        "a message of 256 KiB in pieces, BDAT",
        32,
        Does::Stream(256 * KIB),
    )
    .by_bdat(),
    job(
        "a message of 4 KiB by a transport, BDAT",
        400,
        Does::Pooled(4 * KIB),
    )
    .by_bdat(),
    job(
        "one of a batch of 4 KiB, BDAT",
        400,
        Does::Batch(4 * KIB, Careful),
    )
    .by_bdat(),
    job(
        "one of a batch of 4 KiB, bold, BDAT",
        400,
        Does::Batch(4 * KIB, Bold),
    )
    .by_bdat(),
    job("a session with a login, DATA", 100, Does::Session(KIB)),
];

const fn job(name: &'static str, units: usize, does: Does) -> Job {
    Job {
        name,
        units,
        does,
        chunking: false,
        tls: false,
    }
}

impl Job {
    const fn by_bdat(mut self) -> Self {
        self.chunking = true;
        self
    }

    const fn under_tls(mut self) -> Self {
        self.tls = true;
        self
    }
}

/// The counts of a job.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) flights: u64,
    pub(crate) calls: u64,
    pub(crate) allocations: u64,
}

/// Does a job by its name.
pub(crate) fn run_named(name: &str, units: usize) -> Result<(), Failure> {
    let job = JOBS.iter().find(|job| job.name == name);
    run(job.ok_or("there is no such job")?, units).map(drop)
}

/// Does a job, and counts.
pub(crate) fn run(job: &Job, units: usize) -> Result<Counted, Failure> {
    let tally = Arc::<Tally>::default();
    let counters: &'static Counters = Box::leak(Box::default());
    let bench = Bench::new(job, Arc::clone(&tally), counters)?;
    let region = allocations();
    bench.send(job.does, units)?;
    let allocations = requests(&region.change()) as u64;
    let arrived = counters.take().messages;
    if arrived != units as u64 {
        return Err(format!("{}: {arrived} of {units} messages arrived", job.name).into());
    }
    Ok(Counted {
        flights: tally.flights.load(Ordering::Relaxed),
        calls: tally.calls.load(Ordering::Relaxed),
        allocations,
    })
}

/// The configuration and the peer of a job.
struct Bench {
    config: TransportConfig,
    connect: Box<dyn Fn() -> io::Result<Wire> + Send + Sync>,
}

impl Bench {
    fn new(job: &Job, tally: Arc<Tally>, counters: &'static Counters) -> Result<Self, Failure> {
        let behaviour = Behaviour {
            wrapper: job.tls,
            no_chunking: !job.chunking,
            ..Behaviour::default()
        };
        let pipelining = match job.does {
            Does::Batch(_, pipelining) => pipelining,
            _ => Careful,
        };
        let url = if job.tls {
            "smtps://127.0.0.1"
        } else {
            "smtp://127.0.0.1?tls=none"
        };
        let mut builder = TransportBuilder::<TransportConfig>::from_url(url)?
            .client(|client| client.pipelining(pipelining).allow_plaintext_auth(true))
            .pool_config(PoolConfig::default().max_messages(u64::MAX));
        if matches!(job.does, Does::Session(_)) {
            builder = builder.credentials(Credentials::new(USER, PASSWORD));
        }
        let mut tls = None;
        if job.tls {
            let (config, root) = server_config()?;
            tls = Some(config);
            let root = Certificate::from_pem(root.as_bytes())?;
            builder = builder.tls_parameters(|tls| {
                tls.certificate_store(CertificateStore::None)
                    .add_root_certificate(root)
            });
        }
        let connect = move || Wire::new(behaviour, tls.clone(), counters, Arc::clone(&tally));
        Ok(Self {
            config: builder.build()?,
            connect: Box::new(connect),
        })
    }

    fn open(&self) -> Result<Connection<Wire>, Failure> {
        let mut connection = Connection::over((self.connect)()?, &self.config);
        connection.ready()?;
        Ok(connection)
    }

    fn send(self, does: Does, units: usize) -> Result<(), Failure> {
        match does {
            Does::Send(octets, recipients) => {
                let (envelope, body) = letter(&Mail::of(octets).to(recipients))?;
                self.each(units, &envelope, &body)
            }
            Does::Rewrite(octets) => {
                let (envelope, _) = letter(&Mail::of(0))?;
                let line = b".a line that begins with a dot and ends in a line feed\n";
                let body = line.repeat(octets / line.len());
                self.each(units, &envelope, &Body::from(body))
            }
            Does::Stream(octets) => {
                let (envelope, _) = letter(&Mail::of(0))?;
                let piece = text(octets / 8);
                let mut connection = self.open()?;
                for _ in 0..units {
                    let pieces = (0..8).map(|_| Ok::<Bytes, io::Error>(piece.clone()));
                    drop(connection.send_stream(&envelope, StreamBody::new(pieces))?);
                }
                Ok(())
            }
            Does::Pooled(octets) => {
                let (envelope, body) = letter(&Mail::of(octets))?;
                let transport = Transport::with_connector(self.config, self.connect);
                for _ in 0..units {
                    drop(transport.send(&envelope, body.clone())?);
                }
                Ok(())
            }
            Does::Batch(octets, _) => {
                let (envelope, body) = letter(&Mail::of(octets))?;
                let transport = Transport::with_connector(self.config, self.connect);
                let messages = (0..units).map(|_| (envelope.clone(), body.clone()));
                for report in transport.send_all(messages) {
                    drop(report.into_result()?);
                }
                Ok(())
            }
            Does::Session(octets) => {
                let (envelope, body) = letter(&Mail::of(octets))?;
                for _ in 0..units {
                    let mut connection = self.open()?;
                    drop(connection.send(&envelope, body.clone())?);
                    connection.quit()?;
                }
                Ok(())
            }
        }
    }

    fn each(&self, units: usize, envelope: &Envelope, body: &Body) -> Result<(), Failure> {
        let mut connection = self.open()?;
        for _ in 0..units {
            drop(connection.send(envelope, body.clone())?);
        }
        Ok(())
    }
}

fn letter(mail: &Mail) -> Result<(Envelope, Body), Failure> {
    let to: Result<Vec<_>, _> = mail.recipients.iter().map(|to| to.parse()).collect();
    let envelope = Envelope::new(Some(SENDER.parse()?), to?)?;
    Ok((envelope, Body::from(mail.body.clone())))
}
