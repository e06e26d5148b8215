//! Parameters of `MAIL` and `RCPT`: the commands in the server's log, the delivery reports and
//! their content, and the behaviour with a server that lacks the extension.

use std::collections::BTreeMap;

use postwire_blocking::proto::{
    Address, Body, BodySource, DeliverBy, Envelope, EnvelopeId, FutureRelease, MtPriority, Notify,
    OriginalRecipient, Parameter, Report, RequireTls, Return, StreamFacts,
};

use crate::cases::{IN_PLAINTEXT, Interop, OVER_TLS, Outcome};
use crate::mailboxes::Delivery;
use crate::server::Port;
use crate::session::{Mode, Sent, Setup};
use crate::table::Octets;

/// The sender, who receives the reports.
const SENDER: &str = "carol";

/// More recipients than any server must accept at once.
const MANY: usize = 150;

impl Interop<'_> {
    pub(crate) fn extensions_of_the_envelope(&mut self) -> Outcome {
        self.too_large_by_its_capability()?;
        self.too_large_by_its_reply()?;
        self.reports()?;
        self.no_report()?;
        self.addresses_beyond_ascii()?;
        self.domains_in_a_labels()?;
        self.eight_bit_by_both_ways()?;
        self.more_recipients_than_it_takes()?;
        self.not_offered()?;
        self.requiretls()
    }

    // ---- SIZE (RFC 1870)

    /// The server's log shows no `MAIL`.
    fn too_large_by_its_capability(&mut self) -> Outcome {
        let setup = Setup::new(Mode::None, Port::Plain);
        let body = StreamFacts::default().size_hint(20_971_521);
        let envelope = self.envelope(&["alice"])?;
        self.log.skip()?;
        let case = "SIZE: an octet more than the limit";
        let expected = "not sent at mail: too large";
        self.answered(&setup, case, envelope, body, expected)?;
        // The log of an earlier session may be late.
        let lines = self.log.until("ehlo=1 quit=1 commands=")?;
        let counts = lines
            .last()
            .and_then(|line| line.split_once("[127.0.0.1] "));
        let counts = counts.map_or("", |(_, counts)| counts).to_owned();
        let expected = "ehlo=1 quit=1 commands=2";
        self.add_row(&setup, &log_case(case), expected, counts, Octets::Nothing);
        Ok(())
    }

    /// Without an announced limit `MAIL` is sent, and refused before any content is sent.
    fn too_large_by_its_reply(&mut self) -> Outcome {
        let setup = logged_session();
        let octets = 20_971_521;
        let body = StreamFacts::default().size_hint(octets);
        let envelope = self.envelope(&["alice"])?;
        self.log.skip()?;
        let case = "SIZE: an octet more than an unannounced limit";
        let expected = "rejected at mail: 552 5.3.4";
        self.answered(&setup, case, envelope, body, expected)?;
        let mail = format!("{} SIZE={octets}", self.mail_command());
        let rcpt = self.rcpt_command("alice");
        // Both are in the same flight, and are refused too.
        self.check_log(&setup, case, &[&mail, &rcpt, "DATA"])
    }

    // ---- DSN (RFC 3461)

    /// The report contains the values that were requested.
    fn reports(&mut self) -> Outcome {
        let domain = self.server.domain();
        for (case, to, notify, amount, mail, rcpt, expected) in [
            (
                "DSN: delivered",
                "bob",
                Notify::SUCCESS,
                Return::Headers,
                "RET=HDRS",
                "NOTIFY=SUCCESS",
                "delivered, headers",
            ),
            (
                "DSN: failed, with the whole message",
                "gone",
                Notify::FAILURE | Notify::DELAY,
                Return::Full,
                "RET=FULL",
                "NOTIFY=FAILURE,DELAY",
                "failed, message",
            ),
            (
                "DSN: failed, with its headers",
                "gone",
                Notify::FAILURE,
                Return::Headers,
                "RET=HDRS",
                "NOTIFY=FAILURE",
                "failed, headers",
            ),
        ] {
            let setup = logged_session();
            let octets = b"Subject: DSN\r\n\r\nthe content\r\n";
            let robert: Address = "robert+1@example.org".parse()?;
            let envelope = self
                .envelope(&[to])?
                .with_parameter(amount)
                .with_parameter(EnvelopeId::new("QQ 314+1")?)
                .with_parameter_for_all(notify)
                .with_recipient_parameter(0, OriginalRecipient::mailbox(&robert)?)?;
            self.log.skip()?;
            let body = Body::from(octets.to_vec());
            let sent = self.answered(&setup, case, envelope, body, IN_PLAINTEXT)?;
            let mail = format!(
                "{} SIZE={} {mail} ENVID=QQ+20314+2B1",
                self.mail_command(),
                octets.len()
            );
            let orcpt = "ORCPT=rfc822;robert+2B1@example.org";
            let rcpt = format!("{} {rcpt} {orcpt}", self.rcpt_command(to));
            let [first, rest] = by_bdat(octets.len());
            self.check_log(&setup, case, &[&mail, &rcpt, &first, &rest])?;
            let outcome = report_fields(&self.mailboxes.next(SENDER)?);
            let expected =
                format!("{expected}; QQ 314+1; rfc822;robert+1@example.org; rfc822; {to}@{domain}");
            let case = format!("{case}; the report");
            let deliveries: Vec<_> = sent
                .reports
                .iter()
                .map(|report| Delivery::new(octets, report))
                .collect();
            let arrived = self.mailboxes.compare_for("bob", &deliveries)?;
            self.add_row(&setup, &case, &expected, outcome, arrived);
        }
        Ok(())
    }

    /// The message bounces, and no report is sent.
    fn no_report(&mut self) -> Outcome {
        let setup = logged_session();
        let case = "DSN: failed, with reports turned off";
        let octets = b"Subject: never\r\n\r\n";
        let envelope = self.envelope(&["gone"])?;
        let envelope = envelope.with_parameter_for_all(Notify::NEVER);
        self.log.skip()?;
        let body = Body::from(octets.to_vec());
        let sent = self.answered(&setup, case, envelope, body, IN_PLAINTEXT)?;
        let queue_id = queue_id(&sent.reports);
        let lines = self.log.until(&format!("{queue_id}: removed"))?;
        let said = |words: &str| {
            let mut lines = lines.iter().filter(|line| line.contains(&queue_id));
            lines.any(|line| line.contains(words))
        };
        let outcome = format!(
            "bounced: {}, reported: {}",
            said("status=bounced"),
            said("delivery status notification") || said("non-delivery notification")
        );
        let expected = "bounced: true, reported: false";
        self.add_row(&setup, &log_case(case), expected, outcome, Octets::Nothing);
        Ok(())
    }

    // ---- SMTPUTF8 (RFC 6531), 8BITMIME (RFC 6152), CHUNKING (RFC 3030)

    fn addresses_beyond_ascii(&mut self) -> Outcome {
        let setup = logged_session();
        let case = "SMTPUTF8: both addresses, and a header";
        let octets = "Subject: Grüße\r\n\r\n東京\r\n".as_bytes();
        let sender = self.server.address("jürgen")?;
        let recipient = self.server.address("jürgen")?;
        let original = OriginalRecipient::mailbox(&recipient)?;
        let envelope = Envelope::new(Some(sender), vec![recipient])?
            .with_parameter_for_all(Notify::FAILURE)
            .with_recipient_parameter(0, original)?;
        self.log.skip()?;
        self.delivered(&setup, case, envelope, octets)?;
        let (length, domain) = (octets.len(), self.server.domain());
        let mail = format!("MAIL FROM:<jürgen@{domain}> SIZE={length} BODY=8BITMIME SMTPUTF8");
        let original = format!("ORCPT=utf-8;j\\x{{FC}}rgen@{domain}");
        let rcpt = format!("{} NOTIFY=FAILURE {original}", self.rcpt_command("jürgen"));
        let [first, rest] = by_bdat(length);
        self.check_log(&setup, case, &[&mail, &rcpt, &first, &rest])
    }

    /// For a server without SMTPUTF8 the domain is converted (RFC 5891).
    fn domains_in_a_labels(&mut self) -> Outcome {
        let setup = Setup::new(Mode::None, Port::NoTls);
        let recipient = self.server.address("alice")?;
        let envelope = Envelope::new(Some("carol@bücher.example".parse()?), vec![recipient])?;
        let sent = self.send(&setup, envelope, Body::from("Subject: x\r\n\r\nhello\r\n"))?;
        let file = self.mailboxes.next("alice")?;
        let file = String::from_utf8_lossy(&file);
        let mut lines = file.lines();
        let sender = lines.find_map(|line| line.strip_prefix("Return-Path: "));
        let offered = sent.is_offered("SMTPUTF8");
        let outcome = format!("{}, {}", sender.unwrap_or_default(), sent.summary());
        let outcome = if offered { "offered" } else { &outcome }.to_owned();
        let expected = format!("<carol@xn--bcher-kva.example>, {IN_PLAINTEXT}");
        let case = "SMTPUTF8: a domain in A-labels";
        self.add_row(&setup, case, &expected, outcome, Octets::Nothing);
        Ok(())
    }

    fn eight_bit_by_both_ways(&mut self) -> Outcome {
        let octets = b"Subject: 8-bit\r\n\r\nGr\xfc\xdfe\r\n";
        let length = octets.len();
        let [first, rest] = by_bdat(length);
        let transfers = [
            ("BDAT", vec![first.as_str(), rest.as_str()]),
            ("DATA", vec!["DATA"]),
        ];
        for (transfer, content) in transfers {
            let setup = Setup {
                chunking: transfer == "BDAT",
                ..logged_session()
            };
            let case = format!("8BITMIME by {transfer}");
            let envelope = self.envelope(&["alice"])?;
            self.log.skip()?;
            self.delivered(&setup, &case, envelope, octets)?;
            let mail = format!("{} SIZE={length} BODY=8BITMIME", self.mail_command());
            let rcpt = self.rcpt_command("alice");
            let received = [vec![mail.as_str(), rcpt.as_str()], content].concat();
            self.check_log(&setup, &case, &received)?;
        }
        Ok(())
    }

    // ---- more recipients than the server takes at once (RFC 5321 §4.5.3.1.10)

    fn more_recipients_than_it_takes(&mut self) -> Outcome {
        let setup = logged_session();
        let case = "150 recipients with a limit of 100";
        let octets = b"Subject: many\r\n\r\nto all of them\r\n";
        let recipients: Vec<String> = (0..MANY).map(|number| format!("alice+{number}")).collect();
        let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
        let envelope = self.envelope(&recipients)?;
        self.log.skip()?;
        let body = Body::from(octets.to_vec());
        let sent = self.send(&setup, envelope, body)?;
        let deliveries: Vec<_> = (0..MANY)
            .map(|_| Delivery::to(octets, vec!["alice"]))
            .collect();
        let octets = self.mailboxes.compare(&deliveries)?;
        self.add_row(&setup, case, IN_PLAINTEXT, sent.summary(), octets);
        let mut counts = BTreeMap::new();
        for command in self.log.commands()? {
            let verb = command.split(' ').next().unwrap_or_default().to_owned();
            *counts.entry(verb).or_insert(0) += 1;
        }
        let outcome = format!("{counts:?}");
        let expected = r#"{"BDAT": 3, "EHLO": 1, "MAIL": 2, "QUIT": 1, "RCPT": 200}"#;
        self.add_row(&setup, &log_case(case), expected, outcome, Octets::Nothing);
        Ok(())
    }

    // ---- what the server does not offer

    /// The error comes before `MAIL`, or the parameter is left out; the log shows which.
    fn not_offered(&mut self) -> Outcome {
        let envelope = self.envelope(&["alice"])?;
        let parameter = |text: &str| text.parse::<Parameter>();
        let until = FutureRelease::hold_until("2030-01-31T12:00:00Z")?;
        let priority = MtPriority::new(3)?;
        for (case, envelope, expected) in [
            (
                "DELIVERBY",
                envelope.clone().with_parameter(DeliverBy::or_return(60)?),
                "not sent at mail: DELIVERBY not offered",
            ),
            (
                "FUTURERELEASE, for a time",
                envelope
                    .clone()
                    .with_parameter(FutureRelease::hold_for(60)?),
                "not sent at mail: FUTURERELEASE not offered",
            ),
            (
                "FUTURERELEASE, until a time",
                envelope.clone().with_parameter(until),
                "not sent at mail: FUTURERELEASE not offered",
            ),
            (
                "MT-PRIORITY, required",
                envelope.clone().with_parameter(
                    postwire_blocking::proto::MailParameter::from(priority).required(),
                ),
                "not sent at mail: MT-PRIORITY not offered",
            ),
            (
                "another extension, of MAIL",
                envelope.clone().with_parameter(parameter("XFOO=1")?),
                "not sent at mail: XFOO=1 not offered",
            ),
            (
                "another extension, of RCPT",
                envelope.clone().with_parameter_for_all(parameter("XFOO")?),
                "not sent at mail: XFOO not offered",
            ),
        ] {
            let case = format!("not offered: {case}");
            let setup = logged_session();
            self.log.skip()?;
            let body = Body::from(b"Subject: never\r\n\r\n".to_vec());
            self.answered(&setup, &case, envelope, body, expected)?;
            self.check_log(&setup, &case, &[])?;
        }
        let (setup, case) = (logged_session(), "not offered: MT-PRIORITY, left out");
        let octets = b"Subject: in its turn\r\n\r\n";
        self.log.skip()?;
        self.delivered(&setup, case, envelope.with_parameter(priority), octets)?;
        let mail = format!("{} SIZE={}", self.mail_command(), octets.len());
        let [first, rest] = by_bdat(octets.len());
        let rcpt = self.rcpt_command("alice");
        self.check_log(&setup, case, &[&mail, &rcpt, &first, &rest])
    }

    /// Postfix offers REQUIRETLS from version 3.11 on.
    fn requiretls(&mut self) -> Outcome {
        let setup = Setup::new(Mode::Required, Port::Plain);
        let octets = b"Subject: under TLS\r\n\r\n";
        let envelope = self.envelope(&["alice"])?.with_parameter(RequireTls);
        let sent = self.send(&setup, envelope, Body::from(octets.to_vec()))?;
        let expected = if sent.is_offered("REQUIRETLS") {
            OVER_TLS
        } else {
            "not sent at mail: REQUIRETLS not offered"
        };
        let deliveries: Vec<_> = sent
            .reports
            .iter()
            .map(|report| Delivery::new(octets, report))
            .collect();
        let octets = self.mailboxes.compare(&deliveries)?;
        self.add_row(
            &setup,
            "REQUIRETLS, if offered",
            expected,
            sent.summary(),
            octets,
        );
        Ok(())
    }

    // ---- how it is checked

    /// Sends a message that must arrive.
    fn delivered(
        &mut self,
        setup: &Setup,
        case: &str,
        envelope: Envelope,
        octets: &[u8],
    ) -> Outcome {
        let sent = self.send(setup, envelope, Body::from(octets.to_vec()))?;
        let reports = sent.reports.iter();
        let deliveries: Vec<_> = reports
            .map(|report| Delivery::new(octets, report))
            .collect();
        let octets = self.mailboxes.compare(&deliveries)?;
        self.add_row(setup, case, IN_PLAINTEXT, sent.summary(), octets);
        Ok(())
    }

    /// Sends a message whose delivery, if any, the caller checks.
    fn answered(
        &mut self,
        setup: &Setup,
        case: &str,
        envelope: Envelope,
        body: impl Into<BodySource>,
        expected: &str,
    ) -> Result<Sent, Box<dyn std::error::Error>> {
        let sent = self.send(setup, envelope, body)?;
        self.add_row(setup, case, expected, sent.summary(), Octets::Nothing);
        Ok(sent)
    }

    pub(crate) fn envelope(&self, users: &[&str]) -> Result<Envelope, Box<dyn std::error::Error>> {
        let recipients: Result<Vec<_>, _> =
            users.iter().map(|user| self.server.address(user)).collect();
        Ok(Envelope::new(
            Some(self.server.address(SENDER)?),
            recipients?,
        )?)
    }

    fn mail_command(&self) -> String {
        format!("MAIL FROM:<{SENDER}@{}>", self.server.domain())
    }

    fn rcpt_command(&self, user: &str) -> String {
        format!("RCPT TO:<{user}@{}>", self.server.domain())
    }

    /// Compares the words of the commands in any order: the order of parameters has no meaning.
    fn check_log(&mut self, setup: &Setup, case: &str, expected: &[&str]) -> Outcome {
        let sorted = |command: &str| {
            let mut words: Vec<&str> = command.split(' ').collect();
            words.sort_unstable();
            words.join(" ")
        };
        let received = self.log.commands()?;
        let of_messages = |command: &&String| {
            let outside = ["EHLO", "QUIT"];
            !outside.iter().any(|verb| command.starts_with(verb))
        };
        let received: Vec<String> = received
            .iter()
            .filter(of_messages)
            .map(|c| sorted(c))
            .collect();
        let expected: Vec<String> = expected.iter().map(|command| sorted(command)).collect();
        let listed = |commands: Vec<String>| match commands.join(", ") {
            none if none.is_empty() => "no MAIL".to_owned(),
            commands => commands,
        };
        let (expected, received) = (listed(expected), listed(received));
        self.add_row(setup, &log_case(case), &expected, received, Octets::Nothing);
        Ok(())
    }
}

/// A session at the port whose commands are in the server's log.
fn logged_session() -> Setup {
    Setup::new(Mode::None, Port::Logged)
}

fn log_case(case: &str) -> String {
    format!("{case}; by its log")
}

/// The commands for this much content: one octet before a recipient is known to be accepted,
/// and the rest after that.
fn by_bdat(length: usize) -> [String; 2] {
    ["BDAT 1".to_owned(), format!("BDAT {} LAST", length - 1)]
}

/// The server's identifier of the message: `250 2.0.0 Ok: 5 bytes queued as 4ABC`.
fn queue_id(reports: &[Report]) -> String {
    let reply = reports.first().and_then(Report::reply);
    let reply = reply.map(ToString::to_string).unwrap_or_default();
    reply.rsplit(' ').next().unwrap_or_default().to_owned()
}

/// The content of a report (RFC 3464): the result, how much of the message it returns, the
/// identifier of the message, and the original and final recipient.
fn report_fields(report: &[u8]) -> String {
    let text = String::from_utf8_lossy(report);
    let field = |name: &str| {
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value.unwrap_or_default().to_owned()
    };
    let returned = text.lines().rev().find_map(|line| match line {
        "Content-Type: message/rfc822" | "Content-Type: message/global" => Some("message"),
        "Content-Type: text/rfc822-headers" | "Content-Type: message/global-headers" => {
            Some("headers")
        }
        _ => None,
    });
    let (returned, whole) = (returned.unwrap_or("nothing"), text.contains("the content"));
    let lacks = if returned == "message" && field("Action") == "failed" && !whole {
        " without its content"
    } else if returned == "headers" && whole {
        " with the content"
    } else {
        ""
    };
    format!(
        "{}, {returned}{lacks}; {}; {}; {}",
        field("Action"),
        field("Original-Envelope-Id"),
        field("Original-Recipient"),
        field("Final-Recipient"),
    )
}
