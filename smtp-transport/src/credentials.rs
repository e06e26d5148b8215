//! Credentials that are fetched when a session needs them, such as tokens, which expire.
//!
//! Knows how to fetch them, blocking or async. Must never know when: the session decides that.

use std::fmt;
use std::future::{self, Future};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use postwire_proto::{Credentials, Error, TransportError};

/// A source of credentials that are not known in advance, or that expire.
///
/// Each connection that authenticates calls the source once, without an error. If the server
/// refuses the credentials with `535` (RFC 4954 §4.2), the connection calls the source again,
/// with that error, for newer ones. The time limit is
/// [`Timeouts::auth`](crate::proto::Timeouts::auth). If the server ends the session in the
/// meantime, an async adapter stops waiting at once, and the blocking one when the source returns.
///
/// Set with [`TransportBuilder::late_credentials`](crate::TransportBuilder::late_credentials).
/// Cheap to clone.
///
/// ```
/// use postwire_transport::CredentialsSource;
/// use postwire_transport::proto::{Credentials, Error};
///
/// # fn token_from_cache() -> std::io::Result<String> { Ok("fresh".to_owned()) }
/// # fn token_from_issuer() -> std::io::Result<String> { Ok("fresh".to_owned()) }
/// let source = CredentialsSource::new(|refused: Option<&Error>| {
///     let token = match refused {
///         None => token_from_cache()?,
///         Some(_) => token_from_issuer()?,
///     };
///     Ok::<_, std::io::Error>(Credentials::token("alice@example.org", token))
/// });
/// ```
#[derive(Clone)]
pub struct CredentialsSource(Arc<Fetch>);

type Fetch = dyn Fn(Option<Error>) -> CredentialsFuture + Send + Sync;

type Fetched = Result<Credentials, TransportError>;

impl CredentialsSource {
    /// Creates a source that calls a function. On an async runtime the function must not block
    /// for long.
    pub fn new<E>(
        fetch: impl Fn(Option<&Error>) -> Result<Credentials, E> + Send + Sync + 'static,
    ) -> Self
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        Self::awaiting(move |refused| future::ready(fetch(refused.as_ref())))
    }

    /// Creates a source that calls a function which returns a future.
    ///
    /// The blocking adapter waits for the future on the sending thread, so a future that needs a
    /// runtime needs one that runs on another thread.
    pub fn awaiting<F, E>(fetch: impl Fn(Option<Error>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Credentials, E>> + Send + 'static,
        E: std::error::Error + Send + Sync + 'static,
    {
        Self(Arc::new(move |refused| {
            let fetched = fetch(refused);
            CredentialsFuture(Mutex::new(Box::pin(async move {
                fetched
                    .await
                    .map_err(|error| Arc::new(error) as TransportError)
            })))
        }))
    }

    /// Begins to fetch credentials. `refused` is the error for the previous ones.
    pub(crate) fn fetch(&self, refused: Option<Error>) -> CredentialsFuture {
        (self.0)(refused)
    }
}

impl fmt::Debug for CredentialsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialsSource")
    }
}

/// Credentials that are being fetched: [`CredentialsSource::fetch`].
// The mutex is never locked. It makes the future `Sync`, which the connection must be.
pub(crate) struct CredentialsFuture(Mutex<Pin<Box<dyn Future<Output = Fetched> + Send>>>);

impl Future for CredentialsFuture {
    type Output = Fetched;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Fetched> {
        let fetched = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        fetched.as_mut().poll(cx)
    }
}

impl fmt::Debug for CredentialsFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialsFuture")
    }
}
