//! `serve`: a test server that accepts mail.
//!
//! The first line of output is the address that it listens on; then there is one line for each
//! message. Ctrl-C says `421` to the open sessions and ends the server.

mod address;
pub(crate) mod authority;
pub(crate) mod conversation;
pub(crate) mod faults;
mod inbox;
pub(crate) mod journal;
pub(crate) mod listener;
mod maildir;
mod options;
mod port_file;
pub(crate) mod server;
mod session;
mod web;

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use postwire_blocking::proto::{HelloName, Reply, escape_non_utf8};
use postwire_server::Received;

use self::conversation::{Arrival, Sink};
use self::inbox::{Inbox, Limits, TooLarge};
use self::listener::ListenAddress;
use self::maildir::Maildir;
use self::options::Options;
use self::port_file::{Listening, PortFile};
use self::server::{Server, code, reply};
use self::web::Web;
use crate::arguments::UsageError;
use crate::arguments::serve::ServeArguments;
use crate::print::certificate::Certificate;
use crate::print::exit::Exit;
use crate::print::output::{print_error, print_result};
use crate::print::text::SafeText;
use crate::signals;

/// The time that Ctrl-C waits for a message that is being stored.
const STORE_TIMEOUT: Duration = Duration::from_millis(700);

/// The time that Ctrl-C then waits for clients to take the last reply.
const GOODBYE_TIMEOUT: Duration = Duration::from_millis(200);

/// Runs the server until Ctrl-C.
pub(crate) fn run(arguments: &ServeArguments) -> Result<Exit, UsageError> {
    let address = parse_listen_address(arguments)?;
    let hostname: HelloName = arguments
        .hostname
        .parse()
        .map_err(|why| UsageError::new("--hostname", why))?;
    let web = match &arguments.web {
        Some(given) => Some(address::resolve("--web", given, "127.0.0.1:8025")?),
        None => None,
    };
    let options = options::parse(arguments, &hostname)?;
    Ok(match serve(&address, web, arguments, &hostname, options) {
        Ok(()) => Exit::Accepted,
        Err(why) => {
            print_error(why);
            Exit::System
        }
    })
}

fn serve(
    address: &ListenAddress,
    web: Option<SocketAddr>,
    arguments: &ServeArguments,
    hostname: &HelloName,
    options: Options,
) -> Result<(), String> {
    // Everything that may already belong to another server comes first; files follow.
    // The end of this function removes the file of the socket.
    let (listener, bound) = address
        .listen()
        .map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let web = match web {
        None => None,
        Some(address) => Some(
            Web::listen(address).map_err(|error| format!("cannot listen on {address}: {error}"))?,
        ),
    };
    let maildir = match &arguments.maildir {
        None => None,
        Some(folder) => Some(
            Maildir::open(folder, hostname.as_str())
                .map_err(|error| format!("cannot open the maildir: {error}"))?,
        ),
    };
    if let Some((file, pem)) = &options.authority {
        fs::write(file, pem).map_err(|error| format!("--ca-out: {error}"))?;
    }
    let listening = Listening {
        smtp: (&bound).into(),
        web: web.as_ref().map(|web| web.address.into()),
        process: std::process::id(),
    };
    let port_file = arguments.port_file.as_deref();
    let _port_file = port_file
        .map(|file| PortFile::write(file, &listening))
        .transpose()
        .map_err(|error| format!("--port-file: {error}"))?;

    let inbox = web.is_some().then(|| {
        let limits = Limits {
            messages: arguments.web_messages,
            octets: arguments.web_octets,
        };
        Arc::new(Inbox::new(limits))
    });
    let store = Arc::new(Store::new(maildir, inbox.clone()));
    let sink = Arc::clone(&store) as Arc<dyn Sink>;
    let server = Server::new(listener, options.settings, sink);
    let ender = server.ender();

    let (interrupt, interrupted) = mpsc::channel();
    signals::on_end(move || {
        // Only the first Ctrl-C matters.
        let _ = interrupt.send(());
    })
    .map_err(|error| format!("cannot listen for Ctrl-C: {error}"))?;
    thread::Builder::new()
        .spawn(move || server.run())
        .map_err(|error| format!("cannot start a thread: {error}"))?;
    print_result(format_args!("listening on {bound}"));
    if let (Some(web), Some(inbox)) = (web, inbox) {
        let address = web.address;
        web.start(inbox, arguments.web_name.clone())
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        print_result(format_args!("web page on http://{address}/"));
        if !address.ip().is_loopback() {
            print_error(format_args!(
                "whoever reaches {address} can read and delete the messages"
            ));
        }
    }
    // The handler lives as long as the process, so this never fails.
    let _ = interrupted.recv();
    store.close(STORE_TIMEOUT);
    ender.end(GOODBYE_TIMEOUT);
    Ok(())
}

fn parse_listen_address(arguments: &ServeArguments) -> Result<ListenAddress, UsageError> {
    #[cfg(unix)]
    if let Some(path) = &arguments.unix {
        return Ok(ListenAddress::Path(path.clone()));
    }
    let address = address::resolve("--listen", &arguments.listen, "127.0.0.1:2525")?;
    Ok(ListenAddress::Address(address))
}

/// Stores or discards messages, and prints a line for each.
struct Store {
    maildir: Option<Maildir>,
    inbox: Option<Arc<Inbox>>,
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
    fn new(maildir: Option<Maildir>, inbox: Option<Arc<Inbox>>) -> Self {
        Self {
            maildir,
            inbox,
            taken: AtomicU64::new(0),
            state: Mutex::default(),
            idle: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Two numbers cannot be half changed by a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts no more messages, and waits a short time for the one in progress.
    fn close(&self, timeout: Duration) {
        let mut state = self.state();
        state.closing = true;
        let is_busy = |state: &mut State| state.under_way > 0;
        drop(self.idle.wait_timeout_while(state, timeout, is_busy));
    }

    fn store(&self, arrival: &Arrival<'_>) -> Result<(), Reply> {
        let message = arrival.message;
        let mut destination = match &self.maildir {
            None if self.inbox.is_some() => String::new(),
            None => "discarded".to_owned(),
            Some(maildir) => match maildir.deliver(&message.content) {
                Ok(path) => format!("stored as {}", path.display()),
                Err(error) => {
                    print_error(format_args!("cannot store a message: {error}"));
                    return Err(reply(
                        const { code(451) },
                        (4, 3, 0),
                        "the message cannot be stored now",
                    ));
                }
            },
        };
        let number = self.taken.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(inbox) = &self.inbox {
            let shown = match inbox.add(number, arrival) {
                Ok(()) => "shown on the web page",
                Err(TooLarge) => "too large for the web page",
            };
            let separator = if destination.is_empty() { "" } else { ", " };
            destination = format!("{destination}{separator}{shown}");
        }
        print_result(format_args!(
            "message {number}: {}, {destination}",
            describe(message, arrival.client)
        ));
        Ok(())
    }
}

impl Sink for Store {
    fn take(&self, arrival: &Arrival<'_>) -> Result<(), Reply> {
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
        let stored = self.store(arrival);
        self.state().under_way -= 1;
        self.idle.notify_all();
        stored
    }

    fn on_refusal(&self) {
        if let Some(inbox) = &self.inbox {
            inbox.on_refusal();
        }
    }
}

/// Describes the envelope, the parameters, the size, and the security of a message.
fn describe(message: &Received, client: Option<&Certificate>) -> String {
    // Writing to a string never fails.
    let mut line = String::from("from <");
    if let Some(reverse_path) = &message.reverse_path {
        line.push_str(reverse_path.as_str());
    }
    line.push('>');
    list(&mut line, &message.parameters.mail);
    line.push_str(" to ");
    for (position, recipient) in message.recipients.iter().enumerate() {
        let separator = if position == 0 { "" } else { ", " };
        let _ = write!(line, "{separator}<{recipient}>");
        if let Some(parameters) = message.parameters.recipients.get(position) {
            list(&mut line, parameters);
        }
    }
    let _ = write!(line, ", {} octets", message.content.len());
    match &message.tls {
        Some(tls) => {
            let _ = write!(line, ", {}", tls.version());
        }
        None => line.push_str(", plaintext"),
    }
    if let Some(client) = client {
        let _ = write!(line, " with a certificate of {}", client.subject);
    }
    match message.authenticated.as_deref() {
        None => {}
        Some("") => line.push_str(", by it"),
        Some(user) => {
            let _ = write!(line, ", by {}", escape_non_utf8(user.as_bytes()));
        }
    }
    SafeText(&line).to_string()
}

/// The parameters, without those that only repeat properties of the message.
fn list(line: &mut String, parameters: &[String]) {
    for parameter in parameters {
        let keyword = parameter.split('=').next().unwrap_or_default();
        let follows = ["SIZE", "BODY", "SMTPUTF8"];
        if !follows.iter().any(|it| keyword.eq_ignore_ascii_case(it)) {
            line.push(' ');
            line.push_str(parameter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_is_accepted_after_the_end() {
        let store = Store::new(None, None);
        store.close(Duration::ZERO);
        assert!(store.state().closing);
    }
}
