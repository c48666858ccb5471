//! Reads the configuration from where it was written, and settles it.

use std::path::{Path, PathBuf};

use super::addresses::machine::Machine;
use super::file::exposure::{self, Content};
use super::file::source::{ConfigError, ConfigText, Remedy};
use super::schema::{Options, SECRET};
use super::settle::Settling;
use super::settled::Config;

const NOBODY: &str = "there is neither a user nor a secret: write one, or secret = \"generate\" for \
                      a new one at each start";

/// Where a configuration came from, so that it can be read again.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// What the command line says, and below it the environment.
    pub flags: Options,
    /// The file below it, if there is one.
    pub file: Option<PathBuf>,
}

impl Origin {
    /// Reads and settles everything, on the machine as it is now.
    ///
    /// # Errors
    /// As [`Config::load`], and when a file lets nobody in.
    pub fn load(&self) -> Result<Config, ConfigError> {
        self.load_on(&Machine::this())
    }

    /// Reads and settles everything for a server that runs: whether the machine has its addresses
    /// at the moment, and what a NAT makes of them, is no matter.
    ///
    /// # Errors
    /// As [`Origin::load`].
    pub fn load_again(&self) -> Result<Config, ConfigError> {
        self.load_on(&Machine {
            binds: |_| true,
            asks: |_, _| Ok(None),
            looks_up_own: |_, _| Ok(Vec::new()),
            ..Machine::this()
        })
    }

    /// A server with a file is meant to last: a secret that is another one after each start would
    /// lock everybody out, and say so nowhere.
    fn load_on(&self, machine: &Machine) -> Result<Config, ConfigError> {
        let config = Config::load(self.flags.clone(), self.file.as_deref(), machine)?;
        match &self.file {
            Some(file) if config.secret_is_generated && !config.secret_is_asked_for => {
                Err(ConfigError {
                    origin: file.display().to_string(),
                    key: SECRET.name.to_owned(),
                    problem: NOBODY.to_owned(),
                    remedy: Remedy::Operator,
                })
            }
            Some(_) | None => Ok(config),
        }
    }
}

impl Config {
    /// Settles options from the command line and, below them, from a file.
    ///
    /// Errors name the place, the key, what is wrong and what would be right.
    pub fn load(
        flags: Options,
        file: Option<&Path>,
        machine: &Machine,
    ) -> Result<Self, ConfigError> {
        let source = file.map_or_else(|| Ok(ConfigText::default()), ConfigText::open)?;
        let in_file: Options = source.options()?;
        let content = content(&in_file);
        let mut config = Settling { source: &source, machine }.settle(&flags.over(in_file))?;
        let users = config.users_file.as_ref().map(|users| (&*users.path, Content::Secret));
        let pairs = config.tls_files();
        let keys = pairs.iter().map(|pair| (&*pair.key, Content::PrivateKey));
        let files = file.map(|file| (file, content)).into_iter().chain(users).chain(keys);
        config.exposed = files.flat_map(|(file, content)| exposure::of(file, content)).collect();
        Ok(config)
    }
}

/// Whether there are passwords or secrets among options.
fn content(options: &Options) -> Content {
    let is_secret = options.user.is_some() || options.secret.is_some();
    if is_secret { Content::Secret } else { Content::Public }
}

#[cfg(test)]
mod tests {
    use super::super::tests::flags;
    use super::*;

    #[test]
    fn what_a_name_comes_to_is_no_matter_when_everything_is_read_again() {
        // No name server is asked for a label of 64 letters.
        let name = format!("--external-ip={}.example.org", "x".repeat(64));
        let flags = flags(&["--listen=127.0.0.1", "--relay-ip=127.0.0.1", &name]);
        let origin = Origin { flags, file: None };
        assert_eq!(origin.load().unwrap_err().remedy, Remedy::Time);
        origin.load_again().unwrap();
    }
}
