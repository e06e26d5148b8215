//! postwire embedded.
//!
//! * [`by_tokio`]: a runtime that has no adapter crate, in an afternoon;
//! * [`by_lettre`]: `lettre`'s transport traits over postwire, so that a program
//!   moves in one line;
//! * `bin/mio.rs`: an event loop of one's own, 1,000 sessions in one thread;
//! * `bin/by_hand.rs`: the core alone, every byte asserted;
//! * `bin/mail_builder.rs`: a message from `mail-builder`, or from `lettre`;
//! * `bin/socks5.rs`: through a proxy, over a stream of one's own.

pub mod by_lettre;
pub mod by_tokio;
