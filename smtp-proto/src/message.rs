//! A message and its envelope: addresses, parameters, content.
//!
//! Types that contain only what may be sent: an address or a parameter has no CR, LF or NUL, and
//! the content has the facts that decide how it is sent. Must never know about a server.

pub(crate) mod address;
pub(crate) mod body;
pub(crate) mod envelope;
pub(crate) mod parameters;
