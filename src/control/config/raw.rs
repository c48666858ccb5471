//! Options as they were written: typed, each with the place it stands at, none of them resolved.
//!
//! One struct is read by clap from the command line and by serde from the file, and its names and
//! words come from [`schema`](super::schema). Merging is one line per key: what the command line
//! says wins, and a list given there replaces the file's whole list.

use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::{fmt, str};

use clap::Args;
use ipnet::IpNet;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use toml::Spanned;
use tracing::level_filters::LevelFilter;

use super::exposure::Content;
use super::schema as key;
use super::value::{
    ExternalIp, FilePath, IoChoice, LogFormat, MetricsAddress, PortRange, Realm, Secret, Server,
    SocketPath, Switch, User, Value,
};
use crate::turn::OnReallocate;
use crate::wire::ChannelRange;
use crate::worker::Steering;

/// Where a value was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the command line.
    Flag,
    /// In the file, at this byte.
    File(usize),
}

/// A value and the place it was written at.
#[derive(Clone, Debug)]
pub(crate) struct Given<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

impl<'de, T: Value> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Read<T>>::deserialize(source)?;
        let place = Place::File(spanned.span().start);
        Ok(Self { value: spanned.into_inner().0, place })
    }
}

/// A value read from whatever scalar the file has.
struct Read<T>(T);

impl<'de, T: Value> Deserialize<'de> for Read<T> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_any(Scalar(PhantomData)).map(Read)
    }
}

struct Scalar<T>(PhantomData<T>);

impl<T: Value> Visitor<'_> for Scalar<T> {
    type Value = T;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("one value")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        T::read(text).map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_bool<E: de::Error>(self, truth: bool) -> Result<T, E> {
        self.visit_str(if truth { "true" } else { "false" })
    }
}

fn flag<T: Value>(text: &str) -> Result<Given<T>, String> {
    T::read(text).map(|value| Given { value, place: Place::Flag })
}

/// Every option as it was written on the command line or in the file, `None` where it was not.
#[derive(Args, Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Options {
    #[arg(long = key::LISTEN.name, value_name = key::LISTEN.unit, help = key::LISTEN.help())]
    #[arg(value_parser = flag::<SocketAddr>)]
    pub(crate) listen: Option<Vec<Given<SocketAddr>>>,

    #[arg(long = key::RELAY_IP.name, value_name = key::RELAY_IP.unit, help = key::RELAY_IP.help())]
    #[arg(value_parser = flag::<IpAddr>)]
    pub(crate) relay_ip: Option<Vec<Given<IpAddr>>>,

    #[arg(long = key::EXTERNAL_IP.name, value_name = key::EXTERNAL_IP.unit)]
    #[arg(help = key::EXTERNAL_IP.help(), value_parser = flag::<ExternalIp>)]
    pub(crate) external_ip: Option<Vec<Given<ExternalIp>>>,

    #[arg(long = key::RELAY_PORTS.name, value_name = key::RELAY_PORTS.unit)]
    #[arg(help = key::RELAY_PORTS.help(), value_parser = flag::<PortRange>)]
    pub(crate) relay_ports: Option<Given<PortRange>>,

    #[arg(long = key::REALM.name, value_name = key::REALM.unit, help = key::REALM.help())]
    #[arg(value_parser = flag::<Realm>)]
    pub(crate) realm: Option<Given<Realm>>,

    #[arg(long = key::USER.name, value_name = key::USER.unit, help = key::USER.help())]
    #[arg(value_parser = flag::<User>)]
    pub(crate) user: Option<Vec<Given<User>>>,

    #[arg(long = key::USERS_FILE.name, value_name = key::USERS_FILE.unit)]
    #[arg(help = key::USERS_FILE.help(), value_parser = flag::<FilePath>)]
    pub(crate) users_file: Option<Given<FilePath>>,

    #[arg(long = key::SECRET.name, value_name = key::SECRET.unit, help = key::SECRET.help())]
    #[arg(value_parser = flag::<Secret>)]
    pub(crate) secret: Option<Vec<Given<Secret>>>,

    #[arg(long = key::WORKERS.key.name, value_name = key::WORKERS.key.unit)]
    #[arg(help = key::WORKERS.key.help(), value_parser = flag::<u32>)]
    pub(crate) workers: Option<Given<u32>>,

    #[arg(long = key::ALLOW_PEERS.name, value_name = key::ALLOW_PEERS.unit)]
    #[arg(help = key::ALLOW_PEERS.help(), value_parser = flag::<IpNet>)]
    pub(crate) allow_peers: Option<Vec<Given<IpNet>>>,

    #[arg(long = key::DENY_PEERS.name, value_name = key::DENY_PEERS.unit)]
    #[arg(help = key::DENY_PEERS.help(), value_parser = flag::<IpNet>)]
    pub(crate) deny_peers: Option<Vec<Given<IpNet>>>,

    #[arg(long = key::USER_QUOTA.key.name, value_name = key::USER_QUOTA.key.unit)]
    #[arg(help = key::USER_QUOTA.key.help(), value_parser = flag::<u32>)]
    pub(crate) user_quota: Option<Given<u32>>,

    #[arg(long = key::TOTAL_QUOTA.key.name, value_name = key::TOTAL_QUOTA.key.unit)]
    #[arg(help = key::TOTAL_QUOTA.key.help(), value_parser = flag::<u32>)]
    pub(crate) total_quota: Option<Given<u32>>,

    #[arg(long = key::PERMISSION_QUOTA.key.name, value_name = key::PERMISSION_QUOTA.key.unit)]
    #[arg(help = key::PERMISSION_QUOTA.key.help(), value_parser = flag::<u32>)]
    pub(crate) permission_quota: Option<Given<u32>>,

    #[arg(long = key::CHANNEL_QUOTA.key.name, value_name = key::CHANNEL_QUOTA.key.unit)]
    #[arg(help = key::CHANNEL_QUOTA.key.help(), value_parser = flag::<u32>)]
    pub(crate) channel_quota: Option<Given<u32>>,

    #[arg(long = key::MAX_BPS.key.name, value_name = key::MAX_BPS.key.unit)]
    #[arg(help = key::MAX_BPS.key.help(), value_parser = flag::<u32>)]
    pub(crate) max_bps: Option<Given<u32>>,

    #[arg(long = key::MAX_PPS.key.name, value_name = key::MAX_PPS.key.unit)]
    #[arg(help = key::MAX_PPS.key.help(), value_parser = flag::<u32>)]
    pub(crate) max_pps: Option<Given<u32>>,

    #[arg(long = key::STRANGER_REPLY_BYTES.key.name)]
    #[arg(value_name = key::STRANGER_REPLY_BYTES.key.unit)]
    #[arg(help = key::STRANGER_REPLY_BYTES.key.help(), value_parser = flag::<u32>)]
    pub(crate) stranger_reply_bytes: Option<Given<u32>>,

    #[arg(long = key::MAX_LIFETIME.key.name, value_name = key::MAX_LIFETIME.key.unit)]
    #[arg(help = key::MAX_LIFETIME.key.help(), value_parser = flag::<u32>)]
    pub(crate) max_lifetime: Option<Given<u32>>,

    #[arg(long = key::SOFTWARE.name, value_name = key::SOFTWARE.unit, help = key::SOFTWARE.help())]
    #[arg(value_parser = flag::<Switch>)]
    pub(crate) software: Option<Given<Switch>>,

    #[arg(long = key::CHANNEL_NUMBERS.name, value_name = key::CHANNEL_NUMBERS.unit)]
    #[arg(help = key::CHANNEL_NUMBERS.help(), value_parser = flag::<ChannelRange>)]
    pub(crate) channel_numbers: Option<Given<ChannelRange>>,

    #[arg(long = key::ON_REALLOCATE.name, value_name = key::ON_REALLOCATE.unit)]
    #[arg(help = key::ON_REALLOCATE.help(), value_parser = flag::<OnReallocate>)]
    pub(crate) on_reallocate: Option<Given<OnReallocate>>,

    #[arg(long = key::ALTERNATE_SERVER.name, value_name = key::ALTERNATE_SERVER.unit)]
    #[arg(help = key::ALTERNATE_SERVER.help(), value_parser = flag::<Server>)]
    pub(crate) alternate_server: Option<Vec<Given<Server>>>,

    #[arg(long = key::DRAIN_DEADLINE.key.name, value_name = key::DRAIN_DEADLINE.key.unit)]
    #[arg(help = key::DRAIN_DEADLINE.key.help(), value_parser = flag::<u32>)]
    pub(crate) drain_deadline: Option<Given<u32>>,

    #[arg(long = key::IO.name, value_name = key::IO.unit, help = key::IO.help())]
    #[arg(value_parser = flag::<IoChoice>)]
    pub(crate) io: Option<Given<IoChoice>>,

    #[arg(long = key::STEER.name, value_name = key::STEER.unit, help = key::STEER.help())]
    #[arg(value_parser = flag::<Steering>)]
    pub(crate) steer: Option<Given<Steering>>,

    #[arg(long = key::BATCH_WAIT.key.name, value_name = key::BATCH_WAIT.key.unit)]
    #[arg(help = key::BATCH_WAIT.key.help(), value_parser = flag::<u32>)]
    pub(crate) batch_wait_us: Option<Given<u32>>,

    #[arg(long = key::SPIN.key.name, value_name = key::SPIN.key.unit)]
    #[arg(help = key::SPIN.key.help(), value_parser = flag::<u32>)]
    pub(crate) spin_us: Option<Given<u32>>,

    #[arg(long = key::BUSY_POLL.key.name, value_name = key::BUSY_POLL.key.unit)]
    #[arg(help = key::BUSY_POLL.key.help(), value_parser = flag::<u32>)]
    pub(crate) busy_poll_us: Option<Given<u32>>,

    #[arg(long = key::METRICS.name, value_name = key::METRICS.unit, help = key::METRICS.help())]
    #[arg(value_parser = flag::<MetricsAddress>)]
    pub(crate) metrics: Option<Vec<Given<MetricsAddress>>>,

    #[arg(long = key::CONTROL.name, value_name = key::CONTROL.unit, help = key::CONTROL.help())]
    #[arg(value_parser = flag::<SocketPath>)]
    pub(crate) control: Option<Given<SocketPath>>,

    #[arg(long = key::USAGE_RECORDS.name, value_name = key::USAGE_RECORDS.unit)]
    #[arg(help = key::USAGE_RECORDS.help(), value_parser = flag::<FilePath>)]
    pub(crate) usage_records: Option<Given<FilePath>>,

    #[arg(long = key::USAGE_INTERVAL.key.name, value_name = key::USAGE_INTERVAL.key.unit)]
    #[arg(help = key::USAGE_INTERVAL.key.help(), value_parser = flag::<u32>)]
    pub(crate) usage_interval: Option<Given<u32>>,

    #[arg(long = key::LOG.name, value_name = key::LOG.unit, help = key::LOG.help())]
    #[arg(value_parser = flag::<LevelFilter>)]
    pub(crate) log: Option<Given<LevelFilter>>,

    #[arg(long = key::LOG_FORMAT.name, value_name = key::LOG_FORMAT.unit)]
    #[arg(help = key::LOG_FORMAT.help(), value_parser = flag::<LogFormat>)]
    pub(crate) log_format: Option<Given<LogFormat>>,

    #[arg(long = key::CORE_DUMPS.name, value_name = key::CORE_DUMPS.unit)]
    #[arg(help = key::CORE_DUMPS.help(), value_parser = flag::<Switch>)]
    pub(crate) core_dumps: Option<Given<Switch>>,
}

impl Options {
    /// Lays these options over others: what is given here wins, lists as a whole.
    pub(crate) fn over(self, below: Self) -> Self {
        Self {
            listen: self.listen.or(below.listen),
            relay_ip: self.relay_ip.or(below.relay_ip),
            external_ip: self.external_ip.or(below.external_ip),
            relay_ports: self.relay_ports.or(below.relay_ports),
            realm: self.realm.or(below.realm),
            user: self.user.or(below.user),
            users_file: self.users_file.or(below.users_file),
            secret: self.secret.or(below.secret),
            workers: self.workers.or(below.workers),
            allow_peers: self.allow_peers.or(below.allow_peers),
            deny_peers: self.deny_peers.or(below.deny_peers),
            user_quota: self.user_quota.or(below.user_quota),
            total_quota: self.total_quota.or(below.total_quota),
            permission_quota: self.permission_quota.or(below.permission_quota),
            channel_quota: self.channel_quota.or(below.channel_quota),
            max_bps: self.max_bps.or(below.max_bps),
            max_pps: self.max_pps.or(below.max_pps),
            stranger_reply_bytes: self.stranger_reply_bytes.or(below.stranger_reply_bytes),
            max_lifetime: self.max_lifetime.or(below.max_lifetime),
            software: self.software.or(below.software),
            channel_numbers: self.channel_numbers.or(below.channel_numbers),
            on_reallocate: self.on_reallocate.or(below.on_reallocate),
            alternate_server: self.alternate_server.or(below.alternate_server),
            drain_deadline: self.drain_deadline.or(below.drain_deadline),
            io: self.io.or(below.io),
            steer: self.steer.or(below.steer),
            batch_wait_us: self.batch_wait_us.or(below.batch_wait_us),
            spin_us: self.spin_us.or(below.spin_us),
            busy_poll_us: self.busy_poll_us.or(below.busy_poll_us),
            metrics: self.metrics.or(below.metrics),
            control: self.control.or(below.control),
            usage_records: self.usage_records.or(below.usage_records),
            usage_interval: self.usage_interval.or(below.usage_interval),
            log: self.log.or(below.log),
            log_format: self.log_format.or(below.log_format),
            core_dumps: self.core_dumps.or(below.core_dumps),
        }
    }

    /// Whether there are passwords or secrets among these options.
    pub(super) fn content(&self) -> Content {
        let is_secret = self.user.is_some() || self.secret.is_some();
        if is_secret { Content::Secret } else { Content::Public }
    }
}
