//! What the mechanisms of the GS2 family share (RFC 5801): how a name stands in a message.
//!
//! Knows escaping. Must never know the messages.

use alloc::string::String;

/// A `saslname` (RFC 5801 §4): a comma would end it.
pub(super) fn saslname(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}
