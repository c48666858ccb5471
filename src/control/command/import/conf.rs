//! coturn's configuration file, as words.
//!
//! One option a line: a word, then blanks or '=', then a value to the end of the line, which may
//! stand in double quotes. A line that begins with '#' says nothing; a '#' further on is part of
//! the value, and of a number coturn reads the digits that it begins with. coturn reads bytes, and
//! no more than 1,023 at a time: what a longer line goes on with is a line of its own.

use super::notes::{Fate, Notes};
use super::options::known;
use crate::control::config::schema;

/// What some editors put in front of a file.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// The longest line that coturn reads as one.
const LINE_MAX_BYTES: usize = 1_023;

/// One line that says something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    /// Line in the file, from 1.
    pub(super) line: usize,
    /// The option.
    pub(super) name: String,
    /// Its value without quotes; empty where there is none.
    pub(super) value: String,
    /// Whether it is what a line that is too long goes on with.
    pub(super) is_rest: bool,
}

impl Word {
    /// Reads a number as coturn does (`atoi`): the digits it begins with, perhaps behind blanks and
    /// a plus, and what stands behind them.
    pub(super) fn number(&self) -> Option<(u32, &str)> {
        let text = self.value.trim_start_matches(|letter| u8::try_from(letter).is_ok_and(is_blank));
        let text = text.strip_prefix('+').unwrap_or(text);
        let end = text.find(|letter: char| !letter.is_ascii_digit());
        let (digits, rest) = text.split_at(end.unwrap_or(text.len()));
        Some((digits.parse().ok()?, rest))
    }

    /// Reads a flag as coturn does: on when there is no value; `None` when it is neither on nor
    /// off, with which coturn does not start.
    pub(super) fn is_on(&self) -> Option<bool> {
        let first = self.value.chars().next().map(|letter| letter.to_ascii_lowercase());
        match first {
            None => Some(true),
            Some('0' | 'n' | 'f') => Some(false),
            Some('1'..='9' | 'y' | 't') => Some(true),
            Some(_) => match self.value.as_str() {
                "on" | "On" | "ON" => Some(true),
                "off" | "Off" | "OFF" => Some(false),
                _ => None,
            },
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

/// Takes a file apart; where it is not read as it looks, that is noted.
pub(super) fn words(file: &[u8], notes: &mut Notes) -> Vec<Word> {
    let lines = file.split(|byte| *byte == b'\n').enumerate();
    lines.flat_map(|(index, line)| words_of_line(index + 1, line, notes)).collect()
}

fn words_of_line(number: usize, line: &[u8], notes: &mut Notes) -> Vec<Word> {
    let unmarked = line.strip_prefix(BYTE_ORDER_MARK).filter(|_| number == 1);
    let (head, rest) = line.split_at(line.len().min(LINE_MAX_BYTES));
    let first =
        said(unmarked.map_or(head, |unmarked| &unmarked[..head.len() - BYTE_ORDER_MARK.len()]));
    let others = rest.chunks(LINE_MAX_BYTES).filter_map(said);
    let said = first.into_iter().map(|said| (said, false)).chain(others.map(|said| (said, true)));
    let words: Vec<Word> = said.map(|(said, is_rest)| said.word(number, is_rest, notes)).collect();
    if !words.is_empty() && !rest.iter().copied().all(is_blank) {
        let why = format!(
            "coturn reads {LINE_MAX_BYTES} bytes and takes the rest for a line of its own, and so \
             does this"
        );
        notes.add(number, Fate::Differs, "a line that is too long", why);
    }
    if unmarked.is_some()
        && let Some(first) = words.first().filter(|word| !word.is_rest)
    {
        let why = "coturn overlooks this line, since the file begins with a byte order mark; here \
                   it is read";
        notes.add(number, Fate::Differs, &first.name, why);
    }
    words
}

/// What a line says, in bytes.
struct SaidBytes<'a> {
    name: &'a [u8],
    value: &'a [u8],
}

impl SaidBytes<'_> {
    fn word(&self, line: usize, is_rest: bool, notes: &mut Notes) -> Word {
        let ((name, name_is_latin), (value, value_is_latin)) = (text(self.name), text(self.value));
        if name_is_latin || value_is_latin {
            let why = "it is no UTF-8 and is read as Latin-1: what clients send has other bytes";
            notes.add(line, Fate::Differs, &name, why);
        }
        Word { line, name, value, is_rest }
    }
}

/// Reads a line; nothing where it says nothing.
fn said(line: &[u8]) -> Option<SaidBytes<'_>> {
    let line = line.split(|byte| *byte == 0).next().unwrap_or_default();
    let line = behind(line, |byte| matches!(byte, b' ' | b'\t'));
    if line.starts_with(b"#") {
        return None;
    }
    let end = line.iter().rposition(|byte| !is_blank(*byte))? + 1;
    let line = &line[..end];
    let separates = |byte: u8| matches!(byte, b' ' | b'\t' | b'=');
    let end = line.iter().position(|byte| separates(*byte)).unwrap_or(line.len());
    let (name, value) = (&line[..end], behind(&line[end..], separates));
    let unquoted =
        value.strip_prefix(b"\"").map(|value| value.strip_suffix(b"\"").unwrap_or(value));
    Some(SaidBytes { name, value: unquoted.unwrap_or(value) })
}

/// What is left behind the bytes of some kind that a text begins with.
fn behind(text: &[u8], is_skipped: impl Fn(u8) -> bool) -> &[u8] {
    let start = text.iter().position(|byte| !is_skipped(*byte)).unwrap_or(text.len());
    &text[start..]
}

/// The blanks of C (`isspace`).
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Reads bytes as UTF-8, or else as Latin-1; says whether it is that.
fn text(bytes: &[u8]) -> (String, bool) {
    match str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), false),
        Err(_) => (bytes.iter().copied().map(char::from).collect(), true),
    }
}
