//! The settings collected by a builder, and the configuration that results from them. Must never
//! connect to anything.

use std::path::Path;
use std::sync::Arc;

use core::net::SocketAddr;
use core::time::Duration;

use postwire_proto::{ClientConfig, Security};

use postwire_tls::{Tls, TlsError, TlsParametersBuilder, server_name, without_brackets};

use crate::url::default_port;
use crate::{ConfigError, CredentialsSource, PoolConfig, SocketOptions, TransportConfig};

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) host: String,
    pub(super) port: Option<u16>,
    pub(super) unix_socket: Option<Arc<Path>>,
    pub(super) addresses: Option<Arc<[SocketAddr]>>,
    pub(super) mode: Security,
    pub(super) tls_parameters: TlsParametersBuilder,
    pub(super) tls_parameters_were_set: bool,
    /// Finished TLS parameters of the caller, which replace the mode and parameters above.
    pub(super) finished_tls: Option<Tls>,
    pub(super) socket: SocketOptions,
    /// The protocol settings, except the TLS mode, the host, the port and the cap on timeouts,
    /// which `build` sets.
    pub(super) client: ClientConfig,
    pub(super) late_credentials: Option<CredentialsSource>,
    pub(super) timeout: Option<Duration>,
    pub(super) pool: PoolConfig,
}

impl Settings {
    pub(super) fn finish(self) -> Result<TransportConfig, ConfigError> {
        if server_name(&self.host).is_none() {
            return Err(ConfigError::InvalidHost);
        }
        let tls = match self.finished_tls {
            None => make_tls(self.mode, self.tls_parameters)?,
            Some(tls) if self.tls_parameters_were_set && tls.parameters().is_some() => {
                return Err(ConfigError::TlsAlreadyFinished);
            }
            Some(tls) => tls,
        };
        let port = match self.port {
            Some(0) => return Err(ConfigError::InvalidPort),
            Some(port) => port,
            None => default_port(self.client.protocol, tls.security()),
        };
        let timeouts = self.client.timeouts.clone();
        let timeouts = match self.timeout {
            Some(cap) => timeouts.capped(cap),
            None => timeouts,
        };
        let host = without_brackets(&self.host);
        let client = self
            .client
            .security(tls.security())
            .host(host)
            .port(port)
            .timeouts(timeouts);
        Ok(TransportConfig {
            host: Arc::from(host),
            port,
            unix_socket: self.unix_socket,
            addresses: self.addresses,
            by_connector: false,
            tls,
            socket: self.socket,
            client: Arc::new(client),
            late_credentials: self.late_credentials,
            pool: Arc::new(self.pool),
            timeout: self.timeout,
        })
    }
}

fn make_tls(mode: Security, parameters: TlsParametersBuilder) -> Result<Tls, TlsError> {
    Ok(match mode {
        Security::None => Tls::None,
        Security::Opportunistic => Tls::Opportunistic(parameters.build()?),
        Security::Required => Tls::Required(parameters.build()?),
        Security::Wrapper => Tls::Wrapper(parameters.build()?),
    })
}
