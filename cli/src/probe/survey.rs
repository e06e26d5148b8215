//! Further sessions with a server: each address, each TLS mode, each TLS version.
//!
//! Knows which sessions are worth making. Must never know how their results are shown.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use postwire_blocking::proto::{Capabilities, Error, ErrorKind, Redaction, Security, Stage};
use postwire_blocking::tls::rustls::pki_types::CertificateDer;
use postwire_blocking::tls::rustls::{SupportedProtocolVersion, version};
use postwire_blocking::tls::{TlsFailure, TlsFailureKind};
use postwire_blocking::transport::TransportConfig;

use super::handshake;
use super::inspection::Inspection;
use super::target::Target;
use crate::print::certificate::Certificate;

/// The most addresses that are tried.
const MAX_ADDRESSES: usize = 8;

const MODES: [Security; 4] = [
    Security::None,
    Security::Opportunistic,
    Security::Required,
    Security::Wrapper,
];

const VERSIONS: [(&str, &SupportedProtocolVersion); 2] =
    [("TLSv1.3", &version::TLS13), ("TLSv1.2", &version::TLS12)];

/// The results of all further sessions.
#[derive(Default)]
pub(super) struct Survey {
    /// Each address, with a session that does not log in.
    pub(super) addresses: Vec<(SocketAddr, Inspection)>,
    /// The address of all that follows: the first with which something can be learnt.
    pub(super) address: Option<SocketAddr>,
    /// What each mode does here.
    pub(super) modes: Vec<(Security, Inspection)>,
    pub(super) versions: Vec<Version>,
    /// The certificates that the server presents, its own first.
    pub(super) chain: Vec<Certificate>,
    /// The same as DER.
    pub(super) ders: Vec<CertificateDer<'static>>,
    /// Why the certificate is not accepted.
    pub(super) certificate_error: Option<Error>,
    /// Whether a second session resumes the TLS session of the first.
    pub(super) resumes: Option<bool>,
}

/// Whether the server takes a version of TLS.
pub(super) struct Version {
    pub(super) name: &'static str,
    /// The cipher suite, and the key exchange if rustls names it.
    pub(super) agreed: Result<(String, Option<String>), Error>,
}

impl Survey {
    /// Makes the sessions. `config` is the configuration of the first session.
    pub(super) fn make(target: &Target, config: &TransportConfig, redaction: &Redaction) -> Self {
        let mut survey = Self::default();
        if config.unix_socket().is_some() {
            return survey;
        }
        // The chosen mode may need STARTTLS, without which an address shows nothing else.
        let mode = match config.tls().security() {
            Security::Wrapper => Security::Wrapper,
            _ => Security::None,
        };
        survey.addresses = each_address(target, mode, addresses(config, target.limit));
        let Some((address, first)) = survey.most_telling() else {
            return survey;
        };
        survey.address = Some(address);
        let starttls = survey.try_modes(target, address, mode, first);
        survey.try_versions(target, address, starttls, redaction);
        survey.resumes = survey.try_resumption(target, address, config.tls().security());
        survey
    }

    /// The first address with a session, or else the first that can be connected.
    fn most_telling(&self) -> Option<(SocketAddr, usize)> {
        let find = |tells: fn(&Inspection) -> bool| {
            let mut all = self.addresses.iter().enumerate();
            all.find(|(_, (_, inspection))| tells(inspection))
        };
        let is_connected = |inspection: &Inspection| match &inspection.failure {
            None => true,
            Some(failure) => failure.stage() != Stage::Connect,
        };
        find(|inspection| inspection.failure.is_none())
            .or_else(|| find(is_connected))
            .map(|(position, (address, _))| (*address, position))
    }

    /// Tries each mode, except the one that the session at this position of `addresses` has
    /// tried. Returns how TLS begins, if it does.
    fn try_modes(
        &mut self,
        target: &Target,
        address: SocketAddr,
        tried: Security,
        first: usize,
    ) -> Option<Security> {
        let first = &self.addresses[first].1;
        let speaks_tls = |inspection: &Inspection| match &inspection.failure {
            None => inspection.facts.tls.is_some(),
            Some(failure) => is_about_certificate(failure),
        };
        let wrapper = match tried {
            Security::Wrapper => first.clone(),
            _ => inspect(target.config(Security::Wrapper, address)),
        };
        let is_wrapped = speaks_tls(&wrapper);
        let plain = match tried {
            Security::Wrapper if is_wrapped => {
                inspect(target.hopeless_config(Security::None, address))
            }
            Security::Wrapper => inspect(target.config(Security::None, address)),
            _ => first.clone(),
        };
        let offers = plain.in_plaintext.as_ref();
        let starttls = offers.is_some_and(Capabilities::starttls);
        for mode in MODES {
            let inspection = match mode {
                Security::None => plain.clone(),
                Security::Wrapper => wrapper.clone(),
                // All three begin in the same way.
                _ if plain.in_plaintext.is_none() => plain.clone(),
                _ => inspect(target.config(mode, address)),
            };
            self.modes.push((mode, inspection));
        }
        match (starttls, is_wrapped) {
            (true, _) => Some(Security::Required),
            (false, true) => Some(Security::Wrapper),
            (false, false) => None,
        }
    }

    /// Tries each version of TLS, and reads the certificates.
    fn try_versions(
        &mut self,
        target: &Target,
        address: SocketAddr,
        mode: Option<Security>,
        redaction: &Redaction,
    ) {
        let Some(Ok(config)) = mode.map(|mode| target.config(mode, address)) else {
            return;
        };
        for (name, version) in VERSIONS {
            let shown = handshake::show(&config, address, version, target.limit);
            let agreed = shown.map(|shown| {
                if self.chain.is_empty() {
                    let parse = |der: &_| Certificate::parse(der, redaction);
                    let chain = shown.chain.iter();
                    self.chain = chain.filter_map(|der| parse(der.as_ref())).collect();
                    self.ders = shown.chain;
                }
                (shown.cipher, shown.key_exchange)
            });
            self.versions.push(Version { name, agreed });
        }
        let verified = self.mode(mode).and_then(|it| it.failure.as_ref());
        self.certificate_error = verified.filter(|it| is_about_certificate(it)).cloned();
    }

    /// Opens two sessions in the mode that the user chose, if it has TLS here, or another one that
    /// has.
    fn try_resumption(
        &self,
        target: &Target,
        address: SocketAddr,
        chosen: Security,
    ) -> Option<bool> {
        let has_tls = |mode: &Security| {
            let inspection = self.mode(Some(*mode));
            inspection.is_some_and(|it| it.failure.is_none() && it.facts.tls.is_some())
        };
        let candidates = [chosen, Security::Required, Security::Wrapper];
        let mode = candidates.into_iter().find(has_tls)?;
        // Both sessions have the same cache of TLS sessions.
        let config = target.config(mode, address).ok()?;
        Inspection::of(&config, false).facts.tls?;
        let again = Inspection::of(&config, false).facts.tls?;
        Some(again.is_resumed())
    }

    /// What this mode does here.
    fn mode(&self, mode: Option<Security>) -> Option<&Inspection> {
        let mut modes = self.modes.iter();
        modes
            .find(|(tried, _)| Some(*tried) == mode)
            .map(|(_, it)| it)
    }
}

/// Why TLS failed, if it did.
pub(super) fn tls_failure(error: &Error) -> Option<&TlsFailure> {
    match error.kind() {
        ErrorKind::Tls(cause) => cause.downcast_ref(),
        _ => None,
    }
}

/// Whether a certificate was presented and not accepted.
fn is_about_certificate(error: &Error) -> bool {
    tls_failure(error).is_some_and(|failure| {
        matches!(
            failure.kind(),
            TlsFailureKind::Expired { .. }
                | TlsFailureKind::NotYetValid { .. }
                | TlsFailureKind::WrongName { .. }
                | TlsFailureKind::UnknownIssuer
                | TlsFailureKind::UntrustedAuthority { .. }
                | TlsFailureKind::KeyTooShort { .. }
                | TlsFailureKind::NotForServers
                | TlsFailureKind::Certificate(_)
        )
    })
}

fn inspect(config: Result<TransportConfig, Error>) -> Inspection {
    match config {
        Ok(config) => Inspection::of(&config, false),
        Err(error) => Inspection::failed(error),
    }
}

/// Opens a session with each address at the same time.
fn each_address(
    target: &Target,
    mode: Security,
    addresses: Vec<SocketAddr>,
) -> Vec<(SocketAddr, Inspection)> {
    thread::scope(|scope| {
        let inspect_one = |address| inspect(target.config(mode, address));
        let started: Vec<_> = addresses
            .into_iter()
            .map(|address| (address, scope.spawn(move || inspect_one(address))))
            .collect();
        let finished = started.into_iter().map(|(address, thread)| {
            let aborted = || Inspection::failed(Error::new(Stage::Connect, ErrorKind::Aborted));
            (address, thread.join().unwrap_or_else(|_| aborted()))
        });
        finished.collect()
    })
}

/// The addresses of the server, of the chosen family only; none if its name cannot be resolved,
/// which the first session has reported.
fn addresses(config: &TransportConfig, limit: Duration) -> Vec<SocketAddr> {
    let resolved = resolve(config.host().to_owned(), config.port(), limit).unwrap_or_default();
    let local = config.socket_options().local_address;
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in resolved {
        let has_family = local.is_none_or(|local| local.is_ipv4() == address.is_ipv4());
        if has_family && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses.truncate(MAX_ADDRESSES);
    addresses
}

/// Resolves a name on a thread, which continues unused if it takes too long.
fn resolve(host: String, port: u16, limit: Duration) -> io::Result<Vec<SocketAddr>> {
    let (answer, answered) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let addresses = (host.as_str(), port).to_socket_addrs();
        // The receiver is gone if the time limit has passed.
        drop(answer.send(addresses.map(Iterator::collect)));
    });
    let late = |_| Err(io::ErrorKind::TimedOut.into());
    answered.recv_timeout(limit).unwrap_or_else(late)
}
