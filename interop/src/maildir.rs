//! The delivered messages.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// How long a delivery may take.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(60);

/// The fields that a delivery adds at the top of a message (RFC 5321 §4.4), and fields of
/// particular servers: Postfix, Exim, chasquid, Haraka, Cyrus.
const TRACE_FIELDS: [&[u8]; 11] = [
    b"Return-Path:",
    b"Delivered-To:",
    b"Received:",
    b"X-Original-To:",
    b"Return-path:",
    b"Envelope-to:",
    b"Delivery-date:",
    b"Received-SPF:",
    b"Authentication-Results:",
    b"X-Cyrus-Session-Id:",
    b"X-Sieve:",
];

/// One mailbox, read as mail arrives.
#[derive(Debug)]
pub(crate) struct Maildir {
    folder: PathBuf,
    /// The suffix of the names of messages.
    end: &'static str,
    seen: HashSet<PathBuf>,
}

impl Maildir {
    /// Opens the mailbox and skips its present content.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::with(path.join("new"), "")
    }

    /// Opens a folder of Cyrus: messages `1.`, `2.`, `3.` next to an index.
    pub(crate) fn open_cyrus(path: &Path) -> io::Result<Self> {
        Self::with(path.to_owned(), ".")
    }

    fn with(folder: PathBuf, end: &'static str) -> io::Result<Self> {
        let mut maildir = Self {
            folder,
            end,
            seen: HashSet::new(),
        };
        maildir.unseen()?;
        Ok(maildir)
    }

    /// The files that arrived since the last call.
    pub(crate) fn unseen(&mut self) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut unseen = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let is_message = path.as_os_str().to_string_lossy().ends_with(self.end);
            if is_message && self.seen.insert(path.clone()) {
                unseen.push(path);
            }
        }
        Ok(unseen)
    }

    /// Waits for `count` files.
    pub(crate) fn wait_for(&mut self, count: usize) -> io::Result<Vec<Vec<u8>>> {
        let deadline = Instant::now() + DELIVERY_TIMEOUT;
        let mut paths = self.unseen()?;
        while paths.len() < count && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
            paths.extend(self.unseen()?);
        }
        paths.into_iter().map(fs::read).collect()
    }
}

/// A delivered file without the server's additions at the top: the trace fields, and an empty
/// line if the message begins with neither a header nor an empty line.
pub(crate) fn without_trace<'a>(file: &'a [u8], message: &[u8]) -> &'a [u8] {
    let mut rest = file;
    while TRACE_FIELDS.iter().any(|field| rest.starts_with(field)) {
        rest = after_field(rest);
    }
    let has_separator = message.is_empty() || message.starts_with(b"\r\n");
    if has_separator || begins_with_field(message) {
        rest
    } else {
        rest.strip_prefix(b"\n").unwrap_or(rest)
    }
}

/// The text after the first field, including its continuation lines.
fn after_field(mut rest: &[u8]) -> &[u8] {
    loop {
        let end = rest.iter().position(|octet| *octet == b'\n');
        rest = end.map_or(&[], |end| &rest[end + 1..]);
        if !matches!(rest.first(), Some(b' ' | b'\t')) {
            return rest;
        }
    }
}

fn begins_with_field(message: &[u8]) -> bool {
    let end = message
        .iter()
        .position(|octet| !octet.is_ascii_graphic() || *octet == b':');
    end.is_some_and(|end| end > 0 && message[end] == b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trace_fields_are_taken_off() {
        let file = b"Return-Path: <a@b>\nReceived: from x\n\tby y\nSubject: s\n\nReceived: no\n";
        let message = b"Subject: s\n\nReceived: no\n";
        assert_eq!(without_trace(file, message), message);
    }

    #[test]
    fn the_servers_own_empty_line_is_taken_off_once() {
        assert_eq!(without_trace(b"Received: x\n\n.\n", b".\n"), b".\n");
        assert_eq!(without_trace(b"Received: x\n\n", b"\r\n"), b"\n");
        assert_eq!(
            without_trace(b"Received: x\n\nA: b\n", b"A: b\n"),
            b"\nA: b\n"
        );
    }
}
