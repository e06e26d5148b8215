//! A message and its envelope: addresses, parameters, content.
//!
//! Types that hold only what may be sent: no CR, LF or NUL in an address or a parameter, and of
//! the content the facts that decide how it is sent. Must never know a server.

pub(crate) mod address;
pub(crate) mod body;
pub(crate) mod envelope;
pub(crate) mod parameters;
