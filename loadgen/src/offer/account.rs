//! Who the generator is: long-term credentials, or a name that a shared secret makes a password
//! for.

use std::{
    env,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use uturn::wire::{IntegrityKey, time_limited_password};

use crate::fault::Fault;

/// How long time-limited credentials are good: longer than any run.
const VALID: Duration = Duration::from_secs(86_400);

/// Longest user name (RFC 8489 §14.3).
const MAX_NAME_BYTES: usize = 508;

/// What hold the credentials when the command line does not: it can be read by everybody on the
/// machine. `uturn check` asks the same.
pub(crate) const VARIABLES: [&str; 2] = ["UTURN_USER", "UTURN_SECRET"];

/// A realm, and the key in it.
type RealmKey = (Vec<u8>, IntegrityKey);

/// A name and a password, and the key of the realm they were last used in.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    name: Arc<str>,
    password: Arc<str>,
    /// Every session of a server is in one realm; hashing it once is enough.
    last: Arc<Mutex<Option<RealmKey>>>,
}

/// Who the options say, or else the environment.
pub(crate) fn of(user: Option<&str>, secret: Option<&str>) -> Result<Option<Account>, Fault> {
    let [own_user, own_secret] = VARIABLES.map(|name| env::var(name).ok());
    chosen([("--user", user), ("--secret", secret)])
        .or_else(|| {
            let both = [own_user.as_deref(), own_secret.as_deref()];
            chosen([(VARIABLES[0], both[0]), (VARIABLES[1], both[1])])
        })
        .transpose()
}

/// Who one of two says, each with its name; a secret goes before a user.
fn chosen([user, secret]: [(&str, Option<&str>); 2]) -> Option<Result<Account, Fault>> {
    let empty = |name: &str, what: &str| {
        Fault::usage(format!("{name}: the {what} is empty (a variable that is not set?)"))
    };
    match (user, secret) {
        (_, (name, Some(""))) => Some(Err(empty(name, "secret"))),
        (_, (_, Some(secret))) => Some(Ok(Account::from_secret(secret))),
        ((name, Some(user)), _) => Some(match user.split_once(':') {
            None => Err(Fault::usage(format!("{name} takes NAME:PASSWORD"))),
            Some(("", _)) => Err(empty(name, "name")),
            Some((_, "")) => Err(empty(name, "password")),
            Some((who, _)) if who.len() > MAX_NAME_BYTES => {
                Err(Fault::usage("a user name has at most 508 bytes"))
            }
            Some((who, password)) => Ok(Account::new(who, password)),
        }),
        ((_, None), (_, None)) => None,
    }
}

impl Account {
    pub(crate) fn new(name: &str, password: &str) -> Account {
        Account { name: name.into(), password: password.into(), last: Arc::default() }
    }

    /// `username = expiry:loadgen`, the password from the secret.
    pub(crate) fn from_secret(secret: &str) -> Account {
        let expiry = SystemTime::now() + VALID;
        let expiry_s = expiry.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let name = format!("{expiry_s}:loadgen");
        let password = time_limited_password(secret.as_bytes(), name.as_bytes());
        Account::new(&name, password.as_str())
    }

    pub(crate) fn name(&self) -> Arc<str> {
        self.name.clone()
    }

    /// The long-term key of this account in a realm.
    pub(crate) fn key(&self, realm: &[u8]) -> IntegrityKey {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, key)) = last.as_ref().filter(|(known, _)| known == realm) {
            return key.clone();
        }
        let key = IntegrityKey::long_term(self.name.as_bytes(), realm, self.password.as_bytes());
        *last = Some((realm.to_vec(), key.clone()));
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(user: Option<&str>, secret: Option<&str>) -> String {
        let account = chosen([("--user", user), ("UTURN_SECRET", secret)]);
        match account {
            None => "nobody".to_owned(),
            Some(Ok(account)) => account.name().to_string(),
            Some(Err(fault)) => fault.to_string(),
        }
    }

    #[test]
    fn what_is_empty_is_said_to_be() {
        assert_eq!(told(None, None), "nobody");
        assert_eq!(told(Some("alice:p"), None), "alice");
        assert!(told(None, Some("s")).ends_with(":loadgen"));
        for (user, secret, why) in [
            (Some(""), None, "--user takes NAME:PASSWORD"),
            (Some("alice"), None, "--user takes NAME:PASSWORD"),
            (Some("alice:"), None, "--user: the password is empty"),
            (Some(":p"), None, "--user: the name is empty"),
            (None, Some(""), "UTURN_SECRET: the secret is empty"),
        ] {
            let said = told(user, secret);
            assert!(said.starts_with(why), "{said}");
        }
    }
}
