//! The dialogue, a line a command or reply, for people to read.

use alloc::string::String;
use core::fmt;

/// One line of the dialogue, secrets redacted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceLine {
    /// Who said it.
    pub speaker: Speaker,
    /// What was said, without its line end; content is summed up.
    pub text: String,
}

/// One side of the dialogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Speaker {
    /// This side.
    Client,
    /// The peer.
    Server,
}

impl TraceLine {
    pub(crate) fn new(speaker: Speaker, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { speaker, text }
    }
}

impl fmt::Display for TraceLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let speaker = match self.speaker {
            Speaker::Client => 'C',
            Speaker::Server => 'S',
        };
        write!(f, "{speaker}: {}", self.text)
    }
}
