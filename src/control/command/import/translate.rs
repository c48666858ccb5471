//! What coturn was told, in our words.
//!
//! Each key of ours is put together from the words that bear on it; a value that our reader refuses
//! is noted as lost, in the reader's own words.

use super::conf::Word;
use super::credentials;
use super::draft::Draft;
use super::notes::{Fate, Notes};
use super::operation;
use super::options::{Meaning, Setting, known};
use super::peers;
use crate::control::config::schema::{self, NumberKey};
use crate::control::config::{ExternalIp, PortRange, Value};

use std::net::{IpAddr, SocketAddr};

const STUN_PORT: &str = "3478";
const LOWEST_PORT: &str = "49152";
const HIGHEST_PORT: &str = "65535";

/// Everything that is carried over, in the order of the file.
#[derive(Debug)]
pub(super) struct Said<'a>(Vec<(Setting, &'a Word)>);

impl<'a> Said<'a> {
    /// Finds every line about something.
    pub(super) fn all(&self, about: Setting) -> impl Iterator<Item = &'a Word> {
        self.0.iter().filter(move |(setting, _)| *setting == about).map(|(_, word)| *word)
    }

    /// Finds the line that holds: the last one. Those above it are noted.
    pub(super) fn last(&self, about: Setting, notes: &mut Notes) -> Option<&'a Word> {
        let last = self.all(about).last()?;
        for word in self.all(about).filter(|word| word.line != last.line) {
            let why = format!("line {} says it again", last.line);
            notes.add(word.line, Fate::NotNeeded, &word.name, why);
        }
        Some(last)
    }

    /// Says whether a flag is on.
    pub(super) fn has(&self, about: Setting) -> bool {
        self.all(about).next().is_some()
    }
}

/// Translates a file; what does not get into the draft is noted.
pub(super) fn translate(words: &[Word], notes: &mut Notes) -> Draft {
    let carried = words.iter().filter_map(|word| Some((carried(word, notes)?, word)));
    let said = Said(carried.collect());
    let mut draft = Draft::new();
    listen(&said, &mut draft, notes);
    relays(&said, &mut draft, notes);
    relay_ports(&said, &mut draft, notes);
    credentials::carry(&said, &mut draft, notes);
    peers::carry(&said, &mut draft, notes);
    operation::carry(&said, &mut draft, notes);
    draft
}

/// Says what a word sets; a word that sets nothing of ours is noted.
fn carried(word: &Word, notes: &mut Notes) -> Option<Setting> {
    let Some(known) = known(&word.name) else {
        notes.add(word.line, Fate::Unknown, &word.name, "coturn has no such option");
        return None;
    };
    let switched = if known.is_flag { word.is_on() } else { Some(true) };
    let (fate, why) = match (switched, known.meaning) {
        (None, _) => (Fate::Lost, "it is neither on nor off"),
        (Some(false), _) => (Fate::NotNeeded, "it is off"),
        (Some(true), Meaning::Carried(setting)) => return Some(setting),
        (Some(true), Meaning::NotNeeded(why)) => (Fate::NotNeeded, why),
        (Some(true), Meaning::Lost(why)) => (Fate::Lost, why),
    };
    notes.add(word.line, fate, &word.name, why);
    None
}

/// Reads the value of a word as our own reader would.
pub(super) fn read<T: Value>(word: &Word, notes: &mut Notes) -> Option<T> {
    let value = T::read(&word.value);
    value.map_err(|problem| notes.add(word.line, Fate::Lost, &word.name, problem)).ok()
}

/// Reads a number inside the bounds of a key.
pub(super) fn number(key: &NumberKey, word: &Word, notes: &mut Notes) -> Option<u32> {
    let value = read::<u32>(word, notes)?;
    if !(key.min..=key.max).contains(&value) {
        let problem =
            format!("{value} is out of bounds: write {} under {}", key.key.bounds, key.key.name);
        notes.add(word.line, Fate::Lost, &word.name, problem);
        return None;
    }
    Some(value)
}

/// coturn's port on each of its addresses, and the auxiliary servers, which are listeners like
/// others.
fn listen(said: &Said<'_>, draft: &mut Draft, notes: &mut Notes) {
    let port = said.last(Setting::ListeningPort, notes).and_then(|word| {
        let port = read::<SocketAddr>(
            &Word { value: format!("0.0.0.0:{}", word.value), ..word.clone() },
            notes,
        );
        port.map(|address| address.port().to_string())
    });
    let port_or_default = port.as_deref().unwrap_or(STUN_PORT);
    let with_port = |word: &Word| Word { value: at(&word.value, port_or_default), ..word.clone() };
    let mut listen: Vec<SocketAddr> =
        said.all(Setting::ListeningIp).filter_map(|word| read(&with_port(word), notes)).collect();
    let auxiliary: Vec<SocketAddr> =
        said.all(Setting::AuxServer).filter_map(|word| read(word, notes)).collect();
    if listen.is_empty() && (port.is_some() || !auxiliary.is_empty()) {
        let everywhere = ["0.0.0.0", "::"].map(|ip| SocketAddr::read(&at(ip, port_or_default)));
        listen.extend(everywhere.into_iter().flatten());
    }
    listen.extend(auxiliary);
    draft.list(&schema::LISTEN, listen);
}

fn at(ip: &str, port: &str) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

/// An external address, and the relay address behind it if it is said.
struct External<'a> {
    word: &'a Word,
    value: ExternalIp,
}

fn relays(said: &Said<'_>, draft: &mut Draft, notes: &mut Notes) {
    let externals: Vec<External<'_>> = said
        .all(Setting::ExternalIp)
        .filter_map(|word| Some(External { word, value: read(word, notes)? }))
        .collect();
    let mut relays = relay_addresses(said, notes);
    let named: Vec<IpAddr> =
        externals.iter().filter_map(|external| external.value.private).collect();
    let mut pairs: Vec<ExternalIp> = Vec::new();
    for External { word, value } in &externals {
        match pair(*value, &relays, &named, &pairs) {
            Ok(pair) => pairs.push(pair),
            Err(problem) => {
                notes.add(word.line, Fate::Lost, &word.name, problem);
                continue;
            }
        }
        if let Some(dropped) = narrowed(*value, &mut relays, &named) {
            let why = format!("it is told for one relay address alone, and {dropped} is left out");
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
        said.all(Setting::RelayIp).filter_map(|word| read(word, notes)).collect();
    let heard = || said.all(Setting::ListeningIp).filter_map(|word| IpAddr::read(&word.value).ok());
    let mut relays = if told.is_empty() { heard().collect() } else { told };
    if relays.iter().any(|ip| !ip.is_loopback()) {
        relays.retain(|ip| !ip.is_loopback());
    }
    let mut seen = Vec::new();
    relays.retain(|ip| {
        !seen.contains(ip) && {
            seen.push(*ip);
            true
        }
    });
    relays
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
    ip.is_ipv4() == value.public.is_ipv4() && !named.contains(&ip)
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

fn relay_ports(said: &Said<'_>, draft: &mut Draft, notes: &mut Notes) {
    let (low, high) = (said.last(Setting::MinPort, notes), said.last(Setting::MaxPort, notes));
    let Some(word) = low.or(high) else { return };
    let value = |word: Option<&Word>, default: &str| {
        word.map_or_else(|| default.to_owned(), |word| word.value.clone())
    };
    let range = format!("{}-{}", value(low, LOWEST_PORT), value(high, HIGHEST_PORT));
    if let Some(range) = read::<PortRange>(&Word { value: range, ..word.clone() }, notes) {
        draft.word(&schema::RELAY_PORTS, &range.to_string());
    }
}
