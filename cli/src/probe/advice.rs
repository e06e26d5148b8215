//! Advice for the administrator of a server, in plain sentences.
//!
//! Pure functions of what was learnt. Must never repeat text of the server.

use postwire_blocking::proto::{Capabilities, Mechanism, Security};
use postwire_blocking::tls::{TlsFailure, TlsFailureKind};

use super::inspection::Inspection;
use super::result::Learnt;
use super::survey::tls_failure;

/// A certificate that expires sooner deserves a warning: renewal usually happens 30 days ahead.
const SOON_DAYS: i64 = 21;

/// The advice, the most important first.
pub(super) fn of(learnt: &Learnt) -> Vec<String> {
    let mut advice = Vec::new();
    advice.extend(about_addresses(learnt));
    about_certificates(learnt, &mut advice);
    about_tls(learnt, &mut advice);
    about_login(learnt, &mut advice);
    about_capabilities(learnt, &mut advice);
    for finding in [&learnt.behind_data, &learnt.refused_bdat] {
        let breaks = finding.as_ref().is_some_and(|it| it.works == Some(false));
        if breaks {
            advice.push(
                "Do not use --pipelining bold with this server: it does not read commands as the \
                 standards say."
                    .to_owned(),
            );
            break;
        }
    }
    advice
}

fn about_addresses(learnt: &Learnt) -> Option<String> {
    let addresses = &learnt.survey.addresses;
    let works = |inspection: &Inspection| inspection.failure.is_none();
    let fail: Vec<_> = addresses
        .iter()
        .filter(|(_, inspection)| !works(inspection))
        .map(|(address, _)| address.ip().to_string())
        .collect();
    if fail.is_empty() || fail.len() == addresses.len() {
        return None;
    }
    Some(format!(
        "Some addresses of the name do not work: {}. Clients lose time with them.",
        fail.join(", ")
    ))
}

fn about_certificates(learnt: &Learnt, advice: &mut Vec<String>) {
    let survey = &learnt.survey;
    if let Some(error) = &survey.certificate_error {
        // Trust does not help a certificate that has expired, or has another name.
        let or_trusted = match tls_failure(error).map(TlsFailure::kind) {
            Some(TlsFailureKind::UnknownIssuer | TlsFailureKind::UntrustedAuthority { .. }) => {
                ", or is trusted with --ca"
            }
            _ => "",
        };
        advice.push(format!(
            "Clients that verify certificates refuse this server until its certificate is \
             replaced{or_trusted}."
        ));
    } else if let Some(days) = survey.chain.iter().map(|it| it.days_left).min()
        && days < SOON_DAYS
    {
        advice.push(format!(
            "A certificate of the server expires in {days} days."
        ));
    }
}

fn about_tls(learnt: &Learnt, advice: &mut Vec<String>) {
    let survey = &learnt.survey;
    let tried = |mode: Security| {
        let mut modes = survey.modes.iter();
        let found = modes.find(|(tried, _)| *tried == mode);
        found.map(|(_, inspection)| inspection.failure.as_ref())
    };
    let works = |mode| tried(mode).is_some_and(|failure| failure.is_none());
    if survey.modes.is_empty() {
        return;
    }
    if works(Security::None) && survey.versions.is_empty() {
        advice.push(
            "The server offers no TLS on this port: everyone on the network path can read the \
             mail."
                .to_owned(),
        );
    }
    // A certificate that is not accepted shows that TLS begins.
    let begins_tls = |mode| {
        let failure = tried(mode).flatten();
        let kind = failure.and_then(tls_failure).map(TlsFailure::kind);
        works(mode) || kind.is_some_and(|kind| !matches!(kind, TlsFailureKind::Plaintext(_)))
    };
    if begins_tls(Security::Required) {
        advice.push("Use smtp:// with this port, which requires STARTTLS.".to_owned());
    } else if begins_tls(Security::Wrapper) {
        advice.push("Use smtps:// with this port, which uses TLS from the first octet.".to_owned());
    }
    let no_version = survey.versions.iter().all(|it| it.agreed.is_err());
    if !survey.versions.is_empty() && no_version {
        advice.push(
            "The server offers TLS, and a handshake fails with every version: its TLS is \
             misconfigured, or too old."
                .to_owned(),
        );
    }
    let takes = |name: &str| {
        let mut versions = survey.versions.iter();
        versions.any(|version| version.name == name && version.agreed.is_ok())
    };
    if takes("TLSv1.2") && !takes("TLSv1.3") {
        advice.push(
            "The server does not take TLS 1.3, which needs one round trip less and hides the \
             certificate."
                .to_owned(),
        );
    }
}

fn about_login(learnt: &Learnt, advice: &mut Vec<String>) {
    let Some(plaintext) = &learnt.first.in_plaintext else {
        return;
    };
    let reveals = |name: &str| {
        let mechanism = name.parse::<Mechanism>();
        mechanism.is_ok_and(|mechanism| mechanism.reveals_secret())
    };
    if plaintext.starttls() && plaintext.auth().any(reveals) {
        advice.push(
            "The server offers a login before STARTTLS that reveals the password. Offer it under \
             TLS only."
                .to_owned(),
        );
    }
}

fn about_capabilities(learnt: &Learnt, advice: &mut Vec<String>) {
    let Some(capabilities) = &learnt.first.facts.capabilities else {
        return;
    };
    let missing = |offers: fn(&Capabilities) -> bool| !offers(capabilities);
    if missing(Capabilities::pipelining) {
        advice.push(
            "The server does not offer PIPELINING, so each command costs a round trip.".to_owned(),
        );
    }
    if missing(Capabilities::eight_bit_mime) {
        advice.push(
            "The server does not offer 8BITMIME: messages with 8-bit content are refused, or need \
             --allow-8bit."
                .to_owned(),
        );
    }
    if capabilities.malformed() > 0 {
        advice.push("The reply to EHLO contains lines that are not capabilities.".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use postwire_blocking::proto::{Error, ErrorKind, Stage};

    use super::*;
    use crate::probe::survey::Survey;

    #[test]
    fn addresses_that_do_not_work_are_named_if_others_do() {
        let failed = || Inspection::failed(Error::new(Stage::Connect, ErrorKind::TimedOut));
        let (one, other) = ("192.0.2.1:25".parse(), "[2001:db8::1]:25".parse());
        let (one, other) = (one.unwrap(), other.unwrap());
        let learnt = |addresses| Learnt {
            first: Inspection::default(),
            survey: Survey {
                addresses,
                ..Survey::default()
            },
            mechanisms: [None, None],
            behind_data: None,
            refused_bdat: None,
        };
        let works = Inspection::default;
        let told = of(&learnt(vec![(one, works()), (other, failed())]));
        assert_eq!(told.len(), 1);
        assert!(told[0].contains("do not work: 2001:db8::1."), "{told:?}");
        let everything = vec![(one, works()), (other, works())];
        let nothing = vec![(one, failed()), (other, failed())];
        for addresses in [everything, nothing] {
            assert_eq!(of(&learnt(addresses)), Vec::<String>::new());
        }
    }
}
