//! The settled configuration, written out for people: what `check-config` prints.
//!
//! The form is that of the file, so that every line can be pasted into one; passwords and secrets
//! are left out.

use std::fmt::Display;

use super::schema;
use super::{Config, IoChoice, LogFormat, UsersFile};
use crate::turn::{OnReallocate, RelayAddress};
use crate::wire::ChannelRange;
use crate::worker::Steering;

impl Config {
    /// Writes every key with the value that holds, one line each, without passwords and secrets.
    pub fn summary(&self) -> String {
        let mut lines = self.address_lines();
        lines.extend(self.credential_lines());
        lines.extend(self.limit_lines());
        lines.extend(self.operation_lines());
        lines.concat()
    }

    fn address_lines(&self) -> Vec<String> {
        let externals = self.relays.iter().filter(|relay| relay.local != relay.advertised);
        let external = |relay: &RelayAddress| format!("{}/{}", relay.advertised, relay.local);
        vec![
            list(&schema::LISTEN, &self.listen),
            list(&schema::RELAY_IP, self.relays.iter().map(|relay| relay.local)),
            list(&schema::EXTERNAL_IP, externals.map(external)),
            word(&schema::RELAY_PORTS, self.relay_ports),
        ]
    }

    fn credential_lines(&self) -> Vec<String> {
        let users = self.users.iter().map(|user| format!("{}:***", user.name));
        let secrets = list(&schema::SECRET, self.secrets.iter().map(|_| "***"));
        let made = "# made at every start: there is neither a user nor a secret\n";
        vec![
            word(&schema::REALM, &self.realm),
            list(&schema::USER, users),
            self.users_file_line(),
            if self.secret_is_generated { made.to_owned() } else { secrets },
        ]
    }

    fn control_line(&self) -> String {
        match &self.control {
            Some(path) => word(&schema::CONTROL, path.display()),
            None => format!("# {}: none\n", schema::CONTROL.name),
        }
    }

    fn usage_line(&self) -> String {
        match &self.usage {
            Some(usage) => word(&schema::USAGE_RECORDS, usage.path.display()),
            None => format!("# {}: none\n", schema::USAGE_RECORDS.name),
        }
    }

    fn users_file_line(&self) -> String {
        match self.users_file.as_deref() {
            Some(UsersFile { path, users }) => {
                let line = word(&schema::USERS_FILE, path.display());
                format!("{} # {} users\n", line.trim_end(), users.len())
            }
            None => format!("# {}: none\n", schema::USERS_FILE.name),
        }
    }

    fn limit_lines(&self) -> Vec<String> {
        let quotas = &self.quotas;
        vec![
            list(&schema::ALLOW_PEERS, &self.allow_peers),
            list(&schema::DENY_PEERS, &self.deny_peers),
            number(&schema::USER_QUOTA.key, quotas.user_allocations.unwrap_or(0)),
            number(&schema::TOTAL_QUOTA.key, quotas.total_allocations),
            number(&schema::PERMISSION_QUOTA.key, quotas.permissions),
            number(&schema::CHANNEL_QUOTA.key, quotas.channels),
            number(&schema::MAX_BPS.key, self.limits.bytes_per_s),
            number(&schema::MAX_PPS.key, self.limits.packets_per_s),
            number(&schema::STRANGER_REPLY_BYTES.key, self.stranger_reply_bytes),
            number(&schema::MAX_LIFETIME.key, self.max_lifetime_s),
        ]
    }

    fn operation_lines(&self) -> Vec<String> {
        let cores: Vec<String> = self.workers.iter().map(|place| place.core.to_string()).collect();
        let workers = format!("{} # on cores {}", self.workers.len(), cores.join(", "));
        let interval_s = self.usage.as_ref().and_then(|usage| usage.interval_s).unwrap_or(0);
        vec![
            number(&schema::WORKERS.key, workers),
            word(&schema::SOFTWARE, if self.software { "on" } else { "off" }),
            word(&schema::CHANNEL_NUMBERS, channels_word(self.channel_numbers)),
            word(&schema::ON_REALLOCATE, reallocate_word(self.on_reallocate)),
            list(&schema::ALTERNATE_SERVER, &self.alternate_servers),
            number(&schema::DRAIN_DEADLINE.key, self.drain_deadline_s),
            word(&schema::IO, self.io),
            word(&schema::STEER, steering_word(self.steer)),
            number(&schema::BATCH_WAIT.key, self.waiting.batch_us),
            number(&schema::SPIN.key, self.waiting.spin_us),
            number(&schema::BUSY_POLL.key, self.waiting.busy_poll_us),
            list(&schema::METRICS, &self.metrics),
            self.control_line(),
            self.usage_line(),
            number(&schema::USAGE_INTERVAL.key, interval_s),
            word(&schema::LOG, self.log.level),
            word(&schema::LOG_FORMAT, self.log.format),
            word(&schema::CORE_DUMPS, if self.core_dumps { "on" } else { "off" }),
        ]
    }
}

fn word(key: &schema::Key, value: impl Display) -> String {
    format!("{} = {}\n", key.name, toml::Value::String(value.to_string()))
}

fn number(key: &schema::Key, value: impl Display) -> String {
    format!("{} = {value}\n", key.name)
}

fn list(key: &schema::Key, values: impl IntoIterator<Item: Display>) -> String {
    let values = values.into_iter().map(|value| toml::Value::String(value.to_string()));
    format!("{} = {}\n", key.name, toml::Value::Array(values.collect()))
}

fn channels_word(choice: ChannelRange) -> &'static str {
    match choice {
        ChannelRange::Rfc8656 => "rfc8656",
        ChannelRange::Rfc5766 => "rfc5766",
    }
}

fn steering_word(choice: Steering) -> &'static str {
    match choice {
        Steering::Hash => "hash",
        Steering::Cpu => "cpu",
    }
}

fn reallocate_word(choice: OnReallocate) -> &'static str {
    match choice {
        OnReallocate::Refuse => "refuse",
        OnReallocate::Replace => "replace",
    }
}

impl Display for IoChoice {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Uring => "uring",
            Self::Portable => "portable",
            Self::Auto => "auto",
        })
    }
}

impl Display for LogFormat {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}
