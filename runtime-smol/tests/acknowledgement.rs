//! The option `TCP_QUICKACK` of the sockets.
#![cfg(any(target_os = "linux", target_os = "android"))]

mod executor;

use postwire_scenarios::acknowledgement::option;
use postwire_smol::Socket;
use socket2::SockRef;

fn socket(socket: &Socket) -> SockRef<'_> {
    match socket {
        Socket::Tcp(stream) => SockRef::from(stream),
        Socket::Unix(stream) => SockRef::from(stream),
    }
}

#[test]
fn the_runtime_sets_the_option_of_its_sockets() {
    option::check::<executor::Smol>(socket);
}
