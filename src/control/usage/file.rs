//! The file of the records: appended to through the ring where there is one, else from a thread of
//! the runtime's own, so that a slow disk holds up neither.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_uring::buf::BoundedBuf;

/// Who may read a new file: its owner and his group. It says who talked with whom.
const MODE: u32 = 0o640;

/// An open file and its name.
pub(super) struct File {
    path: PathBuf,
    handle: Handle,
}

enum Handle {
    Ring(tokio_uring::fs::File),
    Pool(Arc<std::fs::File>),
}

impl File {
    /// Opens a file to be appended to, or makes it.
    ///
    /// # Errors
    /// What the system says to it, with the name of the file.
    pub(super) fn open(path: &Path, has_ring: bool) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(MODE).open(path);
        let file = file.map_err(|error| {
            let path = path.display();
            io::Error::new(error.kind(), format!("cannot write usage records to {path}: {error}"))
        })?;
        let handle = if has_ring {
            Handle::Ring(tokio_uring::fs::File::from_std(file))
        } else {
            Handle::Pool(Arc::new(file))
        };
        Ok(Self { path: path.to_owned(), handle })
    }

    /// Opens whatever has this file's name now.
    pub(super) fn again(&self) -> io::Result<Self> {
        Self::open(&self.path, matches!(self.handle, Handle::Ring(_)))
    }

    /// Appends all of it, or as much as the disk takes: says how many bytes are in the file, and
    /// what went wrong if those are not all.
    pub(super) async fn append(&self, bytes: Vec<u8>) -> (usize, io::Result<()>) {
        let (mut bytes, mut done) = (bytes, 0);
        while done < bytes.len() {
            let (written, back) = self.write(bytes, done).await;
            bytes = back;
            match written {
                Ok(0) => return (done, Err(ErrorKind::WriteZero.into())),
                Ok(more) => done += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return (done, Err(error)),
            }
        }
        (done, Ok(()))
    }

    async fn write(&self, bytes: Vec<u8>, from: usize) -> (io::Result<usize>, Vec<u8>) {
        match &self.handle {
            // Where a file is appended to, the place named here does not count.
            Handle::Ring(file) => {
                let (written, rest) = file.write_at(bytes.slice(from..), 0).submit().await;
                (written, rest.into_inner())
            }
            Handle::Pool(file) => {
                let file = Arc::clone(file);
                let write = move || ((&*file).write(&bytes[from..]), bytes);
                match tokio::task::spawn_blocking(write).await {
                    Ok(outcome) => outcome,
                    Err(error) => (Err(io::Error::other(error)), Vec::new()),
                }
            }
        }
    }
}
