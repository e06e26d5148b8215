//! The encoding of names that the GS2 mechanisms share (RFC 5801).
//!
//! Knows escaping. Must never know the messages.

use alloc::string::String;

/// Encodes a `saslname` (RFC 5801 §4), which must not contain a bare comma.
pub(super) fn saslname(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}
