//! A time-limited username with its password.
//!
//! The rule itself is [`wire::time_limited_password`], here it is only given a time and a form.

use serde::Serialize;

use crate::control::config::Secret;
use crate::control::numbers::now_s;
use crate::wire;

/// How long a credential is valid when nothing is said, in seconds: a day.
pub(in crate::control) const DEFAULT_TTL_S: u32 = 86_400;

pub(super) const DEFAULT_USER: &str = "guest";

/// A username and the password that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// `expiry:id`, the expiry in seconds since 1970.
    pub username: String,
    /// Base64 of the username's HMAC-SHA1.
    pub password: String,
}

impl Credential {
    /// Makes a credential that is valid until `expiry_s` seconds after 1970.
    pub fn until(expiry_s: u64, user: &str, secret: &Secret) -> Self {
        let username = format!("{expiry_s}:{user}");
        let password = wire::time_limited_password(secret.reveal().as_bytes(), username.as_bytes());
        Self { username, password: password.as_str().to_owned() }
    }

    /// Makes a credential for whoever tries the server out, valid for a day.
    pub fn for_a_guest(secret: &Secret) -> Self {
        Self::until(now_s() + u64::from(DEFAULT_TTL_S), DEFAULT_USER, secret)
    }

    /// Writes the `iceServers` value of an `RTCConfiguration`, as JSON in one line.
    pub fn ice_servers(&self, urls: &[String]) -> String {
        let server = IceServer { urls, username: &self.username, credential: &self.password };
        serde_json::to_string(&[server]).expect("strings are always JSON")
    }
}

#[derive(Serialize)]
struct IceServer<'a> {
    urls: &'a [String],
    username: &'a str,
    credential: &'a str,
}
