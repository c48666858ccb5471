//! coturn's configuration file, as words.
//!
//! One option a line: a word, then blanks or '=', then a value to the end of the line, which may
//! stand in double quotes. A line that begins with '#' says nothing; a '#' further on is part of
//! the value.

/// One line that says something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// Line in the file, from 1.
    pub(super) line: usize,
    /// The option.
    pub(super) name: String,
    /// Its value without quotes; empty where there is none.
    pub(super) value: String,
}

impl Word {
    /// Reads a flag as coturn does: on when there is no value; `None` when it is neither on nor off.
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
    use super::{Word, words};

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
    fn what_is_neither_on_nor_off_is_told_apart() {
        let flag = |value: &str| words(&format!("flag={value}"))[0].is_on();
        assert_eq!(flag("on"), Some(true));
        assert_eq!(flag("Off"), Some(false));
        assert_eq!(flag("maybe"), None);
        assert_eq!(flag("often"), None);
    }
}
