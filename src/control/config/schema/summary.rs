//! The settled configuration, written out for people: what `check-config` prints.
//!
//! The form is that of the file, so that every line can be pasted into one; passwords and secrets
//! are left out.

use super::KEYS;
use crate::control::config::Config;

impl Config {
    /// Writes every key with the value that holds, one line each, without passwords and secrets.
    pub fn summary(&self) -> String {
        let lines = KEYS.iter().map(|key| match (key.shown)(self) {
            Some(_) if self.secret_is_generated && key.name == "secret" => {
                "# made at every start: there is neither a user nor a secret\n".to_owned()
            }
            Some(value) => format!("{} = {value}\n", key.name),
            None => format!("# {}: none\n", key.name),
        });
        lines.collect()
    }

    /// The relay addresses that clients are told others for, as `PUBLIC/PRIVATE`.
    pub(super) fn external_pairs(&self) -> impl Iterator<Item = String> {
        let externals = self.relays.iter().filter(|relay| relay.local != relay.advertised);
        externals.map(|relay| format!("{}/{}", relay.advertised, relay.local))
    }

    pub(super) fn users_file_shown(&self) -> Option<String> {
        let file = self.users_file.as_ref()?;
        let path = toml::Value::from(file.path.display().to_string());
        Some(format!("{path} # {} users", file.users.len()))
    }

    pub(super) fn workers_shown(&self) -> Option<String> {
        let cores: Vec<String> = self.workers.iter().map(|place| place.core.to_string()).collect();
        Some(format!("{} # on cores {}", self.workers.len(), cores.join(", ")))
    }
}

/// Writes a list of what is shown as text.
pub(super) fn list(values: impl IntoIterator<Item: ToString>) -> Option<String> {
    let values = values.into_iter().map(|value| toml::Value::String(value.to_string()));
    Some(toml::Value::Array(values.collect()).to_string())
}
