//! Resolves raw options into a [`Config`], once.
//!
//! Law: a pure function of the options and of the [`Machine`], the generated secret apart. Each
//! problem is reported at the value that causes it.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::addresses::alternates;
use super::addresses::machine::Machine;
use super::addresses::{self, Addresses, Unfit};
use super::file::source::{ConfigError, ConfigText, WrittenAt};
use super::file::users::{Fault, UsersFile};
use super::schema::{self, Key, Options, Values};
use super::settled::{Config, WorkerPlace};
use super::value::address::MetricsAddress;
use super::value::credential::{Secret, User};
use super::value::path::FilePath;
use super::value::raw::Given;
use super::value::server::ServerAddress;
use crate::turn::MAX_SECRETS;

const GENERATED_SECRET_BYTES: usize = 16;

/// Options on their way to a [`Config`].
pub(super) struct Settling<'a> {
    pub(super) source: &'a ConfigText,
    pub(super) machine: &'a Machine,
}

impl Settling<'_> {
    pub(super) fn settle(&self, options: &Options) -> Result<Config, ConfigError> {
        let unfit = |unfit: Unfit| {
            let error = self.source.error(unfit.place(options), unfit.key.name, unfit.problem);
            ConfigError { remedy: unfit.remedy, ..error }
        };
        let (asked, Addresses { listen, listen_tls, relays, stand_ins, missing }) =
            addresses::addresses(options, self.machine).map_err(unfit)?;
        let mut values = options.settle(self.source)?;
        let most_allocations = values.relay_ports.count() * size(relays.len());
        values.total_quota = match values.total_quota {
            0 => most_allocations,
            total => total.min(most_allocations),
        };
        self.check_alternates(options, &listen)?;
        self.check_usage(options)?;
        self.check_tls(options, &values, (&listen, &listen_tls))?;
        self.check_web(options)?;
        self.check_users(options)?;
        self.check_secrets(options)?;
        let users_file = self.users_file(options, &values.user)?;
        let has_users = !values.user.is_empty() || users_file.is_some();
        let secret_is_asked_for = values.secret.iter().any(Secret::asks_for_one);
        values.secret.retain(|secret| !secret.asks_for_one());
        let secret_is_generated = secret_is_asked_for || (!has_users && values.secret.is_empty());
        if secret_is_generated {
            values.secret.insert(0, self.generate_secret()?);
        }
        let alternates = alternates::find(&values.alternate_server, &listen, self.machine, &[]);
        Ok(Config {
            asked,
            alternates: alternates.servers,
            listen,
            listen_tls,
            relays,
            stand_ins,
            missing,
            former_realms: Vec::new(),
            users_file,
            secret_is_generated,
            secret_is_asked_for,
            workers: self.workers(&values, most_allocations),
            local: self.machine.local.clone(),
            metrics: metrics(&values),
            values,
            exposed: Vec::new(),
        })
    }

    fn fail<T>(
        &self,
        key: &Key,
        place: Option<WrittenAt>,
        problem: String,
    ) -> Result<T, ConfigError> {
        Err(self.source.error(place, key.name, problem))
    }

    /// Takes the cores in order, and starts over where there are more workers than cores. By
    /// default there is one for each CPU that may be kept busy and no more than could have an
    /// allocation.
    fn workers(&self, values: &Values, most_allocations: u32) -> Vec<WorkerPlace> {
        let Machine { cores, cpus, .. } = self.machine;
        let useful = schema::WORKERS.clamp(size(*cpus).min(most_allocations));
        let count = values.workers.unwrap_or(useful);
        let places = cores.iter().cycle().map(|&core| WorkerPlace { core });
        places.take(count as usize).collect()
    }

    /// An interval without a file would record nothing.
    fn check_usage(&self, options: &Options) -> Result<(), ConfigError> {
        match (&options.usage_records, &options.usage_interval) {
            (None, Some(Given { value: 1.., place })) => {
                let problem = "there is no file to record in: write usage-records, too".to_owned();
                self.fail(&schema::USAGE_INTERVAL, Some(*place), problem)
            }
            (Some(_), _) | (None, Some(Given { value: 0, .. }) | None) => Ok(()),
        }
    }

    /// Certificates and keys are pairs, and TLS without one is nothing.
    fn check_tls(
        &self,
        options: &Options,
        values: &Values,
        (listen, listen_tls): (&[SocketAddr], &[SocketAddr]),
    ) -> Result<(), ConfigError> {
        let place = |given: Option<&Given<FilePath>>| given.map(|given| given.place);
        let certificates = options.tls_certificate.as_deref().unwrap_or_default();
        let keys = options.tls_key.as_deref().unwrap_or_default();
        if let Some(alone) = certificates.get(keys.len()) {
            let problem = "there is no key for it: write tls-key, too".to_owned();
            return self.fail(&schema::TLS_CERTIFICATE, place(Some(alone)), problem);
        }
        if let Some(alone) = keys.get(certificates.len()) {
            let problem = "there is no certificate for it: write tls-certificate, too".to_owned();
            return self.fail(&schema::TLS_KEY, place(Some(alone)), problem);
        }
        let given = options.listen_tls.iter().flatten().next();
        if let Some(given) = given.filter(|_| certificates.is_empty()) {
            let problem = "there is no certificate: write tls-certificate and tls-key, too";
            return self.fail(&schema::LISTEN_TLS, Some(given.place), problem.to_owned());
        }
        match listen_tls.iter().find(|at| values.tcp.0 && listen.contains(at)) {
            Some(at) => {
                let problem = format!("{at} is in listen, which takes TLS, too: leave it out");
                self.fail(&schema::LISTEN_TLS, given.map(|given| given.place), problem)
            }
            None => Ok(()),
        }
    }

    /// Names and a header for a web backend are nothing without one.
    fn check_web(&self, options: &Options) -> Result<(), ConfigError> {
        if options.web_backend.is_some() {
            return Ok(());
        }
        let problem = || "there is no web backend: write web-backend, too".to_owned();
        if let Some(given) = options.web_names.iter().flatten().next() {
            return self.fail(&schema::WEB_NAMES, Some(given.place), problem());
        }
        match options.web_proxy.as_ref().filter(|given| given.value.0) {
            Some(given) => self.fail(&schema::WEB_PROXY, Some(given.place), problem()),
            None => Ok(()),
        }
    }

    fn check_users(&self, options: &Options) -> Result<(), ConfigError> {
        let mut names = HashSet::new();
        for Given { value, place } in options.user.iter().flatten() {
            if !names.insert(&value.name) {
                let problem = format!("'{}' is there twice: write each user once", value.name);
                return self.fail(&schema::USER, Some(*place), problem);
            }
        }
        Ok(())
    }

    fn users_file(
        &self,
        options: &Options,
        inline: &[User],
    ) -> Result<Option<Arc<UsersFile>>, ConfigError> {
        let Some(Given { value: FilePath(path), place }) = &options.users_file else {
            return Ok(None);
        };
        let read = UsersFile::read(path.clone(), inline);
        read.map(|users| Some(Arc::new(users))).map_err(|fault| match fault {
            Fault::Unreadable(problem) => {
                self.source.error(Some(*place), schema::USERS_FILE.name, problem)
            }
            Fault::Line(error) => error,
        })
    }

    fn check_alternates(
        &self,
        options: &Options,
        listen: &[SocketAddr],
    ) -> Result<(), ConfigError> {
        let key = &schema::ALTERNATE_SERVER;
        let mut servers: Vec<SocketAddr> = Vec::new();
        for Given { value, place } in options.alternate_server.iter().flatten() {
            let (ServerAddress::At(server), place) = (value, *place) else { continue };
            let server = *server;
            if listen.contains(&server) {
                let problem = format!("{server} is this server itself: write another one");
                return self.fail(key, Some(place), problem);
            }
            if let Some(other) = servers.iter().find(|it| it.is_ipv4() == server.is_ipv4()) {
                let problem = format!("{server} and {other} are of one family: write one of them");
                return self.fail(key, Some(place), problem);
            }
            servers.push(server);
        }
        Ok(())
    }

    /// Every secret costs a check of each message that none of them has signed.
    fn check_secrets(&self, options: &Options) -> Result<(), ConfigError> {
        match options.secret.iter().flatten().nth(MAX_SECRETS) {
            Some(Given { place, .. }) => {
                let problem =
                    format!("there are more than {MAX_SECRETS}: take the oldest ones out");
                self.fail(&schema::SECRET, Some(*place), problem)
            }
            None => Ok(()),
        }
    }

    fn generate_secret(&self) -> Result<Secret, ConfigError> {
        let mut bytes = Zeroizing::new([0; GENERATED_SECRET_BYTES]);
        if let Err(error) = getrandom::fill(&mut *bytes) {
            let problem = format!("the system gives no random bytes ({error}): write a secret");
            return self.fail(&schema::SECRET, None, problem);
        }
        Ok(Secret::new(hex(&*bytes)))
    }
}

/// Each address once; a socket for all of a family is one socket.
fn metrics(values: &Values) -> Vec<SocketAddr> {
    let mut addresses: Vec<_> = values.metrics.iter().map(|MetricsAddress(at)| *at).collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

/// Writes digits one by one: a string that grows, or one for each byte, would leave copies behind.
fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).expect("a nibble is below 16");
    let mut text = String::with_capacity(2 * bytes.len());
    text.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xF)]));
    text
}

fn size(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
