//! The configuration of `sendmail`: a TOML file.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use postwire_blocking::proto::{Address, AddressError, Credentials};
use serde::Deserialize;

use crate::arguments::{ServerArguments, UsageError, server_options};

/// The file of the whole system.
const SYSTEM: &str = "/etc/postwire/sendmail.toml";

/// The file of a user, below the home folder.
const USERS: &str = ".config/postwire/sendmail.toml";

/// A configuration that was read and checked.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) builder: server_options::Builder,
    /// The domain of addresses without one.
    pub(crate) domain: String,
    /// The sender, unless an option names one.
    pub(crate) from: Option<String>,
    aliases: BTreeMap<String, OneOrMore>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Settings {
    server: String,
    user: Option<String>,
    password_file: Option<PathBuf>,
    ca: Option<PathBuf>,
    domain: Option<String>,
    from: Option<String>,
    hello: Option<String>,
    timeout: Option<f64>,
    #[serde(default)]
    allow_8bit: bool,
    #[serde(default)]
    aliases: BTreeMap<String, OneOrMore>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::More(more) => more,
        }
    }
}

/// Why there is no configuration.
#[derive(Debug)]
pub(crate) enum ConfigError {
    Missing,
    Unreadable(PathBuf, io::Error),
    Wrong(PathBuf, String),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(
                f,
                "there is no configuration: write server = \"smtps://…\" to ~/{USERS} or {SYSTEM}"
            ),
            Self::Unreadable(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::Wrong(path, why) => write!(f, "{}: {why}", path.display()),
        }
    }
}

impl Config {
    /// Reads the given file, or that of the user or of the system.
    pub(crate) fn read(given: Option<&Path>) -> Result<Self, ConfigError> {
        let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(USERS));
        let paths = match given {
            Some(given) => vec![given.to_owned()],
            None => home.into_iter().chain([SYSTEM.into()]).collect(),
        };
        for path in paths {
            match fs::read_to_string(&path) {
                Ok(text) => return Self::parse(&path, &text),
                Err(error) if error.kind() == io::ErrorKind::NotFound && given.is_none() => {}
                Err(error) => return Err(ConfigError::Unreadable(path, error)),
            }
        }
        Err(ConfigError::Missing)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let wrong = |why: String| ConfigError::Wrong(path.to_owned(), why);
        // The message of the error is without the lines of the file, which may hold a password.
        let file: Settings = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map_or(1, |before| before.matches('\n').count() + 1);
            wrong(format!("line {line}: {}", error.message()))
        })?;
        let options = ServerArguments {
            ca: file.ca,
            hello: file.hello,
            timeout: file.timeout.map(|seconds| seconds.to_string()),
            ..ServerArguments::default()
        };
        // The settings have the names of the options, without hyphens.
        let of_usage =
            |error: UsageError| wrong(error.to_string().trim_start_matches('-').to_owned());
        let builder = server_options::parse(("server", &file.server), &options);
        let builder = builder.map_err(of_usage)?;
        let mut builder =
            builder.client(|client| client.allow_8bit_without_8bitmime(file.allow_8bit));
        match (file.user, file.password_file) {
            (None, None) => {}
            (Some(user), Some(password)) => {
                let password = read_password(password)?;
                builder = builder.credentials(Credentials::new(user, password));
            }
            _ => return Err(wrong("user and password-file need each other".to_owned())),
        }
        let own_name = || gethostname::gethostname().to_string_lossy().into_owned();
        let config = Self {
            builder,
            domain: file.domain.unwrap_or_else(own_name),
            from: file.from,
            aliases: file.aliases,
        };
        let aliased = config.aliases.values().flat_map(OneOrMore::all);
        for address in config
            .from
            .iter()
            .filter(|from| !from.is_empty())
            .chain(aliased)
        {
            let checked = config.completed(address);
            checked.map_err(|why| wrong(format!("{address:?}: {why}")))?;
        }
        Ok(config)
    }

    /// The addresses for which an alias stands, or else the address itself. An alias may name
    /// others, which are not expanded again.
    pub(crate) fn expanded(&self, address: &str) -> Vec<String> {
        match self.aliases.get(address) {
            None => vec![address.to_owned()],
            Some(others) => others.all().to_vec(),
        }
    }

    /// The address, with the configured domain if it has none.
    pub(crate) fn completed(&self, address: &str) -> Result<Address, AddressError> {
        if address.contains('@') {
            address.parse()
        } else {
            format!("{address}@{}", self.domain).parse()
        }
    }
}

/// Reads a password, which ends at the end of the first line.
fn read_password(path: PathBuf) -> Result<String, ConfigError> {
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => return Err(ConfigError::Unreadable(path, error)),
    };
    match text.lines().next() {
        Some(password) if !password.is_empty() => Ok(password.to_owned()),
        _ => Err(ConfigError::Wrong(
            path,
            "there is no password in it".to_owned(),
        )),
    }
}
