//! Errors of a transport's configuration, found before a connection is made.
//!
//! Knows nothing about a running session, which reports its own failures. No message contains a
//! secret.

use core::error::Error;
use core::fmt;

use postwire_tls::TlsError;

use crate::UrlError;

/// Why a [`TransportBuilder`](crate::TransportBuilder) cannot be created or cannot build.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// The host is neither a DNS name in ASCII nor an IP address.
    InvalidHost,
    /// The port is 0.
    InvalidPort,
    /// The server's URL is invalid.
    Url(UrlError),
    /// The TLS parameters cannot be built.
    Tls(TlsError),
    /// TLS settings were given to the builder in addition to a finished
    /// [`Tls`](postwire_tls::Tls) value, which cannot be changed.
    TlsAlreadyFinished,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidHost => f.write_str(
                "the host is neither a DNS name in ASCII nor an IP address (a URL is given to \
                 `from_url`)",
            ),
            Self::InvalidPort => f.write_str("the port must not be 0"),
            Self::Url(error) => error.fmt(f),
            Self::Tls(error) => error.fmt(f),
            Self::TlsAlreadyFinished => f.write_str(
                "root certificates and other TLS settings cannot be added to finished TLS parameters",
            ),
        }
    }
}

/// `Display` shows the inner error completely, so the source is the source of the inner error.
impl Error for ConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Url(error) => error.source(),
            Self::Tls(error) => error.source(),
            Self::InvalidHost | Self::InvalidPort | Self::TlsAlreadyFinished => None,
        }
    }
}

impl From<TlsError> for ConfigError {
    fn from(error: TlsError) -> Self {
        Self::Tls(error)
    }
}

impl From<UrlError> for ConfigError {
    fn from(error: UrlError) -> Self {
        Self::Url(error)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use postwire_proto as proto;
    use postwire_proto::{ErrorKind, Stage};
    use postwire_tls::rustls;

    use super::*;
    use crate::{ConnectError, ServerUrl};

    /// Checks that a program which prints an error and its sources prints each reason once.
    fn check(error: &dyn Error) {
        let (mut said, mut next) = (error.to_string(), error.source());
        while let Some(source) = next {
            let reason = source.to_string();
            assert!(!said.contains(&reason), "{said}: {reason}");
            said = format!("{said}: {reason}");
            next = source.source();
        }
    }

    #[test]
    fn no_error_repeats_its_source() {
        let disk = || io::Error::other("the disk is gone");
        let mut connect = ConnectError::new("mail.example", 25);
        connect.attempt("192.0.2.1:25".parse().unwrap(), disk());
        let unresolved = ConnectError::unresolved("mail.example", 25, disk());
        for error in [connect, unresolved] {
            check(&error);
            check(&error.into_error());
        }
        for kind in [
            ErrorKind::Transport(Arc::new(disk())),
            ErrorKind::Tls(Arc::new(disk())),
            ErrorKind::Credentials(Arc::new(disk())),
            ErrorKind::Source(Arc::new(disk())),
            ErrorKind::Unsendable(proto::Unsendable::LineTooLong {
                octets: 2,
                limit: 1,
            }),
            ErrorKind::Violation(proto::Violation::StartTlsInjection),
        ] {
            let error = proto::Error::new(Stage::Tls, kind);
            check(&error);
            let envelope = proto::Envelope::new(None, vec!["a@b.example".parse().unwrap()]);
            let report = proto::Report::not_sent(&envelope.unwrap(), error);
            check(&report.into_result().unwrap_err());
        }
        check(&ConfigError::Tls(TlsError::InvalidIdentity(
            rustls::Error::DecryptError,
        )));
        for url in ["smtp://h?tls=maybe", "smtp://h/-", "h"] {
            check(&ConfigError::Url(ServerUrl::parse(url).unwrap_err()));
        }
    }

    /// An error that shows its inner error, and continues with what is behind that one.
    #[derive(Debug)]
    struct Outer;

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("no route")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&ConfigError::InvalidPort)
        }
    }

    #[test]
    fn an_error_that_shows_another_continues_its_chain() {
        let mut connect = ConnectError::new("mail.example", 25);
        connect.attempt("192.0.2.1:25".parse().unwrap(), io::Error::other(Outer));
        let pem = postwire_tls::Certificate::from_pem(b"-----BEGIN CERTIFICATE-----\n!\n");
        let Err(pem) = pem else {
            panic!("no certificate");
        };
        let behind_pem = pem.source().map(ToString::to_string);
        let config = ConfigError::Tls(pem);
        assert_eq!(config.source().map(ToString::to_string), behind_pem);
        let source = connect.source().unwrap();
        assert_eq!(source.to_string(), ConfigError::InvalidPort.to_string());
        assert!(ConfigError::InvalidPort.source().is_none());
    }

    #[test]
    fn each_setting_that_cannot_be_used_is_described() {
        for (error, description) in [
            (
                ConfigError::InvalidHost,
                "the host is neither a DNS name in ASCII nor an IP address (a URL is given to \
                 `from_url`)",
            ),
            (ConfigError::InvalidPort, "the port must not be 0"),
            (
                ConfigError::TlsAlreadyFinished,
                "root certificates and other TLS settings cannot be added to finished TLS \
                 parameters",
            ),
            (
                ConfigError::Tls(TlsError::NoPrivateKey),
                "the PEM text contains no private key",
            ),
        ] {
            assert_eq!(error.to_string(), description);
        }
        let url = ServerUrl::parse("ftp://mail.example").unwrap_err();
        let said = url.to_string();
        assert_eq!(ConfigError::Url(url).to_string(), said);
    }
}
