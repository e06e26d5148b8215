//! The requests for messages: the part of Mailpit's API (version 1) that tests of mail use, and
//! the session of each message.
//!
//! Knows paths, queries and responses. Must never know the format of messages.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{
    CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use crate::serve::inbox::{Inbox, StoredMessage};
use crate::serve::web::html;
use crate::serve::web::message::{self, ListEntry};
use crate::serve::web::parts;
use crate::serve::web::search::Query;

/// The policy of a message's HTML. Nothing is loaded: styles and pictures are part of it.
const HTML_POLICY: &str = "sandbox allow-popups allow-popups-to-escape-sandbox; \
     default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/// The number of messages in a list unless the request says otherwise.
const PAGE: usize = 50;

/// `attr-char` (RFC 8187 §3.2.1) is not escaped.
const FILE_NAME: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

type Shared = State<Arc<Inbox>>;

/// The result of a request.
type Answer = Result<Response, (StatusCode, String)>;

pub(crate) fn routes() -> Router<Arc<Inbox>> {
    Router::new()
        .route(
            "/api/v1/messages",
            get(messages).put(set_read).delete(delete_messages),
        )
        .route("/api/v1/search", get(search).delete(delete_search))
        .route("/api/v1/info", get(info))
        .route("/api/v1/tags", get(|| async { json(&[(); 0]) }))
        .route("/api/v1/message/{id}", get(detail))
        .route("/api/v1/message/{id}/headers", get(headers))
        .route("/api/v1/message/{id}/raw", get(raw))
        .route("/api/v1/message/{id}/session", get(session))
        .route("/api/v1/message/{id}/part/{part}", get(part))
        .route("/view/{file}", get(view))
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(|| async { "ok" }))
}

#[derive(Serialize)]
struct List<'a> {
    total: usize,
    unread: usize,
    count: usize,
    messages_count: usize,
    messages_unread: usize,
    start: usize,
    tags: [(); 0],
    messages: Vec<ListEntry<'a>>,
}

/// The body of a request that names messages.
///
/// A name that is not known is an error: a request that means some messages must not select all.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "PascalCase")]
struct Selection {
    #[serde(rename = "IDs", alias = "ids", alias = "Ids", alias = "IDS")]
    ids: Vec<String>,
    #[serde(alias = "read")]
    read: bool,
    #[serde(alias = "search")]
    search: String,
}

impl Selection {
    /// Reads the body; an empty one selects everything.
    fn parse(body: &[u8]) -> Result<Self, (StatusCode, String)> {
        if body.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        match serde_json::from_slice(body).map_err(bad_request)? {
            // A client may say `null` where it has no list.
            serde_json::Value::Null => Ok(Self::default()),
            object @ serde_json::Value::Object(_) => {
                serde_json::from_value(object).map_err(bad_request)
            }
            _ => Err(bad_request("the body is not an object")),
        }
    }
}

fn bad_request(why: impl std::fmt::Display) -> (StatusCode, String) {
    (StatusCode::BAD_REQUEST, why.to_string())
}

fn json(value: &(impl Serialize + ?Sized)) -> Response {
    match serde_json::to_vec(value) {
        Ok(text) => ([(CONTENT_TYPE, "application/json")], text).into_response(),
        Err(error) => {
            debug_assert!(false, "{error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn find(inbox: &Inbox, id: &str) -> Result<Arc<StoredMessage>, (StatusCode, String)> {
    let found = inbox.get(id);
    found.ok_or_else(|| (StatusCode::NOT_FOUND, "there is no such message".to_owned()))
}

/// A value of the query of the URL.
fn query_value(query: Option<&str>, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let (_, value) = pairs.find(|(key, _)| key == name)?;
    Some(value.into_owned())
}

fn parse_search(query: Option<&str>) -> Result<Query, (StatusCode, String)> {
    let text = query_value(query, "query").unwrap_or_default();
    match text.trim() {
        "" => Err(bad_request("the parameter `query` is missing")),
        text => Query::parse(text).map_err(bad_request),
    }
}

/// The identifiers of the messages that match, found without keeping the inbox locked.
fn matching(inbox: &Inbox, search: &Query) -> Vec<String> {
    let messages = inbox.messages().into_iter();
    let matching = messages.filter(|message| search.matches(message));
    matching.map(|message| message.id.clone()).collect()
}

/// A page of the messages that match.
fn list(inbox: &Inbox, query: Option<&str>, search: Option<&Query>) -> Response {
    let number = |name| query_value(query, name)?.parse::<usize>().ok();
    let start = number("start").unwrap_or(0);
    let limit = number("limit").unwrap_or(PAGE);
    let all = inbox.messages();
    let matching = all
        .iter()
        .filter(|message| search.is_none_or(|search| search.matches(message)));
    let matching: Vec<_> = matching.collect();
    let unread = |messages: &[&Arc<StoredMessage>]| {
        let unread = messages.iter().filter(|message| !message.is_read());
        unread.count()
    };
    let page = matching.iter().skip(start).take(limit);
    let messages: Vec<_> = page.map(|message| message.entry()).collect();
    json(&List {
        total: all.len(),
        unread: unread(&all.iter().collect::<Vec<_>>()),
        count: messages.len(),
        messages_count: matching.len(),
        messages_unread: unread(&matching),
        start,
        tags: [],
        messages,
    })
}

/// Whoever asks again and again is told that nothing has changed.
async fn messages(State(inbox): Shared, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    unless_unchanged(&inbox, &headers, || list(&inbox, query.as_deref(), None))
}

async fn search(State(inbox): Shared, RawQuery(query): RawQuery, headers: HeaderMap) -> Answer {
    let search = parse_search(query.as_deref())?;
    Ok(unless_unchanged(&inbox, &headers, || {
        list(&inbox, query.as_deref(), Some(&search))
    }))
}

fn unless_unchanged(
    inbox: &Inbox,
    headers: &HeaderMap,
    respond: impl FnOnce() -> Response,
) -> Response {
    // Taken before the list, so that a change in between is not missed.
    let tag = format!("\"{}\"", inbox.version());
    let mut response = if headers
        .get(IF_NONE_MATCH)
        .is_some_and(|given| *given == tag)
    {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        respond()
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// The identifiers, with that of the latest message for the word `latest`.
fn with_latest(inbox: &Inbox, mut ids: Vec<String>) -> Vec<String> {
    for id in ids.iter_mut().filter(|id| *id == "latest") {
        if let Some(latest) = inbox.get(id) {
            id.clone_from(&latest.id);
        }
    }
    ids
}

async fn set_read(State(inbox): Shared, body: Bytes) -> Answer {
    let Selection { ids, read, search } = Selection::parse(&body)?;
    if !search.is_empty() && !ids.is_empty() {
        return Err(bad_request("give a search or IDs, not both"));
    }
    let ids = match search.trim() {
        "" if ids.is_empty() => None,
        "" => Some(with_latest(&inbox, ids)),
        search => Some(matching(
            &inbox,
            &Query::parse(search).map_err(bad_request)?,
        )),
    };
    inbox.mark(read, |message| {
        ids.as_ref().is_none_or(|ids| ids.contains(&message.id))
    });
    Ok("ok".into_response())
}

async fn delete_messages(State(inbox): Shared, body: Bytes) -> Answer {
    let Selection { ids, .. } = Selection::parse(&body)?;
    let ids = with_latest(&inbox, ids);
    inbox.delete(|message| ids.is_empty() || ids.contains(&message.id));
    Ok("ok".into_response())
}

async fn delete_search(State(inbox): Shared, RawQuery(query): RawQuery) -> Answer {
    let ids = matching(&inbox, &parse_search(query.as_deref())?);
    inbox.delete(|message| ids.contains(&message.id));
    Ok("ok".into_response())
}

async fn info(State(inbox): Shared) -> Response {
    let messages = inbox.messages();
    let unread = messages.iter().filter(|message| !message.is_read());
    let counts = inbox.counts();
    json(&serde_json::json!({
        "Version": concat!("postwire ", env!("CARGO_PKG_VERSION")),
        "LatestVersion": "",
        "Database": "",
        "DatabaseSize": inbox.octets(),
        "Messages": messages.len(),
        "Unread": unread.count(),
        "Tags": {},
        "RuntimeStats": {
            "Uptime": inbox.started.elapsed().as_secs(),
            "Memory": 0,
            "MessagesDeleted": counts.deleted,
            "SMTPAccepted": counts.accepted,
            "SMTPAcceptedSize": counts.accepted_octets,
            "SMTPRejected": counts.refused,
            "SMTPIgnored": 0,
        },
    }))
}

async fn detail(State(inbox): Shared, Path(id): Path<String>) -> Answer {
    let message = find(&inbox, &id)?;
    inbox.mark(true, |other| other.id == message.id);
    Ok(json(&message.detail()))
}

async fn headers(State(inbox): Shared, Path(id): Path<String>) -> Answer {
    Ok(json(&message::headers(&*find(&inbox, &id)?)))
}

async fn session(State(inbox): Shared, Path(id): Path<String>) -> Answer {
    Ok(json(&find(&inbox, &id)?.session()))
}

async fn raw(State(inbox): Shared, Path(id): Path<String>, RawQuery(query): RawQuery) -> Answer {
    let message = find(&inbox, &id)?;
    let content = message.received.content.clone();
    let mut response = ([(CONTENT_TYPE, "text/plain; charset=utf-8")], content).into_response();
    if query_value(query.as_deref(), "dl").as_deref() == Some("1") {
        offer_as_file(&mut response, &format!("{}.eml", message.id));
    }
    Ok(response)
}

/// A part is never shown by the browser itself: it could be a page.
async fn part(State(inbox): Shared, Path((id, part)): Path<(String, String)>) -> Answer {
    let message = find(&inbox, &id)?;
    let Some(part) = parts::part(&message, &part) else {
        return Err((StatusCode::NOT_FOUND, "there is no such part".to_owned()));
    };
    let content_type = HeaderValue::from_str(&part.content_type);
    let content_type =
        content_type.unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"));
    let mut response = Response::new(Body::from(part.octets));
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    offer_as_file(&mut response, &part.name);
    Ok(response)
}

fn offer_as_file(response: &mut Response, name: &str) {
    let name = utf8_percent_encode(name, &FILE_NAME);
    let disposition = format!("attachment; filename*=UTF-8''{name}");
    if let Ok(disposition) = HeaderValue::from_str(&disposition) {
        let headers = response.headers_mut();
        headers.insert(CONTENT_DISPOSITION, disposition);
    }
}

/// The body of a message as a page of its own: `ID.html` or `ID.txt`.
async fn view(State(inbox): Shared, Path(file): Path<String>) -> Answer {
    let not_found = |what: &str| (StatusCode::NOT_FOUND, format!("there is no {what}"));
    let (id, kind) = file
        .rsplit_once('.')
        .ok_or_else(|| not_found("such page"))?;
    let message = find(&inbox, id)?;
    match kind {
        "html" => {
            let html = html::for_frame(&message).ok_or_else(|| not_found("HTML"))?;
            let headers = [
                (CONTENT_TYPE, "text/html; charset=utf-8"),
                (CONTENT_SECURITY_POLICY, HTML_POLICY),
            ];
            Ok((headers, html).into_response())
        }
        "txt" => {
            let text = message::plain_text(&message);
            Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
        }
        _ => Err(not_found("such page")),
    }
}
