//! A web program on axum that sends mail: one transport for all requests, and a shutdown that loses
//! no message.
//!
//! `POST /messages` with `{"to": "bob@example.net", "text": "Hello."}` sends a message. The request
//! waits for the verdict of the mail server, so that its answer is about the message: `200` if it was
//! accepted, `422` if it was refused, `503` if another attempt may succeed, `504` if it may have arrived,
//! `500` if this program has to be corrected (its password, its TLS). Requests that arrive at the same
//! time share connections. A message is sent also if the browser hangs up meanwhile.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use postwire_tokio::Transport;
use postwire_tokio::proto::{Address, Envelope, Flaw, Report, Retry, SendError};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

/// What the requests share. A clone of the transport uses the same connections.
#[derive(Clone)]
struct Application {
    transport: Transport,
    sender: Address,
}

/// A message to send.
#[derive(Deserialize)]
struct Message {
    /// Parsed as it is read: what reaches the program is an address.
    to: Address,
    text: String,
}

/// The answer to a request.
#[derive(Serialize)]
struct Answer {
    /// `accepted`, `rejected`, `not_sent` or `in_doubt`.
    outcome: &'static str,
    /// What the mail server said, or the error.
    text: String,
}

/// Serves requests until `stop` is ready; then finishes those that are under way, and ends the
/// connections to the mail server. Returns the reports on messages that nobody waited for any more.
///
/// # Errors
///
/// An error of the listening socket.
pub async fn serve(
    listener: TcpListener,
    transport: Transport,
    sender: Address,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<Vec<Report>> {
    let application = Application {
        transport: transport.clone(),
        sender,
    };
    let routes = Router::new()
        .route("/messages", post(send))
        .route("/health", get(health))
        .with_state(application);
    let served = axum::serve(listener, routes).with_graceful_shutdown(stop);
    let served = served.await;
    // Only now: a request that is under way may still send.
    let reports = transport.shutdown().await;
    served.map(|()| reports)
}

async fn send(
    State(application): State<Application>,
    Json(message): Json<Message>,
) -> (StatusCode, Json<Answer>) {
    let Application { transport, sender } = application;
    let text = format!(
        "From: {sender}\nTo: {}\nSubject: A message\n\n{}\n",
        message.to, message.text
    );
    let envelope = match Envelope::new(Some(sender), vec![message.to]) {
        Ok(envelope) => envelope,
        Err(error) => {
            let text = error.to_string();
            let outcome = "not_sent";
            return (StatusCode::BAD_REQUEST, Json(Answer { outcome, text }));
        }
    };
    // In a task of its own: the future of a request is dropped if the browser hangs up.
    let sending = tokio::spawn(async move { transport.send(&envelope, text).await });
    let Ok(sent) = sending.await else {
        let text = "the program failed".to_owned();
        let outcome = "in_doubt";
        return (
            StatusCode::INTERNAL_SERVER_ERROR,
            Json(Answer { outcome, text }),
        );
    };
    let (status, report) = match sent {
        Ok(report) => (StatusCode::OK, report),
        Err(error) => {
            let status = match error.retry() {
                Retry::AtOnce(_) | Retry::Later(_) => StatusCode::SERVICE_UNAVAILABLE,
                // The message may have arrived, so the client must not simply repeat the request.
                Retry::InDoubt(_) => StatusCode::GATEWAY_TIMEOUT,
                _ if is_ours(&error) => StatusCode::INTERNAL_SERVER_ERROR,
                _ => StatusCode::UNPROCESSABLE_ENTITY,
            };
            (status, error.into_report())
        }
    };
    let answer = Answer {
        outcome: report.outcome().as_str(),
        text: report.to_string(),
    };
    (status, Json(answer))
}

/// Whether this program or its configuration has to be corrected, whatever the message is.
fn is_ours(error: &SendError) -> bool {
    let flaw = error
        .report()
        .error()
        .and_then(postwire_tokio::proto::Error::flaw);
    flaw.is_some_and(|flaw| !matches!(flaw, Flaw::Content | Flaw::Requirement))
}

/// For a load balancer or a metrics page: the connections to the mail server.
async fn health(State(application): State<Application>) -> String {
    let counters = application.transport.counters();
    format!("{counters:?}\n")
}
