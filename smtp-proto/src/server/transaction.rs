//! One mail transaction (RFC 5321 §3.3): the envelope from `MAIL` and `RCPT`, and the state of
//! its content.
//!
//! Decides what the transaction allows next. Must never know the session around it: TLS,
//! authentication and the application.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

use super::answer::{self, Answer};
use super::config::ServerConfig;
use super::content::Content;
use super::event::ReceivedParameters;
use super::parameters::{BodyDeclaration, MailParameters};
use crate::Address;

#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) reverse_path: Option<Address>,
    pub(super) recipients: Vec<Address>,
    pub(super) parameters: Box<ReceivedParameters>,
    pub(super) declared: MailParameters,
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
    pub(super) fn begin(
        config: &ServerConfig,
        reverse_path: Option<Address>,
        declared: MailParameters,
    ) -> Result<Self, Answer> {
        let is_ascii = reverse_path.as_ref().is_none_or(Address::is_ascii);
        if !is_ascii && !declared.smtp_utf8 {
            return Err(answer::NEEDS_SMTPUTF8);
        }
        if declared
            .size
            .is_some_and(|size| size > config.content_limit() as u64)
        {
            return Err(answer::TOO_LARGE);
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
    pub(super) fn check_recipient(
        &self,
        config: &ServerConfig,
        recipient: &Address,
    ) -> Result<(), Answer> {
        self.check_no_chunks()?;
        if !recipient.is_ascii() && !self.declared.smtp_utf8 {
            return Err(answer::NEEDS_SMTPUTF8);
        }
        if self.recipients.len() >= config.max_recipients {
            return Err(answer::TOO_MANY_RECIPIENTS);
        }
        Ok(())
    }

    /// Checks whether `DATA` is allowed.
    pub(super) fn check_data(&self, config: &ServerConfig) -> Result<(), Answer> {
        self.check_no_chunks()?;
        if self.is_binary() {
            return Err(answer::BINARY_NEEDS_BDAT);
        }
        if self.recipients.is_empty() && !config.data_without_recipients {
            return Err(answer::NO_VALID_RECIPIENTS);
        }
        Ok(())
    }

    /// Checks whether a chunk is allowed (RFC 3030 §2).
    pub(super) fn check_chunk(&self) -> Result<(), Answer> {
        match self.chunks {
            Chunks::Failed => Err(answer::CONTENT_FAILED),
            _ if self.recipients.is_empty() => Err(answer::NO_VALID_RECIPIENTS),
            _ => Ok(()),
        }
    }

    fn check_no_chunks(&self) -> Result<(), Answer> {
        match self.chunks {
            Chunks::NotBegun => Ok(()),
            Chunks::Gathered(_) => Err(answer::CONTENT_BEGUN),
            Chunks::Failed => Err(answer::CONTENT_FAILED),
        }
    }

    /// Adds octets of a chunk.
    pub(super) fn append(&mut self, config: &ServerConfig, octets: &[u8]) {
        if let Chunks::NotBegun = self.chunks {
            self.chunks = Chunks::Gathered(Content::new(config.content_limit()));
        }
        if let Chunks::Gathered(content) = &mut self.chunks {
            content.append(octets);
        }
    }

    /// Ends a chunk that is not the last.
    pub(super) fn end_chunk(&mut self) -> Result<(), Answer> {
        match &self.chunks {
            Chunks::Gathered(content) if content.is_too_large() => {
                self.chunks = Chunks::Failed;
                Err(answer::TOO_LARGE)
            }
            Chunks::Failed => Err(answer::CONTENT_FAILED),
            _ => Ok(()),
        }
    }

    /// Records that a chunk was refused.
    pub(super) fn fail(&mut self) {
        self.chunks = Chunks::Failed;
    }

    /// The content of all chunks, or the reply that refuses it.
    pub(super) fn take_chunks(&mut self) -> Result<Bytes, Answer> {
        match core::mem::replace(&mut self.chunks, Chunks::Failed) {
            Chunks::Gathered(content) => content.finish(self.is_binary()),
            Chunks::NotBegun => Ok(Bytes::new()),
            Chunks::Failed => Err(answer::CONTENT_FAILED),
        }
    }

    fn is_binary(&self) -> bool {
        self.declared.body == BodyDeclaration::BinaryMime
    }
}
