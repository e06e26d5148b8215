//! `demo`: sends a real message over each of the four TLS modes, with each runtime, to the
//! embedded server, and checks that the message arrives unchanged.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use clap::ValueEnum;
use indicatif::ProgressBar;
use mail_builder::MessageBuilder;
use mail_builder::headers::content_type::ContentType;
use mail_builder::mime::MimePart;
use postwire_blocking::proto::{
    Address, Credentials, Envelope, Event, HelloName, Mechanism, Protocol, Reply, Report, Security,
    Speaker, TlsInfo, TraceLine,
};
use postwire_blocking::tls::{
    Certificate, CertificateStore, ServerTls, ServerTlsParameters, Tls, TlsParameters,
};
use postwire_blocking::transport::{TransportBuilder, TransportConfig};
use postwire_server::{Received, ServerConfig};
use serde::Serialize;

use crate::arguments::{DemoArguments, Runtime, Switch};
use crate::print::exit::Exit;
use crate::print::output::{print_error, print_json, print_note, print_result};
use crate::print::text::SafeText;
use crate::send::interrupt::Interrupt;
use crate::send::meter::Meter;
use crate::send::session;
use crate::serve::authority;
use crate::serve::conversation::{Arrival, Sink};
use crate::serve::faults::Faults;
use crate::serve::journal::Log;
use crate::serve::listener::Listener;
use crate::serve::server::{Server, Settings};

const USER: &str = "alice";
const PASSWORD: &str = "correct horse battery staple";
const SENDER: &str = "alice@example.org";
const RECIPIENTS: [&str; 2] = ["bob@example.net", "carol@example.net"];

/// No step takes longer on one machine.
const TIMEOUT: Duration = Duration::from_secs(20);

type Failure = Box<dyn std::error::Error>;

/// Runs the demonstration and checks its results.
pub(crate) fn run(arguments: &DemoArguments) -> Exit {
    match demonstrate(arguments) {
        Ok(true) => Exit::Accepted,
        Ok(false) => Exit::Internal,
        Err(why) => {
            print_error(format_args!("the demonstration failed: {why}"));
            Exit::Internal
        }
    }
}

fn demonstrate(arguments: &DemoArguments) -> Result<bool, Failure> {
    let message = Bytes::from(build_message()?);
    let generated = authority::generate("localhost")?;
    let plaintext_server = Embedded::start(ServerTls::None)?;
    let parameters = ServerTlsParameters::new(generated.server)?;
    let starttls_server = Embedded::start(ServerTls::StartTls(parameters.clone()))?;
    let wrapper_server = Embedded::start(ServerTls::Wrapper(parameters))?;

    if !arguments.json {
        say_heading(&message);
    }
    let mut deliveries = Vec::new();
    for (server, security) in [
        (&plaintext_server, Security::None),
        (&starttls_server, Security::Opportunistic),
        (&starttls_server, Security::Required),
        (&wrapper_server, Security::Wrapper),
    ] {
        let mut of_mode = Vec::<Run>::new();
        for &runtime in Runtime::value_variants() {
            let tls = tls(security, &generated.ca_pem)?;
            let mut run = Run::perform(server, runtime, tls, &message, arguments)?;
            if let Some(first) = of_mode.first() {
                run.compare(first);
            }
            if !arguments.json {
                print_result(run.row());
            }
            of_mode.push(run);
        }
        if !arguments.json
            && let Some(first) = of_mode.first()
        {
            print_result(format_args!("{:14} {}", "", first.commands.join(" ")));
        }
        deliveries.append(&mut of_mode);
    }
    let result = DemoResult {
        octets: message.len(),
        identical: deliveries.iter().filter(|run| run.identical).count(),
        success: deliveries.iter().all(Run::is_success),
        deliveries,
    };
    if arguments.json {
        print_json(&result);
    } else {
        result.print_summary();
    }
    Ok(result.success)
}

#[derive(Serialize)]
struct DemoResult {
    /// The size of the message.
    octets: usize,
    /// The deliveries, in order of mode, then of runtime.
    deliveries: Vec<Run>,
    /// The number of delivered messages that are identical, octet for octet, to the one sent.
    identical: usize,
    success: bool,
}

impl DemoResult {
    fn print_summary(&self) {
        let of = self.deliveries.len();
        print_result(
            "\na flight is what is written between two reads, those of the TLS handshake and its \
             farewell included",
        );
        print_result(format_args!(
            "{} of {of} delivered messages are identical, octet for octet, to the one sent",
            self.identical
        ));
        for run in &self.deliveries {
            for fault in &run.faults {
                print_error(format_args!("{}, {}: {fault}", run.mode, run.runtime));
            }
        }
    }
}

/// One mode with one runtime: the data on the wire, and the result.
#[derive(Serialize)]
struct Run {
    mode: &'static str,
    runtime: &'static str,
    tls: Option<String>,
    /// The commands that were sent, in order.
    commands: Vec<String>,
    /// The number of flights: how often the client wrote after reading, including the TLS
    /// handshake.
    flights: u64,
    written: u64,
    read: u64,
    outcome: &'static str,
    verdict: String,
    identical: bool,
    /// The failed checks.
    faults: Vec<String>,
}

impl Run {
    fn perform(
        server: &Embedded,
        runtime: Runtime,
        tls: Tls,
        message: &Bytes,
        arguments: &DemoArguments,
    ) -> Result<Self, Failure> {
        let security = tls.security();
        let config = configure(server.address, tls, arguments)?;
        let meter = Meter::new(ProgressBar::hidden());
        let mut commands = Vec::new();
        let mut traced = |line: &TraceLine| {
            commands.extend(command(line));
            if arguments.trace {
                print_note(SafeText(&line.to_string()));
            }
        };
        let interrupt = Interrupt::default();
        let opened = session::open(runtime, &config, &meter, &interrupt, &mut traced);
        let mut session = opened.map_err(|failed| failed.error)?;
        session.enqueue(envelope()?, message.clone().into());
        session.begin_quit();

        let mut report = None;
        while let Some(event) = session.next_event() {
            match event {
                Event::Trace(line) => traced(&line),
                Event::Report(verdict) => report = Some(verdict),
                _ => {}
            }
        }
        let report = report.ok_or("the session gave no report")?;
        let delivered = server.mailbox.empty();
        let tls = session.facts().tls;
        let faults = find_faults(security, &report, tls.as_ref(), &delivered, message);
        Ok(Self {
            mode: security.as_str(),
            runtime: runtime.name(),
            tls: tls.map(|tls| tls.version().to_owned()),
            commands,
            flights: meter.flights(),
            written: meter.written(),
            read: meter.read(),
            outcome: if report.is_accepted() && !report.is_partial() {
                "accepted"
            } else {
                "failed"
            },
            verdict: report.to_string(),
            identical: matches!(&delivered[..], [one] if one.content == *message),
            faults,
        })
    }

    /// Compares with the run of another runtime. Flights, and octets under TLS, may differ:
    /// they depend on what the socket accepted and on the handshake.
    fn compare(&mut self, other: &Self) {
        let same = [
            ("TLS version", self.tls == other.tls),
            ("list of commands", self.commands == other.commands),
            ("verdict", self.verdict == other.verdict),
            (
                "number of octets written",
                self.tls.is_some() || self.written == other.written,
            ),
        ];
        for (what, _) in same.iter().filter(|(_, same)| !same) {
            let fault = format!("the {what} differs from that of {}", other.runtime);
            self.faults.push(fault);
        }
    }

    fn is_success(&self) -> bool {
        self.faults.is_empty() && self.identical && self.outcome == "accepted"
    }

    fn row(&self) -> String {
        format!(
            "{:<14} {:<10} {:<8} {:>7} {:>8} {:>8} {:>6}  {}",
            self.mode,
            self.runtime,
            self.tls.as_deref().unwrap_or("none"),
            self.flights,
            self.commands.len(),
            self.written,
            self.read,
            SafeText(&self.verdict),
        )
    }
}

fn say_heading(message: &Bytes) {
    print_result(format_args!(
        "a message of {} octets with two attachments, to {} recipients, over each TLS mode by each \
         runtime\n",
        message.len(),
        RECIPIENTS.len()
    ));
    print_result(format_args!(
        "{:<14} {:<10} {:<8} {:>7} {:>8} {:>8} {:>6}  {}",
        "mode", "runtime", "tls", "flights", "commands", "written", "read", "verdict"
    ));
}

/// The promises of the mode that were not kept, as seen by the server.
fn find_faults(
    security: Security,
    report: &Report,
    tls: Option<&TlsInfo>,
    delivered: &[Received],
    message: &Bytes,
) -> Vec<String> {
    let mut faults = Vec::new();
    let mut check = |holds: bool, fault: &str| {
        if !holds {
            faults.push(fault.to_owned());
        }
    };
    let secure = security != Security::None;
    check(
        report.is_accepted() && !report.is_partial(),
        "the message was not accepted for every recipient",
    );
    check(
        tls.is_some() == secure,
        "TLS was not used as the mode requires",
    );
    let [received] = delivered else {
        check(false, "the server did not store exactly one message");
        return faults;
    };
    check(
        received.content == *message,
        "the delivered message differs from the one sent",
    );
    check(
        received.tls.is_some() == secure,
        "the server did not see TLS as the mode requires",
    );
    check(
        received.authenticated.as_deref() == secure.then_some(USER),
        "the server did not see the login",
    );
    let sender = received.reverse_path.as_ref().map(Address::as_str);
    let recipients = received.recipients.iter().map(Address::as_str);
    check(
        sender == Some(SENDER) && recipients.eq(RECIPIENTS),
        "the server did not see the envelope",
    );
    faults
}

/// The verb of a command; `None` for a reply, content or an AUTH response.
fn command(line: &TraceLine) -> Option<String> {
    let verb = line.text.split(' ').next()?;
    let is_verb = !verb.is_empty() && verb.bytes().all(|octet| octet.is_ascii_uppercase());
    (line.speaker == Speaker::Client && is_verb).then(|| verb.to_owned())
}

/// Built anew each time, so that no session is resumed and each handshake is complete.
fn tls(security: Security, authority: &str) -> Result<Tls, Failure> {
    let parameters = TlsParameters::builder("localhost")
        .certificate_store(CertificateStore::None)
        .add_root_certificate(Certificate::from_pem(authority.as_bytes())?)
        .build()?;
    Ok(match security {
        Security::None => Tls::None,
        Security::Opportunistic => Tls::Opportunistic(parameters),
        Security::Required => Tls::Required(parameters),
        Security::Wrapper => Tls::Wrapper(parameters),
    })
}

fn envelope() -> Result<Envelope, Failure> {
    let recipients = RECIPIENTS.iter().map(|address| address.parse());
    let recipients = recipients.collect::<Result<Vec<Address>, _>>()?;
    Ok(Envelope::new(Some(SENDER.parse()?), recipients)?)
}

fn configure(
    address: SocketAddr,
    tls: Tls,
    arguments: &DemoArguments,
) -> Result<TransportConfig, Failure> {
    let secure = tls.security() != Security::None;
    let builder: TransportBuilder<TransportConfig> =
        TransportBuilder::builder_dangerous(address.ip().to_string())
            .port(address.port())
            .tls(tls)
            .hello_name("client.example.org".parse::<HelloName>()?)
            .authentication(vec![Mechanism::PLAIN])
            .client(|client| {
                client
                    .pipelining(arguments.pipelining.into())
                    .chunking(arguments.chunking == Switch::On)
            })
            .timeout(Some(TIMEOUT))
            .client(|client| client.trace(true));
    let builder = if secure {
        builder.credentials(Credentials::new(USER, PASSWORD))
    } else {
        builder
    };
    Ok(builder.build()?)
}

/// A server on its own port, with the messages that it received.
struct Embedded {
    address: SocketAddr,
    mailbox: Arc<Mailbox>,
}

impl Embedded {
    fn start(tls: ServerTls) -> Result<Self, Failure> {
        let wants_login = !matches!(tls, ServerTls::None);
        let mut config = ServerConfig::new("localhost".parse::<HelloName>()?);
        if wants_login {
            config = config.auth([Mechanism::PLAIN]).require_auth(true);
        }
        let settings = Settings {
            config: Arc::new(config),
            protocol: Protocol::Smtp,
            tls,
            users: vec![Credentials::new(USER, PASSWORD)],
            refusals: Vec::new(),
            faults: Faults::default(),
            max_connections: 8,
            log: Log::default(),
        };
        let mailbox = Arc::new(Mailbox::default());
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let sink = Arc::clone(&mailbox) as Arc<dyn Sink>;
        let listener = Listener::tcp(any_port)?;
        let address = listener.address()?;
        let server = Server::new(listener, settings, sink);
        thread::Builder::new().spawn(move || server.run())?;
        Ok(Self { address, mailbox })
    }
}

#[derive(Default)]
struct Mailbox(Mutex<Vec<Received>>);

impl Mailbox {
    fn empty(&self) -> Vec<Received> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Sink for Mailbox {
    fn take(&self, arrival: &Arrival<'_>) -> Result<(), Reply> {
        let mut messages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        messages.push(arrival.message.clone());
        Ok(())
    }
}

/// A typical message: two alternatives of a text, an attached file of lines, and attached
/// octets the size of a picture. It is the same each time.
fn build_message() -> Result<Vec<u8>, Failure> {
    /// 2026-01-01T12:00:00Z
    const DATE: i64 = 1_767_268_800;
    let multipart = |kind: &'static str, boundary: &'static str| {
        ContentType::new(kind).attribute("boundary", boundary)
    };
    let text = "Dear Bob, dear Carol,\r\n\r\nthe report and the picture are attached.\r\n\r\n.\r\n..\r\n. Lines of dots must arrive as they are.\r\n\r\nAlice\r\n";
    let html = "<p>Dear Bob, dear Carol,</p>\r\n<p>the report and the picture are attached.</p>\r\n<p>Alice, from Z\u{fc}rich</p>\r\n";
    let alternative = MimePart::new(
        multipart("multipart/alternative", "postwire-alternative"),
        vec![
            MimePart::new("text/plain", text),
            MimePart::new("text/html", html),
        ],
    );
    let mut report = String::new();
    for line in 0..1_500 {
        // Writing to a string never fails.
        let _ = write!(
            report,
            "{}{line:05}, measured twice\r\n",
            ".".repeat(line % 4)
        );
    }
    // A linear congruential generator: arbitrary octets, the same each time.
    let mut state: u32 = 1;
    let picture: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(96 * 1024)
    .collect();
    let body = MimePart::new(
        multipart("multipart/mixed", "postwire-mixed"),
        vec![
            alternative,
            MimePart::new("text/plain", report).attachment("report.txt"),
            MimePart::new("image/png", picture).attachment("picture.png"),
        ],
    );
    let message = MessageBuilder::new()
        .message_id("demo@example.org")
        .date(DATE)
        .from(("Alice", SENDER))
        .to(vec![("Bob", RECIPIENTS[0]), ("Carol", RECIPIENTS[1])])
        .subject("The report, and a picture of Z\u{fc}rich")
        .body(body)
        .write_to_vec()?;
    Ok(message)
}

#[cfg(test)]
mod tests {
    use postwire_blocking::proto::BodySource;

    use super::*;

    fn delivery(runtime: Runtime) -> Run {
        Run {
            mode: "none",
            runtime: runtime.name(),
            tls: None,
            commands: vec!["EHLO".to_owned()],
            flights: 1,
            written: 2,
            read: 3,
            outcome: "accepted",
            verdict: "accepted".to_owned(),
            identical: true,
            faults: Vec::new(),
        }
    }

    #[test]
    fn runtimes_that_differ_are_a_failure() {
        let blocking = delivery(Runtime::Blocking);
        let mut same = delivery(Runtime::Smol);
        same.compare(&blocking);
        assert!(same.is_success());
        for differ in [
            |run: &mut Run| run.tls = Some("TLSv1.3".to_owned()),
            |run: &mut Run| run.commands.push("QUIT".to_owned()),
            |run: &mut Run| run.verdict.clear(),
            |run: &mut Run| run.written += 1,
        ] {
            let mut other = delivery(Runtime::Smol);
            differ(&mut other);
            other.compare(&blocking);
            assert!(!other.is_success());
            assert!(other.faults[0].ends_with("differs from that of blocking"));
        }
    }

    #[test]
    fn the_message_is_typical_and_always_the_same() {
        let message = build_message().unwrap();
        assert_eq!(message, build_message().unwrap());
        let text = String::from_utf8(message.clone()).unwrap();
        for piece in [
            "\r\n.\r\n",
            "\r\n...0",
            "multipart/alternative",
            "picture.png",
        ] {
            assert!(text.contains(piece), "{piece}");
        }
        let body = BodySource::from(message);
        let facts = body.facts().unwrap();
        assert!(facts.octets > 100 * 1024);
        assert!(body.longest_line() <= Some(998));
        assert!(!facts.eight_bit && facts.is_canonical());
    }
}
