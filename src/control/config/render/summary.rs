//! The settled configuration, written out for people: what `check-config` prints.
//!
//! The form is that of the file, so that every line can be pasted into one; passwords and secrets
//! are left out.

use crate::control::config::derived;
use crate::control::config::schema::{CONTROL, FIELDS, SECRET};
use crate::control::config::settled::Config;

impl Config {
    /// Writes every key with the value that holds, one line each, without passwords and secrets.
    pub fn summary(&self) -> String {
        let lines = FIELDS.iter().map(|field| match derived::shown(self, field) {
            Some(_) if self.secret_is_generated && field.key.name == SECRET.name => {
                format!("{} = [\"generate\"] # one is made at every start\n", SECRET.name)
            }
            Some(value) => format!("{} = {value}\n", field.key.name),
            // Without a path there is a socket nevertheless.
            None if field.key.name == CONTROL.name => {
                format!("# {}: default ({})\n", CONTROL.name, CONTROL.default_words())
            }
            None => format!("# {}: none\n", field.key.name),
        });
        lines.collect()
    }
}
