//! Where results go: standard output and files. Files are opened before anything is measured: a
//! wrong path costs nobody minutes.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Seek, Write},
};

use serde::Serialize;

use crate::fault::Fault;

/// The path that stands for standard output.
pub(crate) const STANDARD: &str = "-";

/// What is written at the end. What was in a file stays until then, and a file that did not exist
/// is removed again when there is nothing to write.
#[derive(Debug)]
pub(crate) enum Output {
    Standard,
    File(ResultFile),
}

/// A file that is open.
#[derive(Debug)]
pub(crate) struct ResultFile {
    path: String,
    file: File,
    is_new: bool,
}

impl Output {
    pub(crate) fn open(path: &str) -> Result<Output, Fault> {
        if path == STANDARD {
            return Ok(Output::Standard);
        }
        let fault = |error| Fault::file(path, error);
        let made = OpenOptions::new().write(true).create_new(true).open(path);
        let (file, is_new) = match made {
            Ok(file) => (file, true),
            Err(_) => (OpenOptions::new().write(true).open(path).map_err(fault)?, false),
        };
        Ok(Output::File(ResultFile { path: path.to_owned(), file, is_new }))
    }

    /// Replaces what a file holds.
    pub(crate) fn write(self, text: &str) -> Result<(), Fault> {
        match self {
            Output::Standard => say(text),
            Output::File(file) => file.replace(text),
        }
    }
}

impl ResultFile {
    fn replace(mut self, text: &str) -> Result<(), Fault> {
        self.is_new = false;
        // A pipe or a terminal has no length, and nothing that would be left over.
        let _ = self.file.set_len(0).and_then(|()| self.file.rewind());
        self.file.write_all(text.as_bytes()).map_err(|error| Fault::file(&self.path, error))
    }
}

impl Drop for ResultFile {
    fn drop(&mut self) {
        if self.is_new {
            // An empty file more is no reason to fail.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Prints to standard output. Who reads no further, as `head`, has what he wanted.
pub(crate) fn say(text: &str) -> Result<(), Fault> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Fault::io("write to standard output", error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Prints to standard error, which nobody may be listening to.
pub(crate) fn say_aside(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// A result as JSON.
pub(crate) fn json(result: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(result);
    text.expect("results have names for keys and no broken numbers") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> String {
        let file = format!("loadgen-output-{}-{name}", std::process::id());
        std::env::temp_dir().join(file).display().to_string()
    }

    #[test]
    fn a_file_that_cannot_be_written_is_found_out_at_once() {
        let fault = Output::open("/no/such/folder/x.json").unwrap_err().to_string();
        assert!(fault.starts_with("/no/such/folder/x.json: "), "{fault}");
    }

    #[test]
    fn without_a_result_everything_is_as_it_was() {
        let (old, new) = (scratch("old"), scratch("new"));
        fs::write(&old, "a long old result").unwrap();
        drop([&old, &new].map(|path| Output::open(path).unwrap()));
        assert_eq!(fs::read_to_string(&old).unwrap(), "a long old result");
        assert!(!fs::exists(&new).unwrap());
        for path in [&old, &new] {
            Output::open(path).unwrap().write("short").unwrap();
            assert_eq!(fs::read_to_string(path).unwrap(), "short");
            fs::remove_file(path).unwrap();
        }
    }
}
