//! Builds the library's configuration from the options that describe a server.
//!
//! Every option is checked here with the library's types; the only file that is read is the one
//! with certificate authorities.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

use postwire_blocking::proto::{
    Credentials, Error, ErrorKind, HelloName, Mechanism, Protocol, SaslContext, SaslError, Secret,
    Security, Stage,
};
use postwire_blocking::tls::{Certificate, CertificateStore, Identity, TlsError};
use postwire_blocking::transport::{ConfigError, ServerUrl, TransportBuilder, TransportConfig};

use crate::arguments::{ChannelBindingChoice, ServerArguments, UsageError};
use crate::print::hints::RequestedOptions;
use crate::send::envelope;

/// The configuration so far. The last step may still fail, but not because of the user's input.
pub(crate) type Builder = TransportBuilder<TransportConfig>;

/// Checks the URL and the options.
pub(crate) fn parse(
    (name, url): (&str, &str),
    options: &ServerArguments,
) -> Result<Builder, UsageError> {
    let url = ServerUrl::parse(url).map_err(|why| match local_server(url) {
        Some(meant) => UsageError::new(
            name,
            format_args!("{why}; for a test server on this machine use {meant}"),
        ),
        None => UsageError::new(name, why),
    })?;
    let mut builder = Builder::from_server_url(&url)
        .client(|client| {
            client
                .allow_plaintext_auth(options.allow_plaintext_auth)
                .channel_binding(options.channel_binding.into())
                .try_next_mechanism(options.try_next_mechanism)
        })
        .timeout(options.timeout.as_deref().map(parse_timeout).transpose()?)
        .client(|client| client.trace(options.trace));
    if options.ipv4 {
        builder = builder.socket(|socket| socket.local_address(Some(Ipv4Addr::UNSPECIFIED.into())));
    } else if options.ipv6 {
        builder = builder.socket(|socket| socket.local_address(Some(Ipv6Addr::UNSPECIFIED.into())));
    }
    if options.lmtp {
        builder = builder.protocol(Protocol::Lmtp);
    }
    if let Some(name) = &options.hello {
        let name: HelloName = name
            .parse()
            .map_err(|why| match envelope::ipv6_literal(name) {
                Some(literal) => UsageError::new("--hello", format_args!("{why}; write {literal}")),
                None => UsageError::new("--hello", why),
            })?;
        builder = builder.hello_name(name);
    }
    let mechanisms = parse_mechanisms(&options.auth)?;
    builder = match parse_credentials(&url, options, &mechanisms)? {
        Some(credentials) => builder.credentials(credentials),
        None if !options.auth.is_empty() => {
            let why = "needs a user and a password too";
            return Err(UsageError::new("--auth", why));
        }
        None if options.channel_binding == ChannelBindingChoice::Required => {
            let why = "needs a login: add --user and --password-env";
            return Err(UsageError::new("--channel-binding", why));
        }
        None => builder,
    };
    if !mechanisms.is_empty() {
        builder = builder.authentication(mechanisms);
    }
    let builder = add_identity(builder, url.mode(), options)?;
    add_authorities(builder, options)
}

/// The URLs for a local host name, with or without a port, which are not secret.
fn local_server(given: &str) -> Option<String> {
    let is_here = |host: &str| ["localhost", "127.0.0.1", "[::1]"].contains(&host);
    if is_here(given) {
        return Some(format!("smtp://{given}:25?tls=none"));
    }
    let (host, port) = given.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    is_here(host).then(|| {
        format!(
            "smtp://{host}:{port}?tls=none, or smtps://{host}:{port} if it begins with TLS at once"
        )
    })
}

/// The requested settings that hints depend on.
pub(crate) fn requested_options(
    url: &str,
    options: &ServerArguments,
) -> Result<RequestedOptions, UsageError> {
    let url = ServerUrl::parse(url).map_err(|why| UsageError::new("--server", why))?;
    Ok(RequestedOptions {
        protocol: if options.lmtp {
            Protocol::Lmtp
        } else {
            url.protocol()
        },
        mode: url.mode(),
        port: url.port(),
        authority: options.ca.is_some(),
        logs_in: options.user.is_some() || url.user().is_some() || !options.auth.is_empty(),
        mechanisms: options.auth.clone(),
        pipelining: false,
    })
}

/// The last step, which may find that this machine has no trusted certificates.
pub(crate) fn build(builder: Builder) -> Result<Result<TransportConfig, Error>, UsageError> {
    match builder.build() {
        Ok(config) => Ok(Ok(config)),
        Err(ConfigError::Tls(why @ TlsError::InvalidIdentity(_))) => {
            Err(UsageError::new("--client-cert", why))
        }
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
    url: &ServerUrl,
    options: &ServerArguments,
    mechanisms: &[Mechanism],
) -> Result<Option<Credentials>, UsageError> {
    check_name("--user", options.user.as_deref())?;
    check_name("--acting-for", options.acting_for.as_deref())?;
    let password = options
        .password_env
        .as_deref()
        .map(password_of)
        .transpose()?;
    let user = options
        .user
        .clone()
        .or_else(|| url.user().map(str::to_owned));
    let password = password.or_else(|| url.credentials().map(|given| given.secret().clone()));
    let acting_for = options.acting_for.as_deref();
    let credentials = match (user, password) {
        (Some(_), None) if mechanisms == [Mechanism::EXTERNAL] && acting_for.is_some() => {
            let why = "--user has the same meaning with EXTERNAL: give only one of them";
            Err(UsageError::new("--acting-for", why))
        }
        (user, None) if mechanisms == [Mechanism::EXTERNAL] => {
            let identity = user.unwrap_or_default();
            Ok(Some(
                Credentials::external().with_authorization_identity(identity),
            ))
        }
        (user, None) if mechanisms == [Mechanism::ANONYMOUS] => {
            Ok(Some(Credentials::anonymous(user.unwrap_or_default())))
        }
        (Some(user), Some(password)) => Ok(Some(Credentials::new(user, password))),
        (None, None) => Ok(None),
        (Some(_), None) => {
            let why = "needs a password too: name its environment variable with --password-env";
            let option = options.user.as_deref().map_or("--server", |_| "--user");
            Err(UsageError::new(option, why))
        }
        (None, Some(_)) => Err(UsageError::new(
            "--password-env",
            "needs a user too: add --user",
        )),
    }?;
    let Some(identity) = acting_for else {
        return Ok(credentials);
    };
    let Some(credentials) = credentials else {
        let why = "needs a login: add --user, or --auth EXTERNAL";
        return Err(UsageError::new("--acting-for", why));
    };
    let credentials = credentials.with_authorization_identity(identity);
    if !mechanisms.is_empty()
        && mechanisms
            .iter()
            .all(|each| !can_carry(*each, &credentials))
    {
        let why = "is not supported by the mechanisms of --auth";
        return Err(UsageError::new("--acting-for", why));
    }
    Ok(Some(credentials))
}

fn can_carry(mechanism: Mechanism, credentials: &Credentials) -> bool {
    // Everything else that the mechanism may lack becomes available with a session.
    let begun = mechanism.start(credentials, &SaslContext::default());
    !matches!(begun, Err(SaslError::WrongCredentialKind))
}

fn check_name(option: &str, name: Option<&str>) -> Result<(), UsageError> {
    match name {
        Some("") => Err(UsageError::new(option, "is empty")),
        Some(name) if name.contains(char::is_control) => {
            Err(UsageError::new(option, "contains a control character"))
        }
        _ => Ok(()),
    }
}

/// The secret in an environment variable. An error shows the name of the variable only if it
/// looks like one, since it may be the password, given by mistake.
pub(crate) fn password_of(variable: &str) -> Result<Secret, UsageError> {
    let usage_error = |why: &str| Err(UsageError::new("--password-env", why));
    if variable.is_empty() || variable.contains(['=', '\0']) {
        return usage_error("this is not the name of an environment variable");
    }
    let is_name = |octet: u8| matches!(octet, b'A'..=b'Z' | b'0'..=b'9' | b'_');
    let looks_like_one = variable.bytes().all(is_name) && !variable.as_bytes()[0].is_ascii_digit();
    let named = if looks_like_one {
        format!("the environment variable {variable}")
    } else {
        "the environment variable that it names".to_owned()
    };
    let Some(value) = std::env::var_os(variable) else {
        return usage_error(&format!("{named} is not set"));
    };
    let secret = value.into_encoded_bytes();
    if secret.is_empty() {
        return usage_error(&format!("{named} is empty"));
    }
    if secret.iter().any(u8::is_ascii_control) {
        return usage_error(&format!(
            "{named} contains a control character, perhaps a line end"
        ));
    }
    Ok(Secret::from(secret))
}

fn add_identity(
    builder: Builder,
    mode: Security,
    options: &ServerArguments,
) -> Result<Builder, UsageError> {
    const NAME: &str = "--client-cert";
    let Some(chain) = &options.client_cert else {
        return Ok(builder);
    };
    if mode == Security::None {
        let why = "needs TLS, which the URL turns off";
        return Err(UsageError::new(NAME, why));
    }
    let key = match &options.client_key {
        Some(key) => read_file("--client-key", key)?,
        None => read_file(NAME, chain)?,
    };
    let identity = Identity::from_pem(&read_file(NAME, chain)?, &key).map_err(|why| {
        let is_about_key = matches!(why, TlsError::NoPrivateKey) && options.client_key.is_some();
        UsageError::new(if is_about_key { "--client-key" } else { NAME }, why)
    })?;
    Ok(builder.tls_parameters(|tls| tls.identify_with(identity)))
}

fn add_authorities(builder: Builder, options: &ServerArguments) -> Result<Builder, UsageError> {
    let Some(file) = &options.ca else {
        return Ok(builder);
    };
    let authorities = read_authorities("--ca", file)?;
    // A user who names an authority does not want to trust the system's as well.
    let mut builder = builder.tls_parameters(|tls| tls.certificate_store(CertificateStore::None));
    for authority in authorities {
        builder = builder.tls_parameters(|tls| tls.add_root_certificate(authority));
    }
    Ok(builder)
}

/// Reads the certificates in a PEM file, at least one.
pub(crate) fn read_authorities(option: &str, file: &Path) -> Result<Vec<Certificate>, UsageError> {
    let pem = read_file(option, file)?;
    Certificate::from_pem_bundle(&pem).map_err(|why| UsageError::new(option, why))
}

/// Reads the file that an option names.
pub(crate) fn read_file(option: &str, file: &Path) -> Result<Vec<u8>, UsageError> {
    let usage_error =
        |error| UsageError::new(option, format_args!("cannot read the file: {error}"));
    fs::read(file).map_err(usage_error)
}
