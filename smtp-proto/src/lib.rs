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
//! A [`Client`] is given messages, each an [`Envelope`] and a [`Body`], and gives
//! exactly one [`Report`] for each. What may be pipelined is. [`ClientConfig`]
//! says how; [`Security`] names the four TLS modes. With the feature `server`
//! there is a server of the same shape, for embedded test servers.
//!
//! # Driving it
//!
//! Whoever owns the socket moves the bytes. Any order of calls is right, and
//! nothing here fails: faults are events.
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
//! /// Runs a session to its end.
//! fn drive(client: &mut Client, stream: &mut TcpStream) -> Result<Vec<Report>> {
//!     let clock = Clock::new();
//!     let mut input = [0; 16 * 1024];
//!     let mut reports = Vec::new();
//!     loop {
//!         loop {
//!             let mut output = client.output();             // slices of the message itself, not copies
//!             let mut slices = [IoSlice::new(&[]); 16];
//!             let n = output.chunks_vectored(&mut slices);
//!             if n == 0 { break }
//!             match stream.write_vectored(&slices[..n]) {
//!                 Ok(taken) => output.advance(taken),
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
//! `advance` *hands over*: from then on a reply may answer these octets, and a message
//! whose last octet is among them is in doubt until it is answered. Where writing ends
//! later (completion I/O, a writer thread), `advance` when the write is submitted, and
//! say with [`Endpoint::handle_written`] how much was written when it completes; the
//! write deadline counts from there.
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
//! # Promises
//!
//! * Nothing panics, whatever the peer sends; memory is bounded ([`Limits`]).
//! * The same bytes in, cut differently, give the same events and output.
//! * Before TLS, under [`Security::Required`], nothing but `EHLO`, `STARTTLS` and
//!   `QUIT` is written. Passwords stay out of plaintext unless that is allowed.
//! * No `Debug`, error or trace shows a secret, not even where a server repeats it.

#![no_std]

extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

mod address;
mod body;
mod capabilities;
mod client;
mod command;
mod config;
mod endpoint;
mod envelope;
mod error;
mod hello;
mod parameters;
mod reply;
mod report;
mod retry;
mod sasl;
#[cfg(feature = "server")]
mod server;
mod time;
mod tls_info;

pub use address::{Address, AddressError};
pub use body::{Body, BodySource, Facts, LineEnds, StreamFacts, Survey};
pub use capabilities::{Capabilities, CapabilitiesError, Capability, LimitsParameters, SizeLimit};
pub use client::{Client, CommandId, Event, Output, Speaker, TraceLine};
pub use command::{Command, CommandError};
pub use config::{
    ChannelBindingPolicy, ClientConfig, Limits, Pipelining, Protocol, Security, Timeouts,
};
pub use endpoint::{Endpoint, TransportError};
pub use envelope::{Envelope, EnvelopeError, Recipients};
pub use error::{Error, ErrorKind, Misuse, Stage, Unsendable, Violation};
pub use hello::HelloName;
pub use parameters::{
    DeliverBy, EnvelopeId, FutureRelease, MailParameter, MtPriority, Notify, OriginalRecipient,
    Parameter, ParameterError, RcptParameter, RequireTls, Return,
};
pub use reply::{EnhancedCode, Reply, ReplyCode, ReplyError, ReplyLimits, ReplyReader, ReplyRef};
pub use report::TransactionId;
pub use report::{Outcome, RecipientReport, RecipientStatus, Report, SendError};
pub use retry::Retry;
pub use sasl::{
    ChannelBinding, Credentials, Exchange, Mechanism, SaslContext, SaslError, Secret,
    UnknownMechanism,
};
#[cfg(feature = "server")]
pub use server::{
    BodyDeclaration, ChunksRead, Received, ReceivedParameters, Server, ServerConfig, ServerEvent,
    ServerMisuse, ServerViolation,
};
#[cfg(feature = "std")]
pub use time::Clock;
pub use time::Instant;
pub use tls_info::TlsInfo;
