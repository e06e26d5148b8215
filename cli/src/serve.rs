//! `serve`: a server that takes what it is given, for tests.
//!
//! The first line says where it listens, then there is one for each message.
//! Ctrl-C ends it once what is being stored is stored.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use postwire_blocking::proto::{
    Address, Credentials, EnhancedCode, HelloName, Mechanism, Protocol, Received, Reply, ReplyCode,
    ServerConfig,
};
use postwire_blocking::tls::{ServerTls, ServerTlsParameters};

use crate::arguments::{ServeArguments, ServeTls, UsageError};
use crate::authority;
use crate::exit::Exit;
use crate::maildir::Maildir;
use crate::output::{complain, say};
use crate::server::{Server, Settings, Sink, code, reply};
use crate::server_options::password_of;
use crate::text::{Plain, lossless};

/// How long Ctrl-C waits for a message that is being stored.
const LAST_MOMENT: Duration = Duration::from_millis(700);

/// Serves until Ctrl-C.
pub(crate) fn run(arguments: &ServeArguments) -> Result<Exit, UsageError> {
    let address = parse_address(&arguments.listen)?;
    let hostname: HelloName = arguments
        .hostname
        .parse()
        .map_err(|why| UsageError::new("--hostname", why))?;
    let settings = Settings {
        config: Arc::new(parse_config(arguments, hostname.clone())?),
        protocol: protocol(arguments),
        users: parse_users(arguments)?,
        refusals: parse_refusals(&arguments.reject)?,
        max_connections: arguments.max_connections,
        tls: prepare_tls(arguments, &hostname)?,
    };
    Ok(
        match serve(address, arguments.maildir.as_deref(), &hostname, settings) {
            Ok(()) => Exit::Accepted,
            Err(why) => {
                complain(why);
                Exit::System
            }
        },
    )
}

fn serve(
    address: SocketAddr,
    maildir: Option<&Path>,
    hostname: &HelloName,
    settings: Settings,
) -> Result<(), String> {
    let maildir = match maildir {
        None => None,
        Some(folder) => Some(
            Maildir::open(folder, hostname.as_str())
                .map_err(|error| format!("cannot open the maildir: {error}"))?,
        ),
    };
    let store = Arc::new(Store::new(maildir));
    let server = Server::bind(address, settings, Arc::clone(&store) as Arc<dyn Sink>)
        .map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let bound = server
        .address()
        .map_err(|error| format!("cannot tell the address: {error}"))?;

    let (interrupt, interrupted) = mpsc::channel();
    ctrlc::set_handler(move || {
        // Only the first one is waited for.
        let _ = interrupt.send(());
    })
    .map_err(|error| format!("cannot listen for Ctrl-C: {error}"))?;
    thread::Builder::new()
        .spawn(move || server.run())
        .map_err(|error| format!("cannot start a thread: {error}"))?;
    say(format_args!("listening on {bound}"));
    // The handler lives as long as the process: this cannot fail.
    let _ = interrupted.recv();
    store.close(LAST_MOMENT);
    Ok(())
}

fn parse_address(listen: &str) -> Result<SocketAddr, UsageError> {
    let addresses = listen.to_socket_addrs();
    addresses
        .ok()
        .and_then(|mut addresses| addresses.next())
        .ok_or_else(|| {
            UsageError::new(
                "--listen",
                "must be an address and a port, as 127.0.0.1:2525",
            )
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
        let why = "a login is not offered in plaintext: give --tls, or --plaintext-auth";
        return Err(UsageError::new("--auth", why));
    }
    if arguments.require_tls && arguments.tls == ServeTls::None {
        return Err(UsageError::new(
            "--require-tls",
            "--tls says that there is none",
        ));
    }
    let mechanisms = if wants_users {
        vec![
            Mechanism::SCRAM_SHA_256_PLUS,
            Mechanism::SCRAM_SHA_256,
            Mechanism::SCRAM_SHA_1,
            Mechanism::PLAIN,
            Mechanism::LOGIN,
            Mechanism::OAUTHBEARER,
            Mechanism::XOAUTH2,
        ]
    } else {
        Vec::new()
    };
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
    Ok(match arguments.size {
        Some(octets) => config.size(Some(octets)),
        None => config,
    })
}

/// `USER:VARIABLE`, or `USER` with the variable of `--password-env`.
fn parse_users(arguments: &ServeArguments) -> Result<Vec<Credentials>, UsageError> {
    let user = |given: &String| {
        let (user, variable) = match given.rsplit_once(':') {
            Some((user, variable)) => (user, Some(variable)),
            None => (given.as_str(), arguments.password_env.as_deref()),
        };
        if user.is_empty() || user.contains(char::is_control) {
            return Err(UsageError::new(
                "--auth",
                "the user is empty or holds a control character",
            ));
        }
        let Some(variable) = variable else {
            let why = "name the variable that holds the password: USER:VAR, or --password-env VAR";
            return Err(UsageError::new("--auth", why));
        };
        Ok(Credentials::new(user, password_of(variable)?))
    };
    arguments.auth.iter().map(user).collect()
}

/// `ADDRESS=550`, or `ADDRESS=550 5.1.1 no such user`.
fn parse_refusals(rejects: &[String]) -> Result<Vec<(Address, Reply)>, UsageError> {
    let refusal = |given: &String| {
        let refuse = |why: String| UsageError::new("--reject", why);
        let (address, reply) = given
            .rsplit_once('=')
            .ok_or_else(|| refuse("must be an address, =, and a reply".to_owned()))?;
        let address = address.parse().map_err(|why| refuse(format!("{why}")))?;
        let reply = parse_refusal(reply)
            .ok_or_else(|| refuse("the reply must begin with a code from 400 to 599".to_owned()))?;
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
    let parameters = match (&arguments.cert, &arguments.key) {
        _ if arguments.tls == ServeTls::None => return Ok(ServerTls::None),
        (Some(chain), Some(key)) => {
            let read = |name, file: &Path| {
                let refuse =
                    |error| UsageError::new(name, format!("cannot read the file: {error}"));
                fs::read(file).map_err(refuse)
            };
            let (chain, key) = (read("--cert", chain)?, read("--key", key)?);
            ServerTlsParameters::from_pem(&chain, &key)
                .map_err(|why| UsageError::new("--cert", why))?
        }
        _ => {
            let generated = authority::generate(hostname.as_str())
                .map_err(|why| UsageError::new("--hostname", why))?;
            if let Some(file) = &arguments.ca_out {
                let refuse = |error| UsageError::new("--ca-out", error);
                fs::write(file, &generated.ca_pem).map_err(refuse)?;
            }
            generated.server
        }
    };
    Ok(match arguments.tls {
        ServeTls::Wrapper => ServerTls::Wrapper(parameters),
        _ => ServerTls::StartTls(parameters),
    })
}

/// Stores messages, or forgets them, and prints a line for each.
struct Store {
    maildir: Option<Maildir>,
    taken: AtomicU64,
    state: Mutex<State>,
    idle: Condvar,
}

#[derive(Default)]
struct State {
    under_way: usize,
    closing: bool,
}

impl Store {
    fn new(maildir: Option<Maildir>) -> Self {
        Self {
            maildir,
            taken: AtomicU64::new(0),
            state: Mutex::default(),
            idle: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Two numbers cannot be left half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes no more, and waits for what is under way, but not for long.
    fn close(&self, patience: Duration) {
        let mut state = self.state();
        state.closing = true;
        let is_busy = |state: &mut State| state.under_way > 0;
        drop(self.idle.wait_timeout_while(state, patience, is_busy));
    }

    fn store(&self, message: &Received) -> Result<(), Reply> {
        let place = match &self.maildir {
            None => "discarded".to_owned(),
            Some(maildir) => match maildir.deliver(&message.content) {
                Ok(path) => format!("stored as {}", path.display()),
                Err(error) => {
                    complain(format_args!("cannot store a message: {error}"));
                    return Err(reply(
                        const { code(451) },
                        (4, 3, 0),
                        "the message cannot be stored now",
                    ));
                }
            },
        };
        let number = self.taken.fetch_add(1, Ordering::Relaxed) + 1;
        say(format_args!(
            "message {number}: {}, {place}",
            describe(message)
        ));
        Ok(())
    }
}

impl Sink for Store {
    fn take(&self, message: &Received) -> Result<(), Reply> {
        {
            let mut state = self.state();
            if state.closing {
                return Err(reply(
                    const { code(421) },
                    (4, 3, 2),
                    "shutting down, try later",
                ));
            }
            state.under_way += 1;
        }
        let stored = self.store(message);
        self.state().under_way -= 1;
        self.idle.notify_all();
        stored
    }
}

/// From whom, to whom, how much and how protected.
fn describe(message: &Received) -> String {
    let mut line = String::from("from <");
    if let Some(reverse_path) = &message.reverse_path {
        line.push_str(reverse_path.as_str());
    }
    line.push_str("> to ");
    for (position, recipient) in message.recipients.iter().enumerate() {
        let separator = if position == 0 { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = write!(line, "{separator}<{recipient}>");
    }
    let _ = write!(line, ", {} octets", message.content.len());
    match &message.tls {
        Some(tls) => {
            let _ = write!(line, ", {}", tls.version());
        }
        None => line.push_str(", plaintext"),
    }
    if let Some(user) = &message.authenticated {
        let _ = write!(line, ", by {}", lossless(user.as_bytes()));
    }
    Plain(&line).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_a_code_and_perhaps_words() {
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

    #[test]
    fn nothing_is_taken_after_the_end() {
        let store = Store::new(None);
        store.close(Duration::ZERO);
        assert!(store.state().closing);
    }
}
