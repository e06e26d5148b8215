//! Every path to reach a server, from the settings of its script.

use std::error::Error;
use std::fs;
use std::time::Duration;

use postwire_blocking::proto::{Credentials, Mechanism};
use postwire_blocking::tls::{Certificate, CertificateStore};
use postwire_blocking::transport::{TransportBuilder, TransportConfig};

use crate::server::Environment;

pub(crate) const OVER_TLS: &str = "TLSv1.3";
pub(crate) const IN_PLAINTEXT: &str = "plaintext";

/// A missing reply is an error long before a user would give up.
const CASE_TIMEOUT: Duration = Duration::from_secs(15);

/// The variable with the port, its name in the table, the mode, and the expected outcome.
const WITHOUT_LOGIN: [(&str, &str, &str, &str); 9] = [
    ("NOTLS_PORT", "no-tls", "none", IN_PLAINTEXT),
    ("NOTLS_PORT", "no-tls", "opportunistic", IN_PLAINTEXT),
    ("PLAIN_PORT", "plain", "none", IN_PLAINTEXT),
    ("PLAIN_PORT", "plain", "opportunistic", OVER_TLS),
    ("PLAIN_PORT", "plain", "required", OVER_TLS),
    ("BROKENTLS_PORT", "broken-tls", "none", IN_PLAINTEXT),
    ("BROKENTLS_PORT", "broken-tls", "required", IN_PLAINTEXT),
    ("LMTP_PORT", "lmtp", "none", IN_PLAINTEXT),
    ("LMTP_SOCKET", "lmtp+unix", "none", IN_PLAINTEXT),
];

/// One path to reach a server.
#[derive(Clone, Debug)]
pub(crate) struct AccessPath {
    pub(crate) mode: &'static str,
    pub(crate) port: &'static str,
    url: String,
    ca: Option<Certificate>,
    login: Option<(Credentials, Mechanism)>,
    chunking: bool,
    /// The protection of the connection.
    pub(crate) channel: &'static str,
}

impl AccessPath {
    /// A port in one mode; `None` if the server has no such port, or no CA where one is needed.
    fn new(
        environment: &Environment,
        variable: &str,
        port: &'static str,
        mode: &'static str,
        channel: &'static str,
    ) -> Result<Option<Self>, Box<dyn Error>> {
        let has_ca = environment.has("CA_FILE");
        if !environment.has(variable) || mode != "none" && !has_ca {
            return Ok(None);
        }
        let address = environment.get(variable)?;
        let ca = match environment.get("CA_FILE") {
            Ok(path) => Some(Certificate::from_pem(&fs::read(path)?)?),
            Err(_) => None,
        };
        Ok(Some(Self {
            mode,
            port,
            url: match port {
                "smtps" => format!("smtps://localhost:{address}"),
                "lmtp" => format!("lmtp://localhost:{address}?tls=none"),
                "lmtp+unix" => format!("lmtp+unix://{address}"),
                _ => format!("smtp://localhost:{address}?tls={mode}"),
            },
            ca,
            login: None,
            chunking: true,
            channel,
        }))
    }

    pub(crate) fn without_chunking(&self) -> Self {
        Self {
            chunking: false,
            ..self.clone()
        }
    }

    /// Whether the server's handshake fails, according to its script.
    pub(crate) fn fails(&self) -> bool {
        self.port == "broken-tls" && self.mode != "none"
    }

    /// The settings that differ from the defaults, in words.
    pub(crate) fn settings(&self) -> String {
        let mut settings = String::new();
        if let Some((_, mechanism)) = &self.login {
            settings = format!("; AUTH {mechanism}");
        }
        if !self.chunking {
            settings.push_str("; -chunking");
        }
        settings
    }

    /// The default configuration with the certificate, the password, and a short timeout.
    pub(crate) fn config(&self) -> Result<TransportConfig, Box<dyn Error>> {
        let mut builder =
            TransportBuilder::<TransportConfig>::from_url(&self.url)?.timeout(Some(CASE_TIMEOUT));
        if !self.chunking {
            builder = builder.client(|client| client.chunking(false));
        }
        if let Some(ca) = &self.ca {
            builder = builder.tls_parameters(|tls| {
                tls.certificate_store(CertificateStore::None)
                    .add_root_certificate(ca.clone())
            });
        }
        if let Some((credentials, mechanism)) = &self.login {
            builder = builder
                .credentials(credentials.clone())
                .authentication(vec![*mechanism]);
        }
        Ok(builder.build()?)
    }
}

/// Every port in each of its modes, and each mechanism.
pub(crate) fn all(environment: &Environment) -> Result<Vec<AccessPath>, Box<dyn Error>> {
    let mut access_paths = Vec::new();
    for (variable, port, mode, channel) in WITHOUT_LOGIN {
        access_paths.extend(AccessPath::new(environment, variable, port, mode, channel)?);
    }
    let (variable, port) = if environment.has("SUBMISSION_PORT") {
        ("SUBMISSION_PORT", "submission")
    } else {
        ("PLAIN_PORT", "plain")
    };
    let starttls = AccessPath::new(environment, variable, port, "required", OVER_TLS)?;
    let smtps = AccessPath::new(environment, "SMTPS_PORT", "smtps", "wrapper", OVER_TLS)?;
    for path in starttls.iter().chain(&smtps) {
        let mechanisms = environment.get("AUTH").unwrap_or_default();
        for mechanism in mechanisms.split_ascii_whitespace() {
            let user = environment.get("AUTH_USER")?;
            let credentials = Credentials::new(user, environment.get("AUTH_PASSWORD")?);
            access_paths.push(AccessPath {
                login: Some((credentials, mechanism.parse()?)),
                ..path.clone()
            });
        }
    }
    Ok(access_paths)
}
