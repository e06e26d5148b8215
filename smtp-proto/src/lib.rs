//! SMTP and LMTP as pure state machines: bytes and the time go in; bytes, events
//! and deadlines come out. No socket, no thread, no clock, no randomness, no
//! `std`.
//!
//! # The map
//!
//! ```text
//!             ┌──────── Required / Opportunistic ────────┐
//! greeting → EHLO → STARTTLS → (TLS, driven by you) → EHLO → AUTH → ready ⇄ transactions → QUIT
//!             └─ HELO where EHLO is not known
//!
//! transaction:  MAIL → RCPT… → DATA → 354 → content .  ─┐
//!                           └→ BDAT n LAST content ─────┴→ verdict
//! ```
//!
//! A [`Client`] takes messages, each an [`Envelope`] and a [`Body`], and gives exactly one
//! [`Report`] for each. It pipelines whatever may be pipelined. [`ClientConfig`] holds the
//! settings; [`Security`] names the four TLS modes. The crate `postwire-server` has a server of
//! the same shape, for embedded test servers.
//!
//! # The drive loop
//!
//! The owner of the socket moves the bytes. Any order of calls is right, and no call fails: a
//! fault becomes an event.
//!
//! ```
//! use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
//! use std::io::{IoSlice, Read, Result, Write};
//! use std::net::TcpStream;
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use bytes::Buf;
//! use postwire_proto::{Client, Clock, Endpoint, Event, Report};
//!
//! /// The shortest time limit that a socket takes.
//! const SHORTEST: Duration = Duration::from_millis(1);
//!
//! /// Runs a session to its end.
//! fn drive(client: &mut Client, stream: &mut TcpStream) -> Result<Vec<Report>> {
//!     let clock = Clock::new();
//!     let mut input = [0; 16 * 1024];
//!     let mut reports = Vec::new();
//!     loop {
//!         let now = clock.now();
//!         client.handle_timeout(now);                       // starts the deadline of what was handed over
//!         let wait = client.poll_timeout().map(|at| at.saturating_duration_since(now));
//!         stream.set_write_timeout(wait.map(|wait| wait.max(SHORTEST)))?; // a server that does not read
//!         loop {
//!             let mut output = client.output();             // slices of the message itself, not copies
//!             let mut slices = [IoSlice::new(&[]); 16];
//!             let n = output.chunks_vectored(&mut slices);
//!             if n == 0 { break }
//!             match stream.write_vectored(&slices[..n]) {
//!                 Ok(taken) => output.advance(taken),
//!                 Err(e) if e.kind() == Interrupted => {}
//!                 Err(_) => break,                          // what the server said before is read first
//!             }
//!         }
//!         while let Some(event) = client.poll_event() {     // also the last ones: Report, then Closed
//!             if let Event::Report(report) = event { reports.push(report) }
//!         }
//!         if client.is_closed() { break }
//!         let now = clock.now();
//!         let wait = client.poll_timeout().map(|at| at.saturating_duration_since(now));
//!         if wait == Some(Duration::ZERO) { client.handle_timeout(now); continue }
//!         stream.set_read_timeout(wait)?;
//!         match stream.read(&mut input) {
//!             Ok(0) => client.handle_eof(clock.now()),
//!             Ok(n) => client.handle_input(clock.now(), &input[..n]),
//!             Err(e) => match e.kind() {
//!                 WouldBlock | TimedOut => client.handle_timeout(clock.now()),
//!                 Interrupted => {}
//!                 _ => client.handle_transport_error(clock.now(), Arc::new(e)),
//!             },
//!         }
//!     }
//!     Ok(reports)
//! }
//! ```
//!
//! [`own_loop`] has the loops for readiness, completion, two threads, boards and other TLS libraries.
//! Connecting is part of none of them: [`Timeouts::connect`] is the program's to apply.
//!
//! `advance` *hands over* octets: from then on a reply may answer them, and a message whose
//! last octet is among them is in doubt until it is answered. Where a write completes later
//! (completion I/O, a writer thread), call `advance` when the write is submitted and
//! [`Endpoint::handle_written`] when it completes; the write deadline then counts from the
//! completion.
//!
//! # One message, every byte
//!
//! ```
//! use std::sync::Arc;
//!
//! use bytes::Buf;
//! use postwire_proto::{
//!     Client, ClientConfig, Endpoint, Envelope, Event, HelloName, Instant, Security,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = ClientConfig::new(HelloName::localhost(), Security::None);
//! let mut client = Client::new(Arc::new(config));
//! let envelope = Envelope::new(
//!     Some("alice@example.org".parse()?),
//!     vec!["bob@example.net".parse()?],
//! )?;
//! client.enqueue(envelope, "Subject: hello\n\n.\n");
//! client.quit();
//!
//! let mut exchange = |server: &str, client_says: &str| {
//!     client.handle_input(Instant::EPOCH, server.as_bytes());
//!     let mut output = client.output();
//!     let flight = output.copy_to_bytes(output.remaining());
//!     assert_eq!(flight, client_says);
//! };
//! exchange("220 mail.example.net ESMTP\r\n", "EHLO [127.0.0.1]\r\n");
//! exchange(
//!     "250-mail.example.net\r\n250 PIPELINING\r\n",
//!     "MAIL FROM:<alice@example.org>\r\nRCPT TO:<bob@example.net>\r\nDATA\r\n",
//! );
//! exchange(
//!     "250 ok\r\n250 ok\r\n354 go ahead\r\n",
//!     "Subject: hello\r\n\r\n..\r\n.\r\n",
//! );
//! exchange("250 2.0.0 queued as 42\r\n", "QUIT\r\n");
//! exchange("221 bye\r\n", "");
//!
//! let reports: Vec<_> = std::iter::from_fn(|| client.poll_event())
//!     .filter_map(|event| match event {
//!         Event::Report(report) => Some(report),
//!         _ => None,
//!     })
//!     .collect();
//! assert_eq!(reports.len(), 1);
//! assert_eq!(reports[0].to_string(), "accepted: 250 2.0.0 queued as 42");
//! assert!(client.is_closed());
//! # Ok(())
//! # }
//! ```
//!
//! # Guarantees
//!
//! * Nothing panics, whatever the peer sends. Memory is bounded by [`Limits`].
//! * The same bytes in, cut differently, give the same events and output.
//! * Under [`Security::Required`], nothing but `EHLO`, `STARTTLS` and `QUIT` is written before
//!   TLS. Passwords are never sent in plaintext unless the configuration allows it.
//! * No `Debug`, error or trace shows a secret, not even where a server repeats it.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![no_std]

extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

mod capabilities;
mod client;
mod command;
mod config;
mod endpoint;
mod hello;
mod message;
mod outcome;
#[doc = include_str!("../OWN-LOOP.md")]
pub mod own_loop {}
mod redaction;
mod reply;
mod sasl;
#[cfg(feature = "serde")]
pub mod seconds;
#[cfg(feature = "serde")]
mod serialization;
mod shown;
mod time;
mod tls_info;

pub use capabilities::{Capabilities, CapabilitiesError, Capability, LimitsParameters, SizeLimit};
pub use client::{Client, CommandId, Event, Output, Speaker, TraceLine};
pub use command::{Command, CommandError};
pub use config::{
    ChannelBindingPolicy, ClientConfig, Limits, Pipelining, Protocol, Security, Timeouts,
    UnknownSecurity,
};
pub use endpoint::{Endpoint, TransportError};
pub use hello::HelloName;
pub use message::address::{Address, AddressError};
pub use message::body::{Body, BodyFacts, BodyScanner, BodySource, LineEnds, StreamFacts};
pub use message::envelope::{Envelope, EnvelopeError, Recipients};
pub use message::parameters::{
    DeliverBy, EnvelopeId, FutureRelease, MailParameter, MtPriority, Notify, OriginalRecipient,
    Parameter, ParameterError, RcptParameter, RequireTls, Return,
};
pub use outcome::{
    Disposition, Error, ErrorKind, Flaw, Misuse, Outcome, RecipientReport, RecipientStatus, Report,
    Retry, SendError, Stage, TransactionId, Unsendable, Violation,
};
pub use redaction::Redaction;
pub use reply::{
    EnhancedCode, InvalidReply, Reply, ReplyCode, ReplyError, ReplyLimits, ReplyReader, ReplyRef,
};
#[cfg(feature = "scram")]
pub use sasl::ScramKeys;
pub use sasl::{
    ChannelBinding, Credentials, Exchange, Mechanism, SaslContext, SaslError, Secret,
    UnknownMechanism,
};
pub use shown::{escape_non_utf8, is_safe_to_show};
#[cfg(feature = "std")]
pub use time::Clock;
pub use time::Instant;
pub use tls_info::TlsInfo;
