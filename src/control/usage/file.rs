//! The file of the records: appended to through the ring where there is one, else from a thread of
//! the runtime's own, so that a slow disk holds up neither.
//!
//! It may be a pipe with a name, whose reader comes late, stops, or goes and comes again. It is
//! opened without waiting for the reader and written to without blocking; a full pipe is tried
//! again, and meanwhile the records wait in their queue, which is bounded.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
#[cfg(not(target_env = "musl"))]
use tokio_uring::buf::BoundedBuf;
use tracing::{info, warn};

/// Who may read a new file: its owner and his group. It says who talked with whom.
const MODE: u32 = 0o640;
/// How soon a pipe is tried again that is full or has no reader.
const RETRY: Duration = Duration::from_millis(20);
/// How long a reader may stay away before the log says so.
const SILENCE: Duration = Duration::from_secs(1);

/// A file and its name.
pub(super) struct File {
    path: PathBuf,
    has_ring: bool,
    handle: Handle,
}

enum Handle {
    #[cfg(not(target_env = "musl"))]
    Ring(tokio_uring::fs::File),
    Pool(Arc<std::fs::File>),
    /// A pipe that cannot be opened before it has a reader.
    NoReader,
}

impl File {
    /// Opens a file to be appended to, or makes it.
    ///
    /// # Errors
    /// What the system says to it, with the name of the file.
    pub(super) fn open(path: &Path, has_ring: bool) -> io::Result<Self> {
        let handle = open(path, has_ring).map_err(|error| {
            let path = path.display();
            io::Error::new(error.kind(), format!("cannot write usage records to {path}: {error}"))
        })?;
        Ok(Self { path: path.to_owned(), has_ring, handle })
    }

    /// Opens whatever has this file's name now.
    pub(super) fn again(&self) -> io::Result<Self> {
        Self::open(&self.path, self.has_ring)
    }

    /// Appends all of it, or as much as the disk takes: says how many bytes are in the file, and
    /// what went wrong if those are not all. A pipe takes all of it in the end.
    pub(super) async fn append(&mut self, bytes: Vec<u8>) -> (usize, io::Result<()>) {
        let (mut bytes, mut done, mut waited) = (bytes, 0, Duration::ZERO);
        while done < bytes.len() {
            let (written, back) = self.write(bytes, done).await;
            bytes = back;
            match written {
                Ok(0) => return (done, Err(ErrorKind::WriteZero.into())),
                Ok(more) => {
                    self.heard(std::mem::take(&mut waited));
                    done += more;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if waits_for_reader(&error) => {
                    self.wait(&mut waited).await;
                }
                Err(error) => return (done, Err(error)),
            }
        }
        (done, Ok(()))
    }

    /// Waits a little for the reader of a pipe.
    async fn wait(&mut self, waited: &mut Duration) {
        sleep(RETRY).await;
        let was_silent = *waited >= SILENCE;
        *waited += RETRY;
        if *waited >= SILENCE && !was_silent {
            warn!(path = %self.path.display(), "usage records wait: nobody reads them");
        }
        // What has this name now may be another pipe, or a file.
        if matches!(self.handle, Handle::NoReader)
            && let Ok(file) = self.again()
        {
            *self = file;
        }
    }

    fn heard(&self, waited: Duration) {
        if waited >= SILENCE {
            info!(path = %self.path.display(), "usage records are read again");
        }
    }

    async fn write(&self, bytes: Vec<u8>, from: usize) -> (io::Result<usize>, Vec<u8>) {
        match &self.handle {
            Handle::NoReader => (Err(io::Error::from_raw_os_error(libc::ENXIO)), bytes),
            // Where a file is appended to, the place named here does not count.
            #[cfg(not(target_env = "musl"))]
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

#[cfg_attr(target_env = "musl", expect(unused_variables, reason = "there is no ring for files"))]
fn open(path: &Path, has_ring: bool) -> io::Result<Handle> {
    let mut options = OpenOptions::new();
    // To a file on a disk O_NONBLOCK means nothing.
    options.append(true).create(true).mode(MODE).custom_flags(libc::O_NONBLOCK);
    match options.open(path) {
        #[cfg(not(target_env = "musl"))]
        // A ring would wait for the reader of a full pipe, O_NONBLOCK or not, and end with it.
        Ok(file) if has_ring && !file.metadata()?.file_type().is_fifo() => {
            Ok(Handle::Ring(tokio_uring::fs::File::from_std(file)))
        }
        Ok(file) => Ok(Handle::Pool(Arc::new(file))),
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) && is_pipe(path) => {
            Ok(Handle::NoReader)
        }
        Err(error) => Err(error),
    }
}

fn is_pipe(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo())
}

/// Full, without a reader, or not opened for want of one: what only pipes answer.
fn waits_for_reader(error: &io::Error) -> bool {
    let errno = error.raw_os_error();
    errno.is_some_and(|errno| [libc::EAGAIN, libc::EPIPE, libc::ENXIO].contains(&errno))
}
