//! The end of a chunk, and of a message's content.
//!
//! Knows how many replies follow: one for the message in SMTP, one for each recipient in LMTP
//! (RFC 2033 §4.2, §4.3). Must never know how the content was transferred.

use bytes::Bytes;
use postwire_proto::Protocol;

use crate::content::Content;
use crate::default_reply::{self, DefaultReply};
use crate::event::{Received, ServerEvent};
use crate::question::Question;
use crate::session::{Chunk, Phase, Session};
use crate::transaction::Transaction;

impl Session {
    /// Handles the final dot.
    pub(crate) fn content_ended(&mut self, transaction: Transaction, content: Content) -> Phase {
        if transaction.recipients.is_empty() {
            self.replies.write(default_reply::NOBODY_TO_DELIVER_TO);
            return Phase::Command(None);
        }
        self.deliver(transaction, content.finish(false))
    }

    /// Handles the last octet of a chunk.
    pub(crate) fn chunk_ended(&mut self, chunk: Chunk) -> Phase {
        let Chunk {
            transaction,
            last,
            refusal,
            ..
        } = chunk;
        let Some(mut transaction) = transaction else {
            self.replies
                .write(refusal.unwrap_or(default_reply::MAIL_FIRST));
            return Phase::Command(None);
        };
        if last {
            let content = match refusal {
                Some(refusal) => Err(refusal),
                None => transaction.take_chunks(),
            };
            return self.deliver(transaction, content);
        }
        match refusal.map_or_else(|| transaction.end_chunk(), Err) {
            Ok(()) => self.replies.write(default_reply::CHUNK_OK),
            Err(refusal) => {
                transaction.fail();
                self.replies.write(refusal);
            }
        }
        Phase::Command(Some(transaction))
    }

    /// Asks the application whether it accepts the message, or refuses the message. The
    /// transaction is over in both cases.
    fn deliver(&mut self, transaction: Transaction, content: Result<Bytes, DefaultReply>) -> Phase {
        let answers = match self.config.protocol {
            Protocol::Smtp => 1,
            Protocol::Lmtp => transaction.recipients.len().max(1),
        };
        match content {
            Ok(content) => {
                let received = self.received(transaction, content);
                self.report(ServerEvent::Message(received));
                Phase::AwaitingAnswer(Question::Message { answers })
            }
            Err(refusal) => {
                for _ in 0..answers {
                    self.replies.write(refusal);
                }
                Phase::Command(None)
            }
        }
    }

    fn received(&self, transaction: Transaction, content: Bytes) -> Received {
        let hello = self.client.hello.as_ref();
        Received {
            hello: hello.map(|(_, name)| name.clone()).unwrap_or_default(),
            reverse_path: transaction.reverse_path,
            recipients: transaction.recipients,
            parameters: transaction.parameters,
            content,
            body: transaction.declared.body,
            smtp_utf8: transaction.declared.smtp_utf8,
            authenticated: self.client.user.clone(),
            tls: self.client.tls.clone(),
        }
    }
}
