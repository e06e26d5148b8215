//! Connecting, in the place of `connect.rs` of the adapter: a function of the program makes each
//! connection, on the same thread.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use postwire_transport::TransportConfig;
use postwire_transport::adapter::{Dial, DialStep};
use postwire_transport::proto::Error;

use crate::network::Wire;
use crate::{Socket, Stream, threads};

/// A function of the program that makes connections, which nothing here uses.
pub(crate) type Connector =
    Arc<dyn Fn() -> io::Result<Box<dyn Stream + Send + Sync>> + Send + Sync>;

/// Connects to a server of the present world.
pub(crate) fn connect(
    dial: &mut Dial<'_>,
    _config: &TransportConfig,
    _connector: Option<&Connector>,
    _left: Option<Duration>,
) -> Result<Socket, Error> {
    loop {
        match dial.next_step() {
            DialStep::Fail(error) => return Err(error),
            DialStep::ConnectUnix(socket) => match Wire::connect(&threads::network()) {
                Ok(wire) => return Ok(Socket::new(wire)),
                Err(error) => socket.failed(error),
            },
            step => unreachable!("a connector has no addresses: {step:?}"),
        }
    }
}
