//! From a name to a connected socket: resolve, then race the addresses
//! (RFC 8305, "happy eyeballs"), all within one deadline. A path is a Unix
//! socket, and no name.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use postwire_tls::proto::{Error, ErrorKind, Stage};
use postwire_tls::{ConnectError, TransportConfig, connection_order};

use crate::Runtime;

/// How long one address is given before the next joins the race (RFC 8305 §5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

type Attempt<'a, S> = Pin<Box<dyn Future<Output = (SocketAddr, io::Result<S>)> + Send + 'a>>;

/// Connects to the server that `config` names.
pub(crate) async fn connect<R: Runtime>(
    runtime: &R,
    config: &TransportConfig,
) -> Result<R::Stream, Error> {
    let mut limit = runtime.sleep(config.timeouts().connect);
    let mut connecting = pin!(resolve_and_race(runtime, config));
    poll_fn(|cx| {
        if let Poll::Ready(connected) = connecting.as_mut().poll(cx) {
            return Poll::Ready(connected.map_err(|error| {
                Error::new(Stage::Connect, ErrorKind::Transport(Arc::new(error)))
            }));
        }
        let timed_out = Pin::new(&mut limit).poll(cx);
        timed_out.map(|()| Err(Error::new(Stage::Connect, ErrorKind::TimedOut)))
    })
    .await
}

async fn resolve_and_race<R: Runtime>(
    runtime: &R,
    config: &TransportConfig,
) -> Result<R::Stream, ConnectError> {
    if let Some(path) = config.unix_socket() {
        let connected = runtime.connect_unix(path).await;
        return connected.map_err(|error| ConnectError::unix_socket(path, error));
    }
    let (host, port) = (config.host(), config.port());
    let addresses = match host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => match runtime.resolve(host, port).await {
            Ok(addresses) => addresses,
            Err(error) => return Err(ConnectError::unresolved(host, port, error)),
        },
    };
    let options = config.socket_options();
    let mut untried = connection_order(addresses, options.local_address).into_iter();
    let mut failed = ConnectError::new(host, port);
    let mut running: Vec<Attempt<'_, R::Stream>> = Vec::new();
    let mut delay: Option<R::Sleep> = None;
    poll_fn(|cx| {
        loop {
            let mut finished = None;
            for (position, attempt) in running.iter_mut().enumerate() {
                if let Poll::Ready(result) = attempt.as_mut().poll(cx) {
                    finished = Some((position, result));
                    break;
                }
            }
            match finished {
                Some((_, (_, Ok(stream)))) => return Poll::Ready(Ok(stream)),
                Some((position, (address, Err(error)))) => {
                    drop(running.swap_remove(position));
                    failed.attempt(address, error);
                    // The next one need not wait for its turn.
                    delay = None;
                    continue;
                }
                None => {}
            }
            let waits = match &mut delay {
                Some(delay) => Pin::new(delay).poll(cx).is_pending(),
                None => false,
            };
            if waits {
                return Poll::Pending;
            }
            match untried.next() {
                Some(address) => {
                    running.push(Box::pin(async move {
                        (address, runtime.connect(address, options).await)
                    }));
                    delay = Some(runtime.sleep(ATTEMPT_DELAY));
                }
                None if running.is_empty() => {
                    let failed = std::mem::replace(&mut failed, ConnectError::new(host, port));
                    return Poll::Ready(Err(failed));
                }
                None => return Poll::Pending,
            }
        }
    })
    .await
}
