//! The one list of everything that can be configured.
//!
//! An entry says everything of its key: the name, how often it may be given and what a value is,
//! whether a change holds at once or after a restart, the words for people, default and bounds. The
//! command line, the file, what is settled, `check-config`, what a reload changes, the options
//! table of `docs/configuration.md`, the example file and the manual page are made from it: a new
//! key is an entry here and `config.values.its_name` where it is used. A key whose value is not all
//! there is to it says in `derived.rs` how it is shown and compared.
//!
//! Law: no default and no bound of an option stands anywhere else in the program.

pub(super) mod key;
mod streams;
mod subjects;

use std::net::{IpAddr, SocketAddr};

use clap::{ArgMatches, Args, Command, FromArgMatches};
use ipnet::IpNet;
use tracing::level_filters::LevelFilter;

pub use key::{Bounds, Key, Preset, When};

use key::keys;
use streams::with_stream_keys;

use super::file::source::{ConfigError, ConfigText, WrittenAt};
use super::value::address::{MetricsAddress, PortRange, TlsAddress};
use super::value::choice::{IoChoice, LogFormat, Switch};
use super::value::credential::{Realm, Secret, User};
use super::value::external::ExternalAddress;
use super::value::path::{ControlPath, FilePath};
use super::value::raw::{How, Many, Maybe, One, flag};
use super::value::server::ServerAddress;
use super::value::web::{HostPattern, WebAddress};
use crate::turn::{OnReallocate, Settings};
use crate::wire::ChannelRange;
use crate::worker::Steering;

/// A key's field of the settled [`Values`].
pub(super) struct Field {
    pub(super) key: &'static Key,
    /// The value in TOML; nothing where the key has no value.
    pub(super) shown: fn(&Values) -> Option<String>,
    /// Whether both have the same of it.
    pub(super) same: fn(&Values, &Values) -> bool,
    /// Has the first values keep what the second ones have of it.
    pub(super) keep: fn(&mut Values, &Values),
}

with_stream_keys! {
    "listen" LISTEN listen: Many<SocketAddr>, Restart {
        unit: "ADDR:PORT",
        default: Preset::Words("every address, port 3478"),
        bounds: Bounds::Words("an address of this machine; port 1-65535"),
        doc: "Address that clients talk to. 0.0.0.0 and `[::]` stand for every address of that \
               family at start, each with a socket of its own, so that an answer leaves from \
               the address that was asked.",
        example: "203.0.113.5:3478",
    }

    "relay-ip" RELAY_IP relay_ip: Many<IpAddr>, Restart {
        unit: "IP",
        default: Preset::Words(
            "one of each family, from the listening addresses or the default route",
        ),
        bounds: Bounds::Words("an address of this machine"),
        doc: "Address that relay ports are opened on.",
        example: "203.0.113.5",
    }

    "external-ip" EXTERNAL_IP external_ip: Many<ExternalAddress>, Restart {
        unit: "PUBLIC[/PRIVATE]|stun:HOST[:PORT]|NAME",
        default: Preset::Words("none"),
        bounds: Bounds::Words("one per relay address; both of one family; one STUN server or name"),
        doc: "Behind 1:1 NAT: the public address that clients are told in place of the relay \
               address PRIVATE (or the only relay address of that family). For private relay \
               addresses that have no other, `stun:` and a STUN server: the address which that \
               server sees; or a host name: its address. Both are asked at start and once a minute.",
        example: "203.0.113.5/10.0.0.5",
    }

    "relay-ports" RELAY_PORTS relay_ports: One<PortRange>, Restart {
        unit: "LOW-HIGH",
        default: Preset::Value("49152-65535"),
        bounds: Bounds::Words("1024-65535"),
        doc: "Ports that are handed out as relayed addresses, both ends included.",
        example: "49152-65535",
    }

    "realm" REALM realm: One<Realm>, Live {
        unit: "NAME",
        default: Preset::Value("uturn"),
        bounds: Bounds::Words("1-127 characters"),
        doc: "Realm of the long-term credentials.",
        example: "example.org",
    }

    "user" USER user: Many<User>, Live {
        unit: "NAME:PASSWORD",
        default: Preset::Words("none"),
        bounds: Bounds::Words("name 1-508 bytes without ':', password 1-508 bytes; each name once"),
        doc: "User with a fixed password.",
        example: "alice:wonderland",
    }

    "users-file" USERS_FILE users_file: Maybe<FilePath>, Live {
        unit: "PATH",
        default: Preset::Words("none"),
        bounds: Bounds::Words(
            "a file that can be read, 64 MiB at most; each name once, `user` included",
        ),
        doc: "File with a user in each line, `name:password` or `name:0x` and the 32 digits of \
               the long-term key, MD5 of `name:realm:password`; `#` begins a comment line. Read \
               again on reload.",
        example: "/etc/uturn/users",
    }

    "secret" SECRET secret: Many<Secret>, Live {
        unit: "SECRET",
        default: Preset::Words("generated for this run if there is no user and no file either"),
        bounds: Bounds::Words("8-512 bytes, or `generate`; 16 secrets at most"),
        doc: "Secret shared with the service that hands out time-limited credentials (`uturn \
               credentials`). Several at once let you rotate: each of them is accepted. \
               `generate` makes one at each start and shows it; a file with neither a user nor a \
               secret is refused.",
        example: "a-long-shared-secret",
    }

    "coturn-names" COTURN_NAMES coturn_names: One<Switch>, Live {
        unit: "on|off",
        default: Preset::Value("off"),
        bounds: Bounds::Words("on, off"),
        doc: "Whether time-limited names may have every form that coturn takes: besides \
               `expiry` and `expiry:id` also `id:expiry` and `:expiry`, and an expiry with a \
               fraction.",
        example: "on",
    }

    "workers" WORKERS workers: Maybe<u32>, Restart {
        unit: "N",
        default: Preset::Words("one for each CPU"),
        bounds: Bounds::Numbers(1..=128, ""),
        doc: "Worker threads; each is pinned to a core and owns its share of the clients. By \
               default as many as there are cores to run on, fewer where the CPU quota of a \
               container or the number of relay ports is smaller.",
        example: "2",
    }

    "allow-peers" ALLOW_PEERS allow_peers: Many<IpNet>, Live {
        unit: "CIDR",
        default: Preset::Words("none"),
        bounds: Bounds::Words("an IP network"),
        doc: "Peers that may be reached although the built-in list (private, loopback, \
               link-local and other special networks, and this machine's own addresses) denies \
               them.",
        example: "10.1.0.0/16",
    }

    "deny-peers" DENY_PEERS deny_peers: Many<IpNet>, Live {
        unit: "CIDR",
        default: Preset::Words("none"),
        bounds: Bounds::Words("an IP network"),
        doc: "Peers that may never be reached; wins over `allow-peers`.",
        example: "203.0.113.0/24",
    }

    "user-quota" USER_QUOTA user_quota: One<u32>, Live {
        unit: "N",
        default: Preset::Number(1000),
        bounds: Bounds::Numbers(0..=10_000_000, ", 0 for no quota"),
        doc: "Allocations that one user may hold at a time. The user of a time-limited name is \
               its id; all time-limited names without an id are one user.",
        example: "100",
    }

    "total-quota" TOTAL_QUOTA total_quota: One<u32>, Live {
        unit: "N",
        default: Preset::Number(0),
        bounds: Bounds::Numbers(0..=10_000_000, ", 0 for as many as there are relay ports"),
        doc: "Allocations that the whole server holds at a time.",
        example: "5000",
    }

    "permission-quota" PERMISSION_QUOTA permission_quota: One<u32>, Live {
        unit: "N",
        default: Preset::Number(Settings::PERMISSIONS as u32),
        bounds: Bounds::Numbers(1..=4096, ""),
        doc: "Permissions (peer addresses) that one allocation may hold at a time.",
        example: "64",
    }

    "channel-quota" CHANNEL_QUOTA channel_quota: One<u32>, Live {
        unit: "N",
        default: Preset::Number(Settings::CHANNELS as u32),
        bounds: Bounds::Numbers(1..=4096, ""),
        doc: "Channels that one allocation may hold at a time.",
        example: "64",
    }

    "max-bps" MAX_BPS max_bps: One<u32>, Live {
        unit: "BYTES",
        default: Preset::Number(0),
        bounds: Bounds::Numbers(0..=4_000_000_000, ", 0 for no limit"),
        doc: "Payload bytes a second (bytes, not bits) that one allocation may relay in each \
               direction; after a silence, a second's worth at once. What is above is dropped.",
        example: "1000000",
    }

    "max-pps" MAX_PPS max_pps: One<u32>, Live {
        unit: "PACKETS",
        default: Preset::Number(0),
        bounds: Bounds::Numbers(0..=100_000_000, ", 0 for no limit"),
        doc: "Packets a second that one allocation may relay in each direction; after a \
               silence, a second's worth at once. What is above is dropped.",
        example: "2000",
    }

    "stranger-reply-bytes" STRANGER_REPLY_BYTES stranger_reply_bytes: One<u32>, Live {
        unit: "BYTES",
        default: Preset::Number(Settings::STRANGER_BYTES_PER_S),
        bounds: Bounds::Numbers(0..=1_000_000_000, ", 0 for no limit"),
        doc: "Bytes a second (bytes, not bits; headers not counted) of answers to requests \
               that prove nothing, which all workers together send to one network (an IPv4 /24, \
               an IPv6 /56), because their sources may be forged; after a silence, two seconds' \
               worth at once. Three quarters are for 401 and 438, the rest for Binding and for \
               other errors. Whoever has an allocation or brings back a nonce is always \
               answered. For a benchmark of Binding requests from one network: 0.",
        example: "250000",
    }

    "max-lifetime" MAX_LIFETIME max_lifetime: One<u32>, Live {
        unit: "SECONDS",
        default: Preset::Number(Settings::MAX_LIFETIME_S),
        bounds: Bounds::Numbers(1..=86_400, ""),
        doc: "Longest lifetime that an allocation is granted; a client that asks for more gets \
               this.",
        example: "1800",
    }

    "software" SOFTWARE software: One<Switch>, Live {
        unit: "on|off",
        default: Preset::Value("on"),
        bounds: Bounds::Words("on, off"),
        doc: "Whether authenticated Allocate and Refresh answers name the software (never its \
               version).",
        example: "off",
    }

    "channel-numbers" CHANNEL_NUMBERS channel_numbers: One<ChannelRange>, Live {
        unit: "rfc8656|rfc5766",
        default: Preset::Value("rfc8656"),
        bounds: Bounds::Words("rfc8656, rfc5766"),
        doc: "Channel numbers clients may bind: 0x4000-0x4FFF of RFC 8656, or 0x4000-0x7FFF of \
               its predecessor, which older clients pick from (Debian's turnutils_uclient is \
               one).",
        example: "rfc5766",
    }

    "on-reallocate" ON_REALLOCATE on_reallocate: One<OnReallocate>, Live {
        unit: "refuse|replace",
        default: Preset::Value("refuse"),
        bounds: Bounds::Words("refuse, replace"),
        doc: "What a new Allocate of the same user on a five-tuple with a live allocation \
               does: `refuse` answers 437 as the RFC has it, `replace` ends the old one, so \
               that a client that restarted need not wait until its allocation has expired.",
        example: "replace",
    }

    "alternate-server" ALTERNATE_SERVER alternate_server: Many<ServerAddress>, Live {
        unit: "HOST[:PORT]",
        default: Preset::Words("none"),
        bounds: Bounds::Words("one of each family; none of `listen`"),
        doc: "Server that new clients are sent to while this one drains (300 Try Alternate). \
               A name is looked up again once a minute. Clients of a family without one are told \
               508.",
        example: "198.51.100.2:3478",
    }

    "drain-deadline" DRAIN_DEADLINE drain_deadline: One<u32>, Live {
        unit: "SECONDS",
        default: Preset::Number(0),
        bounds: Bounds::Numbers(0..=604_800, ", 0 for none"),
        doc: "How long a drain waits for the last allocation; what is left then is ended.",
        example: "3600",
    }

    "io" IO io: One<IoChoice>, Restart {
        unit: "uring|portable|auto",
        default: Preset::Value("auto"),
        bounds: Bounds::Words("uring, portable, auto"),
        doc: "What moves the packets: io_uring, or epoll with recvmmsg and sendmmsg; `auto` \
               takes io_uring where the kernel allows it.",
        example: "auto",
    }

    "steer" STEER steer: One<Steering>, Restart {
        unit: "hash|cpu",
        default: Preset::Value("hash"),
        bounds: Bounds::Words("hash, cpu"),
        doc: "Which worker a client talks to: one chosen by a hash of its address, or the one \
               on the core that received the packet, for network cards with a receive queue for \
               each worker's core. With `cpu`, packets of a client that arrive on another core \
               later are handed over.",
        example: "hash",
    }

    "batch-wait-us" BATCH_WAIT batch_wait_us: One<u32>, Restart {
        unit: "MICROSECONDS",
        default: Preset::Number(100),
        bounds: Bounds::Numbers(0..=2000, ""),
        doc: "Longest time that a packet may be held for company: packets of one stream that \
               leave together save up to half of the work. None is held while a worker uses \
               less than half of its core, nor where it brings nothing, as with voice; 0: none \
               ever is.",
        example: "50",
    }

    "spin-us" SPIN spin_us: One<u32>, Restart {
        unit: "MICROSECONDS",
        default: Preset::Number(0),
        bounds: Bounds::Numbers(0..=1000, ""),
        doc: "How long a worker looks for packets before it sleeps, which saves the wake-up \
               and costs a core. For the lowest latency with `batch-wait-us` 0.",
        example: "50",
    }

    "busy-poll-us" BUSY_POLL busy_poll_us: One<u32>, Restart {
        unit: "MICROSECONDS",
        default: Preset::Number(0),
        bounds: Bounds::Numbers(0..=1000, ""),
        doc: "How long the kernel polls the network card's queue for a worker before it sleeps \
               (NAPI busy polling through io_uring, kernel 6.9, where the driver of the card \
               has it).",
        example: "50",
    }

    "metrics" METRICS metrics: Many<MetricsAddress>, Restart {
        unit: "[ADDR:]PORT",
        default: Preset::Words("none"),
        bounds: Bounds::Words("an address of this machine; port 1-65535"),
        doc: "Address on which a status page (`/`), `/metrics` (for Prometheus), `/live` and \
               `/ready` are served over HTTP. A port alone is on 127.0.0.1; 0.0.0.0 and `[::]` stand for every \
               address of that family at start. No client can name it as a peer.",
        example: "127.0.0.1:9641",
    }

    "control" CONTROL control: Maybe<ControlPath>, Restart {
        unit: "PATH|off",
        default: Preset::Words(
            "/run/uturn/control, or $XDG_RUNTIME_DIR/uturn/control where that cannot be made",
        ),
        bounds: Bounds::Words("off, or a path of 90 bytes at most, in a folder that exists"),
        doc: "Unix socket, open to the server's own user alone, on which `uturn status`, \
               `sessions`, `kill`, `reload` and others ask the running server. They look for it \
               where it is by default. The first server of a machine has that place; others \
               serve without a socket unless they name one.",
        example: "/run/uturn/control",
    }

    "usage-records" USAGE_RECORDS usage_records: Maybe<FilePath>, Restart {
        unit: "PATH",
        default: Preset::Words("none"),
        bounds: Bounds::Words("a file that can be appended to or made"),
        doc: "File that gets one JSON line for each allocation that has ended: who, where, \
               with whom, how long, how much. SIGHUP has it opened anew, after it was renamed.",
        example: "/var/log/uturn/usage.jsonl",
    }

    "usage-interval" USAGE_INTERVAL usage_interval: One<u32>, Restart {
        unit: "SECONDS",
        default: Preset::Number(0),
        bounds: Bounds::Numbers(0..=86_400, ", 0 for never"),
        doc: "How often each allocation that lives gets an interim record, so that a long call \
               is seen before it ends; needs `usage-records`.",
        example: "300",
    }

    "log" LOG log: One<LevelFilter>, Live {
        unit: "LEVEL",
        default: Preset::Value("info"),
        bounds: Bounds::Words("off, error, warn, info, debug, trace"),
        doc: "Least important level that is logged to standard error.",
        example: "warn",
    }

    "log-format" LOG_FORMAT log_format: One<LogFormat>, Restart {
        unit: "text|json",
        default: Preset::Value("text"),
        bounds: Bounds::Words("text, json"),
        doc: "Form of the log: lines to read, or one JSON object per line.",
        example: "json",
    }

    "core-dumps" CORE_DUMPS core_dumps: One<Switch>, Restart {
        unit: "on|off",
        default: Preset::Value("off"),
        bounds: Bounds::Words("on, off"),
        doc: "Whether a crash may leave a core dump, for whoever looks for its cause. It holds \
               every key and password that the server knows; off also keeps other programs of \
               the server's user from looking into its memory.",
        example: "on",
    }
}

#[cfg(test)]
mod tests {
    use super::KEYS;

    #[test]
    fn every_key_is_documented_once() {
        for key in KEYS {
            assert!(key.doc.ends_with('.'), "{}: the doc is a sentence", key.name);
            let (default, bounds) = (key.default_words(), key.bounds_words());
            for words in [key.name, key.unit, &default, &bounds, key.example] {
                assert!(!words.is_empty(), "{}: something is left out", key.name);
            }
            assert_eq!(KEYS.iter().filter(|other| other.name == key.name).count(), 1);
        }
    }
}
