//! The messages to send, read before anything is connected.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;

use postwire_blocking::proto::Body;

use crate::arguments::UsageError;
use crate::text::Plain;

/// One message, and what it is called in what is said of it.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) name: Name,
    pub(crate) body: Body,
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
pub(crate) fn read(names: &[Name]) -> Result<Vec<Message>, Unreadable> {
    names.iter().map(read_one).collect()
}

fn read_one(name: &Name) -> Result<Message, Unreadable> {
    let content = match name {
        Name::File(path) => fs::read(path),
        Name::StandardInput => {
            let mut content = Vec::new();
            let read = io::stdin().lock().read_to_end(&mut content);
            read.map(|_| content)
        }
    };
    match content {
        Ok(content) => Ok(Message {
            name: name.clone(),
            body: Body::from(content),
        }),
        Err(error) => Err(Unreadable {
            name: name.clone(),
            error,
        }),
    }
}
