//! The control socket itself: who may open it, and what becomes of one that was left behind.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

/// Only the server's own user, and root, may open it.
const MODE: u32 = 0o600;
/// Connections the kernel keeps while the server does something else.
const BACKLOG: i32 = 1024;

/// A bound control socket. It is gone from the file system when this is dropped.
#[derive(Debug)]
pub(in crate::control) struct ControlSocket {
    path: PathBuf,
    inode: u64,
    listener: UnixListener,
}

impl ControlSocket {
    /// Binds the socket. One that a server left behind is replaced; one that a server listens on is
    /// not, and neither is a file of another kind.
    ///
    /// It is made under another name and moved into its place once it has its mode: there is no
    /// moment at which others could open it, or at which there is none.
    ///
    /// # Errors
    /// One line that names the path.
    pub(in crate::control) fn bind(path: &Path) -> io::Result<Self> {
        Self::bind_beside_others(path).map_err(|obstacle| {
            let path = path.display();
            match obstacle {
                NoSocket::AnotherServer => io::Error::other(format!(
                    "no control socket at {path}: another server listens there: stop it, or write \
                     another path"
                )),
                NoSocket::Other(error) => {
                    io::Error::new(error.kind(), format!("no control socket at {path}: {error}"))
                }
            }
        })
    }

    /// The same for who can do without it.
    pub(super) fn bind_beside_others(path: &Path) -> Result<Self, NoSocket> {
        ensure_replaceable(path)?;
        Ok(Self::place(path)?)
    }

    fn place(path: &Path) -> io::Result<Self> {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}", std::process::id()));
        let made = PathBuf::from(name);
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        remove(&made)?;
        socket.bind(&SockAddr::unix(&made)?)?;
        let placed = fs::set_permissions(&made, Permissions::from_mode(MODE))
            .and_then(|()| socket.listen(BACKLOG))
            .and_then(|()| socket.set_nonblocking(true))
            .and_then(|()| fs::rename(&made, path));
        if let Err(error) = placed {
            remove(&made)?;
            return Err(error);
        }
        let inode = fs::symlink_metadata(path)?.ino();
        Ok(Self { path: path.to_owned(), inode, listener: OwnedFd::from(socket).into() })
    }

    /// Where it is.
    pub(in crate::control) fn path(&self) -> &Path {
        &self.path
    }

    /// A second handle to listen with; the socket stays for as long as the socket.
    pub(in crate::control) fn listener(&self) -> io::Result<UnixListener> {
        self.listener.try_clone()
    }
}

impl Drop for ControlSocket {
    /// Takes the socket away, unless another server has replaced it.
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path);
        if found.is_ok_and(|found| found.ino() == self.inode) {
            // What cannot be removed is replaced at the next start.
            remove(&self.path).unwrap_or_default();
        }
    }
}

/// Why there can be no socket at a path.
#[derive(Debug)]
pub(super) enum NoSocket {
    /// A server listens there.
    AnotherServer,
    Other(io::Error),
}

impl From<io::Error> for NoSocket {
    fn from(error: io::Error) -> Self {
        Self::Other(error)
    }
}

/// A socket that cannot be connected to for want of permission is somebody else's.
fn ensure_replaceable(path: &Path) -> Result<(), NoSocket> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            Err(io::Error::other("there is a file of another kind: write another path").into())
        }
        Ok(_) => match UnixStream::connect(path) {
            Ok(_) => Err(NoSocket::AnotherServer),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error.into()),
            Err(_) => Ok(()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of this test's own.
    fn folder(test: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("uturn-socket-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn it_is_for_its_owner_and_gone_with_the_server() {
        let folder = folder("mode");
        let path = folder.join("control");
        let socket = ControlSocket::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(UnixStream::connect(&path).is_ok());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        drop(socket);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        fs::remove_dir(&folder).unwrap();
    }

    #[test]
    fn a_live_one_is_an_error_and_a_stale_one_is_replaced() {
        let folder = folder("stale");
        let path = folder.join("control");
        let first = ControlSocket::bind(&path).unwrap();
        let error = ControlSocket::bind(&path).unwrap_err().to_string();
        assert!(error.contains("another server listens") && error.contains("control"), "{error}");
        assert!(UnixStream::connect(&path).is_ok(), "the first one is unharmed");
        let kept = folder.join("kept");
        fs::rename(&path, &kept).unwrap();
        drop(first);
        fs::rename(&kept, &path).unwrap();
        let second = ControlSocket::bind(&path).unwrap();
        assert!(UnixStream::connect(&path).is_ok());
        drop(second);
        fs::remove_dir(&folder).unwrap();
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let folder = folder("file");
        let path = folder.join("control");
        fs::write(&path, "precious").unwrap();
        assert!(ControlSocket::bind(&path).unwrap_err().to_string().contains("another kind"));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        assert!(ControlSocket::bind(&folder.join("no/such/folder")).is_err());
        fs::remove_dir_all(&folder).unwrap();
    }
}
