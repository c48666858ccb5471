//! The law of the import: each line is carried, or is named, and what is carried can be loaded.

use std::net::IpAddr;

use proptest::prelude::*;

use super::super::conf::{Word, words};
use super::super::notes::Notes;
use super::super::options::{KNOWN, Meaning};
use super::super::translate::translate;
use super::loaded;
use super::reading::file;

/// Values that some option takes and others do not.
const VALUES: [&str; 33] = [
    "",
    "12 # a comment",
    "::",
    "::ffff:10.0.0.0-::ffff:10.0.0.9",
    "bob:  padded",
    "0",
    "1",
    "7",
    "3478",
    "9641",
    "20000",
    "29999",
    "65535",
    "70000",
    "-1",
    "on",
    "off",
    "10.0.0.5",
    "10.0.0.6",
    "127.0.0.1",
    "::1",
    "2001:db8::5",
    "0.0.0.0",
    "198.51.100.7",
    "198.51.100.7/10.0.0.5",
    "198.51.100.8/10.0.0.6",
    "2001:db8::7",
    "10.0.0.0-10.0.0.9",
    "alice:wonderland",
    "alice:0x5dc2ec4ddfc0a5a8b80c1f0c3dcb8d2f",
    "a \"quoted\" secret",
    "10.0.0.5:3479",
    "[::1]:3479",
];

/// Lines about addresses, which have to fit each other.
const ADDRESSES: [&str; 12] = [
    "listening-ip=10.0.0.5",
    "listening-ip=10.0.0.6",
    "listening-ip=127.0.0.1",
    "listening-ip=2001:db8::5",
    "relay-ip=10.0.0.5",
    "relay-ip=10.0.0.6",
    "relay-ip=2001:db8::5",
    "external-ip=198.51.100.7",
    "external-ip=198.51.100.8/10.0.0.5",
    "external-ip=198.51.100.9/10.0.0.6",
    "external-ip=2001:db8::7",
    "external-ip=2001:db8::8/2001:db8::5",
];

/// What comes out of some words: the draft, its users with keys, and the notes.
fn translated(words: &[Word]) -> (String, Vec<String>, String) {
    let mut notes = Notes::default();
    let mut draft = translate(words, &mut notes);
    let keyed_users = draft.take_keyed_users();
    (draft.toml(), keyed_users, notes.listed("conf"))
}

/// Whether a word is noted, or says something in the draft: which is another without it, or has its
/// value from elsewhere, too.
fn is_carried_or_named(words: &[Word], index: usize) -> bool {
    let Word { line, name, value, .. } = &words[index];
    let whole = translated(words);
    let (toml, _, notes) = &whole;
    if notes.contains(&format!("conf:{line}: ")) {
        return true;
    }
    let others: Vec<Word> = [&words[..index], &words[index + 1..]].concat();
    let is_wider = |other: &Word| other.name == *name && other.value == "10.0.0.0-10.0.0.9";
    if value.starts_with("10.0.0.") && others.iter().any(is_wider) {
        return true;
    }
    let first = value.split(['-', '/']).next().unwrap_or_default();
    whole != translated(&others)
        || (!first.is_empty() && toml.contains(first))
        || (first.parse::<IpAddr>().is_ok() && notes.contains(first))
}

fn read(file: &[u8]) -> Vec<Word> {
    words(file, &mut Notes::default())
}

#[test]
fn each_option_alone_is_carried_or_named_with_whatever_value() {
    let line = |name: &str, value: &str| format!("{name}={value}");
    let lines = KNOWN.iter().flat_map(|known| VALUES.map(|value| line(known.name, value)));
    let is_lost = |line: &String| !is_carried_or_named(&read(line.as_bytes()), 0);
    let lost: Vec<String> = lines.filter(is_lost).collect();
    assert!(lost.is_empty(), "{lost:?}");
}

proptest! {
    #[test]
    fn each_word_of_any_bytes_is_carried_or_named(file in file()) {
        let words = read(&file);
        for (index, word) in words.iter().enumerate() {
            let is_fair = is_carried_or_named(&words, index);
            prop_assert!(is_fair, "{word:?} of {}", String::from_utf8_lossy(&file));
        }
    }

    #[test]
    fn each_line_is_carried_or_named(
        said in prop::collection::vec((any::<prop::sample::Index>(), 0..VALUES.len()), 0..8),
        addresses in prop::collection::vec(0..ADDRESSES.len(), 0..6),
    ) {
        let line = |(option, value): &(prop::sample::Index, usize)| {
            format!("{}={}", option.get(KNOWN).name, VALUES[*value])
        };
        let addresses = addresses.iter().map(|line| ADDRESSES[*line].to_owned());
        let lines: Vec<String> = said.iter().map(line).chain(addresses).collect();
        let words = read(lines.join("\n").as_bytes());
        for (index, word) in words.iter().enumerate() {
            prop_assert!(is_carried_or_named(&words, index), "{word:?} of\n{}", lines.join("\n"));
        }
    }

    #[test]
    fn whatever_coturn_is_told_what_comes_out_can_be_loaded(
        said in prop::collection::vec((any::<prop::sample::Index>(), 0..VALUES.len()), 0..8),
        addresses in prop::collection::vec(0..ADDRESSES.len(), 0..6),
    ) {
        let carried = KNOWN.iter().filter(|known| matches!(known.meaning, Meaning::Carried(_)));
        let carried: Vec<_> = carried.collect();
        let line = |(option, value): &(prop::sample::Index, usize)| {
            format!("{}={}\n", option.get(&carried).name, VALUES[*value])
        };
        let addresses = addresses.iter().map(|line| format!("{}\n", ADDRESSES[*line]));
        let text: String = said.iter().map(line).chain(addresses).collect();
        let (config, toml, _) = loaded(&text);
        // Whether a range is wide enough is a matter of how many workers there are.
        if let Err(error) = config && !error.problem.contains("workers need") {
            prop_assert!(false, "{error}\n{text}\n{toml}");
        }
    }
}
