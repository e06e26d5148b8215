//! The output of the command: text and JSON, hints, the exit status.
//!
//! Knows reports, errors and characters. Must never know how a message is sent or how a server
//! is reached.

pub(crate) mod certificate;
pub(crate) mod exit;
pub(crate) mod facts;
pub(crate) mod hints;
pub(crate) mod json;
pub(crate) mod output;
pub(crate) mod text;
pub(crate) mod verbose;
