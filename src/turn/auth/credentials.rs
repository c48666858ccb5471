//! Who may use the relay: static users, and time-limited usernames that a shared secret vouches
//! for.
//!
//! A time-limited username is `expiry[:id]` (or whatever coturn takes for one, see
//! [`Credentials::with_coturn_names`]), expiry in Unix seconds until 2106, and its password
//! base64(HMAC-SHA1(secret, username)) (draft-uberti-behave-turn-rest-00 §2.2). There is nothing to
//! look up and nothing to remember; several secrets at once let an operator rotate them.
//!
//! Law: the work for one message is bounded by [`MAX_SECRETS`], and whether the name or the
//! password is wrong shows neither in the answer nor, much, in the time it takes.

use zeroize::Zeroizing;

use super::user_table::UserTable;
use crate::turn::api::now::Now;
use crate::wire::{IntegrityKey, Message, long_term_key, time_limited_password};

/// Secrets tried for one message: each costs about two microseconds, and a rotation needs two.
pub const MAX_SECRETS: usize = 16;

/// Longest username (RFC 8489 §14.3).
pub const MAX_USERNAME_BYTES: usize = 508;

/// More secrets than [`MAX_SECRETS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManySecrets;

/// Names and keys.
#[derive(Debug, Clone)]
pub struct Credentials {
    realm: Box<str>,
    users: UserTable,
    secrets: Vec<SharedSecret>,
    names: Names,
}

/// A secret of time-limited names. Its memory is overwritten when it is dropped.
#[derive(Clone)]
struct SharedSecret(Zeroizing<Box<[u8]>>);

impl std::fmt::Debug for SharedSecret {
    /// Never shows the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedSecret(…)")
    }
}

impl Credentials {
    /// Begins with nobody let in. The realm is 1 to 127 characters (RFC 8489 §14.9).
    pub fn new(realm: &str) -> Credentials {
        Credentials {
            realm: realm.into(),
            users: UserTable::default(),
            secrets: Vec::new(),
            names: Names::ExpiryFirst,
        }
    }

    /// Makes room for so many users, whose names have so many bytes together: a table that grows
    /// while they come is there twice each time.
    #[must_use]
    pub fn with_room(mut self, users: usize, name_bytes: usize) -> Credentials {
        self.users.reserve(users, name_bytes);
        self
    }

    /// Lets a user in with a password; the last one of a name counts.
    #[must_use]
    pub fn with_user(mut self, name: &str, password: &str) -> Credentials {
        let realm = self.realm.as_bytes();
        let key = Zeroizing::new(long_term_key(name.as_bytes(), realm, password.as_bytes()));
        self.users.insert(name, &key);
        self
    }

    /// Lets a user in by the long-term key of name, realm and password (RFC 8489 §9.2.2): 16 bytes
    /// that are as good as the password, for this realm alone.
    #[must_use]
    pub fn with_key(mut self, name: &str, key: &[u8; 16]) -> Credentials {
        self.users.insert(name, key);
        self
    }

    /// Lets in whoever shows a time-limited username signed with this secret.
    pub fn with_secret(mut self, secret: &[u8]) -> Result<Credentials, TooManySecrets> {
        if self.secrets.len() == MAX_SECRETS {
            return Err(TooManySecrets);
        }
        self.secrets.push(SharedSecret(Zeroizing::new(secret.into())));
        Ok(self)
    }

    /// Takes time-limited names as coturn does, or not: `id:expiry` and `:expiry` too, and an
    /// expiry with a fraction or anything else behind its digits.
    #[must_use]
    pub fn with_coturn_names(self, taken: bool) -> Credentials {
        Credentials { names: if taken { Names::Coturn } else { Names::ExpiryFirst }, ..self }
    }

    /// The protection space, as REALM says it.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// The key that a message was signed with, if it is one of this user's. Static users come
    /// first; a username that is over has no key.
    pub(in crate::turn) fn verify(
        &self,
        now: Now,
        user: &str,
        message: &Message<'_>,
    ) -> Option<IntegrityKey> {
        if let Some(key) = self.users.key(user) {
            let key = IntegrityKey::from_bytes(key);
            return message.is_signed_with(&key).then_some(key);
        }
        let is_valid = |expiry_s| now.unix_s < expiry_s && expiry_s <= LATEST_EXPIRY_S;
        if self.names.expiry_s(user).is_some_and(is_valid) {
            return self.verify_time_limited(user, message);
        }
        // An unknown name takes as long as a known one.
        let _ = message.is_signed_with(&IntegrityKey::from_bytes(&NOBODYS_KEY));
        None
    }

    /// As [`Credentials::verify`], and a username that is over has a key, too, as long as one of
    /// the secrets vouches for it: an allocation may outlive the name it was made with.
    pub(in crate::turn) fn verify_known(
        &self,
        user: &str,
        message: &Message<'_>,
    ) -> Option<IntegrityKey> {
        let always = Now { mono_ms: 0, unix_s: 0 };
        self.verify(always, user, message)
    }

    /// Whose quota a user counts against: a time-limited name changes with every credential, its id
    /// does not. All that have no id count as one user, whose account is empty: a name for each
    /// second would otherwise be a quota for each second.
    pub(in crate::turn) fn account<'m>(&self, user: &'m str) -> &'m str {
        if self.users.key(user).is_some() { user } else { self.names.id(user).unwrap_or(user) }
    }

    fn verify_time_limited(&self, user: &str, message: &Message<'_>) -> Option<IntegrityKey> {
        let mut keys = self
            .secrets
            .iter()
            .map(|secret| time_limited_password(&secret.0, user.as_bytes()))
            .map(|password| self.key(user, password.as_str()));
        keys.find(|key| message.is_signed_with(key))
    }

    fn key(&self, user: &str, password: &str) -> IntegrityKey {
        IntegrityKey::long_term(user.as_bytes(), self.realm.as_bytes(), password.as_bytes())
    }
}

/// Signs nothing.
const NOBODYS_KEY: [u8; 16] = [0; 16];

/// The latest expiry that is believed, in Unix seconds: February 2106. An application that counts
/// in milliseconds asks for the year 58000; its credentials would never end.
const LATEST_EXPIRY_S: u64 = u32::MAX as u64;

/// Which names are time-limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    /// `expiry[:id]`, all digits before the colon.
    ExpiryFirst,
    /// What coturn takes: the expiry stands in front of the first colon if all is digits there,
    /// else behind it, and ends with its digits.
    Coturn,
}

impl Names {
    /// The expiry of a time-limited username, in Unix seconds; `None` for any other name.
    fn expiry_s(self, user: &str) -> Option<u64> {
        let (expiry, _) = self.parts(user);
        match self {
            Names::ExpiryFirst if !is_digits(expiry) => None,
            Names::ExpiryFirst => expiry.parse().ok(),
            Names::Coturn => {
                let behind = expiry.find(|character: char| !character.is_ascii_digit());
                expiry[..behind.unwrap_or(expiry.len())].parse().ok()
            }
        }
    }

    /// The id of a time-limited username, empty where it has none; `None` for any other name.
    fn id(self, user: &str) -> Option<&str> {
        self.expiry_s(user)?;
        Some(self.parts(user).1)
    }

    /// Where the expiry is to be looked for, and the rest.
    fn parts(self, user: &str) -> (&str, &str) {
        match (self, user.split_once(':')) {
            (_, None) => (user, ""),
            (Names::Coturn, Some((id, expiry))) if id.is_empty() || !is_digits(id) => (expiry, id),
            (Names::ExpiryFirst | Names::Coturn, Some((expiry, id))) => (expiry, id),
        }
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::*;
    use crate::wire::{Class, MessageWriter, Method, TransactionId};

    const NOW: Now = Now { mono_ms: 0, unix_s: 1_000 };

    fn credentials() -> Credentials {
        let some = Credentials::new("realm").with_user("ann", "secret").with_user("7:bob", "b");
        some.with_secret(b"old").unwrap().with_secret(b"new").unwrap()
    }

    fn password(secret: &str, user: &str) -> String {
        time_limited_password(secret.as_bytes(), user.as_bytes()).as_str().to_owned()
    }

    fn admits(user: &str, password: &str) -> bool {
        is_let_in_by(&credentials(), user, password)
    }

    fn is_let_in_by(credentials: &Credentials, user: &str, password: &str) -> bool {
        let key = IntegrityKey::long_term(user.as_bytes(), b"realm", password.as_bytes());
        let mut out = [0; 128];
        let id = TransactionId([1; 12]);
        let mut writer = MessageWriter::new(&mut out, Method::Allocate, Class::Request, id);
        let end = writer.integrity(&key).finish().unwrap();
        let message = Message::parse(&out[..end]).unwrap();
        credentials.verify(NOW, user, &message).is_some()
    }

    #[test]
    fn static_users() {
        assert!(admits("ann", "secret"));
        assert!(!admits("ann", "Secret"));
        assert!(!admits("Ann", "secret"));
        assert!(!admits("", ""));
        assert!(admits("7:bob", "b"), "a static name may look like an expired one");
    }

    // As `printf ann:realm:secret | md5sum` says.
    #[test]
    fn a_key_is_as_good_as_its_password_in_its_realm() {
        let key = 0x4f7d_04b5_b989_9460_e763_8f80_36f2_53f4_u128.to_be_bytes();
        let with_key = |realm| Credentials::new(realm).with_key("ann", &key);
        assert!(is_let_in_by(&with_key("realm"), "ann", "secret"));
        assert!(!is_let_in_by(&with_key("realm"), "ann", "other"));
    }

    #[test]
    fn every_secret_is_tried() {
        for user in ["1001", "1001:ann", "1001:a:b", "1001:", "4294967295:x"] {
            assert!(admits(user, &password("old", user)), "{user}");
            assert!(admits(user, &password("new", user)), "{user}");
            assert!(!admits(user, &password("other", user)), "{user}");
        }
    }

    #[test]
    fn what_is_over_or_no_expiry_is_refused() {
        for user in ["1000", "999:ann", "0", "", ":ann", "+1001", "-1", "1001x:ann", "ann:1001"] {
            assert!(!admits(user, &password("old", user)), "{user}");
        }
        let beyond = "99999999999999999999999:ann";
        assert!(!admits(beyond, &password("old", beyond)));
    }

    #[test]
    fn an_expiry_in_milliseconds_is_refused() {
        for user in ["1795000000000:ann", "4294967296"] {
            assert!(!admits(user, &password("old", user)), "{user}");
        }
    }

    #[test]
    fn the_account_is_the_id() {
        let credentials = credentials();
        assert_eq!(credentials.account("1700000000:ann"), "ann");
        assert_eq!(credentials.account("1800000000:ann"), "ann");
        assert_eq!(credentials.account("1700000000:a:b"), "a:b");
        for user in ["ann", "ann:bob", "7:bob", "1x", "99999999999999999999999"] {
            assert_eq!(credentials.account(user), user);
        }
    }

    #[test]
    fn time_limited_names_without_an_id_have_one_account() {
        let credentials = credentials().with_user("1700000003", "a name of digits");
        for user in ["1700000000", "1700000001", "1700000000:", "1700000002:"] {
            assert_eq!(credentials.account(user), "", "{user}");
        }
        assert_eq!(credentials.account("1700000003"), "1700000003");
    }

    // get_rest_api_timestamp and get_real_username of coturn 4.6.
    #[test]
    fn coturns_names_are_taken_where_they_are_asked_for_and_nowhere_else() {
        let (strict, coturn) = (credentials(), credentials().with_coturn_names(true));
        for (user, account) in [
            ("ann:1001", "ann"),
            (":1001", ""),
            ("1001.5:ann", "1001.5"),
            ("ann:1001.5", "ann"),
            ("1001.25", ""),
            ("ann:1001:b", "ann"),
        ] {
            let password = password("new", user);
            assert!(!is_let_in_by(&strict, user, &password), "{user}");
            let taken = coturn.names.expiry_s(user) == Some(1001);
            assert_eq!(is_let_in_by(&coturn, user, &password), taken, "{user}");
            assert!(!is_let_in_by(&coturn, user, "wrong"), "{user}");
            if taken {
                assert_eq!(coturn.account(user), account, "{user}");
            }
        }
        assert!(is_let_in_by(&coturn, "1001:ann", &password("old", "1001:ann")));
        for over in ["ann:1000", ":999", "1000.9", "ann:", "ann", "", ":", "ann:x1001", "ann:-1"] {
            assert!(!is_let_in_by(&coturn, over, &password("old", over)), "{over}");
        }
    }

    #[test]
    fn secrets_are_bounded() {
        let mut credentials = Credentials::new("realm");
        for _ in 0..MAX_SECRETS {
            credentials = credentials.with_secret(b"s").unwrap();
        }
        assert_eq!(credentials.with_secret(b"s").map(|_| ()), Err(TooManySecrets));
    }

    proptest! {
        #[test]
        fn any_name_has_an_account_within_it(user: String, taken: bool) {
            let credentials = credentials().with_coturn_names(taken);
            assert!(user.contains(credentials.account(&user)));
        }
    }
}
