//! A Maildir: a folder in which each message is a file, and never a partial one.
//!
//! Knows file names and the order of writes. Stores octets unchanged.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A folder with `tmp`, `new` and `cur` in it.
#[derive(Debug)]
pub(crate) struct Maildir {
    folder: PathBuf,
    host: String,
    delivered: AtomicU64,
}

impl Maildir {
    /// Opens the folder, and creates it if it is missing. `host` becomes part of the file
    /// names.
    pub(crate) fn open(folder: &Path, host: &str) -> io::Result<Self> {
        for name in ["tmp", "new", "cur"] {
            private_folders().create(folder.join(name))?;
        }
        Ok(Self {
            folder: folder.to_owned(),
            // Both characters have a meaning in file names.
            host: host.replace('/', "\\057").replace(':', "\\072"),
            delivered: AtomicU64::new(0),
        })
    }

    /// Stores a message and returns its path within the folder. After success it survives a
    /// power failure; after an error nothing is left.
    pub(crate) fn deliver(&self, content: &[u8]) -> io::Result<PathBuf> {
        let name = self.unique_name();
        let temporary = self.folder.join("tmp").join(&name);
        let delivered = Path::new("new").join(&name);
        let stored = write_through(&temporary, content)
            .and_then(|()| fs::rename(&temporary, self.folder.join(&delivered)))
            .and_then(|()| File::open(self.folder.join("new"))?.sync_all());
        if let Err(error) = stored {
            // A file that stays in tmp is not a message.
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        Ok(delivered)
    }

    fn unique_name(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default();
        let (seconds, micros) = (now.as_secs(), now.subsec_micros());
        let number = self.delivered.fetch_add(1, Ordering::Relaxed);
        let (process, host) = (process::id(), &self.host);
        format!("{seconds}.M{micros}P{process}Q{number}.{host}")
    }
}

/// Mail must not be readable by other users.
fn private_folders() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn write_through(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = private_file().open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_is_a_file_with_its_octets() {
        let folder = tempfile::tempdir().unwrap();
        let maildir = Maildir::open(folder.path(), "[IPv6:::1]").unwrap();
        let first = maildir.deliver(b"a\r\n").unwrap();
        let second = maildir.deliver(b"").unwrap();
        assert_ne!(first, second);
        assert_eq!(fs::read(folder.path().join(first)).unwrap(), b"a\r\n");
        assert_eq!(fs::read(folder.path().join(&second)).unwrap(), b"");
        assert!(!second.to_string_lossy().contains(':'));
        assert_eq!(fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn other_users_cannot_read_it() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("a/mail");
        let maildir = Maildir::open(&folder, "localhost").unwrap();
        let message = folder.join(maildir.deliver(b"a").unwrap());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for made in [&folder, &folder.join("new"), &folder.join("tmp")] {
            assert_eq!(mode(made), 0o700);
        }
        assert_eq!(mode(&message), 0o600);
    }

    #[test]
    fn a_failure_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let maildir = Maildir::open(folder.path(), "localhost").unwrap();
        fs::remove_dir(folder.path().join("new")).unwrap();
        assert!(maildir.deliver(b"a").is_err());
        assert_eq!(fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
    }
}
