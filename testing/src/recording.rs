//! A transport without sockets, which records what it is given and decides by rule.
//!
//! Knows what a session would have made of a message. Must never send anything.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use postwire_blocking::transport::{AsyncMailer, Mailer, SendFuture};
use postwire_tls::proto::{
    Address, Body, Envelope, Error, ErrorKind, Outcome, RecipientReport, RecipientStatus,
    Recipients, Reply, ReplyCode, Report, SendError, Stage, TransactionId,
};

use crate::mailbox::{self, Mailbox};
use crate::rules::{Answer, Occasion, Rule, Rules, Trigger};

/// A transport that records messages and sends none, for tests without a socket and without a
/// runtime.
///
/// It accepts every message that no [rule](Self::on) refuses. It is a [`Mailer`] and an
/// [`AsyncMailer`]; the future is ready at its first poll. Cheap to clone: the clones share the
/// records and the rules, so that a test keeps one and gives another to the application.
///
/// ```
/// use postwire_testing::{RecordingTransport, Trigger::*};
/// use postwire_testing::proto::Envelope;
///
/// let transport = RecordingTransport::new();
/// transport.on(Rcpt("bob@example.net")).once().reply("550 5.1.1 no such user");
///
/// let envelope = Envelope::new(None, vec!["bob@example.net".parse()?])?;
/// let error = transport.send(&envelope, "Subject: hello\r\n\r\n").unwrap_err();
/// assert_eq!(error.to_string(), "rejected at rcpt for bob@example.net: 550 5.1.1 no such user");
///
/// transport.send(&envelope, "Subject: hello\r\n\r\n")?;
/// assert_eq!(transport.messages()[0].text(), "Subject: hello\r\n\r\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct RecordingTransport {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    rules: Rules,
    accepted: Arc<Mailbox<Recorded>>,
    attempts: Mutex<Vec<Recorded>>,
}

/// A message that a [`RecordingTransport`] was given.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recorded {
    /// The envelope as the application gave it.
    pub envelope: Envelope,
    /// The octets of the content as the application gave them: line ends are not converted.
    pub content: Bytes,
    /// The report that the application got.
    pub report: Report,
}

impl Recorded {
    /// The content as text, with a replacement character for each sequence that is not UTF-8.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.content)
    }
}

impl RecordingTransport {
    /// Creates a transport without records and rules.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a rule for what happens to messages, instead of their being accepted.
    ///
    /// Each message has a session of its own, with a login and without TLS:
    ///
    /// | rule at | `reply` with 4xx or 5xx | `hang_up` |
    /// |---|---|---|
    /// | `Greeting`, `Hello`, `Auth` | not sent | not sent |
    /// | `Mail` | rejected | not sent |
    /// | `Rcpt`, `AnyRcpt` | this recipient is refused; rejected if all are | not sent |
    /// | `Content` | rejected | in doubt |
    ///
    /// # Panics
    ///
    /// Panics if the address of the trigger is not an address, or if the trigger is only for LMTP.
    #[track_caller]
    pub fn on(&self, trigger: Trigger<'_>) -> Rule<'_, Self> {
        assert!(
            !trigger.is_only_for_lmtp(),
            "{trigger:?} never happens in SMTP"
        );
        self.shared.rules.on(trigger)
    }

    /// Removes all rules: every message is accepted again.
    pub fn clear_rules(&self) {
        self.shared.rules.clear();
    }

    /// Sends one message: records it, and returns the report that the rules define.
    ///
    /// # Errors
    ///
    /// [`SendError`] if the rules refuse the message, or one of its recipients.
    pub fn send(&self, envelope: &Envelope, body: impl Into<Body>) -> Result<Report, SendError> {
        let report = decide(&self.shared.rules, envelope);
        let record = Recorded {
            envelope: envelope.clone(),
            content: body.into().bytes().clone(),
            report: report.clone(),
        };
        self.lock_attempts().push(record.clone());
        if report.is_accepted() {
            self.shared.accepted.add(record);
        }
        report.into_result()
    }

    /// The messages that were accepted for at least one recipient, in order.
    pub fn messages(&self) -> Vec<Recorded> {
        self.shared.accepted.messages()
    }

    /// All messages, in order, whatever became of them.
    pub fn attempts(&self) -> Vec<Recorded> {
        self.lock_attempts().clone()
    }

    /// Forgets the messages so far.
    pub fn clear_messages(&self) {
        self.lock_attempts().clear();
        self.shared.accepted.clear();
    }

    /// Waits until this many messages are accepted, and returns all of them.
    ///
    /// For an application that sends in the background. The thread blocks: see
    /// [`wait_for_async`](Self::wait_for_async).
    ///
    /// # Panics
    ///
    /// Panics if they do not arrive within 10 seconds.
    #[track_caller]
    pub fn wait_for(&self, messages: usize) -> Vec<Recorded> {
        self.wait_for_within(messages, mailbox::PATIENCE)
    }

    /// Waits like [`wait_for`](Self::wait_for), with another limit.
    ///
    /// # Panics
    ///
    /// Panics if they do not arrive within `limit`.
    #[track_caller]
    pub fn wait_for_within(&self, messages: usize, limit: Duration) -> Vec<Recorded> {
        self.shared.accepted.wait_for(messages, limit)
    }

    /// Waits like [`wait_for`](Self::wait_for) without blocking the thread, on any runtime.
    ///
    /// # Panics
    ///
    /// The future panics if they do not arrive within 10 seconds.
    pub fn wait_for_async(
        &self,
        messages: usize,
    ) -> impl Future<Output = Vec<Recorded>> + Send + use<> {
        let mailbox = Arc::clone(&self.shared.accepted);
        mailbox::wait_for_async(mailbox, messages, mailbox::PATIENCE)
    }

    fn lock_attempts(&self) -> MutexGuard<'_, Vec<Recorded>> {
        let attempts = &self.shared.attempts;
        attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mailer for RecordingTransport {
    fn send(&self, envelope: &Envelope, body: Body) -> Result<Report, SendError> {
        RecordingTransport::send(self, envelope, body)
    }
}

impl AsyncMailer for RecordingTransport {
    fn send<'a>(&'a self, envelope: &'a Envelope, body: Body) -> SendFuture<'a> {
        Box::pin(async move { RecordingTransport::send(self, envelope, body) })
    }
}

/// The report on a message in a session of its own.
fn decide(rules: &Rules, envelope: &Envelope) -> Report {
    let not_sent = |stage, kind| Report::not_sent(envelope, Error::new(stage, kind));
    let hung_up = |stage| not_sent(stage, ErrorKind::ConnectionClosed);
    for (occasion, stage) in [
        (Occasion::Greeting, Stage::Greeting),
        (Occasion::Hello, Stage::Ehlo),
        (Occasion::Auth, Stage::Auth),
    ] {
        match rules.decide(occasion).answer {
            Some(Answer::HangUp) => return hung_up(stage),
            Some(Answer::Reply(reply)) if reply.code().is_negative() => {
                return not_sent(stage, ErrorKind::Refused(reply));
            }
            _ => {}
        }
    }
    match rules.decide(Occasion::Mail).answer {
        Some(Answer::HangUp) => return hung_up(Stage::Mail),
        Some(Answer::Reply(reply)) if ends_session(&reply) => {
            return not_sent(Stage::Mail, ErrorKind::Refused(reply));
        }
        Some(Answer::Reply(reply)) if reply.code().is_negative() => {
            return Report::rejected(envelope, Stage::Mail, reply);
        }
        _ => {}
    }
    let mut replies = Vec::new();
    for recipient in envelope.forward_paths() {
        match rules.decide(Occasion::Rcpt(recipient)).answer {
            Some(Answer::HangUp) => return hung_up(Stage::Rcpt),
            Some(Answer::Reply(reply)) if ends_session(&reply) => {
                return not_sent(Stage::Rcpt, ErrorKind::Refused(reply));
            }
            Some(Answer::Reply(reply)) => replies.push(reply),
            None => replies.push(accepted("2.1.5 recipient ok")),
        }
    }
    let refusals = || replies.iter().filter(|reply| reply.code().is_negative());
    let all_refused = refusals().count() == replies.len();
    let one_is_enough = envelope.recipients() == Recipients::All;
    let outcome = match worst(refusals()) {
        Some(reply) if all_refused || one_is_enough => Outcome::Rejected {
            stage: Stage::Rcpt,
            reply: reply.clone(),
        },
        _ => match rules.decide(Occasion::Content).answer {
            None => Outcome::Accepted(accepted("2.0.0 message accepted")),
            Some(Answer::HangUp) => {
                Outcome::InDoubt(Error::new(Stage::Body, ErrorKind::ConnectionClosed))
            }
            Some(Answer::Reply(reply)) if reply.code().is_negative() => Outcome::Rejected {
                stage: Stage::Body,
                reply,
            },
            Some(Answer::Reply(reply)) => Outcome::Accepted(reply),
        },
    };
    let answered = envelope.forward_paths().iter().zip(replies);
    let recipients = answered
        .map(|(address, reply)| recipient_report(address, reply, &outcome))
        .collect();
    Report::new(TransactionId::default(), outcome, recipients)
}

fn recipient_report(address: &Address, reply: Reply, outcome: &Outcome) -> RecipientReport {
    let (status, reply) = match outcome {
        _ if reply.code().is_negative() => (RecipientStatus::Refused, Some(reply)),
        Outcome::Accepted(_) => (RecipientStatus::Accepted, Some(reply)),
        Outcome::Rejected {
            stage: Stage::Body,
            reply,
        } => (RecipientStatus::Refused, Some(reply.clone())),
        Outcome::InDoubt(_) => (RecipientStatus::InDoubt, None),
        Outcome::Rejected { .. } | Outcome::NotSent(_) => (RecipientStatus::NotSent, None),
    };
    RecipientReport::new(address.clone(), status, reply)
}

/// A permanent refusal, if there is one.
fn worst<'a>(mut refusals: impl Iterator<Item = &'a Reply> + Clone) -> Option<&'a Reply> {
    let mut all = refusals.clone();
    all.find(|reply| reply.code().is_permanent())
        .or_else(|| refusals.next())
}

/// RFC 5321 §3.8.
fn ends_session(reply: &Reply) -> bool {
    reply.code().get() == 421
}

fn accepted(text: &str) -> Reply {
    const OK: ReplyCode = match ReplyCode::new(250) {
        Some(code) => code,
        None => panic!("no reply code"),
    };
    Reply::new(OK, None, &[text])
}
