//! Programs that embed postwire.
//!
//! * [`by_tokio`]: a runtime without an adapter crate;
//! * [`by_lettre`]: `lettre`'s transport traits over postwire, so that a program can switch by
//!   changing one line;
//! * `bin/mio.rs`: your own event loop, 1,000 sessions in one thread;
//! * `bin/by_hand.rs`: the core alone, every byte asserted;
//! * `bin/mail_builder.rs`: a message from `mail-builder`, or from `lettre`;
//! * `bin/socks5.rs`: through a proxy, over your own stream.

pub mod by_lettre;
pub mod by_tokio;
