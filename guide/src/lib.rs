//! Guides for programs that send mail with postwire.
//!
//! | guide | answers |
//! |---|---|
//! | [`tls`] | which of the four TLS modes, and how to trust a private authority |
//! | [`retries`] | what to do with a message that was not accepted |
//! | [`concurrency`] | how many connections, how sends share them, how to shut down |
//! | [`time_limits`] | which limit ends which wait |
//! | [`testing`] | how to test an application without a mail server |
//! | [`servers`] | port, mode and login of well-known servers, and what they do not support |
//! | [`troubleshooting`] | each error, its cause, and what to do |
//! | [`embedding`] | a session in an event loop of your own |
//! | [`adapters`] | an adapter for another runtime |
//!
//! Programs that use lettre have a guide of their own: `MOVING.md` of `postwire-lettre`, which is also
//! its module `moving`.

#[doc = include_str!("tls.md")]
pub mod tls {}

#[doc = include_str!("retries.md")]
pub mod retries {}

#[doc = include_str!("concurrency.md")]
pub mod concurrency {}

#[doc = include_str!("time_limits.md")]
pub mod time_limits {}

#[doc = include_str!("testing.md")]
pub mod testing {}

#[doc = include_str!("servers.md")]
pub mod servers {}

#[doc = include_str!("troubleshooting.md")]
pub mod troubleshooting {}

#[doc = include_str!("embedding.md")]
pub mod embedding {}

#[doc = include_str!("adapters.md")]
pub mod adapters {}
