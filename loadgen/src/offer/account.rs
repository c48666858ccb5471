//! Who the generator is: long-term credentials, or a name that a shared secret makes a password
//! for.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use uturn::wire::{IntegrityKey, time_limited_password};

/// How long time-limited credentials are good: longer than any run.
const VALID: Duration = Duration::from_secs(86_400);

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
