//! The result of a probe as an object, for programs to read; the table shows the same object.
//!
//! Knows the server's properties. Must never know how they were obtained.

use std::net::SocketAddr;
use std::time::Duration;

use postwire_blocking::proto::{
    Capabilities, Capability, Error, ErrorKind, LimitsParameters, Mechanism, SizeLimit, TlsInfo,
};
use serde::Serialize;

use super::advice;
use super::experiments::Finding;
use super::inspection::{CONNECT, Flight, Inspection};
use super::survey::{Survey, Version};
use crate::print::certificate::Certificate;
use crate::print::json::ReplyObject;

/// The result of a probe. The field names are a stable interface.
#[derive(Serialize)]
pub(super) struct ProbeResult<'a> {
    /// Whether a message could be sent now.
    pub(super) reached: bool,
    stage: Option<&'static str>,
    reply: Option<ReplyObject>,
    error: Option<String>,
    greeting: Option<ReplyObject>,
    pub(super) tls: Option<Tls<'a>>,
    /// The mechanism of the login.
    pub(super) login: Option<&'static str>,
    /// The certificate of the session, which was accepted.
    pub(super) certificate: Option<&'a Certificate>,
    pub(super) capabilities: Option<CapabilitiesObject>,
    /// The capabilities before STARTTLS, or in plaintext.
    pub(super) before_tls: Option<CapabilitiesObject>,
    pub(super) mechanisms: Mechanisms,
    pub(super) addresses: Vec<AddressObject>,
    pub(super) modes: Vec<ModeObject<'a>>,
    pub(super) tls_versions: Vec<VersionObject<'a>>,
    /// The certificates that the server presents, accepted or not, its own first.
    pub(super) chain: &'a [Certificate],
    /// Why the certificate is not accepted.
    pub(super) certificate_error: Option<String>,
    /// Whether the server resumes TLS sessions.
    resumes: Option<bool>,
    pub(super) round_trips: Vec<RoundTrip>,
    pub(super) behind_data: Option<&'a Finding>,
    pub(super) refused_bdat: Option<&'a Finding>,
    pub(super) advice: Vec<String>,
}

/// A TLS session.
#[derive(Serialize)]
pub(super) struct Tls<'a> {
    pub(super) version: &'a str,
    pub(super) cipher: &'a str,
    verified: bool,
    resumed: bool,
}

/// The mechanism that a login would try first with each kind of credentials.
#[derive(Serialize)]
pub(super) struct Mechanisms {
    pub(super) with_password: Option<&'static str>,
    pub(super) with_token: Option<&'static str>,
}

/// An address of the server.
#[derive(Serialize)]
pub(super) struct AddressObject {
    pub(super) address: String,
    pub(super) connect_ms: Option<f64>,
    pub(super) greeting: Option<ReplyObject>,
    pub(super) error: Option<String>,
}

/// What a TLS mode does here.
#[derive(Serialize)]
pub(super) struct ModeObject<'a> {
    pub(super) mode: &'static str,
    pub(super) works: bool,
    pub(super) tls: Option<Tls<'a>>,
    stage: Option<&'static str>,
    pub(super) error: Option<String>,
}

/// Whether the server takes a version of TLS.
#[derive(Serialize)]
pub(super) struct VersionObject<'a> {
    pub(super) version: &'static str,
    pub(super) accepted: bool,
    pub(super) cipher: Option<&'a str>,
    pub(super) key_exchange: Option<&'a str>,
    pub(super) error: Option<String>,
}

/// The time of a step of the first session.
#[derive(Serialize)]
pub(super) struct RoundTrip {
    pub(super) of: &'static str,
    pub(super) ms: f64,
}

/// Everything that was learnt.
pub(super) struct Learnt {
    pub(super) first: Inspection,
    pub(super) survey: Survey,
    pub(super) mechanisms: [Option<Mechanism>; 2],
    pub(super) behind_data: Option<Finding>,
    pub(super) refused_bdat: Option<Finding>,
}

impl<'a> ProbeResult<'a> {
    pub(super) fn new(learnt: &'a Learnt) -> Self {
        let Learnt { first, survey, .. } = learnt;
        let failure = first.failure.as_ref();
        let [with_password, with_token] = learnt.mechanisms;
        let name = |mechanism: Option<Mechanism>| mechanism.map(|it| it.name());
        Self {
            reached: failure.is_none(),
            stage: failure.map(|error| error.stage().as_str()),
            reply: failure.and_then(Error::reply).map(ReplyObject::new),
            error: failure.map(ToString::to_string),
            greeting: first.facts.greeting.as_ref().map(ReplyObject::new),
            tls: first.facts.tls.as_ref().map(Tls::new),
            login: first.facts.login.as_ref().map(Mechanism::name),
            certificate: first.certificate.as_ref(),
            capabilities: first
                .facts
                .capabilities
                .as_ref()
                .map(CapabilitiesObject::new),
            before_tls: first.in_plaintext.as_ref().map(CapabilitiesObject::new),
            mechanisms: Mechanisms {
                with_password: name(with_password),
                with_token: name(with_token),
            },
            addresses: survey.addresses.iter().map(AddressObject::new).collect(),
            modes: survey
                .modes
                .iter()
                .map(|(mode, inspection)| ModeObject::new(mode.as_str(), inspection))
                .collect(),
            tls_versions: survey.versions.iter().map(VersionObject::new).collect(),
            chain: &survey.chain,
            certificate_error: survey.certificate_error.as_ref().map(cause),
            resumes: survey.resumes,
            round_trips: first.flights.iter().map(RoundTrip::new).collect(),
            behind_data: learnt.behind_data.as_ref(),
            refused_bdat: learnt.refused_bdat.as_ref(),
            advice: advice::of(learnt),
        }
    }
}

/// The error without its stage.
fn cause(error: &Error) -> String {
    match error.kind() {
        ErrorKind::Tls(cause) => cause.to_string(),
        _ => error.to_string(),
    }
}

impl<'a> Tls<'a> {
    fn new(tls: &'a TlsInfo) -> Self {
        Self {
            version: tls.version(),
            cipher: tls.cipher(),
            verified: tls.is_certificate_verified(),
            resumed: tls.is_resumed(),
        }
    }
}

impl AddressObject {
    fn new((address, inspection): &(SocketAddr, Inspection)) -> Self {
        Self {
            address: address.to_string(),
            connect_ms: inspection.took(CONNECT).map(milliseconds),
            greeting: inspection.facts.greeting.as_ref().map(ReplyObject::new),
            error: inspection.failure.as_ref().map(ToString::to_string),
        }
    }
}

impl<'a> ModeObject<'a> {
    fn new(mode: &'static str, inspection: &'a Inspection) -> Self {
        let failure = inspection.failure.as_ref();
        Self {
            mode,
            works: failure.is_none(),
            tls: inspection.facts.tls.as_ref().map(Tls::new),
            stage: failure.map(|error| error.stage().as_str()),
            error: failure.map(ToString::to_string),
        }
    }
}

impl<'a> VersionObject<'a> {
    fn new(version: &'a Version) -> Self {
        let agreed = version.agreed.as_ref();
        Self {
            version: version.name,
            accepted: agreed.is_ok(),
            cipher: agreed.ok().map(|(cipher, _)| cipher.as_str()),
            key_exchange: agreed.ok().and_then(|(_, exchange)| exchange.as_deref()),
            error: agreed.err().map(ToString::to_string),
        }
    }
}

impl RoundTrip {
    fn new(flight: &Flight) -> Self {
        Self {
            of: flight.of,
            ms: milliseconds(flight.took),
        }
    }
}

/// Milliseconds with two decimals.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 100_000.0).round() / 100.0
}

/// The server's capabilities, as lines and as parsed values.
#[derive(Serialize)]
pub(super) struct CapabilitiesObject {
    pub(super) offered: Vec<String>,
    pub(super) malformed: usize,
    pub(super) auth: Vec<String>,
    starttls: bool,
    pub(super) size: Option<Size>,
    pub(super) limits: Limits,
}

/// The limit of `SIZE` (RFC 1870).
#[derive(Serialize)]
pub(super) struct Size {
    /// `None` without a fixed maximum.
    pub(super) octets: Option<u64>,
}

/// The limits of `LIMITS` (RFC 9422).
#[derive(Serialize)]
pub(super) struct Limits {
    #[serde(rename = "mail_max")]
    pub(super) messages: Option<u32>,
    #[serde(rename = "rcpt_max")]
    pub(super) recipients: Option<u32>,
    #[serde(rename = "rcpt_domain_max")]
    pub(super) domains: Option<u32>,
}

impl CapabilitiesObject {
    fn new(capabilities: &Capabilities) -> Self {
        let line = |capability: Capability<'_>| {
            let mut line = capability.keyword().to_owned();
            for parameter in capability.parameters() {
                line.push(' ');
                line.push_str(parameter);
            }
            line
        };
        let LimitsParameters {
            mail_max,
            rcpt_max,
            rcpt_domain_max,
            ..
        } = capabilities.limits();
        Self {
            offered: capabilities.iter().map(line).collect(),
            malformed: capabilities.malformed(),
            auth: capabilities.auth().map(str::to_owned).collect(),
            starttls: capabilities.starttls(),
            size: capabilities.size().map(|size| Size {
                octets: match size {
                    SizeLimit::Octets(octets) => Some(octets),
                    SizeLimit::Unlimited => None,
                },
            }),
            limits: Limits {
                messages: mail_max,
                recipients: rcpt_max,
                domains: rcpt_domain_max,
            },
        }
    }
}
