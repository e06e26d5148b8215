//! Who may ask: requests that another site makes a browser send are refused, and every response
//! says what a browser may do with it.
//!
//! A page of another site must neither read mail nor delete it. It may guess the address, have
//! its own name resolve to this machine (DNS rebinding), or embed what it cannot read.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

/// The policy of everything that has none of its own: nothing is loaded, nothing runs.
const NO_RIGHTS: &str = "default-src 'none'; sandbox; frame-ancestors 'none'";

/// The names of hosts for which requests are answered, besides localhost and IP addresses.
pub(crate) type Names = Arc<[String]>;

/// Answers allowed requests, and adds the headers to each response.
pub(crate) async fn check(State(names): State<Names>, request: Request, next: Next) -> Response {
    let refusal = refusal(
        &names,
        request.method(),
        request.uri().path(),
        request.headers(),
    );
    let mut response = match refusal {
        None => next.run(request).await,
        Some(why) => (StatusCode::FORBIDDEN, why).into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, NO_RIGHTS),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "SAMEORIGIN"),
        (header::X_DNS_PREFETCH_CONTROL, "off"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Why the request is refused, if it is.
fn refusal(
    names: &[String],
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> Option<&'static str> {
    let text = |name: &HeaderName| headers.get(name)?.to_str().ok();
    if headers.get_all(header::HOST).iter().count() > 1 {
        return Some("requests with several Host fields are not answered\n");
    }
    let host = text(&header::HOST).unwrap_or_default();
    if !is_own_name(names, host_of(host)) {
        return Some("requests for this host name are not answered; see --web-name\n");
    }
    if let Some(origin) = text(&header::ORIGIN)
        && origin.strip_prefix("http://") != Some(host)
        && origin.strip_prefix("https://") != Some(host)
    {
        return Some("requests of other sites are not answered\n");
    }
    let is_link = method == Method::GET
        && path == "/"
        && headers
            .get("sec-fetch-mode")
            .is_some_and(|mode| mode == "navigate");
    let is_foreign = headers
        .get("sec-fetch-site")
        .is_some_and(|site| site != "same-origin" && site != "none");
    (is_foreign && !is_link).then_some("requests of other sites are not answered\n")
}

/// The host without its port and without the brackets of an IPv6 address.
fn host_of(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').map_or("", |(address, _)| address);
    }
    host.split_once(':').map_or(host, |(host, _)| host)
}

/// Whether this is a name that only this machine can have, or one that the user gave. Nobody can
/// have an IP address resolve to another one.
fn is_own_name(names: &[String], host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let is_local =
        host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost");
    is_local
        || host.parse::<IpAddr>().is_ok()
        || names.iter().any(|name| name.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(path: &str, fields: &[(&str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        let names = ["sink".to_owned()];
        refusal(&names, &Method::GET, path, &headers).is_some()
    }

    #[test]
    fn only_own_names_are_answered() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:8025",
            "[::1]:8025",
            "LOCALHOST:8025",
            "localhost.",
            "mail.localhost:1",
            "Sink:8025",
        ] {
            assert!(!is_refused("/", &[("host", host)]), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "127.0.0.1.evil.example:8025",
            "localhost.evil.example",
            "evillocalhost",
            "[evil.example]",
            "sink.evil.example",
        ] {
            assert!(is_refused("/", &[("host", host)]), "{host}");
        }
        assert!(is_refused("/", &[]));
        let twice = [("host", "localhost"), ("host", "evil.example")];
        assert!(is_refused("/", &twice));
    }

    #[test]
    fn other_sites_are_not_answered() {
        let host = ("host", "localhost:8025");
        for origin in ["http://evil.example", "null", "http://localhost:8026", ""] {
            let fields = [host, ("origin", origin)];
            assert!(is_refused("/api/v1/messages", &fields), "{origin}");
        }
        let own = [host, ("origin", "http://localhost:8025")];
        assert!(!is_refused("/api/v1/messages", &own));
        for site in ["cross-site", "same-site"] {
            let fields = [host, ("sec-fetch-site", site)];
            assert!(is_refused("/api/v1/message/latest", &fields));
            assert!(is_refused("/", &fields));
            let link = [
                host,
                ("sec-fetch-site", site),
                ("sec-fetch-mode", "navigate"),
            ];
            assert!(!is_refused("/", &link));
            assert!(is_refused("/view/latest.html", &link));
        }
        for site in ["same-origin", "none"] {
            assert!(!is_refused("/x", &[host, ("sec-fetch-site", site)]));
        }
    }
}
