//! Tests of applications that send mail: an SMTP server in the process of the test, faults on
//! demand, and a transport that only records.
//!
//! ```
//! use postwire_blocking::{Transport, proto::Envelope};
//! use postwire_testing::{TestServer, Trigger::*};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = TestServer::start();
//! server.on(Rcpt("bob@example.net")).reply("550 5.1.1 no such user");
//!
//! // What the application does, over any adapter:
//! let transport = Transport::from_url(server.url())?.build()?;
//! let to = |address: &str| Envelope::new(None, vec![address.parse().unwrap()]).unwrap();
//! let refused = transport.send(&to("bob@example.net"), "Subject: hello\n\nHello!\n");
//! transport.send(&to("carol@example.net"), "Subject: hello\n\nHello!\n")?;
//!
//! let error = refused.unwrap_err();
//! assert_eq!(error.to_string(), "rejected at rcpt for bob@example.net: 550 5.1.1 no such user");
//! let message = &server.wait_for(1)[0];
//! assert_eq!(message.recipients[0].to_string(), "carol@example.net");
//! assert_eq!(message.text(), "Subject: hello\r\n\r\nHello!\r\n");
//! # Ok(())
//! # }
//! ```
//!
//! An async test does the same with `Transport::from_url(server.url())` of its own adapter and
//! `.await`; where it waits for messages, [`TestServer::wait_for_async`] does not block its thread.
//!
//! * [`TestServer`] listens on a port of this machine: plaintext, STARTTLS or TLS from the first
//!   octet, with a certificate authority of its own; users and passwords; SMTP or LMTP. What the
//!   application sends goes over real sockets. Clients of any runtime, and of any library, can talk
//!   to it.
//! * [`RecordingTransport`] has no socket: the application sends through one of the traits
//!   [`Mailer`] and [`AsyncMailer`], which every transport implements, and the test gives it this
//!   transport.
//! * [`Trigger`] and [`Rule`] define the faults of both: a reply, a delay, a closed connection, each
//!   time or once.
//!
//! An application depends on this crate in its tests only. The traits are in the adapter that it
//! uses anyway (`postwire_blocking::Mailer`, `postwire_tokio::AsyncMailer`).
//!
//! To test code that handles reports, no transport is needed:
//! [`Report::accepted`](proto::Report::accepted), [`rejected`](proto::Report::rejected),
//! [`not_sent`](proto::Report::not_sent) and [`in_doubt`](proto::Report::in_doubt) create them.
//!
//! # Features
//!
//! `aws-lc-rs` (on by default) or `ring` for the cryptography of the TLS modes.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod authority;
mod builder;
mod connections;
mod mailbox;
mod recording;
mod rules;
mod server;
mod session;

pub use builder::TestServerBuilder;
pub use postwire_blocking::transport::{AsyncMailer, Mailer};
pub use postwire_server::{Received, ServerConfig};
pub use postwire_tls::{self as tls, proto};
pub use recording::{Recorded, RecordingTransport};
pub use rules::{Rule, Trigger};
pub use server::TestServer;
