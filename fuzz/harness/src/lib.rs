//! The actions of each fuzz target, and the guarantees that must hold for every input.
//!
//! Plain functions, so that the same input runs under a fuzzer (`fuzz_targets/`) and in `cargo
//! test` (`tests/replay.rs`). A broken guarantee is a panic.
//!
//! | target | input | promises |
//! |---|---|---|
//! | [`reply`] | limits, then a server's bytes | same replies and errors however cut, bounded, shown without control characters |
//! | [`capabilities`] | an `EHLO` reply | bounded, every getter agrees with the lines |
//! | [`address`] | text | what parses cannot leave its line or its path, and parses again to the same |
//! | [`client_session`] | a configuration, then a server's bytes with calls between | no panic, one verdict for each message, bounded output, no secret shown, nothing but `EHLO`, `STARTTLS`, `QUIT` before TLS under *Required*, same however cut |
//! | [`server_session`] | a configuration, then a client's bytes with calls between | no panic, bounded, what is stored is whole and clean, same however cut |
//! | [`pair`] | two configurations, messages, cuts | what the client reports as accepted is what the server stored |
#![allow(
    clippy::missing_panics_doc,
    reason = "a panic is how a violated promise shows"
)]

mod address;
mod capabilities;
mod client_session;
mod input;
mod messages;
mod pair;
mod plaintext;
mod reply;
mod server_session;

pub use address::address;
pub use capabilities::capabilities;
pub use client_session::client_session;
pub use pair::pair;
pub use reply::reply;
pub use server_session::server_session;

/// The name of a target, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 6] = [
    ("reply", reply),
    ("capabilities", capabilities),
    ("address", address),
    ("client_session", client_session),
    ("server_session", server_session),
    ("pair", pair),
];
