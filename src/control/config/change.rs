//! From the configuration that holds to the one that was read now: what differs, and which of it
//! can hold without a restart.

use std::collections::HashSet;

use super::addresses::machine::Machine;
use super::addresses::{Addresses, Asked};
use super::derived;
use super::schema::{FIELDS, TLS_CERTIFICATE, TLS_KEY, When};
use super::settled::Config;

/// Realms that are kept for live allocations: each costs a key for each user.
const FORMER_REALMS: usize = 2;

/// Keys whose values differ from those that held before, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Change {
    /// They hold from now on.
    pub applied: Vec<String>,
    /// They hold after a restart: sockets, threads and rings are made once.
    pub restart: Vec<String>,
    /// Why the certificates stay as they were, although they were to be read again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates: Option<String>,
}

impl Change {
    /// Notes that the certificates stay as they were, and why: what names others does not hold.
    pub(in crate::control) fn refuse_certificates(&mut self, problem: String) {
        let names = [TLS_CERTIFICATE.name, TLS_KEY.name];
        self.applied.retain(|key| !names.contains(&key.as_str()));
        self.certificates = Some(problem);
    }
}

impl Config {
    /// What holds from now on, on this machine: everything of `new` that can change while the
    /// server runs, and the rest as it is.
    #[must_use]
    pub fn adopt(&self, mut new: Config, machine: &Machine) -> (Config, Change) {
        new.asked.hear_tls_beside(&self.asked.listen);
        let change = self.change_to(&new);
        FIELDS
            .iter()
            .filter(|field| field.key.when == When::Restart)
            .for_each(|field| (field.keep)(&mut new.values, &self.values));
        let mut former_realms = self.former_realms.clone();
        former_realms.insert(0, self.values.realm.0.clone());
        // Workers open and close listeners for TLS while they run, beside others that stay.
        let asked = Asked {
            listen_tls: new.asked.listen_tls,
            is_tls_by_default: new.asked.is_tls_by_default,
            listen_takes_tls: new.asked.listen_takes_tls,
            ..self.asked.clone()
        };
        let listen_tls = asked.tls_on(machine, &self.listen, &self.listen_tls);
        let mut held = Config {
            asked,
            listen: self.listen.clone(),
            listen_tls: listen_tls.unwrap_or_else(|_| self.listen_tls.clone()),
            stand_ins: self.stand_ins.clone(),
            missing: self.missing.clone(),
            relays: self.relays.clone(),
            workers: self.workers.clone(),
            metrics: self.metrics.clone(),
            former_realms: without(former_realms, &new.values.realm.0),
            // What was known stays closed while the kernel says nothing.
            local: if new.local.is_empty() { self.local.clone() } else { new.local },
            ..new
        };
        let most = self.most_allocations();
        held.values.total_quota = held.values.total_quota.min(most);
        (held, change)
    }

    /// The keys whose values differ from those of another configuration.
    fn change_to(&self, new: &Config) -> Change {
        let differing = |when| {
            let fields = FIELDS.iter().filter(move |field| field.key.when == when);
            let differing = fields.filter(|field| !derived::same(self, new, field));
            differing.map(|field| field.key.name.to_owned()).collect()
        };
        Change {
            applied: differing(When::Live),
            restart: differing(When::Restart),
            certificates: None,
        }
    }

    /// Takes over other addresses. A limit of allocations that was as high as the relay ports goes
    /// with them.
    pub(in crate::control) fn take(&mut self, addresses: Addresses) {
        let is_all = self.values.total_quota == self.most_allocations();
        let Addresses { listen, listen_tls, relays, stand_ins, missing } = addresses;
        (self.listen, self.listen_tls) = (listen, listen_tls);
        (self.relays, self.stand_ins, self.missing) = (relays, stand_ins, missing);
        if is_all {
            self.values.total_quota = self.most_allocations();
        }
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

#[cfg(test)]
mod tests {
    use super::super::schema::KEYS;
    use super::super::tests::{machine, settle};
    use super::*;

    fn config(file: &str) -> Config {
        settle(file, &[]).unwrap()
    }

    const BASE: &str = "user = ['ann:secret']\n";

    #[test]
    fn the_docs_say_which_is_which() {
        let page = include_str!("../../../docs/operating.md");
        let (_, told) = page.split_once("Most keys hold at once:").unwrap();
        let (live, told) = told.split_once("What takes sockets").unwrap();
        let (fixed, _) = told.split_once("needs a restart").unwrap();
        for (when, text) in [(When::Live, live), (When::Restart, fixed)] {
            let keys: Vec<_> = KEYS.iter().filter(|key| key.when == when).collect();
            for key in &keys {
                assert!(text.contains(&format!("`{}`", key.name)), "{} in:{text}", key.name);
            }
            assert_eq!(text.matches('`').count(), 2 * keys.len(), "no other in:{text}");
        }
    }

    #[test]
    fn what_can_hold_holds_and_the_rest_is_named() {
        let held = config(BASE);
        let (listen, ports) = (held.listen.clone(), held.values.relay_ports);
        let file = "user = ['bob:secret']\nrealm = 'x'\nlisten = ['10.0.0.5:3479']\n\
                    relay-ports = '5000-5099'\nlog = 'warn'\nlog-format = 'json'\n\
                    total-quota = 50\n";
        let (held, change) = held.adopt(config(file), &machine());
        assert_eq!(change.applied, ["realm", "user", "total-quota", "log"]);
        assert_eq!(change.restart, ["listen", "relay-ports", "log-format"]);
        assert_eq!((&held.listen, held.values.relay_ports), (&listen, ports));
        assert_eq!((held.values.user[0].name.as_str(), held.values.realm.0.as_str()), ("bob", "x"));
        assert_eq!(held.values.log, tracing::level_filters::LevelFilter::WARN);
        assert_eq!(held.values.log_format, crate::control::config::LogFormat::Text);
        assert_eq!(held.values.total_quota, 50);
    }

    #[test]
    fn a_first_certificate_brings_its_listeners_without_a_restart() {
        let pair = format!("{BASE}tls-certificate = ['/a']\ntls-key = ['/b']");
        let machine = Machine::with(&["10.0.0.5"]);
        let (held, change) = config(BASE).adopt(config(&pair), &machine);
        assert_eq!(change.applied, ["tls-certificate", "tls-key", "listen-tls"]);
        assert_eq!(change.restart, [""; 0]);
        assert_eq!(held.listen_tls, ["10.0.0.5:5349".parse().unwrap()]);
    }

    #[test]
    fn listeners_for_tls_stay_beside_those_that_wait_for_a_restart() {
        let with = |listen: &str, more: &str| config(&format!("listen = [{listen}]\n{BASE}{more}"));
        let pair = "tls-certificate = ['/a']\ntls-key = ['/b']";
        let told = |held: &Config| {
            let told = held.listen_tls.iter().map(ToString::to_string);
            told.collect::<Vec<_>>().join(" ")
        };
        let (one, both) = ("'10.0.0.5'", "'10.0.0.5', '10.0.0.5:5349'");
        // What is running, what is read, where TLS clients are heard in between.
        for (held, new, between) in [
            (with(one, pair), with(both, pair), "10.0.0.5:5349"),
            (with(one, pair), with("'10.0.0.6'", pair), "10.0.0.5:5349"),
            (with(both, pair), with(one, pair), ""),
            (with(both, ""), with(one, pair), ""),
        ] {
            let brings_the_first = held.tls_files().is_empty();
            let (held, change) = held.adopt(new.clone(), &machine());
            assert_eq!(told(&held), between, "{:?} {:?}", held.asked, new.asked);
            assert_eq!(change.restart, ["listen"]);
            assert_eq!(change.applied.is_empty(), !brings_the_first, "{:?}", change.applied);
            let later = held.addresses_on(&machine()).unwrap();
            assert_eq!(later.listen_tls, held.listen_tls, "a look at the machine changes nothing");
            let (again, change) = held.adopt(new, &machine());
            assert_eq!((told(&again).as_str(), change.applied.len()), (between, 0));
        }
    }

    #[test]
    fn the_last_realms_are_kept_for_those_who_live() {
        let realm = |name: &str| config(&format!("{BASE}\nrealm = '{name}'"));
        let mut held = realm("a");
        let after = |held: &mut Config, name: &str| {
            *held = held.adopt(realm(name), &machine()).0;
            (held.values.realm.0.clone(), held.former_realms.join(" "))
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
        let (held, change) = config(BASE).adopt(config(BASE), &machine());
        assert_eq!(change, Change::default());
        assert_eq!(held.summary(), config(BASE).summary());
    }

    #[test]
    fn no_quota_is_above_the_ports_there_really_are() {
        let held = config("user = ['ann:secret']\nrelay-ports = '5000-5099'");
        let (held, _) = held.adopt(config(BASE), &machine());
        assert_eq!(held.values.total_quota, 200);
    }
}
