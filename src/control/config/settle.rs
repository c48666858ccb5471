//! Resolves raw options into a [`Config`], once.
//!
//! Law: a pure function of the options and of the [`Machine`], the generated secret apart. Each
//! problem is reported at the value that causes it.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

use tracing::level_filters::LevelFilter;
use zeroize::Zeroizing;

use super::addresses::Addresses;
use super::raw::{Given, Options, Place};
use super::schema::{self, Key, NumberKey};
use super::source::{ConfigError, Source};
use super::users::{Fault, UsersFile};
use super::value::{
    FilePath, MetricsAddress, PortRange, Realm, Secret, Server, Switch, User, Value,
};
use super::{Config, LogSettings, Machine, Quotas, UsageSettings, Waiting, WorkerPlace};
use crate::turn::{MAX_SECRETS, RateLimits};

const GENERATED_SECRET_BYTES: usize = 16;

/// Options on their way to a [`Config`].
pub(super) struct Settling<'a> {
    pub(super) source: &'a Source,
    pub(super) machine: &'a Machine,
}

impl Settling<'_> {
    pub(super) fn settle(&self, options: Options) -> Result<Config, ConfigError> {
        let (asked, Addresses { listen, relays, missing }) = self.addresses(&options)?;
        let relay_ports: PortRange =
            value_or_default(options.relay_ports.clone(), &schema::RELAY_PORTS);
        let most_allocations = relay_ports.count() * size(relays.len());
        let workers = self.workers(options.workers.as_ref(), most_allocations)?;
        let quotas = self.quotas(&options, most_allocations)?;
        let limits = self.limits(&options)?;
        let stranger_reply_bytes =
            self.number(&schema::STRANGER_REPLY_BYTES, options.stranger_reply_bytes.as_ref())?;
        let alternate_servers = self.alternates(options.alternate_server.as_deref(), &listen)?;
        let drain_deadline_s =
            self.number(&schema::DRAIN_DEADLINE, options.drain_deadline.as_ref())?;
        let usage = self.usage(&options)?;
        let max_lifetime_s = self.number(&schema::MAX_LIFETIME, options.max_lifetime.as_ref())?;
        let waiting = self.waiting(&options)?;
        let users = self.users(options.user)?;
        let users_file = self.users_file(options.users_file, &users)?;
        let mut secrets = self.secrets(options.secret)?;
        let has_users = !users.is_empty() || users_file.is_some();
        let secret_is_generated = !has_users && secrets.is_empty();
        if secret_is_generated {
            secrets.push(self.generate_secret()?);
        }
        Ok(Config {
            asked,
            listen,
            relays,
            missing,
            relay_ports,
            realm: value_or_default::<Realm>(options.realm, &schema::REALM).0,
            former_realms: Vec::new(),
            users,
            users_file,
            secrets,
            secret_is_generated,
            workers,
            local: self.machine.local.clone(),
            allow_peers: values(options.allow_peers),
            deny_peers: values(options.deny_peers),
            quotas,
            limits,
            stranger_reply_bytes,
            max_lifetime_s,
            software: value_or_default::<Switch>(options.software, &schema::SOFTWARE).0,
            channel_numbers: value_or_default(options.channel_numbers, &schema::CHANNEL_NUMBERS),
            on_reallocate: value_or_default(options.on_reallocate, &schema::ON_REALLOCATE),
            alternate_servers,
            drain_deadline_s,
            io: value_or_default(options.io, &schema::IO),
            steer: value_or_default(options.steer, &schema::STEER),
            waiting,
            metrics: metrics(options.metrics),
            usage,
            control: options.control.map(|given| given.value.0),
            log: LogSettings {
                level: value_or_default::<LevelFilter>(options.log, &schema::LOG),
                format: value_or_default(options.log_format, &schema::LOG_FORMAT),
            },
            core_dumps: value_or_default::<Switch>(options.core_dumps, &schema::CORE_DUMPS).0,
            exposed: Vec::new(),
        })
    }

    pub(super) fn fail<T>(
        &self,
        key: &Key,
        place: Option<Place>,
        problem: String,
    ) -> Result<T, ConfigError> {
        Err(self.source.error(place, key.name, problem))
    }

    /// Reads a number whose upper bound fits 16 bits.
    fn small(&self, key: &NumberKey, given: Option<&Given<u32>>) -> Result<u16, ConfigError> {
        let value = self.number(key, given)?;
        Ok(u16::try_from(value).expect("the bounds of the schema are below 65536"))
    }

    fn number(&self, key: &NumberKey, given: Option<&Given<u32>>) -> Result<u32, ConfigError> {
        let Some(&Given { value, place }) = given else {
            return Ok(key.default);
        };
        if !(key.min..=key.max).contains(&value) {
            let problem = format!("{value} is out of bounds: write {}", key.key.bounds);
            return self.fail(&key.key, Some(place), problem);
        }
        Ok(value)
    }

    fn waiting(&self, options: &Options) -> Result<Waiting, ConfigError> {
        Ok(Waiting {
            batch_us: self.number(&schema::BATCH_WAIT, options.batch_wait_us.as_ref())?,
            spin_us: self.number(&schema::SPIN, options.spin_us.as_ref())?,
            busy_poll_us: self.number(&schema::BUSY_POLL, options.busy_poll_us.as_ref())?,
        })
    }

    /// Takes the cores in order, and starts over where there are more workers than cores. By default
    /// there is one for each CPU that may be kept busy and no more than could have an allocation.
    fn workers(
        &self,
        given: Option<&Given<u32>>,
        most_allocations: u32,
    ) -> Result<Vec<WorkerPlace>, ConfigError> {
        let Machine { cores, cpus, .. } = self.machine;
        let useful = size(*cpus).min(most_allocations);
        let count = match given {
            Some(_) => self.number(&schema::WORKERS, given)?,
            None => useful.clamp(schema::WORKERS.min, schema::WORKERS.max),
        };
        let places = cores.iter().cycle().map(|&core| WorkerPlace { core });
        Ok(places.take(count as usize).collect())
    }

    fn quotas(&self, options: &Options, most_allocations: u32) -> Result<Quotas, ConfigError> {
        let user = self.number(&schema::USER_QUOTA, options.user_quota.as_ref())?;
        let total = self.number(&schema::TOTAL_QUOTA, options.total_quota.as_ref())?;
        Ok(Quotas {
            user_allocations: (user > 0).then_some(user),
            total_allocations: if total == 0 {
                most_allocations
            } else {
                total.min(most_allocations)
            },
            permissions: self
                .small(&schema::PERMISSION_QUOTA, options.permission_quota.as_ref())?,
            channels: self.small(&schema::CHANNEL_QUOTA, options.channel_quota.as_ref())?,
        })
    }

    fn limits(&self, options: &Options) -> Result<RateLimits, ConfigError> {
        Ok(RateLimits {
            bytes_per_s: self.number(&schema::MAX_BPS, options.max_bps.as_ref())?,
            packets_per_s: self.number(&schema::MAX_PPS, options.max_pps.as_ref())?,
        })
    }

    /// An interval without a file would record nothing.
    fn usage(&self, options: &Options) -> Result<Option<UsageSettings>, ConfigError> {
        let interval = options.usage_interval.as_ref();
        let interval_s = self.number(&schema::USAGE_INTERVAL, interval)?;
        if let (None, Some(Given { place, .. })) = (&options.usage_records, interval)
            && interval_s > 0
        {
            let problem = "there is no file to record in: write usage-records, too".to_owned();
            return self.fail(&schema::USAGE_INTERVAL.key, Some(*place), problem);
        }
        let interval_s = (interval_s > 0).then_some(interval_s);
        let settings =
            |given: &Given<FilePath>| UsageSettings { path: given.value.0.clone(), interval_s };
        Ok(options.usage_records.as_ref().map(settings))
    }

    fn users(&self, given: Option<Vec<Given<User>>>) -> Result<Vec<User>, ConfigError> {
        let mut names = HashSet::new();
        for Given { value, place } in given.iter().flatten() {
            if !names.insert(&value.name) {
                let problem = format!("'{}' is there twice: write each user once", value.name);
                return self.fail(&schema::USER, Some(*place), problem);
            }
        }
        Ok(values(given))
    }

    fn users_file(
        &self,
        given: Option<Given<FilePath>>,
        inline: &[User],
    ) -> Result<Option<Arc<UsersFile>>, ConfigError> {
        let Some(Given { value: FilePath(path), place }) = given else { return Ok(None) };
        let read = UsersFile::read(path, inline);
        read.map(|users| Some(Arc::new(users))).map_err(|fault| match fault {
            Fault::Unreadable(problem) => {
                self.source.error(Some(place), schema::USERS_FILE.name, problem)
            }
            Fault::Line(error) => error,
        })
    }

    fn alternates(
        &self,
        given: Option<&[Given<Server>]>,
        listen: &[SocketAddr],
    ) -> Result<Vec<SocketAddr>, ConfigError> {
        let key = &schema::ALTERNATE_SERVER;
        let mut servers: Vec<SocketAddr> = Vec::new();
        for &Given { value: Server(server), place } in given.unwrap_or_default() {
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
        Ok(servers)
    }

    /// Every secret costs a check of each message that none of them has signed.
    fn secrets(&self, given: Option<Vec<Given<Secret>>>) -> Result<Vec<Secret>, ConfigError> {
        if let Some(Given { place, .. }) = given.iter().flatten().nth(MAX_SECRETS) {
            let problem = format!("there are more than {MAX_SECRETS}: take the oldest ones out");
            return self.fail(&schema::SECRET, Some(*place), problem);
        }
        Ok(values(given))
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
fn metrics(given: Option<Vec<Given<MetricsAddress>>>) -> Vec<SocketAddr> {
    let mut addresses: Vec<_> = values(given).into_iter().map(|MetricsAddress(at)| at).collect();
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

fn values<T>(given: Option<Vec<Given<T>>>) -> Vec<T> {
    given.into_iter().flatten().map(|given| given.value).collect()
}

fn value_or_default<T: Value>(given: Option<Given<T>>, key: &Key) -> T {
    let default = || T::read(key.default).expect("the defaults of the schema are valid values");
    given.map_or_else(default, |given| given.value)
}
