//! AUTH (RFC 4954): which mechanism is taken, and the exchange with the server.
//!
//! Knows the envelope of an exchange (base64, `=`, `*`, line lengths, the number
//! of rounds); what is inside belongs to the mechanism (`sasl`).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::expectation::Awaited;
use super::session::{Session, State};
use super::trace::{Speaker, TraceLine};
use crate::sasl::{decode, encode};
use crate::{
    Capabilities, ChannelBindingPolicy, Credentials, Error, ErrorKind, Event, Exchange, Mechanism,
    Reply, ReplyCode, ReplyRef, SaslContext, SaslError, Secret, Stage, Violation,
};

/// RFC 5321 §4.5.3.1.4; an initial response that does not fit waits for the
/// server's empty challenge (RFC 4954 §4).
const MAX_COMMAND_LINE: usize = 512;

/// What is kept of a server's own words on a failure.
const MAX_DETAIL: usize = 1_024;

/// An authentication in progress.
pub(super) struct Authentication {
    mechanism: Mechanism,
    /// The place of `mechanism` in the order of preference.
    rank: usize,
    exchange: Box<dyn Exchange>,
    /// An initial response that did not fit on the command line.
    held: Option<Secret>,
    /// Whether the server was told any response.
    responded: bool,
    rounds: usize,
    /// `*` was sent; why.
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

impl Session {
    /// Asks the program for credentials.
    pub(super) fn want_credentials(&mut self, refused: Option<Error>) {
        self.state = State::CredentialsWanted;
        self.events.push_back(Event::CredentialsWanted(refused));
    }

    /// The program's answer.
    pub(super) fn log_in(&mut self, credentials: Credentials) {
        self.waits_over += 1;
        self.redaction.add(&credentials);
        self.credentials = Some(credentials);
        self.begin_authentication(0);
    }

    /// Begins with the first usable mechanism whose rank is `from` or later.
    pub(super) fn begin_authentication(&mut self, from: usize) {
        let Some((rank, mechanism)) = self.usable_mechanism(from) else {
            let kind = self.no_usable_mechanism();
            return self.refuse(Stage::Auth, kind);
        };
        let started = self.start_exchange(mechanism);
        // No two exchanges of a session have the same one.
        if let Some(last) = self.nonce.last_mut() {
            *last = last.wrapping_add(1);
        }
        match started {
            Ok((exchange, response)) => {
                if let Some(response) = &response {
                    self.redaction.add_response(&encode(response.expose()));
                }
                let (line, held) = auth_line(mechanism, response);
                let responded = matches!(line, Line::WithResponse(_));
                let said = if responded { " <redacted>" } else { "" };
                self.trace_client(format_args!("AUTH {mechanism}{said}"));
                match line {
                    Line::WithResponse(secret) => self.output.write_secret(secret),
                    Line::Bare(line) => {
                        self.output
                            .write_text(|out| out.extend_from_slice(line.as_bytes()));
                    }
                }
                self.expect(Awaited::Auth);
                self.state = State::Authenticating(Authentication {
                    mechanism,
                    rank,
                    exchange,
                    held,
                    responded,
                    rounds: 0,
                    cancelled: None,
                });
            }
            Err(error) => {
                let error = self.login_error(mechanism, ErrorKind::Sasl(error));
                self.refuse_because(error);
            }
        }
    }

    fn start_exchange(
        &self,
        mechanism: Mechanism,
    ) -> Result<(Box<dyn Exchange>, Option<Secret>), SaslError> {
        let Some(credentials) = &self.credentials else {
            return Err(SaslError::MissingContext("credentials"));
        };
        let offered: Vec<&str> = self.offered().collect();
        let context = self.context(&offered);
        let mut exchange = mechanism.start(credentials, &context)?;
        let response = exchange.initial_response()?;
        Ok((exchange, response))
    }

    fn context<'a>(&'a self, offered: &'a [&'a str]) -> SaslContext<'a> {
        SaslContext {
            channel_binding: self.tls.as_ref().and_then(|tls| tls.channel_binding()),
            nonce: &self.nonce,
            host: &self.config.host,
            port: self.config.port,
            offered,
            max_iterations: self.config.limits.auth_iterations,
        }
    }

    fn offered(&self) -> impl Iterator<Item = &str> {
        self.capabilities.iter().flat_map(Capabilities::auth)
    }

    fn is_offered(&self, mechanism: Mechanism) -> bool {
        self.offered()
            .any(|name| name.eq_ignore_ascii_case(mechanism.name()))
    }

    fn may_be_spoken(&self, mechanism: Mechanism) -> bool {
        self.tls.is_some() || self.config.allow_plaintext_auth || !mechanism.reveals_secret()
    }

    fn usable_mechanism(&self, from: usize) -> Option<(usize, Mechanism)> {
        let credentials = self.credentials.as_ref()?;
        let offered: Vec<&str> = self.offered().collect();
        let context = self.context(&offered);
        let ranked = self.preference().into_iter().enumerate();
        ranked.skip(from).find(|(_, mechanism)| {
            self.is_offered(*mechanism)
                && self.may_be_spoken(*mechanism)
                && self.may_be_bound_so(*mechanism)
                && mechanism.is_possible(credentials, &context)
        })
    }

    /// Whether the mechanism suits what is known and wanted of channel binding.
    fn may_be_bound_so(&self, mechanism: Mechanism) -> bool {
        if mechanism.binds_channel() {
            !self.binding_failed
        } else {
            self.config.channel_binding != ChannelBindingPolicy::Required
        }
    }

    /// What may be used, the preferred one first.
    fn preference(&self) -> Vec<Mechanism> {
        match (&self.config.mechanisms, &self.credentials) {
            (Some(mechanisms), _) => mechanisms.clone(),
            (None, Some(credentials)) => Mechanism::preference_for(credentials),
            (None, None) => Vec::new(),
        }
    }

    fn no_usable_mechanism(&self) -> ErrorKind {
        let offered: Vec<&str> = self.offered().collect();
        let preferred = self.preference();
        let mut withheld = preferred.iter().copied();
        let withheld =
            withheld.any(|mechanism| self.is_offered(mechanism) && !self.may_be_spoken(mechanism));
        let context = self.context(&offered);
        let possible = |mechanism: Mechanism| {
            let credentials = self.credentials.as_ref();
            self.may_be_spoken(mechanism)
                && self.may_be_bound_so(mechanism)
                && credentials.is_some_and(|who| mechanism.is_possible(who, &context))
        };
        let named = offered.iter().filter_map(|name| name.parse().ok());
        let mut unasked: Vec<Mechanism> = Vec::new();
        for mechanism in named.filter(|mechanism| possible(*mechanism)) {
            if !preferred.contains(&mechanism) && !unasked.contains(&mechanism) {
                unasked.push(mechanism);
            }
        }
        ErrorKind::NoUsableMechanism {
            offered: self.redaction.text(&offered.join(" ")),
            withheld,
            unasked,
        }
    }

    /// A failure of this mechanism, with what else the server offers.
    fn login_error(&self, mechanism: Mechanism, kind: ErrorKind) -> Error {
        let others = self.offered();
        let others = others.filter(|name| !name.eq_ignore_ascii_case(mechanism.name()));
        let others = others.collect::<Vec<_>>().join(" ");
        Error::new(Stage::Auth, kind).of_login(mechanism, self.redaction.text(&others))
    }

    /// A `334` or `235`.
    pub(super) fn auth_continues(&mut self, reply: ReplyRef<'_>) {
        let max_rounds = self.config.limits.auth_rounds;
        let State::Authenticating(auth) = &mut self.state else {
            return self.end_quoting(Stage::Auth, Violation::UnexpectedChallenge, reply);
        };
        // What was cancelled cannot succeed, and to be let in without a word of the
        // credentials proves nothing.
        if reply.code().is_positive() && (auth.cancelled.is_some() || !auth.responded) {
            let violation = Violation::UnexpectedReply(self.owned(reply));
            return self.end_at(Stage::Auth, ErrorKind::Violation(violation));
        }
        if auth.cancelled.is_some() {
            return self.end_quoting(Stage::Auth, Violation::UnexpectedChallenge, reply);
        }
        let text: Vec<u8> = reply.text_lines().next().unwrap_or_default().to_vec();
        if reply.code().is_positive() {
            // Data that some mechanisms attach to success; mostly it is prose.
            let server_final = decode(text.trim_ascii()).ok();
            let server_final = server_final.as_ref().map(|data| &data[..]);
            let mechanism = auth.mechanism;
            return match auth.exchange.finish(server_final) {
                Ok(()) => {
                    self.mechanism = Some(mechanism);
                    self.become_ready();
                }
                Err(error) => {
                    let error = self.login_error(mechanism, ErrorKind::Sasl(error));
                    self.refuse_because(error);
                }
            };
        }
        auth.rounds += 1;
        let answer = if auth.rounds > max_rounds {
            Err(SaslError::UnexpectedChallenge)
        } else {
            match auth.held.take() {
                Some(held) => Ok(held),
                None => match decode(text.trim_ascii()) {
                    Ok(data) => auth.exchange.respond(&data),
                    // Some servers prompt in plain words, and nobody reads them.
                    Err(_) if !auth.exchange.reads_challenges() => auth.exchange.respond(&text),
                    Err(error) => Err(error),
                },
            }
        };
        match answer {
            Ok(response) => {
                auth.responded = true;
                self.trace_client(format_args!("<redacted>"));
                let encoded = encode(response.expose());
                self.redaction.add_response(&encoded);
                let line = [encoded.expose(), b"\r\n"].concat();
                self.output.write_secret(Secret::from(line));
            }
            Err(error) => {
                auth.cancelled = Some(match error {
                    SaslError::UnexpectedChallenge => {
                        ErrorKind::Violation(Violation::UnexpectedChallenge)
                    }
                    error => ErrorKind::Sasl(error),
                });
                self.trace_client(format_args!("*"));
                self.output
                    .write_text(|out| out.extend_from_slice(b"*\r\n"));
            }
        }
        self.expect(Awaited::Auth);
    }

    /// A 4xx or 5xx.
    pub(super) fn auth_refused(&mut self, reply: Reply) {
        let State::Authenticating(auth) = &mut self.state else {
            return self.refuse(Stage::Auth, ErrorKind::Refused(reply));
        };
        let (tried, rank, code) = (auth.mechanism, auth.rank, reply.code());
        if let Some(kind) = auth.cancelled.take() {
            // 501 only confirms that it was cancelled (RFC 4954 §4).
            let said = (code.get() != 501).then(|| alloc::format!("{reply}"));
            let error = self.login_error(tried, kind).with_detail(said);
            return self.refuse_because(error);
        }
        let detail = auth.exchange.failure_detail();
        let binding_unknown = detail.is_some_and(scram_does_not_know_the_binding);
        let detail = detail.map(|octets| shown(&octets[..octets.len().min(MAX_DETAIL)]));
        if code.is_permanent() && tried.binds_channel() && (code.get() != 535 || binding_unknown) {
            // Not the credentials: servers that know another way of binding alone say 501.
            self.binding_failed |= code.get() != 504;
        }
        if let Some(next) = self.mechanism_after(tried, rank, code) {
            return self.begin_authentication(next);
        }
        let detail = detail.map(|detail| self.redaction.text(&detail));
        let error = self.login_error(tried, ErrorKind::Refused(reply));
        let error = error.with_detail(detail);
        if code.get() == 535 && core::mem::take(&mut self.renewable) {
            self.want_credentials(Some(error));
        } else {
            self.refuse_because(error);
        }
    }

    /// The rank of the mechanism that is tried after this one was refused, if any is.
    fn mechanism_after(&self, tried: Mechanism, rank: usize, code: ReplyCode) -> Option<usize> {
        let (next, mechanism) = self.usable_mechanism(rank + 1)?;
        // One that was too weak, or was not bound, is no reason to reveal the password.
        let weaker = mechanism.reveals_secret() && !tried.reveals_secret();
        let may_follow = match code.get() {
            // Not known after all.
            504 => true,
            // Too weak for this user.
            534 => !weaker,
            // After a refusal of the credentials it would be guessing.
            535 if self.config.try_next_mechanism => true,
            _ => tried.binds_channel() && self.binding_failed && !weaker,
        };
        may_follow.then_some(next)
    }

    fn trace_client(&mut self, text: fmt::Arguments<'_>) {
        if self.config.trace {
            let text = alloc::fmt::format(text);
            self.trace(TraceLine::new(Speaker::Client, text));
        }
    }
}

/// RFC 5802 §7: the server says that its own way of binding is another one. That the
/// bindings do not match is no such thing: somebody may stand between.
fn scram_does_not_know_the_binding(reason: &[u8]) -> bool {
    matches!(
        reason,
        b"unsupported-channel-binding-type" | b"channel-binding-not-supported"
    )
}

/// Foreign octets, escaped; what is text stays as it is.
fn shown(octets: &[u8]) -> String {
    let text = String::from_utf8_lossy(octets);
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            _ if character.is_control() => shown.extend(character.escape_default()),
            _ => shown.push(character),
        }
    }
    shown
}

enum Line {
    Bare(String),
    WithResponse(Secret),
}

/// The `AUTH` command, and the response that found no room on it.
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
