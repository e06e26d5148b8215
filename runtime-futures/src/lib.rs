//! The one async driver of postwire: reads and writes at the same time, over any
//! `futures-io` stream, with any [`Runtime`].
//!
//! Most programs want `postwire-smol` or `postwire-async-std`, which name these
//! types for their runtime. A runtime that has no adapter needs the items of
//! [`Runtime`]; a single connection over a stream of one's own needs
//! [`Connection::over`].
//!
//! Nothing here knows what a reply means, when TLS begins or which connection
//! serves whom: that is `postwire-proto` and `postwire-tls`, which the blocking
//! adapter shares.

mod connect;
mod connection;
mod driver;
mod runtime;
mod send;
mod socket;
mod source;

pub use connection::Connection;
pub use driver::Driver;
pub use postwire_transport::{self as transport, proto, tls};
pub use postwire_transport::{SocketOptions, StreamBody};
pub use runtime::Runtime;
pub use send::{SendAll, Transport};
pub use socket::Socket;
pub use source::{Chunks, chunks};
