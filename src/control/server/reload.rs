//! The configuration, read again while the server runs.
//!
//! Everything is read and settled before anything is changed, so that a file with a fault changes
//! nothing. What cannot change without a restart stays as it is and is named.

use std::sync::Arc;
use std::time::Duration;

use tracing::{error, info, warn};

use super::answers::gather;
use super::plan::{limits, policy, settings};
use super::supervisor::{Supervisor, Workers};
use crate::control::config::{Change, Config, Machine, Origin, Secret};
use crate::control::log::output::Level;
use crate::turn::{Nonces, Settings};

/// How long workers have to take other rules.
const RULES_WITHIN: Duration = Duration::from_secs(2);

/// What holds, and where it came from.
#[derive(Debug)]
pub(in crate::control) struct Reload {
    origin: Origin,
    holds: Config,
    nonces: Nonces,
    level: Level,
}

/// Rules that hold from now on.
#[derive(Debug)]
pub(in crate::control) struct Rules {
    pub(in crate::control) settings: Arc<Settings>,
    pub(in crate::control) change: Change,
}

impl Reload {
    /// Begins with what the server was started with.
    pub(in crate::control) fn new(
        origin: Origin,
        holds: Config,
        nonces: Nonces,
        level: Level,
    ) -> Self {
        Self { origin, holds, nonces, level }
    }

    /// The configuration that holds.
    pub(in crate::control) fn config(&self) -> &Config {
        &self.holds
    }

    /// Reads everything again and says what holds from now on; the log's level does already.
    ///
    /// # Errors
    /// One line that names the place and the key. Nothing has changed then.
    pub(in crate::control) fn read(&mut self) -> Result<Rules, String> {
        if self.origin.file.is_none() && self.holds.users_file.is_none() {
            return Err("there is no file to read again: start with --config FILE".to_owned());
        }
        let read = self.origin.load_again().map_err(|error| error.to_string())?;
        read.exposed.iter().for_each(|exposure| warn!("{exposure}"));
        let change = self.holds.adopt(with_own_secret(read, &self.holds)?);
        self.level.set(self.holds.log.level);
        let settings = Arc::new(settings(&self.holds, self.nonces.clone()));
        Ok(Rules { settings, change })
    }

    /// Takes over what the machine is by now. Gives other rules if those that hold would let a client
    /// through to some of it, or keep it from what is no longer here.
    ///
    /// # Errors
    /// What was asked for cannot be served on such a machine. Nothing has changed then.
    pub(in crate::control) fn follow(
        &mut self,
        machine: Machine,
    ) -> Result<Option<Settings>, String> {
        let addresses = self.holds.addresses_on(&machine)?;
        let before = (policy(&self.holds), self.holds.own_sockets());
        self.holds.take(addresses, machine.local);
        let differs = (policy(&self.holds), self.holds.own_sockets()) != before;
        Ok(differs.then(|| settings(&self.holds, self.nonces.clone())))
    }
}

impl<W: Workers> Supervisor<W> {
    /// Reads the configuration again. What goes wrong is logged, and everything stays as it was.
    pub(in crate::control) async fn reload(&mut self, alive: usize) -> Result<Change, String> {
        self.events.reopen();
        self.service.reloading();
        let outcome = match self.reload.read() {
            Ok(rules) => Ok(self.change(alive, rules).await),
            Err(problem) => {
                error!("the configuration stays as it was: {problem}");
                Err(problem)
            }
        };
        self.service.ready();
        outcome
    }

    async fn change(&mut self, alive: usize, rules: Rules) -> Change {
        let Rules { settings, change } = rules;
        self.hand_out(alive, &settings).await;
        let config = self.reload.config();
        self.status.send_modify(|status| status.follow(config));
        let Change { applied, restart } = &change;
        info!(applied = applied.join(", "), "configuration read again");
        if !restart.is_empty() {
            warn!(keys = restart.join(", "), "changed in the file, and held after a restart only");
        }
        change
    }

    /// Gives every worker other rules.
    pub(super) async fn hand_out(&self, alive: usize, rules: &Arc<Settings>) {
        let limits = limits(self.reload.config());
        let told = gather(self.workers.reconfigure(rules, limits), RULES_WITHIN).await;
        if told.len() < alive {
            error!(workers = alive, answered = told.len(), "not every worker has the new rules");
        }
    }
}

/// A secret made for this run goes on for as long as nobody else is let in. One made now would be
/// known to nobody.
fn with_own_secret(mut read: Config, holds: &Config) -> Result<Config, String> {
    if read.secret_is_generated {
        let own: Option<Vec<Secret>> = holds.secret_is_generated.then(|| holds.secrets.clone());
        let nobody = || "there is neither a user nor a secret: nobody could log in".to_owned();
        read.secrets = own.ok_or_else(nobody)?;
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::control::config::Options;
    use crate::control::server::plan::nonces;
    use crate::turn::Judgement;

    fn machine() -> Machine {
        Machine::with(&["127.0.0.1"])
    }

    /// What holds with this in a file of its own, which the caller changes.
    fn reload(test: &str, text: &str) -> (Reload, std::path::PathBuf) {
        let path = std::env::temp_dir().join(format!("uturn-{test}-{}", std::process::id()));
        fs::write(&path, text).unwrap();
        let config = Config::load(Options::default(), Some(&path), &machine()).unwrap();
        let origin = Origin { file: Some(path.clone()), ..Origin::default() };
        (Reload::new(origin, config, nonces().unwrap(), Level::detached()), path)
    }

    const HEAD: &str = "listen = ['127.0.0.1']\nrelay-ip = ['127.0.0.1']\nworkers = 1\n";

    #[test]
    fn a_file_with_a_fault_changes_nothing_and_is_named() {
        let (mut reload, path) = reload("fault", &format!("{HEAD}user = ['a:b']\n"));
        let before = reload.config().summary();
        for (text, fault) in [
            ("user = ['c:d']\nmax-lifetime = 0\n", ":5: max-lifetime: "),
            ("user = ['c:d', 'c:e']\n", ":4: user: "),
            ("colour = 1\n", ":4: colour: "),
            ("user = [\n", ": "),
            ("", "neither a user nor a secret"),
        ] {
            fs::write(&path, format!("{HEAD}{text}")).unwrap();
            let error = reload.read().unwrap_err();
            assert!(error.contains(fault) && error.lines().count() == 1, "{text}: {error}");
            assert_eq!(reload.config().summary(), before);
        }
        fs::remove_file(&path).unwrap();
        assert!(reload.read().unwrap_err().contains("cannot be read"));
        assert_eq!(reload.config().summary(), before);
    }

    #[test]
    fn the_secret_of_this_run_goes_on() {
        let (mut reload, path) = reload("secret", HEAD);
        let own = reload.config().secrets.clone();
        fs::write(&path, format!("{HEAD}max-lifetime = 900\n")).unwrap();
        assert_eq!(reload.read().unwrap().change.applied, ["max-lifetime"]);
        assert_eq!(reload.config().secrets, own);
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn other_addresses_are_other_rules_only_where_they_are_open() {
        let (mut reload, path) = reload("follow", HEAD);
        fs::remove_file(path).unwrap();
        let mut follow = |local: &[&str]| {
            let local = local.iter().map(|net| net.parse().unwrap()).collect();
            let rules = reload.follow(Machine { local, ..machine() }).unwrap();
            rules.map(|rules| rules.policy.judge("8.8.8.8".parse().unwrap()))
        };
        assert_eq!(follow(&["127.0.0.0/8", "8.8.8.8/32"]), Some(Judgement::DeniedByDefault));
        assert_eq!(follow(&["127.0.0.0/8", "8.8.8.8/32", "172.17.0.1/32", "fe80::1/128"]), None);
        assert_eq!(follow(&["127.0.0.0/8"]), Some(Judgement::Allowed));
        assert_eq!(follow(&["127.0.0.0/8"]), None);
    }

    #[test]
    fn without_a_file_there_is_nothing_to_read() {
        let config = Config::load(Options::default(), None, &machine()).unwrap();
        let mut reload =
            Reload::new(Origin::default(), config, nonces().unwrap(), Level::detached());
        assert!(reload.read().unwrap_err().contains("--config FILE"));
    }
}
