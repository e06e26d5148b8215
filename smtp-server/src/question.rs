//! The open question to the application, and the effect of its answer.
//!
//! Knows which replies mean yes to which question (RFC 5321 §4.3.2). Must never know how the
//! application decides.

use alloc::string::String;
use alloc::vec::Vec;

use postwire_proto::{Address, Mechanism, Reply, Secret};

use crate::authentication::{Claim, Dialogue};
use crate::command::HelloKind;
use crate::default_reply::{self, DefaultReply};
use crate::event::ServerMisuse;
use crate::session::{Phase, Session};
use crate::transaction::Transaction;

/// The question, and the data that its answer needs.
#[derive(Debug)]
pub(crate) enum Question {
    Greeting,
    Hello {
        kind: HelloKind,
        name: String,
        /// The open transaction, which ends if the answer is yes.
        transaction: Option<Transaction>,
    },
    Authenticate {
        mechanism: Mechanism,
        user: String,
    },
    Password(Claim),
    MailFrom(Transaction),
    RcptTo(Transaction, Address, Vec<String>),
    Data(Transaction),
    /// The number of answers that are still missing.
    Message {
        answers: usize,
    },
}

impl Question {
    /// The default reply if the application accepts; `None` if it is not a fixed text.
    fn yes(&self) -> Option<DefaultReply> {
        Some(match self {
            Self::Authenticate { .. } => default_reply::AUTHENTICATED,
            // The reply is not a fixed text, or the proof is still to come.
            Self::Greeting | Self::Hello { .. } | Self::Password(_) => return None,
            Self::MailFrom(_) => default_reply::SENDER_OK,
            Self::RcptTo(..) => default_reply::RECIPIENT_OK,
            Self::Data(_) => default_reply::START_CONTENT,
            Self::Message { .. } => default_reply::MESSAGE_ACCEPTED,
        })
    }

    /// Whether the reply accepts or refuses; `None` if it does neither.
    fn verdict(&self, reply: &Reply) -> Option<bool> {
        let code = reply.code();
        let yes = match self {
            Self::Data(_) => code.is_intermediate(),
            Self::Password(_) => false,
            _ => code.is_positive(),
        };
        (yes || code.is_negative()).then_some(yes)
    }
}

impl Session {
    /// Answers the open question, with the default reply if `reply` is `None`. A question that
    /// the end of the session has superseded may still be answered.
    pub(crate) fn answer(&mut self, reply: Option<Reply>) -> Result<(), ServerMisuse> {
        let question = match &self.phase {
            Phase::AwaitingAnswer(question) => question,
            Phase::Closed => return Ok(()),
            _ => return Err(ServerMisuse::NoQuestion),
        };
        let yes = match &reply {
            None => {
                match question {
                    Question::Greeting => self.greet(),
                    Question::Hello { kind, name, .. } => {
                        let (kind, name) = (*kind, name.clone());
                        self.write_extensions(kind, &name);
                    }
                    _ => {
                        let yes = question.yes().ok_or(ServerMisuse::PasswordWanted)?;
                        self.replies.write(yes);
                    }
                }
                true
            }
            Some(reply) => {
                let verdict = question.verdict(reply);
                verdict.ok_or(ServerMisuse::WrongReplyCode(reply.code()))?
            }
        };
        let phase = core::mem::replace(&mut self.phase, Phase::Closed);
        self.phase = match phase {
            Phase::AwaitingAnswer(question) => self.answered(question, yes, reply),
            phase => phase,
        };
        Ok(())
    }

    /// Answers the open question with a user's password.
    pub(crate) fn answer_password(&mut self, password: &Secret) -> Result<(), ServerMisuse> {
        let phase = core::mem::replace(&mut self.phase, Phase::Closed);
        let (phase, result) = match phase {
            Phase::AwaitingAnswer(Question::Password(claim)) => {
                let next = claim.compare(password, &self.nonce);
                self.vary_nonce();
                (self.go_on(next), Ok(()))
            }
            Phase::Closed => (Phase::Closed, Ok(())),
            phase => (phase, Err(ServerMisuse::NoQuestion)),
        };
        self.phase = phase;
        result
    }

    fn answered(&mut self, question: Question, yes: bool, reply: Option<Reply>) -> Phase {
        if let (Question::Authenticate { mechanism, .. }, Some(verdict)) = (&question, &reply)
            && [Mechanism::XOAUTH2, Mechanism::OAUTHBEARER].contains(mechanism)
            && !yes
        {
            // The client is told the reason, and must acknowledge it.
            let verdict = verdict.clone();
            return self.challenge(Dialogue::TokenFailure { verdict });
        }
        if let Some(reply) = reply {
            self.replies.relay(&reply);
            // RFC 5321 §3.8: the connection is closed after a `421`.
            if reply.code().get() == 421 {
                return self.closed(None);
            }
        }
        match question {
            Question::Greeting if yes => Phase::Command(None),
            Question::Greeting => self.closed(None),
            Question::Hello { kind, name, .. } if yes => {
                self.client.hello = Some((kind, name));
                Phase::Command(None)
            }
            // RFC 5321 §4.1.4: everything stays as it was before the command.
            Question::Hello { transaction, .. } => Phase::Command(transaction),
            Question::Authenticate { user, .. } => {
                if yes {
                    self.client.user = Some(user);
                }
                Phase::Command(None)
            }
            Question::MailFrom(transaction) => Phase::Command(yes.then_some(transaction)),
            Question::RcptTo(mut transaction, recipient, parameters) => {
                if yes {
                    transaction.recipients.push(recipient);
                    transaction.parameters.recipients.push(parameters);
                }
                Phase::Command(Some(transaction))
            }
            Question::Data(transaction) if yes => self.await_content(transaction),
            Question::Data(transaction) => Phase::Command(Some(transaction)),
            Question::Message { answers } if answers > 1 => {
                Phase::AwaitingAnswer(Question::Message {
                    answers: answers - 1,
                })
            }
            Question::Password(_) | Question::Message { .. } => Phase::Command(None),
        }
    }
}
