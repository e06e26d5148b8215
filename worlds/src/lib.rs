//! Random worlds: the client, a reference server that shares no code with it, and a wire between
//! them that cuts, breaks and falls silent.
//!
//! Each world follows from one number, so that a failure can be repeated. After a run,
//! [`postwire_reference::judge`] compares what the client reports with what the server took, and the
//! server's list of offences says what the client did wrong on the way.
//!
//! For the tests and the fuzzers of this project.

pub mod cells;
pub mod choices;
pub mod dispatch;
pub mod meeting;
pub mod messages;
pub mod oracle;
pub mod peer;
pub mod record;
pub mod runs;
pub mod scene;
pub mod secured;
pub mod session;
pub mod sockets;
