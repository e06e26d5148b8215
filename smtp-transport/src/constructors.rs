//! The constructors that every adapter's transport has.

/// Defines the five constructors of a builder in an `impl` block of an adapter's transport, so
/// that all adapters have the same ones.
#[doc(hidden)]
#[macro_export]
macro_rules! transport_constructors {
    () => {
        /// Configures TLS from the first byte, on port 465.
        ///
        /// See [`TransportBuilder::relay`](crate::transport::TransportBuilder::relay).
        ///
        /// # Errors
        ///
        /// `InvalidHost` if `host` is neither a DNS name in ASCII nor an IP address.
        pub fn relay(
            host: impl Into<String>,
        ) -> Result<$crate::TransportBuilder<Self>, $crate::ConfigError> {
            $crate::TransportBuilder::relay(host)
        }

        /// Configures mandatory STARTTLS on port 587.
        ///
        /// See [`TransportBuilder::starttls_relay`](crate::transport::TransportBuilder::starttls_relay).
        ///
        /// # Errors
        ///
        /// `InvalidHost` if `host` is neither a DNS name in ASCII nor an IP address.
        pub fn starttls_relay(
            host: impl Into<String>,
        ) -> Result<$crate::TransportBuilder<Self>, $crate::ConfigError> {
            $crate::TransportBuilder::starttls_relay(host)
        }

        /// Configures plaintext to port 25 of this machine.
        ///
        /// See [`TransportBuilder::unencrypted_localhost`](crate::transport::TransportBuilder::unencrypted_localhost).
        pub fn unencrypted_localhost() -> $crate::TransportBuilder<Self> {
            $crate::TransportBuilder::unencrypted_localhost()
        }

        /// Configures the server that a URL names.
        ///
        /// See [`TransportBuilder::from_url`](crate::transport::TransportBuilder::from_url).
        ///
        /// # Errors
        ///
        /// `Url` if the URL is invalid.
        pub fn from_url(
            url: impl AsRef<str>,
        ) -> Result<$crate::TransportBuilder<Self>, $crate::ConfigError> {
            $crate::TransportBuilder::from_url(url)
        }

        /// Configures plaintext on port 25, unless the builder's settings change that.
        ///
        /// See [`TransportBuilder::builder_dangerous`](crate::transport::TransportBuilder::builder_dangerous).
        pub fn builder_dangerous(host: impl Into<String>) -> $crate::TransportBuilder<Self> {
            $crate::TransportBuilder::builder_dangerous(host)
        }
    };
}
