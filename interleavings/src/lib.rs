//! Model checking of the waiting: the threads and the tasks that share a transport, in many orders,
//! under shuttle.
//!
//! All sends of a transport meet at one lock, and wake one another outside of it. Here they run on threads
//! that shuttle interrupts at each lock, wait and waker, in a random order. No time passes: a thread that
//! nobody wakes waits for ever, and shuttle reports that. After each schedule, the reports are compared with
//! what the servers took, and the pool must be unused.
//!
//! What is tested are the sources of the product. `transport/` is `postwire-transport` with the locks of
//! shuttle, `clock/` the same with a clock that only a test moves, and `futures/` is `postwire-futures` over
//! it. The files of `postwire-blocking` are part of this crate, except those that know the system.

#[path = "../../runtime-blocking/src/connection.rs"]
mod connection;
#[path = "../../runtime-blocking/src/driver.rs"]
mod driver;
#[path = "../../runtime-blocking/src/send.rs"]
mod send;
#[expect(unused_imports, reason = "the adapter's own sockets use a macro of it")]
#[path = "../../runtime-blocking/src/stream.rs"]
mod stream;

// In the place of the files that know the system.
mod connect;
mod park;
mod socket;

pub mod accounts;
pub mod network;
pub mod schedules;
pub mod tasks;
pub mod threads;
mod upset;
pub mod world;

pub use connection::Connection;
pub use driver::Driver;
pub use postwire_transport::adapter::{Chunks, chunks};
pub use postwire_transport::{self as transport, proto};
pub use send::{SendAll, Transport};
pub use socket::Socket;
pub use stream::Stream;
