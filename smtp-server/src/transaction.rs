//! One mail transaction (RFC 5321 §3.3): the envelope from `MAIL` and `RCPT`, and the state of
//! its content.
//!
//! Decides what the transaction allows next. Must never know the session around it: TLS,
//! authentication and the application.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;
use postwire_proto::{Address, Protocol};

use crate::config::ServerConfig;
use crate::content::Content;
use crate::default_reply::{self, DefaultReply};
use crate::event::ReceivedParameters;
use crate::parameters::{BodyDeclaration, MailParameters};

#[derive(Debug)]
pub(crate) struct Transaction {
    pub(crate) reverse_path: Option<Address>,
    pub(crate) recipients: Vec<Address>,
    pub(crate) parameters: Box<ReceivedParameters>,
    pub(crate) declared: MailParameters,
    chunks: Chunks,
}

/// The state of a message sent with `BDAT`.
#[derive(Debug)]
enum Chunks {
    NotBegun,
    Gathered(Content),
    /// RFC 3030 §2: after a failure only RSET is allowed.
    Failed,
}

impl Transaction {
    /// Begins a transaction with `MAIL`, or returns the reply that refuses it.
    pub(crate) fn begin(
        config: &ServerConfig,
        reverse_path: Option<Address>,
        declared: MailParameters,
    ) -> Result<Self, DefaultReply> {
        let is_ascii = reverse_path.as_ref().is_none_or(Address::is_ascii);
        if !is_ascii && !declared.smtp_utf8 {
            return Err(default_reply::NEEDS_SMTPUTF8);
        }
        if declared
            .size
            .is_some_and(|size| size > config.content_limit() as u64)
        {
            return Err(default_reply::TOO_LARGE);
        }
        Ok(Self {
            reverse_path,
            recipients: Vec::new(),
            parameters: Box::default(),
            declared,
            chunks: Chunks::NotBegun,
        })
    }

    /// Checks whether one more recipient is allowed.
    pub(crate) fn check_recipient(
        &self,
        config: &ServerConfig,
        recipient: &Address,
    ) -> Result<(), DefaultReply> {
        self.check_no_chunks()?;
        if !recipient.is_ascii() && !self.declared.smtp_utf8 {
            return Err(default_reply::NEEDS_SMTPUTF8);
        }
        if self.recipients.len() >= config.max_recipients {
            return Err(default_reply::TOO_MANY_RECIPIENTS);
        }
        Ok(())
    }

    /// Checks whether `DATA` is allowed.
    pub(crate) fn check_data(&self, config: &ServerConfig) -> Result<(), DefaultReply> {
        self.check_no_chunks()?;
        if self.is_binary() {
            return Err(default_reply::BINARY_NEEDS_BDAT);
        }
        // In LMTP, DATA must fail (RFC 2033 §4.2).
        let may_go_on = config.data_without_recipients && config.protocol == Protocol::Smtp;
        if self.recipients.is_empty() && !may_go_on {
            return Err(default_reply::NO_VALID_RECIPIENTS);
        }
        Ok(())
    }

    /// Checks whether a chunk is allowed (RFC 3030 §2).
    pub(crate) fn check_chunk(&self) -> Result<(), DefaultReply> {
        match self.chunks {
            Chunks::Failed => Err(default_reply::CONTENT_FAILED),
            _ if self.recipients.is_empty() => Err(default_reply::NO_VALID_RECIPIENTS),
            _ => Ok(()),
        }
    }

    fn check_no_chunks(&self) -> Result<(), DefaultReply> {
        match self.chunks {
            Chunks::NotBegun => Ok(()),
            Chunks::Gathered(_) => Err(default_reply::CONTENT_BEGUN),
            Chunks::Failed => Err(default_reply::CONTENT_FAILED),
        }
    }

    /// Adds octets of a chunk.
    pub(crate) fn append(&mut self, config: &ServerConfig, octets: &[u8]) {
        if let Chunks::NotBegun = self.chunks {
            self.chunks = Chunks::Gathered(Content::new(config.content_limit()));
        }
        if let Chunks::Gathered(content) = &mut self.chunks {
            content.append(octets);
        }
    }

    /// Ends a chunk that is not the last.
    pub(crate) fn end_chunk(&mut self) -> Result<(), DefaultReply> {
        match &self.chunks {
            Chunks::Gathered(content) if content.is_too_large() => {
                self.chunks = Chunks::Failed;
                Err(default_reply::TOO_LARGE)
            }
            Chunks::Failed => Err(default_reply::CONTENT_FAILED),
            _ => Ok(()),
        }
    }

    /// Records that a chunk was refused.
    pub(crate) fn fail(&mut self) {
        self.chunks = Chunks::Failed;
    }

    /// The content of all chunks, or the reply that refuses it.
    pub(crate) fn take_chunks(&mut self) -> Result<Bytes, DefaultReply> {
        match core::mem::replace(&mut self.chunks, Chunks::Failed) {
            Chunks::Gathered(content) => content.finish(self.is_binary()),
            Chunks::NotBegun => Ok(Bytes::new()),
            Chunks::Failed => Err(default_reply::CONTENT_FAILED),
        }
    }

    fn is_binary(&self) -> bool {
        self.declared.body == BodyDeclaration::BinaryMime
    }
}
