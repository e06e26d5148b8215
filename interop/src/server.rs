//! The ports and limits of the server, from `tests/servers/postfix`.

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use postwire_blocking::proto::{Address, Credentials};
use postwire_blocking::tls::Certificate;

/// The server under test.
#[derive(Debug)]
pub(crate) struct Server {
    plain: u16,
    no_tls: u16,
    submission: u16,
    smtps: u16,
    logged: u16,
    /// The CA of its certificate.
    pub(crate) ca: Certificate,
    user: String,
    password: String,
    domain: String,
    /// The folder with a Maildir for each mailbox.
    pub(crate) mail: PathBuf,
    /// The path of its log.
    pub(crate) log: PathBuf,
}

/// The ports, by service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// STARTTLS offered, no AUTH.
    Plain,
    /// No STARTTLS, AUTH offered.
    NoTls,
    /// STARTTLS and AUTH required.
    Submission,
    /// TLS from the first byte, AUTH required.
    Smtps,
    /// Neither STARTTLS nor AUTH; each command is in the log.
    Logged,
}

impl Port {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::NoTls => "no-tls",
            Self::Submission => "submission",
            Self::Smtps => "smtps",
            Self::Logged => "logged",
        }
    }
}

/// The settings that a script in `tests/servers` wrote about the server that it started.
#[derive(Debug)]
pub(crate) struct Environment(HashMap<String, String>);

impl Environment {
    pub(crate) fn read(path: &Path) -> Result<Self, Box<dyn Error>> {
        let text = fs::read_to_string(path)?;
        let settings = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned()));
        Ok(Self(settings.collect()))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(crate) fn get(&self, name: &str) -> Result<&str, Box<dyn Error>> {
        let value = self.0.get(name).map(String::as_str);
        Ok(value.ok_or_else(|| format!("{name} is not set"))?)
    }

    pub(crate) fn port(&self, name: &str) -> Result<u16, Box<dyn Error>> {
        Ok(u16::from_str(self.get(name)?).map_err(|error| format!("{name}: {error}"))?)
    }
}

impl Server {
    pub(crate) fn new(environment: &Environment) -> Result<Self, Box<dyn Error>> {
        let setting = |name| environment.get(name);
        let port = |name| environment.port(name);
        Ok(Self {
            plain: port("PLAIN_PORT")?,
            no_tls: port("NOTLS_PORT")?,
            submission: port("SUBMISSION_PORT")?,
            smtps: port("SMTPS_PORT")?,
            logged: port("LOGGED_PORT")?,
            ca: Certificate::from_pem(&fs::read(setting("CA_FILE")?)?)?,
            user: setting("AUTH_USER")?.to_owned(),
            password: setting("AUTH_PASSWORD")?.to_owned(),
            domain: setting("DOMAIN")?.to_owned(),
            mail: PathBuf::from(setting("MAIL_DIR")?),
            log: PathBuf::from(setting("LOG_FILE")?),
        })
    }

    pub(crate) fn port(&self, port: Port) -> u16 {
        match port {
            Port::Plain => self.plain,
            Port::NoTls => self.no_tls,
            Port::Submission => self.submission,
            Port::Smtps => self.smtps,
            Port::Logged => self.logged,
        }
    }

    pub(crate) fn credentials(&self) -> Credentials {
        Credentials::new(self.user.as_str(), self.password.as_str())
    }

    pub(crate) fn wrong_credentials(&self) -> Credentials {
        Credentials::new(self.user.as_str(), "battery staple")
    }

    /// The domain whose mail it accepts.
    pub(crate) fn domain(&self) -> &str {
        &self.domain
    }

    /// A mailbox of the server's domain, whether it exists or not.
    pub(crate) fn address(&self, user: &str) -> Result<Address, Box<dyn Error>> {
        Ok(Address::new(user, &self.domain)?)
    }
}
