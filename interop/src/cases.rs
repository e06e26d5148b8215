//! The cases for Postfix, with their expected results.

use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use postwire_blocking::proto::{
    Body, BodySource, Credentials, Envelope, Mechanism, Pipelining, Recipients, Report,
};
use postwire_blocking::tls::Certificate;

use crate::bodies::{self, Sample};
use crate::log::Log;
use crate::mailboxes::{Delivery, Mailboxes};
use crate::server::{Port, Server};
use crate::session::{Mode, Runtime, Sent, Setup};
use crate::table::{Octets, Row, Table};

pub(crate) type Outcome = Result<(), Box<dyn Error>>;

/// The mailboxes that exist.
const USERS: [&str; 4] = ["alice", "bob", "carol", "jürgen"];

/// The mechanisms that the server offers to them.
const MECHANISMS: [Mechanism; 5] = [
    Mechanism::PLAIN,
    Mechanism::LOGIN,
    Mechanism::CRAM_MD5,
    Mechanism::SCRAM_SHA_1,
    Mechanism::SCRAM_SHA_256,
];

/// The outcome over the version of TLS that Postfix negotiates.
pub(crate) const OVER_TLS: &str = "accepted, TLSv1.3";
pub(crate) const IN_PLAINTEXT: &str = "accepted, plaintext";

pub(crate) fn run_all(server: &Server, table: &mut Table) -> Outcome {
    let mut interop = Interop::new(server, table)?;
    for runtime in Runtime::ALL {
        interop.runtime = runtime;
        let begun = Instant::now();
        interop.modes()?;
        interop.failures_of_tls()?;
        interop.authentication()?;
        interop.recipients()?;
        interop.bodies()?;
        interop.many_messages()?;
        interop.extensions_of_the_envelope()?;
        interop.commands()?;
        println!("{}: {:.0?}", runtime.name(), begun.elapsed());
    }
    interop.nothing_else_arrived()
}

/// A message to send.
#[derive(Clone, Debug)]
struct Message {
    to: Vec<&'static str>,
    rule: Recipients,
    octets: Vec<u8>,
}

impl Message {
    fn new(to: &[&'static str], octets: &[u8]) -> Self {
        Self {
            to: to.to_vec(),
            rule: Recipients::Any,
            octets: octets.to_vec(),
        }
    }

    /// A message whose content names its recipients.
    fn about(to: &[&'static str], subject: &str) -> Self {
        let octets = format!("Subject: {subject}\r\n\r\n.Hello.\r\n.\r\n");
        Self::new(to, octets.as_bytes())
    }

    fn for_sending(&self, server: &Server) -> Result<(Envelope, Body), Box<dyn Error>> {
        let recipients: Result<Vec<_>, _> =
            self.to.iter().map(|user| server.address(user)).collect();
        let sender = "sender@client.example".parse()?;
        let envelope = Envelope::new(Some(sender), recipients?)?.with_recipients(self.rule);
        Ok((envelope, Body::from(self.octets.clone())))
    }
}

pub(crate) struct Interop<'a> {
    pub(crate) server: &'a Server,
    table: &'a mut Table,
    pub(crate) runtime: Runtime,
    pub(crate) mailboxes: Mailboxes,
    pub(crate) log: Log,
}

impl<'a> Interop<'a> {
    fn new(server: &'a Server, table: &'a mut Table) -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            server,
            table,
            runtime: Runtime::Blocking,
            mailboxes: Mailboxes::open(&server.mail, &USERS)?,
            log: Log::open(&server.log)?,
        })
    }

    // ---- the four modes

    fn modes(&mut self) -> Outcome {
        let server = self.server;
        let plain = |mode, port| Setup::new(mode, port);
        let member = |mode, port| Setup::new(mode, port).credentials(server.credentials());
        for (setup, case, expected) in [
            (
                plain(Mode::None, Port::NoTls),
                "STARTTLS not offered",
                IN_PLAINTEXT,
            ),
            (
                plain(Mode::None, Port::Plain),
                "STARTTLS offered, not wanted",
                IN_PLAINTEXT,
            ),
            (
                plain(Mode::None, Port::Submission),
                "the server requires TLS",
                "rejected at mail: 530 5.7.0",
            ),
            (
                plain(Mode::Opportunistic, Port::Plain),
                "STARTTLS offered",
                OVER_TLS,
            ),
            (
                plain(Mode::Opportunistic, Port::NoTls),
                "STARTTLS not offered",
                IN_PLAINTEXT,
            ),
            (
                plain(Mode::Required, Port::Plain),
                "STARTTLS offered",
                OVER_TLS,
            ),
            (
                plain(Mode::Required, Port::NoTls),
                "STARTTLS not offered",
                "not sent at starttls: STARTTLS not offered",
            ),
            (
                member(Mode::Required, Port::Submission),
                "with AUTH",
                OVER_TLS,
            ),
            (
                plain(Mode::Required, Port::Submission),
                "without AUTH where it is required",
                "rejected at rcpt: 554 5.7.1",
            ),
            (member(Mode::Wrapper, Port::Smtps), "with AUTH", OVER_TLS),
            (
                plain(Mode::Wrapper, Port::Smtps),
                "without AUTH where it is required",
                "rejected at rcpt: 554 5.7.1",
            ),
        ] {
            self.check(&setup, case, &[Message::about(&["alice"], case)], expected)?;
        }
        Ok(())
    }

    fn failures_of_tls(&mut self) -> Outcome {
        let generated = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let stranger = Certificate::from_der(generated.cert.der().to_vec())?;
        let failed = "not sent at tls: TLS failed";
        for (mode, port) in [
            (Mode::Opportunistic, Port::Plain),
            (Mode::Required, Port::Plain),
            (Mode::Wrapper, Port::Smtps),
        ] {
            let mut setup = Setup::new(mode, port);
            setup.other_ca = Some(stranger.clone());
            self.refused(&setup, "a certificate of an unknown CA", failed)?;
            let mut setup = Setup::new(mode, port);
            setup.other_name = Some("other.postwire.test");
            self.refused(&setup, "a certificate for another name", failed)?;
        }
        let setup = Setup::new(Mode::Wrapper, Port::Plain);
        self.refused(&setup, "a port that begins in plaintext", failed)?;
        let mut setup = Setup::new(Mode::Required, Port::Smtps);
        setup.timeout = Duration::from_secs(2);
        let expected = "not sent at greeting: timed out";
        self.refused(&setup, "a port that begins with TLS", expected)
    }

    fn authentication(&mut self) -> Outcome {
        let server = self.server;
        let no_mechanism = "not sent at auth: no mechanism";
        for (mode, port) in [
            (Mode::Required, Port::Submission),
            (Mode::Wrapper, Port::Smtps),
        ] {
            for mechanism in MECHANISMS {
                let setup = Setup::new(mode, port).mechanism(mechanism);
                let case = format!("AUTH {mechanism}");
                let message = Message::about(&["alice"], &case);
                let good = setup.clone().credentials(server.credentials());
                self.check(&good, &case, &[message], OVER_TLS)?;
                let bad = setup.credentials(server.wrong_credentials());
                let case = format!("AUTH {mechanism}, wrong password");
                self.refused(&bad, &case, "not sent at auth: 535 5.7.8")?;
            }
        }
        let setup = Setup::new(Mode::Wrapper, Port::Smtps)
            .credentials(server.credentials())
            .mechanism(Mechanism::XOAUTH2);
        self.refused(&setup, "AUTH XOAUTH2, not offered", no_mechanism)?;
        let setup = Setup::new(Mode::Required, Port::Plain).credentials(server.credentials());
        self.refused(&setup, "AUTH not offered", no_mechanism)?;
        let setup = Setup::new(Mode::Wrapper, Port::Smtps)
            .credentials(server.credentials())
            .mechanism(Mechanism::SCRAM_SHA_256_PLUS);
        let case = "AUTH SCRAM-SHA-256-PLUS, not offered";
        self.refused(&setup, case, no_mechanism)?;
        let setup = Setup::new(Mode::Wrapper, Port::Smtps).credentials(Credentials::external());
        self.refused(&setup, "AUTH EXTERNAL, not offered", no_mechanism)?;
        for mode in [Mode::None, Mode::Opportunistic] {
            let mut setup = Setup::new(mode, Port::NoTls).credentials(server.credentials());
            let case = "AUTH in plaintext, by SCRAM";
            let message = Message::about(&["alice"], case);
            self.check(&setup, case, &[message], IN_PLAINTEXT)?;
            setup.mechanisms = vec![Mechanism::PLAIN, Mechanism::LOGIN];
            let case = "AUTH in plaintext";
            self.refused(&setup, case, "not sent at auth: secret withheld")?;
            setup.allow_plaintext_auth = true;
            let case = "AUTH in plaintext, expressly allowed";
            let message = Message::about(&["alice"], case);
            self.check(&setup, case, &[message], IN_PLAINTEXT)?;
        }
        Ok(())
    }

    // ---- envelopes

    fn recipients(&mut self) -> Outcome {
        for setup in self.extensions() {
            let with = extensions(&setup);
            let mixed = ["alice", "nobody", "bob", "later"];
            let case = format!("good, 550, good, 450; {with}");
            let message = Message::about(&mixed, &case);
            let partial =
                "partial: alice 250 2.1.5, nobody 550 5.1.1, bob 250 2.1.5, later 450 4.2.1";
            self.check(&setup, &case, &[message], partial)?;

            let case = format!("550 only; {with}");
            let message = Message::about(&["nobody", "noone"], &case);
            self.check(&setup, &case, &[message], "rejected at rcpt: 550 5.1.1")?;

            let case = format!("450 only; {with}");
            let message = Message::about(&["later"], &case);
            self.check(&setup, &case, &[message], "rejected at rcpt: 450 4.2.1")?;

            let case = format!("good and 550, all or nothing; {with}");
            let mut message = Message::about(&["alice", "nobody"], &case);
            message.rule = Recipients::All;
            self.check(&setup, &case, &[message], "rejected at rcpt: 550 5.1.1")?;

            let case = format!("550 and 450, then two good messages; {with}");
            let messages = [
                Message::about(&["nobody"], &case),
                Message::about(&["alice"], &case),
                Message::about(&["later"], &case),
                Message::about(&["bob", "carol"], &case),
            ];
            let expected = format!(
                "rejected at rcpt: 550 5.1.1; {OVER_TLS}; rejected at rcpt: 450 4.2.1; {OVER_TLS}"
            );
            self.check(&setup, &case, &messages, &expected)?;
        }
        Ok(())
    }

    // ---- content

    fn bodies(&mut self) -> Outcome {
        let samples = bodies::samples();
        for setup in self.extensions() {
            for Sample { name, octets } in &samples {
                let case = format!("{name}; {}", extensions(&setup));
                self.check(&setup, &case, &[Message::new(&["alice"], octets)], OVER_TLS)?;
            }
        }
        let setup = self.member();
        let message = Message::new(&["alice"], b"Subject: NUL\r\n\r\n\0\r\n");
        let expected = "not sent at mail: BINARYMIME not offered";
        self.check(&setup, "a NUL", &[message], expected)?;
        let message = Message::new(&["alice"], &bodies::large(21 << 20));
        let expected = "not sent at mail: too large";
        self.check(&setup, "21 MiB where SIZE is 20 MiB", &[message], expected)
    }

    fn many_messages(&mut self) -> Outcome {
        for setup in self.extensions() {
            let with = extensions(&setup);
            let messages: Vec<Message> = (0..50)
                .map(|number| Message::about(&["bob", "carol"], &format!("{number}; {with}")))
                .collect();
            let case = format!("50 messages at once; {with}");
            self.check(&setup, &case, &messages, OVER_TLS)?;
        }
        let setup = self.member();
        let mixed: Vec<Message> = bodies::samples()
            .iter()
            .map(|sample| Message::new(&["carol"], &sample.octets))
            .collect();
        self.check(&setup, "one of each kind at once", &mixed, OVER_TLS)
    }

    fn nothing_else_arrived(&mut self) -> Outcome {
        thread::sleep(Duration::from_secs(2));
        let surplus = self.mailboxes.surplus()?;
        self.table.add(&Row {
            runtime: "",
            mode: "",
            port: "",
            case: "nothing else arrived".to_owned(),
            expected: "0 files".to_owned(),
            outcome: format!("{surplus} files"),
            octets: Octets::Nothing,
            took: None,
        });
        Ok(())
    }

    // ---- how it is checked

    fn member(&self) -> Setup {
        Setup::new(Mode::Wrapper, Port::Smtps).credentials(self.server.credentials())
    }

    /// All combinations of the two extensions that change how a message is transferred.
    fn extensions(&self) -> Vec<Setup> {
        let settings = [Pipelining::Careful, Pipelining::Bold, Pipelining::Off];
        let setup = |(pipelining, chunking)| Setup {
            pipelining,
            chunking,
            ..self.member()
        };
        let with_and_without = settings
            .into_iter()
            .flat_map(|pipelining| [(pipelining, true), (pipelining, false)]);
        with_and_without.map(setup).collect()
    }

    /// A session that must fail.
    fn refused(&mut self, setup: &Setup, case: &str, expected: &str) -> Outcome {
        let message = Message::about(&["alice"], case);
        self.check(setup, case, &[message], expected)
    }

    fn check(
        &mut self,
        setup: &Setup,
        case: &str,
        messages: &[Message],
        expected: &str,
    ) -> Outcome {
        let for_sending: Result<Vec<_>, _> = messages
            .iter()
            .map(|message| message.for_sending(self.server))
            .collect();
        let sent = setup.send(self.server, self.runtime, for_sending?)?;
        let octets = self.compare(messages, &sent.reports)?;
        self.add_row(setup, case, expected, sent.summary(), octets);
        Ok(())
    }

    pub(crate) fn add_row(
        &mut self,
        setup: &Setup,
        case: &str,
        expected: &str,
        outcome: String,
        octets: Octets,
    ) {
        self.table.add(&Row {
            runtime: self.runtime.name(),
            mode: setup.mode.name(),
            port: setup.port.name(),
            case: case.to_owned(),
            expected: expected.to_owned(),
            outcome,
            octets,
            took: None,
        });
    }

    /// Sends one message, and leaves everything else to the caller.
    pub(crate) fn send(
        &self,
        setup: &Setup,
        envelope: Envelope,
        body: impl Into<BodySource>,
    ) -> Result<Sent, Box<dyn Error>> {
        setup.send(self.server, self.runtime, vec![(envelope, body)])
    }

    /// Compares the stored messages with those that the reports call accepted.
    fn compare(
        &mut self,
        messages: &[Message],
        reports: &[Report],
    ) -> Result<Octets, Box<dyn Error>> {
        if messages.len() != reports.len() {
            let (sent, reported) = (messages.len(), reports.len());
            return Ok(Octets::Differ(format!("{sent} sent, {reported} reported")));
        }
        let deliveries: Vec<_> = messages
            .iter()
            .zip(reports)
            .map(|(message, report)| Delivery::new(&message.octets, report))
            .collect();
        Ok(self.mailboxes.compare(&deliveries)?)
    }
}

fn extensions(setup: &Setup) -> String {
    let sign = if setup.chunking { '+' } else { '-' };
    format!("pipelining {} {sign}chunking", setup.pipelining)
}
