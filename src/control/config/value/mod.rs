//! What the values of options are made of, and how each is read from text.
//!
//! A value is read the same way wherever it was written: the command line hands over text, and the
//! file's strings, whole numbers and booleans are turned into text first. An error says what is
//! wrong and what would be right, in one line; it never repeats a password or a secret.

pub(super) mod address;
pub(super) mod choice;
pub(super) mod credential;
pub(super) mod external;
pub(super) mod path;
pub(super) mod raw;
pub(super) mod server;
pub(super) mod web;

use super::schema::key::Key;

/// Something that an option can be set to.
pub(crate) trait Value: Clone + PartialEq + Send + Sync + 'static {
    /// Reads a value, or says in one line what is wrong and what would be right.
    fn read(text: &str) -> Result<Self, String>;

    /// The value as a file has it, without passwords and secrets.
    fn written(&self) -> toml::Value;

    /// Holds the value to the bounds of a key, where its type takes more.
    fn check(&self, key: &Key) -> Result<(), String> {
        let _ = key;
        Ok(())
    }
}

impl Value for u32 {
    fn read(text: &str) -> Result<Self, String> {
        let is_number = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
        text.parse().map_err(|_| {
            if is_number {
                format!("{text} is too large")
            } else {
                format!("'{text}' is not a whole number: write digits alone")
            }
        })
    }

    fn written(&self) -> toml::Value {
        (*self).into()
    }

    fn check(&self, key: &Key) -> Result<(), String> {
        key.check_number(*self)
    }
}
