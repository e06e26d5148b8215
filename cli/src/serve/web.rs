//! The web page of `serve`, and its JSON API.
//!
//! A thread of its own answers the requests, one at a time. Must never touch the SMTP server:
//! both only share the [`Inbox`].

mod api;
mod guard;
mod html;
pub(crate) mod message;
mod parts;
mod search;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use axum::Router;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::get;

use crate::print::output::print_error;
use crate::serve::inbox::Inbox;
use crate::serve::listener;

/// The policy of the page: its own script and style, its own requests, and the frame of a
/// message. Trusted Types forbid the page to turn text into HTML or script.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self'; img-src data:; frame-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// A web server that listens.
pub(crate) struct Web {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
    runtime: tokio::runtime::Runtime,
}

impl Web {
    /// Listens on this address.
    pub(crate) fn listen(address: SocketAddr) -> io::Result<Self> {
        let listener = listener::bind(address)?;
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread();
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            runtime: { runtime }.enable_all().build()?,
        })
    }

    /// Answers requests on another thread until the process ends.
    pub(crate) fn start(self, inbox: Arc<Inbox>, names: Vec<String>) -> io::Result<()> {
        let application = application(inbox, names.into());
        let serve = async move {
            let listener = tokio::net::TcpListener::from_std(self.listener)?;
            axum::serve(listener, application).await
        };
        let runtime = self.runtime;
        thread::Builder::new().spawn(move || {
            if let Err(error) = runtime.block_on(serve) {
                print_error(format_args!("the web page has ended: {error}"));
            }
        })?;
        Ok(())
    }
}

fn application(inbox: Arc<Inbox>, names: guard::Names) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/page.css", get(style))
        .route("/page.js", get(script))
        .merge(api::routes())
        .layer(middleware::from_fn_with_state(names, guard::check))
        .with_state(inbox)
}

async fn page() -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, PAGE_POLICY),
    ];
    (headers, include_str!("page/page.html"))
}

async fn style() -> impl IntoResponse {
    let headers = [(CONTENT_TYPE, "text/css; charset=utf-8")];
    (headers, include_str!("page/page.css"))
}

async fn script() -> impl IntoResponse {
    let headers = [(CONTENT_TYPE, "text/javascript; charset=utf-8")];
    (headers, include_str!("page/page.js"))
}
