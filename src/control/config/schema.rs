//! The one list of everything that can be configured.
//!
//! A key is written down here once: its name, unit, default, bounds and what it does. The command
//! line, the file and the table in `docs/configuration.md` take those words from here, and tests
//! hold the three to this list, so that no option can be undocumented or silently ignored.
//!
//! Law: no default and no bound of an option stands anywhere else in the program.

mod data_path;
mod usage;

pub use super::key::{Key, NumberKey};
pub use data_path::{BATCH_WAIT, BUSY_POLL, IO, SPIN, STEER};
pub use usage::{USAGE_INTERVAL, USAGE_RECORDS};

const ONE: Key =
    Key { name: "", unit: "", default: "", bounds: "", doc: "", example: "", is_list: false };
const LIST: Key = Key { is_list: true, ..ONE };

/// Addresses the STUN port is opened on.
pub const LISTEN: Key = Key {
    name: "listen",
    unit: "ADDR:PORT",
    default: "every address, port 3478",
    bounds: "an address of this machine; port 1-65535",
    doc: "Address that clients talk to. 0.0.0.0 and [::] stand for every address of that family at \
          start, each with a socket of its own, so that an answer leaves from the address that was \
          asked.",
    example: "127.0.0.1:3478",
    ..LIST
};

/// Addresses the relay ports are opened on.
pub const RELAY_IP: Key = Key {
    name: "relay-ip",
    unit: "IP",
    default: "one of each family, from the listening addresses or the default route",
    bounds: "an address of this machine",
    doc: "Address that relay ports are opened on.",
    example: "127.0.0.1",
    ..LIST
};

/// What clients are told instead of a relay address behind 1:1 NAT.
pub const EXTERNAL_IP: Key = Key {
    name: "external-ip",
    unit: "PUBLIC[/PRIVATE]",
    default: "none",
    bounds: "one per relay address; both of one family",
    doc: "Behind 1:1 NAT: the public address that clients are told in place of the relay address \
          PRIVATE (or the only relay address of that family).",
    example: "198.51.100.7/127.0.0.1",
    ..LIST
};

/// The ports that relay sockets are bound to.
pub const RELAY_PORTS: Key = Key {
    name: "relay-ports",
    unit: "LOW-HIGH",
    default: "49152-65535",
    bounds: "1024-65535",
    doc: "Ports that are handed out as relayed addresses, both ends included.",
    example: "49152-65535",
    ..ONE
};

/// The protection space of the long-term credentials.
pub const REALM: Key = Key {
    name: "realm",
    unit: "NAME",
    default: "uturn",
    bounds: "1-127 characters",
    doc: "Realm of the long-term credentials.",
    example: "example.org",
    ..ONE
};

/// Static users.
pub const USER: Key = Key {
    name: "user",
    unit: "NAME:PASSWORD",
    default: "none",
    bounds: "name 1-508 bytes without ':', password 1-508 bytes; each name once",
    doc: "User with a fixed password.",
    example: "alice:wonderland",
    ..LIST
};

/// A file of static users.
pub const USERS_FILE: Key = Key {
    name: "users-file",
    unit: "PATH",
    default: "none",
    bounds: "a file that can be read, 64 MiB at most; each name once, `user` included",
    doc: "File with a user in each line, `name:password` or `name:0x` and the 32 digits of the \
          long-term key, MD5 of `name:realm:password`; `#` begins a comment line. Read again on \
          reload.",
    example: "/dev/null",
    ..ONE
};

/// Shared secrets of time-limited credentials.
pub const SECRET: Key = Key {
    name: "secret",
    unit: "SECRET",
    default: "generated for this run if there is no user either",
    bounds: "8-512 bytes; 16 secrets at most",
    doc: "Secret shared with the service that hands out time-limited credentials (`uturn \
          credentials`). Several at once let you rotate: each of them is accepted.",
    example: "a-long-shared-secret",
    ..LIST
};

/// Number of workers.
pub const WORKERS: NumberKey = NumberKey {
    key: Key {
        name: "workers",
        unit: "N",
        default: "one for each CPU",
        bounds: "1-128",
        doc: "Worker threads; each is pinned to a core and owns its share of the clients. By default \
              as many as there are cores to run on, fewer where the CPU quota of a container or the \
              number of relay ports is smaller.",
        example: "2",
        ..ONE
    },
    min: 1,
    max: 128,
    default: 1,
};

/// Peers that are opened although the built-in list denies them.
pub const ALLOW_PEERS: Key = Key {
    name: "allow-peers",
    unit: "CIDR",
    default: "none",
    bounds: "an IP network",
    doc: "Peers that may be reached although the built-in list (private, loopback, link-local and \
          other special networks, and this machine's own addresses) denies them.",
    example: "127.0.0.0/8",
    ..LIST
};

/// Peers that are never reached.
pub const DENY_PEERS: Key = Key {
    name: "deny-peers",
    unit: "CIDR",
    default: "none",
    bounds: "an IP network",
    doc: "Peers that may never be reached; wins over `allow-peers`.",
    example: "203.0.113.0/24",
    ..LIST
};

/// Allocations of one user.
pub const USER_QUOTA: NumberKey = NumberKey {
    key: Key {
        name: "user-quota",
        unit: "N",
        default: "1000",
        bounds: "0-10000000, 0 for no quota",
        doc: "Allocations that one user may hold at a time. The user of a time-limited name is its id; \
              all time-limited names without an id are one user.",
        example: "100",
        ..ONE
    },
    min: 0,
    max: 10_000_000,
    default: 1000,
};

/// Allocations of everybody.
pub const TOTAL_QUOTA: NumberKey = NumberKey {
    key: Key {
        name: "total-quota",
        unit: "N",
        default: "0",
        bounds: "0-10000000, 0 for as many as there are relay ports",
        doc: "Allocations that the whole server holds at a time.",
        example: "5000",
        ..ONE
    },
    min: 0,
    max: 10_000_000,
    default: 0,
};

/// Permissions of one allocation.
pub const PERMISSION_QUOTA: NumberKey = NumberKey {
    key: Key {
        name: "permission-quota",
        unit: "N",
        default: "128",
        bounds: "1-4096",
        doc: "Permissions (peer addresses) that one allocation may hold at a time.",
        example: "64",
        ..ONE
    },
    min: 1,
    max: 4096,
    default: 128,
};

/// Channels of one allocation.
pub const CHANNEL_QUOTA: NumberKey = NumberKey {
    key: Key {
        name: "channel-quota",
        unit: "N",
        default: "128",
        bounds: "1-4096",
        doc: "Channels that one allocation may hold at a time.",
        example: "64",
        ..ONE
    },
    min: 1,
    max: 4096,
    default: 128,
};

/// Bytes a second of one allocation.
pub const MAX_BPS: NumberKey = NumberKey {
    key: Key {
        name: "max-bps",
        unit: "BYTES",
        default: "0",
        bounds: "0-4000000000, 0 for no limit",
        doc: "Payload bytes a second (bytes, not bits) that one allocation may relay in each \
              direction; after a silence, a second's worth at once. What is above is dropped.",
        example: "1000000",
        ..ONE
    },
    min: 0,
    max: 4_000_000_000,
    default: 0,
};

/// Packets a second of one allocation.
pub const MAX_PPS: NumberKey = NumberKey {
    key: Key {
        name: "max-pps",
        unit: "PACKETS",
        default: "0",
        bounds: "0-100000000, 0 for no limit",
        doc: "Packets a second that one allocation may relay in each direction; after a silence, a \
              second's worth at once. What is above is dropped.",
        example: "2000",
        ..ONE
    },
    min: 0,
    max: 100_000_000,
    default: 0,
};

/// Bytes a second for the strangers of one network.
pub const STRANGER_REPLY_BYTES: NumberKey = NumberKey {
    key: Key {
        name: "stranger-reply-bytes",
        unit: "BYTES",
        default: "1000000",
        bounds: "0-1000000000, 0 for no limit",
        doc: "Bytes a second (bytes, not bits; headers not counted) of answers to requests that \
              prove nothing, which all workers together send to one network (an IPv4 /24, an IPv6 \
              /56), because their sources may be forged; after a silence, two seconds' worth at \
              once. Three quarters are for 401 and 438, the rest for Binding and for other errors. \
              Whoever has an allocation or brings back a nonce is always answered. For a benchmark \
              of Binding requests from one network: 0.",
        example: "250000",
        ..ONE
    },
    min: 0,
    max: 1_000_000_000,
    default: 1_000_000,
};

/// Longest lifetime that is granted.
pub const MAX_LIFETIME: NumberKey = NumberKey {
    key: Key {
        name: "max-lifetime",
        unit: "SECONDS",
        default: "3600",
        bounds: "1-86400",
        doc: "Longest lifetime that an allocation is granted; a client that asks for more gets this.",
        example: "1800",
        ..ONE
    },
    min: 1,
    max: 86_400,
    default: 3600,
};

/// Whether answers carry SOFTWARE.
pub const SOFTWARE: Key = Key {
    name: "software",
    unit: "on|off",
    default: "on",
    bounds: "on, off",
    doc: "Whether authenticated Allocate and Refresh answers name the software (never its version).",
    example: "off",
    ..ONE
};

/// Which channel numbers may be bound.
pub const CHANNEL_NUMBERS: Key = Key {
    name: "channel-numbers",
    unit: "rfc8656|rfc5766",
    default: "rfc8656",
    bounds: "rfc8656, rfc5766",
    doc: "Channel numbers clients may bind: 0x4000-0x4FFF of RFC 8656, or 0x4000-0x7FFF of its \
          predecessor, which older clients pick from (Debian's turnutils_uclient is one).",
    example: "rfc5766",
    ..ONE
};

/// What a second Allocate on a live five-tuple does.
pub const ON_REALLOCATE: Key = Key {
    name: "on-reallocate",
    unit: "refuse|replace",
    default: "refuse",
    bounds: "refuse, replace",
    doc: "What a new Allocate of the same user on a five-tuple with a live allocation does: `refuse` \
          answers 437 as the RFC has it, `replace` ends the old one, so that a client that \
          restarted need not wait until its allocation has expired.",
    example: "replace",
    ..ONE
};

/// Where clients are sent while draining.
pub const ALTERNATE_SERVER: Key = Key {
    name: "alternate-server",
    unit: "ADDR:PORT",
    default: "none",
    bounds: "one of each family; none of `listen`",
    doc: "Server that new clients are sent to while this one drains (300 Try Alternate). Clients of a \
          family without one are told 508.",
    example: "198.51.100.2:3478",
    ..LIST
};

/// How long a drain may take.
pub const DRAIN_DEADLINE: NumberKey = NumberKey {
    key: Key {
        name: "drain-deadline",
        unit: "SECONDS",
        default: "0",
        bounds: "0-604800, 0 for none",
        doc: "How long a drain waits for the last allocation; what is left then is ended.",
        example: "3600",
        ..ONE
    },
    min: 0,
    max: 604_800,
    default: 0,
};

/// Addresses that numbers are shown on.
pub const METRICS: Key = Key {
    name: "metrics",
    unit: "[ADDR:]PORT",
    default: "none",
    bounds: "an address of this machine; port 1-65535",
    doc: "Address on which `/metrics` (for Prometheus), `/live` and `/ready` are served over HTTP. A \
          port alone is on 127.0.0.1; 0.0.0.0 and [::] stand for every address of that family at \
          start. No client can name it as a peer.",
    example: "127.0.0.1:9641",
    ..LIST
};

/// The control socket.
pub const CONTROL: Key = Key {
    name: "control",
    unit: "PATH",
    default: "none",
    bounds: "a path of 90 bytes at most, in a folder that exists",
    doc: "Unix socket, open to the server's own user alone, on which `uturn status`, `sessions`, \
          `kill`, `reload` and others ask the running server. They look for it at \
          /run/uturn/control, then at $XDG_RUNTIME_DIR/uturn.control.",
    example: "/run/uturn/control",
    ..ONE
};

/// How much is logged.
pub const LOG: Key = Key {
    name: "log",
    unit: "LEVEL",
    default: "info",
    bounds: "off, error, warn, info, debug, trace",
    doc: "Least important level that is logged to standard error.",
    example: "warn",
    ..ONE
};

/// How log lines look.
pub const LOG_FORMAT: Key = Key {
    name: "log-format",
    unit: "text|json",
    default: "text",
    bounds: "text, json",
    doc: "Form of the log: lines to read, or one JSON object per line.",
    example: "json",
    ..ONE
};

/// Whether a crash may leave a core dump.
pub const CORE_DUMPS: Key = Key {
    name: "core-dumps",
    unit: "on|off",
    default: "off",
    bounds: "on, off",
    doc: "Whether a crash may leave a core dump, for whoever looks for its cause. It holds every key and \
          password that the server knows; off also keeps other programs of the server's user from \
          looking into its memory.",
    example: "on",
    ..ONE
};

/// Every key, in the order of the options table.
pub const KEYS: &[&Key] = &[
    &LISTEN,
    &RELAY_IP,
    &EXTERNAL_IP,
    &RELAY_PORTS,
    &REALM,
    &USER,
    &USERS_FILE,
    &SECRET,
    &WORKERS.key,
    &ALLOW_PEERS,
    &DENY_PEERS,
    &USER_QUOTA.key,
    &TOTAL_QUOTA.key,
    &PERMISSION_QUOTA.key,
    &CHANNEL_QUOTA.key,
    &MAX_BPS.key,
    &MAX_PPS.key,
    &STRANGER_REPLY_BYTES.key,
    &MAX_LIFETIME.key,
    &SOFTWARE,
    &CHANNEL_NUMBERS,
    &ON_REALLOCATE,
    &ALTERNATE_SERVER,
    &DRAIN_DEADLINE.key,
    &IO,
    &STEER,
    &BATCH_WAIT.key,
    &SPIN.key,
    &BUSY_POLL.key,
    &METRICS,
    &USAGE_RECORDS,
    &USAGE_INTERVAL.key,
    &CONTROL,
    &LOG,
    &LOG_FORMAT,
    &CORE_DUMPS,
];

#[cfg(test)]
mod tests {
    use super::KEYS;

    #[test]
    fn every_key_is_documented_once() {
        for key in KEYS {
            assert!(key.doc.ends_with('.'), "{}: the doc is a sentence", key.name);
            for words in [key.name, key.unit, key.default, key.bounds, key.example] {
                assert!(!words.is_empty(), "{}: something is left out", key.name);
            }
            assert_eq!(KEYS.iter().filter(|other| other.name == key.name).count(), 1);
        }
    }

    #[test]
    fn the_words_for_numbers_repeat_the_numbers() {
        let numbers = [
            &super::DRAIN_DEADLINE,
            &super::USER_QUOTA,
            &super::TOTAL_QUOTA,
            &super::PERMISSION_QUOTA,
            &super::CHANNEL_QUOTA,
            &super::MAX_BPS,
            &super::MAX_PPS,
            &super::STRANGER_REPLY_BYTES,
            &super::USAGE_INTERVAL,
            &super::MAX_LIFETIME,
            &super::BATCH_WAIT,
            &super::SPIN,
            &super::BUSY_POLL,
        ];
        for number in numbers {
            assert_eq!(number.key.default, number.default.to_string(), "{}", number.key.name);
            let bounds = format!("{}-{}", number.min, number.max);
            assert!(number.key.bounds.starts_with(&bounds), "{}", number.key.name);
        }
    }
}
