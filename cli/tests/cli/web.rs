//! The web page of `serve` and its API: what they show, and to whom.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::run::{LOGIN, PASSWORD, Serve, run, run_with, send_to, with};

const MESSAGE: &str = concat!(
    "From: Alice M\u{fc}ller <alice@example.org>\r\n",
    "To: Bob <bob@example.net>, \"C, D\" <carol@example.net>\r\n",
    "Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\n",
    "Message-ID: <1@example.org>\r\n",
    "Date: Thu, 26 Nov 2026 09:12:00 +0100\r\n",
    "X-Two: a\r\n",
    "x-two: b\r\n c\r\n",
    "Content-Type: multipart/mixed; boundary=m\r\n\r\n",
    "--m\r\n",
    "Content-Type: multipart/related; boundary=r\r\n\r\n",
    "--r\r\n",
    "Content-Type: multipart/alternative; boundary=a\r\n\r\n",
    "--a\r\n\r\n",
    "The needle is in the text.\r\n",
    "--a\r\n",
    "Content-Type: text/html; charset=utf-8\r\n\r\n",
    "<!DOCTYPE html><meta http-equiv=refresh content=0><p onclick=x()>HTML<img src=\"cid:p\">\r\n",
    "--a--\r\n",
    "--r\r\n",
    "Content-Type: image/png\r\n",
    "Content-ID: <p>\r\n",
    "Content-Transfer-Encoding: base64\r\n\r\n",
    "iVBORw0K\r\n",
    "--r--\r\n",
    "--m\r\n",
    "Content-Type: text/html; charset=iso-8859-1\r\n",
    "Content-Disposition: attachment; filename*=utf-8''a%22b%0D%0Ac.html\r\n",
    "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
    "<script>alert(1)</script>=FC\r\n",
    "--m--\r\n",
);

/// A server with a web page.
struct Web {
    server: Serve,
    port: u16,
}

struct Response {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Response {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_slice(&self.body).unwrap()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Web {
    fn start(options: &[&str]) -> Self {
        let options = [&["--web", "127.0.0.1:0"][..], options].concat();
        let mut server = Serve::start(&options);
        let line = server.line();
        let address = line.strip_prefix("web page on http://127.0.0.1:").unwrap();
        let port = address.trim_end_matches('/').parse().unwrap();
        Self { server, port }
    }

    fn ask(&self, method: &str, path: &str, fields: &[&str], body: &str) -> Response {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let timeout = Some(Duration::from_secs(10));
        stream.set_read_timeout(timeout).unwrap();
        let host = format!("Host: localhost:{}", self.port);
        let length = format!("Content-Length: {}", body.len());
        let mut lines = vec![format!("{method} {path} HTTP/1.1")];
        if !fields.iter().any(|field| field.starts_with("Host:")) {
            lines.push(host);
        }
        lines.extend(fields.iter().map(|&field| field.to_owned()));
        lines.extend([length, "Connection: close".to_owned(), String::new()]);
        let request = format!("{}\r\n{body}", lines.join("\r\n"));
        stream.write_all(request.as_bytes()).unwrap();
        let mut response = Vec::new();
        stream.read_to_end(&mut response).unwrap();
        let end = response.windows(4).position(|four| four == b"\r\n\r\n");
        let (head, body) = response.split_at(end.unwrap() + 4);
        let head = String::from_utf8(head.to_vec()).unwrap();
        Response {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head,
            body: body.to_vec(),
        }
    }

    fn get(&self, path: &str) -> Response {
        self.ask("GET", path, &[], "")
    }

    fn send(&self, message: &str) {
        let url = format!("smtp://127.0.0.1:{}?tls=none", self.server.port);
        let sent = run_with(&send_to(&url), message.as_bytes());
        assert_eq!(sent.status, 0, "{sent:#?}");
    }

    fn subjects(&self, path: &str) -> Vec<String> {
        let list = self.get(path).json();
        let messages = list["messages"].as_array().unwrap().iter();
        let subject = |message: &Value| message["Subject"].as_str().unwrap().to_owned();
        messages.map(subject).collect()
    }
}

#[test]
fn a_message_is_shown_with_the_names_of_mailpit() {
    let web = Web::start(&[]);
    web.send(MESSAGE);
    let list = web.get("/api/v1/messages").json();
    assert_eq!(list["total"], 1);
    assert_eq!(list["unread"], 1);
    assert_eq!(list["messages_count"], 1);
    let entry = &list["messages"][0];
    let id = entry["ID"].as_str().unwrap();
    assert_eq!(entry["Subject"], "Gr\u{fc}\u{df}e");
    assert_eq!(entry["Read"], false);
    assert_eq!(entry["Attachments"], 1);
    assert_eq!(entry["Size"], MESSAGE.len());
    assert_eq!(entry["Snippet"], "The needle is in the text.");
    let alice = json!({ "Name": "Alice M\u{fc}ller", "Address": "alice@example.org" });
    assert_eq!(entry["From"], alice);

    let path = format!("/api/v1/message/{id}");
    let message = web.get(&path).json();
    assert_eq!(message["ID"], id);
    assert_eq!(message["MessageID"], "1@example.org");
    assert_eq!(message["ReturnPath"], "alice@example.org");
    assert_eq!(message["Date"], "2026-11-26T09:12:00+01:00");
    let to = json!([
        { "Name": "Bob", "Address": "bob@example.net" },
        { "Name": "C, D", "Address": "carol@example.net" },
    ]);
    assert_eq!(message["To"], to);
    assert_eq!(message["Bcc"], json!([]));
    assert!(message["Text"].as_str().unwrap().contains("needle"));
    assert!(message["HTML"].as_str().unwrap().contains("onclick"));
    assert_eq!(message["Inline"][0]["ContentID"], "p");
    let attached = &message["Attachments"][0];
    assert_eq!(attached["ContentType"], "text/html");
    let octets = b"<script>alert(1)</script>\xfc";
    assert_eq!(attached["Size"], octets.len());
    let sum = "f66917ed0f5d1af287a3ec37e981053c";
    assert_eq!(attached["Checksums"]["MD5"], sum);
    assert_eq!(attached["Checksums"]["SHA256"].as_str().unwrap().len(), 64);
    assert_eq!(web.get("/api/v1/messages").json()["unread"], 0);

    // The part is what was attached, and never a page.
    let part = attached["PartID"].as_str().unwrap();
    let part = web.get(&format!("{path}/part/{part}"));
    assert_eq!(part.body, octets);
    let disposition = part.header("content-disposition").unwrap();
    assert!(disposition.starts_with("attachment; filename*=UTF-8''a%22b"));
    assert_eq!(part.header("x-content-type-options"), Some("nosniff"));
    assert!(
        part.header("content-security-policy")
            .unwrap()
            .contains("sandbox")
    );

    let headers = web.get(&format!("{path}/headers")).json();
    assert_eq!(headers["X-Two"], json!(["a", "b c"]));
    assert_eq!(headers["Message-Id"], json!(["<1@example.org>"]));
    let raw = web.get("/api/v1/message/latest/raw?dl=1");
    assert_eq!(raw.body, MESSAGE.as_bytes());
    assert_eq!(
        raw.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert!(raw.header("content-disposition").is_some());
    for unknown in [
        "/api/v1/message/1",
        "/view/1.html",
        "/nothing",
        "/view/latest.exe",
    ] {
        assert_eq!(web.get(unknown).status, 404, "{unknown}");
    }
    let unknown = web.get(&format!("{path}/part/99"));
    assert_eq!(unknown.status, 404);
}

#[test]
fn anything_can_be_a_message() {
    let web = Web::start(&[]);
    let deep = "Content-Type: message/rfc822\r\n\r\n".repeat(100_000);
    for message in ["", "\r\n", "no header", ": \r\n\r\n", &deep] {
        web.send(message);
        for path in ["", "/headers", "/raw", "/session"] {
            let path = format!("/api/v1/message/latest{path}");
            assert_eq!(web.get(&path).status, 200, "{path}");
        }
        assert_eq!(web.get("/view/latest.txt").status, 200);
        assert_eq!(
            web.get("/api/v1/search?query=zzz").json()["messages_count"],
            0
        );
    }
    assert_eq!(web.get("/api/v1/messages").json()["total"], 5);
    assert_eq!(web.server.stderr(), "");
}

#[test]
fn the_session_of_a_message_is_shown() {
    let login = "alice:POSTWIRE_TEST_PASSWORD";
    let web = Web::start(&["--tls", "starttls", "--auth", login]);
    let url = format!("smtp://localhost:{}", web.server.port);
    let authority = web.server.authority();
    let trust = [
        "--ca",
        authority.to_str().unwrap(),
        "--to",
        "eve@example.net",
    ];
    let arguments = with(with(send_to(&url), &LOGIN), &trust);
    run(&arguments).assert_is(0, "accepted", None);
    let session = web.get("/api/v1/message/latest/session").json();
    assert_eq!(session["ReversePath"], "alice@example.org");
    assert_eq!(session["Recipients"][1]["Address"], "eve@example.net");
    assert_eq!(session["Username"], "alice");
    assert_eq!(session["TLSVersion"], "TLSv1.3");
    assert!(session["TLSCipher"].as_str().unwrap().starts_with("TLS13_"));
    let dialogue = session["Dialogue"].as_str().unwrap();
    assert!(dialogue.starts_with("S: 220 localhost ESMTP postwire\nC: EHLO "));
    assert!(dialogue.contains("C: RCPT TO:<eve@example.net>\nS: 250 "));
    assert!(dialogue.contains(" <redacted>\n"));
    assert!(!dialogue.contains(PASSWORD));
    // A recipient whom no field names.
    let message = web.get("/api/v1/message/latest").json();
    assert_eq!(message["Bcc"][1]["Address"], "eve@example.net");
    assert_eq!(message["Username"], "alice");
}

#[test]
fn messages_are_searched_marked_and_deleted() {
    let web = Web::start(&[]);
    web.send(MESSAGE);
    for subject in ["one", "two", "three"] {
        web.send(&format!("Subject: {subject}\r\n\r\nText {subject}.\r\n"));
    }
    let all = ["three", "two", "one", "Gr\u{fc}\u{df}e"];
    assert_eq!(web.subjects("/api/v1/messages"), all);
    assert_eq!(web.subjects("/api/v1/messages?start=1&limit=2"), all[1..3]);
    for (query, found) in [
        ("needle", &all[3..]),
        ("subject:gr%C3%BC%C3%9Fe", &all[3..]),
        ("to:bob@example.net", &all[3..]),
        ("bcc:bob", &all[..3]),
        ("from:alice+-needle", &[]),
        ("bob+-subject:two+-needle", &["three", "one"]),
        ("%22Text+one%22", &["one"]),
        ("has:attachment", &all[3..]),
        ("is:unread+subject:t", &["three", "two"]),
        ("tag:x", &[]),
    ] {
        let path = format!("/api/v1/search?query={query}");
        assert_eq!(web.subjects(&path), found, "{query}");
    }
    assert_eq!(web.get("/api/v1/search?query=+").status, 400);
    assert_eq!(web.get("/api/v1/search?query=before:2026").status, 400);

    let unread = || web.get("/api/v1/messages").json()["unread"].clone();
    for (body, left) in [
        (r#"{"Read":true,"Search":"subject:one"}"#, 3),
        (r#"{"Read":true}"#, 0),
        (r#"{"Read":false,"IDs":[]}"#, 4),
    ] {
        let marked = web.ask("PUT", "/api/v1/messages", &[], body);
        assert_eq!((marked.status, marked.text()), (200, "ok".to_owned()));
        assert_eq!(unread(), left, "{body}");
    }
    assert_eq!(web.ask("PUT", "/api/v1/messages", &[], "{").status, 400);

    // Whoever polls is told that nothing has changed.
    let list = web.get("/api/v1/messages");
    let same = format!("If-None-Match: {}", list.header("etag").unwrap());
    let again = || web.ask("GET", "/api/v1/messages", &[&same], "").status;
    assert_eq!(again(), 304);

    let newest = web.get("/api/v1/message/latest").json();
    assert_eq!(again(), 200);
    let body = json!({ "IDs": [newest["ID"]] }).to_string();
    assert_eq!(
        web.ask("DELETE", "/api/v1/messages", &[], &body).text(),
        "ok"
    );
    assert_eq!(web.subjects("/api/v1/messages"), all[1..]);
    let path = "/api/v1/search?query=subject:two";
    assert_eq!(web.ask("DELETE", path, &[], "").text(), "ok");
    assert_eq!(web.subjects("/api/v1/messages"), all[2..]);
    // A body that is not understood deletes nothing.
    for body in ["{\"IDs\":1}", "{\"ID\":[\"x\"]}", "[]", "1"] {
        let answer = web.ask("DELETE", "/api/v1/messages", &[], body);
        assert_eq!(answer.status, 400, "{body}");
    }
    assert_eq!(web.ask("DELETE", "/api/v1/messages", &[], "").text(), "ok");
    assert_eq!(web.subjects("/api/v1/messages"), [""; 0]);
    let info = web.get("/api/v1/info").json();
    assert_eq!(info["Messages"], 0);
    assert_eq!(info["RuntimeStats"]["SMTPAccepted"], 4);
    assert_eq!(info["RuntimeStats"]["MessagesDeleted"], 4);
}

#[test]
fn the_html_of_a_message_has_no_rights() {
    let web = Web::start(&[]);
    web.send(MESSAGE);
    let view = web.get("/view/latest.html");
    assert_eq!(view.status, 200);
    assert_eq!(
        view.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let policy = view.header("content-security-policy").unwrap();
    assert!(policy.starts_with("sandbox allow-popups "), "{policy}");
    for rule in [
        "default-src 'none'",
        "img-src data:",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'self'",
    ] {
        assert!(policy.contains(rule), "{policy}");
    }
    for right in ["allow-scripts", "allow-same-origin", "http", "*"] {
        assert!(!policy.contains(right), "{policy}");
    }
    let start = "<!DOCTYPE html><base target=\"_blank\"><x-meta http-equiv";
    assert!(view.text().starts_with(start), "{}", view.text());
    assert!(
        view.text()
            .contains("src=\"data:image/png;base64,iVBORw0K\"")
    );
    let text = web.get("/view/latest.txt");
    assert_eq!(
        text.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert!(text.text().contains("needle"));
    web.send("Subject: text only\r\n\r\n<b>Hello</b>\r\n");
    assert_eq!(web.get("/view/latest.html").status, 404);
}

#[test]
fn the_page_runs_nothing_but_its_own_script() {
    let web = Web::start(&[]);
    let page = web.get("/");
    let policy = page.header("content-security-policy").unwrap();
    for rule in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "frame-src 'self'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ] {
        assert!(policy.contains(rule), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let text = page.text();
    assert!(text.contains(" sandbox=\"allow-popups allow-popups-to-escape-sandbox\""));
    for forbidden in [
        "onclick",
        "onload",
        "javascript:",
        "<style",
        "style=",
        "http:",
        "https:",
    ] {
        assert!(!text.contains(forbidden), "{forbidden}");
    }
    let script = web.get("/page.js");
    let javascript = Some("text/javascript; charset=utf-8");
    assert_eq!(script.header("content-type"), javascript);
    for sink in [
        "innerHTML",
        "outerHTML",
        "insertAdjacent",
        "document.write",
        "eval(",
    ] {
        assert!(!script.text().contains(sink), "{sink}");
    }
    assert_eq!(web.get("/page.css").status, 200);
    for path in ["/", "/page.js", "/api/v1/messages", "/nothing"] {
        let response = web.get(path);
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "SAMEORIGIN"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(response.header(name), Some(value), "{path}");
        }
        assert_eq!(response.header("access-control-allow-origin"), None);
    }
}

#[test]
fn other_sites_read_nothing() {
    let web = Web::start(&["--web-name", "sink"]);
    web.send(MESSAGE);
    let port = web.port;
    let own = format!("Origin: http://localhost:{port}");
    let path = "/api/v1/messages";
    for allowed in [
        &["Host: sink"][..],
        &["Host: [::1]:1"],
        &["Host: 192.0.2.1"],
        &[&own],
        &["Sec-Fetch-Site: same-origin"],
    ] {
        assert_eq!(web.ask("GET", path, allowed, "").status, 200, "{allowed:?}");
    }
    for refused in [
        &["Host: evil.example"][..],
        &["Host: localhost.evil.example"],
        &["Origin: http://evil.example"],
        &["Origin: null"],
        &["Sec-Fetch-Site: cross-site"],
        &["Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: navigate"],
    ] {
        for method in ["GET", "DELETE", "OPTIONS"] {
            let response = web.ask(method, path, refused, "");
            assert_eq!(response.status, 403, "{refused:?}");
            assert!(!response.text().contains("example.org"));
        }
    }
    assert_eq!(web.subjects(path).len(), 1);
    // A link to the page is not a way to read it.
    let link = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"];
    assert_eq!(web.ask("GET", "/", &link, "").status, 200);
}

#[test]
fn the_memory_for_messages_is_bounded() {
    let web = Web::start(&["--web-messages", "2", "--web-octets", "20000"]);
    for number in 1..=3 {
        web.send(&format!("Subject: {number}\r\n\r\n"));
    }
    assert_eq!(web.subjects("/api/v1/messages"), ["3", "2"]);
    web.send(&format!("Subject: 4\r\n\r\n{}", "x\r\n".repeat(7_000)));
    assert_eq!(web.subjects("/api/v1/messages"), ["3", "2"]);
    web.send(&format!("Subject: 5\r\n\r\n{}", "x\r\n".repeat(5_800)));
    assert_eq!(web.subjects("/api/v1/messages"), ["5"]);
    // The Maildir has them all.
    assert_eq!(web.server.messages().len(), 5);
    let mut server = web.server;
    for said in ["shown on the web page", "too large for the web page"] {
        while !server.line().ends_with(said) {}
    }
}

#[test]
fn the_web_page_needs_an_address_of_its_own() {
    let web = Web::start(&[]);
    let address = format!("127.0.0.1:{}", web.port);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ports.json");
    let ports = file.to_str().unwrap();
    let listen = ["serve", "--listen", "127.0.0.1:0", "--port-file", ports];
    let second = run(&[&listen[..], &["--web", &address]].concat());
    assert_eq!(second.status, 71, "{second:#?}");
    assert!(second.stderr.contains("cannot listen on "), "{second:#?}");
    assert!(!file.exists());
    for arguments in [
        &["--web", "nowhere"][..],
        &["--web", "no.such.invalid:1"],
        &["--web-name", "a"],
        &["--web-messages", "1"],
        &["--web-octets", "1"],
    ] {
        let served = run(&[&["serve", "--listen", "127.0.0.1:0"], arguments].concat());
        assert_eq!(served.status, 64, "{arguments:?} {served:#?}");
    }
    let server = Serve::start(&["--web", "127.0.0.1:0", "--port-file", ports]);
    let written: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(written["smtp"]["port"], server.port);
    assert!(written["web"]["port"].as_u64().unwrap() > 0);
}
