//! The messages to send, opened and looked at before anything is connected.
//!
//! Small ones are held in memory. Of a large one only what it consists of is kept,
//! and it is read again while it is sent; standard input, which cannot be, goes
//! through a file without a name.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;

use postwire_blocking::proto::{BodySource, StreamFacts, Survey};
use postwire_blocking::{Chunks, chunks};

use crate::arguments::UsageError;
use crate::bcc::WithoutBcc;
use crate::text::Plain;

/// One message, and what it is called in what is said of it.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) name: Name,
    /// Its octets, or the promise of them.
    pub(crate) body: BodySource,
    /// Where they are, if they are not at hand.
    file: Option<Arc<File>>,
}

impl Message {
    /// How many octets it has.
    pub(crate) fn octets(&self) -> u64 {
        let surveyed = self.body.stream_facts();
        let facts = surveyed.map_or(self.body.facts(), |stream| stream.surveyed.as_ref());
        facts.map_or(0, |facts| facts.octets)
    }

    /// Its octets from the first on, as they are read.
    pub(crate) fn pieces(&self) -> Option<Chunks<Arc<File>>> {
        self.file.clone().map(chunks)
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

/// Where a message comes from.
#[derive(Clone, Debug)]
pub(crate) enum Name {
    StandardInput,
    File(PathBuf),
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StandardInput => formatter.write_str("standard input"),
            Self::File(path) => Plain(&path.to_string_lossy()).fmt(formatter),
        }
    }
}

/// What the user named, standard input if he named nothing.
pub(crate) fn names(arguments: &[PathBuf]) -> Result<Vec<Name>, UsageError> {
    if arguments.is_empty() {
        return Ok(vec![Name::StandardInput]);
    }
    let is_standard_input = |path: &PathBuf| path.as_os_str() == "-";
    let times = arguments.iter().filter(|path| is_standard_input(path));
    if times.count() > 1 {
        let why = "standard input can be read once only";
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

/// Reads all of them, in order; one that cannot be read stops it.
pub(crate) fn read(names: &[Name], strip_bcc: bool) -> Result<Vec<Message>, Unreadable> {
    let read = |name| read_one(name, strip_bcc);
    names.iter().map(read).collect()
}

/// What is larger than this is not held in memory.
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
        Ok((body, file)) => Ok(Message {
            name: name.clone(),
            body,
            file: file.map(Arc::new),
        }),
        Err(error) => Err(Unreadable {
            name: name.clone(),
            error,
        }),
    }
}

type Opened = (BodySource, Option<File>);

fn open(mut file: File) -> io::Result<Opened> {
    // A pipe with a name gives its octets once only.
    if !file.metadata()?.is_file() {
        return spool(file);
    }
    if let Some(body) = read_small(&mut file, &mut Vec::new())? {
        return Ok((body, None));
    }
    let facts = survey(&mut file)?;
    Ok((facts.into(), Some(file)))
}

/// Reads what can be read once only.
fn spool(mut source: impl Read) -> io::Result<Opened> {
    let mut start = Vec::new();
    if let Some(body) = read_small(&mut source, &mut start)? {
        return Ok((body, None));
    }
    let mut file = tempfile::tempfile()?;
    file.write_all(&start)?;
    drop(start);
    io::copy(&mut source, &mut file)?;
    let facts = survey(&mut file)?;
    Ok((facts.into(), Some(file)))
}

/// The whole of it, if it is small; otherwise its start.
fn read_small(source: &mut impl Read, start: &mut Vec<u8>) -> io::Result<Option<BodySource>> {
    source.take(LARGE as u64 + 1).read_to_end(start)?;
    let is_small = start.len() <= LARGE;
    Ok(is_small.then(|| std::mem::take(start).into()))
}

/// What a file consists of. Leaves it at its start.
fn survey(file: &mut File) -> io::Result<StreamFacts> {
    file.seek(SeekFrom::Start(0))?;
    let mut survey = Survey::default();
    for piece in chunks(&mut *file) {
        survey.feed(&piece?);
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(survey.finish())
}
