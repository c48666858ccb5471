//! Reads the configuration, the file of users, certificates and keys.
//!
//! Law: a reload never waits for somebody who writes. A pipe is refused, and so is whatever else is
//! neither a file nor, as `/dev/null`, a character device.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use zeroize::Zeroizing;

/// Longest file that is read: a million users and more.
const MOST_BYTES: u64 = 64 << 20;

/// Reads a file of text; an error says what is wrong with the file.
pub(super) fn read(path: &Path) -> Result<Zeroizing<String>, String> {
    let mut bytes = read_bytes(path)?;
    let text = String::from_utf8(std::mem::take(&mut *bytes));
    text.map(Zeroizing::new).map_err(|error| {
        drop(Zeroizing::new(error.into_bytes()));
        "it is not UTF-8 text".to_owned()
    })
}

/// Reads a file into memory that is overwritten when it is dropped; memory that had to grow would
/// leave copies behind. An error says what is wrong with the file.
pub(in crate::control) fn read_bytes(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = file.map_err(|error| error.to_string())?;
    let found = file.metadata().map_err(|error| error.to_string())?;
    if !ends_by_itself(&found) {
        return Err("it is not a regular file".to_owned());
    }
    let expected = found.len().min(MOST_BYTES) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(expected).unwrap_or(0)));
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(format!("it has more than {} MiB", MOST_BYTES >> 20));
    }
    Ok(bytes)
}

/// Reading a directory fails at once, with words of its own.
fn ends_by_itself(found: &Metadata) -> bool {
    found.is_file() || found.is_dir() || found.file_type().is_char_device()
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
        assert_eq!(read(Path::new("/dev/zero")), Err("it has more than 64 MiB".to_owned()));
    }
}
