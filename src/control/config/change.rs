//! From the configuration that holds to the one that was read now: what differs, and which of it
//! can hold without a restart.

use std::collections::HashSet;

use ipnet::IpNet;

use super::schema::{self, Key};
use super::{Addresses, Config, LogSettings, Quotas};

/// Realms that are kept for live allocations: each costs a key for each user.
const FORMER_REALMS: usize = 2;

/// Keys whose values differ from those that held before, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Change {
    /// They hold from now on.
    pub applied: Vec<String>,
    /// They hold after a restart: sockets, threads and rings are made once.
    pub restart: Vec<String>,
}

/// A key and whether its value differs.
type Difference = (&'static Key, bool);

impl Config {
    /// What holds from now on: everything of `new` that can change while the server runs, and the
    /// rest as it is.
    #[must_use]
    pub fn adopt(&self, new: Config) -> (Config, Change) {
        let change = Change {
            applied: names(&self.live_differences(&new)),
            restart: names(&self.fixed_differences(&new)),
        };
        let most = self.most_allocations();
        let quotas =
            Quotas { total_allocations: new.quotas.total_allocations.min(most), ..new.quotas };
        let mut former_realms = self.former_realms.clone();
        former_realms.insert(0, self.realm.clone());
        let held = Config {
            asked: self.asked.clone(),
            listen: self.listen.clone(),
            missing: self.missing.clone(),
            relays: self.relays.clone(),
            relay_ports: self.relay_ports,
            workers: self.workers.clone(),
            io: self.io,
            steer: self.steer,
            waiting: self.waiting,
            metrics: self.metrics.clone(),
            usage: self.usage.clone(),
            control: self.control.clone(),
            log: LogSettings { format: self.log.format, ..new.log },
            core_dumps: self.core_dumps,
            former_realms: without(former_realms, &new.realm),
            // What was known stays closed while the kernel says nothing.
            local: if new.local.is_empty() { self.local.clone() } else { new.local },
            quotas,
            ..new
        };
        (held, change)
    }

    /// Takes over other addresses. A limit of allocations that was as high as the relay ports goes
    /// with them.
    pub(in crate::control) fn take(&mut self, addresses: Addresses, local: Vec<IpNet>) {
        let is_all = self.quotas.total_allocations == self.most_allocations();
        let Addresses { listen, relays, missing } = addresses;
        (self.listen, self.relays, self.missing, self.local) = (listen, relays, missing, local);
        if is_all {
            self.quotas.total_allocations = self.most_allocations();
        }
    }

    fn live_differences(&self, new: &Config) -> Vec<Difference> {
        let (quotas, others) = (&self.quotas, &new.quotas);
        let (rates, other_rates) = (&self.limits, &new.limits);
        vec![
            (&schema::REALM, self.realm != new.realm),
            (&schema::USER, self.users != new.users),
            (&schema::USERS_FILE, self.users_file != new.users_file),
            (&schema::SECRET, self.secrets != new.secrets),
            (&schema::ALLOW_PEERS, self.allow_peers != new.allow_peers),
            (&schema::DENY_PEERS, self.deny_peers != new.deny_peers),
            (&schema::USER_QUOTA.key, quotas.user_allocations != others.user_allocations),
            (&schema::TOTAL_QUOTA.key, quotas.total_allocations != others.total_allocations),
            (&schema::PERMISSION_QUOTA.key, quotas.permissions != others.permissions),
            (&schema::CHANNEL_QUOTA.key, quotas.channels != others.channels),
            (&schema::MAX_BPS.key, rates.bytes_per_s != other_rates.bytes_per_s),
            (&schema::MAX_PPS.key, rates.packets_per_s != other_rates.packets_per_s),
            (
                &schema::STRANGER_REPLY_BYTES.key,
                self.stranger_reply_bytes != new.stranger_reply_bytes,
            ),
            (&schema::MAX_LIFETIME.key, self.max_lifetime_s != new.max_lifetime_s),
            (&schema::SOFTWARE, self.software != new.software),
            (&schema::CHANNEL_NUMBERS, self.channel_numbers != new.channel_numbers),
            (&schema::ON_REALLOCATE, self.on_reallocate != new.on_reallocate),
            (&schema::ALTERNATE_SERVER, self.alternate_servers != new.alternate_servers),
            (&schema::DRAIN_DEADLINE.key, self.drain_deadline_s != new.drain_deadline_s),
            (&schema::LOG, self.log.level != new.log.level),
        ]
    }

    fn fixed_differences(&self, new: &Config) -> Vec<Difference> {
        let usage_path = |config: &Config| config.usage.as_ref().map(|usage| usage.path.clone());
        let usage_interval =
            |config: &Config| config.usage.as_ref().and_then(|usage| usage.interval_s);
        let (asked, other) = (&self.asked, &new.asked);
        vec![
            (&schema::LISTEN, asked.listen != other.listen),
            (&schema::RELAY_IP, asked.relay_ips != other.relay_ips),
            (&schema::EXTERNAL_IP, asked.external_ips != other.external_ips),
            (&schema::RELAY_PORTS, self.relay_ports != new.relay_ports),
            (&schema::WORKERS.key, self.workers != new.workers),
            (&schema::IO, self.io != new.io),
            (&schema::STEER, self.steer != new.steer),
            (&schema::BATCH_WAIT.key, self.waiting.batch_us != new.waiting.batch_us),
            (&schema::SPIN.key, self.waiting.spin_us != new.waiting.spin_us),
            (&schema::BUSY_POLL.key, self.waiting.busy_poll_us != new.waiting.busy_poll_us),
            (&schema::METRICS, self.metrics != new.metrics),
            (&schema::CONTROL, self.control != new.control),
            (&schema::USAGE_RECORDS, usage_path(self) != usage_path(new)),
            (&schema::USAGE_INTERVAL.key, usage_interval(self) != usage_interval(new)),
            (&schema::LOG_FORMAT, self.log.format != new.log.format),
            (&schema::CORE_DUMPS, self.core_dumps != new.core_dumps),
        ]
    }
}

/// The realms that live allocations may have been made under, but for the one that holds now.
fn without(mut former: Vec<String>, now: &str) -> Vec<String> {
    former.retain(|realm| realm != now);
    let mut seen = HashSet::new();
    former.retain(|realm| seen.insert(realm.clone()));
    former.truncate(FORMER_REALMS);
    former
}

fn names(differences: &[Difference]) -> Vec<String> {
    let differing = differences.iter().filter(|(_, differs)| *differs);
    differing.map(|(key, _)| key.name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::schema::KEYS;
    use super::super::tests::settle;
    use super::*;

    fn config(file: &str) -> Config {
        settle(file, &[]).unwrap()
    }

    const BASE: &str = "user = ['ann:secret']\n";

    #[test]
    fn every_key_can_change_now_or_needs_a_restart() {
        let config = config(BASE);
        let live = config.live_differences(&config);
        let fixed = config.fixed_differences(&config);
        for key in KEYS {
            let times = live.iter().chain(&fixed).filter(|(it, _)| it.name == key.name).count();
            assert_eq!(times, 1, "{}", key.name);
        }
    }

    #[test]
    fn the_docs_say_which_is_which() {
        let page = include_str!("../../../docs/operating.md");
        let (_, told) = page.split_once("Most keys hold at once:").unwrap();
        let (live, told) = told.split_once("What takes sockets").unwrap();
        let (fixed, _) = told.split_once("needs a restart").unwrap();
        let config = config(BASE);
        for (differences, text) in
            [(config.live_differences(&config), live), (config.fixed_differences(&config), fixed)]
        {
            for (key, _) in &differences {
                assert!(text.contains(&format!("`{}`", key.name)), "{} in:{text}", key.name);
            }
            assert_eq!(text.matches('`').count(), 2 * differences.len(), "no other in:{text}");
        }
    }

    #[test]
    fn what_can_hold_holds_and_the_rest_is_named() {
        let held = config(BASE);
        let (listen, ports) = (held.listen.clone(), held.relay_ports);
        let file = "user = ['bob:secret']\nrealm = 'x'\nlisten = ['10.0.0.5:3479']\n\
                    relay-ports = '5000-5099'\nlog = 'warn'\nlog-format = 'json'\n\
                    total-quota = 50\n";
        let (held, change) = held.adopt(config(file));
        assert_eq!(change.applied, ["realm", "user", "total-quota", "log"]);
        assert_eq!(change.restart, ["listen", "relay-ports", "log-format"]);
        assert_eq!((&held.listen, held.relay_ports), (&listen, ports));
        assert_eq!((held.users[0].name.as_str(), held.realm.as_str()), ("bob", "x"));
        assert_eq!(held.log.level, tracing::level_filters::LevelFilter::WARN);
        assert_eq!(held.log.format, crate::control::config::LogFormat::Text);
        assert_eq!(held.quotas.total_allocations, 50);
    }

    #[test]
    fn the_last_realms_are_kept_for_those_who_live() {
        let realm = |name: &str| config(&format!("{BASE}\nrealm = '{name}'"));
        let mut held = realm("a");
        let after = |held: &mut Config, name: &str| {
            *held = held.adopt(realm(name)).0;
            (held.realm.clone(), held.former_realms.join(" "))
        };
        let told = |now: &str, former: &str| (now.to_owned(), former.to_owned());
        assert_eq!(after(&mut held, "a"), told("a", ""));
        assert_eq!(after(&mut held, "b"), told("b", "a"));
        assert_eq!(after(&mut held, "b"), told("b", "a"));
        assert_eq!(after(&mut held, "c"), told("c", "b a"));
        assert_eq!(after(&mut held, "a"), told("a", "c b"));
        assert_eq!(after(&mut held, "d"), told("d", "a c"));
    }

    #[test]
    fn the_same_again_is_no_change() {
        let (held, change) = config(BASE).adopt(config(BASE));
        assert_eq!(change, Change::default());
        assert_eq!(held.summary(), config(BASE).summary());
    }

    #[test]
    fn no_quota_is_above_the_ports_there_really_are() {
        let held = config("user = ['ann:secret']\nrelay-ports = '5000-5099'");
        let (held, _) = held.adopt(config(BASE));
        assert_eq!(held.quotas.total_allocations, 200);
    }
}
