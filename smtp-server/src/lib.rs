//! The server's side of SMTP and LMTP as a pure state machine, for embedded test servers, sinks
//! and differential tests. Bytes and the time go in; replies, events and deadlines come out, as
//! with [`postwire_proto::Client`]. No socket, no thread, no clock, no `std`.
//!
//! Knows SMTP and LMTP as a receiver. Must never know sockets, mailboxes or which users may log
//! in: the application answers each [`ServerEvent`] that asks.
//!
//! ```text
//!          line                Command                 Reply, ServerEvent
//! octets ───────▶ LineReader ───────────▶ Session ─────────────────────────▶
//!          content             Content        ▲  accept, respond
//!        ───────▶ DotDecoder ────────────────┘
//! ```
//!
//! [`Server`] is the session; [`ServerConfig`] defines what it offers and how strict it is.
//! `postwire-tls` adds TLS (feature `server`).
//!
//! # Features
//!
//! `std` and `saslprep` are on by default; without them the crate only needs `alloc`.
//! `cram-md5` adds that mechanism.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![no_std]

extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

mod authentication;
mod command;
mod commands;
mod config;
mod content;
mod default_reply;
mod delivery;
mod event;
mod line;
mod output;
mod parameters;
mod question;
mod scram;
mod server;
mod session;
mod transaction;

pub use config::{ChunksRead, ServerConfig};
pub use event::{Received, ReceivedParameters, ServerEvent, ServerMisuse, ServerViolation};
pub use parameters::BodyDeclaration;
pub use server::Server;
