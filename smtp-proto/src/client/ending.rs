//! The end of a session, by `QUIT` or at once, with a verdict for every message and command that
//! has none.
//!
//! Every session ends here. Must never know what a particular reply means.

use alloc::string::String;
use alloc::vec::Vec;

use super::dialogue::Dialogue;
use super::expectation::Awaited;
use super::opening::OpeningStep;
use super::session::{Leaving, Phase, Session};
use crate::{Error, ErrorKind, Event, ReplyError, ReplyRef, Security, Stage, Violation};

/// The maximum length of a quote from text that violates the protocol, in octets.
const QUOTED: usize = 100;

/// Why and how a session ends.
#[derive(Debug)]
pub(super) enum Ending {
    /// With `QUIT`: the server follows the protocol, and nothing is outstanding.
    Politely(Error),
    /// At once: the session writes nothing and reads nothing more.
    AtOnce(Error),
    /// At once, because of one message, which has its verdict. The other messages only lose
    /// their session.
    ForOneMessage(Error),
    /// After a `421`: the server did not accept what it had not answered by then.
    Closing(Error),
}

impl Ending {
    /// A violation whose error quotes the server's text.
    pub(super) fn quoting(
        stage: Stage,
        violation: Violation,
        received: ReplyRef<'_>,
        dialogue: &Dialogue,
    ) -> Self {
        let received = received.as_bytes();
        let received = received.get(..QUOTED).unwrap_or(received).trim_ascii_end();
        let quote = dialogue.redaction.shown(received);
        let error = Error::new(stage, ErrorKind::Violation(violation));
        Self::AtOnce(error.with_quote(quote))
    }
}

/// Why a session is about to end: it waits for what the server still says, or for a deadline, and
/// writes nothing more.
#[derive(Debug)]
pub(super) enum Failing {
    /// Text that is not a reply arrived, and the rest of its line is missing.
    Malformed { error: ReplyError, quote: String },
    /// Plaintext arrived where the TLS handshake was due; this is the beginning of its first line.
    Injected(Vec<u8>),
    /// The server's `421` arrived while content is unanswered: the server may still answer it. If
    /// the server closes the connection first, it did not accept the content.
    Closing(Error),
}

impl Session {
    /// Ends the session in the given way.
    pub(super) fn finish(&mut self, ending: Ending) {
        let taken = self.dialogue.output.taken();
        // The end of the session is not a surplus reply.
        self.confirm();
        self.settle();
        match ending {
            Ending::Politely(error) => {
                self.conclude_all(&error, taken);
                self.write_quit(Some(error));
            }
            Ending::AtOnce(error) => self.end_having(taken, error),
            Ending::Closing(error) if self.has_unanswered_content(taken) => {
                self.dialogue.wait_is_over();
                self.failing = Some(Failing::Closing(error));
            }
            Ending::Closing(error) => self.end_having(0, error),
            Ending::ForOneMessage(error) => {
                self.conclude_all(&session_over(&error), taken);
                self.close(Some(error));
            }
        }
    }

    /// Whether the server may still accept a message whose content is unanswered.
    fn has_unanswered_content(&self, taken: u64) -> bool {
        let pipeline = self.phase.pipeline();
        pipeline.is_some_and(|at| at.transactions().any(|begun| begun.may_be_taken(taken)))
    }

    /// Writes `QUIT`. `why` is the reason, or `None` if the program asked for it.
    pub(super) fn write_quit(&mut self, why: Option<Error>) {
        let leaving = Phase::Leaving(Leaving {
            why,
            pipeline: None,
        });
        if let Phase::Ready(pipeline) = self.enter(leaving)
            && let Phase::Leaving(leaving) = &mut self.phase
        {
            leaving.pipeline = Some(pipeline);
        }
        let quit = b"QUIT\r\n";
        self.dialogue
            .write_command(Awaited::Quit, |out| out.extend_from_slice(quit));
    }

    /// Ends the session at once with an error of this kind, or with the earlier error of a
    /// session that was already failing.
    pub(super) fn end(&mut self, kind: ErrorKind) {
        match self.failing.take() {
            _ if matches!(kind, ErrorKind::Aborted) => {}
            Some(Failing::Closing(error)) => return self.end_having(0, error),
            Some(Failing::Malformed { error, quote }) => return self.end_malformed(error, quote),
            Some(Failing::Injected(received)) => return self.end_injected(&received),
            None => {}
        }
        let mut error = self.error_at_end(kind);
        let in_plaintext = self.dialogue.config.security != Security::Wrapper;
        let is_silence = (error.stage(), error.kind()) == (Stage::Greeting, &ErrorKind::TimedOut);
        if is_silence && in_plaintext {
            error = error.with_silence_in_plaintext();
        }
        self.finish(Ending::AtOnce(error));
    }

    /// Ends the session at once. The error quotes the incomplete reply, if there is one.
    pub(super) fn end_quoting_partial_reply(&mut self, kind: ErrorKind, partial_reply: &[u8]) {
        let partial_reply = partial_reply.trim_ascii_end();
        if partial_reply.is_empty() || matches!(self.phase, Phase::Closed) {
            return self.end(kind);
        }
        let quote = self.dialogue.redaction.shown(partial_reply);
        self.dialogue.trace_server(&quote);
        let error = self.error_at_end(kind).with_quote(quote);
        self.finish(Ending::AtOnce(error));
    }

    pub(super) fn error_at_end(&self, kind: ErrorKind) -> Error {
        if let (ErrorKind::ConnectionClosed, Phase::Opening(opening)) = (&kind, &self.phase)
            && let OpeningStep::Helo { ehlo_refusal } = &opening.step
        {
            // The server closed the connection after it refused EHLO.
            return Error::new(Stage::Ehlo, ErrorKind::Refused(ehlo_refusal.clone()));
        }
        Error::new(self.stage(), kind)
    }

    /// Handles text that is not a reply. Unless the line is complete, waits for the rest of it,
    /// so that the error does not depend on how the text was split.
    pub(super) fn on_malformed_line(&mut self, error: ReplyError, received: &[u8], is_whole: bool) {
        if !matches!(self.failing, Some(Failing::Malformed { .. })) {
            self.dialogue.wait_is_over();
        }
        let quote = self.dialogue.redaction.shown(received);
        if is_whole {
            self.end_malformed(error, quote);
        } else {
            self.failing = Some(Failing::Malformed { error, quote });
        }
    }

    fn end_malformed(&mut self, error: ReplyError, quote: String) {
        self.dialogue.trace_server(&quote);
        let kind = ErrorKind::Violation(Violation::Reply(error));
        let error = Error::new(self.stage(), kind).with_quote(quote);
        self.finish(Ending::AtOnce(error));
    }

    /// Handles plaintext that arrived where the TLS handshake was due. The error does not depend
    /// on how the text was split.
    pub(super) fn injected(&mut self, input: &[u8]) {
        if !self.is_handshake_due() {
            return;
        }
        let mut received = if let Some(Failing::Injected(received)) = self.failing.take() {
            received
        } else {
            self.dialogue.wait_is_over();
            Vec::new()
        };
        let end = input.iter().position(|octet| *octet == b'\n');
        let line = &input[..end.unwrap_or(input.len())];
        received.extend_from_slice(&line[..line.len().min(QUOTED - received.len())]);
        if end.is_some() || received.len() == QUOTED {
            self.end_injected(&received);
        } else {
            self.failing = Some(Failing::Injected(received));
        }
    }

    fn end_injected(&mut self, received: &[u8]) {
        let quote = self.dialogue.redaction.shown(received.trim_ascii_end());
        self.dialogue.trace_server(&quote);
        let kind = ErrorKind::Violation(Violation::StartTlsInjection);
        let error = Error::new(Stage::StartTls, kind).with_quote(quote);
        self.finish(Ending::AtOnce(error));
    }

    /// Ends the session at once. The server may have acted on the output before `taken`. The
    /// error is dropped if every message has its verdict and `QUIT` was written.
    fn end_having(&mut self, taken: u64, error: Error) {
        let is_all_answered = self.is_nothing_asked();
        match &mut self.phase {
            Phase::Closed => {}
            Phase::Leaving(leaving) if is_all_answered => {
                let why = leaving.why.take();
                self.close(why);
            }
            _ => {
                self.conclude_all(&error, taken);
                self.close(Some(error));
            }
        }
    }

    pub(super) fn close(&mut self, error: Option<Error>) {
        self.enter(Phase::Closed);
        self.failing = None;
        self.dialogue.discard_all();
        self.dialogue.events.push_back(Event::Closed(error));
    }

    /// Gives a verdict to every message and command that has none. The server may have acted on
    /// the output before `taken`.
    fn conclude_all(&mut self, error: &Error, taken: u64) {
        let of_others = self.error_of_others(error);
        let requests = &mut self.requests;
        let events = &mut self.dialogue.events;
        let mut command = None;
        if let Some(pipeline) = self.phase.pipeline_mut() {
            pipeline.conclude_all(requests, error, &of_others, taken, events);
            command = pipeline.command.take();
        }
        requests.conclude_messages(&of_others, events);
        if let Some(id) = command {
            events.push_back(Event::Reply(id, Err(error.clone())));
        }
        requests.conclude_commands(&of_others, events);
        self.deadlines.begin_overall_anew();
    }

    /// The error of the messages that have no part in the failure. Replies come in order, so a silence
    /// or a text that is no reply is about the first message that has begun, and says nothing about
    /// the others: another session can send them.
    fn error_of_others(&self, error: &Error) -> Error {
        let pipeline = self.phase.pipeline();
        let is_ones = pipeline.is_some_and(|pipeline| pipeline.transactions().next().is_some());
        match error.kind() {
            ErrorKind::TimedOut | ErrorKind::Violation(_) if is_ones => session_over(error),
            _ => error.clone(),
        }
    }
}

/// The error of a message in a session that ended because of `error`.
fn session_over(error: &Error) -> Error {
    let over = Error::new(error.stage(), ErrorKind::SessionOver);
    over.with_detail(Some(alloc::format!("{error}")))
}
