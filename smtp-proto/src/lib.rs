//! SMTP and LMTP as pure state machines.
#![no_std]
#![doc(html_root_url = "https://docs.rs/postwire-proto")]

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
mod reply;
mod report;
mod sasl;
mod time;
mod tls_info;

pub use address::{Address, AddressError};
pub(crate) use body::Segment;
pub use body::{Body, Facts, LineEnds, StreamFacts};
pub use capabilities::{Capabilities, CapabilitiesError, Capability, LimitsParameters, SizeLimit};
pub use client::{Client, Event, Output, Speaker, TraceLine};
pub use config::{ClientConfig, Limits, Protocol, Security, Timeouts};
pub use endpoint::{Endpoint, TransportError};
pub use envelope::{Envelope, EnvelopeError, Recipients};
pub use error::{Error, ErrorKind, Misuse, Stage, Unsendable, Violation};
pub use hello::HelloName;
pub use reply::{EnhancedCode, Reply, ReplyCode, ReplyError, ReplyLimits, ReplyReader, ReplyRef};
pub use report::TransactionId;
pub use report::{Outcome, RecipientReport, RecipientStatus, Report, SendError};
pub use sasl::{
    ChannelBinding, Credentials, Exchange, Mechanism, SaslContext, SaslError, Secret,
    UnknownMechanism,
};
#[cfg(feature = "std")]
pub use time::Clock;
pub use time::Instant;
pub use tls_info::TlsInfo;
