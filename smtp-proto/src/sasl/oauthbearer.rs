//! OAUTHBEARER (RFC 7628): an OAuth 2.0 bearer token in one message from the client.
//!
//! Knows the format of the message, and that a challenge after it reports a failure. Must never
//! obtain or refresh a token, or read the server's JSON.

use alloc::boxed::Box;
use alloc::string::String;

use super::gs2::saslname;
use super::{CredentialKind, Exchange, OneMessage, SaslContext, SaslError, Secret, Specification};
use crate::Credentials;

pub(super) static SPECIFICATION: Specification = Specification {
    reveals_secret: true,
    ..Specification::new("OAUTHBEARER", CredentialKind::Token, start)
};

fn start(
    credentials: &Credentials,
    context: &SaslContext<'_>,
) -> Result<Box<dyn Exchange>, SaslError> {
    credentials.check_free_of(1)?;
    // The separator in the host's name would add a field to the message.
    if context.host.contains(['\0', '\x01']) {
        return Err(SaslError::SeparatorInCredentials);
    }
    // The token identifies the user; the name here is the authorization identity (RFC 7628
    // §3.1), and large providers require it to be the user.
    let identity = match credentials.authorization_identity() {
        "" => credentials.user(),
        identity => identity,
    };
    let identity = match identity {
        "" => String::new(),
        identity => alloc::format!("a={}", saslname(identity)),
    };
    let host = match context.host {
        "" => String::new(),
        host => alloc::format!("host={host}\x01"),
    };
    let port = match context.port {
        None => String::new(),
        Some(port) => alloc::format!("port={port}\x01"),
    };
    let message = Secret::concat(&[
        b"n,",
        identity.as_bytes(),
        b",\x01",
        host.as_bytes(),
        port.as_bytes(),
        b"auth=Bearer ",
        credentials.secret().expose(),
        b"\x01\x01",
    ]);
    // RFC 7628 §3.2.3.
    Ok(Box::new(
        OneMessage::new(message).acknowledging_failure(b"\x01"),
    ))
}
