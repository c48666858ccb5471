//! The file of users: one in each line, so that other programs can write it.
//!
//! ```text
//! # name:password, or name:0x and the long-term key in hexadecimal
//! alice:wonderland
//! bob:0x1b8ba6e0c2e7ae3d4b6a1f9f0d0c5a11
//! ```
//!
//! Law: every line is a user, a comment, or an error with the file's name and the line's number.
//! An error never shows a password.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::source::{ConfigError, Remedy, bounded};
use super::text;
use crate::control::config::schema::USERS_FILE;
use crate::control::config::value::Value;
use crate::control::config::value::credential::{Proof, User, UserKey};

/// A file of users, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsersFile {
    /// Where it is.
    pub path: PathBuf,
    /// The users in it, in its order; each name once.
    pub users: Vec<User>,
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
        let users = users(&path, &text, inline).map_err(Fault::Line)?;
        Ok(Self { path, users })
    }
}

fn users(path: &Path, text: &str, inline: &[User]) -> Result<Vec<User>, ConfigError> {
    let mut names: HashSet<&str> = inline.iter().map(|user| user.name.as_str()).collect();
    // Moved as it grows, it would leave keys behind.
    let mut users = Vec::with_capacity(text.lines().count());
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with('#') || line.trim().is_empty() {
            continue;
        }
        let wrong = |problem: String| ConfigError {
            origin: format!("{}:{}", path.display(), at + 1),
            key: USERS_FILE.name.to_owned(),
            problem: bounded(&problem),
            remedy: Remedy::Operator,
        };
        let user = user(line).map_err(wrong)?;
        let name = line.split_once(':').map_or(line, |(name, _)| name);
        if !names.insert(name) {
            return Err(wrong(format!("'{name}' is there twice: write each user once")));
        }
        users.push(user);
    }
    Ok(users)
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
        users(Path::new("users"), text, &inline).map_err(|error| error.to_string())
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
