//! The file that tells another program where the server listens.

use std::fs;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::serve::listener::Bound;

/// Where the server listens, as the file has it.
#[derive(Debug, Serialize)]
pub(crate) struct Listening {
    pub(crate) smtp: Place,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) web: Option<Place>,
    /// The process that listens.
    pub(crate) process: u32,
}

/// An address, or the path of a socket.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Place {
    Address { address: String, port: u16 },
    Path { path: String },
}

impl From<SocketAddr> for Place {
    fn from(address: SocketAddr) -> Self {
        Self::Address {
            address: address.ip().to_string(),
            port: address.port(),
        }
    }
}

impl From<&Bound> for Place {
    fn from(bound: &Bound) -> Self {
        match bound {
            Bound::Address(address) => (*address).into(),
            #[cfg(unix)]
            Bound::File(file) => Self::Path {
                path: file.path().to_string_lossy().into_owned(),
            },
        }
    }
}

/// The file, which is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct PortFile {
    path: PathBuf,
    text: String,
}

impl PortFile {
    /// Writes the file at once and whole, so that no reader sees a part of it. Only this user can
    /// read it.
    pub(crate) fn write(path: &Path, listening: &Listening) -> io::Result<Self> {
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        // A device or a link must not be replaced by a file.
        if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
            let why = "something other than a file is there";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        }
        let text = serde_json::to_string(listening)? + "\n";
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.persist(path)?;
        Ok(Self {
            path: path.to_owned(),
            text,
        })
    }
}

impl Drop for PortFile {
    fn drop(&mut self) {
        // A file that another server has written since then is not removed.
        if fs::read_to_string(&self.path).is_ok_and(|text| text == self.text) {
            let _ = fs::remove_file(&self.path);
        }
    }
}
