//! lettre's transports over postwire. A program that uses lettre switches by changing one line,
//! in its `Cargo.toml`:
//!
//! ```toml
//! lettre = { package = "postwire-lettre", version = "0.1", features = ["tokio1"] }
//! ```
//!
//! or at the top of a module: `use postwire_lettre as lettre;`. Its messages and addresses are
//! still those of the crate lettre itself, so they fit other crates that use lettre.
//!
//! ```no_run
//! use postwire_lettre as lettre;
//!
//! use lettre::message::header::ContentType;
//! use lettre::transport::smtp::authentication::Credentials;
//! use lettre::{Message, SmtpTransport, Transport};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let email = Message::builder()
//!     .from("Alice <alice@example.org>".parse()?)
//!     .to("Bob <bob@example.net>".parse()?)
//!     .subject("hello")
//!     .header(ContentType::TEXT_PLAIN)
//!     .body(String::from("Hello, Bob."))?;
//! let mailer = SmtpTransport::relay("mail.example.org")?
//!     .credentials(Credentials::new("alice".to_owned(), "correct horse".to_owned()))
//!     .build();
//! mailer.send(&email)?;
//! # Ok(())
//! # }
//! ```
//!
//! # What changes
//!
//! The names and the meaning are lettre's: a message goes to all of its recipients or to none, and
//! an error is [transient](transport::smtp::Error::is_transient) or
//! [permanent](transport::smtp::Error::is_permanent). Concurrent sends share connections and round
//! trips, and [`Error::report`](transport::smtp::Error::report) has the result for each recipient.
//! These differences are on purpose; [`moving`] has all of them, and every name:
//!
//! * `smtp://host` without `?tls=` means STARTTLS on port 587. In lettre it means plaintext on port 25.
//!   For plaintext, the URL says `?tls=none`.
//! * Passwords are not sent in plaintext, unless
//!   [`configure`](transport::smtp::SmtpTransportBuilder::configure) allows it.
//! * The default mechanism is the strongest one that the server offers, not PLAIN or LOGIN only.
//! * [`PoolConfig::max_size`](transport::smtp::PoolConfig::max_size) limits all connections, not only
//!   idle ones.
//!
//! # Features
//!
//! | feature | meaning |
//! |---|---|
//! | `tokio1` | [`AsyncSmtpTransport`] for `Tokio1Executor` |
//! | `async-std1` | [`AsyncSmtpTransport`] for `AsyncStd1Executor` |
//! | `aws-lc-rs` (default), `ring` | who does the cryptography; `ring` halves the time of a build |
//! | `platform-verifier` (default), `webpki-roots` | which certificates are trusted |
//! | `scram` (default), `simd` (default), `cram-md5`, `tracing` | as in postwire's adapters |
//! | `serde`, `mime03`, `file-transport`, `file-transport-envelope`, `sendmail-transport` | as in lettre |
//!
//! lettre's `builder` is always on. Its `dkim`, which needs a crate with an unresolved advisory
//! (RUSTSEC-2023-0071), can be switched on by depending on lettre beside this crate.
//!
//! This crate contains no rule of the protocol, and no socket. It translates types.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[doc = include_str!("../MOVING.md")]
pub mod moving {}

mod smtp;
pub mod transport;

#[cfg(all(
    feature = "file-transport",
    any(feature = "tokio1", feature = "async-std1")
))]
pub use lettre::AsyncFileTransport;
#[cfg(all(
    feature = "sendmail-transport",
    any(feature = "tokio1", feature = "async-std1")
))]
pub use lettre::AsyncSendmailTransport;
#[cfg(feature = "async-std1")]
pub use lettre::AsyncStd1Executor;
#[cfg(any(feature = "tokio1", feature = "async-std1"))]
pub use lettre::AsyncTransport;
#[cfg(feature = "file-transport")]
pub use lettre::FileTransport;
#[cfg(feature = "sendmail-transport")]
pub use lettre::SendmailTransport;
#[cfg(feature = "tokio1")]
pub use lettre::Tokio1Executor;
pub use lettre::{Address, Message, Transport, address, error, message};
/// The blocking adapter of postwire, whose transport is below [`SmtpTransport`].
pub use postwire_blocking as postwire;

pub use smtp::SmtpTransport;
#[cfg(any(feature = "tokio1", feature = "async-std1"))]
pub use smtp::{AsyncSmtpTransport, Executor};
