//! The option `TCP_QUICKACK` of the sockets.
#![cfg(any(target_os = "linux", target_os = "android"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod executor;

use postwire_scenarios::acknowledgement::option;
use postwire_tokio::Socket;
use socket2::SockRef;

fn socket(socket: &Socket) -> SockRef<'_> {
    match socket {
        Socket::Tcp(stream) => SockRef::from(stream.get_ref()),
        Socket::Unix(stream) => SockRef::from(stream.get_ref()),
    }
}

#[test]
fn the_runtime_sets_the_option_of_its_sockets() {
    option::check::<executor::MultiThread>(socket);
}
