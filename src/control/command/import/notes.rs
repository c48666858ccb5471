//! What the reader of an imported configuration must know, one line each.

use std::fmt;

/// What became of something that was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// There is nothing like it here, or its value is not taken: the reader loses something.
    Lost,
    /// It has no counterpart and needs none.
    NotNeeded,
    /// It is carried over, and something about it is different.
    Differs,
    /// It is no option of coturn.
    Unknown,
}

impl fmt::Display for Fate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Lost => "lost",
            Self::NotNeeded => "not needed",
            Self::Differs => "differs",
            Self::Unknown => "unknown",
        })
    }
}

#[derive(Debug)]
struct Note {
    /// `None` for what holds although no line says it.
    line: Option<usize>,
    fate: Fate,
    word: String,
    why: String,
}

/// Everything there is to say about one file.
#[derive(Debug, Default)]
pub(super) struct Notes(Vec<Note>);

impl Notes {
    /// Notes something about a line.
    pub(super) fn add(&mut self, line: usize, fate: Fate, word: &str, why: impl Into<String>) {
        let (word, why) = (word.to_owned(), why.into());
        self.0.push(Note { line: Some(line), fate, word, why });
    }

    /// Notes the loss of something that several lines say.
    pub(super) fn lost(&mut self, word: &str, why: impl Into<String>) {
        let (word, why) = (word.to_owned(), why.into());
        self.0.push(Note { line: None, fate: Fate::Lost, word, why });
    }

    /// Notes what is different although no line says anything about it.
    pub(super) fn differs(&mut self, word: &str, why: impl Into<String>) {
        let (word, why) = (word.to_owned(), why.into());
        self.0.push(Note { line: None, fate: Fate::Differs, word, why });
    }

    /// Writes the notes in the order of the file, what is said by no line last.
    pub(super) fn listed(mut self, file: &str) -> String {
        self.0.sort_by_key(|note| note.line.unwrap_or(usize::MAX));
        let line = |Note { line, fate, word, why }: &Note| match line {
            Some(line) => format!("{file}:{line}: {fate}: {word}: {why}\n"),
            None => format!("{file}: {fate}: {word}: {why}\n"),
        };
        self.0.iter().map(line).collect()
    }
}
