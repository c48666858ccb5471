//! The configuration, read again while the server runs.
//!
//! ```text
//! SIGHUP, `uturn reload` ── a thread reads, settles, compares ── workers get their rules ── done
//! ```
//!
//! Everything is read and settled before anything is changed, so that a file with a fault changes
//! nothing. What cannot change without a restart stays as it is and is named.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;
use tracing::warn;

use super::renewal::{ReadCause, Renewed};
use crate::control::config::{Change, Config, Machine, Origin};
use crate::control::log::output::Level;
use crate::control::server::start::plan::{policy, settings};
use crate::turn::{Nonces, Settings};

/// Who asked for a reload and waits for its outcome.
pub(in crate::control) type Asker = oneshot::Sender<Result<Change, String>>;

/// What holds, and where it came from.
#[derive(Clone, Debug)]
pub(in crate::control) struct Reload {
    origin: Origin,
    holds: Arc<Config>,
    nonces: Nonces,
    level: Level,
}

/// What was read again, ready to hold.
#[derive(Debug)]
pub(in crate::control) struct Reread {
    /// What it was compared with.
    base: Arc<Config>,
    /// Files that others may read or change, to be told when it holds: it may be read once more
    /// before.
    exposed: Vec<String>,
    pub(in crate::control) holds: Arc<Config>,
    pub(in crate::control) settings: Arc<Settings>,
    pub(in crate::control) change: Change,
    /// The certificates it names, until they are taken.
    pub(in crate::control) certificates: Option<Renewed>,
}

/// What holds on the machine as it is now.
#[derive(Debug)]
pub(in crate::control) struct Looked {
    /// What it was made from.
    base: Arc<Config>,
    pub(in crate::control) holds: Arc<Config>,
    /// Other rules, if those that hold would let a client through to some of the machine, or keep
    /// it from what is no longer here.
    pub(in crate::control) settings: Option<Arc<Settings>>,
    /// What of the configuration cannot be had now, a line each.
    pub(in crate::control) problems: Vec<String>,
}

/// A reload under way.
#[derive(Debug, Default)]
pub(in crate::control) struct Reading {
    pub(in crate::control) askers: Vec<Asker>,
    /// Who asked since it began: what is read may be older than what they wrote. `None` for nobody,
    /// not even a signal.
    pub(in crate::control) next: Option<Vec<Asker>>,
    /// When the files have taken too long; `None` once they have, or have been read.
    pub(in crate::control) late_at: Option<Instant>,
    /// The files have taken too long and still do.
    pub(in crate::control) is_late: bool,
}

impl Reload {
    /// Begins with what the server was started with.
    pub(in crate::control) fn new(
        origin: Origin,
        holds: Config,
        nonces: Nonces,
        level: Level,
    ) -> Self {
        Self { origin, holds: Arc::new(holds), nonces, level }
    }

    /// The configuration that holds.
    pub(in crate::control) fn config(&self) -> &Config {
        &self.holds
    }

    /// Reads everything again and says what could hold from now on. Takes as long as the disk does,
    /// and a second for a million users.
    ///
    /// # Errors
    /// One line that names the place and the key.
    pub(in crate::control) fn read(&self) -> Result<Reread, String> {
        let Config { users_file, values, .. } = &*self.holds;
        let has_files = users_file.is_some() || !values.tls_certificate.is_empty();
        if self.origin.file.is_none() && !has_files {
            return Err("there is no file to read again: start with --config FILE".to_owned());
        }
        let read = self.origin.load_again().map_err(|error| error.to_string())?;
        let exposed = read.exposed.iter().map(ToString::to_string).collect();
        let read = with_own_secret(read, &self.holds)?;
        let (holds, change) = self.holds.adopt(read, &Machine::this());
        let settings = Arc::new(settings(&holds, self.nonces.clone()));
        let certificates = Some(Renewed::read(holds.tls_files(), ReadCause::News));
        let base = Arc::clone(&self.holds);
        Ok(Reread { base, exposed, holds: Arc::new(holds), settings, change, certificates })
    }

    /// Makes what was read hold; gives it back where something else has come to hold meanwhile. The
    /// log's level holds at once.
    pub(in crate::control) fn adopt(&mut self, reread: &Reread) -> bool {
        let is_current = Arc::ptr_eq(&reread.base, &self.holds);
        if is_current {
            reread.exposed.iter().for_each(|exposure| warn!("{exposure}"));
            reread.holds.idle_keys().iter().for_each(|idle| warn!("{idle}"));
            self.holds = Arc::clone(&reread.holds);
            self.level.set(self.holds.values.log);
        }
        is_current
    }

    /// Finds out what holds on a machine. Its own addresses are closed to clients whether or not
    /// what was asked for can be served there.
    pub(in crate::control) fn look(&self, machine: Machine) -> Looked {
        let mut holds = (*self.holds).clone();
        let alternates = self.holds.find_alternates(&machine);
        let unknown =
            alternates.problems.iter().map(|problem| format!("alternate-server: {problem}"));
        let mut problems: Vec<String> = unknown.collect();
        holds.alternates = alternates.servers;
        match self.holds.addresses_on(&machine) {
            Ok(addresses) => holds.take(addresses),
            Err(problem) => problems
                .push(format!("what is listened on and relayed on stays as it was: {problem}")),
        }
        holds.local = machine.local;
        let rules = |config: &Config| (policy(config), config.own_sockets());
        let differs = rules(&holds) != rules(&self.holds);
        let settings = differs.then(|| Arc::new(settings(&holds, self.nonces.clone())));
        Looked { base: Arc::clone(&self.holds), holds: Arc::new(holds), settings, problems }
    }

    /// Makes what was found out hold; false where something else has come to hold meanwhile.
    pub(in crate::control) fn follow(&mut self, looked: &Looked) -> bool {
        let is_current = Arc::ptr_eq(&looked.base, &self.holds);
        // What is the same stays: others are asked for seconds, and their answers are for it.
        if is_current && !looked.holds.is_on_the_same_machine(&self.holds) {
            self.holds = Arc::clone(&looked.holds);
        }
        is_current
    }
}

/// A secret made for this run, the first of all, goes on for as long as it is asked for or nobody
/// else is let in. One made now would be known to nobody.
fn with_own_secret(mut read: Config, holds: &Config) -> Result<Config, String> {
    if read.secret_is_generated {
        let own = holds.values.secret.first().filter(|_| holds.secret_is_generated).cloned();
        let unknown = || "a secret that is generated now would be known to nobody".to_owned();
        let first = read.values.secret.first_mut().expect("what was generated is the first");
        *first = own.ok_or_else(unknown)?;
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::control::config::{Options, Secret};
    use crate::control::server::start::plan::nonces;
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
        let (reload, path) = reload("fault", &format!("{HEAD}user = ['a:b']\n"));
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
        let asked = format!("{HEAD}secret = 'generate'\n");
        let (mut reload, path) = reload("secret", &asked);
        let own = reload.config().values.secret.clone();
        fs::write(&path, format!("{asked}max-lifetime = 900\n")).unwrap();
        let reread = reload.read().unwrap();
        assert_eq!(reread.change.applied, ["max-lifetime"]);
        assert!(reload.adopt(&reread));
        assert_eq!(reload.config().values.secret, own);
        fs::write(&path, format!("{HEAD}secret = ['generate', 'another-secret']\n")).unwrap();
        let reread = reload.read().unwrap();
        assert!(reload.adopt(&reread));
        let now: Vec<_> = reload.config().values.secret.iter().map(Secret::reveal).collect();
        assert_eq!(now, [own[0].reveal(), "another-secret"]);
        fs::write(&path, HEAD).unwrap();
        assert!(reload.read().unwrap_err().contains("neither a user nor a secret"));
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn other_addresses_are_other_rules_only_where_they_are_open() {
        let (mut reload, path) = reload("follow", HEAD);
        fs::remove_file(path).unwrap();
        let mut follow = |local: &[&str]| {
            let local = local.iter().map(|net| net.parse().unwrap()).collect();
            let looked = reload.look(Machine { local, ..machine() });
            assert!(reload.follow(&looked));
            looked.settings.map(|rules| rules.policy.judge("8.8.8.8".parse().unwrap()))
        };
        assert_eq!(follow(&["127.0.0.0/8", "8.8.8.8/32"]), Some(Judgement::DeniedByDefault));
        assert_eq!(follow(&["127.0.0.0/8", "8.8.8.8/32", "172.17.0.1/32", "fe80::1/128"]), None);
        assert_eq!(follow(&["127.0.0.0/8"]), Some(Judgement::Allowed));
        assert_eq!(follow(&["127.0.0.0/8"]), None);
    }

    #[test]
    fn an_address_is_closed_to_clients_on_a_machine_with_too_many_to_listen_on() {
        let (mut reload, path) = reload("many", "listen = ['0.0.0.0']\nrelay-ip = ['127.0.0.1']");
        fs::remove_file(path).unwrap();
        let many: Vec<String> = (1..=255).map(|host| format!("8.8.8.{host}")).collect();
        let names: Vec<&str> = many.iter().map(String::as_str).chain(["8.8.9.9"]).collect();
        let looked = reload.look(Machine::with(&[&["127.0.0.1"], &names[..]].concat()));
        assert!(looked.problems[0].contains("257 addresses"), "{:?}", looked.problems);
        assert_eq!(looked.holds.listen, reload.config().listen, "it goes on where it was");
        assert!(reload.follow(&looked));
        let policy = looked.settings.unwrap().policy.clone();
        assert!(names.iter().all(|ip| policy.judge(ip.parse().unwrap()) != Judgement::Allowed));
    }

    #[test]
    fn what_others_answer_holds_after_a_look_at_the_same_machine_and_not_at_another() {
        let path = std::env::temp_dir().join(format!("uturn-answers-{}", std::process::id()));
        let text = "external-ip = 'stun:stun.example.org'\nlisten = '10.0.0.5'\nuser = 'a:b'";
        fs::write(&path, text).unwrap();
        let here = Machine::with(&["10.0.0.5"]);
        let first = Machine { asks: |_, _| Ok(Some([198, 51, 100, 1].into())), ..here.clone() };
        let second = Machine { asks: |_, _| Ok(Some([198, 51, 100, 2].into())), ..here.clone() };
        let config = Config::load(Options::default(), Some(&path), &first).unwrap();
        fs::remove_file(path).unwrap();
        let mut reload =
            Reload::new(Origin::default(), config, nonces().unwrap(), Level::detached());
        let told = |reload: &Reload| reload.config().relays[0].advertised.to_string();
        let silent = || here.clone().that_asks_nobody();
        let asked = reload.look(second.clone());
        assert!(reload.follow(&reload.look(silent())));
        assert!(reload.follow(&asked), "nothing has changed meanwhile");
        assert_eq!(told(&reload), "198.51.100.2");
        let asked = reload.look(first);
        let local = vec!["10.0.0.5/32".parse().unwrap(), "8.8.8.8/32".parse().unwrap()];
        assert!(reload.follow(&reload.look(Machine { local, ..silent() })));
        assert!(!reload.follow(&asked), "they were asked on another machine");
        assert_eq!(told(&reload), "198.51.100.2");
    }

    #[test]
    fn without_a_file_there_is_nothing_to_read() {
        let config = Config::load(Options::default(), None, &machine()).unwrap();
        let reload = Reload::new(Origin::default(), config, nonces().unwrap(), Level::detached());
        assert!(reload.read().unwrap_err().contains("--config FILE"));
    }

    #[test]
    fn what_was_read_does_not_hold_over_addresses_that_came_meanwhile() {
        let (mut reload, path) = reload("meanwhile", &format!("{HEAD}user = ['a:b']\n"));
        let reread = reload.read().unwrap();
        let local = vec!["127.0.0.0/8".parse().unwrap(), "8.8.8.8/32".parse().unwrap()];
        let looked = reload.look(Machine { local, ..machine() });
        assert!(reload.follow(&looked));
        assert!(!reload.adopt(&reread));
        assert_eq!(reload.config().local.len(), 2, "the addresses are not forgotten");
        let reread = reload.read().unwrap();
        assert!(reload.adopt(&reread));
        fs::remove_file(path).unwrap();
    }
}
