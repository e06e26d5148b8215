//! The conversation with one client: the answer to each question of the server session.
//!
//! Knows users, refused recipients and faults. Must never know what happens to a message: the
//! [`Sink`] does.

use std::sync::Arc;

use postwire_blocking::proto::{Endpoint as _, Mechanism, Protocol, Redaction, Reply};
use postwire_blocking::tls::ServerConnection;
use postwire_blocking::{Driver, Socket};
use postwire_server::{Received, ServerEvent};

use crate::print::certificate::Certificate;
use crate::serve::faults::{Fault, Stage};
use crate::serve::journal::Journal;
use crate::serve::server::{Shared, code, reply};
use crate::serve::session::{Session, SharedSocket};

/// The destination of messages.
pub(crate) trait Sink: Send + Sync {
    /// Takes responsibility for a message, or returns the reply that refuses it.
    fn take(&self, arrival: &Arrival<'_>) -> Result<(), Reply>;

    /// Records that a command of a transaction, or its content, was refused.
    fn on_refusal(&self) {}
}

/// A message, and how it arrived.
pub(crate) struct Arrival<'a> {
    pub(crate) message: &'a Received,
    /// The client's certificate, if it presented one.
    pub(crate) client: Option<&'a Certificate>,
    /// The number of the connection, the client's address, and the dialogue so far.
    pub(crate) journal: &'a Journal,
}

/// The answer to the open question.
enum Answer {
    Accept,
    Refuse(Reply),
    HangUp,
    /// The question was answered with a password.
    Given,
}

impl From<Option<Reply>> for Answer {
    fn from(refusal: Option<Reply>) -> Self {
        refusal.map_or(Self::Accept, Self::Refuse)
    }
}

/// One conversation.
pub(crate) struct Conversation<'a> {
    shared: &'a Shared,
    journal: Journal,
    driver: Driver<Session, SharedSocket>,
}

impl<'a> Conversation<'a> {
    pub(crate) fn new(shared: &'a Shared, journal: Journal, socket: &Arc<Socket>) -> Self {
        let settings = &shared.settings;
        let session = Session {
            connection: ServerConnection::new(&settings.config, &settings.tls),
            ending: shared.ending.clone(),
        };
        Self {
            shared,
            journal,
            driver: Driver::new(session, SharedSocket(Arc::clone(socket))),
        }
    }

    /// Converses until the session is over.
    pub(crate) fn run(mut self) {
        while let Some(event) = self.next_event() {
            let Some((stage, mut answers)) = self.take_event(&event) else {
                continue;
            };
            let stages = self.stages(stage);
            let faults = &self.shared.settings.faults;
            let delay = faults.delay(stages);
            if !delay.is_zero() {
                self.shared.ending.wait(delay);
            }
            let answer = match faults.at(stages) {
                Some(Fault::HangUp) => Answer::HangUp,
                Some(Fault::Reply(reply)) => Answer::Refuse(reply.clone()),
                None => self.answer(event),
            };
            while answers > 0 {
                let connection = &mut self.driver.machine_mut().connection;
                let answered = match &answer {
                    Answer::Accept => connection.accept(),
                    Answer::Refuse(reply) => connection.respond(reply.clone()),
                    Answer::Given => Ok(()),
                    Answer::HangUp => return self.journal.on_hang_up(),
                };
                if answered.is_err() {
                    // The answer does not match the question: end the session instead of
                    // waiting forever.
                    debug_assert!(false, "the answer does not match the question");
                    return;
                }
                answers -= 1;
            }
        }
    }

    /// The next event. What was refused is printed before the client is waited for, but not before the
    /// end of a session that comes with it.
    fn next_event(&mut self) -> Option<ServerEvent> {
        if self.journal.has_refused() {
            let event = self.driver.machine_mut().poll_event();
            if event.is_some() {
                return event;
            }
            self.journal.print_refusal();
        }
        self.driver.next_event()
    }

    /// Records the event. Returns the stage if it is a question, and the number of answers.
    fn take_event(&mut self, event: &ServerEvent) -> Option<(Stage, usize)> {
        match event {
            ServerEvent::Command(line) => self.journal.on_command(line),
            ServerEvent::Reply(reply) => {
                let is_refusal = self.journal.on_reply(reply);
                let verbs = ["MAIL", "RCPT", "DATA", "BDAT"];
                if is_refusal && verbs.iter().any(|verb| self.journal.is_after(verb)) {
                    self.shared.sink.on_refusal();
                }
            }
            ServerEvent::Closed(violation) => self.journal.on_end(violation.as_ref()),
            ServerEvent::Greeting => return Some((Stage::Greeting, 1)),
            ServerEvent::Hello { .. } => return Some((Stage::Hello, 1)),
            ServerEvent::Authenticate {
                mechanism, user, ..
            }
            | ServerEvent::PasswordWanted { mechanism, user } => {
                self.journal.on_login(user, mechanism);
                return Some((Stage::Auth, 1));
            }
            ServerEvent::MailFrom { .. } => return Some((Stage::Mail, 1)),
            ServerEvent::RcptTo { .. } => return Some((Stage::Rcpt, 1)),
            ServerEvent::Data => return Some((Stage::Data, 1)),
            ServerEvent::Message(message) => {
                self.journal.on_content(message.content.len());
                let answers = match self.shared.settings.protocol {
                    Protocol::Smtp => 1,
                    Protocol::Lmtp => message.recipients.len(),
                };
                return Some((Stage::Content, answers));
            }
            _ => {}
        }
        None
    }

    /// The stages that one answer is for: after `BDAT` the end of the content also stands for
    /// the command `DATA`.
    fn stages(&self, stage: Stage) -> &'static [Stage] {
        match stage {
            Stage::Greeting => &[Stage::Greeting],
            Stage::Hello => &[Stage::Hello],
            Stage::Auth => &[Stage::Auth],
            Stage::Mail => &[Stage::Mail],
            Stage::Rcpt => &[Stage::Rcpt],
            Stage::Data => &[Stage::Data],
            Stage::Content if self.journal.is_after("BDAT") => &[Stage::Data, Stage::Content],
            Stage::Content => &[Stage::Content],
        }
    }

    fn answer(&mut self, event: ServerEvent) -> Answer {
        let settings = &self.shared.settings;
        match event {
            ServerEvent::Authenticate { mechanism, .. } if mechanism == Mechanism::ANONYMOUS => {
                Answer::Accept
            }
            ServerEvent::Authenticate { mechanism, .. } if mechanism == Mechanism::EXTERNAL => {
                match self.client_certificate() {
                    Some(_) => Answer::Accept,
                    None => Answer::Refuse(authentication_failed()),
                }
            }
            ServerEvent::Authenticate { user, secret, .. } => {
                settings.authenticate(&user, &secret).into()
            }
            ServerEvent::PasswordWanted { user, .. } => {
                let connection = &mut self.driver.machine_mut().connection;
                match settings.password(&user) {
                    // It cannot fail, since this is the question.
                    Ok(password) if connection.password(password).is_ok() => Answer::Given,
                    Ok(_) => Answer::HangUp,
                    Err(refusal) => Answer::Refuse(refusal),
                }
            }
            ServerEvent::RcptTo { forward_path, .. } => settings.refusal(&forward_path).into(),
            ServerEvent::Message(message) => {
                let client = self.client_certificate();
                let arrival = Arrival {
                    message: &message,
                    client: client.as_ref(),
                    journal: &self.journal,
                };
                self.shared.sink.take(&arrival).err().into()
            }
            _ => Answer::Accept,
        }
    }

    /// The client certificate from a completed handshake.
    fn client_certificate(&self) -> Option<Certificate> {
        let chain = self.driver.machine().connection.peer_certificates()?;
        Certificate::parse(chain.first()?, &Redaction::default())
    }
}

pub(crate) fn authentication_failed() -> Reply {
    reply(const { code(535) }, (5, 7, 8), "authentication failed")
}
