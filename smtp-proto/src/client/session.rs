//! A session: its phase, and the messages and commands of the program.
//!
//! ```text
//! Opening (greeting → EHLO → STARTTLS → AUTH) → Ready ⇄ transactions → Leaving (QUIT) → Closed
//! ```
//!
//! Each phase owns the data that has a meaning in that phase only. The reading cursor
//! (`reader.rs`) passes replies to the phase; the writing cursor (`writer.rs`) runs while the
//! phase is `Ready`. Must never know what a particular reply means.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;

use super::deadlines::Deadlines;
use super::dialogue::Dialogue;
use super::ending::{Ending, Failing};
use super::open::Serial;
use super::opening::{Opening, OpeningStep};
use super::pipeline::Pipeline;
use super::requests::Requests;
use super::sending::Transaction;
use super::writer::Cursor;
use crate::{ClientConfig, Command, CommandId, Error, ErrorKind, Event, Stage, TlsInfo};

/// The number of messages, and of replies, for which a session keeps memory when it is idle: a
/// program that sends one message after the other allocates none for the next one.
pub(super) const KEPT_MESSAGES: usize = 1;
pub(super) const KEPT_REPLIES: usize = 4;

pub(super) struct Session {
    pub(super) phase: Phase,
    pub(super) dialogue: Dialogue,
    pub(super) requests: Requests,
    pub(super) deadlines: Deadlines,
    /// Why the session is about to end. It writes nothing more.
    pub(super) failing: Option<Failing>,
}

/// The phase of a session.
#[derive(Debug)]
pub(super) enum Phase {
    /// Greeting, EHLO, STARTTLS, AUTH.
    Opening(Box<Opening>),
    /// Messages may be sent.
    Ready(Box<Pipeline>),
    /// `QUIT` was written.
    Leaving(Leaving),
    Closed,
}

/// The phases that follow each phase.
pub(super) const PHASES: [(&str, &[&str]); 4] = [
    ("Opening", &["Ready", "Leaving", "Closed"]),
    ("Ready", &["Leaving", "Closed"]),
    ("Leaving", &["Closed"]),
    ("Closed", &[]),
];

#[derive(Debug)]
pub(super) struct Leaving {
    /// The error that made the session leave; `None` if the program asked for it.
    pub(super) why: Option<Error>,
    /// The transactions that were written before `QUIT`.
    pub(super) pipeline: Option<Box<Pipeline>>,
}

/// Omits the server's words, which may repeat a secret.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("phase", &self.phase.name())
            .field("outstanding", &self.dialogue.outstanding())
            .field("deadlines", &self.deadlines)
            .finish_non_exhaustive()
    }
}

impl Phase {
    fn name(&self) -> &'static str {
        match self {
            Self::Opening(_) => "Opening",
            Self::Ready(_) => "Ready",
            Self::Leaving(_) => "Leaving",
            Self::Closed => "Closed",
        }
    }

    pub(super) fn pipeline(&self) -> Option<&Pipeline> {
        match self {
            Self::Ready(pipeline) => Some(pipeline),
            Self::Leaving(leaving) => leaving.pipeline.as_deref(),
            Self::Opening(_) | Self::Closed => None,
        }
    }

    pub(super) fn pipeline_mut(&mut self) -> Option<&mut Pipeline> {
        match self {
            Self::Ready(pipeline) => Some(pipeline),
            Self::Leaving(leaving) => leaving.pipeline.as_deref_mut(),
            Self::Opening(_) | Self::Closed => None,
        }
    }

    pub(super) fn transaction_mut(&mut self, serial: Serial) -> Option<&mut Transaction> {
        self.pipeline_mut()?.transaction_mut(serial)
    }

    pub(super) fn oldest_mut(&mut self) -> Option<&mut Transaction> {
        self.pipeline_mut()?.oldest_mut()
    }

    /// The current step of the opening, which says what the session waits for.
    pub(super) fn opening_step(&self) -> Option<&OpeningStep> {
        match self {
            Self::Opening(opening) => Some(&opening.step),
            _ => None,
        }
    }
}

impl Session {
    pub(super) fn new(config: Arc<ClientConfig>) -> Self {
        let mut dialogue = Dialogue::new(config);
        Self {
            phase: Phase::Opening(Box::new(Opening::new(&mut dialogue))),
            dialogue,
            requests: Requests::default(),
            deadlines: Deadlines::default(),
            failing: None,
        }
    }

    /// Enters the next phase and returns the previous one.
    pub(super) fn enter(&mut self, phase: Phase) -> Phase {
        debug_assert!(
            PHASES
                .iter()
                .any(|(from, to)| { *from == self.phase.name() && to.contains(&phase.name()) }),
            "the phase {} must not follow {}",
            phase.name(),
            self.phase.name()
        );
        core::mem::replace(&mut self.phase, phase)
    }

    pub(super) fn become_ready(&mut self, pipeline: Pipeline) {
        self.enter(Phase::Ready(Box::new(pipeline)));
        self.dialogue.events.push_back(Event::Ready);
    }

    // ---- requests of the program

    /// Whether messages and commands that are added now are not sent.
    pub(super) fn is_over(&self) -> bool {
        let left = matches!(self.phase, Phase::Leaving(_) | Phase::Closed);
        self.requests.quit_wanted || left
    }

    pub(super) fn add_command(&mut self, command: Command) -> CommandId {
        let refused = self
            .is_over()
            .then(|| Error::new(Stage::Command, ErrorKind::SessionOver));
        let id = self.requests.add_command(command, refused);
        if self.phase.pipeline().is_none_or(|at| at.command.is_none()) {
            self.requests
                .conclude_refused_commands(&mut self.dialogue.events);
        }
        id
    }

    /// Whether every message has its report, and every command its reply.
    pub(super) fn is_nothing_asked(&self) -> bool {
        !self.requests.has_messages()
            && !self.requests.has_commands()
            && self.phase.pipeline().is_none_or(Pipeline::is_empty)
    }

    /// Releases the memory that only a session with messages under way needs.
    pub(super) fn release_memory(&mut self) {
        self.dialogue.release_memory();
        self.requests.release_memory();
        if let Some(pipeline) = self.phase.pipeline_mut() {
            pipeline.release_memory();
        }
    }

    // ---- writing

    /// Writes everything that may be written now, up to one output window.
    pub(super) fn pump(&mut self) {
        // The remaining recipients of a message go before the messages that have not begun.
        self.settle();
        while self.write() && self.settle() {}
    }

    /// Moves the writing cursor. Returns whether it moved.
    fn write(&mut self) -> bool {
        let Phase::Ready(pipeline) = &mut self.phase else {
            return false;
        };
        if self.failing.is_some() {
            return false;
        }
        let (dialogue, requests) = (&mut self.dialogue, &mut self.requests);
        let mut has_moved = false;
        while dialogue.output.room() > 0 {
            match pipeline.write_next(dialogue, requests) {
                Cursor::Moved => has_moved = true,
                Cursor::Blocked => break,
                Cursor::AtTheEnd => {
                    self.write_quit(None);
                    return true;
                }
            }
            requests.conclude_refused(&mut dialogue.events);
        }
        has_moved
    }

    /// Reports the messages that are finished, in order. Returns whether one of them needs a
    /// further transaction.
    pub(super) fn settle(&mut self) -> bool {
        let may_go_on = matches!(self.phase, Phase::Ready(_));
        let (requests, events) = (&mut self.requests, &mut self.dialogue.events);
        let has_rest = match self.phase.pipeline_mut() {
            Some(pipeline) if pipeline.oldest().is_some_and(Transaction::is_settled) => {
                pipeline.settle(requests, may_go_on, events)
            }
            _ => false,
        };
        requests.conclude_refused(events);
        if requests.reports.take_any_concluded() {
            self.deadlines.begin_overall_anew();
        }
        has_rest
    }

    /// Accepts the verdicts that wait: there was no surplus reply.
    pub(super) fn confirm(&mut self) {
        if let Some(pipeline) = self.phase.pipeline_mut() {
            pipeline.confirm();
        }
    }

    // ---- TLS

    /// Whether the TLS handshake is the next thing that happens on the connection.
    pub(super) fn is_handshake_due(&self) -> bool {
        matches!(self.phase.opening_step(), Some(OpeningStep::Handshake))
    }

    /// Continues after the TLS handshake.
    pub(super) fn tls_established(&mut self, info: TlsInfo) {
        if let Phase::Opening(opening) = &mut self.phase {
            opening.tls_established(info, &mut self.dialogue);
        }
    }

    // ---- the present state

    /// The stage of an error that occurs now.
    pub(super) fn stage(&self) -> Stage {
        let awaited = self.dialogue.head().map(|head| head.command.stage());
        match &self.phase {
            _ if matches!(self.failing, Some(Failing::Injected(_))) => Stage::StartTls,
            Phase::Opening(opening) => match opening.step {
                OpeningStep::Handshake => Stage::Tls,
                OpeningStep::CredentialsWanted(_) => Stage::Auth,
                _ => awaited.unwrap_or(Stage::Mail),
            },
            Phase::Ready(pipeline) => awaited.unwrap_or(if pipeline.is_writing_content() {
                Stage::Body
            } else {
                Stage::Mail
            }),
            Phase::Leaving(_) | Phase::Closed => awaited.unwrap_or(Stage::Quit),
        }
    }

    /// Whether the content of the oldest message is partly written: begun, and not yet handed
    /// over to its end.
    pub(super) fn is_within_content(&self) -> bool {
        let taken = self.dialogue.output.taken();
        let pipeline = self.phase.pipeline();
        pipeline.is_some_and(|pipeline| pipeline.is_within_content(taken))
    }

    /// Continues with the credentials that the program provides, or ends because there are none.
    /// Returns `false` if the session does not wait for credentials. A session that is about to
    /// end ignores them.
    pub(super) fn log_in(&mut self, credentials: Result<crate::Credentials, Error>) -> bool {
        let Phase::Opening(opening) = &mut self.phase else {
            return false;
        };
        let OpeningStep::CredentialsWanted(capabilities) = &opening.step else {
            return false;
        };
        if self.failing.is_some() {
            return true;
        }
        let capabilities = Arc::clone(capabilities);
        let begun = match credentials {
            Ok(credentials) => {
                let login = &mut opening.login;
                login.begin_with(credentials, &capabilities, &mut self.dialogue)
            }
            Err(error) => Err(Ending::Politely(error)),
        };
        match begun {
            Ok(step) => opening.enter(step),
            Err(ending) => self.finish(ending),
        }
        true
    }
}

#[cfg(test)]
mod tests;
