//! What coturn was told, in our words.
//!
//! Each key of ours is put together from the words that bear on it; a value that our reader refuses
//! is noted as lost, in the reader's own words.

use super::conf::Word;
use super::credentials;
use super::draft::Draft;
use super::notes::{Fate, Notes};
use super::operation;
use super::options::{CoturnSetting, Form, Meaning, known};
use super::peers;
use super::said::{EVERYWHERE, Said, at, everywhere, heard_at, is_ip, once, port, read};
use super::tls;
use crate::control::config::schema;
use crate::control::config::{ExternalIp, PortRange, Value};

use std::net::{IpAddr, SocketAddr};

const STUN_PORT: u16 = 3478;
/// coturn's own range, and the lowest port that ours may have.
const LOW_PORT: u16 = 49_152;
const HIGH_PORT: u16 = 65_535;
const LOWEST_PORT: u16 = 1_024;

/// Translates a file; what does not get into the draft is noted.
pub(super) fn translate(words: &[Word], notes: &mut Notes) -> Draft {
    let carried = words.iter().filter_map(|word| Some((carried(word, notes)?, word)));
    let said = Said(carried.collect());
    let mut draft = Draft::new();
    let listen = listen(&said, &mut draft, notes);
    relays(&said, &mut draft, notes);
    relay_ports(&said, &mut draft, notes);
    credentials::carry(&said, &mut draft, notes);
    peers::carry(&said, &mut draft, notes);
    tls::carry(&said, &listen, &mut draft, notes);
    operation::carry(&said, &mut draft, notes);
    draft
}

/// Says what a word sets; a word that sets nothing of ours is noted.
fn carried(word: &Word, notes: &mut Notes) -> Option<CoturnSetting> {
    let Some(known) = known(&word.name) else {
        // It may be the end of a secret.
        let name = if word.is_rest { "the rest of a line" } else { &word.name };
        notes.add(word.line, Fate::Unknown, name, "coturn has no such option");
        return None;
    };
    let (fate, why) = match (switched(word, known.form, notes), known.form, known.meaning) {
        (None, ..) => (Fate::Lost, "it is neither on nor off, and coturn does not start with it"),
        (Some(true), _, Meaning::Carried(setting))
        | (Some(false), Form::Flag, Meaning::Carried(setting)) => return Some(setting),
        (Some(false), ..) => (Fate::NotNeeded, "it is off"),
        (Some(true), _, Meaning::NotNeeded(why)) => (Fate::NotNeeded, why),
        (Some(true), _, Meaning::Lost(why)) => (Fate::Lost, why),
    };
    notes.add(word.line, fate, &word.name, why);
    None
}

/// Says whether a word switches its option on, as coturn sees it; `None` if it cannot tell.
fn switched(word: &Word, form: Form, notes: &mut Notes) -> Option<bool> {
    match form {
        Form::Value => Some(true),
        Form::Flag | Form::Latch => word.is_on(),
        Form::Mark => {
            if word.is_on() != Some(true) {
                let why = "to coturn it is on, whatever stands behind it";
                notes.add(word.line, Fate::Differs, &word.name, why);
            }
            Some(true)
        }
    }
}

/// coturn's port on each of its addresses, and the auxiliary servers, which are listeners like
/// others. Returns what the server will listen on, also where the draft leaves it to the default.
fn listen(said: &Said<'_>, draft: &mut Draft, notes: &mut Notes) -> Vec<SocketAddr> {
    let told = said.last(CoturnSetting::ListeningPort, notes).and_then(|word| port(word, 1, notes));
    let port = told.unwrap_or(STUN_PORT);
    let mut listen: Vec<SocketAddr> = Vec::new();
    for word in said.all(CoturnSetting::ListeningIp) {
        if !word.value.is_empty() && !is_ip(word, notes) {
            continue;
        }
        let words =
            everywhere(word).into_iter().map(|ip| Word { value: at(ip, port), ..word.clone() });
        let heard: Vec<SocketAddr> = words.filter_map(|word| read(&word, notes)).collect();
        if !heard.is_empty() && heard.iter().all(|address| listen.contains(address)) {
            notes.add(word.line, Fate::NotNeeded, &word.name, "another line says it");
        }
        listen.extend(heard);
    }
    let auxiliary: Vec<SocketAddr> =
        said.all(CoturnSetting::AuxServer).filter_map(|word| auxiliary(word, notes)).collect();
    let proxied = proxied(said, notes);
    let is_default =
        listen.is_empty() && told.is_none() && auxiliary.is_empty() && proxied.is_empty();
    if listen.is_empty() {
        listen.extend(EVERYWHERE.iter().filter_map(|ip| SocketAddr::read(&at(ip, port)).ok()));
    }
    listen.extend(auxiliary);
    listen.extend(proxied);
    let listen = once(listen);
    if !is_default {
        draft.list(&schema::LISTEN, &listen);
    }
    listen
}

/// An auxiliary server; without a port coturn takes any.
fn auxiliary(word: &Word, notes: &mut Notes) -> Option<SocketAddr> {
    if word.value.parse::<IpAddr>().is_ok() {
        let why = "it has no port: write ADDR:PORT under listen";
        notes.add(word.line, Fate::Lost, &word.name, why);
        return None;
    }
    read(word, notes)
}

/// The port that coturn's load balancers come to. Who they are it does not ask, and we do.
fn proxied(said: &Said<'_>, notes: &mut Notes) -> Vec<SocketAddr> {
    let Some(word) = said.last(CoturnSetting::ProxyPort, notes) else { return Vec::new() };
    if said.is_on(CoturnSetting::NoTcp) {
        notes.add(word.line, Fate::NotNeeded, &word.name, "no-tcp leaves it out");
        return Vec::new();
    }
    let Some(port) = port(word, 1, notes) else { return Vec::new() };
    let why = "the port is in listen; name the load balancers in proxy-from, or no PROXY header is \
               taken (they may use every port, with or without TLS, and UDP is served on this one, \
               too)";
    notes.add(word.line, Fate::Differs, &word.name, why);
    heard_at(said, port)
}

/// An external address, and the relay address behind it if it is said.
struct External<'a> {
    word: &'a Word,
    value: ExternalIp,
}

fn relays(said: &Said<'_>, draft: &mut Draft, notes: &mut Notes) {
    let mut externals: Vec<External<'_>> = said
        .all(CoturnSetting::ExternalIp)
        .filter_map(|word| Some(External { word, value: read(word, notes)? }))
        .collect();
    // To coturn, too, one without a private address is for what the others leave.
    externals.sort_by_key(|external| external.value.private.is_none());
    let mut relays = relay_addresses(said, notes);
    let named: Vec<IpAddr> =
        externals.iter().filter_map(|external| external.value.private).collect();
    let mut pairs: Vec<ExternalIp> = Vec::new();
    let first = externals.iter().find(|external| external.value.private.is_none());
    for External { word, value } in &externals {
        match pair(*value, &relays, &named, &pairs) {
            Ok(pair) => pairs.push(pair),
            Err(problem) => {
                notes.add(word.line, Fate::Lost, &word.name, problem);
                continue;
            }
        }
        if let (None, Some(first)) = (value.private, first)
            && first.value != *value
        {
            let why = format!("coturn takes the first such line alone: line {}", first.word.line);
            notes.add(word.line, Fate::Differs, &word.name, why);
        }
        if let Some(dropped) = narrowed(*value, &mut relays, &named) {
            let why = format!(
                "it can stand for one relay address alone, so nothing is relayed on {dropped}"
            );
            notes.add(word.line, Fate::Differs, &word.name, why);
        }
    }
    draft.list(&schema::RELAY_IP, &relays);
    draft.list(&schema::EXTERNAL_IP, pairs.iter().map(written));
}

/// The relay addresses coturn was told, or else takes: those it listens on, loopback only where
/// there is nothing else.
fn relay_addresses(said: &Said<'_>, notes: &mut Notes) -> Vec<IpAddr> {
    let told: Vec<IpAddr> =
        said.all(CoturnSetting::RelayIp).filter_map(|word| read(word, notes)).collect();
    let heard = || {
        let heard =
            said.all(CoturnSetting::ListeningIp).filter_map(|word| IpAddr::read(&word.value).ok());
        heard.filter(|ip| !ip.is_unspecified())
    };
    let mut relays = if told.is_empty() { heard().collect() } else { told };
    if relays.iter().any(|ip| !ip.is_loopback()) {
        relays.retain(|ip| !ip.is_loopback());
        let is_loopback =
            |word: &&Word| word.value.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        for word in said.all(CoturnSetting::RelayIp).filter(is_loopback) {
            let why = "loopback is no relay address beside others";
            notes.add(word.line, Fate::Differs, &word.name, why);
        }
    }
    once(relays)
}

/// Finds the relay address that an external address stands for: the one it names, or else the first
/// that none of them names.
fn pair(
    value: ExternalIp,
    relays: &[IpAddr],
    named: &[IpAddr],
    pairs: &[ExternalIp],
) -> Result<ExternalIp, String> {
    let is_free = |ip: &&IpAddr| is_unnamed(**ip, value, named);
    let private = match value.private {
        Some(private) if relays.is_empty() || relays.contains(&private) => Some(private),
        Some(private) => return Err(format!("{private} is no relay address")),
        None => relays.iter().find(is_free).copied(),
    };
    if private.is_none() && !relays.is_empty() {
        return Err(format!("there is no relay address left for {}", value.public));
    }
    let is_same = |pair: &&ExternalIp| match (pair.private, private) {
        (Some(one), Some(other)) => one == other,
        (None, _) | (_, None) => pair.public.is_ipv4() == value.public.is_ipv4(),
    };
    if let Some(taken) = pairs.iter().find(is_same) {
        return Err(format!("the relay address has an external one already: {}", taken.public));
    }
    Ok(ExternalIp { public: value.public, private })
}

/// Says whether a relay address could be the one behind an external address that names none.
fn is_unnamed(ip: IpAddr, value: ExternalIp, named: &[IpAddr]) -> bool {
    ip.is_ipv4() == value.public.is_ipv4() && !ip.is_loopback() && !named.contains(&ip)
}

/// One external address without a private one cannot stand for several relay addresses: clients
/// behind the others would be told an address that leads elsewhere.
fn narrowed(value: ExternalIp, relays: &mut Vec<IpAddr>, named: &[IpAddr]) -> Option<String> {
    if value.private.is_some() {
        return None;
    }
    let could_be = |ip: &IpAddr| is_unnamed(*ip, value, named);
    let first = relays.iter().copied().find(could_be)?;
    let dropped: Vec<String> =
        relays.iter().filter(|ip| could_be(ip) && **ip != first).map(IpAddr::to_string).collect();
    relays.retain(|ip| !could_be(ip) || *ip == first);
    (!dropped.is_empty()).then(|| dropped.join(", "))
}

fn written(pair: &ExternalIp) -> String {
    match pair.private {
        Some(private) => format!("{}/{private}", pair.public),
        None => pair.public.to_string(),
    }
}

/// Both ends of coturn's range, each of which may be left out.
fn relay_ports(said: &Said<'_>, draft: &mut Draft, notes: &mut Notes) {
    let ends = [CoturnSetting::MinPort, CoturnSetting::MaxPort].map(|end| {
        let word = said.last(end, notes)?;
        Some((word, port(word, LOWEST_PORT, notes)?))
    });
    let [low, high] = [(ends[0], LOW_PORT), (ends[1], HIGH_PORT)]
        .map(|(end, default)| end.map_or(default, |(_, port)| port));
    if low > high {
        for (word, _) in ends.into_iter().flatten() {
            let why = format!("{low}-{high} is reversed: write LOW-HIGH under relay-ports");
            notes.add(word.line, Fate::Lost, &word.name, why);
        }
    } else if ends.iter().any(Option::is_some) {
        draft.word(&schema::RELAY_PORTS, &PortRange { low, high }.to_string());
    }
}
