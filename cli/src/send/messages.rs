//! The messages to send, opened and scanned before a connection is made.
//!
//! Small messages are held in memory. Of a large message only its facts are kept, and the file
//! is read again while it is sent; standard input, which cannot be read twice, is copied to an
//! unnamed file.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;

use postwire_blocking::proto::{BodyScanner, BodySource, StreamFacts};
use postwire_blocking::{Chunks, chunks};

use crate::arguments::UsageError;
use crate::print::text::SafeText;
use crate::send::bcc::WithoutBcc;

/// A message and its name in output.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) name: Name,
    /// The content, or the declaration of a stream.
    pub(crate) body: BodySource,
    /// The file with the content, if it is not in memory.
    file: Option<Arc<File>>,
    /// Whether the first line is a header field.
    begins_with_field: bool,
}

impl Message {
    /// The number of octets.
    pub(crate) fn octets(&self) -> u64 {
        let measured = self.body.stream_facts();
        let facts = measured.map_or(self.body.facts(), |stream| stream.measured.as_ref());
        facts.map_or(0, |facts| facts.octets)
    }

    /// What the user may have overlooked.
    pub(crate) fn oddity(&self) -> Option<&'static str> {
        if self.octets() == 0 {
            Some("the message is empty")
        } else if self.begins_with_field {
            None
        } else {
            Some("the message does not begin with a header field")
        }
    }

    /// Reads the content from the first octet on, if it is in a file.
    pub(crate) fn pieces(&self) -> Option<io::Result<Chunks<Arc<File>>>> {
        let mut file = self.file.clone()?;
        Some(file.rewind().map(|()| chunks(file)))
    }
}

/// A message file that cannot be read.
#[derive(Debug)]
pub(crate) struct Unreadable {
    name: Name,
    error: io::Error,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "cannot read {}: {}", self.name, self.error)
    }
}

/// The source of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    StandardInput,
    File(PathBuf),
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StandardInput => formatter.write_str("standard input"),
            Self::File(path) => SafeText(&path.to_string_lossy()).fmt(formatter),
        }
    }
}

/// The sources that the user named; standard input if there are none.
pub(crate) fn names(arguments: &[PathBuf]) -> Result<Vec<Name>, UsageError> {
    if arguments.is_empty() {
        return Ok(vec![Name::StandardInput]);
    }
    let is_standard_input = |path: &PathBuf| path.as_os_str() == "-";
    let times = arguments.iter().filter(|path| is_standard_input(path));
    if times.count() > 1 {
        let why = "standard input can only be read once";
        return Err(UsageError::new("--message", why));
    }
    let name = |path: &PathBuf| {
        if is_standard_input(path) {
            Name::StandardInput
        } else {
            Name::File(path.clone())
        }
    };
    Ok(arguments.iter().map(name).collect())
}

/// Reads all messages in order, and stops at the first that cannot be read.
pub(crate) fn read(names: &[Name], strip_bcc: bool) -> Result<Vec<Message>, Unreadable> {
    let read = |name| read_one(name, strip_bcc);
    names.iter().map(read).collect()
}

/// Messages larger than this are not held in memory.
const LARGE: usize = 1024 * 1024;

fn read_one(name: &Name, strip_bcc: bool) -> Result<Message, Unreadable> {
    let opened = match name {
        Name::File(path) if strip_bcc => {
            let file = File::open(path).map(BufReader::new);
            file.and_then(|file| spool(WithoutBcc::new(file)))
        }
        Name::File(path) => File::open(path).and_then(open),
        Name::StandardInput if strip_bcc => spool(WithoutBcc::new(io::stdin().lock())),
        Name::StandardInput => spool(io::stdin().lock()),
    };
    match opened {
        Ok(Opened {
            body,
            file,
            begins_with_field,
        }) => Ok(Message {
            name: name.clone(),
            body,
            file: file.map(Arc::new),
            begins_with_field,
        }),
        Err(error) => Err(Unreadable {
            name: name.clone(),
            error,
        }),
    }
}

/// Content that was read or scanned.
struct Opened {
    body: BodySource,
    file: Option<File>,
    begins_with_field: bool,
}

impl Opened {
    /// Content that is wholly in memory.
    fn small(content: Vec<u8>) -> Self {
        Self {
            begins_with_field: begins_with_field(&content),
            body: content.into(),
            file: None,
        }
    }

    /// Content that stays in a file, which begins with these octets.
    fn large(mut file: File, start: &[u8]) -> io::Result<Self> {
        let facts = survey(&mut file)?;
        Ok(Self {
            body: facts.into(),
            file: Some(file),
            begins_with_field: begins_with_field(start),
        })
    }
}

fn open(mut file: File) -> io::Result<Opened> {
    // A named pipe can be read only once.
    if !file.metadata()?.is_file() {
        return spool(file);
    }
    let start = read_start(&mut file)?;
    if start.len() <= LARGE {
        return Ok(Opened::small(start));
    }
    Opened::large(file, &start)
}

/// Copies a source that can be read only once.
fn spool(mut source: impl Read) -> io::Result<Opened> {
    let start = read_start(&mut source)?;
    if start.len() <= LARGE {
        return Ok(Opened::small(start));
    }
    let mut file = tempfile::tempfile()?;
    file.write_all(&start)?;
    io::copy(&mut source, &mut file)?;
    Opened::large(file, &start)
}

/// The whole content if it is small; otherwise one octet more than that.
fn read_start(source: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    source.take(LARGE as u64 + 1).read_to_end(&mut start)?;
    Ok(start)
}

/// Whether the content begins with the name of a header field and a colon (RFC 5322 §2.2; §4.5
/// allows blanks between them).
fn begins_with_field(content: &[u8]) -> bool {
    let mut line = content.split(|octet| matches!(octet, b'\r' | b'\n'));
    let line = line.next().unwrap_or_default();
    let Some(colon) = line.iter().position(|octet| *octet == b':') else {
        return false;
    };
    let name = line[..colon].trim_ascii_end();
    !name.is_empty() && name.iter().all(u8::is_ascii_graphic)
}

/// Scans the content of a file, and goes back to its start.
fn survey(file: &mut File) -> io::Result<StreamFacts> {
    file.seek(SeekFrom::Start(0))?;
    let mut scanner = BodyScanner::default();
    for piece in chunks(&mut *file) {
        scanner.feed(&piece?);
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(scanner.finish())
}
