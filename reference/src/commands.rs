//! The commands: what the server does with each command line but those of
//! authentication and content.

use crate::{
    dialect::Rset,
    lines::Line,
    offence::Offence,
    parameters::{ParameterError, check_mail, check_rcpt},
    recorder::{Mode, Recorder, Transaction},
    replies::Reply,
    syntax::{PathCommand, SyntaxError, is_domain, path_command, split_verb},
};

/// Commands that must be the last of their group (RFC 2920 §3.1, and RFC 3207 §4 and
/// RFC 4954 §4 for their own).
const LAST_OF_GROUP: [&str; 11] = [
    "EHLO", "HELO", "LHLO", "DATA", "VRFY", "EXPN", "TURN", "QUIT", "NOOP", "STARTTLS", "AUTH",
];

/// Commands that a server which demands TLS answers in plaintext.
const BEFORE_TLS: [&str; 7] = ["EHLO", "HELO", "LHLO", "STARTTLS", "QUIT", "NOOP", "RSET"];

impl Recorder {
    /// Executes one command line.
    pub(crate) fn execute(&mut self, line: &Line) {
        let shown = match std::str::from_utf8(&line.octets) {
            Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
            _ => line.octets.escape_ascii().to_string(),
        };
        if line.bare_end {
            self.offend(Offence::BareLineEnd(shown.clone()));
        }
        if line.octets.iter().any(|octet| b"\r\n\0".contains(octet)) {
            self.offend(Offence::StrayOctet(shown));
            self.answer(&Reply::new(500, "5.5.2", "stray octet"));
            return;
        }
        let text = String::from_utf8_lossy(&line.octets).into_owned();
        let (verb, arguments) = split_verb(&text);
        if LAST_OF_GROUP.contains(&verb.as_str()) {
            self.last_of_group = Some(verb.clone());
        }
        if line.length > self.offered.line_limit(&verb) {
            self.offend(Offence::TooLong(shown));
            self.answer(&Reply::new(500, "5.5.2", "line too long"));
            return;
        }
        if !line.octets.is_ascii() && !self.allows_utf8(&verb, arguments) {
            self.offend(Offence::EightBitWithoutSmtpUtf8(shown));
            self.answer(&Reply::new(501, "5.5.2", "not ASCII"));
            return;
        }
        if std::str::from_utf8(&line.octets).is_err() {
            self.offend(Offence::Malformed(shown));
            self.answer(&Reply::new(501, "5.5.2", "not UTF-8"));
            return;
        }
        if self.dialect.tls_demanded && !self.under_tls && !BEFORE_TLS.contains(&verb.as_str()) {
            self.offend(Offence::SensitiveBeforeTls(text.clone()));
            self.answer(&Reply::new(530, "5.7.0", "STARTTLS first"));
            return;
        }
        match verb.as_str() {
            "EHLO" | "HELO" if !self.is_lmtp() => self.execute_hello(&text, &verb, arguments),
            "LHLO" if self.is_lmtp() => self.execute_hello(&text, &verb, arguments),
            "STARTTLS" => self.execute_starttls(&text, arguments),
            "AUTH" => self.execute_auth(&text, arguments),
            "MAIL" => self.execute_mail(&text, arguments),
            "RCPT" => self.execute_rcpt(&text, arguments),
            "DATA" => self.execute_data(&text, arguments),
            "BDAT" => self.execute_bdat(&text, arguments),
            "RSET" => self.execute_rset(&text, arguments),
            "NOOP" => {
                self.answer(&Reply::new(250, "2.0.0", "ok"));
            }
            "VRFY" => {
                self.answer(&Reply::new(252, "2.5.0", "try to send to it"));
            }
            "EXPN" => {
                self.answer(&Reply::new(502, "5.5.1", "not available"));
            }
            "HELP" => {
                self.answer(&Reply::new(214, "2.0.0", "see RFC 5321"));
            }
            "QUIT" => {
                self.check_bare(&text, arguments);
                if self.answer(&Reply::new(221, "2.0.0", "bye")) {
                    self.check_turn_behind();
                    self.hung_up = true;
                }
            }
            _ => {
                self.offend(Offence::UnknownCommand(text));
                self.answer(&Reply::new(500, "5.5.1", "unknown command"));
            }
        }
    }

    /// Whether a line may hold octets above 127 (RFC 6531 §3.3 and §3.7.4.2).
    fn allows_utf8(&self, verb: &str, arguments: &str) -> bool {
        let stated = arguments
            .split(' ')
            .any(|word| word.eq_ignore_ascii_case("SMTPUTF8"));
        self.offered.smtp_utf8
            && match verb {
                "MAIL" | "VRFY" | "EXPN" => stated,
                "RCPT" => self.mail_was_utf8,
                _ => false,
            }
    }

    /// Notes an offence if a command that takes no arguments has any.
    fn check_bare(&mut self, line: &str, arguments: &str) {
        if !arguments.is_empty() || line.ends_with(' ') {
            self.offend(Offence::Malformed(line.to_owned()));
        }
    }

    fn execute_hello(&mut self, line: &str, verb: &str, name: &str) {
        if !is_domain(name) {
            self.offend(Offence::Malformed(line.to_owned()));
            self.answer(&Reply::new(501, "", "who are you?"));
            return;
        }
        if verb == "EHLO"
            && let Some(code) = self.dialect.ehlo_refused
        {
            self.answer(&Reply::new(code, "", "EHLO is not available"));
            return;
        }
        let keywords = match verb {
            "HELO" => crate::Keywords::default(),
            _ => self.dialect.offer(self.under_tls),
        };
        let mut lines = vec!["server.example greets you".to_owned()];
        lines.extend(keywords.lines());
        if self.answer(&Reply::of_lines(250, "", lines)) {
            self.greeted = true;
            self.offered = keywords;
            self.transaction = None;
        }
    }

    fn execute_starttls(&mut self, line: &str, arguments: &str) {
        self.check_bare(line, arguments);
        if !self.offered.starttls {
            self.offend(Offence::CommandNotOffered(line.to_owned()));
            self.answer(&Reply::new(503, "5.5.1", "not available"));
        } else if let Some(code) = self.dialect.starttls_refused {
            self.answer(&Reply::refusal(code, "TLS is not available"));
        } else if self.answer(&Reply::new(220, "2.0.0", "start TLS")) {
            self.mode = Mode::Handshake;
        }
    }

    fn execute_rset(&mut self, line: &str, arguments: &str) {
        self.check_bare(line, arguments);
        if let Some(transaction) = &mut self.transaction {
            transaction.end_tried = true;
            transaction.reset_tried = true;
        }
        match self.dialect.rset {
            Rset::Accepted => {
                if self.answer(&Reply::new(250, "2.0.0", "ok")) {
                    self.transaction = None;
                }
            }
            Rset::Forgotten => {
                if self.transaction.is_some() {
                    self.mislead("the server keeps the transaction");
                }
                self.answer(&Reply::new(250, "2.0.0", "ok"));
            }
            Rset::Refused(code) => {
                self.answer(&Reply::refusal(code, "RSET is not available"));
                self.hung_up |= code == 421;
            }
        }
    }

    fn execute_mail(&mut self, line: &str, arguments: &str) {
        self.mail_was_utf8 = arguments
            .split(' ')
            .any(|word| word.eq_ignore_ascii_case("SMTPUTF8"));
        if !self.greeted {
            self.offend(Offence::NoHello(line.to_owned()));
            self.answer(&Reply::new(503, "5.5.1", "EHLO first"));
            return;
        }
        if let Some(open) = &self.transaction {
            if !open.end_tried {
                self.offend(Offence::MailInTransaction(line.to_owned()));
            }
            if !self.dialect.nested_mail_replaces {
                self.answer(&Reply::new(503, "5.5.1", "a transaction is open"));
                return;
            }
        }
        let offered = self.offered.clone();
        let Some(command) = self.read_path(line, arguments, "FROM:", |parameter| {
            check_mail(parameter, &offered)
        }) else {
            return;
        };
        if offered.mail_max.is_some_and(|most| self.mails >= most) {
            self.offend(Offence::OverMailMax(line.to_owned()));
            self.answer(&Reply::new(452, "4.5.3", "too many transactions"));
            return;
        }
        if self.dialect.auth_demanded && !self.authenticated {
            self.answer(&Reply::new(530, "5.7.0", "authentication required"));
            return;
        }
        let declared = command.parameters.iter().find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            let size = name.eq_ignore_ascii_case("SIZE").then_some(value)?;
            Some(size.parse().unwrap_or(u64::MAX))
        });
        if declared.is_some_and(|size| self.exceeds_size(size)) {
            self.answer(&Reply::new(552, "5.3.4", "message too big"));
            return;
        }
        if command.address.starts_with("nobody") {
            self.answer(&Reply::new(550, "5.7.1", "sender refused"));
            return;
        }
        if self.answer(&Reply::new(250, "2.1.0", "sender ok")) {
            self.mails += 1;
            self.transaction = Some(Transaction {
                reverse_path: command.address,
                parameters: command.parameters,
                ..Transaction::default()
            });
        }
    }

    fn execute_rcpt(&mut self, line: &str, arguments: &str) {
        let offered = self.offered.clone();
        let Some(command) = self.read_path(line, arguments, "TO:", |parameter| {
            check_rcpt(parameter, &offered)
        }) else {
            return;
        };
        let Some(transaction) = &self.transaction else {
            self.answer(&Reply::new(503, "5.5.1", "MAIL first"));
            return;
        };
        let accepted = transaction.recipients.len();
        let reset_tried = transaction.reset_tried;
        let address = command.address;
        let domain = match address.rsplit_once('@') {
            Some((_, domain)) => domain.to_ascii_lowercase(),
            None => String::new(),
        };
        let refusal = if offered.rcpt_max.is_some_and(|most| accepted >= most) {
            if !reset_tried {
                self.offend(Offence::OverRcptMax(line.to_owned()));
            }
            Some(Reply::new(452, "4.5.3", "too many recipients"))
        } else if offered
            .rcpt_domain_max
            .is_some_and(|most| self.domains.len() >= most && !self.domains.contains(&domain))
        {
            self.offend(Offence::OverRcptDomainMax(line.to_owned()));
            Some(Reply::new(452, "4.5.3", "too many domains"))
        } else if address.starts_with("no") {
            Some(Reply::new(550, "5.1.1", "no such user"))
        } else if address.starts_with("later") {
            Some(Reply::new(450, "4.2.1", "try later"))
        } else if address.starts_with("full") {
            Some(Reply::new(452, "4.2.2", "mailbox full"))
        } else if self
            .dialect
            .too_many_at
            .is_some_and(|at| accepted + 1 >= at)
        {
            Some(Reply::new(452, "4.5.3", "too many recipients"))
        } else {
            None
        };
        if let Some(refusal) = refusal {
            self.answer(&refusal);
        } else if self.answer(&Reply::new(250, "2.1.5", "recipient ok")) {
            self.domains.insert(domain);
            if let Some(transaction) = &mut self.transaction {
                let stated = command.parameters.iter();
                transaction
                    .recipient_parameters
                    .extend(stated.map(|parameter| format!("<{address}> {parameter}")));
                transaction.recipients.push(address);
            }
        }
    }

    /// Reads the path and the parameters of a command; answers it if they are wrong.
    fn read_path(
        &mut self,
        line: &str,
        arguments: &str,
        word: &str,
        check: impl Fn(&str) -> Result<(), ParameterError>,
    ) -> Option<PathCommand> {
        let (offence, reply) = match path_command(arguments, word) {
            Err(SyntaxError::Malformed) => (
                Offence::Malformed(line.to_owned()),
                Reply::new(501, "5.5.4", "syntax error"),
            ),
            Err(SyntaxError::TooLong) => (
                Offence::TooLong(line.to_owned()),
                Reply::new(501, "5.1.3", "path too long"),
            ),
            Ok(command) => {
                let checked: Result<Vec<()>, _> = command
                    .parameters
                    .iter()
                    .map(|parameter| check(parameter))
                    .collect();
                match checked {
                    Ok(_) => return Some(command),
                    Err(ParameterError::NotOffered) => (
                        Offence::ParameterNotOffered(line.to_owned()),
                        Reply::new(555, "5.5.4", "parameter unknown"),
                    ),
                    Err(ParameterError::Malformed) => (
                        Offence::Malformed(line.to_owned()),
                        Reply::new(501, "5.5.4", "parameter malformed"),
                    ),
                }
            }
        };
        self.offend(offence);
        self.answer(&reply);
        None
    }

    /// Whether a content of this size is over the limit that is offered.
    pub(crate) fn exceeds_size(&self, size: u64) -> bool {
        self.offered
            .size
            .is_some_and(|most| most > 0 && size > most)
    }
}
