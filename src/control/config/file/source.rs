//! The configuration file as text, and errors that point into it.
//!
//! Every error is one line: where (`FILE:LINE` or the command line), which key, what is wrong and
//! what would be right.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{DeserializeOwned, IgnoredAny};
use zeroize::Zeroizing;

use super::nearest::nearest;
use super::text;

/// Keys of coturn that stand in most of its files, and are none of ours.
pub(in crate::control) const COTURNS: [&str; 24] = [
    "allowed-peer-ip",
    "cert",
    "cli-password",
    "denied-peer-ip",
    "fingerprint",
    "listening-device",
    "listening-ip",
    "listening-port",
    "log-file",
    "lt-cred-mech",
    "max-port",
    "min-port",
    "no-cli",
    "no-multicast-peers",
    "no-tls",
    "pidfile",
    "pkey",
    "server-name",
    "simple-log",
    "stale-nonce",
    "static-auth-secret",
    "syslog",
    "tls-listening-port",
    "use-auth-secret",
];
/// What is said of them.
const FROM_COTURN: &str = "this is coturn's: uturn import-coturn FILE";

/// Bytes that an error shows of what stands where a key should.
const KEY_BYTES: usize = 64;

/// Letters that an error shows of the begin, and of the end, of a message.
const MESSAGE_SIDE: usize = 100;

/// Where a value was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WrittenAt {
    /// On the command line.
    Flag,
    /// In the environment.
    Variable,
    /// In the file, at this byte.
    File(usize),
}

/// A file of options, kept as text so that an error can be given its line. The text may hold
/// passwords, so its memory is overwritten when it is dropped.
#[derive(Default)]
pub(crate) struct ConfigText {
    path: PathBuf,
    text: Zeroizing<String>,
}

impl ConfigText {
    /// Reads a file.
    pub(crate) fn open(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |error: String| ConfigError {
            origin: path.display().to_string(),
            key: "config".to_owned(),
            problem: format!("the file cannot be read: {error}"),
            remedy: Remedy::Operator,
        };
        let text = text::read(path).map_err(unreadable)?;
        Ok(Self { path: path.to_owned(), text })
    }

    #[cfg(test)]
    pub(crate) fn of(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: Zeroizing::new(text.to_owned()) }
    }

    /// Reads the options in the file. An unknown key, a key given twice and a bad value are errors.
    pub(crate) fn options<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        toml::from_str(&self.text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            let message = error.message().replace('\n', " ");
            let key = self.key_at(offset);
            let is_toml = toml::from_str::<IgnoredAny>(&self.text).is_ok();
            let problem =
                if is_toml { unknown_key(&message) } else { self.miswritten(offset, key) };
            let problem = problem.unwrap_or_else(|| bounded(&message));
            self.error(Some(WrittenAt::File(offset)), key, problem)
        })
    }

    /// How a line is to be written that is not TOML, where what is wrong is what most people get
    /// wrong. Nothing of the value is repeated, which may be a password.
    fn miswritten(&self, offset: usize, key: &str) -> Option<String> {
        if COTURNS.contains(&key) {
            return Some(FROM_COTURN.to_owned());
        }
        let start = self.before(offset).rfind('\n').map_or(0, |end| end + 1);
        let line = self.text[start..].lines().next()?;
        if key_of(line) != Some(key) {
            return None;
        }
        let Some((_, value)) = line.split_once('=') else {
            return Some(format!("there is no '=' in the line: write {key} = \"…\""));
        };
        match value.trim_start().chars().next() {
            Some('"' | '\'') => None,
            Some('[') if value.contains(['"', '\'']) => None,
            Some('[') => Some(format!("text stands in quotes: write {key} = [\"…\"]")),
            Some(_) | None => Some(format!("text stands in quotes: write {key} = \"…\"")),
        }
    }

    /// Puts an error together; `place` is `None` where the key was not given at all.
    pub(crate) fn error(
        &self,
        place: Option<WrittenAt>,
        key: &str,
        problem: String,
    ) -> ConfigError {
        let origin = match place {
            Some(WrittenAt::File(offset)) => {
                format!("{}:{}", self.path.display(), self.line_at(offset))
            }
            Some(WrittenAt::Flag) => "command line".to_owned(),
            Some(WrittenAt::Variable) => variable_name(key),
            None => "default".to_owned(),
        };
        ConfigError { origin, key: key.to_owned(), problem, remedy: Remedy::Operator }
    }

    fn line_at(&self, offset: usize) -> usize {
        1 + self.before(offset).matches('\n').count()
    }

    /// Finds the key whose value stands at a byte: the last line up to there that begins with one.
    fn key_at(&self, offset: usize) -> &str {
        let start = self.before(offset).len();
        let rest_of_line = self.text[start..].lines().next().map_or(0, str::len);
        let lines = self.text[..start + rest_of_line].lines().rev();
        lines.filter_map(key_of).next().unwrap_or("syntax")
    }

    fn before(&self, offset: usize) -> &str {
        let mut end = offset.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        &self.text[..end]
    }
}

/// The variable of the environment that a key can stand in.
pub(in crate::control) fn variable_name(key: &str) -> String {
    format!("UTURN_{}", key.to_uppercase().replace('-', "_"))
}

/// What is said of a key that there is not, if that is the problem: the one that was meant, not the
/// list of all.
fn unknown_key(message: &str) -> Option<String> {
    let (word, list) =
        message.strip_prefix("unknown field `")?.split_once("`, expected one of `")?;
    let names = list.trim_end_matches('`').split("`, `");
    let advice = match nearest(word, names) {
        _ if COTURNS.contains(&word) => FROM_COTURN.to_owned(),
        Some(name) => format!("did you mean `{name}`?"),
        None => "`uturn example-config` shows every key".to_owned(),
    };
    Some(bounded(&format!("unknown field `{word}`: {advice}")))
}

/// The key that a line begins with, or the name of a table. A word that nothing but a comma stands
/// behind may be a value of a list that is written over several lines, which is not shown; so may
/// one in base64, which ends with '='.
fn key_of(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let (line, is_table) = line.strip_prefix('[').map_or((line, false), |rest| (rest, true));
    let bare = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    let end = line.find(|letter| !bare(letter)).unwrap_or(line.len());
    let (word, rest) = line.split_at(end);
    let is_followed = match rest.trim().chars().next() {
        Some(']') => is_table,
        Some('=') => !is_table && (COTURNS.contains(&word) || has_value(rest)),
        Some(':') => !is_table,
        Some(',' | '#') | None => COTURNS.contains(&word),
        Some(_) => !is_table && rest.starts_with(char::is_whitespace),
    };
    (!word.is_empty() && is_followed).then(|| &word[..end.min(KEY_BYTES)])
}

/// True where what follows a word, '=' first, is more than the end of a text in base64, perhaps
/// with a quote that was not opened. Such a text has no blank before the '='.
fn has_value(rest: &str) -> bool {
    let Some(value) = rest.strip_prefix('=') else { return true };
    let value = value.trim_start();
    let value = value.strip_prefix(['"', '\'']).unwrap_or(value);
    !value.is_empty() && !value.starts_with(['=', ',', ']', '#'])
}

/// Leaves out the middle of a long message, which is what somebody wrote; what is wrong with it
/// stands before or behind.
pub(super) fn bounded(said: &str) -> String {
    let letters = said.chars().count();
    if letters <= 2 * MESSAGE_SIDE + 1 {
        return said.to_owned();
    }
    let begin = said.chars().take(MESSAGE_SIDE);
    let end = said.chars().skip(letters - MESSAGE_SIDE);
    begin.chain(['…']).chain(end).collect()
}

/// What is wrong with the configuration, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// `FILE:LINE`, `command line`, a variable of the environment, or `default`.
    pub origin: String,
    /// Name of the key.
    pub key: String,
    /// What is wrong and what would be right.
    pub problem: String,
    /// What would mend it.
    pub remedy: Remedy,
}

/// Who mends what is wrong with a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Somebody has to write something else.
    Operator,
    /// The machine may get what it lacks: an address that comes with DHCP, a tunnel, a bridge.
    Time,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}: {}", self.origin, self.key, self.problem)
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod coturn_tests {
    use super::unknown_key;

    #[test]
    fn a_key_of_coturn_leads_to_the_import() {
        let said = unknown_key("unknown field `cert`, expected one of `user`, `secret`");
        assert!(
            said.is_some_and(
                |it| it.ends_with("`cert`: this is coturn's: uturn import-coturn FILE")
            )
        );
    }
}
