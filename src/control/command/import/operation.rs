//! How much, how many and how loud: limits, workers, metrics and the log.

use super::conf::Word;
use super::draft::Draft;
use super::notes::{Fate, Notes};
use super::options::CoturnSetting;
use super::said::{self, EVERYWHERE, Said, at, counted, is_ip, number, read};
use crate::control::config::MetricsAddress;
use crate::control::config::schema::{self, Key};

const PROMETHEUS_PORT: u16 = 9641;
/// The one flag of several that switches SOFTWARE on.
const SOFTWARE_ON: &str = "software-attribute";

pub(super) fn carry(said: &Said<'_>, draft: &mut Draft, notes: &mut Notes) {
    workers(said, draft, notes);
    for (about, key) in [
        (CoturnSetting::UserQuota, &schema::USER_QUOTA),
        (CoturnSetting::TotalQuota, &schema::TOTAL_QUOTA),
        (CoturnSetting::MaxBps, &schema::MAX_BPS),
        (CoturnSetting::MaxLifetime, &schema::MAX_LIFETIME),
    ] {
        limit(said, about, key, draft, notes);
    }
    if !said.has(CoturnSetting::UserQuota) {
        let default = schema::USER_QUOTA.default_words();
        notes.differs("user-quota", format!("coturn has none by default, uturn {default}"));
    }
    bps_capacity(said, notes);
    software(said, draft, notes);
    metrics(said, draft, notes);
    log(said, draft, notes);
    channel_numbers(said, draft, notes);
    default_family(said, notes);
}

/// Zero threads are coturn's word for one thread that does everything.
fn workers(said: &Said<'_>, draft: &mut Draft, notes: &mut Notes) {
    let Some(word) = said.last(CoturnSetting::RelayThreads, notes) else { return };
    let Some(threads) = counted(word, notes) else { return };
    draft.number(&schema::WORKERS, schema::WORKERS.clamp(threads));
}

fn limit(said: &Said<'_>, about: CoturnSetting, key: &Key, draft: &mut Draft, notes: &mut Notes) {
    let word = said.last(about, notes);
    if let Some(value) = word.and_then(|word| number(key, word, notes)) {
        draft.number(key, value);
    }
}

/// Nothing is none to coturn, and there is none here.
fn bps_capacity(said: &Said<'_>, notes: &mut Notes) {
    let Some(word) = said.last(CoturnSetting::BpsCapacity, notes) else { return };
    let (fate, why) = match word.number() {
        Some((0, _)) => (Fate::NotNeeded, "0 is no limit, and there is none"),
        _ => (
            Fate::Lost,
            "bandwidth of the whole server is not limited, that of one allocation by max-bps",
        ),
    };
    notes.add(word.line, fate, &word.name, why);
}

/// coturn's levels of the log, and ours.
const LEVELS: [(&str, &str); 4] =
    [("debug", "debug"), ("info", "info"), ("warning", "warn"), ("error", "error")];

/// What is loudest holds.
fn log(said: &Said<'_>, draft: &mut Draft, notes: &mut Notes) {
    let verbose = said.last(CoturnSetting::VeryVerbose, notes);
    let Some(word) = said.last(CoturnSetting::LogLevel, notes) else {
        return verbose.map_or((), |_| draft.word(&schema::LOG, "debug"));
    };
    let level = LEVELS.iter().find(|(theirs, _)| word.value.eq_ignore_ascii_case(theirs));
    match (verbose, level) {
        (Some(verbose), _) => {
            let why = format!("line {} asks for everything", verbose.line);
            notes.add(word.line, Fate::NotNeeded, &word.name, why);
            draft.word(&schema::LOG, "debug");
        }
        (None, Some((_, ours))) => draft.word(&schema::LOG, ours),
        (None, None) => {
            let why = "coturn takes debug, info, warning and error";
            notes.add(word.line, Fate::Lost, &word.name, why);
        }
    }
}

fn channel_numbers(said: &Said<'_>, draft: &mut Draft, notes: &mut Notes) {
    if said.flag(CoturnSetting::OldChannelNumbers, notes).is_some() {
        draft.word(&schema::CHANNEL_NUMBERS, "rfc5766");
        return;
    }
    let why = "older versions of coturn accept 0x4000-0x7FFF, uturn 0x4000-0x4FFF (RFC 8656): set \
               channel-numbers = \"rfc5766\" for clients that bind higher ones";
    notes.differs("channel-numbers", why);
}

/// coturn has two flags that say the opposite of each other, of which the later one holds.
fn software(said: &Said<'_>, draft: &mut Draft, notes: &mut Notes) {
    let Some(word) = said.last(CoturnSetting::Software, notes) else { return };
    let is_named = (word.name == SOFTWARE_ON) == (word.is_on() == Some(true));
    draft.word(&schema::SOFTWARE, if is_named { "on" } else { "off" });
}

/// Where a client names no family, ours is that of the RFC.
fn default_family(said: &Said<'_>, notes: &mut Notes) {
    let Some(word) = said.last(CoturnSetting::DefaultFamily, notes) else { return };
    let fate = if word.value == "ipv4" { Fate::NotNeeded } else { Fate::Lost };
    let why = "without a request for IPv6 an allocation is IPv4 (RFC 8656)";
    notes.add(word.line, fate, &word.name, why);
}

/// coturn's exporter is on every address unless it is told one.
fn metrics(said: &Said<'_>, draft: &mut Draft, notes: &mut Notes) {
    let port = said.last(CoturnSetting::PrometheusPort, notes);
    let address = said.last(CoturnSetting::PrometheusAddress, notes);
    let Some(flag) = said.last(CoturnSetting::Prometheus, notes) else {
        for word in port.into_iter().chain(address) {
            notes.add(word.line, Fate::NotNeeded, &word.name, "prometheus is not switched on");
        }
        return;
    };
    let port = port.and_then(|word| said::port(word, 1, notes)).unwrap_or(PROMETHEUS_PORT);
    let ips = match address {
        Some(word) if !is_ip(word, notes) => Vec::new(),
        Some(word) => vec![word.value.as_str()],
        None => EVERYWHERE.to_vec(),
    };
    let word = address.unwrap_or(flag);
    let listen: Vec<MetricsAddress> = ips
        .iter()
        .filter_map(|ip| read(&Word { value: at(ip, port), ..word.clone() }, notes))
        .collect();
    draft.list(&schema::METRICS, listen.iter().map(|address| address.0));
    let why = "the metrics have other names: see docs/metrics.md";
    notes.add(flag.line, Fate::Differs, &flag.name, why);
    if address.is_none() {
        let why = "everybody who reaches this machine can read them, as with coturn: set metrics to \
                   127.0.0.1, or close the port";
        notes.add(flag.line, Fate::Differs, &flag.name, why);
    }
}

#[cfg(test)]
mod tests {
    use crate::control::command::import::import_coturn;

    #[test]
    fn metrics_that_everybody_may_read_are_noted() {
        let (toml, notes) = import_coturn(b"prometheus\n");
        assert!(toml.contains("\"0.0.0.0:9641\"") && toml.contains("\"[::]:9641\""), "{toml}");
        assert!(notes.contains("differs: prometheus: everybody who reaches"), "{notes}");
        let (_, notes) = import_coturn(b"prometheus\nprometheus-address=127.0.0.1\n");
        assert!(!notes.contains("everybody"), "{notes}");
    }
}
