//! Reads the configuration, the file of users, certificates and keys.
//!
//! Laws: a reload never waits for somebody who writes, so that a pipe is refused, and so is
//! whatever else is neither a file nor, as `/dev/null`, an empty device. What is too long is
//! refused before it is read, and no more is read of a file than its length when it was opened.

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use zeroize::Zeroizing;

/// Longest file that is read: a million users and more.
const MOST_BYTES: u64 = 64 << 20;

// The table of users counts its bytes with 32 bits. A user takes 18 and the name there, and in a
// file three, the name and the line's end: of two files, with users in both, it makes no overflow.
const _: () = assert!(2 * 5 * MOST_BYTES < u32::MAX as u64);

/// Longest file that is read where the file system says of it that it has no length, as `/proc`
/// does.
const MOST_UNKNOWN_BYTES: u64 = 64 << 10;

/// Reads a file of text; an error says what is wrong with the file.
pub(super) fn read(path: &Path) -> Result<Zeroizing<String>, String> {
    let mut bytes = read_bytes(path)?;
    let text = String::from_utf8(std::mem::take(&mut *bytes));
    text.map(Zeroizing::new).map_err(|error| {
        drop(Zeroizing::new(error.into_bytes()));
        "it is not UTF-8 text".to_owned()
    })
}

/// Reads a file into memory that is overwritten when it is dropped. An error says what is wrong
/// with the file.
pub(in crate::control) fn read_bytes(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let file =
        File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path);
    let file = file.map_err(|error| error.to_string())?;
    let found = file.metadata().map_err(|error| error.to_string())?;
    if found.file_type().is_char_device() {
        return read_at_most(file, 0).map_err(Fault::of_device);
    }
    let most_bytes = most_bytes(&found)?;
    read_at_most(file, most_bytes).map_err(Fault::of_file)
}

/// What a file may bring, by its kind and length.
fn most_bytes(found: &Metadata) -> Result<usize, String> {
    if found.is_dir() {
        return Err("it is a folder, not a file".to_owned());
    }
    if !found.is_file() {
        return Err(NO_FILE.to_owned());
    }
    if found.len() > MOST_BYTES {
        return Err(format!("it has more than {} MiB", MOST_BYTES >> 20));
    }
    let bytes = if found.len() == 0 { MOST_UNKNOWN_BYTES } else { found.len() };
    Ok(bytes as usize)
}

const NO_FILE: &str = "it is not a regular file";

/// Why something cannot be read whole.
enum Fault {
    /// There is more of it than there may be.
    TooLong,
    System(std::io::Error),
}

impl Fault {
    fn of_file(self) -> String {
        match self {
            Fault::TooLong => "it became longer while it was read".to_owned(),
            Fault::System(error) => error.to_string(),
        }
    }

    /// A terminal that nobody types at has nothing to read yet.
    fn of_device(self) -> String {
        match self {
            Fault::System(error) if error.kind() != ErrorKind::WouldBlock => error.to_string(),
            Fault::TooLong | Fault::System(_) => NO_FILE.to_owned(),
        }
    }
}

/// Reads to the end. Memory that had to grow would leave copies of secrets behind, so it has its
/// size from the beginning.
fn read_at_most(source: impl Read, most_bytes: usize) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(most_bytes + 1));
    source.take(most_bytes as u64 + 1).read_to_end(&mut bytes).map_err(Fault::System)?;
    if bytes.len() > most_bytes { Err(Fault::TooLong) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_pipe_that_nobody_writes_to_is_refused_and_a_null_device_is_empty() {
        let path = std::env::temp_dir().join(format!("uturn-pipe-{}", std::process::id()));
        assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo runs").success());
        let refused = read(&path).map(|_| ());
        std::fs::remove_file(&path).expect("it was made");
        assert_eq!(refused, Err("it is not a regular file".to_owned()));
        assert_eq!(**read(Path::new("/dev/null")).expect("a device"), *"");
    }

    #[test]
    fn a_device_without_an_end_is_refused() {
        assert_eq!(read(Path::new("/dev/zero")), Err(NO_FILE.to_owned()));
    }

    #[test]
    fn a_file_without_a_length_is_read() {
        assert!(!read(Path::new("/proc/self/status")).expect("it is a file").is_empty());
    }

    #[test]
    fn nothing_is_read_of_a_file_that_is_too_long() {
        let path = std::env::temp_dir().join(format!("uturn-long-{}", std::process::id()));
        let file = File::create(&path).expect("it can be made");
        file.set_len(MOST_BYTES + 1).expect("it has holes");
        let found = file.metadata().expect("it is open");
        std::fs::remove_file(&path).expect("it was made");
        assert_eq!(most_bytes(&found), Err("it has more than 64 MiB".to_owned()));
    }

    #[test]
    fn of_a_file_that_grows_no_more_is_read_than_there_was() {
        let mut growing = std::io::repeat(b'#').take(1 << 20);
        let refused = read_at_most(&mut growing, 1_000).map_err(Fault::of_file);
        assert_eq!(refused, Err("it became longer while it was read".to_owned()));
        assert_eq!(growing.limit(), (1 << 20) - 1_001);
        let whole = read_at_most(&[b'#'; 1_000][..], 1_000).map_err(Fault::of_file);
        assert_eq!(whole.map(|bytes| (bytes.len(), bytes.capacity())), Ok((1_000, 1_001)));
    }
}
