//! Credentials that are fetched when they are needed, and renewed once.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use postwire_server::ServerConfig;
use postwire_tls::ServerTls;
use postwire_tls::proto::{Credentials, Error, ErrorKind, Stage, Timeouts};
use postwire_transport::CredentialsSource;

use super::{assert_accepted, bob, config_with_all_extensions, error, message, url};
use crate::Adapter;
use crate::server::{Embedded, PASSWORD, USER};

fn wants_a_password() -> ServerConfig {
    config_with_all_extensions()
        .auth_in_plaintext(true)
        .require_auth(true)
}

/// A wrong password at first, and the right one after a refusal; both come from another thread.
fn stale_then_fresh(asked: &Arc<AtomicUsize>) -> CredentialsSource {
    let asked = Arc::clone(asked);
    CredentialsSource::awaiting(move |refused: Option<Error>| {
        asked.fetch_add(1, Ordering::Relaxed);
        let password = match refused {
            None => "stale",
            Some(error) => {
                let code = error.reply().map(|reply| reply.code().get());
                assert_eq!((error.stage(), code), (Stage::Auth, Some(535)));
                PASSWORD
            }
        };
        elsewhere(Credentials::new(USER, password))
    })
}

/// Credentials that another thread provides after a while.
async fn elsewhere(credentials: Credentials) -> io::Result<Credentials> {
    let waiting: Arc<Mutex<Option<Waker>>> = Arc::default();
    let mut credentials = Some(credentials);
    let mut begun = false;
    std::future::poll_fn(move |cx| {
        if begun {
            return Poll::Ready(credentials.take().ok_or(io::ErrorKind::Other.into()));
        }
        begun = true;
        *waiting.lock().unwrap() = Some(cx.waker().clone());
        let waiting = Arc::clone(&waiting);
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            let waker = waiting.lock().unwrap().take();
            waker.inspect(Waker::wake_by_ref);
        });
        Poll::Pending
    })
    .await
}

pub(super) fn renewed(adapter: &dyn Adapter) {
    let server = Embedded::start(wants_a_password(), ServerTls::None);
    let asked = Arc::default();
    let config = url("none", server.port())
        .client(|client| client.allow_plaintext_auth(true))
        .late_credentials(stale_then_fresh(&asked))
        .build()
        .unwrap();
    let messages = vec![(bob(), message().into()), (bob(), message().into())];
    for report in adapter.send_all(config, messages) {
        assert_accepted(&report);
    }
    assert_eq!(server.recording().stored.len(), 2);
    // Asked once without and once with a refusal, over one connection.
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

pub(super) fn not_had(adapter: &dyn Adapter) {
    let server = Embedded::start(wants_a_password(), ServerTls::None);
    let config = |source| {
        url("none", server.port())
            .client(|client| client.allow_plaintext_auth(true))
            .late_credentials(source)
            .timeouts(Timeouts::default().capped(Duration::from_millis(300)))
            .build()
            .unwrap()
    };
    let fails = CredentialsSource::new(|_| Err(io::Error::other("the issuer is down")));
    let report = adapter.send(config(fails), &bob(), message().into());
    assert!(
        matches!(error(&report), (Stage::Auth, ErrorKind::Credentials(why))
            if why.to_string().contains("the issuer is down")),
        "{report}"
    );
    let never = CredentialsSource::awaiting(|_| std::future::pending::<io::Result<_>>());
    let report = adapter.send(config(never), &bob(), message().into());
    assert!(
        matches!(error(&report), (Stage::Auth, ErrorKind::TimedOut)),
        "{report}"
    );
    assert!(server.recording().stored.is_empty());
}
