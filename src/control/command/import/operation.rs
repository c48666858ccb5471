//! How much, how many and how loud: limits, workers, metrics and the log.

use super::conf::Word;
use super::draft::Draft;
use super::notes::{Fate, Notes};
use super::options::CoturnSetting;
use super::said::{Said, counted, number, read};
use crate::control::config::MetricsAddress;
use crate::control::config::schema::{self, Key};

const PROMETHEUS_PORT: u32 = 9641;

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
    if said.last(CoturnSetting::OldChannelNumbers, notes).is_some() {
        draft.word(&schema::CHANNEL_NUMBERS, "rfc5766");
        return;
    }
    let why = "older versions of coturn accept 0x4000-0x7FFF, uturn 0x4000-0x4FFF (RFC 8656): set \
               channel-numbers = \"rfc5766\" for clients that bind higher ones";
    notes.differs("channel-numbers", why);
}

/// Of the two flags the later one holds.
fn software(said: &Said<'_>, draft: &mut Draft, notes: &mut Notes) {
    let (no, yes) =
        (said.last(CoturnSetting::NoSoftware, notes), said.last(CoturnSetting::Software, notes));
    let line = |word: Option<&Word>| word.map(|word| word.line);
    let is_off = line(no) > line(yes);
    if let (Some(no), Some(yes)) = (no, yes) {
        let (loser, winner) = if is_off { (yes, no) } else { (no, yes) };
        let why = format!("line {} says the opposite", winner.line);
        notes.add(loser.line, Fate::NotNeeded, &loser.name, why);
    }
    if no.is_some() || yes.is_some() {
        draft.word(&schema::SOFTWARE, if is_off { "off" } else { "on" });
    }
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
    let port = port.and_then(|word| counted(word, notes)).unwrap_or(PROMETHEUS_PORT);
    let everywhere = ["0.0.0.0", "[::]"].map(str::to_owned);
    let hosts = address.map_or(everywhere.to_vec(), |word| vec![bracketed(&word.value)]);
    let word = address.unwrap_or(flag);
    let listen: Vec<MetricsAddress> = hosts
        .iter()
        .filter_map(|host| read(&Word { value: format!("{host}:{port}"), ..word.clone() }, notes))
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

fn bracketed(ip: &str) -> String {
    if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() }
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
