//! From the options that name a server to the library's configuration of it.
//!
//! Everything that was typed is judged here by the library's types, before
//! anything is opened but the file of certificate authorities.

use std::fs;
use std::time::Duration;

use postwire_blocking::proto::{
    Credentials, Error, ErrorKind, HelloName, Mechanism, Protocol, Secret, Stage,
};
use postwire_blocking::tls::{
    Certificate, CertificateStore, ConfigError, ServerUrl, TransportBuilder, TransportConfig,
};

use crate::arguments::{ServerArguments, UsageError};
use crate::secrets;

/// What is known of the server; the last step may still fail, though not
/// through the user's fault.
pub(crate) type Builder = TransportBuilder<TransportConfig>;

/// Judges the URL and the options.
pub(crate) fn parse(
    (name, url): (&str, &str),
    options: &ServerArguments,
) -> Result<Builder, UsageError> {
    let url = ServerUrl::parse(url).map_err(|why| UsageError::new(name, why))?;
    let mut builder = Builder::from_server_url(&url)
        .allow_plaintext_auth(options.allow_plaintext_auth)
        .timeout(options.timeout.as_deref().map(parse_timeout).transpose()?)
        .trace(options.trace);
    if options.lmtp {
        builder = builder.protocol(Protocol::Lmtp);
    }
    if let Some(name) = &options.hello {
        let name: HelloName = name
            .parse()
            .map_err(|why| UsageError::new("--hello", why))?;
        builder = builder.hello_name(name);
    }
    let mechanisms = parse_mechanisms(&options.auth)?;
    builder = match parse_credentials(url.credentials(), options, &mechanisms)? {
        Some(credentials) => {
            secrets::keep(&credentials);
            builder.credentials(credentials)
        }
        None if options.auth.is_empty() => builder,
        None => {
            let why = "a user and a password are needed as well";
            return Err(UsageError::new("--auth", why));
        }
    };
    if !mechanisms.is_empty() {
        builder = builder.authentication(mechanisms);
    }
    add_authorities(builder, options)
}

/// The last step: may find that nobody can be trusted on this machine.
pub(crate) fn build(builder: Builder) -> Result<Result<TransportConfig, Error>, UsageError> {
    match builder.build() {
        Ok(config) => Ok(Ok(config)),
        Err(ConfigError::Tls(why)) => {
            let kind = ErrorKind::Tls(std::sync::Arc::new(why));
            Ok(Err(Error::new(Stage::Tls, kind)))
        }
        Err(why) => Err(UsageError::new("--server", why)),
    }
}

fn parse_timeout(seconds: &str) -> Result<Duration, UsageError> {
    let parsed = seconds.parse().map(Duration::try_from_secs_f64);
    match parsed {
        Ok(Ok(timeout)) if !timeout.is_zero() => Ok(timeout),
        _ => Err(UsageError::new(
            "--timeout",
            "must be a number of seconds above 0",
        )),
    }
}

fn parse_mechanisms(names: &[String]) -> Result<Vec<Mechanism>, UsageError> {
    let parsed = names.iter().map(|name| name.parse());
    parsed
        .collect::<Result<_, _>>()
        .map_err(|why| UsageError::new("--auth", why))
}

fn parse_credentials(
    from_url: Option<&Credentials>,
    options: &ServerArguments,
    mechanisms: &[Mechanism],
) -> Result<Option<Credentials>, UsageError> {
    if let Some(user) = &options.user {
        if user.is_empty() {
            return Err(UsageError::new("--user", "is empty"));
        }
        if user.contains(char::is_control) {
            return Err(UsageError::new("--user", "holds a control character"));
        }
    }
    let password = options
        .password_env
        .as_deref()
        .map(password_of)
        .transpose()?;
    let user = options
        .user
        .clone()
        .or_else(|| from_url.map(|given| given.user().to_owned()));
    let password = password.or_else(|| from_url.map(|given| given.secret().clone()));
    match (user, password) {
        (user, None) if mechanisms == [Mechanism::EXTERNAL] => {
            let identity = user.unwrap_or_default();
            Ok(Some(Credentials::external().acting_for(identity)))
        }
        (user, None) if mechanisms == [Mechanism::ANONYMOUS] => {
            Ok(Some(Credentials::anonymous(user.unwrap_or_default())))
        }
        (Some(user), Some(password)) => Ok(Some(Credentials::new(user, password))),
        (None, None) => Ok(None),
        (Some(_), None) => {
            let why =
                "a password is needed as well: --password-env names the variable that holds it";
            Err(UsageError::new("--user", why))
        }
        (None, Some(_)) => Err(UsageError::new(
            "--password-env",
            "a user is needed as well: --user",
        )),
    }
}

/// The secret in an environment variable. The variable is not named in an
/// error: it may be the password, given by mistake.
pub(crate) fn password_of(variable: &str) -> Result<Secret, UsageError> {
    let refuse = |why| Err(UsageError::new("--password-env", why));
    if variable.is_empty() || variable.contains(['=', '\0']) {
        return refuse("this is no name of an environment variable");
    }
    let Some(value) = std::env::var_os(variable) else {
        return refuse("the environment variable that it names is not set");
    };
    let secret = value.into_encoded_bytes();
    if secret.is_empty() {
        return refuse("the environment variable that it names is empty");
    }
    if secret.iter().any(u8::is_ascii_control) {
        return refuse(
            "the environment variable that it names holds a control character, perhaps a line end",
        );
    }
    Ok(Secret::from(secret))
}

fn add_authorities(builder: Builder, options: &ServerArguments) -> Result<Builder, UsageError> {
    let Some(file) = &options.ca else {
        return Ok(builder);
    };
    let refuse = |why: String| UsageError::new("--ca", why);
    let pem = fs::read(file).map_err(|error| refuse(format!("cannot read the file: {error}")))?;
    let authorities =
        Certificate::from_pem_bundle(&pem).map_err(|error| refuse(error.to_string()))?;
    // Whoever names an authority means it, not it and a hundred others.
    let mut builder = builder.tls_parameters(|tls| tls.certificate_store(CertificateStore::None));
    for authority in authorities {
        builder = builder.add_root_certificate(authority);
    }
    Ok(builder)
}
