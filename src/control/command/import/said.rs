//! What coturn was told, and how its values are read.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::conf::Word;
use super::notes::{Fate, Notes};
use super::options::CoturnSetting;
use crate::control::config::Value;
use crate::control::config::schema::Key;

/// What stands for every address, by family.
pub(super) const EVERYWHERE: [&str; 2] = ["0.0.0.0", "::"];

/// Everything that is carried over, in the order of the file.
#[derive(Debug)]
pub(super) struct Said<'a>(pub(super) Vec<(CoturnSetting, &'a Word)>);

impl<'a> Said<'a> {
    /// Finds every line about something.
    pub(super) fn all(&self, about: CoturnSetting) -> impl Iterator<Item = &'a Word> {
        self.0.iter().filter(move |(setting, _)| *setting == about).map(|(_, word)| *word)
    }

    /// Finds the line that holds: the last one. Those above it are noted.
    pub(super) fn last(&self, about: CoturnSetting, notes: &mut Notes) -> Option<&'a Word> {
        let last = self.all(about).last()?;
        for word in self.all(about).filter(|word| !std::ptr::eq(*word, last)) {
            let why = format!("line {} holds in its place", last.line);
            notes.add(word.line, Fate::NotNeeded, &word.name, why);
        }
        Some(last)
    }

    /// Finds the line that switches a flag on; if the last one switches it off, that is noted.
    pub(super) fn flag(&self, about: CoturnSetting, notes: &mut Notes) -> Option<&'a Word> {
        let last = self.last(about, notes)?;
        if last.is_on() == Some(false) {
            notes.add(last.line, Fate::NotNeeded, &last.name, "it is off");
            return None;
        }
        Some(last)
    }

    /// Says whether a flag is on.
    pub(super) fn is_on(&self, about: CoturnSetting) -> bool {
        self.all(about).last().is_some_and(|word| word.is_on() == Some(true))
    }

    /// Says whether some line is about something.
    pub(super) fn has(&self, about: CoturnSetting) -> bool {
        self.all(about).next().is_some()
    }
}

/// Reads the value of a word as our own reader would.
pub(super) fn read<T: Value>(word: &Word, notes: &mut Notes) -> Option<T> {
    let value = T::read(&word.value);
    value.map_err(|problem| notes.add(word.line, Fate::Lost, &word.name, problem)).ok()
}

/// Reads a number as coturn would; what stands behind its digits is noted, and so is what is none.
pub(super) fn counted(word: &Word, notes: &mut Notes) -> Option<u32> {
    leading(word, "and so does this", notes)
}

fn leading(word: &Word, added: &str, notes: &mut Notes) -> Option<u32> {
    let Some((value, rest)) = word.number() else { return read(word, notes) };
    if !rest.is_empty() {
        let why = format!("coturn takes the number {value} and drops what follows it, {added}");
        notes.add(word.line, Fate::Differs, &word.name, why);
    }
    Some(value)
}

/// Reads a port between two others.
pub(super) fn port(word: &Word, lowest: u16, notes: &mut Notes) -> Option<u16> {
    let newer = "and so does this; newer versions do not start with it";
    let value = leading(word, newer, notes)?;
    let port = u16::try_from(value).ok().filter(|port| *port >= lowest);
    if port.is_none() {
        let problem = format!("{value} is out of bounds: write {lowest}-{}", u16::MAX);
        notes.add(word.line, Fate::Lost, &word.name, problem);
    }
    port
}

/// Reads a number inside the bounds of a key.
pub(super) fn number(key: &Key, word: &Word, notes: &mut Notes) -> Option<u32> {
    let value = counted(word, notes)?;
    if let Err(problem) = key.check_number(value) {
        let problem = format!("{problem} under {}", key.name);
        notes.add(word.line, Fate::Lost, &word.name, problem);
        return None;
    }
    Some(value)
}

/// What coturn hears on an address: one of IPv6 that stands for all has those of IPv4, too, and
/// none at all stands for all of IPv4.
pub(super) fn everywhere(word: &Word) -> Vec<&str> {
    match (word.value.as_str(), word.value.parse()) {
        ("", _) => vec![EVERYWHERE[0]],
        (_, Ok(Ipv6Addr::UNSPECIFIED)) => EVERYWHERE.to_vec(),
        (ip, _) => vec![ip],
    }
}

/// Writes an address and a port.
pub(super) fn at(ip: &str, port: u16) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

/// What coturn hears at a port: all its addresses, or those that it was told.
pub(super) fn heard_at(said: &Said<'_>, port: u16) -> Vec<SocketAddr> {
    let at = |ip: &&str| SocketAddr::read(&at(ip, port)).ok();
    let told = said.all(CoturnSetting::ListeningIp).flat_map(everywhere);
    let heard = once(told.filter_map(|ip| at(&ip)).collect());
    if heard.is_empty() { EVERYWHERE.iter().filter_map(at).collect() } else { heard }
}

/// Each value where it stands first.
pub(super) fn once<T: PartialEq>(values: Vec<T>) -> Vec<T> {
    let mut seen = Vec::new();
    for value in values {
        if !seen.contains(&value) {
            seen.push(value);
        }
    }
    seen
}

/// Notes a word whose value is no address; what follows from it would be told in other words.
pub(super) fn is_ip(word: &Word, notes: &mut Notes) -> bool {
    let is_ip = word.value.parse::<IpAddr>().is_ok();
    if !is_ip {
        let why = format!("'{}' is not an IP address: write 192.0.2.1 or 2001:db8::1", word.value);
        notes.add(word.line, Fate::Lost, &word.name, why);
    }
    is_ip
}
