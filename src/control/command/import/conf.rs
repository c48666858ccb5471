//! coturn's configuration file, as words.
//!
//! One option a line: a word, then blanks or '=', then a value to the end of the line, which may
//! stand in double quotes. A line that begins with '#' says nothing; a '#' further on is part of
//! the value, and of a number coturn reads the digits that it begins with.

use super::notes::{Fate, Notes};
use super::options::known;
use crate::control::config::schema;

/// What some editors put in front of a file.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// One line that says something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    /// Line in the file, from 1.
    pub(super) line: usize,
    /// The option.
    pub(super) name: String,
    /// Its value without quotes; empty where there is none.
    pub(super) value: String,
}

impl Word {
    /// Reads a number as coturn does (`atoi`): the digits it begins with, and what stands behind
    /// them.
    pub(super) fn number(&self) -> Option<(u32, &str)> {
        let end = self.value.find(|letter: char| !letter.is_ascii_digit());
        let (digits, rest) = self.value.split_at(end.unwrap_or(self.value.len()));
        Some((digits.parse().ok()?, rest))
    }

    /// Reads a flag as coturn does: on when there is no value; `None` when it is neither on nor
    /// off.
    pub(super) fn is_on(&self) -> Option<bool> {
        let first = self.value.chars().next().map(|letter| letter.to_ascii_lowercase());
        match first {
            None => Some(true),
            Some('0' | 'n' | 'f') => Some(false),
            Some('1'..='9' | 'y' | 't') => Some(true),
            Some('o') if self.value.eq_ignore_ascii_case("on") => Some(true),
            Some('o') if self.value.eq_ignore_ascii_case("off") => Some(false),
            Some(_) => None,
        }
    }
}

/// Says why a file is certainly not coturn's configuration.
pub(super) fn not_coturns(bytes: &[u8]) -> Option<&'static str> {
    if bytes.contains(&0) {
        return Some("it is a binary file, not coturn's configuration");
    }
    let table: toml::Table = str::from_utf8(bytes).ok()?.parse().ok()?;
    let is_ours =
        |name: &String| known(name).is_none() && schema::KEYS.iter().any(|key| key.name == name);
    let is_ours = table.keys().any(is_ours);
    is_ours.then_some("it is a configuration of uturn already: `uturn check-config` tries it")
}

/// Reads a file as text. coturn reads bytes: a line that is no UTF-8 is taken for Latin-1 and
/// noted.
pub(super) fn text(bytes: &[u8], notes: &mut Notes) -> String {
    let marked = bytes.strip_prefix(BYTE_ORDER_MARK);
    let lines = marked.unwrap_or(bytes).split(|byte| *byte == b'\n').enumerate();
    let lines: Vec<String> = lines.map(|(index, line)| line_of(index + 1, line, notes)).collect();
    if let Some(first) = words(&lines.join("\n")).first().filter(|word| word.line == 1)
        && marked.is_some()
    {
        let why = "coturn does not read it, since the file begins with a byte order mark";
        notes.add(1, Fate::Differs, &first.name, why);
    }
    lines.join("\n")
}

fn line_of(number: usize, bytes: &[u8], notes: &mut Notes) -> String {
    let Ok(text) = str::from_utf8(bytes) else {
        let text: String = bytes.iter().copied().map(char::from).collect();
        for word in words(&text) {
            let why = "it is no UTF-8 and is read as Latin-1: what clients send has other bytes";
            notes.add(number, Fate::Differs, &word.name, why);
        }
        return text;
    };
    text.to_owned()
}

/// Takes a file apart.
pub(super) fn words(text: &str) -> Vec<Word> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    let said = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    said.map(|(line, text)| word(line, text)).collect()
}

fn word(line: usize, text: &str) -> Word {
    let separator = [' ', '\t', '='];
    let (name, value) = text.split_once(separator).unwrap_or((text, ""));
    let value = value.trim_start_matches(separator);
    let unquoted = value.strip_prefix('"').map(|value| value.strip_suffix('"').unwrap_or(value));
    Word { line, name: name.to_owned(), value: unquoted.unwrap_or(value).to_owned() }
}

#[cfg(test)]
mod tests {
    use super::{Notes, Word, not_coturns, text, words};

    #[test]
    fn a_line_is_a_word_and_a_value() {
        let text =
            "# a comment\n\n  realm = example.org  \nno-cli\nuser=a:b=c # d\n\tlog-file \"a b\"";
        let said = [
            (3, "realm", "example.org"),
            (4, "no-cli", ""),
            (5, "user", "a:b=c # d"),
            (6, "log-file", "a b"),
        ];
        let expected = said.map(|(line, name, value)| Word {
            line,
            name: name.to_owned(),
            value: value.to_owned(),
        });
        assert_eq!(words(text), expected);
    }

    #[test]
    fn a_number_ends_where_its_digits_do() {
        let number = |value: &str| {
            let word = words(&format!("user-quota={value}")).remove(0);
            word.number().map(|(number, rest)| (number, rest.to_owned()))
        };
        assert_eq!(number("12"), Some((12, String::new())));
        assert_eq!(number("12 # comment"), Some((12, " # comment".to_owned())));
        assert_eq!(number("many"), None);
        assert_eq!(number("-3"), None);
        assert_eq!(number("99999999999"), None);
    }

    #[test]
    fn bytes_that_are_no_utf_8_are_latin_1_and_said_to_be() {
        let mut notes = Notes::default();
        let read = text(b"\xEF\xBB\xBFrealm=a\nuser=j\xFCrgen:x\n# \xFC\n", &mut notes);
        assert_eq!(read, "realm=a\nuser=j\u{FC}rgen:x\n# \u{FC}\n");
        let notes = notes.listed("conf");
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
    fn what_is_neither_on_nor_off_is_told_apart() {
        let flag = |value: &str| words(&format!("flag={value}"))[0].is_on();
        assert_eq!(flag("on"), Some(true));
        assert_eq!(flag("Off"), Some(false));
        assert_eq!(flag("maybe"), None);
        assert_eq!(flag("often"), None);
    }
}
