//! The effect of each command (RFC 5321 §4.1, §4.3.2 for its replies).
//!
//! Knows the order in which commands may come. Must never access input or output except through
//! the session.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use postwire_proto::{Address, Mechanism, Protocol, SaslContext, TlsInfo};

use crate::authentication::{Dialogue, Next};
use crate::command::{Command, HelloKind};
use crate::config::{ChunksRead, ServerConfig};
use crate::content::{Content, DotDecoder};
use crate::default_reply::{self, DefaultReply};
use crate::event::{ServerEvent, ServerViolation};
use crate::line::LineError;
use crate::parameters;
use crate::question::Question;
use crate::session::{Chunk, Phase, Session};
use crate::transaction::Transaction;

type Line<'a> = Result<&'a [u8], LineError>;

impl Session {
    /// Processes a line that is a command.
    pub(crate) fn command_line(
        &mut self,
        transaction: Option<Transaction>,
        line: Line<'_>,
    ) -> Phase {
        let line = match line {
            Ok(line) => line,
            Err(LineError::TooLong) => {
                self.replies.write(default_reply::LINE_TOO_LONG);
                return Phase::Command(transaction);
            }
            Err(LineError::BareLineFeed) => return self.bare_line_feed(),
        };
        self.trace(&redacted(line));
        if is_http(line) {
            return self.not_smtp(ServerViolation::Http);
        }
        let config = self.config.clone();
        match Command::parse(line, &config) {
            Err(refusal) => self.stay(transaction, refusal),
            Ok(Command::Bdat { octets, last }) => self.bdat(transaction, octets, last),
            Ok(Command::MalformedBdat) => {
                self.replies.write(default_reply::INVALID_CHUNK);
                self.closed(Some(ServerViolation::MalformedChunk))
            }
            Ok(Command::Quit) => {
                self.replies.write(default_reply::GOODBYE);
                self.closed(None)
            }
            Ok(Command::Noop) => self.stay(transaction, default_reply::OK),
            Ok(Command::Hello { kind, name }) => self.hello(transaction, kind, name),
            Ok(Command::StartTls) => self.starttls(transaction),
            Ok(_) if self.needs_tls() => self.stay(transaction, default_reply::TLS_FIRST),
            Ok(Command::Mail {
                reverse_path,
                parameters,
            }) => self.mail(transaction, reverse_path, parameters),
            Ok(Command::Rcpt {
                forward_path,
                parameters,
            }) => self.rcpt(transaction, forward_path, parameters),
            Ok(Command::Data) => self.data(transaction),
            Ok(Command::Rset) => self.stay(None, default_reply::OK),
            Ok(Command::Vrfy) => self.stay(transaction, default_reply::CANNOT_VERIFY),
            Ok(Command::Expn) => self.stay(transaction, default_reply::NOT_IMPLEMENTED),
            Ok(Command::Help) => self.stay(transaction, default_reply::HELP),
            Ok(Command::Auth {
                mechanism,
                initial_response,
            }) => self.auth(transaction, mechanism, initial_response),
        }
    }

    /// Processes a line that is a response within AUTH.
    pub(crate) fn response_line(&mut self, dialogue: Dialogue, line: Line<'_>) -> Phase {
        match line {
            Ok(line) => {
                self.trace(b"<redacted>");
                self.take_response(dialogue, line, false)
            }
            Err(LineError::TooLong) => self.stay(None, default_reply::RESPONSE_TOO_LONG),
            Err(LineError::BareLineFeed) => self.bare_line_feed(),
        }
    }

    /// A bare LF ends the session, since a relay could see another line boundary there.
    fn bare_line_feed(&mut self) -> Phase {
        self.replies.write(default_reply::BARE_LINE_FEED);
        self.closed(Some(ServerViolation::BareLineFeed))
    }

    /// The client speaks another protocol. A browser can be made to send a request to any port:
    /// its lines must not be read as commands.
    pub(crate) fn not_smtp(&mut self, violation: ServerViolation) -> Phase {
        self.replies.write(default_reply::NOT_SMTP);
        self.closed(Some(violation))
    }

    fn stay(&mut self, transaction: Option<Transaction>, reply: DefaultReply) -> Phase {
        self.replies.write(reply);
        Phase::Command(transaction)
    }

    pub(crate) fn ask(&mut self, question: Question, event: ServerEvent) -> Phase {
        self.report(event);
        Phase::AwaitingAnswer(question)
    }

    /// RFC 3207 §4.
    fn needs_tls(&self) -> bool {
        self.config.require_tls && self.client.tls.is_none()
    }

    /// The configuration of the offered extensions; `None` for a client that sent `HELO`.
    fn offered(&self) -> Option<&ServerConfig> {
        match self.client.hello {
            Some((HelloKind::Ehlo | HelloKind::Lhlo, _)) => Some(&self.config),
            _ => None,
        }
    }

    /// RFC 5321 §4.1.1.1, RFC 2033 §4.1.
    fn hello(&mut self, transaction: Option<Transaction>, kind: HelloKind, name: &str) -> Phase {
        if (kind == HelloKind::Lhlo) != (self.config.protocol == Protocol::Lmtp) {
            return self.stay(transaction, default_reply::UNKNOWN_COMMAND);
        }
        if kind == HelloKind::Helo && self.needs_tls() {
            return self.stay(transaction, default_reply::TLS_FIRST);
        }
        let name = String::from(name);
        if self.config.ask_at_opening {
            let event = ServerEvent::Hello { name: name.clone() };
            let question = Question::Hello {
                kind,
                name,
                transaction,
            };
            return self.ask(question, event);
        }
        self.write_extensions(kind, &name);
        self.client.hello = Some((kind, name));
        Phase::Command(None)
    }

    /// Writes the reply to an accepted `EHLO`, `HELO` or `LHLO`.
    pub(crate) fn write_extensions(&mut self, kind: HelloKind, name: &str) {
        let mut lines = alloc::vec![format!("{} greets {name}", self.config.hostname)];
        if kind != HelloKind::Helo {
            let mechanisms = self.offered_mechanisms();
            lines.extend(
                self.config
                    .capability_lines(self.client.tls.is_some(), &mechanisms),
            );
        }
        self.replies.write_lines(250, &lines);
    }

    /// RFC 3207 §4.
    fn starttls(&mut self, transaction: Option<Transaction>) -> Phase {
        if self.client.tls.is_some() {
            return self.stay(transaction, default_reply::TLS_ALREADY);
        }
        if !self.config.starttls {
            return self.stay(transaction, default_reply::NOT_IMPLEMENTED);
        }
        self.replies.write(default_reply::READY_FOR_TLS);
        self.report(ServerEvent::StartTls);
        Phase::Handshake { greeted: true }
    }

    /// RFC 5321 §4.1.1.2.
    fn mail(
        &mut self,
        transaction: Option<Transaction>,
        reverse_path: Option<Address>,
        parameters: &str,
    ) -> Phase {
        if self.client.hello.is_none() {
            return self.stay(transaction, default_reply::HELLO_FIRST);
        }
        if transaction.is_some() {
            return self.stay(transaction, default_reply::NESTED_MAIL);
        }
        if self.config.require_auth && self.client.user.is_none() {
            return self.stay(None, default_reply::AUTH_FIRST);
        }
        let has_room = |most| self.client.messages < most;
        if !self.config.max_messages.is_none_or(has_room) {
            self.replies.write(default_reply::TOO_MANY_MESSAGES);
            return self.closed(None);
        }
        let tls = self.client.tls.is_some();
        let begun = parameters::mail(parameters, self.offered(), tls)
            .and_then(|declared| Transaction::begin(&self.config, reverse_path.clone(), declared));
        match begun {
            Ok(mut transaction) => {
                let parameters = parameters::list(parameters);
                transaction.parameters.mail.clone_from(&parameters);
                self.client.messages = self.client.messages.saturating_add(1);
                self.ask(
                    Question::MailFrom(transaction),
                    ServerEvent::MailFrom {
                        reverse_path,
                        parameters,
                    },
                )
            }
            Err(refusal) => self.stay(None, refusal),
        }
    }

    /// RFC 5321 §4.1.1.3.
    fn rcpt(
        &mut self,
        transaction: Option<Transaction>,
        forward_path: Address,
        parameters: &str,
    ) -> Phase {
        let Some(transaction) = transaction else {
            return self.stay(None, self.no_transaction());
        };
        let checked = transaction
            .check_recipient(&self.config, &forward_path)
            .and_then(|()| parameters::rcpt(parameters, self.offered()));
        match checked {
            Ok(()) => {
                let parameters = parameters::list(parameters);
                let question =
                    Question::RcptTo(transaction, forward_path.clone(), parameters.clone());
                self.ask(
                    question,
                    ServerEvent::RcptTo {
                        forward_path,
                        parameters,
                    },
                )
            }
            Err(refusal) => self.stay(Some(transaction), refusal),
        }
    }

    fn no_transaction(&self) -> DefaultReply {
        match self.client.hello {
            None => default_reply::HELLO_FIRST,
            Some(_) => default_reply::MAIL_FIRST,
        }
    }

    /// RFC 5321 §4.1.1.4.
    fn data(&mut self, transaction: Option<Transaction>) -> Phase {
        let Some(transaction) = transaction else {
            return self.stay(None, self.no_transaction());
        };
        match transaction.check_data(&self.config) {
            Err(refusal) => self.stay(Some(transaction), refusal),
            Ok(()) if transaction.recipients.is_empty() => {
                self.replies.write(default_reply::START_CONTENT);
                self.await_content(transaction)
            }
            Ok(()) => self.ask(Question::Data(transaction), ServerEvent::Data),
        }
    }

    pub(crate) fn await_content(&self, transaction: Transaction) -> Phase {
        let content = Content::new(self.config.content_limit());
        Phase::Content(transaction, Box::new(DotDecoder::new(content)))
    }

    /// RFC 3030 §2. The octets of a refused `BDAT` still follow; they are read as commands if
    /// the configuration says not to read them.
    fn bdat(&mut self, transaction: Option<Transaction>, octets: u64, last: bool) -> Phase {
        let checked = if self.needs_tls() {
            Err(default_reply::TLS_FIRST)
        } else if self.config.chunks_read == ChunksRead::None
            || self.offered().is_none_or(|config| !config.chunking)
        {
            Err(default_reply::NOT_IMPLEMENTED)
        } else {
            match &transaction {
                Some(transaction) => transaction.check_chunk(),
                None => Err(self.no_transaction()),
            }
        };
        if let Err(refusal) = checked
            && self.config.chunks_read != ChunksRead::All
        {
            return self.stay(transaction, refusal);
        }
        Phase::Chunk(Chunk {
            transaction,
            remaining: octets,
            last,
            refusal: checked.err(),
        })
    }

    /// Handles `AUTH` (RFC 4954 §4).
    fn auth(
        &mut self,
        transaction: Option<Transaction>,
        mechanism: &str,
        initial_response: Option<&str>,
    ) -> Phase {
        let dialogue = match self.begin_authentication(transaction.as_ref(), mechanism) {
            Ok(dialogue) => dialogue,
            Err(refusal) => return self.stay(transaction, refusal),
        };
        self.vary_nonce();
        match initial_response {
            Some(response) => self.take_response(dialogue, response.as_bytes(), true),
            None => self.challenge(dialogue),
        }
    }

    fn begin_authentication(
        &self,
        transaction: Option<&Transaction>,
        mechanism: &str,
    ) -> Result<Dialogue, DefaultReply> {
        let config = self.offered().ok_or(default_reply::HELLO_FIRST)?;
        if config.mechanisms.is_empty() {
            return Err(default_reply::NOT_IMPLEMENTED);
        }
        if self.client.user.is_some() {
            return Err(default_reply::AUTHENTICATED_ALREADY);
        }
        if transaction.is_some() {
            return Err(default_reply::NESTED_MAIL);
        }
        let mechanism: Mechanism = mechanism
            .parse()
            .map_err(|_| default_reply::UNKNOWN_MECHANISM)?;
        if !config.mechanisms.contains(&mechanism) {
            return Err(default_reply::UNKNOWN_MECHANISM);
        }
        if !config.allows_mechanism(mechanism, self.client.tls.is_some()) {
            return Err(default_reply::AUTH_NEEDS_TLS);
        }
        if !self.may_authenticate_by(mechanism) {
            return Err(default_reply::UNKNOWN_MECHANISM);
        }
        Dialogue::begin(mechanism, &self.sasl_context(&[])).ok_or(default_reply::UNKNOWN_MECHANISM)
    }

    /// Whether the mechanism is allowed, and everything that it needs is present.
    fn may_authenticate_by(&self, mechanism: Mechanism) -> bool {
        let context = self.sasl_context(&[]);
        !self.needs_tls()
            && self
                .config
                .allows_mechanism(mechanism, self.client.tls.is_some())
            && mechanism.is_possible_with(&context)
            && Dialogue::begin(mechanism, &context).is_some()
    }

    fn offered_mechanisms(&self) -> Vec<&'static str> {
        let mechanisms = self.config.mechanisms.iter();
        mechanisms
            .filter(|mechanism| self.may_authenticate_by(**mechanism))
            .map(Mechanism::name)
            .collect()
    }

    fn sasl_context<'a>(&'a self, offered: &'a [&'a str]) -> SaslContext<'a> {
        let tls = self.client.tls.as_ref();
        SaslContext::default()
            .channel_binding(tls.and_then(TlsInfo::channel_binding))
            .nonce(&self.nonce)
            .host(self.config.hostname.as_str())
            .offered(offered)
    }

    /// Changes the nonce, so that no two exchanges of a session use the same one.
    pub(crate) fn vary_nonce(&mut self) {
        if let Some(last) = self.nonce.last_mut() {
            *last = last.wrapping_add(1);
        }
    }

    pub(crate) fn challenge(&mut self, dialogue: Dialogue) -> Phase {
        self.replies.challenge(dialogue.challenge().expose());
        Phase::Response(dialogue)
    }

    fn take_response(&mut self, dialogue: Dialogue, response: &[u8], initial: bool) -> Phase {
        let offered = self.offered_mechanisms();
        let next = dialogue.take(response, initial, &self.sasl_context(&offered));
        self.go_on(next)
    }

    pub(crate) fn go_on(&mut self, next: Next) -> Phase {
        match next {
            Next::Challenge(dialogue) => self.challenge(dialogue),
            Next::Failed(reply) => self.stay(None, reply),
            Next::Authenticated { user } => {
                self.client.user = Some(user);
                self.stay(None, default_reply::AUTHENTICATED)
            }
            Next::Password {
                mechanism,
                user,
                claim,
            } => self.ask(
                Question::Password(claim),
                ServerEvent::PasswordWanted { mechanism, user },
            ),
            Next::Refused(reply) => {
                self.replies.relay(&reply);
                Phase::Command(None)
            }
            Next::Credentials {
                mechanism,
                user,
                secret,
            } => self.ask(
                Question::Authenticate {
                    mechanism,
                    user: user.clone(),
                },
                ServerEvent::Authenticate {
                    mechanism,
                    user,
                    secret,
                },
            ),
        }
    }
}

/// Whether the line begins an HTTP request (RFC 9112 §3).
fn is_http(line: &[u8]) -> bool {
    [&b" HTTP/1.1"[..], b" HTTP/1.0", b" HTTP/2.0"]
        .iter()
        .any(|version| line.ends_with(version))
}

/// The command in a form that may be shown: everything after the mechanism of `AUTH` is secret. So
/// is a single word that is no command: a client may send its password without waiting for the
/// reply to a refused `AUTH`.
fn redacted(line: &[u8]) -> Cow<'_, [u8]> {
    // Whatever stands before the word: this is no AUTH, but it holds what an AUTH holds.
    let blanks = line
        .iter()
        .take_while(|octet| !octet.is_ascii_alphanumeric());
    let word = line.get(blanks.count()..).unwrap_or_default();
    match word.split_at_checked(4) {
        Some((verb, arguments)) if verb.eq_ignore_ascii_case(b"AUTH") => {
            let mechanism = arguments
                .split(|&octet| octet == b' ')
                .find_map(|word| core::str::from_utf8(word).ok()?.parse::<Mechanism>().ok());
            Cow::Owned(match mechanism {
                Some(mechanism) => format!("AUTH {mechanism} <redacted>").into_bytes(),
                None => b"AUTH <redacted>".to_vec(),
            })
        }
        _ if Command::is_known_or_several_words(line) => Cow::Borrowed(line),
        _ => Cow::Borrowed(b"<redacted>"),
    }
}
