//! Users, secrets and the realm they are good in.
//!
//! Law: an error never repeats a password or a secret, and no copy of one is left in memory.

use std::fmt;

use zeroize::Zeroizing;

use super::Value;
use crate::control::numbers::counted;

/// Longest username: fewer than 509 bytes (RFC 8489 §14.3). Passwords get the same bound.
const CREDENTIAL_MAX_BYTES: usize = 508;
/// Shortest shared secret; below this it could be guessed offline from one credential.
const SECRET_MIN_BYTES: usize = 8;
const SECRET_MAX_BYTES: usize = 512;
/// Stands in place of a secret that each start makes for itself.
const GENERATE: &str = "generate";
/// Longest realm: fewer than 128 characters (RFC 8489 §14.9).
const REALM_MAX_CHARS: usize = 127;

/// A word that is not shown: neither in logs nor in errors nor by `check-config`. Its memory is
/// overwritten when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a word.
    pub fn new(word: String) -> Self {
        Self(Zeroizing::new(word))
    }

    /// Reads a shared secret from the command line; 8-512 bytes.
    pub(crate) fn read_flag(text: &str) -> Result<Self, String> {
        Self::read(text)
    }

    /// Says whether it is no secret but asks for one.
    pub(in crate::control) fn asks_for_one(&self) -> bool {
        self.reveal() == GENERATE
    }

    /// Shows the word, to make keys from or to print at the operator's own request.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("***")
    }
}

/// A user with a fixed password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// USERNAME as it stands in requests; 1-508 bytes, without ':'.
    pub name: String,
    /// What the user proves to know.
    pub proof: Proof,
}

/// What a user proves to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A password; 1-508 bytes.
    Password(Secret),
    /// The key made of it: MD5 of `name:realm:password` (RFC 8489 §9.2.2).
    Key(UserKey),
}

/// A long-term key. Who has it needs no password in its realm, so it is not shown, and its memory
/// is overwritten when it is dropped. It stays in one place until then: moved, it would leave
/// copies.
#[derive(Clone, PartialEq, Eq)]
pub struct UserKey(Box<Zeroizing<[u8; 16]>>);

impl UserKey {
    /// Reads 32 hexadecimal digits; `None` for anything else.
    pub(crate) fn read(digits: &str) -> Option<Self> {
        let mut key = Self(Box::default());
        let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
        if pairs.len() != key.0.len() || !rest.is_empty() {
            return None;
        }
        let value = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
        for (byte, [high, low]) in key.0.iter_mut().zip(pairs) {
            *byte = value(*high)? << 4 | value(*low)?;
        }
        Some(key)
    }

    /// Shows the key, to verify with.
    pub fn reveal(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for UserKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("***")
    }
}

impl Value for User {
    fn read(text: &str) -> Result<Self, String> {
        let Some((name, password)) = text.split_once(':') else {
            return Err("there is no ':' in it: write NAME:PASSWORD".to_owned());
        };
        within("the name", name, 1, CREDENTIAL_MAX_BYTES)?;
        within("the password", password, 1, CREDENTIAL_MAX_BYTES)?;
        let proof = Proof::Password(Secret::new(password.to_owned()));
        Ok(Self { name: name.to_owned(), proof })
    }

    fn written(&self) -> toml::Value {
        format!("{}:***", self.name).into()
    }
}

impl Value for Secret {
    fn read(text: &str) -> Result<Self, String> {
        within("the secret", text, SECRET_MIN_BYTES, SECRET_MAX_BYTES)?;
        Ok(Self::new(text.to_owned()))
    }

    fn written(&self) -> toml::Value {
        "***".into()
    }
}

fn within(what: &str, text: &str, min_bytes: usize, max_bytes: usize) -> Result<(), String> {
    if text.is_empty() {
        return Err(format!("{what} is empty: write {min_bytes} to {max_bytes} bytes"));
    }
    if !(min_bytes..=max_bytes).contains(&text.len()) {
        let bytes = counted(text.len(), "byte");
        return Err(format!("{what} has {bytes}: write {min_bytes} to {max_bytes}"));
    }
    if text.chars().any(char::is_control) {
        return Err(format!("{what} has a control character in it: write printable ones"));
    }
    Ok(())
}

/// The protection space of the credentials; 1-127 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Realm(pub(crate) String);

impl Value for Realm {
    fn read(text: &str) -> Result<Self, String> {
        let chars = text.chars().count();
        if !(1..=REALM_MAX_CHARS).contains(&chars) {
            return Err(format!("it has {chars} characters: write 1 to {REALM_MAX_CHARS}"));
        }
        if text.chars().any(char::is_control) {
            return Err("it has a control character in it: write printable ones".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    fn written(&self) -> toml::Value {
        self.0.as_str().into()
    }
}
