//! The configuration of a transport: the server, TLS, and the protocol.
//!
//! A finished value: the builder creates it and the adapters read it. Must never open a
//! connection.

use std::path::Path;
use std::sync::Arc;

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use postwire_proto::{ClientConfig, Timeouts};
use postwire_tls::Tls;

use crate::{CredentialsSource, PoolConfig};

/// The options of a socket.
///
/// `TCP_NODELAY` is always set: a flight is one write, and a delay would have no benefit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct SocketOptions {
    /// The local address to connect from; chosen by the system by default.
    pub local_address: Option<IpAddr>,
    /// The idle time after which the system checks whether the peer is still reachable
    /// (`SO_KEEPALIVE`); no check by default.
    #[cfg_attr(feature = "serde", serde(with = "postwire_proto::seconds::option"))]
    pub keep_alive: Option<Duration>,
}

impl SocketOptions {
    /// Sets the local address to connect from; chosen by the system by default.
    #[must_use]
    pub fn local_address(mut self, address: Option<IpAddr>) -> Self {
        self.local_address = address;
        self
    }

    /// Sets the idle time after which the system checks whether the server is still reachable
    /// (`SO_KEEPALIVE`); no check by default.
    #[must_use]
    pub fn keep_alive(mut self, idle: Option<Duration>) -> Self {
        self.keep_alive = idle;
        self
    }
}

/// The complete configuration of the connections to one server.
///
/// Created by [`TransportBuilder::build`](crate::TransportBuilder::build). Cheap to clone, because
/// large parts are shared. `Debug` shows no secret.
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
    pub(crate) by_connector: bool,
}

impl TransportConfig {
    /// The host to resolve and connect to: a DNS name or an IP address (IPv6 without brackets).
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port to connect to, which is never 0.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The Unix socket to connect to, if there is one. Host and port are then only names.
    pub fn unix_socket(&self) -> Option<&Path> {
        self.unix_socket.as_deref()
    }

    /// The TLS mode and its parameters.
    pub fn tls(&self) -> &Tls {
        &self.tls
    }

    /// The source of credentials that are fetched when a session needs them, if there is one.
    pub fn late_credentials(&self) -> Option<&CredentialsSource> {
        self.late_credentials.as_ref()
    }

    /// The socket options.
    pub fn socket_options(&self) -> &SocketOptions {
        &self.socket
    }

    /// The settings of the protocol. Their TLS mode is that of [`tls`](Self::tls).
    pub fn client_config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.client)
    }

    /// The settings of the pool: the number and lifetime of connections.
    pub fn pool(&self) -> &PoolConfig {
        &self.pool
    }

    /// The time limits of the stages, including that of connecting.
    pub fn timeouts(&self) -> &Timeouts {
        &self.client.timeouts
    }

    /// The addresses to connect to; `None` if the name of the host is to be resolved.
    pub fn addresses(&self) -> Option<&[SocketAddr]> {
        self.addresses.as_deref()
    }

    /// For adapters: a function of the program makes the connections. Nothing is resolved, and
    /// addresses, Unix socket and socket options have no effect.
    #[must_use]
    pub fn by_connector(mut self) -> Self {
        self.by_connector = true;
        self
    }

    /// The limit on the total time of one `send`: [`TransportBuilder::timeout`].
    ///
    /// [`TransportBuilder::timeout`]: crate::TransportBuilder::timeout
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }
}
