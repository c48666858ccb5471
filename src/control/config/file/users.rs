//! The file of users: one in each line, so that other programs can write it.
//!
//! ```text
//! # name:password, or name:0x and the long-term key in hexadecimal
//! alice:wonderland
//! bob:0x1b8ba6e0c2e7ae3d4b6a1f9f0d0c5a11
//! ```
//!
//! It is kept as it was written, 30 bytes for a user with a name and a password of ten letters, and
//! taken apart again whenever somebody asks for the users: apart, each would take three times as
//! much.
//!
//! Law: every line is a user, a comment, or an error with the file's name and the line's number.
//! An error never shows a password.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::source::{ConfigError, Remedy, bounded};
use super::text;
use crate::control::config::schema::USERS_FILE;
use crate::control::config::value::Value;
use crate::control::config::value::credential::{Proof, User, UserKey};

/// A file of users, read.
#[derive(Clone)]
pub struct UsersFile {
    /// Where it is.
    pub path: PathBuf,
    /// Every line of it is a user or none.
    text: Zeroizing<String>,
    count: usize,
}

impl fmt::Debug for UsersFile {
    /// Never shows a password.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = out.debug_struct("UsersFile");
        shown.field("path", &self.path).field("count", &self.count).finish_non_exhaustive()
    }
}

impl PartialEq for UsersFile {
    /// Comments and blank lines are no matter.
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path && self.users().eq(other.users())
    }
}

/// Why a file of users cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It cannot be read at all: the fault is where its path was written.
    Unreadable(String),
    /// A line of it is no user.
    Line(ConfigError),
}

impl UsersFile {
    /// Reads a file; `inline` are the users that are known without it.
    pub(crate) fn read(path: PathBuf, inline: &[User]) -> Result<Self, Fault> {
        let text = text::read(&path).map_err(|problem| {
            Fault::Unreadable(format!("{} cannot be read: {problem}", path.display()))
        })?;
        let count = check(&path, &text, inline).map_err(Fault::Line)?;
        Ok(Self { path, text, count })
    }

    /// The users in it, in its order; each name once.
    pub fn users(&self) -> impl Iterator<Item = User> {
        let users = lines(&self.text).map(|(_, line)| user(line));
        users.map(|user| user.expect("every line was looked at when the file was read"))
    }

    /// How many users there are in it.
    pub fn count(&self) -> usize {
        self.count
    }
}

/// Looks for a line that is no user, or a user who is there twice; counts the users.
fn check(path: &Path, text: &str, inline: &[User]) -> Result<usize, ConfigError> {
    let mut names: HashSet<&str> = inline.iter().map(|user| user.name.as_str()).collect();
    for (number, line) in lines(text) {
        let wrong = |problem: String| ConfigError {
            origin: format!("{}:{number}", path.display()),
            key: USERS_FILE.name.to_owned(),
            problem: bounded(&problem),
            remedy: Remedy::Operator,
        };
        user(line).map_err(wrong)?;
        let name = line.split_once(':').map_or(line, |(name, _)| name);
        if !names.insert(name) {
            return Err(wrong(format!("'{name}' is there twice: write each user once")));
        }
    }
    Ok(names.len() - inline.len())
}

/// The lines with a user, and their numbers.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    numbered.filter(|(_, line)| !line.trim_start().starts_with('#') && !line.trim().is_empty())
}

fn user(line: &str) -> Result<User, String> {
    let User { name, proof } = User::read(line)?;
    let Some(digits) = line.split_once(":0x").map(|(_, digits)| digits) else {
        return Ok(User { name, proof });
    };
    let is_password = line.split_once(':').is_none_or(|(_, rest)| !rest.starts_with("0x"));
    if is_password {
        return Ok(User { name, proof });
    }
    let wrong = || "a key is 0x and 32 hexadecimal digits: write them, or a password".to_owned();
    let key = UserKey::read(digits).ok_or_else(wrong)?;
    Ok(User { name, proof: Proof::Key(key) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::config::value::credential::Secret;

    const KEY: &str = "4f7d04b5b9899460e7638f8036f253f4";

    fn read(text: &str) -> Result<Vec<User>, String> {
        let inline = [User::read("root:toor").unwrap()];
        let count = check(Path::new("users"), text, &inline).map_err(|error| error.to_string())?;
        let file = file(text, count);
        assert_eq!(file.users().count(), count);
        Ok(file.users().collect())
    }

    fn file(text: &str, count: usize) -> UsersFile {
        UsersFile { path: "users".into(), text: Zeroizing::new(text.to_owned()), count }
    }

    fn password(word: &str) -> Proof {
        Proof::Password(Secret::new(word.to_owned()))
    }

    #[test]
    fn users_comments_and_nothing() {
        let text = format!("# people\n\nann:se:cret\r\n  # more\nbob:0x{KEY}\nio:x:0x1\n");
        let users = read(&text).unwrap();
        let names: Vec<_> = users.iter().map(|user| user.name.as_str()).collect();
        assert_eq!(names, ["ann", "bob", "io"]);
        assert_eq!(users[0].proof, password("se:cret"));
        assert_eq!(users[1].proof, Proof::Key(UserKey::read(KEY).unwrap()));
        assert_eq!(users[2].proof, password("x:0x1"));
    }

    #[test]
    fn a_file_with_the_same_users_is_the_same_and_shows_none() {
        let one = file("ann:a\nbob:b\n", 2);
        assert!(one == file("# more\nann:a\r\n\nbob:b", 2));
        for other in ["ann:a\n", "ann:a\nbob:c\n", "bob:b\nann:a\n"] {
            assert!(one != file(other, 2), "{other}");
        }
        assert_eq!(format!("{one:?}"), "UsersFile { path: \"users\", count: 2, .. }");
    }

    #[test]
    fn an_error_names_file_and_line_and_no_password() {
        for (text, line) in [
            ("ann:secret\nann:hidden", 2),
            ("# x\nroot:hidden", 2),
            ("hidden", 1),
            (":hidden", 1),
            ("ann:", 1),
            ("ann:0xhidden", 1),
            ("ann:0x", 1),
            ("\n\nann:hid\tden", 3),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(&format!("users:{line}: users-file: ")), "{error}");
            assert!(!error.contains("hid") && error.lines().count() == 1, "{error}");
        }
        let twice = format!("{0}:1\n{0}:2", "x".repeat(400));
        assert!(read(&twice).unwrap_err().len() < 300);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        for path in ["/nowhere/at/all", "/proc/self"] {
            let Err(Fault::Unreadable(problem)) = UsersFile::read(path.into(), &[]) else {
                panic!("{path} was read");
            };
            assert!(problem.starts_with(&format!("{path} cannot be read: ")), "{problem}");
        }
    }
}
