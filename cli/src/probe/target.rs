//! The server to inspect, and the configurations for further sessions with it.
//!
//! A further session never logs in, since servers lock accounts, and is bounded to a short time.

use std::net::SocketAddr;
use std::time::Duration;

use postwire_blocking::proto::{ClientConfig, Error, ErrorKind, Security, Stage};
use postwire_blocking::transport::TransportConfig;

use crate::arguments::server_options::{self, Builder};

/// The time limit of each stage of a further session.
const LIMIT: Duration = Duration::from_secs(10);

/// The time limit for a greeting in plaintext where TLS is spoken from the first octet.
const HOPELESS: Duration = Duration::from_secs(3);

/// The server to inspect.
pub(super) struct Target {
    builder: Builder,
    /// The time limit of each stage.
    pub(super) limit: Duration,
}

impl Target {
    /// The server of this builder, whose configuration is `config`.
    pub(super) fn new(builder: Builder, config: &TransportConfig) -> Self {
        Self {
            builder: builder.client(|client| without_login(client).trace(true)),
            limit: config.timeout().map_or(LIMIT, |timeout| timeout.min(LIMIT)),
        }
    }

    /// The configuration of a session with this address in this mode.
    pub(super) fn config(
        &self,
        mode: Security,
        address: SocketAddr,
    ) -> Result<TransportConfig, Error> {
        self.config_within(mode, address, self.limit)
    }

    /// The same where no greeting is expected.
    pub(super) fn hopeless_config(
        &self,
        mode: Security,
        address: SocketAddr,
    ) -> Result<TransportConfig, Error> {
        self.config_within(mode, address, self.limit.min(HOPELESS))
    }

    fn config_within(
        &self,
        mode: Security,
        address: SocketAddr,
        limit: Duration,
    ) -> Result<TransportConfig, Error> {
        let builder = self.builder.clone().security(mode).addresses([address]);
        match server_options::build(builder.timeout(Some(limit))) {
            Ok(built) => built,
            // The first session has the same settings, and would have failed.
            Err(_) => Err(Error::new(Stage::Connect, ErrorKind::Aborted)),
        }
    }
}

/// The URL for the argument, which may also be `HOST` or `HOST:PORT`. These are inspected as by
/// a server that has mail for them: on port 25, with TLS if it is offered; port 465 has TLS from
/// the first octet.
pub(super) fn url(argument: &str) -> String {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|octet| octet.is_ascii_digit());
    let port = match argument.rsplit_once(':') {
        _ if argument.contains(['/', '@', '?']) => return argument.to_owned(),
        // An IPv6 address in brackets has no port of its own.
        Some((_, port)) if !port.ends_with(']') && is_port(port) => Some(port),
        _ => None,
    };
    match port {
        Some("465") => format!("smtps://{argument}"),
        Some(_) => format!("smtp://{argument}?tls=opportunistic"),
        None => format!("smtp://{argument}:25?tls=opportunistic"),
    }
}

fn without_login(mut client: ClientConfig) -> ClientConfig {
    client.credentials = None;
    client.late_credentials = false;
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_enough() {
        for (argument, meant) in [
            ("mx", "smtp://mx:25?tls=opportunistic"),
            ("mx:2525", "smtp://mx:2525?tls=opportunistic"),
            ("mx:465", "smtps://mx:465"),
            ("[::1]", "smtp://[::1]:25?tls=opportunistic"),
            ("[::1]:587", "smtp://[::1]:587?tls=opportunistic"),
            ("192.0.2.1", "smtp://192.0.2.1:25?tls=opportunistic"),
            ("smtps://mx", "smtps://mx"),
            ("alice:secret@mx", "alice:secret@mx"),
        ] {
            assert_eq!(url(argument), meant);
        }
    }
}
