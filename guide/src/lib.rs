//! Guides for programs that send mail with postwire.
//!
//! | guide | answers |
//! |---|---|
//! | [`tls`] | which of the four TLS modes, and how to trust a private authority |
//! | [`retries`] | what to do with a message that was not accepted |
//! | [`concurrency`] | how many connections, how sends share them, how to shut down |
//! | [`time_limits`] | which limit ends which wait |
//! | [`servers`] | port, mode and login of well-known servers, and what they do not bear |
//! | [`troubleshooting`] | each error, its cause, and what to do |
//!
//! An event loop of your own is described in
//! [`postwire_proto::own_loop`](postwire_blocking::proto::own_loop).

#[doc = include_str!("tls.md")]
pub mod tls {}

#[doc = include_str!("retries.md")]
pub mod retries {}

#[doc = include_str!("concurrency.md")]
pub mod concurrency {}

#[doc = include_str!("time_limits.md")]
pub mod time_limits {}

#[doc = include_str!("servers.md")]
pub mod servers {}

#[doc = include_str!("troubleshooting.md")]
pub mod troubleshooting {}
