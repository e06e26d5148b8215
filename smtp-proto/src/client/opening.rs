//! The opening of a session: greeting → EHLO (→ HELO) → [STARTTLS → TLS → EHLO] → [AUTH] → ready
//! (RFC 5321 §3.1, RFC 3207, RFC 4954).
//!
//! One command is outstanding at a time. The handler of each reply returns the next step. Must
//! never know about messages.

use alloc::sync::Arc;

use super::authentication::{Authentication, Login};
use super::dialogue::Dialogue;
use super::ending::Ending;
use super::expectation::Awaited;
use super::pipeline::Pipeline;
use crate::{
    Capabilities, Error, ErrorKind, Event, HelloName, Protocol, Reply, ReplyRef, Security, Stage,
    TlsInfo, Violation, command,
};

#[derive(Debug)]
pub(super) struct Opening {
    pub(super) step: OpeningStep,
    pub(super) login: Login,
    /// The local address in the form that `EHLO` uses.
    pub(super) local_name: Option<HelloName>,
}

/// A step of an opening: what the session waits for.
#[derive(Debug)]
pub(super) enum OpeningStep {
    /// The TLS handshake, which the driver performs.
    Handshake,
    Greeting,
    Ehlo,
    Helo {
        ehlo_refusal: Reply,
    },
    StartTls(Arc<Capabilities>),
    /// Credentials from the program.
    CredentialsWanted(Arc<Capabilities>),
    Authenticating(Authentication),
}

/// The steps that may follow each step of an opening. `Ready` ends the opening.
pub(super) const STEPS: [(&str, &[&str]); 7] = [
    ("Greeting", &["Ehlo"]),
    (
        "Ehlo",
        &[
            "Helo",
            "StartTls",
            "CredentialsWanted",
            "Authenticating",
            "Ready",
        ],
    ),
    ("Helo", &["CredentialsWanted", "Authenticating", "Ready"]),
    (
        "StartTls",
        &["Handshake", "CredentialsWanted", "Authenticating", "Ready"],
    ),
    ("Handshake", &["Greeting", "Ehlo"]),
    ("CredentialsWanted", &["Authenticating"]),
    (
        "Authenticating",
        &["Authenticating", "CredentialsWanted", "Ready"],
    ),
];

impl OpeningStep {
    fn name(&self) -> &'static str {
        match self {
            Self::Handshake => "Handshake",
            Self::Greeting => "Greeting",
            Self::Ehlo => "Ehlo",
            Self::Helo { .. } => "Helo",
            Self::StartTls(_) => "StartTls",
            Self::CredentialsWanted(_) => "CredentialsWanted",
            Self::Authenticating(_) => "Authenticating",
        }
    }
}

fn follows(from: &str, to: &str) -> bool {
    let mut steps = STEPS.iter();
    steps.any(|(step, following)| *step == from && following.contains(&to))
}

/// What happens after a reply.
pub(super) enum Next {
    Step,
    Ready(Pipeline),
}

/// The next step; `None` if the opening is complete.
type Following = Result<Option<OpeningStep>, Ending>;

impl Opening {
    /// Creates the opening of a new session.
    pub(super) fn new(dialogue: &mut Dialogue) -> Self {
        let step = if dialogue.config.security == Security::Wrapper {
            begin_handshake(dialogue)
        } else {
            dialogue.expect(Awaited::Greeting);
            OpeningStep::Greeting
        };
        Self {
            step,
            login: Login::new(&dialogue.config),
            local_name: None,
        }
    }

    /// Handles the reply to the outstanding command.
    pub(super) fn on_reply(
        &mut self,
        yes: bool,
        reply: ReplyRef<'_>,
        dialogue: &mut Dialogue,
    ) -> Result<Next, Ending> {
        let owned = dialogue.owned(reply);
        let step = core::mem::replace(&mut self.step, OpeningStep::Greeting);
        let from = step.name();
        let following = match step {
            OpeningStep::Greeting if yes => Ok(Some(self.greeted(owned, dialogue))),
            OpeningStep::Greeting => Err(politely(Stage::Greeting, ErrorKind::Refused(owned))),
            OpeningStep::Ehlo if yes => {
                match Capabilities::parse(reply, dialogue.config.limits.capabilities) {
                    Ok(capabilities) => self.hello_accepted(capabilities, dialogue),
                    Err(error) => {
                        let violation = Violation::Capabilities(error);
                        Err(Ending::quoting(Stage::Ehlo, violation, reply, dialogue))
                    }
                }
            }
            OpeningStep::Ehlo => self.hello_refused(owned, dialogue),
            OpeningStep::Helo { .. } if yes => {
                self.hello_accepted(Capabilities::default(), dialogue)
            }
            OpeningStep::Helo { ehlo_refusal } => Err(helo_refused(&ehlo_refusal, owned)),
            OpeningStep::StartTls(_) if yes => {
                // Nothing before TLS is authenticated (RFC 3207 §4.2).
                dialogue.learnt.capabilities = None;
                dialogue.learnt.greeting = None;
                Ok(Some(begin_handshake(dialogue)))
            }
            OpeningStep::StartTls(capabilities) => {
                if dialogue.config.security == Security::Opportunistic {
                    self.authenticate(capabilities, dialogue)
                } else {
                    Err(politely(Stage::StartTls, ErrorKind::Refused(owned)))
                }
            }
            OpeningStep::Authenticating(authentication) => {
                let login = &mut self.login;
                if yes {
                    authentication.on_challenge(reply, dialogue)
                } else {
                    authentication.on_refusal(owned, login, dialogue)
                }
            }
            step @ (OpeningStep::Handshake | OpeningStep::CredentialsWanted(_)) => {
                debug_assert!(
                    false,
                    "a reply arrived in the step {step:?}, which expects none"
                );
                Ok(Some(step))
            }
        };
        if let Some(step) = following? {
            debug_assert!(
                follows(from, step.name()),
                "the step {step:?} must not follow {from}"
            );
            self.step = step;
            return Ok(Next::Step);
        }
        debug_assert!(
            follows(from, "Ready"),
            "the session must not become ready after the step {from}"
        );
        let capabilities = dialogue.learnt.capabilities.clone().unwrap_or_default();
        let pipelining = dialogue.config.pipelining;
        Ok(Next::Ready(Pipeline::new(pipelining, capabilities)))
    }

    // ---- greeting → EHLO → HELO

    fn greeted(&mut self, greeting: Reply, dialogue: &mut Dialogue) -> OpeningStep {
        dialogue.learnt.greeting = Some(greeting);
        self.send_hello(dialogue)
    }

    fn send_hello(&mut self, dialogue: &mut Dialogue) -> OpeningStep {
        let verb = match dialogue.config.protocol {
            Protocol::Smtp => "EHLO",
            Protocol::Lmtp => "LHLO",
        };
        let name = self.hello_name(dialogue);
        dialogue.write_command(Awaited::Ehlo, |out| command::ehlo(out, verb, &name));
        OpeningStep::Ehlo
    }

    fn hello_name(&self, dialogue: &Dialogue) -> HelloName {
        let configured = dialogue.config.hello_name.as_ref();
        let name = configured.or(self.local_name.as_ref());
        name.cloned().unwrap_or_else(HelloName::localhost)
    }

    fn hello_refused(&mut self, reply: Reply, dialogue: &mut Dialogue) -> Following {
        let config = &dialogue.config;
        let may_go_on_in_plaintext =
            dialogue.learnt.tls.is_some() || config.security != Security::Required;
        // RFC 5321 §4.1.4: HELO is for servers that do not support EHLO, not for servers that
        // refuse this client.
        let is_unknown = matches!(reply.code().get(), 500 | 501 | 502 | 504);
        if is_unknown && config.protocol == Protocol::Smtp && may_go_on_in_plaintext {
            let name = self.hello_name(dialogue);
            dialogue.write_command(Awaited::Helo, |out| command::ehlo(out, "HELO", &name));
            let ehlo_refusal = reply;
            Ok(Some(OpeningStep::Helo { ehlo_refusal }))
        } else {
            Err(politely(Stage::Ehlo, ErrorKind::Refused(reply)))
        }
    }

    fn hello_accepted(&mut self, capabilities: Capabilities, dialogue: &mut Dialogue) -> Following {
        let offered = capabilities.starttls();
        let capabilities = Arc::new(capabilities);
        dialogue.learnt.capabilities = Some(Arc::clone(&capabilities));
        match dialogue.config.security {
            _ if dialogue.learnt.tls.is_some() => self.authenticate(capabilities, dialogue),
            Security::Required | Security::Opportunistic if offered => {
                dialogue.write_command(Awaited::StartTls, |out| {
                    out.extend_from_slice(b"STARTTLS\r\n");
                });
                Ok(Some(OpeningStep::StartTls(capabilities)))
            }
            Security::Required => Err(politely(Stage::StartTls, ErrorKind::StartTlsNotOffered)),
            _ => self.authenticate(capabilities, dialogue),
        }
    }

    // ---- STARTTLS → TLS

    /// Continues after the TLS handshake.
    pub(super) fn tls_established(&mut self, info: TlsInfo, dialogue: &mut Dialogue) {
        dialogue.learnt.tls = Some(info);
        dialogue.wait_is_over();
        let step = if dialogue.config.security == Security::Wrapper {
            dialogue.expect(Awaited::Greeting);
            OpeningStep::Greeting
        } else {
            self.send_hello(dialogue)
        };
        self.enter(step);
    }

    /// Enters a step without a reply.
    pub(super) fn enter(&mut self, step: OpeningStep) {
        debug_assert!(
            follows(self.step.name(), step.name()),
            "the step {step:?} must not follow {:?}",
            self.step
        );
        self.step = step;
    }

    // ---- AUTH

    fn authenticate(
        &mut self,
        capabilities: Arc<Capabilities>,
        dialogue: &mut Dialogue,
    ) -> Following {
        if self.login.has_credentials() {
            self.login.begin(0, &capabilities, dialogue).map(Some)
        } else if dialogue.config.late_credentials {
            Ok(Some(want_credentials(None, capabilities, dialogue)))
        } else {
            Ok(None)
        }
    }
}

fn begin_handshake(dialogue: &mut Dialogue) -> OpeningStep {
    dialogue.events.push_back(Event::StartTls);
    OpeningStep::Handshake
}

/// Asks the program for credentials.
pub(super) fn want_credentials(
    refused: Option<Error>,
    capabilities: Arc<Capabilities>,
    dialogue: &mut Dialogue,
) -> OpeningStep {
    dialogue.events.push_back(Event::CredentialsWanted(refused));
    OpeningStep::CredentialsWanted(capabilities)
}

fn helo_refused(ehlo_refusal: &Reply, reply: Reply) -> Ending {
    let detail = alloc::format!("to EHLO: {ehlo_refusal}");
    let error = Error::new(Stage::Ehlo, ErrorKind::Refused(reply));
    Ending::Politely(error.with_detail(Some(detail)))
}

fn politely(stage: Stage, kind: ErrorKind) -> Ending {
    Ending::Politely(Error::new(stage, kind))
}
