//! Options from the environment, for containers: `UTURN_` and the key's name in capitals, with `_`
//! for `-`. The command line wins over them, and they win over the file.
//!
//! A value is written as on the command line. Of a list they stand one after the other with spaces
//! between them, or as a TOML array where a value has a space in it. An empty variable is none.

use std::env;

use super::file::nearest::nearest;
use super::file::source::{ConfigError, Remedy, variable_name};
use super::schema::{KEYS, Key, Options};

/// What every variable of ours begins with.
const PREFIX: &str = "UTURN_";
/// What the tests, the fuzzer and the scripts of the repository are told with.
const OF_TESTS: [&str; 13] = [
    "UTURN_BINARY",
    "UTURN_DOCS",
    "UTURN_FUZZ_",
    "UTURN_KUBERNETES",
    "UTURN_PACKAGES",
    "UTURN_PICTURES",
    "UTURN_SEED",
    "UTURN_SKIPPED",
    "UTURN_SLOW",
    "UTURN_TEST_",
    "UTURN_TRACE",
    "UTURN_VM_",
    "UTURN_WALKTHROUGH",
];

/// Reads the variables of this process.
///
/// # Errors
/// Names the variable and what is wrong with its value.
pub(in crate::control) fn options() -> Result<Options, ConfigError> {
    Options::worded(&|key| text(key).transpose())
}

/// The keys that have a variable.
pub(in crate::control) fn keys() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(|key| text(key).is_ok_and(|text| text.is_some()))
}

/// Variables of this process that look like options and are none, a line each: whoever misspelt one
/// would wait for its effect.
pub(in crate::control) fn unknown() -> Vec<String> {
    let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    unknown_among(names)
}

fn unknown_among(names: impl Iterator<Item = String>) -> Vec<String> {
    let known: Vec<String> = KEYS.iter().map(|key| variable_name(key.name)).collect();
    // Measured by what comes behind it, or every word would be near a short one.
    let bare = || known.iter().filter_map(|name| name.strip_prefix(PREFIX));
    let mut said: Vec<String> = names
        .filter(|name| name.starts_with(PREFIX) && !known.contains(name))
        .filter(|name| !OF_TESTS.iter().any(|ours| name.starts_with(ours)))
        .map(|name| match nearest_variable(&name[PREFIX.len()..], bare()) {
            Some(meant) => format!("{name}: there is no such option: did you mean {meant}?"),
            None => format!("{name}: there is no such option: it changes nothing"),
        })
        .collect();
    said.sort();
    said
}

fn nearest_variable<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let keys: Vec<String> = names.map(|name| name.replace('_', "-")).collect();
    let meant = nearest(word, keys.iter().map(String::as_str))?;
    Some(variable_name(meant))
}

fn text(key: &Key) -> Result<Option<String>, ConfigError> {
    let name = variable_name(key.name);
    match env::var(&name) {
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => Ok(Some(text)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(ConfigError {
            origin: name,
            key: key.name.to_owned(),
            problem: "it is not UTF-8 text".to_owned(),
            remedy: Remedy::Operator,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::config::file::source::ConfigText;
    use crate::control::config::settle::Settling;
    use crate::control::config::tests::{example, flags, machine};

    /// Options from variables as they are named.
    fn variables(set: &[(&str, &str)]) -> Result<Options, ConfigError> {
        Options::worded(&|key| {
            let name = variable_name(key.name);
            set.iter()
                .find(|(variable, _)| *variable == name)
                .map(|(_, text)| Ok((*text).to_owned()))
        })
    }

    #[test]
    fn every_key_can_stand_in_the_environment() {
        for key in KEYS {
            let name = variable_name(key.name);
            let options =
                variables(&[(&name, example(key))]).unwrap_or_else(|error| panic!("{error}"));
            let words = "--relay-ip=127.0.0.1 --usage-records=/usage --tls-certificate=/a --tls-key=/b \
                 --web-backend=unix:/w";
            let words: Vec<&str> = words.split(' ').collect();
            let source = ConfigText::default();
            let settling = Settling { source: &source, machine: &machine() };
            settling.settle(&flags(&words).over(options)).unwrap_or_else(|error| panic!("{error}"));
        }
    }

    #[test]
    fn a_variable_that_is_no_option_is_said_with_the_nearest_that_is() {
        let said = |name: &str| unknown_among([name.to_owned()].into_iter());
        let none = " there is no such option: it changes nothing";
        for (name, words) in [
            ("UTURN_RELAM", " there is no such option: did you mean UTURN_REALM?"),
            ("UTURN_RELAY_PORT", " there is no such option: did you mean UTURN_RELAY_PORTS?"),
            ("UTURN_EXTERNALIP", " there is no such option: did you mean UTURN_EXTERNAL_IP?"),
            ("UTURN_Realm", none),
            ("UTURN_COLOUR", none),
            ("UTURN_", none),
        ] {
            assert_eq!(said(name), [format!("{name}:{words}")]);
        }
        for key in KEYS {
            assert_eq!(said(&variable_name(key.name)), [""; 0]);
        }
        for name in ["UTURN_TEST_IO", "UTURN_SEEDS", "UTURNS_REALM", "uturn_relam", "PATH"] {
            assert_eq!(said(name), [""; 0], "{name}");
        }
    }

    #[test]
    fn a_list_in_the_environment_is_words_or_an_array() {
        let listen = |text: &str| {
            let options = variables(&[("UTURN_LISTEN", text)]).unwrap();
            let source = ConfigText::default();
            Settling { source: &source, machine: &machine() }.settle(&options).unwrap().listen.len()
        };
        assert_eq!((listen("[::1]:7"), listen("10.0.0.5:7  [::1]:7")), (1, 2));
        assert_eq!(listen("['10.0.0.5:7', \"10.0.0.6:7\", '[::1]:7']"), 3);
        let secrets = |text: &str| variables(&[("UTURN_SECRET", text)]);
        let given = secrets("['north and south', 'east and west']").unwrap().secret.unwrap();
        assert_eq!(given[0].value.reveal(), "north and south");
        assert_eq!(given.len(), 2);
        for (text, problem) in [
            ("short", "the secret has 5 bytes"),
            ("['short']", "the secret has 5 bytes"),
            ("['precious-words'", "no TOML array"),
        ] {
            let error = secrets(text).unwrap_err();
            assert_eq!((error.origin.as_str(), error.key.as_str()), ("UTURN_SECRET", "secret"));
            assert!(
                error.problem.contains(problem) && !error.problem.contains("precious"),
                "{error}"
            );
        }
        let error = variables(&[("UTURN_RELAY_PORTS", "9-8")]).unwrap_err();
        assert_eq!(error.origin, "UTURN_RELAY_PORTS");
    }
}
