//! Every option of coturn, and what becomes of it.
//!
//! The list has whatever coturn knew from 4.5 to 4.17; a test asks the installed server for its
//! options and finds each of them here.

/// What becomes of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It has a counterpart.
    Carried(CoturnSetting),
    /// It has none and needs none; the words say why.
    NotNeeded(&'static str),
    /// It has none; the words say what the reader loses.
    Lost(&'static str),
}

/// What is carried over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CoturnSetting {
    Certificate,
    NoTcp,
    NoTcpRelay,
    NoTls,
    PrivateKey,
    TlsListeningPort,
    AllowedPeer,
    AllowLoopbackPeers,
    AuxServer,
    BpsCapacity,
    DefaultFamily,
    DeniedPeer,
    ExternalIp,
    ListeningIp,
    ListeningPort,
    LogLevel,
    LongTerm,
    MaxBps,
    MaxLifetime,
    MaxPort,
    MinPort,
    NoAuth,
    NoMulticastPeers,
    OldChannelNumbers,
    Prometheus,
    PrometheusAddress,
    PrometheusPort,
    ProxyPort,
    Realm,
    RelayIp,
    RelayThreads,
    Secret,
    Software,
    TotalQuota,
    UseSecret,
    User,
    UserQuota,
    VeryVerbose,
}

/// How coturn reads what stands behind an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// It has a value.
    Value,
    /// It is on or off, and of several lines the last one holds.
    Flag,
    /// It is on once a line says so: no line switches it off again.
    Latch,
    /// It is on once a line names it, whatever its value is.
    Mark,
}

/// An option of coturn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// Its name in the file.
    pub(super) name: &'static str,
    /// How what stands behind it is read.
    pub(super) form: Form,
    /// What becomes of it; of a flag, when it is on.
    pub(super) meaning: Meaning,
}

/// Finds an option by its name in the file.
pub(super) fn known(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.name == name)
}

const fn carried(name: &'static str, setting: CoturnSetting) -> Known {
    Known { name, form: Form::Value, meaning: Meaning::Carried(setting) }
}

const fn not_needed(name: &'static str, why: &'static str) -> Known {
    Known { name, form: Form::Value, meaning: Meaning::NotNeeded(why) }
}

const fn lost(name: &'static str, why: &'static str) -> Known {
    Known { name, form: Form::Value, meaning: Meaning::Lost(why) }
}

const fn flag(known: Known) -> Known {
    Known { form: Form::Flag, ..known }
}

const fn latch(known: Known) -> Known {
    Known { form: Form::Latch, ..known }
}

const fn mark(known: Known) -> Known {
    Known { form: Form::Mark, ..known }
}

const TLS: &str = "ciphers and groups are not configurable (TLS 1.2 and 1.3, modern suites)";
const CLEAR_KEY: &str = "the key has to be a file without a password";
const NO_TLS: &str = "TLS is 1.2 or 1.3";
const NO_DTLS: &str = "there is no DTLS";
const NO_WEB: &str = "nothing but STUN and TURN is answered";
const DATABASE: &str = "there is no database: write each user under `user`, each secret under \
                        `secret`";
const NO_DATABASE: &str = "there is no database whose answers could change";
const DISCOVERY: &str = "there is no NAT behaviour discovery (RFC 5780)";
const SMALL_ANSWERS: &str = "Binding answers are always as small as they can be";
const LOG: &str = "the log goes to standard error, where systemd's journal takes it up";
const SERVICE: &str = "systemd starts the process, as a user of its own";
const CONSOLE: &str =
    "there is no telnet console: `uturn status`, `sessions` and `kill` ask the server";
const WEB: &str = "there is no web form; `metrics` shows numbers";
const DEVICE: &str = "addresses decide, not interfaces: write listen and relay-ip";
const ORIGIN: &str = "ORIGIN is not looked at, and there is one realm";
const OAUTH: &str = "third-party authorization (RFC 7635) is not supported: use `secret`";
const LIFETIME: &str = "the time is that of RFC 8656, which clients count on";
const EXPORTER_TLS: &str =
    "metrics are served without TLS: put a proxy in front, or scrape locally";
const DROPS: &str = "whatever is no STUN and no ChannelData is dropped, and counted in `metrics`";
const BATCHES: &str =
    "packets are received and sent in batches and trains as far as the kernel can";
const TALLIES: &str = "how packets are batched is counted in `metrics`, not logged";
const RELAY_PORT: &str = "each allocation has a relay port of its own";
const ELSEWHERE: &str =
    "clients are sent to another server (`alternate-server`) only while this one drains";

/// Every option, in the order of coturn's own help.
pub(super) const KNOWN: &[Known] = &[
    lost("listening-device", DEVICE),
    carried("listening-port", CoturnSetting::ListeningPort),
    carried("tls-listening-port", CoturnSetting::TlsListeningPort),
    not_needed("alt-listening-port", DISCOVERY),
    not_needed("alt-tls-listening-port", DISCOVERY),
    carried("tcp-proxy-port", CoturnSetting::ProxyPort),
    carried("listening-ip", CoturnSetting::ListeningIp),
    carried("aux-server", CoturnSetting::AuxServer),
    flag(not_needed("udp-self-balance", "the kernel spreads clients over the workers")),
    lost("relay-device", DEVICE),
    carried("relay-ip", CoturnSetting::RelayIp),
    carried("external-ip", CoturnSetting::ExternalIp),
    flag(carried("allow-loopback-peers", CoturnSetting::AllowLoopbackPeers)),
    flag(not_needed("no-loopback-peers", "loopback is denied anyway")),
    flag(carried("no-multicast-peers", CoturnSetting::NoMulticastPeers)),
    carried("relay-threads", CoturnSetting::RelayThreads),
    carried("min-port", CoturnSetting::MinPort),
    carried("max-port", CoturnSetting::MaxPort),
    flag(not_needed("verbose", "allocations are logged at the level info, the default")),
    latch(carried("Verbose", CoturnSetting::VeryVerbose)),
    flag(not_needed("daemon", SERVICE)),
    flag(carried("no-software-attribute", CoturnSetting::Software)),
    flag(carried("prod", CoturnSetting::Software)),
    flag(carried("software-attribute", CoturnSetting::Software)),
    flag(not_needed("fingerprint", "a request with FINGERPRINT gets an answer with one")),
    flag(carried("lt-cred-mech", CoturnSetting::LongTerm)),
    flag(carried("no-auth", CoturnSetting::NoAuth)),
    carried("user", CoturnSetting::User),
    carried("realm", CoturnSetting::Realm),
    flag(lost("check-origin-consistency", ORIGIN)),
    carried("user-quota", CoturnSetting::UserQuota),
    carried("total-quota", CoturnSetting::TotalQuota),
    carried("max-bps", CoturnSetting::MaxBps),
    carried("bps-capacity", CoturnSetting::BpsCapacity),
    lost("userdb", DATABASE),
    lost("db", DATABASE),
    lost("psql-userdb", DATABASE),
    lost("sql-userdb", DATABASE),
    lost("mysql-userdb", DATABASE),
    not_needed("secret-key-file", NO_DATABASE),
    lost("mongo-userdb", DATABASE),
    lost("redis-userdb", DATABASE),
    lost(
        "redis-statsdb",
        "nothing is written to Redis: numbers are in `metrics`, sessions in the log",
    ),
    mark(carried("use-auth-secret", CoturnSetting::UseSecret)),
    carried("static-auth-secret", CoturnSetting::Secret),
    mark(not_needed("no-auth-pings", NO_DATABASE)),
    mark(not_needed("no-dynamic-ip-list", NO_DATABASE)),
    mark(not_needed("no-dynamic-realms", NO_DATABASE)),
    lost("server-name", OAUTH),
    flag(lost("oauth", OAUTH)),
    carried("cert", CoturnSetting::Certificate),
    carried("pkey", CoturnSetting::PrivateKey),
    lost("pkey-pwd", CLEAR_KEY),
    lost("cipher-list", TLS),
    lost("CA-file", "client certificates are never asked for"),
    lost("ec-curve-name", TLS),
    latch(lost("dh566", TLS)),
    latch(lost("dh1066", TLS)),
    latch(lost("dh2066", TLS)),
    lost("dh-file", TLS),
    flag(lost("raw-public-keys", TLS)),
    flag(not_needed("no-http", WEB)),
    not_needed("secret-ts-exp-time", "coturn has not heeded it for long"),
    flag(not_needed("no-sslv2", NO_TLS)),
    flag(not_needed("no-sslv3", NO_TLS)),
    flag(not_needed("no-tlsv1", NO_TLS)),
    flag(not_needed("no-tlsv1_1", NO_TLS)),
    flag(lost("no-tlsv1_2", "TLS 1.2 cannot be switched off")),
    flag(lost("tlsv1", NO_TLS)),
    flag(lost("tlsv1_1", NO_TLS)),
    flag(lost("dtls", NO_DTLS)),
    flag(lost("no-udp", "UDP cannot be switched off")),
    flag(carried("no-tcp", CoturnSetting::NoTcp)),
    flag(carried("no-tls", CoturnSetting::NoTls)),
    flag(not_needed("no-dtls", NO_DTLS)),
    flag(lost("no-udp-relay", "relaying over UDP is what this server does")),
    flag(carried("no-tcp-relay", CoturnSetting::NoTcpRelay)),
    not_needed("log-file", LOG),
    flag(not_needed("no-stdout-log", LOG)),
    flag(not_needed("syslog", LOG)),
    not_needed("syslog-facility", LOG),
    carried("log-min-level", CoturnSetting::LogLevel),
    flag(not_needed("simple-log", LOG)),
    flag(not_needed("new-log-timestamp", "every line of the log has the time in ISO 8601")),
    lost("new-log-timestamp-format", "every line of the log has the time in ISO 8601"),
    flag(lost("log-binding", "Binding requests are counted in `metrics`, not logged")),
    not_needed("stale-nonce", "nonces always expire, and clients get a new one with 438"),
    carried("max-allocate-lifetime", CoturnSetting::MaxLifetime),
    not_needed("channel-lifetime", LIFETIME),
    not_needed("permission-lifetime", LIFETIME),
    flag(lost(
        "stun-only",
        "TURN cannot be switched off; without credentials it allocates nothing",
    )),
    flag(lost("no-stun", "Binding requests are always answered")),
    lost("alternate-server", ELSEWHERE),
    lost("tls-alternate-server", ELSEWHERE),
    lost("tcp-alternate-server", ELSEWHERE),
    lost("udp-alternate-server", ELSEWHERE),
    lost(
        "drain-min-allocations",
        "a drain ends with the last allocation, or at its deadline: `drain-deadline`",
    ),
    flag(not_needed("drop-invalid-packets", DROPS)),
    flag(lost("drop-invalid-packets-log", DROPS)),
    flag(not_needed("udp-recvmmsg", BATCHES)),
    flag(not_needed("udp-gso", BATCHES)),
    flag(lost("udp-recvmmsg-log", TALLIES)),
    flag(lost("udp-sendmmsg-log", TALLIES)),
    mark(lost("multiplex-peer", RELAY_PORT)),
    lost("multiplex-peer-port", RELAY_PORT),
    lost("multiplex-peer-max-peers", RELAY_PORT),
    flag(lost(
        "include-reason-string",
        "errors have the RFC's reason phrases, challenges have none",
    )),
    flag(not_needed(
        "unauthorized-ratelimit",
        "what strangers are answered is always limited: `stranger-reply-bytes`",
    )),
    lost(
        "unauthorized-ratelimit-rps",
        "the limit counts bytes of each network: `stranger-reply-bytes`",
    ),
    flag(not_needed("stateless-nonce", "the server keeps nothing of a nonce")),
    lost("stateless-nonce-secret", "a nonce holds at the server that gave it"),
    lost("rest-api-separator", "the username of a time-limited credential is EXPIRY:ID"),
    not_needed("max-allocate-timeout", "nothing is kept of a client before it has an allocation"),
    carried("allowed-peer-ip", CoturnSetting::AllowedPeer),
    carried("denied-peer-ip", CoturnSetting::DeniedPeer),
    not_needed("pidfile", SERVICE),
    lost("acme-redirect", NO_WEB),
    flag(lost("respond-http-unsupported", NO_WEB)),
    flag(lost(
        "secure-stun",
        "Binding requests are answered without credentials, so many a second",
    )),
    not_needed("proc-user", SERVICE),
    not_needed("proc-group", SERVICE),
    flag(lost("mobility", "mobility (RFC 8016) is not supported: clients allocate anew")),
    latch(lost(
        "keep-address-family",
        "without a request for IPv6 an allocation is IPv4 (RFC 8656)",
    )),
    carried("allocation-default-address-family", CoturnSetting::DefaultFamily),
    flag(not_needed("no-cli", CONSOLE)),
    flag(lost("cli", CONSOLE)),
    lost("cli-ip", CONSOLE),
    lost("cli-port", CONSOLE),
    lost("cli-password", CONSOLE),
    lost("cli-max-output-sessions", CONSOLE),
    flag(lost("web-admin", WEB)),
    lost("web-admin-ip", WEB),
    lost("web-admin-port", WEB),
    flag(lost("web-admin-listen-on-workers", WEB)),
    flag(lost("server-relay", "a packet of a peer needs a permission, always")),
    not_needed("ne", "there is one engine; `io` chooses what moves the packets"),
    flag(not_needed("no-rfc5780", DISCOVERY)),
    mark(lost("rfc5780", DISCOVERY)),
    flag(not_needed("no-stun-backward-compatibility", SMALL_ANSWERS)),
    flag(lost("stun-backward-compatibility", "clients of RFC 3489 get no MAPPED-ADDRESS")),
    flag(not_needed("response-origin-only-with-rfc5780", SMALL_ANSWERS)),
    flag(lost(
        "rfc3489-compatibility",
        "clients of RFC 3489, which send no magic cookie, get no answer",
    )),
    flag(carried("rfc5766-channel-numbers", CoturnSetting::OldChannelNumbers)),
    mark(carried("prometheus", CoturnSetting::Prometheus)),
    flag(lost("prometheus-tls", EXPORTER_TLS)),
    lost("prometheus-cert", EXPORTER_TLS),
    lost("prometheus-key", EXPORTER_TLS),
    carried("prometheus-port", CoturnSetting::PrometheusPort),
    carried("prometheus-address", CoturnSetting::PrometheusAddress),
    lost("prometheus-path", "the path is /metrics"),
    mark(lost(
        "prometheus-username-labels",
        "no label is a user's name, of which strangers could make any number",
    )),
    lost("cpus", "each worker has a core of its own: write `workers`"),
    lost("sock-buf-size", "socket buffers have a fixed size: see tuning/README.md"),
    lost("version", "it has coturn print its version"),
];

#[cfg(test)]
mod tests {
    use super::{KNOWN, Meaning};

    #[test]
    fn every_option_stands_here_once_and_says_why() {
        for known in KNOWN {
            let same = KNOWN.iter().filter(|other| other.name == known.name);
            assert_eq!(same.count(), 1, "{}", known.name);
            let words = match known.meaning {
                Meaning::Carried(_) => continue,
                Meaning::NotNeeded(words) | Meaning::Lost(words) => words,
            };
            assert!(!words.is_empty() && !words.ends_with('.'), "{}: {words}", known.name);
        }
    }
}
