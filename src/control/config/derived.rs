//! Keys whose value is not all there is to them: what it comes to on this machine, or what stands
//! in a file that it names, is what people are shown and what a reload compares.
//!
//! A key without an entry here is shown and compared by its field of the settled values.

use super::schema::{
    self, EXTERNAL_IP, Field, LISTEN, LISTEN_TLS, METRICS, RELAY_IP, USERS_FILE, WORKERS,
};
use super::settled::Config;
use crate::control::numbers::counted;

/// How such a key is shown and compared.
struct Derived {
    key: &'static schema::Key,
    /// The value in TOML; nothing where the key has no value.
    shown: fn(&Config) -> Option<String>,
    /// Whether two configurations have the same of it.
    same: fn(&Config, &Config) -> bool,
}

const DERIVED: [Derived; 7] = [
    Derived {
        key: &LISTEN,
        shown: |config| list(&config.listen),
        same: |one, other| one.asked.listen == other.asked.listen,
    },
    Derived {
        key: &LISTEN_TLS,
        shown: |config| list(&config.listen_tls),
        same: |one, other| one.asked.listen_tls == other.asked.listen_tls,
    },
    Derived {
        key: &RELAY_IP,
        shown: |config| list(config.relays.iter().map(|relay| relay.local)),
        same: |one, other| one.asked.relay_ips == other.asked.relay_ips,
    },
    Derived {
        key: &EXTERNAL_IP,
        shown: external_pairs,
        same: |one, other| one.asked.external_ips == other.asked.external_ips,
    },
    Derived {
        key: &USERS_FILE,
        shown: users_file,
        same: |one, other| one.users_file == other.users_file,
    },
    Derived { key: &WORKERS, shown: workers, same: |one, other| one.workers == other.workers },
    Derived {
        key: &METRICS,
        shown: |config| list(&config.metrics),
        same: |one, other| one.metrics == other.metrics,
    },
];

/// What `check-config` shows of a key: TOML, or nothing where the key has no value.
pub(super) fn shown(config: &Config, field: &Field) -> Option<String> {
    match of(field) {
        Some(derived) => (derived.shown)(config),
        None => (field.shown)(&config.values),
    }
}

/// Says whether two configurations have the same of a key.
pub(super) fn same(one: &Config, other: &Config, field: &Field) -> bool {
    match of(field) {
        Some(derived) => (derived.same)(one, other),
        None => (field.same)(&one.values, &other.values),
    }
}

fn of(field: &Field) -> Option<&'static Derived> {
    DERIVED.iter().find(|derived| derived.key.name == field.key.name)
}

/// The relay addresses that clients are told others for, as `PUBLIC/PRIVATE`.
fn external_pairs(config: &Config) -> Option<String> {
    let externals = config.relays.iter().filter(|relay| relay.local != relay.advertised);
    list(externals.map(|relay| format!("{}/{}", relay.advertised, relay.local)))
}

fn users_file(config: &Config) -> Option<String> {
    let file = config.users_file.as_ref()?;
    let path = toml::Value::from(file.path.display().to_string());
    Some(format!("{path} # {}", counted(file.count(), "user")))
}

fn workers(config: &Config) -> Option<String> {
    let cores: Vec<String> = config.workers.iter().map(|place| place.core.to_string()).collect();
    Some(format!("{} # on cores {}", config.workers.len(), cores.join(", ")))
}

/// Writes a list of what is shown as text.
fn list(values: impl IntoIterator<Item: ToString>) -> Option<String> {
    let values = values.into_iter().map(|value| toml::Value::String(value.to_string()));
    Some(toml::Value::Array(values.collect()).to_string())
}
