//! What coturn was told, and how its values are read.

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
        for word in self.all(about).filter(|word| word.line != last.line) {
            let why = format!("line {} says it again", last.line);
            notes.add(word.line, Fate::NotNeeded, &word.name, why);
        }
        Some(last)
    }

    /// Says whether a flag is on.
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
    let Some((value, rest)) = word.number() else { return read(word, notes) };
    if !rest.is_empty() {
        let why = format!("coturn reads {value} and nothing behind it, and so does this");
        notes.add(word.line, Fate::Differs, &word.name, why);
    }
    Some(value)
}

/// Reads a port between two others.
pub(super) fn port(word: &Word, lowest: u16, notes: &mut Notes) -> Option<u16> {
    let value = counted(word, notes)?;
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
    match word.value.as_str() {
        "" => vec![EVERYWHERE[0]],
        "::" => EVERYWHERE.to_vec(),
        ip => vec![ip],
    }
}

/// Writes an address and a port.
pub(super) fn at(ip: &str, port: u16) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

/// What coturn hears at a port: all its addresses, or those that it was told.
pub(super) fn heard_at(said: &Said<'_>, port: u16) -> Vec<String> {
    let mut heard: Vec<String> = Vec::new();
    for ip in said.all(CoturnSetting::ListeningIp).flat_map(everywhere) {
        let address = at(ip, port);
        if !heard.contains(&address) {
            heard.push(address);
        }
    }
    if heard.is_empty() { EVERYWHERE.iter().map(|ip| at(ip, port)).collect() } else { heard }
}
