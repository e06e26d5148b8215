//! One message on its way, for all of its recipients or a part of them: what was written of it,
//! and what was answered.
//!
//! Knows what replies mean for the message (RFC 5321 §3.3). Knows neither the
//! socket nor the other messages; the session decides when to write.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

use super::open::Serial;
use super::part::Part;
use crate::body::{CanonicalEncoder, DotEncoder};
use crate::{
    BodySource, EnhancedCode, Envelope, Error, Protocol, Recipients, Reply, Stage, TransactionId,
};

/// A message in a session's queue.
#[derive(Debug)]
pub(crate) struct Transaction {
    pub(crate) id: TransactionId,
    pub(crate) envelope: Envelope,
    /// What goes out in its place to a server without SMTPUTF8; decided with `MAIL`.
    pub(super) in_ascii: Option<Box<Envelope>>,
    pub(crate) body: BodySource,
    /// Which of the session's transactions it is, once `MAIL` was written.
    pub(crate) serial: Option<Serial>,
    /// How far the writer is.
    pub(crate) progress: Progress,
    /// How many of this message's replies are awaited.
    pub(crate) outstanding: usize,
    /// How the content travels; decided with `MAIL`.
    pub(crate) transfer: Transfer,
    /// The first octet of the content went out by a `BDAT` of its own.
    pub(crate) first_octet_written: bool,
    /// Chunks of a streamed body that wait to be written.
    pub(crate) stream: Stream,
    /// Octets of content that were written before its recipients were known.
    pub(crate) speculated: u64,
    /// The position in the output at which `BDAT` has announced the content.
    pub(crate) content_begin: Option<u64>,
    /// The position in the output at which the content is complete.
    pub(crate) content_end: Option<u64>,
    /// For whom of the envelope's recipients it is.
    pub(crate) part: Part,
    mail: Answer,
    /// An answer for each of them that is asked for; empty until the first one came.
    pub(super) recipients: Vec<Answer>,
    /// How many of them came, how many were a yes, and how many said that it is one too many.
    answered: usize,
    pub(super) accepted: usize,
    pub(super) too_many: usize,
    /// How many commands were told that they came out of step.
    pub(super) out_of_step: usize,
    /// The refusal of a command that was sent ahead, or of a `BDAT` that the server does
    /// not know. It says nothing of the message, which is sent again in another way.
    to_repeat: Option<Reply>,
    pub(super) data: Answer,
    pub(super) content: Answer,
    /// Replies to the content that LMTP still owes (RFC 2033 §4.2).
    pub(super) finals_due: VecDeque<usize>,
    /// The content was answered for each recipient apart.
    answered_apart: bool,
    /// LMTP: a `421` among those replies. Unless another reply follows, the server is closing,
    /// and this is what it says of all that are due.
    pub(super) closing: Option<Reply>,
    /// A verdict that needs no reply.
    pub(super) not_sent: Option<Box<Error>>,
}

/// How far the writer is with a message.
#[derive(Debug)]
pub(crate) enum Progress {
    /// Nothing was written.
    Queued,
    /// `MAIL` was, and this many `RCPT`.
    Recipients(usize),
    /// `DATA` was; its `354` is awaited.
    AwaitingGoAhead,
    /// The content is being written.
    Content(Content),
    /// Nothing more will be written.
    Done,
}

/// The content on its way out.
#[derive(Debug)]
pub(crate) enum Content {
    /// After `DATA`: dot-stuffed, ended by a dot.
    Dotted { encoder: DotEncoder, rest: Bytes },
    /// After `BDAT n LAST`: text whose line ends need mending.
    Canonical {
        encoder: CanonicalEncoder,
        rest: Bytes,
    },
    /// `BDAT` as it is, whole or chunk by chunk.
    Verbatim { rest: Option<Bytes> },
}

/// A server's answer to one command, with its words where they decide.
#[derive(Clone, Debug, Default)]
pub(crate) enum Answer {
    #[default]
    Awaited,
    /// To `RCPT`, which commits the server to nothing yet; to others, with words where they
    /// decide.
    Yes(Option<Reply>),
    /// LMTP's yes to the content for one recipient (RFC 2033 §4.2).
    Final(Reply),
    No(Reply),
    /// A no to `RCPT` that only says how many there are already (RFC 5321 §4.5.3.1.10).
    TooMany(Reply),
    /// A no to `RCPT` that only says that it was sent ahead.
    OutOfStep(Reply),
}

/// How the content travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transfer {
    Data,
    Chunking,
}

/// What is known of the server's `BDAT` (RFC 3030), which is offered by servers that refuse
/// it without reading its octets, and by proxies that do not know it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Bdat {
    #[default]
    Unproven,
    /// The first one was written; it holds nothing that can be misread.
    Asked,
    /// The server took one.
    Proven,
    /// The server refused one for recipients that it took.
    Refused,
}

/// Where a streamed body stands.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    pub(crate) chunks: VecDeque<Bytes>,
    /// The caller was asked for more and has not answered.
    pub(crate) asked: bool,
    pub(crate) ended: bool,
}

impl Transaction {
    pub(crate) fn new(id: TransactionId, envelope: Envelope, body: BodySource) -> Self {
        Self {
            id,
            part: Part::whole(envelope.forward_paths().len()),
            envelope,
            in_ascii: None,
            body,
            progress: Progress::Queued,
            serial: None,
            outstanding: 0,
            transfer: Transfer::Data,
            first_octet_written: false,
            stream: Stream::default(),
            speculated: 0,
            content_begin: None,
            content_end: None,
            mail: Answer::Awaited,
            recipients: Vec::new(),
            answered: 0,
            accepted: 0,
            too_many: 0,
            out_of_step: 0,
            to_repeat: None,
            data: Answer::Awaited,
            content: Answer::Awaited,
            finals_due: VecDeque::new(),
            answered_apart: false,
            closing: None,
            not_sent: None,
        }
    }

    /// Settles the verdict without asking the server anything more.
    pub(crate) fn give_up(&mut self, error: Error) {
        self.not_sent = Some(Box::new(error));
        self.progress = Progress::Done;
    }

    /// The source of the content failed while the server's go-ahead was awaited.
    pub(crate) fn lose_source(&mut self, error: Error) {
        self.not_sent = Some(Box::new(error));
        self.stream.ended = true;
    }

    /// Why this message is not sent, if that is settled already.
    pub(crate) fn failure(&self) -> Option<&Error> {
        self.not_sent.as_deref()
    }

    /// The envelope as the server is told it.
    pub(crate) fn sent_envelope(&self) -> &Envelope {
        self.in_ascii.as_deref().unwrap_or(&self.envelope)
    }

    /// `sent_ahead`: see [`Expectation`](super::expectation::Expectation).
    pub(crate) fn answer_mail(&mut self, answer: Result<(), Reply>, sent_ahead: bool) {
        self.mail = match answer {
            Ok(()) => Answer::Yes(None),
            Err(reply) => {
                if sent_ahead && is_out_of_step(&reply) {
                    self.out_of_step += 1;
                    self.to_repeat = Some(reply.clone());
                }
                Answer::No(reply)
            }
        };
    }

    /// `spare` is a buffer that may be used.
    pub(crate) fn answer_rcpt(
        &mut self,
        index: usize,
        answer: Result<Reply, Reply>,
        sent_ahead: bool,
        spare: &mut Vec<Answer>,
    ) {
        if self.recipients.is_empty() {
            self.recipients = core::mem::take(spare);
            self.recipients.resize(self.part.asked(), Answer::Awaited);
        }
        let answer = match answer {
            Ok(reply) => Answer::Yes(Some(reply)),
            Err(reply) if self.accepted > 0 && is_too_many_recipients(&reply) => {
                Answer::TooMany(reply)
            }
            Err(reply) if sent_ahead && self.mail_accepted() && is_out_of_step(&reply) => {
                Answer::OutOfStep(reply)
            }
            Err(reply) => Answer::No(reply),
        };
        self.answered += 1;
        match &answer {
            Answer::Yes(_) => self.accepted += 1,
            Answer::TooMany(_) => {
                self.too_many += 1;
                self.ask_for_no_more();
            }
            Answer::OutOfStep(_) => self.out_of_step += 1,
            _ => {}
        }
        if let Some(recipient) = self.recipients.get_mut(index) {
            *recipient = answer;
        }
    }

    /// The server takes no more recipients in this transaction: those that are not written
    /// yet wait for a further one (RFC 5321 §4.5.3.1.10).
    fn ask_for_no_more(&mut self) {
        if let Progress::Recipients(written) = self.progress {
            self.part.limit(written);
        }
    }

    pub(crate) fn refuse_data(&mut self, reply: Reply, sent_ahead: bool) {
        if sent_ahead && self.has_accepted_recipient() && is_out_of_step(&reply) {
            self.out_of_step += 1;
            self.to_repeat = Some(reply.clone());
        }
        self.data = Answer::No(reply);
    }

    /// The server does not take a `BDAT` of one octet, for recipients that it took.
    pub(crate) fn refuse_first_chunk(&mut self, reply: Reply) {
        let needs_chunking = self.body.facts().is_none_or(|facts| facts.nul);
        if needs_chunking {
            self.refuse_content(reply);
        } else {
            self.to_repeat = Some(reply);
        }
    }

    /// The content was refused before it was complete, or by a chunk's reply.
    pub(crate) fn refuse_content(&mut self, reply: Reply) {
        // What later chunks are told ("503 out of step") decides nothing.
        if !matches!(self.content, Answer::No(_)) {
            self.content = Answer::No(reply);
        }
    }

    /// Takes a reply to the end of the content. Says whether it was the last.
    pub(crate) fn answer_content(
        &mut self,
        protocol: Protocol,
        accepted: bool,
        reply: Reply,
    ) -> bool {
        if protocol == Protocol::Lmtp && self.has_accepted_recipient() {
            self.answer_one_recipient(accepted, reply);
            return self.finals_due.is_empty();
        }
        // A chunk that was refused has decided already.
        if !matches!(self.content, Answer::No(_)) {
            self.content = if accepted {
                Answer::Yes(Some(reply))
            } else {
                Answer::No(reply)
            };
        }
        true
    }

    /// The session is over. A server that had begun to close did not take what it did not
    /// answer for.
    pub(crate) fn refuse_what_is_due(&mut self) {
        if let Some(reply) = self.closing.take() {
            while !self.finals_due.is_empty() {
                self.answer_one_recipient(false, reply.clone());
            }
        }
    }

    /// RFC 2033 §4.2: in the order of the recipients that were accepted.
    fn answer_one_recipient(&mut self, accepted: bool, reply: Reply) {
        if !self.answered_apart {
            self.answered_apart = true;
            self.finals_due = self.accepted_indices().collect();
        }
        let (of_recipient, of_message) = if accepted {
            (Answer::Final(reply.clone()), Answer::Yes(Some(reply)))
        } else {
            (Answer::No(reply.clone()), Answer::No(reply))
        };
        if let Some(index) = self.finals_due.pop_front()
            && let Some(recipient) = self.recipients.get_mut(index)
        {
            *recipient = of_recipient;
        }
        self.content = match (core::mem::take(&mut self.content), of_message) {
            (yes @ Answer::Yes(_), _) => yes,
            (Answer::No(worst), Answer::No(_)) if worst.code().is_permanent() => Answer::No(worst),
            (_, answer) => answer,
        };
    }

    fn accepted_indices(&self) -> impl Iterator<Item = usize> + '_ {
        let answers = self.recipients.iter().enumerate();
        answers.filter_map(|(index, answer)| matches!(answer, Answer::Yes(_)).then_some(index))
    }

    /// Whether the content has anywhere to go.
    pub(crate) fn has_accepted_recipient(&self) -> bool {
        matches!(self.mail, Answer::Yes(_)) && self.accepted > 0
    }

    /// Whether the server took the content, for anybody.
    pub(crate) fn content_accepted(&self) -> bool {
        matches!(self.content, Answer::Yes(_))
    }

    pub(crate) fn mail_accepted(&self) -> bool {
        matches!(self.mail, Answer::Yes(_))
    }

    /// Whether the server can no longer take this message in this transaction, from what it
    /// has said so far to `MAIL` and `RCPT`.
    pub(crate) fn is_refused(&self) -> bool {
        self.envelope_refusal().is_some() || self.repeated_because_of().is_some()
    }

    /// The reply that says nothing of the message, where the whole of it is to be sent again
    /// in another way.
    pub(super) fn repeated_because_of(&self) -> Option<&Reply> {
        if self.not_sent.is_some() {
            return None;
        }
        if let Some(reply) = &self.to_repeat {
            return Some(reply);
        }
        let all_or_nothing = self.envelope.recipients() == Recipients::All;
        let nobody = self.accepted == 0 && self.recipients_answered();
        if self.out_of_step == 0 || !(nobody || all_or_nothing) {
            return None;
        }
        let mut answers = self.recipients.iter();
        answers.find_map(|answer| match answer {
            Answer::OutOfStep(reply) => Some(reply),
            _ => None,
        })
    }

    /// Whether what is to be asked again is to be asked one command at a time.
    pub(super) fn met_out_of_step(&self) -> bool {
        self.out_of_step > 0
    }

    pub(crate) fn recipients_answered(&self) -> bool {
        self.answered == self.part.asked()
    }

    /// The refusal of `MAIL`, of every recipient, or (all or nothing) of one.
    pub(super) fn envelope_refusal(&self) -> Option<(Stage, &Reply)> {
        if let Answer::No(reply) = &self.mail {
            return Some((Stage::Mail, reply));
        }
        if self.answered_apart {
            return None;
        }
        let all_or_nothing = self.envelope.recipients() == Recipients::All;
        let one_refused = self.answered > self.accepted + self.out_of_step;
        let all_refused = self.accepted == 0 && self.recipients_answered();
        (all_refused || (all_or_nothing && one_refused))
            .then(|| self.worst_recipient_refusal())
            .flatten()
            .map(|reply| (Stage::Rcpt, reply))
    }

    /// A permanent refusal of a recipient if there is one, else the first.
    pub(super) fn worst_recipient_refusal(&self) -> Option<&Reply> {
        let refusals = || {
            self.recipients.iter().filter_map(|answer| match answer {
                Answer::No(reply) | Answer::TooMany(reply) => Some(reply),
                _ => None,
            })
        };
        refusals()
            .find(|reply| reply.code().is_permanent())
            .or_else(|| refusals().next())
    }
}

/// `503 bad sequence of commands` (RFC 5321 §4.2.3).
fn is_out_of_step(reply: &Reply) -> bool {
    reply.code().get() == 503
}

/// RFC 5321 §4.5.3.1.10: 452, or 552 by older servers. Both have other meanings, which the
/// enhanced code tells apart (RFC 3463 §3.6); without one, asking once more tells.
fn is_too_many_recipients(reply: &Reply) -> bool {
    let other_meaning = |code: EnhancedCode| (code.subject(), code.detail()) != (5, 3);
    matches!(reply.code().get(), 452 | 552) && !reply.enhanced().is_some_and(other_meaning)
}
