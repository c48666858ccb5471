//! The configuration that comes out of an import: keys with their values, as TOML.

use crate::control::config::schema::Key;

/// What stands on top of the file.
const HEAD: &str = "# Made by `uturn import-coturn`. What is not here has its default.\n";

/// Keys in the order in which they are to be read, and users that have to be in a file of their
/// own.
pub(super) struct Draft {
    toml: String,
    keyed_users: Vec<String>,
}

impl Draft {
    /// Begins an empty one.
    pub(super) fn new() -> Self {
        Self { toml: HEAD.to_owned(), keyed_users: Vec::new() }
    }

    /// Writes a key with one word.
    pub(super) fn word(&mut self, key: &Key, value: &str) {
        self.put(key, &toml::Value::String(value.to_owned()).to_string());
    }

    /// Writes a key with a number.
    pub(super) fn number(&mut self, key: &Key, value: u32) {
        self.put(key, &value.to_string());
    }

    /// Writes a key with its values, one a line; nothing where there is none.
    pub(super) fn list(&mut self, key: &Key, values: impl IntoIterator<Item: ToString>) {
        let values = values.into_iter().map(|value| toml::Value::String(value.to_string()));
        let values: Vec<String> = values.map(|value| value.to_string()).collect();
        match values.as_slice() {
            [] => {}
            [one] => self.put(key, &format!("[{one}]")),
            many => self.put(key, &format!("[\n    {},\n]", many.join(",\n    "))),
        }
    }

    /// Writes a key without a value, where its default is not meant.
    pub(super) fn none(&mut self, key: &Key) {
        self.put(key, "[]");
    }

    /// Keeps users that have a key in place of a password: lines of a file of users.
    pub(super) fn keyed_users(&mut self, lines: Vec<&str>) {
        self.keyed_users = lines.into_iter().map(str::to_owned).collect();
    }

    /// Takes out the lines of the file of users; none where nobody has a key.
    pub(super) fn take_keyed_users(&mut self) -> Vec<String> {
        std::mem::take(&mut self.keyed_users)
    }

    /// Hands out the file.
    pub(super) fn toml(self) -> String {
        self.toml
    }

    fn put(&mut self, key: &Key, value: &str) {
        self.toml.push_str(&format!("{} = {value}\n", key.name));
    }
}
