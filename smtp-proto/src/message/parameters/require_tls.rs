//! TLS on every hop (REQUIRETLS, RFC 8689).
//!
//! The message fails before `MAIL` unless the server offers the extension and this session uses
//! TLS with a verified certificate (RFC 8689 §4.2.1): without verification the peer could be
//! anybody. Only an offer made under TLS counts; the session ensures this by discarding the
//! capabilities that were announced before TLS.

use super::{MailParameter, Parameter, ParameterRule, ServerProperties};
use crate::{ErrorKind, TlsInfo};

static REQUIRETLS: ParameterRule = ParameterRule {
    extension: "REQUIRETLS",
    check: Some(is_verified),
};

/// `REQUIRETLS`: no server may pass the message on without verified TLS.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequireTls;

impl From<RequireTls> for MailParameter {
    fn from(_: RequireTls) -> Self {
        Parameter::known(&REQUIRETLS, false, "REQUIRETLS", None).into()
    }
}

fn is_verified(_: &str, server: ServerProperties<'_>) -> Result<(), ErrorKind> {
    if server.tls.is_some_and(TlsInfo::is_certificate_verified) {
        Ok(())
    } else {
        Err(ErrorKind::VerifiedTlsRequired)
    }
}
