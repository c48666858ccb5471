//! Where a control socket is when nothing is said about it; the same on both sides.
//!
//! ```text
//! /run/uturn/control              a service manager's server, or one that root runs
//! $XDG_RUNTIME_DIR/uturn/control  one that a user runs
//! ```

use std::env;
use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::socket::{ControlSocket, NoSocket};

/// Where a server under a service manager has its control socket.
const SYSTEM: &str = "/run/uturn/control";
/// The same for a server that a user runs, below `$XDG_RUNTIME_DIR`.
const OWN: &str = "uturn/control";

/// The places, in the order in which they are tried.
pub(super) fn places() -> Vec<PathBuf> {
    let own = env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty());
    let own = own.map(|folder| PathBuf::from(folder).join(OWN));
    [PathBuf::from(SYSTEM)].into_iter().chain(own).collect()
}

/// Binds a socket at the first place where one can be. A place that another server has is left to
/// it, and no other is tried: there `uturn status` would not look.
///
/// # Errors
/// One line that says why there is none.
pub(in crate::control) fn bind_first() -> Result<ControlSocket, String> {
    bind_first_of(&places())
}

fn bind_first_of(places: &[PathBuf]) -> Result<ControlSocket, String> {
    let mut why = Vec::new();
    for path in places {
        let bound = with_folder(path)
            .map_err(NoSocket::from)
            .and_then(|()| ControlSocket::bind_beside_others(path));
        match bound {
            Ok(socket) => return Ok(socket),
            Err(NoSocket::AnotherServer) => {
                return Err(format!("another server has {}", path.display()));
            }
            Err(NoSocket::Other(error)) => why.push(format!("{}: {error}", path.display())),
        }
    }
    Err(why.join("; "))
}

/// Makes the folder of a socket, but none above it: those are the system's.
fn with_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Where a server is asked that nothing is said about: where one answers, or else the first place
/// with a socket, or the first of all.
pub(super) fn default_path() -> PathBuf {
    let places = places();
    let answering = places.iter().find(|path| UnixStream::connect(path).is_ok());
    let there = answering.or_else(|| places.iter().find(|path| path.exists()));
    there.or(places.first()).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(test: &str) -> PathBuf {
        let path = env::temp_dir().join(format!("uturn-places-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn the_first_place_that_can_be_made_is_taken_with_its_folder() {
        let folder = folder("first");
        let places = [folder.join("no/such/folder/control"), folder.join("uturn/control")];
        let socket = bind_first_of(&places).unwrap();
        assert_eq!(socket.path(), places[1]);
        assert!(UnixStream::connect(&places[1]).is_ok());
        drop(socket);
        let socket = bind_first_of(&places).unwrap();
        assert_eq!(socket.path(), places[1], "the folder is there already");
        drop(socket);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_second_server_leaves_the_first_alone_and_takes_no_other_place() {
        let folder = folder("second");
        let places = [folder.join("a"), folder.join("b")];
        let first = bind_first_of(&places).unwrap();
        let refused = bind_first_of(&places).unwrap_err();
        assert!(refused.starts_with("another server has") && refused.ends_with("/a"), "{refused}");
        assert!(UnixStream::connect(first.path()).is_ok() && !places[1].exists());
        drop(first);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn where_none_can_be_every_reason_is_told() {
        let places = ["/proc/no/control", "/dev/null/control"].map(PathBuf::from);
        let why = bind_first_of(&places).unwrap_err();
        assert!(why.contains("/proc/no/control: ") && why.contains("; /dev/null/control"), "{why}");
    }
}
