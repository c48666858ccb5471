//! From coturn's configuration file to ours: what `uturn import-coturn` does.
//!
//! ```text
//! turnserver.conf ── conf: words and values ── options: what becomes of each word
//!                                                  │
//!        notes, one a line ◄── translate: ours ◄───┘
//!        (standard error)        └── draft: the file
//! ```
//!
//! Law: every line of the file ends in the draft or in a note, and a value stands in the draft only
//! if our own reader takes it, so that what is written can be loaded.

mod conf;
mod credentials;
mod draft;
mod networks;
mod notes;
mod operation;
mod options;
mod peers;
mod said;
#[cfg(test)]
mod tests;
mod tls;
mod translate;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;

use notes::Notes;

use crate::control::config::schema;
use crate::control::escape;
use crate::control::numbers::counted;

/// Readable by its owner alone: there are passwords in it.
const MODE: u32 = 0o600;

/// Arguments of `uturn import-coturn`.
#[derive(Args, Clone, Debug)]
pub(super) struct ImportArgs {
    /// coturn's configuration, such as /etc/turnserver.conf
    file: PathBuf,
    /// File to write, which must not exist yet [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// File to write users to that have a key in place of a password; it must not exist yet
    #[arg(long, value_name = "FILE")]
    users_file: Option<PathBuf>,
}

/// What was made of a file.
pub(super) struct Translated {
    /// Our configuration, as TOML.
    pub(super) toml: String,
    /// Users that have a key: lines of a file of users.
    keyed_users: Vec<String>,
    /// What did not get into it and why, for people: one line each.
    pub(super) notes: String,
}

/// Reads coturn's file and writes ours, to the output if there is one.
///
/// # Errors
/// A file cannot be read or written; the words say which and what to do.
pub(super) fn import(args: &ImportArgs) -> Result<Translated, String> {
    let shown = args.file.display().to_string();
    let bytes = std::fs::read(&args.file)
        .map_err(|error| format!("{shown}: the file cannot be read: {error}"))?;
    if let Some(problem) = conf::not_coturns(&bytes) {
        return Err(format!("{shown}: {problem}"));
    }
    let users_file = args.users_file.as_deref();
    let imported = translated(&shown, &bytes, users_file);
    if let (Some(path), false) = (users_file, imported.keyed_users.is_empty()) {
        write(path, &imported.keyed_users.concat())?;
    }
    if let Some(output) = &args.output {
        write(output, &imported.toml)?;
    }
    Ok(imported)
}

impl ImportArgs {
    /// Says whether the configuration goes to standard output.
    pub(super) fn prints(&self) -> bool {
        self.output.is_none()
    }
}

/// Translates a configuration of coturn: a file of ours, and a line for each thing that a reader of
/// it should know, fit to be shown.
pub fn import_coturn(file: &[u8]) -> (String, String) {
    let Translated { toml, notes, .. } = translated("turnserver.conf", file, None);
    (toml, escape::lines(&notes).into_owned())
}

fn translated(shown: &str, bytes: &[u8], users_file: Option<&Path>) -> Translated {
    let mut notes = Notes::default();
    let words = conf::words(bytes, &mut notes);
    let mut draft = translate::translate(&words, &mut notes);
    let keyed_users = draft.take_keyed_users();
    match users_file {
        _ if keyed_users.is_empty() => {}
        Some(path) => draft.word(&schema::USERS_FILE, &path.display().to_string()),
        None => {
            let users = counted(keyed_users.len(), "user");
            let why = format!("{users}: name a file to write them to with --users-file");
            notes.lost("a key in place of a password", why);
        }
    }
    let keyed_users = keyed_users.iter().map(|line| format!("{line}\n")).collect();
    Translated { toml: draft.toml(), keyed_users, notes: notes.listed(shown) }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let shown = path.display();
    let created = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path);
    let written = created.and_then(|mut file: File| file.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => format!("{shown}: there is a file already: name another"),
        _ => format!("{shown}: the file cannot be written: {error}"),
    })
}
