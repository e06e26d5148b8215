//! The actions of each fuzz target, and the guarantees that must hold for every input.
//!
//! Plain functions, so that the same input runs under a fuzzer (`fuzz_targets/`) and in `cargo
//! test` (`tests/replay.rs`). A broken guarantee is a panic.
//!
//! | target | input | promises |
//! |---|---|---|
//! | [`reply`] | limits, then a server's bytes | same replies and errors however cut, bounded, shown without control characters |
//! | [`capabilities`] | an `EHLO` reply | bounded, every getter agrees with the lines |
//! | [`address`] | text | what parses cannot leave its line or its path, parses again to the same, and as A-labels means the same |
//! | [`client_session`] | a configuration, then a server's bytes with calls between | no panic, one verdict for each message, bounded output, no secret shown, nothing but `EHLO`, `STARTTLS`, `QUIT` before TLS under *Required*, same however cut |
//! | [`server_session`] | a configuration, then a client's bytes with calls between | no panic, bounded, what is stored is whole and clean, same however cut |
//! | [`pair`] | two configurations, messages, cuts | what the client reports as accepted is what the server stored |
//! | [`session`] | choices of a world | the reports of a session are what the reference server took, who knows only the RFCs |
//! | [`secured`] | choices of a world | the same behind TLS, with a driver that hands over, writes and reports in pieces |
//! | [`dispatch`] | choices of a world | the same for many sends over several connections, with a pool, waiters and a virtual clock |
//! | [`body`] | a way, cuts, content | the facts and the encodings are those of a model that reads one octet after the other |
//! | [`mechanism`] | a mechanism, credentials, a server's messages | no panic, no password shown, and only a server that knows it is trusted |
//! | [`certificate`] | changes to a certificate | only the unchanged certificate is trusted, and no error shows control characters |
//! | [`url`] | text | TLS is off only where the text says so; the same text makes the same URL; no secret is shown |
#![allow(
    clippy::missing_panics_doc,
    reason = "a panic is how a violated promise shows"
)]

mod address;
mod body;
mod capabilities;
mod certificate;
mod client_session;
mod input;
mod mechanism;
mod messages;
mod pair;
mod plaintext;
mod reply;
mod server_session;
mod url;
mod worlds;

pub use address::address;
pub use body::body;
pub use capabilities::capabilities;
pub use certificate::certificate;
pub use client_session::client_session;
pub use mechanism::mechanism;
pub use pair::pair;
pub use reply::reply;
pub use server_session::server_session;
pub use url::url;
pub use worlds::{dispatch, secured, session};

/// The name of a target, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 13] = [
    ("reply", reply),
    ("capabilities", capabilities),
    ("address", address),
    ("client_session", client_session),
    ("server_session", server_session),
    ("pair", pair),
    ("session", session),
    ("secured", secured),
    ("dispatch", dispatch),
    ("body", body),
    ("mechanism", mechanism),
    ("certificate", certificate),
    ("url", url),
];
