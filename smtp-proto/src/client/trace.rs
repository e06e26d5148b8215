//! The dialogue in readable form: one line for each command or reply. Must never show a secret.

use alloc::string::String;
use core::fmt;

/// One line of the dialogue, with secrets redacted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceLine {
    /// The side that sent the line.
    pub speaker: Speaker,
    /// The text of the line, without its line end. Content is summarised.
    pub text: String,
}

/// One side of the dialogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Speaker {
    /// The client, which is this side.
    Client,
    /// The server.
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
