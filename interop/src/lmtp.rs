//! The cases for Dovecot's LMTP, over TCP and a Unix socket, with the library and with the
//! command.

use std::error::Error;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use postwire_blocking::proto::{Address, Body, Envelope, Notify, Pipelining};
use postwire_blocking::transport::{TransportBuilder, TransportConfig};

use crate::bodies::{self, Sample};
use crate::mailboxes::{Delivery, Mailboxes};
use crate::server::Environment;
use crate::session::{self, Runtime};
use crate::table::{Octets, Row, Table};

type Outcome = Result<(), Box<dyn Error>>;

const ACCEPTED: &str = "accepted, plaintext";

/// Where the server listens, from `tests/servers/dovecot`.
#[derive(Debug)]
pub(crate) struct Server {
    urls: [LmtpServerUrl; 2],
    domain: String,
    mail: PathBuf,
}

#[derive(Clone, Debug)]
struct LmtpServerUrl {
    name: &'static str,
    url: String,
}

impl Server {
    pub(crate) fn new(environment: &Environment) -> Result<Self, Box<dyn Error>> {
        let port = environment.port("LMTP_PORT")?;
        let socket = environment.get("LMTP_SOCKET")?;
        let tcp = LmtpServerUrl {
            name: "lmtp",
            url: format!("lmtp://localhost:{port}?tls=none"),
        };
        let unix = LmtpServerUrl {
            name: "lmtp+unix",
            url: format!("lmtp+unix://{socket}"),
        };
        Ok(Self {
            urls: [tcp, unix],
            domain: environment.get("DOMAIN")?.to_owned(),
            mail: PathBuf::from(environment.get("MAIL_DIR")?),
        })
    }
}

pub(crate) fn run_all(server: &Server, table: &mut Table) -> Outcome {
    let mut interop = Interop {
        server,
        table,
        runtime: Runtime::Blocking,
        mailboxes: Mailboxes::open(&server.mail, &["alice", "bob", "full"])?,
    };
    for runtime in Runtime::ALL {
        interop.runtime = runtime;
        let begun = Instant::now();
        for server_url in &server.urls {
            for extensions in [true, false] {
                interop.verdicts(server_url, extensions)?;
                interop.bodies(server_url, extensions)?;
            }
            interop.not_offered(server_url)?;
            interop.command(server_url)?;
        }
        println!("{}: {:.0?}", runtime.name(), begun.elapsed());
    }
    interop.nothing_else_arrived()
}

/// A message and its recipients.
struct Message {
    to: &'static [&'static str],
    octets: Vec<u8>,
}

impl Message {
    fn about(to: &'static [&'static str], subject: &str) -> Self {
        Self {
            to,
            octets: format!("Subject: {subject}\r\n\r\n.Hello.\r\n.\r\n").into_bytes(),
        }
    }
}

struct Interop<'a> {
    server: &'a Server,
    table: &'a mut Table,
    runtime: Runtime,
    mailboxes: Mailboxes,
}

impl Interop<'_> {
    fn verdicts(&mut self, server_url: &LmtpServerUrl, extensions: bool) -> Outcome {
        for (case, to, expected) in [
            ("one recipient", &["alice"][..], ACCEPTED),
            (
                "good and full",
                &["alice", "full"],
                "partial: alice 250 2.0.0, full 552 5.2.2",
            ),
            (
                "full, unknown, good, good",
                &["full", "nobody", "alice", "bob"],
                "partial: full 552 5.2.2, nobody 550 5.1.1, alice 250 2.0.0, bob 250 2.0.0",
            ),
            ("full only", &["full"], "rejected at body: 552 5.2.2"),
            ("unknown only", &["nobody"], "rejected at rcpt: 550 5.1.1"),
        ] {
            self.check(
                server_url,
                extensions,
                case,
                &[Message::about(to, case)],
                expected,
            )?;
        }
        let case = "twenty messages, good and full each";
        let messages: Vec<Message> = (0..20)
            .map(|number| Message::about(&["alice", "full", "bob"], &format!("{number}")))
            .collect();
        let expected = "partial: alice 250 2.0.0, full 552 5.2.2, bob 250 2.0.0";
        self.check(server_url, extensions, case, &messages, expected)
    }

    fn bodies(&mut self, server_url: &LmtpServerUrl, extensions: bool) -> Outcome {
        for Sample { name, octets } in bodies::samples() {
            let to = &["alice"];
            let expected = match name {
                // Dovecot 2.3 does not offer SMTPUTF8.
                "UTF-8 in the header" => "not sent at mail: SMTPUTF8 not offered",
                _ => ACCEPTED,
            };
            self.check(
                server_url,
                extensions,
                name,
                &[Message { to, octets }],
                expected,
            )?;
        }
        Ok(())
    }

    /// The error comes before `MAIL`: a sender would wait for reports that never come.
    fn not_offered(&mut self, server_url: &LmtpServerUrl) -> Outcome {
        let (case, expected) = ("DSN, not offered", "not sent at mail: DSN not offered");
        let (envelope, body) = self.for_sending(&Message::about(&["alice"], case))?;
        let envelope = envelope.with_parameter_for_all(Notify::SUCCESS);
        let config = TransportBuilder::<TransportConfig>::from_url(&server_url.url)?.build()?;
        let sent = session::send(&config, self.runtime, vec![(envelope, body)])?;
        self.add_row(server_url, case, expected, sent.summary(), Octets::Nothing);
        Ok(())
    }

    /// The exit status of the command, and the recipients that it reports as refused.
    fn command(&mut self, server_url: &LmtpServerUrl) -> Outcome {
        for (case, to, expected) in [
            ("the command, good", &["alice"][..], "exit 0"),
            (
                "the command, good and full",
                &["alice", "full"],
                "exit 69, full 552 5.2.2",
            ),
            (
                "the command, full and unknown",
                &["full", "nobody"],
                "exit 69, full 552 5.2.2, nobody 550 5.1.1",
            ),
        ] {
            let message = Message::about(to, case);
            let outcome = self.run_command(server_url, &message)?;
            let has_it = |user: &&&str| **user == "alice";
            let users = to.iter().filter(has_it).copied().collect();
            let delivery = Delivery::to(&message.octets, users);
            let octets = self.mailboxes.compare(&[delivery])?;
            self.add_row(server_url, case, expected, outcome, octets);
        }
        Ok(())
    }

    fn run_command(
        &self,
        server_url: &LmtpServerUrl,
        message: &Message,
    ) -> Result<String, Box<dyn Error>> {
        // All binaries of a build are in one folder.
        let postwire = std::env::current_exe()?.with_file_name("postwire");
        let mut command = Command::new(&postwire);
        command
            .args([
                "send",
                "--server",
                &server_url.url,
                "--from",
                "sender@client.example",
            ])
            .args(["--runtime", self.runtime.name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        for user in message.to {
            command.args(["--to", &format!("{user}@{}", self.server.domain)]);
        }
        let mut child = command
            .spawn()
            .map_err(|error| format!("{}: {error}", postwire.display()))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(&message.octets)?;
        }
        let output = child.wait_with_output()?;
        let mut outcome = match output.status.code() {
            Some(code) => format!("exit {code}"),
            None => "killed".to_owned(),
        };
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            if let Some((address, reply)) = line.trim().split_once(" was refused: ") {
                let user = address.split('@').next().unwrap_or_default();
                let codes: Vec<&str> = reply.split(' ').take(2).collect();
                outcome = format!("{outcome}, {user} {}", codes.join(" "));
            }
        }
        Ok(outcome)
    }

    fn nothing_else_arrived(&mut self) -> Outcome {
        thread::sleep(Duration::from_secs(2));
        let surplus = self.mailboxes.surplus()?;
        self.table.add(&Row {
            runtime: "",
            mode: "",
            port: "",
            case: "nothing else arrived by LMTP".to_owned(),
            expected: "0 files".to_owned(),
            outcome: format!("{surplus} files"),
            octets: Octets::Nothing,
            took: None,
        });
        Ok(())
    }

    fn check(
        &mut self,
        server_url: &LmtpServerUrl,
        extensions: bool,
        case: &str,
        messages: &[Message],
        expected: &str,
    ) -> Outcome {
        let config = TransportBuilder::<TransportConfig>::from_url(&server_url.url)?
            // Only this uses BDAT: a careful client sends to LMTP servers with DATA.
            .client(|client| {
                client
                    .pipelining(if extensions {
                        Pipelining::Bold
                    } else {
                        Pipelining::Off
                    })
                    .chunking(extensions)
            })
            .timeout(Some(Duration::from_secs(60)))
            .build()?;
        let for_sending: Result<Vec<_>, _> = messages
            .iter()
            .map(|message| self.for_sending(message))
            .collect();
        let sent = session::send(&config, self.runtime, for_sending?)?;
        let deliveries: Vec<_> = messages
            .iter()
            .zip(&sent.reports)
            .map(|(message, report)| Delivery::new(&message.octets, report))
            .map(|delivery| {
                if extensions {
                    delivery.chunked()
                } else {
                    delivery
                }
            })
            .collect();
        let octets = if deliveries.len() == messages.len() {
            self.mailboxes.compare(&deliveries)?
        } else {
            Octets::Differ("a report is missing".to_owned())
        };
        let sign = if extensions { '+' } else { '-' };
        let case = format!("{case}; {sign}pipelining {sign}chunking");
        self.add_row(server_url, &case, expected, sent.summary(), octets);
        Ok(())
    }

    fn for_sending(&self, message: &Message) -> Result<(Envelope, Body), Box<dyn Error>> {
        let address = |user: &&str| Address::new(user, &self.server.domain);
        let recipients: Result<Vec<_>, _> = message.to.iter().map(address).collect();
        let sender = "sender@client.example".parse()?;
        let envelope = Envelope::new(Some(sender), recipients?)?;
        Ok((envelope, Body::from(message.octets.clone())))
    }

    fn add_row(
        &mut self,
        server_url: &LmtpServerUrl,
        case: &str,
        expected: &str,
        outcome: String,
        octets: Octets,
    ) {
        self.table.add(&Row {
            runtime: self.runtime.name(),
            mode: "none",
            port: server_url.name,
            case: case.to_owned(),
            expected: expected.to_owned(),
            outcome,
            octets,
            took: None,
        });
    }
}
