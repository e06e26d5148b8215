//! The option `TCP_QUICKACK` of the sockets.
#![cfg(any(target_os = "linux", target_os = "android"))]

mod executor;

use postwire_scenarios::acknowledgement::sets_the_option;
use postwire_tokio::Socket;
use socket2::SockRef;

fn option(socket: &Socket) -> SockRef<'_> {
    match socket {
        Socket::Tcp(stream) => SockRef::from(stream.get_ref()),
        Socket::Unix(stream) => SockRef::from(stream.get_ref()),
    }
}

#[test]
fn the_runtime_sets_the_option_of_its_sockets() {
    sets_the_option::<executor::MultiThread>(option);
}
