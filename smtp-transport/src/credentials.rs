//! Credentials that are fetched when a server wants them: tokens, which expire.
//!
//! Knows how they are asked for, in both worlds. Must never know when: the session
//! says so.

use std::fmt;
use std::future::{self, Future};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use postwire_proto::{Credentials, Error, TransportError};

/// Where credentials come from that are not known beforehand, or do not last.
///
/// Asked on each connection that wants to log in, with nothing in hand; and once more
/// with the server's refusal, if it refused what it was given with `535` (RFC 4954
/// §4.2): then something newer is called for than what it had. It is given as long as
/// [`Timeouts::auth`](crate::proto::Timeouts::auth).
///
/// Given to [`TransportBuilder::late_credentials`](crate::TransportBuilder::late_credentials).
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
    /// Asks a function, and waits for it: on an async runtime it must not block for long.
    pub fn new<E>(
        fetch: impl Fn(Option<&Error>) -> Result<Credentials, E> + Send + Sync + 'static,
    ) -> Self
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        Self::awaiting(move |refused| future::ready(fetch(refused.as_ref())))
    }

    /// Asks a function whose answer takes its time. The blocking adapter awaits it on the
    /// thread that sends, so a future that needs a runtime needs one that runs elsewhere.
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

    /// Begins to fetch them; `refused` is why those given before were not taken.
    pub(crate) fn fetch(&self, refused: Option<Error>) -> CredentialsFuture {
        (self.0)(refused)
    }
}

impl fmt::Debug for CredentialsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialsSource")
    }
}

/// Credentials on their way: [`CredentialsSource::fetch`].
// Never locked: it makes the future `Sync`, as the connection that waits for it is.
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
