//! What the mechanisms share that consist of one message from the client.
//!
//! Knows when it is said, and that some servers tell more of a failure before they refuse.
//! Must never know what is in it.

use alloc::vec::Vec;

use super::{Exchange, SaslError, Secret};

pub(super) struct OneMessage {
    message: Secret,
    /// What a challenge is answered with that tells of a failure, where there is one.
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

    /// A reason is only shown.
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
