//! Serialisation of the configuration (feature `serde`): what a configuration file contains is read
//! and written, and a finished configuration is written for diagnostics. Secrets are never written.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use postwire_proto::{ClientConfig, Security};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::url::WithoutUser;
use crate::{PoolConfig, ServerUrl, SocketOptions, TransportConfig};

impl Serialize for ServerUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&WithoutUser(self))
    }
}

impl<'de> Deserialize<'de> for ServerUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(UrlVisitor)
    }
}

/// Reads a URL with its parser, whose errors never repeat it.
struct UrlVisitor;

impl Visitor<'_> for UrlVisitor {
    type Value = ServerUrl;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the URL of a server, such as smtps://mail.example.org")
    }

    fn visit_str<E: de::Error>(self, url: &str) -> Result<ServerUrl, E> {
        ServerUrl::parse(url).map_err(E::custom)
    }
}

#[derive(Serialize)]
struct ConfigFields<'a> {
    host: &'a str,
    port: u16,
    unix_socket: Option<&'a Path>,
    addresses: Option<&'a [SocketAddr]>,
    tls: Security,
    /// Whether the sessions log in.
    logs_in: bool,
    client: &'a ClientConfig,
    pool: &'a PoolConfig,
    socket: &'a SocketOptions,
    #[serde(with = "postwire_proto::seconds::option")]
    timeout: Option<Duration>,
}

impl Serialize for TransportConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ConfigFields {
            host: self.host(),
            port: self.port(),
            unix_socket: self.unix_socket(),
            addresses: self.addresses(),
            tls: self.tls().security(),
            logs_in: self.client.credentials.is_some() || self.late_credentials.is_some(),
            client: &self.client,
            pool: self.pool(),
            socket: self.socket_options(),
            timeout: self.timeout(),
        }
        .serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use postwire_proto::{Credentials, Timeouts};
    use serde_json::json;

    use super::*;
    use crate::TransportBuilder;

    #[derive(Debug, Deserialize, Serialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        server: ServerUrl,
        #[serde(default)]
        timeouts: Timeouts,
        #[serde(default)]
        pool: PoolConfig,
    }

    #[test]
    fn a_configuration_file() {
        let file: File = serde_json::from_value(json!({
            "server": "smtp://alice:correct%20horse@mail.example.org:2587?tls=required",
            "timeouts": {"connect": 5, "overall": 0.5},
            "pool": {"max_connections": 2, "acquire_timeout": null},
        }))
        .unwrap();
        assert_eq!(file.server.port(), 2587);
        assert_eq!(
            file.server.credentials(),
            Some(&Credentials::new("alice", "correct horse"))
        );
        let timeouts = Timeouts::default()
            .connect(Duration::from_secs(5))
            .overall(Some(Duration::from_millis(500)));
        assert_eq!(file.timeouts, timeouts);
        let pool = PoolConfig::default()
            .max_connections(2)
            .acquire_timeout(None);
        assert_eq!(file.pool, pool);

        let written = serde_json::to_string(&file).unwrap();
        assert!(
            !written.contains("alice") && !written.contains("horse"),
            "{written}"
        );
        let again: File = serde_json::from_str(&written).unwrap();
        assert_eq!(
            again.server.to_string(),
            "smtp://mail.example.org:2587?tls=required"
        );
        assert_eq!((again.timeouts, again.pool), (timeouts, pool));
    }

    #[test]
    fn mistakes_are_errors_that_do_not_repeat_a_url() {
        for (file, why) in [
            (json!({"server": "smtp://a:secret horse@b"}), "octet 15"),
            (json!({"server": "secret://b"}), "smtp"),
            (
                json!({"server": 25}),
                "the URL of a server, such as smtps://mail.example.org",
            ),
            (
                json!({"server": "smtp://b", "pool": {"max_connection": 2}}),
                "unknown field",
            ),
            (
                json!({"server": "smtp://b", "timeouts": {"connect": -1}}),
                "from 0",
            ),
            (
                json!({"server": "smtp://b", "timeouts": {"connect": "5"}}),
                "number of seconds",
            ),
        ] {
            let error = serde_json::from_value::<File>(file)
                .unwrap_err()
                .to_string();
            assert!(error.contains(why), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_time_without_limit_is_read_again() {
        let pool = PoolConfig::default().idle_timeout(Duration::MAX);
        let written = serde_json::to_string(&pool).unwrap();
        assert_eq!(serde_json::from_str::<PoolConfig>(&written).unwrap(), pool);
    }

    #[test]
    fn a_finished_configuration_shows_no_secret() {
        let config: TransportConfig = TransportBuilder::unencrypted_localhost()
            .credentials(Credentials::new("alice", "correct horse"))
            .timeout(Some(Duration::from_secs(30)))
            .build()
            .unwrap();
        let written = serde_json::to_value(&config).unwrap();
        assert_eq!(written["host"], "localhost");
        assert_eq!(written["tls"], "none");
        assert_eq!(written["logs_in"], true);
        assert_eq!(written["timeout"], 30);
        assert_eq!(written["client"]["pipelining"], "careful");
        let written = written.to_string();
        assert!(
            !written.contains("alice") && !written.contains("horse"),
            "{written}"
        );
    }
}
