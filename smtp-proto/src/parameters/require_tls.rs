//! TLS on the whole way (REQUIRETLS, RFC 8689).
//!
//! An error before `MAIL` unless the server offers it and this very session is under TLS with a
//! verified certificate (RFC 8689 §4.2.1): whoever only encrypts may encrypt for anybody. The
//! offer itself counts only if it was made under TLS, which the session sees to by forgetting
//! what was offered before.

use super::{MailParameter, Parameter, Peer, Rule};
use crate::{ErrorKind, TlsInfo};

static REQUIRETLS: Rule = Rule {
    extension: "REQUIRETLS",
    check: Some(is_verified),
};

/// `REQUIRETLS`: no server on the way may pass the message on without verified TLS.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequireTls;

impl From<RequireTls> for MailParameter {
    fn from(_: RequireTls) -> Self {
        Parameter::known(&REQUIRETLS, false, "REQUIRETLS", None).into()
    }
}

fn is_verified(_: &str, peer: Peer<'_>) -> Result<(), ErrorKind> {
    if peer.tls.is_some_and(TlsInfo::is_certificate_verified) {
        Ok(())
    } else {
        Err(ErrorKind::VerifiedTlsRequired)
    }
}
