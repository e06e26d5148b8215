//! AUTH (RFC 4954): the choice of the mechanism, and the exchange with the server.
//!
//! Knows the encoding of an exchange (base64, `=`, `*`, line lengths, the number of rounds). Must
//! never know the content of a response, which belongs to the mechanism (`sasl`).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use super::dialogue::Dialogue;
use super::ending::Ending;
use super::expectation::Awaited;
use super::opening::{OpeningStep, want_credentials};
use crate::sasl::{decode, encode};
use crate::{
    Capabilities, ChannelBindingPolicy, ClientConfig, Credentials, Error, ErrorKind, Exchange,
    Mechanism, Redaction, Reply, ReplyCode, ReplyRef, SaslContext, SaslError, Secret, Stage,
    TlsInfo, Violation,
};

/// The maximum length of a command line (RFC 5321 §4.5.3.1.4). An initial response that does not
/// fit is sent after the server's empty challenge (RFC 4954 §4).
const MAX_COMMAND_LINE: usize = 512;

/// The maximum length of the server's explanation of a failure that an error keeps, in octets.
const MAX_DETAIL: usize = 1_024;

/// The next step; `None` if the client is authenticated.
type Following = Result<Option<OpeningStep>, Ending>;

/// The data of the login: credentials, nonce, and what was learnt from failed attempts.
#[derive(Debug)]
pub(super) struct Login {
    /// The credentials in use; at first those of the configuration.
    credentials: Option<Credentials>,
    /// Whether the session may ask the program for other credentials if these are refused.
    renewable: bool,
    /// Random octets from the program; empty if it provided none.
    pub(super) nonce: Vec<u8>,
    /// Whether the server does not support this type of channel binding.
    binding_failed: bool,
}

/// An authentication in progress.
pub(super) struct Authentication {
    capabilities: Arc<Capabilities>,
    mechanism: Mechanism,
    /// The position of `mechanism` in the order of preference.
    rank: usize,
    exchange: Box<dyn Exchange>,
    /// An initial response that did not fit on the command line.
    held: Option<Secret>,
    /// Whether the client sent any response.
    responded: bool,
    rounds: usize,
    /// The reason why the client cancelled the exchange by `*`, if it did.
    cancelled: Option<ErrorKind>,
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authentication")
            .field("mechanism", &self.mechanism)
            .field("rounds", &self.rounds)
            .finish_non_exhaustive()
    }
}

/// The data on which the choice of a mechanism depends.
struct Choice<'a> {
    config: &'a ClientConfig,
    credentials: Option<&'a Credentials>,
    tls: Option<&'a TlsInfo>,
    nonce: &'a [u8],
    binding_failed: bool,
    offered: Vec<&'a str>,
}

impl ClientConfig {
    /// The mechanism that a session with this configuration tries first at a server with these
    /// capabilities; `None` without credentials, or if no offered mechanism may be used.
    ///
    /// `tls` is the TLS session; `None` in plaintext, where a mechanism that reveals the password
    /// is not used by default. The driver is assumed to provide random octets
    /// ([`Client::set_nonce`](crate::Client::set_nonce)).
    ///
    /// ```
    /// use postwire_proto::{
    ///     Capabilities, ClientConfig, Credentials, HelloName, Mechanism, Reply, ReplyCode, Security,
    /// };
    ///
    /// let lines = ["mx.example.org", "AUTH LOGIN PLAIN"];
    /// let reply = Reply::new(ReplyCode::new(250).unwrap(), None, &lines);
    /// let capabilities = Capabilities::parse(reply.as_ref(), 100)?;
    /// let config = ClientConfig::new(HelloName::localhost(), Security::None)
    ///     .credentials(Credentials::new("alice", "correct horse"));
    /// assert_eq!(config.first_mechanism(&capabilities, None), None);
    /// let config = config.allow_plaintext_auth(true);
    /// assert_eq!(config.first_mechanism(&capabilities, None), Some(Mechanism::PLAIN));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn first_mechanism(
        &self,
        capabilities: &Capabilities,
        tls: Option<&TlsInfo>,
    ) -> Option<Mechanism> {
        let choice = Choice {
            config: self,
            credentials: self.credentials.as_ref(),
            tls,
            nonce: &[0],
            binding_failed: false,
            offered: capabilities.auth().collect(),
        };
        choice.usable_mechanism(0).map(|(_, mechanism)| mechanism)
    }
}

impl Login {
    pub(super) fn new(config: &ClientConfig) -> Self {
        Self {
            credentials: config.credentials.clone(),
            renewable: config.late_credentials,
            nonce: Vec::new(),
            binding_failed: false,
        }
    }

    pub(super) fn has_credentials(&self) -> bool {
        self.credentials.is_some()
    }

    /// Begins to authenticate with credentials from the program.
    pub(super) fn begin_with(
        &mut self,
        credentials: Credentials,
        capabilities: &Arc<Capabilities>,
        dialogue: &mut Dialogue,
    ) -> Result<OpeningStep, Ending> {
        dialogue.wait_is_over();
        dialogue.redaction.add(&credentials);
        self.credentials = Some(credentials);
        self.begin(0, capabilities, dialogue)
    }

    /// Begins to authenticate with the first usable mechanism of rank `from` or later.
    pub(super) fn begin(
        &mut self,
        from: usize,
        capabilities: &Arc<Capabilities>,
        dialogue: &mut Dialogue,
    ) -> Result<OpeningStep, Ending> {
        let choice = Choice::new(self, capabilities, dialogue);
        let Some((rank, mechanism)) = choice.usable_mechanism(from) else {
            let error = Error::new(Stage::Auth, choice.no_usable_mechanism(&dialogue.redaction));
            return Err(Ending::Politely(error));
        };
        let started = choice.start_exchange(mechanism);
        // Each exchange of a session has a different nonce.
        if let Some(last) = self.nonce.last_mut() {
            *last = last.wrapping_add(1);
        }
        let (exchange, response) = started.map_err(|error| {
            let kind = ErrorKind::Sasl(error);
            Ending::Politely(login_error(mechanism, kind, capabilities, dialogue))
        })?;
        if let Some(response) = &response {
            dialogue.redaction.add_response(&encode(response.expose()));
        }
        let (line, held) = auth_line(mechanism, response);
        let responded = matches!(line, Line::WithResponse(_));
        let shown = if responded { " <redacted>" } else { "" };
        dialogue.trace_client(format_args!("AUTH {mechanism}{shown}"));
        match line {
            Line::WithResponse(secret) => dialogue.output.write_secret(secret),
            Line::Bare(line) => {
                dialogue
                    .output
                    .write_text(|out| out.extend_from_slice(line.as_bytes()));
            }
        }
        dialogue.expect(Awaited::Auth);
        Ok(OpeningStep::Authenticating(Authentication {
            capabilities: Arc::clone(capabilities),
            mechanism,
            rank,
            exchange,
            held,
            responded,
            rounds: 0,
            cancelled: None,
        }))
    }
}

impl<'a> Choice<'a> {
    fn new(login: &'a Login, capabilities: &'a Capabilities, dialogue: &'a Dialogue) -> Self {
        Self {
            config: &dialogue.config,
            credentials: login.credentials.as_ref(),
            tls: dialogue.learnt.tls.as_ref(),
            nonce: &login.nonce,
            binding_failed: login.binding_failed,
            offered: capabilities.auth().collect(),
        }
    }

    fn start_exchange(
        &self,
        mechanism: Mechanism,
    ) -> Result<(Box<dyn Exchange>, Option<Secret>), SaslError> {
        let Some(credentials) = self.credentials else {
            return Err(SaslError::MissingContext("credentials"));
        };
        let mut exchange = mechanism.start(credentials, &self.context())?;
        let response = exchange.initial_response()?;
        Ok((exchange, response))
    }

    fn context(&self) -> SaslContext<'_> {
        let config = self.config;
        SaslContext {
            channel_binding: self.tls.and_then(TlsInfo::channel_binding),
            nonce: self.nonce,
            host: &config.host,
            port: config.port,
            offered: &self.offered,
            max_iterations: config.limits.auth_iterations,
            min_iterations: config.limits.least_auth_iterations,
        }
    }

    fn is_offered(&self, mechanism: Mechanism) -> bool {
        let mut offered = self.offered.iter();
        offered.any(|name| name.eq_ignore_ascii_case(mechanism.name()))
    }

    fn may_be_used(&self, mechanism: Mechanism) -> bool {
        let may_be_revealed = self.tls.is_some() || self.config.allow_plaintext_auth;
        may_be_revealed || !mechanism.reveals_secret()
    }

    fn usable_mechanism(&self, from: usize) -> Option<(usize, Mechanism)> {
        let credentials = self.credentials?;
        let context = self.context();
        let ranked = self.preference().into_iter().enumerate();
        ranked.skip(from).find(|(_, mechanism)| {
            self.is_offered(*mechanism)
                && self.may_be_used(*mechanism)
                && self.may_be_bound_so(*mechanism)
                && mechanism.is_possible(credentials, &context)
        })
    }

    /// Whether the mechanism fits the configuration and the server regarding channel binding.
    fn may_be_bound_so(&self, mechanism: Mechanism) -> bool {
        if mechanism.binds_channel() {
            !self.binding_failed
        } else {
            self.config.channel_binding != ChannelBindingPolicy::Required
        }
    }

    /// The mechanisms that may be used, in order of preference.
    fn preference(&self) -> Vec<Mechanism> {
        match (&self.config.mechanisms, self.credentials) {
            (Some(mechanisms), _) => mechanisms.clone(),
            (None, Some(credentials)) => Mechanism::preference_for(credentials),
            (None, None) => Vec::new(),
        }
    }

    fn no_usable_mechanism(&self, redaction: &Redaction) -> ErrorKind {
        let preferred = self.preference();
        let mut withheld = preferred.iter().copied();
        let withheld =
            withheld.any(|mechanism| self.is_offered(mechanism) && !self.may_be_used(mechanism));
        let context = self.context();
        let possible = |mechanism: Mechanism| {
            self.may_be_used(mechanism)
                && self.may_be_bound_so(mechanism)
                && self
                    .credentials
                    .is_some_and(|who| mechanism.is_possible(who, &context))
        };
        let named = self.offered.iter().filter_map(|name| name.parse().ok());
        let mut not_allowed: Vec<Mechanism> = Vec::new();
        for mechanism in named.filter(|mechanism| possible(*mechanism)) {
            if !preferred.contains(&mechanism) && !not_allowed.contains(&mechanism) {
                not_allowed.push(mechanism);
            }
        }
        ErrorKind::NoUsableMechanism {
            offered: redaction.text(&self.offered.join(" ")),
            withheld,
            not_allowed,
        }
    }

    /// The rank of the mechanism to try after this one was refused, if there is one.
    fn mechanism_after(&self, tried: Mechanism, rank: usize, code: ReplyCode) -> Option<usize> {
        let (next, mechanism) = self.usable_mechanism(rank + 1)?;
        // A failed binding never leads to a mechanism that reveals the password instead.
        let weaker = mechanism.reveals_secret() && !tried.reveals_secret();
        let may_follow = match code.get() {
            // The server does not support the mechanism that it offered.
            504 => true,
            // The mechanism is too weak for this user (RFC 4954 §6): try only a stronger one.
            534 => !mechanism.reveals_secret(),
            // The credentials were refused: another mechanism is tried only if configured.
            535 if self.config.try_next_mechanism => true,
            _ => tried.binds_channel() && self.binding_failed && !weaker,
        };
        may_follow.then_some(next)
    }
}

/// The error of a login by this mechanism, with the other mechanisms that the server offers.
fn login_error(
    mechanism: Mechanism,
    kind: ErrorKind,
    capabilities: &Capabilities,
    dialogue: &Dialogue,
) -> Error {
    let others = capabilities.auth();
    let others = others.filter(|name| !name.eq_ignore_ascii_case(mechanism.name()));
    let others = others.collect::<Vec<_>>().join(" ");
    Error::new(Stage::Auth, kind).of_login(mechanism, dialogue.redaction.text(&others))
}

impl Authentication {
    /// Handles a `334` or `235`.
    pub(super) fn on_challenge(
        mut self,
        reply: ReplyRef<'_>,
        dialogue: &mut Dialogue,
    ) -> Following {
        // A cancelled exchange cannot succeed, and success before any response proves nothing.
        if reply.code().is_positive() && (self.cancelled.is_some() || !self.responded) {
            let violation = Violation::UnexpectedReply(dialogue.owned(reply));
            let error = Error::new(Stage::Auth, ErrorKind::Violation(violation));
            return Err(Ending::AtOnce(error));
        }
        if self.cancelled.is_some() {
            let violation = Violation::UnexpectedChallenge;
            return Err(Ending::quoting(Stage::Auth, violation, reply, dialogue));
        }
        let text: Vec<u8> = reply.text_lines().next().unwrap_or_default().to_vec();
        if reply.code().is_positive() {
            return self.succeeded(&text, dialogue);
        }
        self.rounds += 1;
        match self.answer(&text, dialogue.config.limits.auth_rounds) {
            Ok(response) => {
                self.responded = true;
                dialogue.trace_client(format_args!("<redacted>"));
                let encoded = encode(response.expose());
                dialogue.redaction.add_response(&encoded);
                let line = [encoded.expose(), b"\r\n"].concat();
                dialogue.output.write_secret(Secret::from(line));
            }
            Err(error) => {
                self.cancelled = Some(match error {
                    SaslError::UnexpectedChallenge => {
                        ErrorKind::Violation(Violation::UnexpectedChallenge)
                    }
                    error => ErrorKind::Sasl(error),
                });
                dialogue.trace_client(format_args!("*"));
                dialogue
                    .output
                    .write_text(|out| out.extend_from_slice(b"*\r\n"));
            }
        }
        dialogue.expect(Awaited::Auth);
        Ok(Some(OpeningStep::Authenticating(self)))
    }

    fn succeeded(mut self, text: &[u8], dialogue: &mut Dialogue) -> Following {
        // Some mechanisms attach data to the success reply; usually the text is prose.
        let server_final = decode(text.trim_ascii()).ok();
        let server_final = server_final.as_ref().map(|data| &data[..]);
        match self.exchange.finish(server_final) {
            Ok(()) => {
                dialogue.learnt.mechanism = Some(self.mechanism);
                Ok(None)
            }
            Err(error) => {
                let error = self.error(ErrorKind::Sasl(error), dialogue);
                Err(Ending::Politely(error))
            }
        }
    }

    /// Computes the response to a challenge.
    fn answer(&mut self, text: &[u8], max_rounds: usize) -> Result<Secret, SaslError> {
        if self.rounds > max_rounds {
            return Err(SaslError::UnexpectedChallenge);
        }
        if let Some(held) = self.held.take() {
            return Ok(held);
        }
        match decode(text.trim_ascii()) {
            Ok(data) => self.exchange.respond(&data),
            // Some servers send prompts without base64, which these mechanisms ignore.
            Err(_) if !self.exchange.reads_challenges() => self.exchange.respond(text),
            Err(error) => Err(error),
        }
    }

    /// Handles a 4xx or 5xx.
    pub(super) fn on_refusal(
        mut self,
        reply: Reply,
        login: &mut Login,
        dialogue: &mut Dialogue,
    ) -> Following {
        let (tried, code) = (self.mechanism, reply.code());
        if let Some(kind) = self.cancelled.take() {
            // 501 only confirms the cancellation (RFC 4954 §4).
            let detail = (code.get() != 501).then(|| alloc::format!("{reply}"));
            let error = self.error(kind, dialogue).with_detail(detail);
            return Err(Ending::Politely(error));
        }
        let detail = self.exchange.failure_detail();
        let binding_unknown = detail.is_some_and(scram_does_not_know_the_binding);
        let detail = detail.map(|octets| {
            dialogue
                .redaction
                .shown(&octets[..octets.len().min(MAX_DETAIL)])
        });
        if code.is_permanent() && tried.binds_channel() && (code.get() != 535 || binding_unknown) {
            // Not about the credentials: servers without this type of binding reply 501.
            login.binding_failed |= code.get() != 504;
        }
        let choice = Choice::new(login, &self.capabilities, dialogue);
        if let Some(next) = choice.mechanism_after(tried, self.rank, code) {
            return login.begin(next, &self.capabilities, dialogue).map(Some);
        }
        let error = self.error(ErrorKind::Refused(reply), dialogue);
        let error = error.with_detail(detail);
        if code.get() == 535 && core::mem::take(&mut login.renewable) {
            let capabilities = self.capabilities;
            return Ok(Some(want_credentials(Some(error), capabilities, dialogue)));
        }
        Err(Ending::Politely(error))
    }

    fn error(&self, kind: ErrorKind, dialogue: &Dialogue) -> Error {
        login_error(self.mechanism, kind, &self.capabilities, dialogue)
    }
}

/// Whether the server says that it does not support this type of channel binding (RFC 5802 §7).
/// Bindings that do not match are a different failure, which may be an attack.
fn scram_does_not_know_the_binding(reason: &[u8]) -> bool {
    matches!(
        reason,
        b"unsupported-channel-binding-type" | b"channel-binding-not-supported"
    )
}

enum Line {
    Bare(String),
    WithResponse(Secret),
}

/// The `AUTH` command, and the initial response if it does not fit on the line.
fn auth_line(mechanism: Mechanism, response: Option<Secret>) -> (Line, Option<Secret>) {
    let bare = alloc::format!("AUTH {mechanism}\r\n");
    let Some(response) = response else {
        return (Line::Bare(bare), None);
    };
    let encoded = encode(response.expose());
    let shown = match encoded.expose() {
        b"" => b"=",
        encoded => encoded,
    };
    if bare.len() + 1 + shown.len() > MAX_COMMAND_LINE {
        return (Line::Bare(bare), Some(response));
    }
    let line = [b"AUTH ", mechanism.name().as_bytes(), b" ", shown, b"\r\n"].concat();
    (Line::WithResponse(Secret::from(line)), None)
}
