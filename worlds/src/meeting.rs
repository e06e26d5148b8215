//! How clients with sockets of their own meet reference servers: the mode of TLS, the dialects, and
//! the configuration that fits both.

use std::time::Duration;

use postwire_proto::{Pipelining, Timeouts};
use postwire_reference::{Dialect, Protocol, Recorder, Reported, Sent, Taken, judge_unordered};
use postwire_tls::CertificateStore;
use postwire_transport::{TransportBuilder, TransportConfig};

use crate::choices::Choices;
use crate::oracle::{
    check_offences, describe_dialect, describe_reports, describe_server, is_safe, sent_by,
};
use crate::peer::{Peer, ServerTls, certificate};
use crate::scene::protocol;
use crate::sockets::Habits;

/// When TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Never.
    Plaintext,
    /// After `STARTTLS`, without which nothing is sent.
    StartTls,
    /// At once.
    Wrapper,
}

/// Random servers, and how the clients send to them.
#[derive(Clone, Debug)]
pub struct Meeting {
    /// How the servers behave.
    pub habits: Habits,
    /// What the servers speak.
    pub protocol: Protocol,
    /// How the clients send.
    pub pipelining: Pipelining,
    /// When TLS begins.
    pub mode: Mode,
}

impl Meeting {
    /// Servers of four dialects, and a way to send that is safe with all of them.
    pub fn new(choices: &mut Choices) -> Self {
        let mode = choices.pick(&[Mode::Plaintext, Mode::StartTls, Mode::Wrapper]);
        let protocol = choices.pick(&[Protocol::Smtp, Protocol::Smtp, Protocol::Lmtp]);
        let pipelining = choices.pick(&[Pipelining::Careful, Pipelining::Off, Pipelining::Bold]);
        let mut draw = || loop {
            let mut dialect = Dialect {
                protocol,
                tls_demanded: mode == Mode::StartTls,
                ..Dialect::from_numbers(&mut || choices.number())
            };
            dialect.keywords.starttls |= mode == Mode::StartTls;
            if is_safe(&dialect, pipelining) {
                return dialect;
            }
        };
        let dialects = (0..4).map(|_| draw()).collect();
        let habits = Habits {
            dialects,
            tls: ServerTls {
                wrapper: mode == Mode::Wrapper,
                old: choices.once_in(4),
                truncates: choices.once_in(4),
            },
            breaks: choices.pick(&[0, 3]),
        };
        Self {
            habits,
            protocol,
            pipelining,
            mode,
        }
    }

    /// The configuration of a transport to servers on this port, with at most `limit` for each
    /// stage.
    ///
    /// # Panics
    ///
    /// Never: the configuration is valid.
    #[expect(clippy::unwrap_used, reason = "the configuration is valid")]
    pub fn config(&self, port: u16, limit: Duration) -> TransportConfig {
        let url = match self.mode {
            Mode::Plaintext => format!("smtp://localhost:{port}?tls=none"),
            Mode::StartTls => format!("smtp://localhost:{port}"),
            Mode::Wrapper => format!("smtps://localhost:{port}"),
        };
        TransportBuilder::<TransportConfig>::from_url(url)
            .unwrap()
            .protocol(protocol(self.protocol))
            .addresses([([127, 0, 0, 1], port).into()])
            .tls_parameters(|tls| {
                tls.certificate_store(CertificateStore::None)
                    .add_root_certificate(certificate())
            })
            .timeouts(Timeouts::default().capped(limit))
            .client(|client| client.pipelining(self.pipelining))
            .pool(|pool| {
                pool.max_connections(4)
                    .max_messages(10)
                    .idle_timeout(Duration::from_millis(50))
                    .first_pause(Duration::from_millis(5))
                    .longest_pause(Duration::from_millis(50))
            })
            .build()
            .unwrap()
    }

    /// Judges what was sent and reported, in any order, against what the servers took. Returns how
    /// many contents were taken.
    ///
    /// # Errors
    ///
    /// What is wrong, with everything that was reported and taken.
    pub fn judge(
        &self,
        sent: &[Sent],
        reports: &[Reported],
        servers: &[Peer],
    ) -> Result<usize, String> {
        let sent = sent_by(sent.iter(), self.protocol);
        self.verdict(&sent, reports, servers).map_err(|why| {
            let mut text = format!("{why}\n{:?}, {:?}\n", self.mode, self.pipelining);
            text += &describe_reports(reports);
            for server in servers {
                text += &describe_server(server.recorder());
            }
            for dialect in &self.habits.dialects {
                text += &describe_dialect(dialect);
            }
            text
        })
    }

    fn verdict(
        &self,
        sent: &[Sent],
        reports: &[Reported],
        servers: &[Peer],
    ) -> Result<usize, String> {
        let recorders = servers.iter().map(Peer::recorder);
        let taken: Vec<&Taken> = recorders.clone().flat_map(Recorder::taken).collect();
        judge_unordered(sent, reports, &taken)?;
        if self.mode != Mode::Plaintext && taken.iter().any(|taken| !taken.under_tls) {
            return Err("a message was sent in plaintext".to_owned());
        }
        for server in recorders {
            check_offences(server)?;
        }
        Ok(taken.len())
    }
}
