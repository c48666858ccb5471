//! Who a command is to a server: a name and a password, or a secret that makes both.
//!
//! A secret on a command line can be read by everyone on the machine and stays in the shell's
//! history, so a file of options and the environment are asked, too.

use std::env;
use std::path::PathBuf;

use clap::Args;

use super::credential::Credential;
use crate::control::config::{Config, Origin, Proof, Secret, User};
use crate::wire::IntegrityKey;

/// Holds a secret, for commands.
const SECRET_VARIABLE: &str = "UTURN_SECRET";
/// Holds a name and a password with a colon between them, for commands.
const USER_VARIABLE: &str = "UTURN_USER";

/// Arguments that say which secret.
#[derive(Args, Clone, Debug)]
pub(super) struct SecretArgs {
    /// Secret that the server was given, too [default: the first of --config, or what the variable
    /// UTURN_SECRET holds]
    #[arg(long, value_parser = Secret::read_flag)]
    secret: Option<Secret>,
    /// The server's TOML file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl SecretArgs {
    /// The server's options, when its file was named.
    pub(super) fn config(&self) -> Result<Option<Config>, String> {
        let Some(file) = self.config.clone() else { return Ok(None) };
        let origin = Origin { file: Some(file), ..Origin::default() };
        origin.load_again().map(Some).map_err(|error| error.to_string())
    }

    /// The secret that a command cannot do without.
    pub(super) fn needed_secret(&self, config: Option<&Config>) -> Result<Secret, String> {
        self.secret(config)?.ok_or_else(|| match &self.config {
            Some(file) => format!("{}: secret: the file has none", file.display()),
            None => {
                format!("no secret: name the server's file with --config, or set {SECRET_VARIABLE}")
            }
        })
    }

    /// Who to be, if anything says so: the secret's guest, a user of the file or of the
    /// environment.
    pub(super) fn user(&self, config: Option<&Config>) -> Result<Option<User>, String> {
        if let Some(secret) = self.secret(config)? {
            return Ok(Some(guest(&secret)));
        }
        match config {
            Some(config) => Ok(config.users().next()),
            None => variable(USER_VARIABLE, user),
        }
    }

    /// The secret, from wherever it was given; `config` is what [`SecretArgs::config`] read. Where
    /// a file was named the environment is not asked: it may hold what is meant for another server.
    fn secret(&self, config: Option<&Config>) -> Result<Option<Secret>, String> {
        match (&self.secret, config) {
            (Some(secret), _) => Ok(Some(secret.clone())),
            (None, Some(config)) => {
                let made_now = usize::from(config.secret_is_generated);
                Ok(config.values.secret.get(made_now).cloned())
            }
            (None, None) => variable(SECRET_VARIABLE, Secret::read_flag),
        }
    }
}

/// Reads a name and its password, `NAME:PASSWORD`.
pub(super) fn user(text: &str) -> Result<User, String> {
    let (name, password) = text.split_once(':').ok_or("write NAME:PASSWORD")?;
    let proof = Proof::Password(Secret::new(password.to_owned()));
    Ok(User { name: name.to_owned(), proof })
}

/// The long-term key of a user in a realm (RFC 8489 §9.2.2).
pub(super) fn key(user: &User, realm: &[u8]) -> IntegrityKey {
    match &user.proof {
        Proof::Password(password) => {
            IntegrityKey::long_term(user.name.as_bytes(), realm, password.reveal().as_bytes())
        }
        Proof::Key(key) => IntegrityKey::from_bytes(key.reveal()),
    }
}

fn guest(secret: &Secret) -> User {
    let Credential { username, password } = Credential::for_a_guest(secret);
    User { name: username, proof: Proof::Password(Secret::new(password)) }
}

fn variable<T>(name: &str, read: fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    let Ok(text) = env::var(name) else { return Ok(None) };
    read(&text).map(Some).map_err(|problem| format!("{name}: {problem}"))
}
