//! Waits until the files of certificates may have been replaced.
//!
//! Directories are watched, not files: whoever renews a certificate swaps a link (certbot in
//! `live/`, Kubernetes in `..data`) or moves a new file over the old one. What happened is not read
//! for its meaning; everything is read anew.
//!
//! The kernel watches what a path has led to, and a directory may be replaced as a whole: whoever
//! watches asks for the paths to be [followed](FileWatch::follow) again from time to time.

use std::collections::BTreeSet;
use std::fs;
use std::future::pending;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use crate::control::config::PairFiles;

/// How long nothing must have happened: certificate and key are replaced one after the other.
const QUIET: Duration = Duration::from_secs(1);

/// Directories of the files, and of what they link to.
pub(in crate::control) struct FileWatch {
    directories: BTreeSet<PathBuf>,
    /// `None` where nothing is watched, or the kernel cannot be heard.
    inotify: Option<AsyncFd<Descriptor>>,
    /// One of the directories is not there, or no longer where it was.
    is_lost: bool,
    /// When what happened counts as over.
    quiet_at: Option<Instant>,
}

/// What the kernel has told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    /// Something has happened in a directory.
    Change,
    /// A directory has gone elsewhere, too, or is no more.
    Loss,
}

struct Descriptor(Inotify);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl FileWatch {
    /// Begins to watch. Has to be called on a runtime, and before the files are read, or a change
    /// might be missed.
    pub(in crate::control) fn begin(files: &[PairFiles]) -> Self {
        let directories = directories(files);
        let mut is_lost = false;
        let inotify =
            if directories.is_empty() { None } else { watched(&directories, &mut is_lost) };
        Self { directories, inotify, is_lost, quiet_at: None }
    }

    /// Watches these files from now on. Has to be called on a runtime, and again whenever they were
    /// replaced: a link may lead elsewhere by now. Where it does, the files are said to have
    /// changed once more, because they may have before anybody watched.
    pub(in crate::control) fn follow(&mut self, files: &[PairFiles]) {
        if !self.is_lost && self.directories == directories(files) {
            return;
        }
        let begun = Self::begin(files);
        let quiet_at = (!begun.is_lost).then(|| Instant::now() + QUIET);
        *self = Self { quiet_at, ..begun };
    }

    /// Returns [`QUIET`] after the last thing has happened in the directories; never, where nothing
    /// is watched. A caller that stops waiting loses nothing.
    pub(in crate::control) async fn changed(&mut self) {
        let Some(inotify) = &mut self.inotify else { return pending().await };
        loop {
            let quiet_at = self.quiet_at;
            let quiet = async {
                match quiet_at {
                    Some(moment) => sleep_until(moment).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                heard = heard(inotify) => {
                    match heard {
                        Ok(Heard::Change) => {}
                        Ok(Heard::Loss) => self.is_lost = true,
                        Err(error) => {
                            warn_of(&error);
                            self.inotify = None;
                            return;
                        }
                    }
                    self.quiet_at = Some(Instant::now() + QUIET);
                }
                () = quiet => {
                    self.quiet_at = None;
                    return;
                }
            }
        }
    }
}

fn warn_of(error: &io::Error) {
    warn!(%error, "certificates that are replaced are not noticed: SIGHUP has them read again");
}

/// Begins to watch those directories that are there.
fn watched(directories: &BTreeSet<PathBuf>, is_lost: &mut bool) -> Option<AsyncFd<Descriptor>> {
    let mut begun = || -> io::Result<_> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let what = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_DELETE_SELF;
        for directory in directories {
            match inotify.add_watch(directory, what) {
                Err(Errno::ENOENT | Errno::ENOTDIR) => *is_lost = true,
                watched => {
                    watched?;
                }
            }
        }
        #[expect(
            deprecated,
            reason = "its successor is unsafe, for types that may close their descriptor early: \
                      this one owns it until it is dropped"
        )]
        AsyncFd::new(Descriptor(inotify))
    };
    begun().map_err(|error| warn_of(&error)).ok()
}

/// Returns when something has happened, and forgets what else it was.
async fn heard(inotify: &AsyncFd<Descriptor>) -> io::Result<Heard> {
    let of_itself = AddWatchFlags::IN_IGNORED
        | AddWatchFlags::IN_DELETE_SELF
        | AddWatchFlags::IN_MOVE_SELF
        | AddWatchFlags::IN_UNMOUNT;
    loop {
        let mut ready = inotify.readable().await?;
        match inotify.get_ref().0.read_events() {
            Ok(events) if events.iter().any(|event| event.mask.intersects(of_itself)) => {
                return Ok(Heard::Loss);
            }
            Ok(_) => return Ok(Heard::Change),
            Err(Errno::EAGAIN) => ready.clear_ready(),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The directory of each file, and of what it is a link to in the end. A directory of Kubernetes is
/// itself swapped: the one that holds the link is the file's own.
fn directories(files: &[PairFiles]) -> BTreeSet<PathBuf> {
    let paths = files.iter().flat_map(|pair| [&pair.certificate, &pair.key]);
    let of_one = |path: &PathBuf| {
        let whole = fs::canonicalize(path).ok();
        let [own, linked] =
            [Some(path.clone()), whole].map(|path| path.as_deref().and_then(parent));
        own.into_iter().chain(linked)
    };
    paths.flat_map(of_one).collect()
}

fn parent(path: &Path) -> Option<PathBuf> {
    let parent = path.parent()?;
    Some(if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tokio::time::timeout;

    use super::*;
    use crate::control::tls::testing::Folder;

    fn on_a_runtime(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test);
    }

    async fn has_changed(watch: &mut FileWatch) -> bool {
        timeout(QUIET * 3, watch.changed()).await.is_ok()
    }

    #[test]
    fn a_file_written_over_and_a_link_swapped_are_both_noticed_after_a_quiet_second() {
        on_a_runtime(async {
            let folder = Folder::new("watch");
            for version in ["1", "2"] {
                fs::create_dir_all(folder.path().join(version)).unwrap();
                folder.write(&format!("{version}/cert.pem"), "");
            }
            let link = folder.path().join("live");
            symlink("1", &link).unwrap();
            let own = folder.write("own.key", "");
            let files = [PairFiles { certificate: link.join("cert.pem"), key: own.clone() }];
            let mut watch = FileWatch::begin(&files);
            assert!(timeout(QUIET, watch.changed()).await.is_err(), "nothing has happened");
            fs::write(&own, "new").unwrap();
            let begun = Instant::now();
            assert!(has_changed(&mut watch).await);
            assert!(begun.elapsed() >= QUIET, "certificate and key are replaced one by one");
            symlink("2", folder.path().join("next")).unwrap();
            fs::rename(folder.path().join("next"), &link).unwrap();
            assert!(has_changed(&mut watch).await);
            watch.follow(&files);
            assert!(has_changed(&mut watch).await, "it may have changed before it was watched");
            watch.follow(&files);
            assert!(watch.directories.contains(&folder.path().canonicalize().unwrap().join("2")));
            fs::write(folder.path().join("2/cert.pem"), "new").unwrap();
            assert!(has_changed(&mut watch).await);
        });
    }

    #[test]
    fn a_directory_that_was_replaced_is_watched_as_the_one_before() {
        on_a_runtime(async {
            let folder = Folder::new("watch-anew");
            let live = folder.path().join("live");
            let make = || {
                fs::create_dir(&live).unwrap();
                folder.write("live/cert.pem", "");
            };
            make();
            let certificate = live.join("cert.pem");
            let files = [PairFiles { key: certificate.clone(), certificate: certificate.clone() }];
            let mut watch = FileWatch::begin(&files);
            for comes_late in [false, true] {
                fs::remove_dir_all(&live).unwrap();
                if !comes_late {
                    make();
                }
                assert!(has_changed(&mut watch).await, "it is gone");
                watch.follow(&files);
                if comes_late {
                    assert!(!has_changed(&mut watch).await, "nobody has seen it again");
                    make();
                    watch.follow(&files);
                }
                assert!(has_changed(&mut watch).await, "it may have changed meanwhile");
                watch.follow(&files);
                fs::write(&certificate, "new").unwrap();
                assert!(has_changed(&mut watch).await);
            }
        });
    }

    #[test]
    fn where_there_is_no_certificate_nothing_is_waited_for() {
        on_a_runtime(async {
            assert!(timeout(QUIET / 10, FileWatch::begin(&[]).changed()).await.is_err());
        });
    }
}
