//! The two doors of the admin endpoint: a TCP address and a unix socket.
//!
//! A unix socket is a file, and files stay when their maker is killed. One that is left over is replaced, one on which
//! somebody answers is not, and neither is anything that is no socket. Its mode is 0660 from the first moment on.

use nix::sys::stat::{Mode, fchmod};
use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};
use tokio::net::{TcpListener, UnixListener, UnixStream};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 64;

/// Only root and the group of the process.
const MODE: u32 = 0o660;

/// Why a door cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("cannot listen on {0} for the admin endpoint: {1}; choose another address with --http")]
    Tcp(SocketAddr, io::Error),
    #[error("cannot make the directory {0} of the admin socket: {1}; make it, or choose another path with --socket")]
    Directory(PathBuf, io::Error),
    #[error(
        "somebody answers on the admin socket {0}: another agent may be running; stop it or choose another path with --socket"
    )]
    Answered(PathBuf),
    #[error("{0} is there and is no socket; remove it or choose another path with --socket")]
    NoSocket(PathBuf),
    #[error("cannot listen on the admin socket {0}: {1}; choose another path with --socket")]
    Unix(PathBuf, io::Error),
}

/// Listens on `address`.
pub(super) fn tcp(address: SocketAddr) -> Result<TcpListener, OpenError> {
    let open = || {
        let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    open().map_err(|error| OpenError::Tcp(address, error))
}

/// Listens on `path`; the file goes when the guard is dropped.
pub(super) async fn unix(path: &Path) -> Result<(UnixListener, SocketFile), OpenError> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(directory) = directory {
        let made = fs::DirBuilder::new().recursive(true).mode(0o755).create(directory);
        made.map_err(|error| OpenError::Directory(directory.to_owned(), error))?;
    }
    clear(path).await?;
    bind(path).map_err(|error| OpenError::Unix(path.to_owned(), error))
}

/// Removes the socket at `path` if nobody answers there.
async fn clear(path: &Path) -> Result<(), OpenError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(OpenError::Unix(path.to_owned(), error)),
        Ok(found) if !found.file_type().is_socket() => return Err(OpenError::NoSocket(path.to_owned())),
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
        Ok(_) => return Err(OpenError::Answered(path.to_owned())),
        Err(error) => return Err(OpenError::Unix(path.to_owned(), error)),
    }
    fs::remove_file(path).map_err(|error| OpenError::Unix(path.to_owned(), error))
}

fn bind(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    // Linux gives the file the mode of the socket, less the umask: never more than this, not even for a moment.
    fchmod(&socket, Mode::from_bits_truncate(MODE))?;
    socket.set_nonblocking(true)?;
    socket.bind(&socket2::SockAddr::unix(path)?)?;
    fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
    socket.listen(BACKLOG)?;
    let inode = fs::OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_NOFOLLOW).open(path)?;
    let file = SocketFile { path: path.to_owned(), inode };
    Ok((UnixListener::from_std(socket.into())?, file))
}

/// Removes the file of a socket when dropped, unless it has become another's meanwhile.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Held open, so that the inode's number is not given to another file as long as it is compared here.
    inode: fs::File,
}

impl SocketFile {
    /// Whether the path still leads to this socket: somebody may have removed or replaced the file.
    pub(super) fn is_in_place(&self) -> bool {
        let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let there = fs::symlink_metadata(&self.path).map(identity);
        there.is_ok_and(|there| self.inode.metadata().is_ok_and(|own| identity(own) == there))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_in_place() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[tokio::test]
    async fn a_socket_is_made_with_its_directory_and_goes_with_its_guard() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/lbagent.sock");
        let (_listener, file) = unix(&path).await.unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o660, 0o755));
        UnixStream::connect(&path).await.unwrap();
        drop(file);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_left_over_socket_is_replaced_and_a_living_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lbagent.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let (living, file) = unix(&path).await.unwrap();
        assert!(matches!(unix(&path).await, Err(OpenError::Answered(_))));
        assert!(file.is_in_place());
        drop(living);
        let (_listener, successor) = unix(&path).await.unwrap();
        assert!(!file.is_in_place());
        drop(file);
        assert!(successor.is_in_place(), "the guard of the first has left the second alone");
    }

    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("precious");
        fs::write(&path, "data").unwrap();
        let error = unix(&path).await.unwrap_err();
        assert!(error.to_string().contains("is no socket"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "data");
        let below = unix(&path.join("lbagent.sock")).await.unwrap_err();
        assert!(matches!(below, OpenError::Directory(..)), "{below}");
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let error = unix(&dir.path().join("x".repeat(200))).await.unwrap_err();
        assert!(matches!(error, OpenError::Unix(..)), "{error}");
    }

    #[tokio::test]
    async fn a_port_in_use_is_an_error_that_says_what_to_do() {
        let first = tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let error = tcp(first.local_addr().unwrap()).unwrap_err();
        assert!(error.to_string().ends_with("choose another address with --http"), "{error}");
    }
}
