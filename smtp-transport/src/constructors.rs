//! The constructors that every adapter's transport has.

/// The five ways to configure a transport, as functions of the type in whose `impl` block this
/// stands. For adapters, so that none of them differs.
#[doc(hidden)]
#[macro_export]
macro_rules! transport_constructors {
    () => {
        /// TLS from the first byte on port 465.
        ///
        /// [More on this.](crate::transport::TransportBuilder::relay)
        ///
        /// # Errors
        ///
        /// `host` is neither a name nor an address.
        pub fn relay(
            host: impl Into<String>,
        ) -> Result<$crate::TransportBuilder<Self>, $crate::ConfigError> {
            $crate::TransportBuilder::relay(host)
        }

        /// STARTTLS, or nothing is sent, on port 587.
        ///
        /// [More on this.](crate::transport::TransportBuilder::starttls_relay)
        ///
        /// # Errors
        ///
        /// `host` is neither a name nor an address.
        pub fn starttls_relay(
            host: impl Into<String>,
        ) -> Result<$crate::TransportBuilder<Self>, $crate::ConfigError> {
            $crate::TransportBuilder::starttls_relay(host)
        }

        /// Plaintext to port 25 of this machine.
        ///
        /// [More on this.](crate::transport::TransportBuilder::unencrypted_localhost)
        pub fn unencrypted_localhost() -> $crate::TransportBuilder<Self> {
            $crate::TransportBuilder::unencrypted_localhost()
        }

        /// What a URL says.
        ///
        /// [More on this.](crate::transport::TransportBuilder::from_url)
        ///
        /// # Errors
        ///
        /// What is wrong with the URL.
        pub fn from_url(
            url: impl AsRef<str>,
        ) -> Result<$crate::TransportBuilder<Self>, $crate::ConfigError> {
            $crate::TransportBuilder::from_url(url)
        }

        /// Plaintext until told otherwise.
        ///
        /// [More on this.](crate::transport::TransportBuilder::builder_dangerous)
        pub fn builder_dangerous(host: impl Into<String>) -> $crate::TransportBuilder<Self> {
            $crate::TransportBuilder::builder_dangerous(host)
        }
    };
}
