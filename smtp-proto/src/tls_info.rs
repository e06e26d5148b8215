//! What the protocol learns about the TLS session below it.
//!
//! Knows names to show and the data that binds an authentication to the channel. Must never
//! know certificates, keys or a TLS library.

use alloc::borrow::Cow;

use crate::ChannelBinding;

/// An established TLS session, described by the layer that established it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsInfo {
    version: Cow<'static, str>,
    cipher: Cow<'static, str>,
    channel_binding: Option<ChannelBinding>,
    certificate_verified: bool,
    resumed: bool,
}

impl TlsInfo {
    /// Describes a session by the names of its protocol version and cipher suite, such as
    /// `TLSv1.3` and `TLS13_AES_256_GCM_SHA384`, without channel binding.
    pub fn new(
        version: impl Into<Cow<'static, str>>,
        cipher: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            version: version.into(),
            cipher: cipher.into(),
            channel_binding: None,
            certificate_verified: false,
            resumed: false,
        }
    }

    /// Adds the channel binding, for SASL mechanisms that use it (RFC 5056).
    #[must_use]
    pub fn with_channel_binding(self, channel_binding: ChannelBinding) -> Self {
        Self {
            channel_binding: Some(channel_binding),
            ..self
        }
    }

    /// Sets whether the peer's certificate was verified: it leads to a trusted root and names
    /// the expected host. `false` by default.
    #[must_use]
    pub fn with_certificate_verified(self, verified: bool) -> Self {
        Self {
            certificate_verified: verified,
            ..self
        }
    }

    /// Sets whether the session resumes an earlier one, which needs no certificate and fewer
    /// octets. `false` by default.
    #[must_use]
    pub fn with_resumed(self, resumed: bool) -> Self {
        Self { resumed, ..self }
    }

    /// The name of the protocol version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The name of the cipher suite.
    pub fn cipher(&self) -> &str {
        &self.cipher
    }

    /// The data that binds an authentication to this session, if the TLS layer provides it.
    pub fn channel_binding(&self) -> Option<&ChannelBinding> {
        self.channel_binding.as_ref()
    }

    /// Whether the peer's certificate was verified.
    pub fn is_certificate_verified(&self) -> bool {
        self.certificate_verified
    }

    /// Whether the session resumes an earlier one (RFC 5246 §7.3, RFC 8446 §2.2). The server then
    /// sends no certificate: the certificate of the earlier session counts.
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;
    use alloc::vec;

    use super::*;

    #[test]
    fn debug_shows_names_but_no_channel_binding() {
        let binding = ChannelBinding::TlsServerEndPoint(vec![77]);
        let info =
            TlsInfo::new("TLSv1.3", String::from("AES")).with_channel_binding(binding.clone());
        assert_eq!((info.version(), info.cipher()), ("TLSv1.3", "AES"));
        assert_eq!(info.channel_binding(), Some(&binding));
        assert!(!format!("{info:?}").contains("77"));
        assert!(!info.is_resumed() && info.with_resumed(true).is_resumed());
    }
}
