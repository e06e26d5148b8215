//! Connecting to a server: executes the steps of [`Dial`].

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use postwire_transport::TransportConfig;
use postwire_transport::adapter::{ATTEMPT_DELAY, Dial, DialStep};
use postwire_transport::proto::Error;

use crate::Runtime;
use crate::runtime::sleep;

/// A running attempt to connect.
type Attempt<'a, S> = Pin<Box<dyn Future<Output = (SocketAddr, io::Result<S>)> + Send + 'a>>;

/// Connects within the time limit.
pub(crate) async fn connect<R: Runtime>(
    dial: &mut Dial<'_>,
    runtime: &R,
    config: &TransportConfig,
    left: Option<Duration>,
) -> Result<R::Stream, Error> {
    let mut limit = sleep(runtime, dial.limit(left));
    let connected = {
        let mut connecting = pin!(carry_out(dial, runtime, config));
        poll_fn(|cx| match connecting.as_mut().poll(cx) {
            Poll::Ready(connected) => Poll::Ready(Some(connected)),
            Poll::Pending => Pin::new(&mut limit).poll(cx).map(|()| None),
        })
        .await
    };
    connected.unwrap_or_else(|| Err(dial.timed_out()))
}

async fn carry_out<R: Runtime>(
    dial: &mut Dial<'_>,
    runtime: &R,
    config: &TransportConfig,
) -> Result<R::Stream, Error> {
    let mut attempts = Vec::new();
    let mut delay = None;
    loop {
        match dial.next_step() {
            DialStep::Fail(error) => return Err(error),
            DialStep::Resolve(name) => {
                let addresses = runtime.resolve(name.host(), name.port()).await;
                name.resolved(addresses);
            }
            DialStep::ConnectUnix(socket) => match runtime.connect_unix(socket.path()).await {
                Ok(stream) => return Ok(stream),
                Err(error) => socket.failed(error),
            },
            DialStep::Start(address) => {
                let options = config.socket_options();
                let attempt = async move { (address, runtime.connect(address, options).await) };
                attempts.push(Box::pin(attempt) as Attempt<'_, R::Stream>);
                delay = Some(runtime.sleep(ATTEMPT_DELAY));
            }
            DialStep::Wait => match ended::<R>(&mut attempts, &mut delay).await {
                Some((address, Ok(stream))) => {
                    dial.connected(address);
                    return Ok(stream);
                }
                Some((address, Err(error))) => dial.attempt_failed(address, error),
                None => dial.delay_is_over(),
            },
        }
    }
}

/// Waits until an attempt or the timer ends.
async fn ended<R: Runtime>(
    attempts: &mut Vec<Attempt<'_, R::Stream>>,
    delay: &mut Option<R::Sleep>,
) -> Option<(SocketAddr, io::Result<R::Stream>)> {
    poll_fn(|cx| {
        for (position, attempt) in attempts.iter_mut().enumerate() {
            if let Poll::Ready(ended) = attempt.as_mut().poll(cx) {
                drop(attempts.swap_remove(position));
                return Poll::Ready(Some(ended));
            }
        }
        let timer = delay.as_mut().map(Pin::new);
        if timer.is_some_and(|timer| timer.poll(cx).is_ready()) {
            // A timer must not be polled after its end.
            *delay = None;
            return Poll::Ready(None);
        }
        Poll::Pending
    })
    .await
}
