//! The place where a server listens: a port, or a Unix socket whose file exists only while the
//! server runs.
//!
//! Knows addresses and paths. Must never know the data of a connection.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
#[cfg(unix)]
use std::os::unix::net::UnixListener;
#[cfg(unix)]
use std::path::PathBuf;

use postwire_blocking::Socket;
use socket2::{Domain, Type};

use crate::print::text::SafeText;

/// The number of connections that wait to be accepted; the system may allow fewer. A client
/// beyond it tries again after a second, then after three.
const BACKLOG: i32 = 4_096;

/// Where to listen.
pub(crate) enum ListenAddress {
    /// An address; with port 0 the system chooses a port.
    Address(SocketAddr),
    /// A path where nothing exists, or only a socket that nobody listens on.
    #[cfg(unix)]
    Path(PathBuf),
}

impl ListenAddress {
    /// Starts to listen.
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

impl fmt::Display for ListenAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(formatter),
            #[cfg(unix)]
            Self::Path(path) => SafeText(&path.to_string_lossy()).fmt(formatter),
        }
    }
}

/// A listening socket.
pub(crate) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

impl Listener {
    /// Listens on an address and a port.
    pub(crate) fn tcp(address: SocketAddr) -> io::Result<Self> {
        bind(address).map(Self::Tcp)
    }

    /// Waits for the next connection. Returns the client's address too.
    pub(crate) fn accept(&self) -> io::Result<(Socket, String)> {
        Ok(match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                // A client that has gone already is noticed by the first read.
                let _ = stream.set_nodelay(true);
                (Socket::Tcp(stream), peer.to_string())
            }
            #[cfg(unix)]
            Self::Unix(listener) => {
                let (stream, _) = listener.accept()?;
                (Socket::Unix(stream), "the socket".to_owned())
            }
        })
    }

    /// The address, with the port that was chosen.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr(),
            #[cfg(unix)]
            Self::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

/// Listens on an address with a long backlog, which the standard library does not offer.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // On Windows this would let another process take the port.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The place that is in use. Dropping it removes the file of a Unix socket.
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
            Self::File(file) => SafeText(&file.path().to_string_lossy()).fmt(formatter),
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

    /// The longest time to wait for another process.
    const OTHER_PROCESS_TIMEOUT: Duration = Duration::from_secs(2);

    /// The file of a socket, which is removed when this is dropped.
    pub(crate) struct SocketFile {
        path: PathBuf,
        identity: FileIdentity,
    }

    impl SocketFile {
        pub(crate) fn path(&self) -> &Path {
            &self.path
        }
    }

    /// The identity of a file, independent of its name: device and inode number.
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

    /// Locks the folder, so that of two servers that start at once, neither takes the other's
    /// new socket for a stale one.
    fn lock_folder(path: &Path) -> io::Result<fs::File> {
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let folder = fs::File::open(folder)?;
        let deadline = Instant::now() + OTHER_PROCESS_TIMEOUT;
        loop {
            match folder.try_lock() {
                Ok(()) => return Ok(folder),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(10));
                }
                Err(TryLockError::WouldBlock) => {
                    let why = "another process keeps its folder locked";
                    return Err(io::Error::new(io::ErrorKind::WouldBlock, why));
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    fn remove_stale(path: &Path) -> io::Result<()> {
        let in_use = |why| Err(io::Error::new(io::ErrorKind::AddrInUse, why));
        // A symbolic link to a socket is not removed either.
        if !fs::symlink_metadata(path)?.file_type().is_socket() {
            return in_use("something other than a socket is there");
        }
        if is_listened_on(path) {
            return in_use("another process listens there");
        }
        fs::remove_file(path)
    }

    /// Whether a process listens on the socket. Only the system's explicit refusal means no: a
    /// process that does not answer is busy.
    fn is_listened_on(path: &Path) -> bool {
        let (sender, result) = mpsc::channel();
        let path = path.to_owned();
        // Connecting has no time limit of its own.
        let asked = thread::Builder::new().spawn(move || {
            // The receiver may have given up.
            let _ = sender.send(UnixStream::connect(path).map(drop));
        });
        let answer = asked
            .ok()
            .and_then(|_| result.recv_timeout(OTHER_PROCESS_TIMEOUT).ok());
        !matches!(answer, Some(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused)
    }

    impl Drop for SocketFile {
        fn drop(&mut self) {
            let _alone = lock_folder(&self.path);
            // A file that another process created since then is not removed.
            if FileIdentity::at(&self.path).is_ok_and(|found| found == self.identity) {
                let _ = fs::remove_file(&self.path);
            }
        }
    }
}
