//! A file taken apart: what our reader sees is what the model of coturn's sees.

use proptest::prelude::*;
use proptest::sample::select;

use super::super::conf::{Word, not_coturns, words};
use super::super::notes::Notes;
use super::super::options::KNOWN;
use super::model::{self, Seen, seen};

const MARK: &str = "\u{FEFF}";

fn read(file: &[u8]) -> (Vec<Word>, String) {
    let mut notes = Notes::default();
    let words = words(file, &mut notes);
    (words, notes.listed("conf"))
}

fn is_utf_8(seen: &Seen) -> bool {
    [&seen.name, &seen.value].iter().all(|bytes| str::from_utf8(bytes).is_ok())
}

/// What the model sees, in our words.
fn expected(seen: &Seen) -> Word {
    let text = |bytes: &[u8]| match str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    };
    Word {
        line: seen.line,
        name: text(&seen.name),
        value: text(&seen.value),
        is_rest: seen.is_rest,
    }
}

/// Holds our reader to the model. It may differ in three things, and each is noted with its line:
/// bytes that are no UTF-8 are read as Latin-1, what stands behind a byte order mark is read, and a
/// line that is too long is said to be so.
fn assert_read_as_coturn_does(file: &[u8]) -> Result<(), TestCaseError> {
    let (words, notes) = read(file);
    let is_noted = |line: usize, why: &str| {
        notes.lines().any(|note| note.starts_with(&format!("conf:{line}: ")) && note.contains(why))
    };
    let is_marked = file.starts_with(MARK.as_bytes());
    let is_first = |line: usize, is_rest: bool| is_marked && line == 1 && !is_rest;
    let seen = seen(file);
    let plain: Vec<&Seen> = seen.iter().filter(|s| !is_first(s.line, s.is_rest)).collect();
    let ours: Vec<&Word> = words.iter().filter(|w| !is_first(w.line, w.is_rest)).collect();
    let expected: Vec<Word> = plain.iter().map(|seen| expected(seen)).collect();
    prop_assert_eq!(ours, expected.iter().collect::<Vec<_>>());
    for seen in plain {
        prop_assert!(is_utf_8(seen) || is_noted(seen.line, "Latin-1"), "{seen:?}\n{notes}");
        let why = "takes the rest for a line of its own";
        prop_assert!(!seen.is_rest || is_noted(seen.line, why), "{seen:?}\n{notes}");
    }
    let is_read = words.first().is_some_and(|word| is_first(word.line, word.is_rest));
    prop_assert_eq!(is_read, is_noted(1, "byte order mark"));
    Ok(())
}

/// What a line may be made of.
fn token() -> impl Strategy<Value = Vec<u8>> {
    let name = any::<prop::sample::Index>().prop_map(|index| index.get(KNOWN).name);
    let near = ["listening_port", "Realm", "realms", "no-", "user quota", "verbose:", "0", "é"];
    let value = ["1", "off", "a b", "a\"b", "\"", "\"a b\"", "\" a \"", "x:y", "#c", ";", "="];
    let blank = [" ", "\t", "=", " = ", "==", "\t\t", "\r", "\u{B}", "\u{C}", "\u{A0}", "\u{85}"];
    let odd: [&[u8]; 6] = [b"\n", b"\r\n", b"\0", b"#", b"\xFC", b"\xEF\xBB\xBF"];
    prop_oneof![
        4 => name.prop_map(|name| name.as_bytes().to_vec()),
        1 => select(near.to_vec()).prop_map(|near| near.as_bytes().to_vec()),
        4 => select(value.to_vec()).prop_map(|value| value.as_bytes().to_vec()),
        5 => select(blank.to_vec()).prop_map(|blank| blank.as_bytes().to_vec()),
        4 => select(odd.to_vec()).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..6),
        1 => (select(&b" ax#=\"\t"[..]), 1_015..1_030_usize).prop_map(|(b, n)| vec![b; n]),
    ]
}

/// A file of anything.
pub(super) fn file() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(token(), 0..24).prop_map(|tokens| tokens.concat())
}

proptest! {
    #[test]
    fn any_bytes_are_the_options_that_coturn_sees(file in file()) {
        assert_read_as_coturn_does(&file)?;
    }

    #[test]
    fn any_text_is_the_number_and_the_flag_that_coturn_sees(
        value in "[ \t]{0,2}[-+0-9a-zA-Z.;# ]{0,6}|on|oN|On|OFF|oFF|[0-9]{9,12}",
    ) {
        let word = Word { value: value.clone(), ..Word::default() };
        prop_assert_eq!(word.is_on(), model::flag(&value));
        let number = model::number(&value);
        match word.number() {
            Some((ours, _)) => prop_assert_eq!(i64::from(ours), number),
            None => prop_assert!(number <= 0 || number > i64::from(u32::MAX)),
        }
    }
}

/// Name and value of each word, and the notes.
fn pairs(file: &[u8]) -> (Vec<(String, String)>, String) {
    let (words, notes) = read(file);
    (words.into_iter().map(|word| (word.name, word.value)).collect(), notes)
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn a_line_is_a_word_and_a_value() {
    let text = "# a comment\n\n  realm = example.org  \nno-cli\nuser=a:b=c # d\n\tlog-file \"a b\"";
    let (words, notes) = read(text.as_bytes());
    let lines: Vec<usize> = words.iter().map(|word| word.line).collect();
    assert_eq!(lines, [3, 4, 5, 6]);
    let said =
        [("realm", "example.org"), ("no-cli", ""), ("user", "a:b=c # d"), ("log-file", "a b")];
    assert_eq!(pairs(text.as_bytes()).0, said.map(|(name, value)| pair(name, value)));
    assert_eq!(notes, "");
}

#[test]
fn what_a_line_of_more_than_1023_bytes_goes_on_with_is_a_line_of_its_own() {
    let comment = format!("#{}realm=example.org\nno-cli\n", "-".repeat(1_022));
    let (words, notes) = pairs(comment.as_bytes());
    assert_eq!(words, [pair("realm", "example.org"), pair("no-cli", "")]);
    assert!(notes.contains("conf:1: differs: a line that is too long: coturn reads 1023 bytes"));
    let value = format!("cipher-list={}", "A".repeat(1_011));
    for (line, rests) in [("", 0), (" \t", 0), ("B", 1), ("#B", 0)] {
        let (words, notes) = pairs(format!("{value}{line}\r\n").as_bytes());
        assert_eq!(words.len(), 1 + rests, "{line}");
        assert_eq!(words[0].1.len(), 1_011);
        assert_eq!(notes.is_empty(), line.trim().is_empty(), "{line}: {notes}");
    }
    let prose = format!("{}\n", "# much is said here ".repeat(200));
    assert!(pairs(format!("#{}#{prose}", "-".repeat(1_022)).as_bytes()).0.len() < 4);
}

#[test]
fn a_byte_order_mark_counts_among_the_bytes_of_a_line() {
    let file = format!("{MARK}#{}no-cli\n", "-".repeat(1_019));
    assert_eq!(pairs(file.as_bytes()).0, [pair("no-cli", "")]);
    let file = format!("{MARK}realm={}b", "a".repeat(1_014));
    assert_eq!(pairs(file.as_bytes()).0, [pair("realm", &"a".repeat(1_014)), pair("b", "")]);
}

#[test]
fn only_the_blanks_of_c_are_blanks() {
    let (words, _) =
        pairs("\u{A0}realm=a\nrealm=b\u{A0}\n\rrealm=c\nrealm=d\u{B}\u{C}\n".as_bytes());
    let expected = [("\u{A0}realm", "a"), ("realm", "b\u{A0}"), ("\rrealm", "c"), ("realm", "d")];
    assert_eq!(words, expected.map(|(name, value)| pair(name, value)));
}

#[test]
fn bytes_that_are_no_utf_8_are_latin_1_and_said_to_be() {
    let (words, notes) = pairs(b"\xEF\xBB\xBFrealm=a\nuser=j\xFCrgen:x\n# \xFC\n");
    assert_eq!(words, [pair("realm", "a"), pair("user", "j\u{FC}rgen:x")]);
    assert!(notes.contains("conf:1: differs: realm"), "{notes}");
    assert!(notes.contains("conf:2: differs: user"), "{notes}");
    assert!(!notes.contains("conf:3"), "{notes}");
}

#[test]
fn a_file_that_is_no_configuration_of_coturn_is_refused() {
    assert!(not_coturns(b"\x7fELF\0\0").unwrap().contains("binary"));
    assert!(not_coturns(b"listen = [\"0.0.0.0:3478\"]\n").is_some());
    for coturns in ["", "realm=example.org\n", "min-port=20000\nuser-quota=3\n"] {
        assert_eq!(not_coturns(coturns.as_bytes()), None, "{coturns}");
    }
}

#[test]
fn a_number_ends_where_its_digits_do() {
    let number = |value: &str| {
        let word = Word { value: value.to_owned(), ..Word::default() };
        word.number().map(|(number, rest)| (number, rest.to_owned()))
    };
    assert_eq!(number("0"), Some((0, String::new())));
    assert_eq!(number("12 # comment"), Some((12, " # comment".to_owned())));
    assert_eq!(number(" +12"), Some((12, String::new())));
    for none in ["many", "-3", "+ 3", "99999999999"] {
        assert_eq!(number(none), None, "{none}");
    }
}

#[test]
fn what_coturn_takes_for_neither_on_nor_off_is_neither() {
    let flag = |value: &str| Word { value: value.to_owned(), ..Word::default() }.is_on();
    for (value, is_on) in [("", true), ("on", true), ("Off", false), ("nay", false)] {
        assert_eq!(flag(value), Some(is_on), "{value}");
    }
    for neither in ["maybe", "often", "oN", "oFF", "on # comment"] {
        assert_eq!(flag(neither), None, "{neither}");
    }
}
