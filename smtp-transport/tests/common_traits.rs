//! The public types of the configuration have the traits that programs expect of values.

use std::error::Error;
use std::fmt::{Debug, Display};
use std::str::FromStr;

use postwire_transport::{
    ConfigError, ConnectError, CredentialsSource, PoolConfig, ServerUrl, SocketOptions,
    TransportBuilder, TransportConfig, UrlError, UrlPart,
};

fn is_shared<T: Debug + Send + Sync + 'static>() {}
fn is_cloned<T: Clone>() {}
fn is_compared<T: Eq>() {}
fn is_text<T: Display + FromStr>() {}
fn is_error<T: Error + Send + Sync + 'static>() {}

#[test]
fn configurations_and_errors_have_the_common_traits() {
    is_shared::<TransportConfig>();
    is_shared::<TransportBuilder<TransportConfig>>();
    is_shared::<CredentialsSource>();
    is_shared::<PoolConfig>();
    is_shared::<SocketOptions>();
    is_shared::<ServerUrl>();
    is_shared::<UrlPart>();

    is_cloned::<TransportConfig>();
    is_cloned::<TransportBuilder<TransportConfig>>();
    is_cloned::<CredentialsSource>();
    is_cloned::<PoolConfig>();
    is_cloned::<SocketOptions>();
    is_cloned::<ServerUrl>();
    is_cloned::<UrlError>();

    is_compared::<PoolConfig>();
    is_compared::<SocketOptions>();
    is_compared::<ServerUrl>();
    is_compared::<UrlError>();
    is_compared::<UrlPart>();

    is_text::<ServerUrl>();
    is_error::<UrlError>();
    is_error::<ConfigError>();
    is_error::<ConnectError>();
}

#[test]
fn equal_urls_are_equal_and_another_password_makes_another() {
    let url = |text: &str| ServerUrl::parse(text).ok();
    let written_out = url("smtp://alice:secret@mail.example:587?tls=required");
    assert_eq!(
        written_out,
        url("smtp://alice:secret@mail.example:587?tls=required")
    );
    assert_ne!(
        written_out,
        url("smtp://alice:other@mail.example:587?tls=required")
    );
}
