//! Builds the configuration of the server from the options of `serve`.
//!
//! Every option is checked here, with the library's types where there is one, before the server
//! listens.

use std::fs;
use std::sync::Arc;

use postwire_blocking::proto::{
    Address, Credentials, EnhancedCode, HelloName, Mechanism, Parameter, Protocol, Reply, ReplyCode,
};
use postwire_blocking::tls::{Identity, ServerTls, ServerTlsParameters};
use postwire_server::ServerConfig;

use crate::arguments::server_options::{password_of, read_authorities, read_file};
use crate::arguments::{ServeArguments, ServeTls, UsageError};
use crate::serve::authority;
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

/// Builds the settings for clients.
pub(crate) fn parse(
    arguments: &ServeArguments,
    hostname: &HelloName,
) -> Result<Settings, UsageError> {
    match (&arguments.cert, &arguments.key) {
        (Some(_), None) => return Err(UsageError::new("--cert", "needs --key")),
        (None, Some(_)) => return Err(UsageError::new("--key", "needs --cert")),
        _ => {}
    }
    Ok(Settings {
        config: Arc::new(parse_config(arguments, hostname.clone())?),
        protocol: protocol(arguments),
        users: parse_users(arguments)?,
        refusals: parse_refusals(&arguments.reject)?,
        max_connections: arguments.max_connections,
        tls: prepare_tls(arguments, hostname)?,
    })
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
    if arguments.require_tls && arguments.tls == ServeTls::None {
        return Err(UsageError::new(
            "--require-tls",
            "needs --tls starttls or --tls wrapper",
        ));
    }
    if arguments.client_ca.is_some() && arguments.tls == ServeTls::None {
        let why = "client certificates need TLS: add --tls";
        return Err(UsageError::new("--client-ca", why));
    }
    let mut mechanisms = if wants_users {
        vec![
            Mechanism::SCRAM_SHA_512_PLUS,
            Mechanism::SCRAM_SHA_256_PLUS,
            Mechanism::SCRAM_SHA_1_PLUS,
            Mechanism::SCRAM_SHA_512,
            Mechanism::SCRAM_SHA_256,
            Mechanism::SCRAM_SHA_1,
            Mechanism::CRAM_MD5,
            Mechanism::PLAIN,
            Mechanism::LOGIN,
            Mechanism::OAUTHBEARER,
            Mechanism::XOAUTH2,
        ]
    } else {
        Vec::new()
    };
    mechanisms.extend(arguments.client_ca.is_some().then_some(Mechanism::EXTERNAL));
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
        .max_recipients(arguments.max_recipients);
    let config = match arguments.size {
        Some(octets) => config.size(Some(octets)),
        None => config,
    };
    let mut offered = arguments.offer.iter();
    offered.try_fold(config, |config, given| offer(config, given))
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
fn parse_refusals(rejects: &[String]) -> Result<Vec<(Address, Reply)>, UsageError> {
    let refusal = |given: &String| {
        let usage_error = |why: String| UsageError::new("--reject", why);
        let (address, reply) = given
            .rsplit_once('=')
            .ok_or_else(|| usage_error("must be an address, =, and a reply".to_owned()))?;
        let address = address
            .parse()
            .map_err(|why| usage_error(format!("{why}")))?;
        let reply = parse_refusal(reply).ok_or_else(|| {
            usage_error("the reply must begin with a code from 400 to 599".to_owned())
        })?;
        Ok((address, reply))
    };
    rejects.iter().map(refusal).collect()
}

fn parse_refusal(text: &str) -> Option<Reply> {
    let (code, text) = text.split_once(' ').unwrap_or((text, ""));
    let code = ReplyCode::new(code.parse().ok()?).filter(|code| code.is_negative())?;
    let (enhanced, text) = match EnhancedCode::parse(text.as_bytes()) {
        Some((enhanced, octets)) => (Some(enhanced), text.get(octets..)?.trim_start()),
        None if code.is_permanent() => (EnhancedCode::new(5, 1, 1), text),
        None => (EnhancedCode::new(4, 2, 0), text),
    };
    let text = if text.is_empty() {
        "recipient refused"
    } else {
        text
    };
    Some(Reply::new(code, enhanced, &[text]))
}

fn prepare_tls(arguments: &ServeArguments, hostname: &HelloName) -> Result<ServerTls, UsageError> {
    if arguments.tls == ServeTls::None {
        return Ok(ServerTls::None);
    }
    let authorities = match &arguments.client_ca {
        Some(file) => Some(read_authorities("--client-ca", file)?),
        None => None,
    };
    let identity = identity(arguments, hostname)?;
    let parameters = match &authorities {
        Some(authorities) => ServerTlsParameters::with_client_authorities(identity, authorities),
        None => ServerTlsParameters::new(identity),
    };
    let parameters = parameters.map_err(|why| UsageError::new("--cert", why))?;
    Ok(match arguments.tls {
        ServeTls::Wrapper => ServerTls::Wrapper(parameters),
        _ => ServerTls::StartTls(parameters),
    })
}

/// The given certificate, or a generated one.
fn identity(arguments: &ServeArguments, hostname: &HelloName) -> Result<Identity, UsageError> {
    if let (Some(chain), Some(key)) = (&arguments.cert, &arguments.key) {
        let (chain, key) = (read_file("--cert", chain)?, read_file("--key", key)?);
        return Identity::from_pem(&chain, &key).map_err(|why| UsageError::new("--cert", why));
    }
    let generated =
        authority::generate(hostname.as_str()).map_err(|why| UsageError::new("--hostname", why))?;
    if let Some(file) = &arguments.ca_out {
        let usage_error = |error| UsageError::new("--ca-out", error);
        fs::write(file, &generated.ca_pem).map_err(usage_error)?;
    }
    Ok(generated.server)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_a_code_and_an_optional_text() {
        for (given, reply) in [
            ("550", Some("550 5.1.1 recipient refused")),
            ("450", Some("450 4.2.0 recipient refused")),
            ("550 gone fishing", Some("550 5.1.1 gone fishing")),
            ("452 4.2.2 mailbox full", Some("452 4.2.2 mailbox full")),
            ("421 4.3.2", Some("421 4.3.2 recipient refused")),
            ("250", None),
            ("600", None),
            ("", None),
        ] {
            let parsed = parse_refusal(given).map(|reply| reply.to_string());
            assert_eq!(parsed.as_deref(), reply, "{given}");
        }
    }
}
