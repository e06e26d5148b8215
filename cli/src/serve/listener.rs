//! Where a server listens: a port, or a Unix socket that is there only as long as the
//! server is.
//!
//! Knows addresses and paths. Must never know what is said over a connection.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
#[cfg(unix)]
use std::os::unix::net::UnixListener;
#[cfg(unix)]
use std::path::PathBuf;

use postwire_blocking::Socket;

use crate::print::text::Plain;

/// Where to listen.
pub(crate) enum Place {
    /// A port that is 0 lets the system choose.
    Address(SocketAddr),
    /// Nothing may be there but a socket that nobody listens on.
    #[cfg(unix)]
    Path(PathBuf),
}

impl Place {
    /// Listens there.
    pub(crate) fn listen(&self) -> io::Result<(Listener, Bound)> {
        match self {
            Self::Address(address) => {
                let listener = Listener::tcp(*address)?;
                let address = listener.address()?;
                Ok((listener, Bound::Address(address)))
            }
            #[cfg(unix)]
            Self::Path(path) => {
                let (listener, file) = unix::bind(path)?;
                Ok((Listener::Unix(listener), Bound::File(file)))
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(formatter),
            #[cfg(unix)]
            Self::Path(path) => Plain(&path.to_string_lossy()).fmt(formatter),
        }
    }
}

/// A socket that listens.
pub(crate) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

impl Listener {
    /// On an address and a port.
    pub(crate) fn tcp(address: SocketAddr) -> io::Result<Self> {
        TcpListener::bind(address).map(Self::Tcp)
    }

    /// Waits for the next connection.
    pub(crate) fn accept(&self) -> io::Result<Socket> {
        Ok(match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                Socket::Tcp(stream)
            }
            #[cfg(unix)]
            Self::Unix(listener) => Socket::Unix(listener.accept()?.0),
        })
    }

    /// The address and the port that was chosen.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr(),
            #[cfg(unix)]
            Self::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

/// Where it is listened. The file of a socket is taken away when this is dropped.
pub(crate) enum Bound {
    Address(SocketAddr),
    #[cfg(unix)]
    File(unix::SocketFile),
}

impl fmt::Display for Bound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(formatter),
            #[cfg(unix)]
            Self::File(file) => Plain(&file.path().to_string_lossy()).fmt(formatter),
        }
    }
}

#[cfg(unix)]
mod unix {
    use std::fs::{self, TryLockError};
    use std::io;
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::{Path, PathBuf};
    use std::sync::mpsc;
    use std::thread;
    use std::time::{Duration, Instant};

    /// How long anybody is waited for.
    const PATIENCE: Duration = Duration::from_secs(2);

    /// A socket's place in the file system, which is empty again once this is dropped.
    pub(crate) struct SocketFile {
        path: PathBuf,
        identity: FileIdentity,
    }

    impl SocketFile {
        pub(super) fn path(&self) -> &Path {
            &self.path
        }
    }

    /// Which file it is, whatever its name: device and number.
    #[derive(PartialEq, Eq)]
    struct FileIdentity(u64, u64);

    impl FileIdentity {
        fn at(path: &Path) -> io::Result<Self> {
            let metadata = fs::symlink_metadata(path)?;
            Ok(Self(metadata.dev(), metadata.ino()))
        }
    }

    pub(super) fn bind(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
        let _alone = lock_folder(path)?;
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                remove_stale(path)?;
                UnixListener::bind(path)?
            }
            bound => bound?,
        };
        let file = SocketFile {
            path: path.to_owned(),
            identity: FileIdentity::at(path)?,
        };
        Ok((listener, file))
    }

    /// Of two servers that begin at once, neither takes the other's fresh socket for one
    /// that was left over.
    fn lock_folder(path: &Path) -> io::Result<fs::File> {
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let folder = fs::File::open(folder)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match folder.try_lock() {
                Ok(()) => return Ok(folder),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(10));
                }
                Err(TryLockError::WouldBlock) => {
                    let why = "somebody else keeps its folder locked";
                    return Err(io::Error::new(io::ErrorKind::WouldBlock, why));
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    fn remove_stale(path: &Path) -> io::Result<()> {
        let refuse = |why| Err(io::Error::new(io::ErrorKind::AddrInUse, why));
        // A link to a socket is somebody's, too.
        if !fs::symlink_metadata(path)?.file_type().is_socket() {
            return refuse("there is something that is no socket");
        }
        if is_listened_on(path) {
            return refuse("somebody listens there");
        }
        fs::remove_file(path)
    }

    /// Only the system's word that nobody does counts as no: who does not answer is busy.
    fn is_listened_on(path: &Path) -> bool {
        let (tell, told) = mpsc::channel();
        let path = path.to_owned();
        // To connect has no time limit of its own.
        let asked = thread::Builder::new().spawn(move || {
            // It may have taken too long.
            let _ = tell.send(UnixStream::connect(path).map(drop));
        });
        let answer = asked.ok().and_then(|_| told.recv_timeout(PATIENCE).ok());
        !matches!(answer, Some(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused)
    }

    impl Drop for SocketFile {
        fn drop(&mut self) {
            let _alone = lock_folder(&self.path);
            // What somebody else has put there since is his.
            if FileIdentity::at(&self.path).is_ok_and(|found| found == self.identity) {
                let _ = fs::remove_file(&self.path);
            }
        }
    }
}
