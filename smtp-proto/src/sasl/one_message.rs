//! The exchange that mechanisms with a single client message share.
//!
//! Knows when the message is sent, and that some servers describe a failure before they refuse.
//! Must never know the content of the message.

use alloc::vec::Vec;

use super::{Exchange, SaslError, Secret};

pub(super) struct OneMessage {
    message: Secret,
    /// The response to a challenge that describes a failure, if the mechanism has one.
    acknowledgement: Option<&'static [u8]>,
    failure: Option<Vec<u8>>,
}

impl OneMessage {
    pub(super) fn new(message: Secret) -> Self {
        Self {
            message,
            acknowledgement: None,
            failure: None,
        }
    }

    pub(super) fn acknowledging_failure(mut self, with: &'static [u8]) -> Self {
        self.acknowledgement = Some(with);
        self
    }
}

impl super::sealed::Sealed for OneMessage {}

impl Exchange for OneMessage {
    fn initial_response(&mut self) -> Result<Option<Secret>, SaslError> {
        Ok(Some(core::mem::take(&mut self.message)))
    }

    /// A failure description is only shown.
    fn reads_challenges(&self) -> bool {
        false
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Secret, SaslError> {
        let acknowledgement = self.acknowledgement.take();
        let acknowledgement = acknowledgement.ok_or(SaslError::UnexpectedChallenge)?;
        self.failure = Some(challenge.to_vec());
        Ok(Secret::from(acknowledgement.to_vec()))
    }

    fn finish(&mut self, _server_final: Option<&[u8]>) -> Result<(), SaslError> {
        Ok(())
    }

    fn failure_detail(&self) -> Option<&[u8]> {
        self.failure.as_deref()
    }
}
