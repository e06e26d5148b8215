//! What a transport is told beforehand: where the server is, how TLS is done,
//! how the protocol is spoken.
//!
//! A finished value; the builder makes it, the adapters read it. Opens nothing.

use std::path::Path;
use std::sync::Arc;

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use postwire_proto::{ClientConfig, Timeouts};
use postwire_tls::Tls;

use crate::{CredentialsSource, PoolConfig};

/// What is set on a socket, apart from `TCP_NODELAY`, which always is: a flight is
/// one write, and waiting for more would only delay it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketOptions {
    /// The address to connect from; the system's choice by default.
    pub local_address: Option<IpAddr>,
    /// How long a connection is idle before the system sees whether the peer is
    /// still there (`SO_KEEPALIVE`); never by default.
    pub keep_alive: Option<Duration>,
}

impl SocketOptions {
    /// The address to connect from. The system's choice by default.
    #[must_use]
    pub fn local_address(mut self, address: Option<IpAddr>) -> Self {
        self.local_address = address;
        self
    }

    /// Sees after this much idle time whether the server is still there (`SO_KEEPALIVE`).
    /// Never by default.
    #[must_use]
    pub fn keep_alive(mut self, idle: Option<Duration>) -> Self {
        self.keep_alive = idle;
        self
    }
}

/// Everything that an adapter needs in order to connect to one server.
///
/// Made by [`TransportBuilder::build`](crate::TransportBuilder::build). Cheap to
/// clone: what is large is shared. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct TransportConfig {
    pub(crate) host: Arc<str>,
    pub(crate) port: u16,
    pub(crate) unix_socket: Option<Arc<Path>>,
    pub(crate) tls: Tls,
    pub(crate) socket: SocketOptions,
    pub(crate) client: Arc<ClientConfig>,
    pub(crate) late_credentials: Option<CredentialsSource>,
    pub(crate) pool: Arc<PoolConfig>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) addresses: Option<Arc<[SocketAddr]>>,
}

impl TransportConfig {
    /// The host to resolve and connect to: a DNS name or an IP address, an IPv6
    /// one without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port to connect to; never 0.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The Unix socket to connect to, if there is one: host and port then count for
    /// nothing but names.
    pub fn unix_socket(&self) -> Option<&Path> {
        self.unix_socket.as_deref()
    }

    /// The TLS mode and its parameters.
    pub fn tls(&self) -> &Tls {
        &self.tls
    }

    /// Whom to ask when a session wants credentials; nobody by default.
    pub fn late_credentials(&self) -> Option<&CredentialsSource> {
        self.late_credentials.as_ref()
    }

    /// What is set on the socket.
    pub fn socket_options(&self) -> &SocketOptions {
        &self.socket
    }

    /// How the protocol is spoken; its mode is that of [`tls`](Self::tls).
    pub fn client_config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.client)
    }

    /// How many connections there may be, and for how long.
    pub fn pool(&self) -> &PoolConfig {
        &self.pool
    }

    /// How long each stage may take, connecting included.
    pub fn timeouts(&self) -> &Timeouts {
        &self.client.timeouts
    }

    /// The addresses to connect to; `None` where the name is resolved.
    pub fn addresses(&self) -> Option<&[SocketAddr]> {
        self.addresses.as_deref()
    }

    /// How long one `send` may take in all: [`TransportBuilder::timeout`].
    ///
    /// [`TransportBuilder::timeout`]: crate::TransportBuilder::timeout
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }
}
