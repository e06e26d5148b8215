//! Builds the configuration of the server from the options of `serve`.
//!
//! Every option is checked here, with the library's types where there is one, before the server
//! listens.

use std::path::PathBuf;
use std::sync::Arc;

use postwire_blocking::proto::{
    Address, AddressError, Credentials, HelloName, Mechanism, Parameter, Protocol, Reply,
};
use postwire_blocking::tls::{Identity, ServerTls, ServerTlsParameters};
use postwire_server::ServerConfig;

use crate::arguments::UsageError;
use crate::arguments::serve::{ServeArguments, ServeTls};
use crate::arguments::server_options::{password_of, read_authorities, read_file};
use crate::serve::authority;
use crate::serve::faults::{Faults, parse_refusal, parse_seconds};
use crate::serve::journal::Log;
use crate::serve::server::Settings;

/// The default for the longest time that messages are held.
const DEFAULT_HOLD_SECONDS: u32 = 7 * 24 * 3_600;

/// Extensions that are always offered, or that have their own option.
const EXTENSIONS_WITH_OPTIONS: [&str; 10] = [
    "8BITMIME",
    "AUTH",
    "BINARYMIME",
    "CHUNKING",
    "DSN",
    "ENHANCEDSTATUSCODES",
    "PIPELINING",
    "SIZE",
    "SMTPUTF8",
    "STARTTLS",
];

/// The settings for clients.
pub(crate) struct Options {
    pub(crate) settings: Settings,
    /// The certificate of the generated authority, if it is to be written to a file.
    pub(crate) authority: Option<(PathBuf, String)>,
}

/// Builds the settings for clients. Writes nothing: another server may be using the files.
pub(crate) fn parse(
    arguments: &ServeArguments,
    hostname: &HelloName,
) -> Result<Options, UsageError> {
    match (&arguments.cert, &arguments.key) {
        (Some(_), None) => return Err(UsageError::new("--cert", "needs --key")),
        (None, Some(_)) => return Err(UsageError::new("--key", "needs --cert")),
        _ => {}
    }
    check_effects(arguments)?;
    let faults = Faults::parse(&arguments.fault, &arguments.delay)?;
    let config = parse_config(arguments, hostname.clone())?
        .ask_at_opening(faults.concern_opening())
        .trace(true)
        .trace_replies(true);
    let (tls, authority) = prepare_tls(arguments, hostname)?;
    let settings = Settings {
        config: Arc::new(config),
        protocol: protocol(arguments),
        users: parse_users(arguments)?,
        refusals: parse_refusals(arguments, hostname)?,
        faults,
        max_connections: arguments.max_connections,
        tls,
        log: Log {
            failures: true,
            dialogue: arguments.trace,
        },
    };
    Ok(Options {
        settings,
        authority,
    })
}

/// Refuses options that would have no effect.
fn check_effects(arguments: &ServeArguments) -> Result<(), UsageError> {
    let without_tls = arguments.tls == ServeTls::None;
    let wrapper = arguments.tls == ServeTls::Wrapper;
    let offers_requiretls = arguments.offer.iter();
    let offers_requiretls = offers_requiretls.map(|given| given.eq_ignore_ascii_case("REQUIRETLS"));
    let mut auth = arguments.auth.iter();
    let names_variables = auth.all(|user| user.contains(':'));
    for (is_useless, option, why) in [
        (
            without_tls && arguments.cert.is_some(),
            "--cert",
            "needs --tls starttls or --tls wrapper",
        ),
        (
            without_tls && arguments.ca_out.is_some(),
            "--ca-out",
            "needs --tls starttls or --tls wrapper",
        ),
        (
            without_tls && arguments.client_ca.is_some(),
            "--client-ca",
            "client certificates need TLS: add --tls",
        ),
        (
            without_tls && arguments.require_tls,
            "--require-tls",
            "needs --tls starttls or --tls wrapper",
        ),
        (
            wrapper && arguments.require_tls,
            "--require-tls",
            "has no effect with --tls wrapper, which requires TLS",
        ),
        (
            arguments.plaintext_auth && (wrapper || arguments.require_tls),
            "--plaintext-auth",
            "has no effect where everything is under TLS",
        ),
        (
            arguments.password_env.is_some() && names_variables,
            "--password-env",
            "has no effect: each user names a variable",
        ),
        (
            without_tls && offers_requiretls.fold(false, |any, this| any | this),
            "--offer",
            "REQUIRETLS is offered under TLS only: add --tls",
        ),
    ] {
        if is_useless {
            return Err(UsageError::new(option, why));
        }
    }
    Ok(())
}

fn protocol(arguments: &ServeArguments) -> Protocol {
    if arguments.lmtp {
        Protocol::Lmtp
    } else {
        Protocol::Smtp
    }
}

fn parse_config(
    arguments: &ServeArguments,
    hostname: HelloName,
) -> Result<ServerConfig, UsageError> {
    let wants_users = !arguments.auth.is_empty();
    if wants_users && arguments.tls == ServeTls::None && !arguments.plaintext_auth {
        let why = "a login is not offered in plaintext: add --tls or --plaintext-auth";
        return Err(UsageError::new("--auth", why));
    }
    let mechanisms = parse_mechanisms(arguments)?;
    let config = ServerConfig::new(hostname)
        .protocol(protocol(arguments))
        .auth(mechanisms)
        .require_auth(wants_users && !arguments.optional_auth)
        .auth_in_plaintext(arguments.plaintext_auth)
        .require_tls(arguments.require_tls)
        .pipelining(!arguments.no_pipelining)
        .chunking(!arguments.no_chunking)
        .eight_bit_mime(!arguments.no_8bitmime)
        .binary_mime(!arguments.no_binarymime)
        .smtp_utf8(!arguments.no_smtputf8)
        .dsn(!arguments.no_dsn)
        .enhanced_status_codes(!arguments.no_enhancedstatuscodes)
        .max_recipients(arguments.max_recipients)
        .bare_local_parts(takes_bare_local_parts(arguments));
    let config = match &arguments.idle_timeout {
        Some(seconds) => config.idle_timeout(parse_seconds("--idle-timeout", seconds)?),
        None => config,
    };
    let config = match arguments.size {
        Some(octets) => config.size(Some(octets)),
        None => config,
    };
    let mut offered = arguments.offer.iter();
    offered.try_fold(config, |config, given| offer(config, given))
}

fn takes_bare_local_parts(arguments: &ServeArguments) -> bool {
    arguments.lmtp || arguments.bare_local_parts
}

/// The mechanisms to offer: those that are named, or all that can succeed.
fn parse_mechanisms(arguments: &ServeArguments) -> Result<Vec<Mechanism>, UsageError> {
    const OPTION: &str = "--mechanism";
    let wants_users = !arguments.auth.is_empty();
    let mut possible = if wants_users {
        Mechanism::all()
            .iter()
            .copied()
            .filter(Mechanism::has_secret)
            .collect()
    } else {
        Vec::new()
    };
    possible.extend(arguments.client_ca.is_some().then_some(Mechanism::EXTERNAL));
    if arguments.mechanism.is_empty() {
        return Ok(possible);
    }
    let mut mechanisms = Vec::new();
    for name in &arguments.mechanism {
        let mechanism: Mechanism = name.parse().map_err(|why| UsageError::new(OPTION, why))?;
        let why = if mechanism == Mechanism::ANONYMOUS || possible.contains(&mechanism) {
            mechanisms.push(mechanism);
            continue;
        } else if mechanism == Mechanism::EXTERNAL {
            "EXTERNAL needs --client-ca"
        } else if mechanism.has_secret() {
            "this mechanism needs --auth"
        } else {
            "the server does not have this mechanism"
        };
        return Err(UsageError::new(OPTION, why));
    }
    if wants_users && !mechanisms.iter().any(Mechanism::has_secret) {
        let why = "none of the mechanisms is for the users of --auth";
        return Err(UsageError::new(OPTION, why));
    }
    Ok(mechanisms)
}

/// Reads `EXTENSION`, or `EXTENSION=SECONDS` for extensions with a limit.
fn offer(config: ServerConfig, given: &str) -> Result<ServerConfig, UsageError> {
    let usage_error = |why: &str| Err(UsageError::new("--offer", why));
    let (extension, seconds) = match given.split_once('=') {
        Some((extension, seconds)) => match seconds.parse::<u32>() {
            Ok(seconds) => (extension, Some(seconds)),
            Err(_) => return usage_error("must have a number of seconds after the ="),
        },
        None => (given, None),
    };
    Ok(match (extension.to_ascii_uppercase().as_str(), seconds) {
        ("DELIVERBY", shortest) => config.deliver_by(Some(shortest.unwrap_or(0))),
        ("FUTURERELEASE", longest) => {
            config.future_release(Some(longest.unwrap_or(DEFAULT_HOLD_SECONDS)))
        }
        (_, Some(_)) => {
            return usage_error("only DELIVERBY and FUTURERELEASE take a number of seconds");
        }
        ("MT-PRIORITY", None) => config.mt_priority(true),
        ("REQUIRETLS", None) => config.requiretls(true),
        ("LIMITS", None) => config.declare_limits(true),
        (known, None) if EXTENSIONS_WITH_OPTIONS.contains(&known) => {
            return usage_error("this extension has its own option or is always offered");
        }
        (keyword, None) => match keyword.parse::<Parameter>() {
            Ok(_) => config.extension(keyword),
            Err(why) => return Err(UsageError::new("--offer", why)),
        },
    })
}

/// Reads `USER:VARIABLE`, or `USER` with the variable of `--password-env`.
fn parse_users(arguments: &ServeArguments) -> Result<Vec<Credentials>, UsageError> {
    let user = |given: &String| {
        let (user, variable) = match given.rsplit_once(':') {
            Some((user, variable)) => (user, Some(variable)),
            None => (given.as_str(), arguments.password_env.as_deref()),
        };
        if user.is_empty() || user.contains(char::is_control) {
            return Err(UsageError::new(
                "--auth",
                "the user is empty or contains a control character",
            ));
        }
        let Some(variable) = variable else {
            let why = "name the variable with the password: USER:VAR, or --password-env VAR";
            return Err(UsageError::new("--auth", why));
        };
        Ok(Credentials::new(user, password_of(variable)?))
    };
    arguments.auth.iter().map(user).collect()
}

/// Reads `ADDRESS=550` or `ADDRESS=550 5.1.1 no such user`.
fn parse_refusals(
    arguments: &ServeArguments,
    hostname: &HelloName,
) -> Result<Vec<(Address, Reply)>, UsageError> {
    let refusal = |given: &String| {
        let usage_error = |why: String| UsageError::new("--reject", why);
        let (address, reply) = given
            .rsplit_once('=')
            .ok_or_else(|| usage_error("must be an address, =, and a reply".to_owned()))?;
        let address = match address.parse::<Address>() {
            Err(AddressError::MissingAtSign) if takes_bare_local_parts(arguments) => {
                Address::new(address, hostname.as_str())
            }
            parsed => parsed,
        };
        let address = address.map_err(|why| usage_error(format!("{why}")))?;
        let enhanced = if reply.starts_with('5') {
            (1, 1)
        } else {
            (2, 0)
        };
        let reply = parse_refusal(reply, enhanced, "recipient refused").ok_or_else(|| {
            usage_error("the reply must begin with a code from 400 to 599".to_owned())
        })?;
        Ok((address, reply))
    };
    arguments.reject.iter().map(refusal).collect()
}

/// The TLS parameters, and the certificate of the authority if it is to be written.
fn prepare_tls(
    arguments: &ServeArguments,
    hostname: &HelloName,
) -> Result<(ServerTls, Option<(PathBuf, String)>), UsageError> {
    if arguments.tls == ServeTls::None {
        return Ok((ServerTls::None, None));
    }
    let authorities = match &arguments.client_ca {
        Some(file) => Some(read_authorities("--client-ca", file)?),
        None => None,
    };
    let (identity, authority) = identity(arguments, hostname)?;
    let parameters = match &authorities {
        Some(authorities) => ServerTlsParameters::with_client_authorities(identity, authorities),
        None => ServerTlsParameters::new(identity),
    };
    let parameters = parameters.map_err(|why| UsageError::new("--cert", why))?;
    let tls = match arguments.tls {
        ServeTls::Wrapper => ServerTls::Wrapper(parameters),
        _ => ServerTls::StartTls(parameters),
    };
    Ok((tls, arguments.ca_out.clone().zip(authority)))
}

/// The given certificate, or a generated one with its authority.
fn identity(
    arguments: &ServeArguments,
    hostname: &HelloName,
) -> Result<(Identity, Option<String>), UsageError> {
    if let (Some(chain), Some(key)) = (&arguments.cert, &arguments.key) {
        let (chain, key) = (read_file("--cert", chain)?, read_file("--key", key)?);
        let identity = Identity::from_pem(&chain, &key);
        return Ok((
            identity.map_err(|why| UsageError::new("--cert", why))?,
            None,
        ));
    }
    let generated =
        authority::generate(hostname.as_str()).map_err(|why| UsageError::new("--hostname", why))?;
    Ok((generated.server, Some(generated.ca_pem)))
}
